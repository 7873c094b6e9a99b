use super::*;
use crate::base::clock;
use crate::ffmpeg::capability::Carriage;
use crate::placement::demand::Demand;
use crate::placement::load::MAX_TAGS;
use crate::wire::report::{Capabilities, Capacity, EncoderOn, Gpu, LeaseLoad, Load, UnusableEncoder};

mod membership;
mod reports;
mod room_now;
mod simulation;

const SUSPECT_AFTER: Duration = Duration::from_millis(750);

fn name(text: &str) -> Name {
    text.parse().expect("test name")
}

fn hello(node: &str, slots: u32) -> NodeHello {
    NodeHello {
        name: name(node),
        tags: Vec::new(),
        class: "x86".into(),
        cost_per_hour: None,
        watts: None,
        capacity: Capacity { cores: 4, memory: 1 << 30, slots, network_bps: None },
        capabilities: Capabilities {
            ffmpeg_version: "9.0.2".into(),
            encoders: vec![EncoderOn::cpu("libx264")],
            reads: vec![Carriage::Aac, Carriage::H264],
            ..Capabilities::default()
        },
    }
}

fn heartbeat(cpu: f64) -> Heartbeat {
    Heartbeat { load: Load { cpu, memory: 1 << 20, ..Load::default() }, leases: Vec::new() }
}

/// A fleet and its clock.
struct World {
    fleet: Fleet,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let fleet = Fleet::new(SUSPECT_AFTER, Policy::default(), CostModel::default(), 1);
        Self { fleet, now: clock::now() }
    }

    /// With these nodes, of two slots each, on connections 1, 2, 3 …
    fn with(nodes: &[&str]) -> Self {
        let mut world = Self::new();
        for (id, node) in (1..).zip(nodes) {
            world.fleet.handle_hello(ConnectionId(id), hello(node, 2), world.now).expect("a new node");
        }
        world.commands();
        world
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.fleet.handle_deadline(self.now);
    }

    fn beat(&mut self, connection: u64) {
        let taken = self.fleet.handle_heartbeat(ConnectionId(connection), &heartbeat(0.5), self.now);
        taken.expect("a sound heartbeat");
    }

    fn reserve(&mut self) -> Result<Offer, Unplaced> {
        self.fleet.reserve(&Demand::default(), self.now)
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.fleet.next_command()).collect()
    }

    fn state(&self, node: &str) -> Option<NodeState> {
        let nodes = self.fleet.snapshot(self.now).nodes;
        nodes.into_iter().find(|shown| shown.name.as_str() == node).map(|shown| shown.state)
    }

    #[track_caller]
    fn check_state(&self, expected: Option<NodeState>) {
        assert_eq!(self.state("a"), expected);
    }
}

fn report(state: NodeState, reason: Option<Reason>) -> Command {
    Command::Report { node: name("a"), state, reason }
}

fn failure(lease: LeaseId, reason: Reason, detail: &str) -> Command {
    Command::Fail(LeaseFailure { lease, node: name("a"), reason, detail: detail.into() })
}

#[test]
fn a_name_belongs_to_one_connection_at_a_time() {
    let mut world = World::with(&["a"]);
    let again = world.fleet.handle_hello(ConnectionId(2), hello("a", 2), world.now);
    assert_eq!(again, Err(NodeError::NameTaken(name("a"))));
    let twice = world.fleet.handle_hello(ConnectionId(1), hello("b", 2), world.now);
    assert_eq!(twice, Err(NodeError::SecondHello));
    world.fleet.handle_disconnected(ConnectionId(1), Reason::ConnectionLost, world.now);
    world.check_state(Some(NodeState::Lost));
    assert_eq!(world.fleet.handle_hello(ConnectionId(2), hello("a", 2), world.now), Ok(()));
    world.check_state(Some(NodeState::Alive));
    // The old connection's end comes late, and is nobody's.
    world.fleet.handle_disconnected(ConnectionId(1), Reason::ConnectionLost, world.now);
    world.check_state(Some(NodeState::Alive));
}

