//! What tenancy is told of the fleet's room.

use super::*;
use crate::placement::tenancy::{Amounts, FleetRoom, Wish};
use crate::wire::cost::{GpuResources, Resources};

/// A stream of which nothing is encoded, for nodes with these tags.
fn wish(tags: &[&str]) -> Wish {
    Wish { work: Demand::default().work, require_tags: tags.iter().map(|tag| name(tag)).collect() }
}

/// How many slots each node that is alive has, and how many are free.
fn slots(world: &World) -> Vec<(usize, usize)> {
    let slots = |count: u8| Amounts::new(Resources::default(), GpuResources::default(), f64::from(count));
    let count = |all: &Amounts| (1..100).take_while(|count| all.covers(&slots(*count))).count();
    let rooms = world.fleet.room_at(world.now).nodes();
    rooms.iter().map(|node| (count(&node.usable), count(&node.free))).collect()
}

#[test]
fn a_slot_that_is_taken_is_not_free_and_a_node_that_leaves_is_none() {
    let mut world = World::with(&["a", "b"]);
    assert_eq!(slots(&world), [(2, 2), (2, 2)]);
    let offer = world.reserve().expect("an empty fleet");
    assert_eq!(slots(&world).iter().map(|(_, free)| free).sum::<usize>(), 3);
    world.fleet.handle_released(offer.lease, world.now);
    assert_eq!(slots(&world), [(2, 2), (2, 2)]);
    world.fleet.handle_leaving(ConnectionId(2), world.now).expect("it is known");
    assert_eq!(slots(&world), [(2, 2)]);
    world.fleet.handle_disconnected(ConnectionId(1), Reason::ConnectionLost, world.now);
    assert_eq!(slots(&world), []);
}

#[test]
fn who_could_take_a_wish_is_told_whether_there_is_room_or_not() {
    let mut world = World::with(&["a"]);
    let mut tagged = hello("b", 1);
    tagged.tags = vec![name("gpu")];
    world.fleet.handle_hello(ConnectionId(2), tagged, world.now).expect("a new node");
    let nodes = |world: &World, tags: &[&str]| -> Vec<usize> {
        let candidates = world.fleet.room_at(world.now).candidates(&wish(tags));
        candidates.into_iter().map(|(at, _)| at).collect()
    };
    assert_eq!(nodes(&world, &[]), [0, 1]);
    assert_eq!(nodes(&world, &["gpu"]), [1]);
    assert_eq!(nodes(&world, &["gpu", "rack-1"]), [0; 0]);
    (0..3).for_each(|_| drop(world.reserve().expect("three slots")));
    assert_eq!(nodes(&world, &[]), [0, 1]);
}

#[test]
fn what_there_is_none_of_is_told_in_words() {
    let mut world = World::with(&["a"]);
    let shortage = |world: &World, tags| world.fleet.room_at(world.now).shortage(&wish(tags));
    assert_eq!(shortage(&world, &[]), None);
    let text = shortage(&world, &["gpu"]).expect("no node has it");
    assert!(text.contains("gpu"), "{text}");
    (0..2).for_each(|_| drop(world.reserve().expect("two slots")));
    let text = shortage(&world, &[]).expect("no slot is free");
    assert!(text.contains("a has all 2 slots taken"), "{text}");
}
