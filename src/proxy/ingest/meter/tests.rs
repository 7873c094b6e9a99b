use super::*;
use crate::proxy::fleet::tests::soon;
use crate::proxy::tests::encoder::Encoder;
use crate::proxy::tests::house::{DEMO, House, until};

/// Publishers and bytes, now.
fn gauge(meter: &Meter) -> (u64, u64) {
    (meter.counts.publishers.load(Ordering::Relaxed), meter.counts.bytes.load(Ordering::Relaxed))
}

#[tokio::test]
async fn bytes_add_up_and_the_bitrate_is_the_last_seconds() {
    let meter = Meter::new(Bounds::default());
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let mut stats = meter.start(&tasks, stop.clone());
    let seat = meter.admit(PublisherId(1), [127, 0, 0, 1].into()).expect("there is room");
    let publisher = seat.publisher();
    publisher.count(400);
    publisher.count(600);
    let first = *soon(stats.wait_for(|stats| stats.publishers == 1)).await.expect("it runs");
    assert_eq!((first.publishers, first.ingest_bytes, first.ingest_bitrate), (1, 1000, 8000));
    assert_eq!((first.rtmp.connections, first.rtmp.handshaking), (1, 1));
    drop((publisher, seat));
    let second = *soon(stats.wait_for(|stats| stats.publishers == 0)).await.expect("it runs");
    assert_eq!((second.publishers, second.ingest_bytes, second.ingest_bitrate), (0, 1000, 0));
    assert_eq!((second.rtmp.connections, second.rtmp.addresses), (0, 0));
    stop.cancel();
    soon(tasks.finish()).await;
}

#[tokio::test]
async fn a_publisher_counts_as_long_as_its_connection_is_there_and_a_refused_one_never() {
    let house = House::open(|_| {}).await;
    let mut refused = Encoder::ask(house.rtmp, "live", "demo").await;
    refused.closed().await;
    assert_eq!(gauge(&house.meter), (0, 0));
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    assert_eq!(gauge(&house.meter).0, 1);
    encoder.pictures(10).await;
    encoder.unpublish().await;
    encoder.closed().await;
    until(|| gauge(&house.meter).0 == 0).await;
    let (_, bytes) = gauge(&house.meter);
    assert!(bytes > 0, "what came stays counted");
}