#[test]
fn a_silent_node_is_suspect_and_the_next_heartbeat_brings_it_back() {
    let mut world = World::with(&["a"]);
    assert_eq!(world.fleet.next_deadline(), Some(world.now + SUSPECT_AFTER));
    world.wait(749);
    world.check_state(Some(NodeState::Alive));
    world.wait(1);
    world.check_state(Some(NodeState::Suspect));
    assert_eq!(world.reserve().expect_err("nobody is alive").to_string(), "no node will do: a is suspect");
    world.beat(1);
    world.check_state(Some(NodeState::Alive));
    assert!(world.reserve().is_ok());
    assert_eq!(world.commands(), [report(NodeState::Suspect, None), report(NodeState::Alive, None)]);
}

#[test]
fn a_node_silent_for_ten_times_as_long_is_lost_with_its_leases() {
    let mut world = World::with(&["a"]);
    let lease = world.reserve().expect("a has room").lease;
    assert!(world.fleet.handle_attached(lease, world.now));
    world.wait(750);
    world.wait(6749);
    world.check_state(Some(NodeState::Suspect));
    world.commands();
    world.wait(1);
    let expected = [
        failure(lease, Reason::NodeLost, "a was silent for 7500 ms"),
        report(NodeState::Lost, Some(Reason::IdleTimeout)),
        Command::Disconnect { connection: ConnectionId(1), reason: Reason::IdleTimeout },
    ];
    assert_eq!(world.commands(), expected);
    assert_eq!(
        world.fleet.handle_heartbeat(ConnectionId(1), &heartbeat(0.1), world.now),
        Err(NodeError::NoHello)
    );
    world.wait(59_999);
    world.check_state(Some(NodeState::Lost));
    world.wait(1);
    world.check_state(None);
    assert_eq!(world.fleet.next_deadline(), None);
}

#[test]
fn a_broken_connection_loses_offered_and_attached_leases_at_once() {
    let mut world = World::with(&["a"]);
    let [first, second] = [(); 2].map(|()| world.reserve().expect("a has room").lease);
    assert!(world.fleet.handle_attached(first, world.now));
    world.fleet.handle_disconnected(ConnectionId(1), Reason::ConnectionLost, world.now);
    let detail = "the control connection of a ended: connection_lost";
    let expected = [
        failure(first, Reason::NodeLost, detail),
        failure(second, Reason::NodeLost, detail),
        report(NodeState::Lost, Some(Reason::ConnectionLost)),
    ];
    assert_eq!(world.commands(), expected);
    assert!(!world.fleet.handle_attached(second, world.now));
    world.fleet.handle_released(first, world.now);
    assert_eq!(world.commands(), []);
}

#[test]
fn an_offer_that_nobody_comes_for_expires() {
    let mut world = World::with(&["a"]);
    let lease = world.reserve().expect("a has room").lease;
    for _ in 0..4 {
        world.wait(499);
        world.beat(1);
    }
    assert_eq!(world.commands(), []);
    assert_eq!(world.fleet.next_deadline(), Some(world.now + Duration::from_millis(4)));
    world.wait(4);
    let expected = [
        failure(lease, Reason::HandshakeTimeout, "a did not connect for the lease within 2 s"),
        Command::Cancel { connection: ConnectionId(1), lease, reason: Reason::HandshakeTimeout },
    ];
    assert_eq!(world.commands(), expected);
    assert!(!world.fleet.handle_attached(lease, world.now));
}

#[test]
fn a_lease_attaches_once_and_then_does_not_expire() {
    let mut world = World::with(&["a"]);
    let lease = world.reserve().expect("a has room").lease;
    assert!(world.fleet.handle_attached(lease, world.now));
    assert!(!world.fleet.handle_attached(lease, world.now));
    assert!(!world.fleet.handle_attached(LeaseId(99), world.now));
    for _ in 0..10 {
        world.wait(500);
        world.beat(1);
    }
    assert_eq!(world.commands(), []);
}

#[test]
fn giving_up_frees_the_slot_and_cancels_an_offer_and_a_lease_alike() {
    let mut world = World::with(&["a"]);
    let [offered, attached] = [(); 2].map(|()| world.reserve().expect("a has room").lease);
    assert!(world.fleet.handle_attached(attached, world.now));
    assert!(world.reserve().is_err());
    for lease in [attached, offered] {
        world.fleet.handle_released(lease, world.now);
        let reason = Reason::Superseded;
        assert_eq!(world.commands(), [Command::Cancel { connection: ConnectionId(1), lease, reason }]);
        world.fleet.handle_released(lease, world.now);
        assert_eq!(world.commands(), []);
    }
    assert_eq!(world.fleet.snapshot(world.now).nodes[0].reserved.slots, 0);
}

