//! What tenants may have, from the encoder's connection to the fleet and back.

use tokio::sync::mpsc;

use super::encoder::Encoder;
use super::house::{DEMO, House, name, stats, stream_name, until};
use crate::base::reason::Reason;
use crate::base::units::Bitrate;
use crate::config::{Config, Tenant};
use crate::placement::demand::Demand;
use crate::placement::tenancy::WhenFull;
use crate::proxy::api::stats::StreamState;
use crate::proxy::fleet::tests::fake_node::FakeNode;
use crate::proxy::fleet::tests::{script, soon};
use crate::proxy::fleet::{LeaseEvent, LeaseRequest};
use crate::stream::PublisherId;

const REJECTED: &str = "NetStream.Publish.Rejected";
/// Slots of the tests' node.
const SLOTS: usize = 2;

/// A tenant with room for any number of streams.
fn change(change: impl FnOnce(&mut Tenant)) -> impl FnOnce(&mut Config) {
    |config| {
        let tenant = config.tenants.get_mut(&name("live")).expect("it is configured");
        tenant.max_streams = 100;
        change(tenant);
    }
}

/// A house of which all slots are taken.
async fn full(tenant: impl FnOnce(&mut Tenant)) -> (House, Vec<Encoder>) {
    let house = House::with_node(change(tenant)).await;
    let mut encoders = Vec::new();
    for number in 0..SLOTS {
        let mut encoder = Encoder::publish(house.rtmp, &format!("s{number}?key=sesame")).await;
        encoder.pictures(30).await;
        encoders.push(encoder);
    }
    until(|| house.fleet.stats().borrow().nodes.iter().map(|node| node.leases.len()).sum::<usize>() == SLOTS)
        .await;
    (house, encoders)
}

#[tokio::test]
async fn without_room_a_publish_is_refused_in_words_and_taken_when_a_stream_has_ended() {
    let (house, mut encoders) = full(|_| {}).await;
    let mut late = Encoder::ask(house.rtmp, "live", DEMO).await;
    let text = late.told(REJECTED).await;
    assert!(text.contains("n1 ") && text.ends_with("; try again later"), "{text}");
    late.closed().await;
    let shown = house.tenant_has(|tenant| tenant.refused == 1).await;
    assert_eq!((shown.streams, shown.waiting), (SLOTS, 0));
    assert!(shown.dominant_share > 0.99, "{shown:?}");
    let mut first = encoders.remove(0);
    first.unpublish().await;
    first.closed().await;
    house.tenant_has(|tenant| tenant.streams == SLOTS - 1).await;
    until(|| house.fleet.stats().borrow().nodes[0].leases.len() < SLOTS).await;
    Encoder::publish(house.rtmp, DEMO).await;
}

#[tokio::test]
async fn who_comes_back_to_a_stream_is_not_asked_for_room() {
    let (house, mut encoders) = full(|_| {}).await;
    drop(encoders.remove(0));
    let mut shown = house.shown("s0").await;
    stats(&mut shown, |stats| stats.state == StreamState::Reconnecting).await;
    Encoder::publish(house.rtmp, "s0?key=sesame").await;
    Encoder::publish(house.rtmp, "s1?key=sesame").await;
    assert_eq!(house.tenant_has(|_| true).await.refused, 0);
}

#[tokio::test]
async fn a_patient_tenants_stream_waits_and_is_counted() {
    let (house, mut encoders) = full(|tenant| tenant.when_full = WhenFull::Wait).await;
    let mut late = Encoder::publish(house.rtmp, DEMO).await;
    late.pictures(30).await;
    let mut shown = house.shown("demo").await;
    house.tenant_has(|tenant| tenant.waiting == 1).await;
    assert_eq!(house.fleet.stats().borrow().fleet.queue_length, 1);
    let mut first = encoders.remove(0);
    first.unpublish().await;
    first.closed().await;
    stats(&mut shown, |stats| stats.state == StreamState::Live).await;
    house.tenant_has(|tenant| tenant.waiting == 0).await;
}

