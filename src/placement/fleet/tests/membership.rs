//! Nodes that come back under their name, and names that are drained.

use super::super::drain::UnknownNode;
use super::*;

#[test]
fn a_newcomer_takes_the_place_of_a_suspect_of_its_name() {
    let mut world = World::with(&["a"]);
    let offer = world.reserve().expect("a has room");
    assert!(world.fleet.handle_attached(offer.lease, world.now));
    world.wait(749);
    let early = world.fleet.handle_hello(ConnectionId(2), hello("a", 2), world.now);
    assert_eq!(early, Err(NodeError::NameTaken(name("a"))), "it is still believed to be there");
    world.wait(1);
    assert_eq!(world.commands(), [report(NodeState::Suspect, None)]);
    assert_eq!(world.fleet.handle_hello(ConnectionId(2), hello("a", 3), world.now), Ok(()));
    let failed = failure(offer.lease, Reason::NodeLost, "another connection of a has replaced it");
    let closed = Command::Disconnect { connection: ConnectionId(1), reason: Reason::Superseded };
    let expected =
        [failed, report(NodeState::Lost, Some(Reason::Superseded)), closed, report(NodeState::Alive, None)];
    assert_eq!(world.commands(), expected);
    // What the old connection still says, or that it ends, is nobody's.
    let late = world.fleet.handle_heartbeat(ConnectionId(1), &heartbeat(0.5), world.now);
    assert_eq!(late, Err(NodeError::NoHello));
    world.fleet.handle_disconnected(ConnectionId(1), Reason::ConnectionLost, world.now);
    world.check_state(Some(NodeState::Alive));
    assert_eq!(world.reserve().expect("it has room").connection, ConnectionId(2));
}

#[test]
fn a_suspect_is_replaced_even_when_no_more_nodes_are_taken() {
    let mut world = World::new();
    for id in 0..MAX_NODES as u64 {
        world.fleet.handle_hello(ConnectionId(id), hello(&format!("n{id}"), 1), world.now).expect("new");
    }
    world.wait(750);
    let other = world.fleet.handle_hello(ConnectionId(5000), hello("other", 1), world.now);
    assert_eq!(other, Err(NodeError::TooManyNodes));
    assert_eq!(world.fleet.handle_hello(ConnectionId(5000), hello("n7", 1), world.now), Ok(()));
    assert_eq!(world.state("n7"), Some(NodeState::Alive));
}

#[test]
fn a_node_that_was_suspect_is_suspected_again_as_soon_as_any() {
    let mut world = World::with(&["a"]);
    world.wait(750);
    world.check_state(Some(NodeState::Suspect));
    world.wait(10);
    world.beat(1);
    world.check_state(Some(NodeState::Alive));
    assert_eq!(world.fleet.next_deadline(), Some(world.now + SUSPECT_AFTER));
    world.wait(750);
    world.check_state(Some(NodeState::Suspect));
}

fn drained(world: &World) -> bool {
    world.fleet.snapshot(world.now).nodes[0].drained
}

#[test]
fn a_drained_node_keeps_its_leases_and_gets_no_new_one() {
    let mut world = World::with(&["a"]);
    let offer = world.reserve().expect("a has room");
    assert_eq!(world.fleet.drain(&name("a"), world.now), Ok(()));
    assert_eq!(world.fleet.drain(&name("a"), world.now), Ok(()), "twice is once");
    assert_eq!(world.commands(), [report(NodeState::Draining, None)]);
    assert_eq!(world.reserve().expect_err("it is drained").to_string(), "no node will do: a is draining");
    assert!(world.fleet.handle_attached(offer.lease, world.now), "what it was offered before stands");
    assert!(!drained(&world));
    world.fleet.handle_released(offer.lease, world.now);
    assert!(drained(&world));
    world.commands();
    assert_eq!(world.fleet.undrain(&name("a"), world.now), Ok(()));
    assert_eq!(world.commands(), [report(NodeState::Alive, None)]);
    assert!(!drained(&world));
    world.reserve().expect("it has room again");
}

#[test]
fn a_node_whose_ffmpeg_still_ends_is_not_empty() {
    let mut world = World::with(&["a"]);
    world.fleet.drain(&name("a"), world.now).expect("it is there");
    let ending = LeaseLoad { lease: LeaseId(1), cpu: None, memory: 0, speed: None, lag_ms: None };
    let busy = Heartbeat { leases: vec![ending], ..heartbeat(0.5) };
    world.fleet.handle_heartbeat(ConnectionId(1), &busy, world.now).expect("a sound heartbeat");
    assert!(!drained(&world));
    world.beat(1);
    assert!(drained(&world));
}

#[test]
fn a_drain_is_of_the_name() {
    let mut world = World::with(&["a"]);
    world.fleet.drain(&name("a"), world.now).expect("it is there");
    // Silence and loss are shown as such.
    world.wait(750);
    world.check_state(Some(NodeState::Suspect));
    world.fleet.handle_disconnected(ConnectionId(1), Reason::ConnectionLost, world.now);
    world.check_state(Some(NodeState::Lost));
    assert!(drained(&world), "nothing is left there");
    world.wait(60_000);
    world.check_state(None);
    world.fleet.handle_hello(ConnectionId(2), hello("a", 2), world.now).expect("it comes back");
    world.check_state(Some(NodeState::Draining));
    world.fleet.handle_disconnected(ConnectionId(2), Reason::ConnectionLost, world.now);
    world.wait(60_000);
    assert_eq!(world.fleet.undrain(&name("a"), world.now), Ok(()), "undrained while it is away");
    world.fleet.handle_hello(ConnectionId(3), hello("a", 2), world.now).expect("it comes back");
    world.check_state(Some(NodeState::Alive));
}

#[test]
fn only_a_node_that_is_shown_can_be_drained() {
    let mut world = World::with(&["a"]);
    let unknown = || Err(UnknownNode(name("b")));
    assert_eq!(world.fleet.drain(&name("b"), world.now), unknown());
    assert_eq!(world.fleet.undrain(&name("b"), world.now), unknown());
    assert_eq!(world.fleet.undrain(&name("a"), world.now), Ok(()));
    assert_eq!(world.commands(), []);
}

#[test]
fn drains_of_nodes_that_are_gone_are_kept_within_bounds() {
    let mut world = World::new();
    let nodes = (MAX_NODES + 2 * MAX_LOST_SHOWN) as u64;
    for id in 0..nodes {
        let node = format!("n{id}");
        world.now += Duration::from_micros(1);
        world.fleet.handle_hello(ConnectionId(id), hello(&node, 1), world.now).expect("new");
        world.fleet.drain(&name(&node), world.now).expect("it is there");
        world.fleet.handle_disconnected(ConnectionId(id), Reason::ConnectionLost, world.now);
    }
    let held = (0..nodes).filter(|id| world.fleet.undrain(&name(&format!("n{id}")), world.now).is_ok());
    assert_eq!(held.count(), MAX_NODES + MAX_LOST_SHOWN);
}
