//! Publishers over real sockets, against a door with streams behind it.

use super::*;
use crate::config::Takeover;
use crate::proxy::api::stats::{RtmpLimits, StreamState};
use crate::proxy::fleet::tests::soon;
use crate::proxy::tests::encoder::Encoder;
use crate::proxy::tests::house::{DEMO, House, stats, until, view};
use crate::stream::PublisherId;
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

/// The gauges of a house's limits.
fn limits(house: &House) -> RtmpLimits {
    house.meter.stats(0).rtmp.limits
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
    let silent = House::open(|config| config.rtmp.handshake_timeout = SHORT).await;
    Encoder::connect(silent.rtmp).await.closed().await;
    assert_eq!(limits(&silent).handshake_timeout.hits, 1);
    // Talking does not help, only publishing does; and the one time is not the other.
    let house = House::open(|config| config.rtmp.publish_timeout = SHORT).await;
    let mut talker = Encoder::connect(house.rtmp).await;
    talker.client.connect("live");
    talker.flush().await;
    assert_eq!(talker.closed().await, ["NetConnection.Connect.Success"]);
    assert_eq!((limits(&house).handshake_timeout.hits, limits(&house).publish_timeout.hits), (0, 1));
}

#[tokio::test]
async fn a_publisher_that_falls_silent_is_closed_and_may_come_back() {
    let house = House::open(|config| config.rtmp.idle_timeout = SHORT).await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    encoder.pictures(3).await;
    assert_eq!(encoder.told(REJECTED).await, "no media for 100ms (idle_timeout)");
    encoder.closed().await;
    assert_eq!(limits(&house).idle_timeout.hits, 1);
    let mut shown = house.shown("demo").await;
    stats(&mut shown, |stats| stats.state == StreamState::Reconnecting).await;
    let _again = Encoder::publish(house.rtmp, DEMO).await;
    assert_eq!(house.registry.directory().borrow().len(), 1);
    assert!(!shown.view.borrow().ended, "it is the same stream");
}

#[tokio::test]
async fn script_data_is_no_media() {
    let house = House::open(|config| config.rtmp.idle_timeout = 2 * SHORT).await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    encoder.pictures(3).await;
    let ended = || limits(&house).idle_timeout.hits == 1;
    let until = clock::now() + 20 * SHORT;
    while !ended() && clock::now() < until {
        encoder.client.media(18, 0, b"\x02\0\x0aonTextData\x03\0\0\x09");
        encoder.flush().await;
        clock::until(Some(clock::now() + SHORT / 5)).await;
    }
    assert!(ended());
}

