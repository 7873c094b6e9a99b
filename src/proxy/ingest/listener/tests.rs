use crate::proxy::fleet::tests::soon;
use crate::proxy::tests::encoder::Encoder;
use crate::proxy::tests::house::{DEMO, House, until};

#[tokio::test]
async fn over_the_bound_a_newcomer_is_closed_at_once_and_there_is_room_when_one_leaves() {
    let house = House::open(|config| config.rtmp.max_connections = 1).await;
    let first = Encoder::publish(house.rtmp, DEMO).await;
    assert!(Encoder::connect(house.rtmp).await.closed().await.is_empty());
    let with_first = house.doors.running();
    drop(first);
    until(|| house.doors.running() < with_first).await;
    Encoder::publish(house.rtmp, DEMO).await;
}

#[tokio::test]
async fn over_the_bound_of_an_address_a_newcomer_is_closed_too() {
    let house = House::open(|config| config.rtmp.max_connections_per_address = 2).await;
    let first = Encoder::publish(house.rtmp, DEMO).await;
    let _second = Encoder::publish(house.rtmp, "two?key=sesame").await;
    assert!(Encoder::connect(house.rtmp).await.closed().await.is_empty());
    let stats = || house.meter.stats(0).rtmp;
    assert_eq!((stats().connections, stats().addresses), (2, 1));
    assert_eq!(stats().refused.max_connections_per_address, 1);
    drop(first);
    until(|| stats().connections == 1).await;
    let mut third = Encoder::connect(house.rtmp).await;
    third.client.connect("live");
    third.flush().await;
    third.told("NetConnection.Connect.Success").await;
}

#[tokio::test]
async fn a_stop_ends_the_listener_and_every_connection() {
    let house = House::open(|_| {}).await;
    let mut stranger = Encoder::connect(house.rtmp).await;
    // Accepted: the listener's task and the connection's.
    until(|| house.doors.running() == 2).await;
    house.stop.cancel();
    stranger.closed().await;
    soon(house.doors.finish()).await;
}