#[test]
fn only_the_node_that_has_a_lease_can_refuse_it() {
    let mut world = World::with(&["a", "b"]);
    let demand = Demand { exclude: vec![name("b")], ..Demand::default() };
    let lease = world.fleet.reserve(&demand, world.now).expect("a has room").lease;
    let mut refuse = |connection| {
        world.fleet.handle_lease_refused(ConnectionId(connection), lease, (Reason::NoSlot, ""), world.now)
    };
    assert_eq!(refuse(2), Ok(()));
    assert_eq!(refuse(3), Err(NodeError::NoHello));
    assert_eq!(world.commands(), []);
    let refused = world.fleet.handle_lease_refused(ConnectionId(1), lease, (Reason::NoSlot, ""), world.now);
    assert_eq!(refused, Ok(()));
    assert_eq!(world.commands(), [failure(lease, Reason::NoSlot, "a refused the lease: no_slot")]);
}

#[test]
fn a_leaving_node_keeps_its_leases_gets_no_new_one_and_is_forgotten_when_it_goes() {
    let mut world = World::with(&["a"]);
    let [lease, other] = [(); 2].map(|()| world.reserve().expect("a has room").lease);
    assert!(world.fleet.handle_attached(lease, world.now));
    for _ in 0..2 {
        assert_eq!(world.fleet.handle_leaving(ConnectionId(1), world.now), Ok(()));
    }
    world.beat(1);
    world.check_state(Some(NodeState::Draining));
    assert_eq!(world.reserve().expect_err("it leaves").to_string(), "no node will do: a is draining");
    assert_eq!(world.commands(), [report(NodeState::Draining, None)]);
    world.fleet.handle_released(lease, world.now);
    world.fleet.handle_disconnected(ConnectionId(1), Reason::ConnectionLost, world.now);
    let stopping = Reason::NodeStopping;
    let expected = [
        Command::Cancel { connection: ConnectionId(1), lease, reason: Reason::Superseded },
        failure(other, stopping, "the control connection of a ended: node_stopping"),
        report(NodeState::Lost, Some(stopping)),
    ];
    assert_eq!(world.commands(), expected);
    world.check_state(None);
}

#[test]
fn what_has_just_been_placed_counts_at_once() {
    let mut world = World::with(&["a", "b", "c"]);
    let mut placed: Vec<Name> = (0..6).map(|_| world.reserve().expect("room for six").choice.node).collect();
    placed[..3].sort();
    placed[3..].sort();
    assert_eq!(placed, ["a", "b", "c", "a", "b", "c"].map(name));
    assert!(world.reserve().is_err());
}

#[test]
fn hostile_reports_are_refused_and_change_nothing() {
    let mut world = World::with(&["a"]);
    let tags = (0..=MAX_TAGS).map(|tag| name(&format!("t{tag}"))).collect();
    let refused = world.fleet.handle_hello(ConnectionId(2), NodeHello { tags, ..hello("b", 2) }, world.now);
    let error = refused.expect_err("65 tags");
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        (Reason::LimitExceeded, "a node has at most 64 tags, this one has 65",)
    );
    let lease = |id| LeaseLoad { lease: LeaseId(id), cpu: None, memory: 0, speed: None, lag_ms: None };
    let leases = (0..5000).map(lease).collect();
    let refused =
        world.fleet.handle_heartbeat(ConnectionId(1), &Heartbeat { leases, ..heartbeat(0.5) }, world.now);
    assert_eq!(refused.expect_err("5000 leases").reason(), Reason::LimitExceeded);
    let taken = world.fleet.handle_heartbeat(ConnectionId(1), &heartbeat(f64::NAN), world.now);
    assert_eq!(taken, Ok(()));
    let snapshot = world.fleet.snapshot(world.now);
    assert_eq!(snapshot.nodes.len(), 1);
    assert!((snapshot.nodes[0].load.cpu - 1.0).abs() < f64::EPSILON);
}

