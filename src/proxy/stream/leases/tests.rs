use std::time::Duration;

use super::*;
use crate::base::units::Bitrate;
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::VideoOutput;
use crate::proxy::fleet::tests::fake_node::FakeNode;
use crate::proxy::fleet::tests::{script, soon};
use crate::proxy::tests::house::{House, name, stream_name};
use crate::stream::command::{Purpose, Standing};
use crate::wire::message::ProxyMessage;
use crate::wire::report::EncoderOn;

const ATTEMPT: u32 = 3;

fn leases(house: &House) -> Leases {
    Leases::new(stream_name("demo"), Arc::default(), house.fleet.clone())
}

/// The attempt of the script, on 640x360 of H.264; these nodes are avoided.
fn wanted(prefer_not: &[&str]) -> Wanted {
    Wanted {
        spec: script::attempt(),
        reads: Vec::new(),
        source: source::SourceMedia {
            video: Some(Carriage::H264),
            audio: None,
            width: 640,
            height: 360,
            fps: Some(25.0),
            bitrate: Some(Bitrate::kilobits(900)),
        },
        replay: Duration::ZERO,
        standing: Standing::New,
        purpose: Purpose::Only,
        exclude: Vec::new(),
        only: None,
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

/// What is asked of the fleet for 640x360 of H.264, changed so.
async fn demand(change: impl FnOnce(&mut Wanted)) -> Demand {
    let mut wanted = wanted(&["n1"]);
    change(&mut wanted);
    leases(&House::open(|_| {}).await).demand(wanted).0
}

#[tokio::test]
async fn a_demand_says_what_the_source_is_and_how_much_it_matters() {
    let asked = demand(|wanted| wanted.reads = vec![Carriage::H264]).await;
    assert_eq!((asked.tenant.as_str(), &asked.prefer_not), ("live", &vec![name("n1")]));
    assert_eq!((asked.reads, asked.decodes), (vec![Carriage::H264], vec![Carriage::H264]));
    assert_eq!((asked.urgency, asked.replay), (Urgency::New, Replay::None));
    let source = &asked.work.source;
    assert_eq!((source.width, source.height, source.bitrate), (640, 360, 900_000));
    let made = &asked.work.renditions[0];
    assert_eq!((made.width, made.height, made.fps.round()), (640, 360, 25.0));
    let behind = demand(|wanted| {
        (wanted.standing, wanted.replay) = (Standing::Running, Duration::from_secs(4));
        wanted.spec.ladder.renditions[0].video = VideoOutput::Copy;
    });
    let behind = behind.await;
    assert_eq!((behind.urgency, behind.replay), (Urgency::Running, Replay::Media(Duration::from_secs(4))));
    assert_eq!(behind.decodes, [], "a copy is not decoded");
    let starting = demand(|wanted| wanted.replay = Duration::from_millis(999)).await;
    assert_eq!(starting.replay, Replay::None);
}

/// Expects this source of one of which less is known.
#[track_caller]
fn check_known(change: impl FnOnce(&mut source::SourceMedia), expected: (u32, u32, f64, u64)) {
    let Wanted { spec, mut source, .. } = wanted(&[]);
    change(&mut source);
    let known = known(&source, &spec.ladder);
    assert_eq!((known.width, known.height, known.fps, known.bitrate), expected);
}

#[test]
fn what_nobody_says_is_something_likely() {
    check_known(|_| {}, (640, 360, 25.0, 900_000));
    check_known(|source| source.bitrate = None, (640, 360, 25.0, 576_000));
    check_known(|source| source.fps = None, (640, 360, 30.0, 900_000));
    check_known(|source| (source.width, source.bitrate) = (0, None), (1920, 1080, 25.0, 5_184_000));
    check_known(|source| (source.video, source.bitrate) = (None, None), (640, 360, 25.0, 128_000));
    check_known(
        |source| (source.width, source.height, source.bitrate) = (u32::MAX, u32::MAX, None),
        (u32::MAX, u32::MAX, 25.0, u64::MAX),
    );
}

#[tokio::test]
async fn the_next_attempt_prefers_the_encoders_of_the_last() {
    let house = House::open(|_| {}).await;
    let mut node = FakeNode::join(house.fleet_port, "n1").await;
    let mut leases = leases(&house);
    assert_eq!(leases.demand(wanted(&[])).0.prefer_encoders, Vec::<String>::new());
    leases.place(wanted(&[])).expect("the fleet runs");
    let spec = node.lease().await;
    assert_eq!(spec.encoders, [Some(EncoderOn::cpu("libx264"))]);
    check_event(&mut leases, |event| matches!(event, LeaseEvent::Placed { .. })).await;
    assert_eq!(leases.demand(wanted(&[])).0.prefer_encoders, ["libx264"]);
}
