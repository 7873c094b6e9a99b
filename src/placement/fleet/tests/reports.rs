//! What nodes report changes where the next lease goes, and what such a lease is reckoned to cost.

use super::*;
use crate::base::units::Bitrate;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Rendition, VideoOutput};
use crate::placement::work::Work;

/// One rendition in 720 lines by any of these.
fn demand(encoders: &[&str]) -> Demand {
    let encoders = encoders.iter().map(|&encoder| encoder.to_owned()).collect();
    let rendition = Rendition {
        name: name("720p"),
        height: 720,
        video_bitrate: Bitrate::kilobits(2500),
        fps: None,
        threads: None,
        video: VideoOutput::H264 { encoders, preset: "veryfast".into() },
    };
    let (audio, deinterlace) = (AudioOutput::Copy, Deinterlace::Off);
    let ladder = Ladder { renditions: vec![rendition], audio, latency: Latency::Normal, deinterlace };
    Demand { work: Work::expected(&ladder), ..Demand::default() }
}

fn x264() -> Demand {
    demand(&["libx264"])
}

impl World {
    fn place(&mut self, demand: &Demand) -> Result<Offer, Unplaced> {
        self.fleet.reserve(demand, self.now)
    }

    /// A heartbeat of the node on `connection` with so much of its CPU in use and these leases.
    fn report(&mut self, connection: u64, cpu: f64, leases: &[LeaseLoad]) {
        let beat = Heartbeat { leases: leases.to_vec(), ..heartbeat(cpu) };
        self.fleet.handle_heartbeat(ConnectionId(connection), &beat, self.now).expect("a sound heartbeat");
    }

    fn predicted(&self) -> f64 {
        self.fleet.costs().predict("x86", &x264().work, &[Some(EncoderOn::cpu("libx264"))]).machine.cpu
    }

    fn refuse(&mut self, lease: LeaseId, reason: Reason) {
        let told = (reason, "has too little CPU");
        self.fleet.handle_lease_refused(ConnectionId(1), lease, told, self.now).expect("it is a node");
    }
}

fn running(lease: LeaseId, cpu: f64, speed: f64) -> LeaseLoad {
    LeaseLoad { lease, cpu: Some(cpu), memory: 100 << 20, speed: Some(speed), lag_ms: Some(100) }
}

#[test]
fn the_next_lease_goes_where_there_is_most_room() {
    let mut world = World::with(&["a", "b"]);
    world.report(1, 0.6, &[]);
    world.report(2, 0.5, &[]);
    let first = world.place(&x264()).expect("both have room");
    assert_eq!(first.choice.node, name("b"));
    assert_eq!(first.choice.encoders, [Some(EncoderOn::cpu("libx264"))]);
    assert!(first.choice.cost.machine.cpu > 0.1);
    assert_eq!(first.decision.node(), Some(&name("b")));
    world.report(2, 0.1, &[]);
    assert_eq!(world.place(&x264()).expect("both have room").choice.node, name("b"));
    world.report(1, 0.95, &[]);
    world.report(2, 0.95, &[]);
    let unplaced = world.place(&x264()).expect_err("both are full");
    assert_eq!(unplaced.reason(), Reason::NoRoom);
    assert_eq!(unplaced.decision.left_out().len(), 2);
}

#[test]
fn what_leases_use_is_learnt_once_they_run_steadily() {
    let mut world = World::with(&["a"]);
    let lease = world.place(&x264()).expect("it has room").lease;
    assert!(world.fleet.handle_attached(lease, world.now));
    let predicted = world.predicted();
    let check = |world: &mut World, seconds: u64, speed: f64, learnt: bool| {
        let before = world.predicted();
        for _ in 0..seconds * 2 {
            world.now += Duration::from_millis(500);
            world.report(1, 0.5, &[running(lease, predicted * 2.0, speed)]);
        }
        assert_eq!(world.predicted() > before, learnt, "after {seconds} s more");
    };
    check(&mut world, 10, 1.0, false);
    check(&mut world, 1, 1.3, false);
    check(&mut world, 1, 1.0, true);
    // One lesson in five seconds.
    check(&mut world, 4, 1.0, false);
    check(&mut world, 1, 1.0, true);
    world.fleet.handle_released(lease, world.now);
    check(&mut world, 20, 1.0, false);
}