#[tokio::test]
async fn a_publisher_that_sends_is_not_silent() {
    let house = House::open(|config| {
        config.rtmp.handshake_timeout = SHORT;
        config.rtmp.publish_timeout = SHORT;
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

/// A byte now and then is no sign of life, neither before a key is proved nor after.
#[tokio::test]
async fn a_deadline_does_not_move_with_bytes() {
    let house = House::open(|config| {
        config.rtmp.publish_timeout = 2 * SHORT;
        config.rtmp.idle_timeout = 2 * SHORT;
    })
    .await;
    let mut stranger = Encoder::connect(house.rtmp).await;
    stranger.client.connect("live");
    let mut publisher = Encoder::publish(house.rtmp, DEMO).await;
    publisher.client.media(9, 0, &[0x17; 10_000]);
    for (encoder, hits) in [(&mut stranger, 1), (&mut publisher, 2)] {
        let bytes = encoder.client.bytes.split();
        // All but the end of a message, then one byte of it after the other.
        let (most, rest) = bytes.split_at(bytes.len() - 50);
        encoder.client.bytes.extend_from_slice(most);
        encoder.flush().await;
        let ended = || limits(&house).publish_timeout.hits + limits(&house).idle_timeout.hits == hits;
        for byte in rest.iter().take(49).take_while(|_| !ended()) {
            encoder.client.bytes.extend_from_slice(&[*byte]);
            encoder.flush().await;
            clock::until(Some(clock::now() + SHORT / 5)).await;
        }
        assert!(ended());
    }
}

#[tokio::test]
async fn media_behind_a_publish_in_one_piece_is_taken_in_order() {
    let house = House::open(|_| {}).await;
    let mut encoder = Encoder::connect(house.rtmp).await;
    encoder.say_publish("live", DEMO);
    encoder.say_pictures(200);
    encoder.flush().await;
    encoder.told(START).await;
    let mut shown = house.shown("demo").await;
    let live = stats(&mut shown, |stats| stats.source.frames == 200).await;
    assert_eq!((live.source.width, live.frames_lost), (Some(64), 0));
}

#[tokio::test]
async fn who_sends_too_much_for_too_long_is_told_so() {
    let house = House::open(|config| {
        config.rtmp.max_bitrate = crate::base::units::Bitrate::kilobits(100);
        config.rtmp.bitrate_grace = 5 * SHORT;
    })
    .await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    encoder.pictures(3).await;
    let until = clock::now() + 100 * SHORT;
    while limits(&house).max_bitrate.hits == 0 {
        assert!(clock::now() < until, "it may go on for ever");
        encoder.client.media(18, 0, &[2; 5_000]);
        encoder.flush().await;
        clock::until(Some(clock::now() + SHORT / 5)).await;
    }
    let text = encoder.told(REJECTED).await;
    assert!(
        text.starts_with("sent ") && text.ends_with("Mbit/s, and 0.1 Mbit/s is allowed (max_bitrate)"),
        "{text}"
    );
    encoder.closed().await;
    let mut shown = house.shown("demo").await;
    stats(&mut shown, |stats| stats.state == StreamState::Reconnecting).await;
}

#[tokio::test]
async fn a_second_publisher_takes_over_and_the_first_is_told() {
    let house = House::open(|_| {}).await;
    let mut first = Encoder::publish(house.rtmp, DEMO).await;
    let mut second = Encoder::publish(house.rtmp, DEMO).await;
    assert_eq!(first.told(REJECTED).await, "another encoder has taken over this stream");
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
    let text = three.told(REJECTED).await;
    assert_eq!(text, "tenant live has 2 of 2 streams (max_streams): end one of them first");
    three.closed().await;
    one.unpublish().await;
    one.closed().await;
    house.tenant_has(|tenant| tenant.streams == 1).await;
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
    assert!(!encoder.told(REJECTED).await.is_empty(), "and it is told why");
    encoder.closed().await;
    // What was accepted is put out before the end.
    view(&mut shown, |view| view.ended).await;
    assert_eq!(stats(&mut shown, |stats| stats.committed.frames == 40).await.frames_lost, 0);
    soon(house.doors.finish()).await;
    house.all_leases_dropped().await;
}

/// Strangers who connect, say a part of what they should and then nothing: none is larger than its bound, and all are gone
/// when their time is over.
#[tokio::test]
async fn silent_strangers_cost_what_they_may_and_go_when_their_time_is_over() {
    const STRANGERS: u64 = 300;
    let house = House::open(|config| {
        config.rtmp.max_connections_per_address = 1000;
        config.rtmp.handshake_timeout = 20 * SHORT;
        config.rtmp.publish_timeout = 20 * SHORT;
    })
    .await;
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        let mut stranger = Encoder::connect(house.rtmp).await;
        // Half of C1, or a command that announces 12 KiB and brings half of it.
        if number % 2 == 0 {
            stranger.client.bytes.truncate(700);
        } else {
            stranger.client.media(20, 0, &[2; 12_000]);
            stranger.client.bytes.truncate(9_000);
        }
        stranger.flush().await;
        strangers.push(stranger);
    }
    let stats = || house.meter.stats(0).rtmp;
    until(|| stats().handshaking == STRANGERS / 2 && stats().asking == STRANGERS / 2).await;
    let memory = stats().limits.max_unproved_memory;
    assert!(memory.highest <= memory.limit, "{memory:?}");
    for mut stranger in strangers {
        stranger.closed().await;
    }
    until(|| stats().connections == 0).await;
    assert_eq!(stats().limits.handshake_timeout.hits + stats().limits.publish_timeout.hits, STRANGERS);
    assert_eq!(stats().addresses, 0);
}

/// The task of a connection: 1,000 idle publishers cost no more than their sessions, and no read buffers.
#[tokio::test]
async fn a_connection_is_small() {
    let house = House::open(|_| {}).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let socket = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it is open");
    let seat = house.meter.admit(PublisherId(1 << 40), [127, 0, 0, 1].into()).expect("there is room");
    let door = Arc::new(Door::new(&crate::proxy::tests::house::configuration(), house.registry.clone()));
    let future = serve(socket, seat, door, None, CancellationToken::new());
    let bytes = size_of_val(&future);
    assert!(bytes <= 4 * 1024, "{bytes}");
}