#[test]
fn the_snapshot_has_the_fields_of_the_contract() {
    assert_eq!(
        serde_json::to_string(&World::new().fleet.snapshot(clock::now())).expect("plain data"),
        r#"{"fleet":{"nodes":0,"alive":0,"draining":0,"queue_length":0,"capacity_cores":0,"used_cores":0.0},"nodes":[]}"#
    );
    let mut world = World::new();
    let mut hello = NodeHello { cost_per_hour: Some(0.5), ..hello("a", 2) };
    let on = EncoderOn { encoder: "h264_qsv".into(), gpu: None };
    hello.capabilities.unusable = vec![UnusableEncoder { on, detail: "no device".into() }];
    hello.capabilities.decodes = vec![Carriage::H264];
    hello.capabilities.gpus = vec![Gpu { index: 0, name: "L4".into(), memory: 7, sessions: Some(8) }];
    let nvenc = |gpu| EncoderOn { encoder: "h264_nvenc".into(), gpu: Some(gpu) };
    hello.capabilities.encoders.extend([nvenc(0), nvenc(1)]);
    world.fleet.handle_hello(ConnectionId(1), hello, world.now).expect("a new node");
    world.reserve().expect("a has room");
    let report = |lease| LeaseLoad { lease, cpu: Some(0.25), memory: 5, speed: Some(1.0), lag_ms: Some(40) };
    let leases = vec![report(LeaseId(1)), report(LeaseId(77))];
    let beat = Heartbeat { leases, ..heartbeat(0.5) };
    world.fleet.handle_heartbeat(ConnectionId(1), &beat, world.now).expect("a sound heartbeat");
    world.now += Duration::from_millis(120);
    let mut expected = serde_json::json!({
        "fleet": { "nodes": 1, "alive": 1, "draining": 0, "queue_length": 0, "capacity_cores": 4, "used_cores": 2.0 },
        "nodes": [{
            "id": "a", "name": "a", "state": "alive", "tags": [], "class": "x86", "cost_per_hour": 0.5, "watts": null,
            "ffmpeg_version": "9.0.2", "encoders": ["h264_nvenc", "libx264"],
            "unusable": [{ "encoder": "h264_qsv", "gpu": null, "detail": "no device" }],
            "reads": ["h264", "aac"], "decodes": ["h264"],
            "gpus": [{ "index": 0, "name": "L4", "memory": 7, "sessions": 8 }],
            "heartbeat_age_ms": 120,
            "load": {
                "cpu": 0.5, "memory": 1_048_576, "disk_read_bps": 0, "disk_write_bps": 0, "disk_busy": 0.0,
                "disk_latency_ms": 0.0, "net_rx_bps": 0, "net_tx_bps": 0, "queue_length": 0, "gpus": [],
            },
            "capacity": { "cores": 4, "memory": 1_073_741_824, "slots": 2, "network_bps": null },
            "leases": [1], "leases_reported": 2, "refused": 0, "drained": false,
            "lease_loads": [{ "lease": 1, "cpu": 0.25, "memory": 5, "speed": 1.0, "lag_ms": 40 }],
        }],
    });
    let shown = serde_json::to_value(world.fleet.snapshot(world.now)).expect("plain data");
    let reserved = &shown["nodes"][0]["reserved"];
    assert_eq!((&reserved["slots"], reserved["cores"].is_f64()), (&1.into(), true));
    expected["nodes"][0]["reserved"] = reserved.clone();
    assert_eq!(shown, expected);
}

#[test]
fn lost_nodes_are_remembered_within_bounds() {
    let mut world = World::new();
    for id in 0..2 * MAX_LOST_SHOWN as u64 {
        world.now += Duration::from_micros(1);
        world.fleet.handle_hello(ConnectionId(id), hello(&format!("n{id}"), 1), world.now).expect("new");
        world.fleet.handle_disconnected(ConnectionId(id), Reason::ConnectionLost, world.now);
    }
    assert_eq!(world.fleet.snapshot(world.now).nodes.len(), MAX_LOST_SHOWN);
    assert_eq!(world.state("n0"), None);
}