#[tokio::test]
async fn without_any_node_streams_wait_and_their_booking_ends_with_them() {
    let house = House::open(change(|_| {})).await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    encoder.pictures(20).await;
    house.tenant_has(|tenant| (tenant.streams, tenant.waiting) == (1, 1)).await;
    house.stop.cancel();
    encoder.closed().await;
    house.tenant_has(|tenant| (tenant.streams, tenant.waiting) == (0, 0)).await;
}

#[tokio::test]
async fn tags_are_asked_for_at_publish_and_of_the_node() {
    let house = House::with_node(change(|tenant| tenant.tags = vec![name("gpu")])).await;
    let mut encoder = Encoder::ask(house.rtmp, "live", DEMO).await;
    let text = encoder.told(REJECTED).await;
    assert!(text.contains("gpu"), "{text}");
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_books_nothing() {
    let house = House::open(change(|_| {})).await;
    for _ in 0..20 {
        let stream = stream_name("demo");
        let asked = house.fleet.admit(&stream);
        // Asked once at most, and given up before there is an answer.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, asked).await;
    }
    let booking = soon(house.fleet.admit(&stream_name("demo"))).await.expect("nothing is there");
    house.tenant_has(|tenant| tenant.streams == 1).await;
    drop(booking);
    house.tenant_has(|tenant| tenant.streams == 0).await;
}

#[tokio::test]
async fn a_stream_that_turns_out_larger_than_its_tenant_may_have_is_refused_its_lease() {
    let house = House::open(change(|tenant| tenant.max_pixels_per_second = Some(40_000_000))).await;
    let _node = FakeNode::join(house.fleet_port, "n1").await;
    let stream = stream_name("demo");
    let _booking = soon(house.fleet.admit(&stream)).await.expect("34.6 million are expected");
    let mut attempt = script::attempt();
    attempt.ladder.renditions[0].height = 1080;
    let (_input, inputs) = mpsc::channel(1);
    let (sender, mut events) = mpsc::channel(4);
    let demand = Demand::of(&attempt);
    let request = LeaseRequest { stream, attempt, demand, input: inputs, events: sender };
    house.fleet.request(request).expect("it has room");
    let (_, event) = *soon(events.recv()).await.expect("an answer");
    let LeaseEvent::Failed { node: None, reason: Reason::LimitExceeded, detail, .. } = event else {
        panic!("not refused: {event:?}");
    };
    assert!(detail.contains("this stream takes 62.2 million"), "{detail}");
}

#[tokio::test]
async fn the_newest_publisher_goes_when_its_tenant_sends_too_much() {
    let house = House::open(|config| {
        change(|tenant| tenant.max_bitrate = Some(Bitrate(1_000)))(config);
        config.rtmp.bitrate_grace = std::time::Duration::from_millis(100);
    })
    .await;
    let mut first = Encoder::publish(house.rtmp, DEMO).await;
    let mut second = Encoder::publish(house.rtmp, "late?key=sesame").await;
    let sending = async {
        loop {
            first.pictures(5).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let told = async {
        loop {
            second.pictures(5).await;
            let said =
                tokio::time::timeout(std::time::Duration::from_millis(20), second.told(REJECTED)).await;
            if let Ok(text) = said {
                return text;
            }
        }
    };
    let text = soon(async {
        tokio::select! { () = sending => unreachable!("it never ends"), text = told => text }
    })
    .await;
    assert!(text.starts_with("all streams of tenant live together sent "), "{text}");
    assert!(text.ends_with("0.0 Mbit/s is allowed (max_bitrate); this one came last"), "{text}");
}

#[tokio::test]
async fn two_publishers_that_open_one_stream_at_once_share_its_booking() {
    let house = House::open(change(|tenant| tenant.max_streams = 1)).await;
    let stream = stream_name("demo");
    let publish = |id| house.registry.publish(&stream, &house.tenant, PublisherId(id));
    let (first, second) = soon(async { tokio::join!(publish(1), publish(2)) }).await;
    assert!(first.is_ok() && second.is_ok(), "the second takes over");
    house.tenant_has(|tenant| tenant.streams == 1).await;
    house.stop.cancel();
    house.tenant_has(|tenant| tenant.streams == 0).await;
}
