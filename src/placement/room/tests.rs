//! What counts of a lease, and for how long.

use super::*;
use crate::base::clock;
use crate::wire::report::GpuLoad;

const LEASE: LeaseId = LeaseId(1);

/// A room and its clock.
struct Scene {
    room: Room,
    now: Instant,
}

/// What a lease needs: two cores, a gigabyte, ten megabits.
fn cost() -> Cost {
    let machine = Resources { cpu: 2.0, memory: 1e9, disk: 0.0, network: 10e6 };
    Cost { machine, gpus: Vec::new() }
}

fn report(cpu: f64, lag_ms: u64) -> LeaseLoad {
    LeaseLoad { lease: LEASE, cpu: Some(cpu), memory: 0, speed: Some(1.0), lag_ms: Some(lag_ms) }
}

impl Scene {
    /// Eight cores and two GPUs of eight sessions.
    fn new() -> Self {
        let capacity = Capacity { cores: 8, memory: 16 << 30, slots: 8, network_bps: Some(1_000_000_000) };
        let gpu = |index| Gpu { index, name: "L4".into(), memory: 24 << 30, sessions: Some(8) };
        Self { room: Room::new(capacity, &[gpu(0), gpu(1)]), now: clock::now() }
    }

    fn with_lease(replay: Replay) -> Self {
        let mut scene = Self::new();
        scene.room.reserve(LEASE, cost(), replay, scene.now);
        scene
    }

