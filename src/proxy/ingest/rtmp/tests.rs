//! Publishers over real sockets, against a door with streams behind it.

use super::*;
use crate::config::Takeover;
use crate::proxy::api::stats::StreamState;
use crate::proxy::fleet::tests::soon;
use crate::proxy::tests::encoder::Encoder;
use crate::proxy::tests::house::{DEMO, House, stats, view};
use std::time::Duration;

/// Far above what loopback takes, and the shortest that may be configured.
const SHORT: Duration = Duration::from_millis(100);
const START: &str = "NetStream.Publish.Start";
const REJECTED: &str = "NetStream.Publish.Rejected";
const DENIED: &str = "NetStream.Publish.Denied";

#[tokio::test]
async fn what_is_published_comes_out_as_segments_and_is_counted() {
    let house = House::with_node(|_| {}).await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    encoder.pictures(80).await;
    let mut shown = house.shown("demo").await;
    let live = stats(&mut shown, |stats| stats.committed.frames >= 60).await;
    assert_eq!((live.state, live.protocol.as_str(), live.attempts), (StreamState::Live, "rtmp", 1));
    assert_eq!(live.node.as_ref().map(|node| node.as_str()), Some("n1"));
    assert_eq!((live.source.width, live.source.height), (Some(64), Some(36)));
    let ready = view(&mut shown, |view| view.is_ready() && view.renditions[0].segments.len() >= 3).await;
    assert!(!ready.ended && ready.audio.is_some());

    encoder.unpublish().await;
    assert!(encoder.closed().await.contains(&"NetStream.Unpublish.Success".to_owned()));
    view(&mut shown, |view| view.ended).await;
    let last = stats(&mut shown, |stats| stats.committed.frames == 80).await;
    assert_eq!((last.source.frames, last.frames_lost, last.frames_duplicated), (80, 0, 0));
    house.all_leases_dropped().await;
}

/// One refusal: its code and text, and a connection that is closed in order behind them.
async fn check_refused(app: &str, stream: &str, expected: (&str, &str)) {
    let house = House::open(|_| {}).await;
    let mut encoder = Encoder::connect(house.rtmp).await;
    encoder.say_publish(app, stream);
    // An encoder that does not wait for the answer: unread input must not turn the close into a reset.
    encoder.client.media(9, 0, &[0x17; 100_000]);
    encoder.flush().await;
    let text = encoder.told(expected.0).await;
    assert!(text.contains(expected.1), "{text}");
    assert!(!text.contains("sesam"), "a key must not be told: {text}");
    assert!(!encoder.closed().await.contains(&START.to_owned()));
    assert!(house.registry.directory().borrow().is_empty(), "nothing was opened for a stranger");
}

#[tokio::test]
async fn who_may_not_publish_is_told_why_before_the_connection_closes() {
    check_refused("live", "demo?key=sesam", (DENIED, "this key does not open live/demo")).await;
    check_refused("live", "demo", (DENIED, "needs a stream key")).await;
    check_refused("nobody", "demo?key=sesame", (DENIED, "there is no tenant nobody")).await;
    check_refused("live", "../etc?key=sesame", (REJECTED, "stream: a name is letters")).await;
}

#[tokio::test]
async fn who_does_not_publish_in_time_is_closed() {
    let house = House::open(|config| config.rtmp.handshake_timeout = SHORT).await;
    Encoder::connect(house.rtmp).await.closed().await;
    // Talking does not help, only publishing does.
    let mut talker = Encoder::connect(house.rtmp).await;
    talker.client.connect("live");
    talker.flush().await;
    assert_eq!(talker.closed().await, ["NetConnection.Connect.Success"]);
}

#[tokio::test]
async fn a_publisher_that_falls_silent_is_closed_and_may_come_back() {
    let house = House::open(|config| config.rtmp.idle_timeout = SHORT).await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    encoder.pictures(3).await;
    encoder.closed().await;
    let mut shown = house.shown("demo").await;
    stats(&mut shown, |stats| stats.state == StreamState::Reconnecting).await;
    let _again = Encoder::publish(house.rtmp, DEMO).await;
    assert_eq!(house.registry.directory().borrow().len(), 1);
    assert!(!shown.view.borrow().ended, "it is the same stream");
}