#[test]
fn a_node_that_refuses_is_counted_and_passed_over_for_a_while() {
    let mut world = World::with(&["a", "b"]);
    world.report(2, 0.5, &[]);
    let lease = world.place(&x264()).expect("both have room").lease;
    world.refuse(lease, Reason::NoRoom);
    let detail = "a refused the lease: no_room: has too little CPU";
    assert_eq!(world.commands(), [failure(lease, Reason::NoRoom, detail)]);
    assert_eq!(world.fleet.snapshot(world.now).nodes[0].refused, 1);
    let node = |world: &mut World, demand: &Demand| world.place(demand).expect("both have room").choice.node;
    assert_eq!(node(&mut world, &x264()), name("b"), "the next best");
    assert_eq!(node(&mut world, &Demand::default()), name("a"), "what is less may fit");
    world.wait(500);
    world.fleet.handle_released(LeaseId(2), world.now);
    for _ in 0..4 {
        world.wait(500);
        world.report(1, 0.1, &[]);
        world.report(2, 0.5, &[]);
    }
    assert_eq!(node(&mut world, &x264()), name("a"), "it may have room again");
}

#[test]
fn a_node_that_is_alone_is_asked_again_though_it_refused() {
    let mut world = World::with(&["a"]);
    for _ in 0..20 {
        let lease = world.place(&x264()).expect("it is the only one").lease;
        world.refuse(lease, Reason::NoSlot);
    }
    assert_eq!(world.fleet.snapshot(world.now).nodes[0].refused, 20);
}

#[test]
fn an_encoder_that_stops_working_is_taken_off_and_told() {
    let mut world = World::with(&["a"]);
    let lost = EncoderOn::cpu("libx264");
    let unusable = vec![UnusableEncoder { on: lost.clone(), detail: "it crashed".into() }];
    let mut without = hello("a", 2).capabilities;
    without.encoders = vec![EncoderOn::cpu("libopenh264")];
    without.unusable = unusable.clone();
    let taken = world.fleet.handle_capabilities(ConnectionId(1), without.clone(), world.now);
    assert_eq!(taken, Ok(()));
    assert_eq!(world.commands(), [Command::EncodersLost { node: name("a"), encoders: vec![lost] }]);
    let refusal = "no node will do: a has no encoder for 720p (libx264)";
    assert_eq!(world.place(&x264()).expect_err("it is gone").to_string(), refusal);
    world.place(&demand(&["libx264", "libopenh264"])).expect("the other will do");
    let shown = &world.fleet.snapshot(world.now).nodes[0];
    assert_eq!((&shown.encoders, &shown.unusable), (&vec!["libopenh264".to_owned()], &unusable));
    without.gpus = vec![Gpu { index: 999, name: "L4".into(), memory: 0, sessions: None }];
    let refused = world.fleet.handle_capabilities(ConnectionId(1), without, world.now);
    assert_eq!(refused.expect_err("no such index").reason(), Reason::LimitExceeded);
}

#[test]
fn decisions_name_the_nodes_of_their_moment() {
    let mut world = World::with(&["a", "b"]);
    let first = world.place(&x264()).expect("both have room");
    world.fleet.handle_disconnected(ConnectionId(2), Reason::ConnectionLost, world.now);
    world.fleet.handle_hello(ConnectionId(3), hello("aa", 2), world.now).expect("a new node");
    let second = world.place(&x264()).expect("two have room");
    let named = |decision: &crate::placement::place::decision::Decision| {
        let mut named: Vec<_> = decision.feasible().into_iter().map(|node| node.node.to_string()).collect();
        named.extend(decision.left_out().into_iter().map(|node| node.node.to_string()));
        named.sort();
        named.join(" ")
    };
    assert_eq!(named(&first.decision), "a b");
    assert_eq!(named(&second.decision), "a aa b");
}

#[test]
fn heartbeats_do_not_make_deadlines_be_looked_for() {
    let mut world = World::with(&["a"]);
    let due = world.fleet.next_deadline().expect("a heartbeat is awaited");
    world.now += Duration::from_millis(250);
    world.beat(1);
    assert_eq!(world.fleet.next_deadline(), Some(due), "it is only moved when it has come");
    world.now = due;
    world.beat(1);
    assert!(world.fleet.next_deadline().is_some_and(|next| next > due));
    world.check_state(Some(NodeState::Alive));
}