    fn wait(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    /// The node measures so many cores in use, and its leases this.
    fn beat(&mut self, cores: f64, leases: &[LeaseLoad]) {
        self.room.handle_heartbeat(&Load { cpu: cores / 8.0, ..Load::default() }, leases, self.now);
    }

    #[track_caller]
    fn check_cpu(&self, expected: f64) {
        let cpu = self.room.expected(self.now).machine.cpu;
        assert!((cpu - expected).abs() < 1e-6, "{cpu} cores, not {expected}");
    }

    #[track_caller]
    fn check_lagging(&self, expected: bool) {
        assert_eq!(self.room.lagging().is_some(), expected, "{:?}", self.room.lagging());
    }
}

#[test]
fn a_lease_counts_at_once_and_as_predicted_until_it_is_measured() {
    let mut scene = Scene::with_lease(Replay::None);
    scene.check_cpu(2.0);
    scene.beat(1.0, &[]);
    scene.wait(60.0);
    scene.check_cpu(3.0);
    let expected = scene.room.expected(scene.now).machine;
    assert_eq!((expected.memory, expected.network), (1e9, 10e6));
}

#[test]
fn its_prediction_fades_into_the_measurement() {
    let mut scene = Scene::with_lease(Replay::None);
    scene.beat(1.5, &[report(0.5, 5000)]);
    scene.check_cpu(1.5 + 1.5);
    scene.wait(5.0);
    scene.check_cpu(1.5 + 1.5);
    scene.beat(1.5, &[report(0.5, 100)]);
    scene.wait(5.0);
    scene.check_cpu(1.5 + 0.75);
    scene.beat(2.0, &[report(1.0, 100)]);
    scene.check_cpu(2.0 + 0.5);
    scene.wait(5.0);
    scene.check_cpu(2.0);
    scene.beat(4.0, &[report(3.0, 100)]);
    scene.check_cpu(4.0);
}

#[test]
fn one_that_uses_more_than_predicted_takes_nothing_off() {
    let mut scene = Scene::with_lease(Replay::None);
    scene.beat(5.0, &[report(4.0, 100)]);
    scene.check_cpu(5.0);
}

#[test]
fn a_replay_counts_three_times_its_cpu_until_it_has_caught_up() {
    let mut scene = Scene::with_lease(Replay::Media(Duration::from_secs(6)));
    scene.check_cpu(6.0);
    scene.beat(5.0, &[report(4.0, 3000)]);
    scene.check_cpu(5.0 + 2.0);
    scene.beat(5.0, &[report(4.0, 1000)]);
    scene.check_cpu(5.0);
    scene.beat(1.0, &[report(1.0, 1000)]);
    scene.check_cpu(1.0 + 1.0);
}

#[test]
fn a_node_that_does_not_measure_its_leases_has_their_room_again_after_a_while() {
    let mut scene = Scene::with_lease(Replay::None);
    let silent = LeaseLoad { lease: LEASE, cpu: None, memory: 0, speed: None, lag_ms: None };
    scene.beat(2.0, &[silent]);
    scene.wait(29.0);
    scene.beat(2.0, &[silent]);
    scene.check_cpu(4.0);
    scene.wait(1.0);
    scene.beat(2.0, &[silent]);
    scene.wait(10.0);
    scene.check_cpu(2.0);
}

#[test]
fn what_a_lease_used_is_taken_off_when_it_is_over() {
    let mut scene = Scene::with_lease(Replay::None);
    scene.beat(3.0, &[report(2.0, 100)]);
    scene.room.release(LEASE, scene.now);
    scene.check_cpu(1.0);
    scene.room.release(LEASE, scene.now);
    scene.check_cpu(1.0);
    scene.beat(3.0, &[]);
    scene.check_cpu(3.0);
}

#[test]
fn a_node_that_says_it_is_idle_has_at_least_what_its_leases_use() {
    let mut scene = Scene::with_lease(Replay::None);
    scene.beat(0.0, &[report(2.0, 100), LeaseLoad { lease: LeaseId(9), ..report(3.0, 100) }]);
    scene.check_cpu(5.0);
}

#[test]
fn a_lease_that_is_far_behind_after_its_warm_up_is_lagging() {
    let mut scene = Scene::with_lease(Replay::None);
    scene.beat(1.0, &[report(1.0, 3500)]);
    scene.check_lagging(false);
    scene.wait(10.0);
    scene.beat(1.0, &[report(1.0, 2999)]);
    scene.check_lagging(false);
    scene.beat(1.0, &[report(1.0, 3500)]);
    assert_eq!(scene.room.lagging(), Some(Lagging { lease: LEASE, lag: Duration::from_millis(3500) }));
    scene.room.release(LEASE, scene.now);
    scene.check_lagging(false);
}

#[test]
fn a_slow_lease_is_lagging_unless_it_is_not_behind() {
    let mut scene = Scene::with_lease(Replay::None);
    let slow = |lag| LeaseLoad { speed: Some(0.9), ..report(1.0, lag) };
    scene.beat(1.0, &[report(1.0, 100)]);
    scene.wait(10.0);
    for _ in 0..4 {
        scene.beat(1.0, &[slow(200)]);
        scene.wait(1.0);
    }
    scene.check_lagging(false);
    for seconds in 0..4 {
        scene.beat(1.0, &[slow(1500)]);
        scene.check_lagging(seconds == 3);
        scene.wait(1.0);
    }
    scene.beat(1.0, &[report(1.0, 1500)]);
    scene.check_lagging(false);
}

#[test]
fn a_replay_may_take_as_long_as_it_waits() {
    let mut scene = Scene::with_lease(Replay::Media(Duration::from_secs(20)));
    scene.beat(1.0, &[report(1.0, 20_000)]);
    scene.wait(29.0);
    scene.beat(1.0, &[report(1.0, 5000)]);
    scene.check_lagging(false);
    scene.wait(1.0);
    scene.beat(1.0, &[report(1.0, 5000)]);
    scene.check_lagging(true);
}

#[test]
fn what_runs_as_live_streams_do_can_be_learnt_from() {
    let mut scene = Scene::with_lease(Replay::None);
    scene.beat(1.0, &[report(1.0, 100)]);
    let check = |scene: &mut Scene, seconds, speed, lag, expected| {
        scene.wait(seconds);
        scene.beat(1.0, &[LeaseLoad { speed: Some(speed), ..report(1.0, lag) }]);
        assert_eq!(scene.room.is_steady(LEASE, scene.now), expected, "{speed} {lag}");
    };
    check(&mut scene, 9.0, 1.0, 100, false);
    check(&mut scene, 1.0, 1.0, 100, true);
    check(&mut scene, 1.0, 1.0, 2000, false);
    check(&mut scene, 1.0, 1.2, 100, false);
    check(&mut scene, 1.0, 0.9, 100, false);
    assert!(!scene.room.is_steady(LeaseId(9), scene.now));
}

/// What a lease needs of a GPU: a fifth of its encoders and two sessions.
fn gpu_cost(index: u32) -> Cost {
    let needed = GpuResources { encoder: 0.1, decoder: 0.0, memory: 1e9, sessions: 1.0 };
    Cost { gpus: vec![(index, needed), (index, needed)], ..Cost::default() }
}

fn gpu_load(index: u32, encoder: f64, sessions: u32) -> GpuLoad {
    GpuLoad { index, encoder, sessions, memory_total: 24 << 30, ..GpuLoad::default() }
}

impl Scene {
    fn gpu_beat(&mut self, gpus: Vec<GpuLoad>, leases: &[LeaseLoad]) {
        self.room.handle_heartbeat(&Load { gpus, ..Load::default() }, leases, self.now);
    }

