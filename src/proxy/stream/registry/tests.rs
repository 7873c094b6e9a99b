use bytes::Bytes;

use super::*;
use crate::media::flv::{Tag, TagKind};
use crate::proxy::fleet::tests::soon;
use crate::proxy::tests::encoder::Encoder;
use crate::proxy::tests::house::{DEMO, House, stream_name, view};
use crate::stream::PublisherEnd;

#[test]
fn timeline_and_sequence_begin_at_the_wall_clock() {
    let segment = Ticks::from_millis(2_000);
    let now = Duration::from_millis(1_700_000_000_123);
    assert_eq!(beginning(now, segment, None), (Ticks::from_millis(1_700_000_000_123), 850_000_000));
}

#[test]
fn they_never_go_back_behind_what_was_shown() {
    use crate::hls::{OutputView, Segment};
    let segment = Ticks::from_millis(2_000);
    let now = Duration::from_secs(1_700_000_000);
    let ahead = Ticks::from_millis(1_700_000_003_000) + Ticks(7);
    let shown = Segment {
        sequence: 850_000_001,
        start: ahead - segment,
        end: ahead,
        data: None,
        init: None,
        discontinuity: false,
        discontinuities_before: 0,
    };
    let output = OutputView {
        name: "a".parse().expect("a name"),
        configuration: None,
        segments: vec![Arc::new(shown)],
        peak: crate::base::units::Bitrate(0),
        average: crate::base::units::Bitrate(0),
        frame_rate: None,
    };
    let view = View { renditions: vec![output], ..View::default() };
    let (start, sequence) = beginning(now, segment, Some(&view));
    assert_eq!((start, sequence), (Ticks::from_millis(1_700_000_003_001), 850_000_002));
}

/// Puts a publisher on `live/demo`.
async fn publish(house: &House, publisher: u64) -> Result<Published, Refused> {
    soon(house.registry.publish(&stream_name("demo"), &house.tenant, PublisherId(publisher))).await
}

async fn close(published: &Published, publisher: u64, end: PublisherEnd) {
    let closed = PublisherInput::Closed { publisher: PublisherId(publisher), end };
    published.inbox.send(closed).await.expect("the stream is there");
}

async fn check_closed(published: Published, expected: Reason) -> String {
    let PublisherClosed { reason, detail } = soon(published.close).await.expect("it says why");
    assert_eq!(reason, expected, "{detail}");
    detail
}

#[tokio::test]
async fn the_one_that_is_taken_over_is_told_so() {
    let house = House::open(|_| {}).await;
    let first = publish(&house, 1).await.expect("nobody is there");
    let second = publish(&house, 2).await.expect("it takes over");
    check_closed(first, Reason::TakenOver).await;
    house.stop.cancel();
    check_closed(second, Reason::Shutdown).await;
}

#[tokio::test]
async fn who_sends_what_cannot_be_taken_is_told_what_it_was() {
    let house = House::open(|_| {}).await;
    let published = publish(&house, 1).await.expect("nobody is there");
    // Sorenson H.263 (FLV 10.1, E.4.3.1).
    let tag = Tag { kind: TagKind::Video, timestamp_ms: 0, payload: Bytes::from_static(b"\x12\0\0\0\0\0") };
    let media = PublisherInput::Media { publisher: PublisherId(1), tags: vec![tag] };
    published.inbox.send(media).await.expect("the stream is there");
    let detail = check_closed(published, Reason::UnsupportedCodec).await;
    assert!(detail.contains("codec"), "{detail}");
    publish(&house, 2).await.expect("it may come back within the grace time");
}

#[tokio::test]
async fn a_stream_that_showed_nothing_is_forgotten_at_once() {
    let house = House::open(|_| {}).await;
    let published = publish(&house, 1).await.expect("nobody is there");
    let mut shown = house.shown("demo").await;
    close(&published, 1, PublisherEnd::Orderly).await;
    view(&mut shown, |view| view.ended).await;
    // With segments it would stay for as long as a playlist lasts, a minute by default.
    house.forgotten("demo").await;
}

#[tokio::test]
async fn a_publisher_that_does_not_come_back_ends_its_stream() {
    let house = House::open(|config| config.stream.reconnect_grace = Duration::ZERO).await;
    let published = publish(&house, 1).await;
    // Without any grace a stream may be over before its first publisher is asked; it is served all the same.
    let published = published.expect("nobody is there");
    let mut shown = house.shown("demo").await;
    close(&published, 1, PublisherEnd::Broken).await;
    view(&mut shown, |view| view.ended).await;
}

#[tokio::test]
async fn a_later_stream_of_the_name_goes_on_behind_the_earlier_and_is_not_forgotten_with_it() {
    let house = House::with_node(|_| {}).await;
    let mut before: Option<Arc<View>> = None;
    for _ in 0..3 {
        // Four seconds of media within a moment: the wall clock stays far behind.
        let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
        let mut shown = house.shown("demo").await;
        encoder.pictures(100).await;
        encoder.unpublish().await;
        encoder.closed().await;
        let ended = view(&mut shown, |view| view.ended).await;
        for earlier in before.iter().flat_map(|view| view.outputs()) {
            let later = ended.output(&earlier.name).expect("the ladder is the same");
            let (last, first) = (earlier.segments.last().expect("some"), &later.segments[0]);
            assert!(first.sequence > last.sequence && first.start >= last.end, "{last:?} {first:?}");
        }
        before = Some(ended);
    }
    house.registry.forget(&stream_name("demo"), 0);
    assert_eq!(house.registry.directory().borrow().len(), 1, "the first one's end is not the last one's");
    house.registry.forget(&stream_name("demo"), 2);
    assert!(house.registry.directory().borrow().is_empty());
}

#[tokio::test]
async fn who_comes_when_the_proxy_stops_is_refused_and_nothing_is_kept() {
    let house = House::open(|_| {}).await;
    let published = publish(&house, 1).await.expect("nobody is there");
    house.stop.cancel();
    check_closed(published, Reason::Shutdown).await;
    house.forgotten("demo").await;
    assert_eq!(publish(&house, 2).await.err().map(|refused| refused.reason), Some(Reason::Shutdown));
}
