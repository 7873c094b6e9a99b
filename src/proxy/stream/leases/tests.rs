use std::time::Duration;

use super::*;
use crate::base::units::Bitrate;
use crate::ffmpeg::capability::Carriage;
use crate::proxy::fleet::tests::fake_node::FakeNode;
use crate::proxy::fleet::tests::{script, soon};
use crate::proxy::tests::house::{House, name, stream_name};
use crate::stream::command::Standing;
use crate::stream::source::SourceMedia;
use crate::wire::message::ProxyMessage;

const ATTEMPT: u32 = 3;

fn leases(house: &House) -> Leases {
    Leases::new(stream_name("demo"), Arc::default(), house.fleet.clone())
}

/// The attempt of the script, on 640x360 of H.264; these nodes are avoided.
fn wanted(prefer_not: &[&str]) -> Wanted {
    Wanted {
        spec: script::attempt(),
        reads: Vec::new(),
        source: SourceMedia {
            video: Some(Carriage::H264),
            audio: None,
            width: 640,
            height: 360,
            fps: Some(25.0),
            bitrate: Some(Bitrate::kilobits(900)),
        },
        replay: Duration::ZERO,
        standing: Standing::New,
        prefer_not: prefer_not.iter().map(|node| name(node)).collect(),
    }
}

async fn check_event(leases: &mut Leases, expected: impl FnOnce(&LeaseEvent) -> bool) {
    let (attempt, event) = soon(leases.next_event()).await;
    assert_eq!(attempt, ATTEMPT);
    assert!(expected(&event), "{event:?}");
}

#[tokio::test]
async fn a_full_queue_fails_the_attempt() {
    let house = House::open(|_| {}).await;
    let mut node = FakeNode::join(house.fleet_port, "n1").await;
    let mut leases = leases(&house);
    leases.place(wanted(&[])).expect("the fleet runs");
    // Offered, and the node does not come for it: nothing is taken but the one that the lease holds in its hand.
    node.lease().await;
    let mut fed = 0;
    let failure = loop {
        match leases.feed(ATTEMPT, LeaseInput::EndOfInput) {
            Ok(()) => fed += 1,
            Err(failure) => break failure,
        }
        tokio::task::yield_now().await;
    };
    assert!((INPUT_CAPACITY..=INPUT_CAPACITY + 1).contains(&fed), "{fed}");
    let detail = "the queue to the node is full".to_owned();
    assert_eq!(failure, AttemptFailure { attempt: ATTEMPT, node: None, reason: Reason::Internal, detail });
}

#[tokio::test]
async fn what_nobody_takes_any_more_is_no_failure() {
    let house = House::open(|_| {}).await;
    let mut leases = leases(&house);
    assert_eq!(leases.feed(ATTEMPT, LeaseInput::EndOfInput), Ok(()), "no such attempt");
    leases.place(wanted(&[])).expect("the fleet runs");
    let no_node = |event: &LeaseEvent| matches!(event, LeaseEvent::Failed { reason: Reason::NoNode, .. });
    check_event(&mut leases, no_node).await;
    assert_eq!(leases.feed(ATTEMPT, LeaseInput::EndOfInput), Ok(()), "the last event has said why");
}

#[tokio::test]
async fn a_dropped_lease_is_given_up() {
    let house = House::open(|_| {}).await;
    let mut node = FakeNode::join(house.fleet_port, "n1").await;
    let mut leases = leases(&house);
    leases.place(wanted(&[])).expect("the fleet runs");
    let spec = node.lease().await;
    check_event(&mut leases, |event| matches!(event, LeaseEvent::Placed { node, .. } if *node == name("n1")))
        .await;
    leases.drop_lease(ATTEMPT);
    let superseded =
        |event: &LeaseEvent| matches!(event, LeaseEvent::Failed { reason: Reason::Superseded, .. });
    check_event(&mut leases, superseded).await;
    let cancel = ProxyMessage::Cancel { lease: spec.lease, reason: Reason::Superseded };
    assert_eq!(node.wire.receive().await, Some(cancel));
    assert_eq!(leases.feed(ATTEMPT, LeaseInput::EndOfInput), Ok(()));
}

#[tokio::test]
async fn a_node_that_failed_is_passed_over_for_another() {
    let house = House::open(|_| {}).await;
    let nodes = (FakeNode::join(house.fleet_port, "n1").await, FakeNode::join(house.fleet_port, "n2").await);
    for (avoided, expected) in [("n1", "n2"), ("n2", "n1")] {
        let mut leases = leases(&house);
        leases.place(wanted(&[avoided])).expect("the fleet runs");
        check_event(
            &mut leases,
            |event| matches!(event, LeaseEvent::Placed { node, .. } if *node == name(expected)),
        )
        .await;
    }
    drop(nodes);
}