    #[track_caller]
    fn check_gpu(&self, index: u32, encoder: f64, sessions: f64) {
        let gpus = self.room.expected(self.now).gpus;
        let (_, gpu) = gpus.iter().find(|(gpu, _)| *gpu == index).expect("it is there");
        assert!((gpu.encoder - encoder).abs() < 1e-6, "{gpu:?}");
        assert!((gpu.sessions - sessions).abs() < 1e-6, "{gpu:?}");
    }
}

#[test]
fn gpus_are_apart_and_their_sessions_are_counted_once() {
    let mut scene = Scene::new();
    scene.room.reserve(LEASE, gpu_cost(1), Replay::None, scene.now);
    scene.check_gpu(0, 0.0, 0.0);
    scene.check_gpu(1, 0.2, 2.0);
    // One session of somebody else; ours have not been opened.
    scene.gpu_beat(vec![gpu_load(1, 0.05, 1)], &[]);
    scene.check_gpu(1, 0.25, 3.0);
    scene.gpu_beat(vec![gpu_load(1, 0.05, 1)], &[report(0.1, 100)]);
    scene.wait(2.0);
    scene.gpu_beat(vec![gpu_load(1, 0.15, 3)], &[report(0.1, 100)]);
    scene.check_gpu(1, 0.15 + 0.2 * 0.8, 3.0);
    scene.wait(8.0);
    scene.check_gpu(1, 0.15, 3.0);
}

#[test]
fn a_gpu_that_does_not_answer_keeps_what_was_predicted() {
    let mut scene = Scene::new();
    scene.room.reserve(LEASE, gpu_cost(0), Replay::None, scene.now);
    scene.gpu_beat(Vec::new(), &[report(0.1, 100)]);
    scene.wait(60.0);
    scene.gpu_beat(Vec::new(), &[report(0.1, 100)]);
    scene.check_gpu(0, 0.2, 2.0);
    scene.gpu_beat(vec![gpu_load(0, 0.3, 0)], &[report(0.1, 100)]);
    scene.check_gpu(0, 0.3, 2.0);
}

#[test]
fn a_gpus_load_is_parted_among_its_leases_unless_others_use_it() {
    let mut scene = Scene::new();
    scene.room.reserve(LEASE, gpu_cost(0), Replay::None, scene.now);
    scene.room.reserve(LeaseId(2), gpu_cost(0), Replay::None, scene.now);
    scene.gpu_beat(vec![gpu_load(0, 0.5, 4)], &[]);
    let used = scene.room.used_gpus(LEASE);
    assert_eq!(used, [(0, GpuResources { encoder: 0.25, sessions: 2.0, ..GpuResources::default() })]);
    scene.gpu_beat(vec![gpu_load(0, 0.5, 5)], &[]);
    assert_eq!(scene.room.used_gpus(LEASE), []);
    assert_eq!(scene.room.used_gpus(LeaseId(9)), []);
}

#[test]
fn a_gpu_that_is_gone_takes_its_room_with_it() {
    let mut scene = Scene::new();
    scene.room.handle_gpus(&[Gpu { index: 1, name: "L4".into(), memory: 0, sessions: None }], scene.now);
    let gpus: Vec<u32> = scene.room.expected(scene.now).gpus.iter().map(|(index, _)| *index).collect();
    assert_eq!(gpus, [1]);
}

#[track_caller]
fn check_fit(scene: &Scene, cost: &Cost, limit: f64, expected: Result<f64, &str>) {
    let fit = scene.room.fit(cost, limit, scene.now);
    let got = fit.map(|fit| (fit.highest * 1000.0).round() / 1000.0).map_err(|short| short.to_string());
    assert_eq!(got, expected.map_err(str::to_owned));
}

#[test]
fn a_cost_fits_if_no_dimension_is_filled_over_the_limit() {
    let mut scene = Scene::new();
    scene.beat(4.0, &[]);
    check_fit(&scene, &cost(), 1.0, Ok(0.75));
    check_fit(&scene, &cost(), 0.75, Ok(0.75));
    check_fit(&scene, &cost(), 0.7, Err("has too little CPU: 2.00 cores needed, 1.60 cores free"));
    let large = Cost { machine: Resources { network: 900e6, ..Resources::default() }, gpus: Vec::new() };
    check_fit(&scene, &large, 0.9, Ok(0.9));
    check_fit(&scene, &large, 0.85, Err("has too little network: 900.0 Mbit/s needed, 850.0 Mbit/s free"));
    let eight = Cost { gpus: gpu_cost(0).gpus.repeat(4), ..Cost::default() };
    check_fit(&scene, &eight, 1.0, Ok(1.0));
    let nine = Cost { gpus: [eight.gpus.clone(), gpu_cost(0).gpus].concat(), ..Cost::default() };
    check_fit(&scene, &nine, 100.0, Err("has no encoder session left on GPU 0"));
    check_fit(&scene, &eight, 0.7, Err("has too little GPU encoder: 80 % needed, 70 % free"));
}

#[test]
fn what_is_full_and_not_needed_bounds_nothing() {
    let mut scene = Scene::new();
    scene.room.handle_heartbeat(&Load { disk_busy: 1.0, ..Load::default() }, &[], scene.now);
    check_fit(&scene, &cost(), 0.85, Ok(1.0));
    let writes = Cost { machine: Resources { disk: 0.1, ..Resources::default() }, gpus: Vec::new() };
    check_fit(&scene, &writes, 0.85, Err("has too little disk: 10 % needed, 0 % free"));
}

#[test]
fn a_machine_without_cores_has_no_room_and_one_of_unknown_memory_has() {
    let room = Room::new(Capacity::default(), &[]);
    let cpu = Cost { machine: Resources { cpu: 0.1, ..Resources::default() }, gpus: Vec::new() };
    assert!(room.fit(&cpu, 100.0, clock::now()).is_err());
    let memory = Cost { machine: Resources { memory: 1e12, ..Resources::default() }, gpus: Vec::new() };
    assert!(room.fit(&memory, 1.0, clock::now()).is_ok());
}