#[tokio::test]
async fn a_publisher_that_sends_is_not_silent() {
    let house = House::open(|config| {
        config.rtmp.handshake_timeout = SHORT;
        config.rtmp.idle_timeout = 5 * SHORT;
    })
    .await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    // Past both timeouts, as counted from the beginning; each picture comes well before the next.
    let until = clock::now() + 8 * SHORT;
    while clock::now() < until {
        encoder.pictures(1).await;
        clock::until(Some(clock::now() + SHORT / 5)).await;
    }
    encoder.unpublish().await;
    encoder.told("NetStream.Unpublish.Success").await;
}

#[tokio::test]
async fn a_second_publisher_takes_over_and_the_first_is_closed() {
    let house = House::open(|_| {}).await;
    let mut first = Encoder::publish(house.rtmp, DEMO).await;
    let mut second = Encoder::publish(house.rtmp, DEMO).await;
    first.closed().await;
    // The one that was replaced ending does not end the stream.
    second.pictures(20).await;
    let mut shown = house.shown("demo").await;
    stats(&mut shown, |stats| stats.source.frames == 20).await;
    // Two encoders cannot replace each other for ever.
    let mut third = Encoder::ask(house.rtmp, "live", DEMO).await;
    assert_eq!(third.told(REJECTED).await, "the stream has a publisher");
    third.closed().await;
}

#[tokio::test]
async fn a_second_publisher_is_refused_where_the_first_keeps_the_stream() {
    let house = House::open(|config| config.stream.takeover = Takeover::Refuse).await;
    let mut first = Encoder::publish(house.rtmp, DEMO).await;
    let mut second = Encoder::ask(house.rtmp, "live", DEMO).await;
    assert_eq!(second.told(REJECTED).await, "the stream has a publisher");
    second.closed().await;
    first.unpublish().await;
    first.told("NetStream.Unpublish.Success").await;
}

#[tokio::test]
async fn a_tenant_has_as_many_streams_as_it_may_and_room_again_when_one_ends() {
    let house = House::open(|_| {}).await;
    let mut one = Encoder::publish(house.rtmp, "one?key=sesame").await;
    let _two = Encoder::publish(house.rtmp, "two?key=sesame").await;
    let mut three = Encoder::ask(house.rtmp, "live", "three?key=sesame").await;
    assert_eq!(three.told(REJECTED).await, "the tenant has as many streams as it may have");
    three.closed().await;
    let mut shown = house.shown("one").await;
    one.unpublish().await;
    one.closed().await;
    view(&mut shown, |view| view.ended).await;
    Encoder::publish(house.rtmp, "three?key=sesame").await;
}

#[tokio::test]
async fn what_is_no_rtmp_is_closed() {
    let house = House::open(|_| {}).await;
    let mut stranger = Encoder::connect(house.rtmp).await;
    stranger.client.bytes.clear();
    stranger.client.bytes.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    stranger.flush().await;
    assert!(stranger.closed().await.is_empty());
}

#[tokio::test]
async fn a_stop_closes_strangers_at_once_and_publishers_through_their_streams() {
    let house = House::with_node(|_| {}).await;
    let mut stranger = Encoder::connect(house.rtmp).await;
    stranger.client.connect("live");
    stranger.flush().await;
    stranger.told("NetConnection.Connect.Success").await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    encoder.pictures(40).await;
    let mut shown = house.shown("demo").await;
    stats(&mut shown, |stats| stats.source.frames == 40).await;
    house.stop.cancel();
    stranger.closed().await;
    encoder.closed().await;
    // What was accepted is put out before the end.
    view(&mut shown, |view| view.ended).await;
    assert_eq!(stats(&mut shown, |stats| stats.committed.frames == 40).await.frames_lost, 0);
    soon(house.doors.finish()).await;
    house.all_leases_dropped().await;
}
