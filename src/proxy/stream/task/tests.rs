use bytes::Bytes;

use super::*;
use crate::media::flv::TagKind;
use crate::proxy::fleet::tests::soon;
use crate::proxy::tests::encoder::Encoder;
use crate::proxy::tests::house::{DEMO, House, stream_name};

#[tokio::test]
async fn stats_are_published_within_a_rate_whatever_comes() {
    let house = House::open(|_| {}).await;
    let publisher = PublisherId(1);
    let published = house.registry.publish(&stream_name("demo"), &house.tenant, publisher).await;
    let published = published.expect("nobody is there");
    let stats = house.shown("demo").await.stats;
    let began = clock::now();
    let mut taken = vec![stats.borrow().taken_at];
    let mut sent = 0_u64;
    while clock::now() < began + 5 * STATS_INTERVAL {
        let tag = Tag { kind: TagKind::Script, timestamp_ms: 0, payload: Bytes::from_static(b"?") };
        published
            .inbox
            .send(PublisherInput::Media { publisher, tags: vec![tag] })
            .await
            .expect("the stream is there");
        // One input, one turn of the loop: none of what it publishes is missed.
        tokio::task::yield_now().await;
        sent += 1;
        let at = stats.borrow().taken_at;
        if taken.last() != Some(&at) {
            taken.push(at);
        }
    }
    // The first is from before the task ran.
    let gaps: Vec<Duration> = taken[1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= STATS_INTERVAL), "{gaps:?}");
    assert!(gaps.len() >= 2, "and still they come: {gaps:?} after {sent} messages");
}

#[tokio::test]
async fn stats_come_while_nothing_happens() {
    let house = House::open(|_| {}).await;
    let published = house.registry.publish(&stream_name("demo"), &house.tenant, PublisherId(1)).await;
    let mut stats = house.shown("demo").await.stats;
    for _ in 0..2 {
        let changed = tokio::time::timeout(3 * QUIET_STATS_INTERVAL, stats.changed()).await;
        changed.expect("in time").expect("the stream is there");
    }
    drop(published);
}

#[tokio::test]
async fn players_are_told_of_closed_segments_only() {
    let house = House::with_node(|_| {}).await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    let mut view = house.shown("demo").await.view;
    let (mut shown, mut told) = (view.borrow_and_update().clone(), 0);
    let sending = async {
        for _ in 0..50 {
            // At a pace, so that what is shown is seen one by one.
            encoder.pictures(1).await;
            clock::until(Some(clock::now() + Duration::from_millis(2))).await;
        }
        encoder.unpublish().await;
    };
    let watching = async {
        while !shown.ended {
            soon(view.changed()).await.expect("the stream is there");
            let news = view.borrow_and_update().clone();
            assert!(news.ended || newest(&news) != newest(&shown), "told of nothing");
            (shown, told) = (news, told + 1);
        }
    };
    tokio::join!(sending, watching);
    assert!(told > 1, "not only of the end");
}

/// The newest segment of each output.
fn newest(view: &View) -> Vec<Option<u64>> {
    view.outputs().map(|output| output.segments.last().map(|segment| segment.sequence)).collect()
}

#[test]
fn what_is_told_of_a_stream_is_told_once() {
    let report = |state, why: Option<Reason>| Report {
        state,
        last_failure: why.map(|reason| (reason, String::new())),
        ..super::super::snapshot::tests::report()
    };
    let waiting = |reason| Told { state: State::Waiting, reason };
    let first = waiting(None);
    assert_eq!(tell(first, &report(State::Waiting, None)), first, "it is about to begin");
    let no_slot = tell(first, &report(State::Waiting, Some(Reason::NoSlot)));
    assert_eq!(no_slot, waiting(Some(Reason::NoSlot)), "a stream that waits from the start is told of");
    assert_eq!(tell(no_slot, &report(State::Waiting, Some(Reason::NoNode))), waiting(Some(Reason::NoNode)));
    let live = tell(no_slot, &report(State::Live, Some(Reason::NoSlot)));
    assert_eq!(live, Told { state: State::Live, reason: None });
}
