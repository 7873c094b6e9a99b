//! Who is taken in and who is not, and what of it is logged; and what operators want of nodes.

use super::*;
use crate::base::log::captured::Captured;

#[tokio::test]
async fn a_refused_node_is_logged_with_the_reason_that_it_is_told() {
    let log = Captured::start();
    let (proxy, _node) = Proxy::with_node().await;
    let sound = request_head(CONTROL_PATH, TOKEN, &[]);
    let answer = respond(proxy.address, &sound.replace(TOKEN, "hunter3")).await;
    assert!(answer.ends_with("wrong fleet token\n"), "{answer}");
    log.line(&[
        "INFO",
        "fleet connection refused",
        "peer=127.0.0.1:",
        "reason=wrong_token",
        "wrong fleet token",
    ])
    .await;

    let version = |version: u32| format!("{VERSION_HEADER}: {version}");
    let other = sound.replace(&version(WIRE_VERSION), &version(WIRE_VERSION + 1));
    let answer = respond(proxy.address, &other).await;
    let detail = format!(
        "the node speaks version {} of the fleet protocol and the proxy version {WIRE_VERSION}: \
         run the same headgate on both",
        WIRE_VERSION + 1
    );
    assert!(answer.ends_with(&format!("{detail}\n")), "{answer}");
    log.line(&["INFO", "fleet connection refused", "reason=wrong_version", &detail]).await;

    let mut second = Wire::upgrade(proxy.address, &sound).await;
    second.send(&NodeMessage::Hello(Box::new(script::hello("n1")))).await;
    let detail = "a node named n1 is connected already";
    let refused = ProxyMessage::Refused { reason: Reason::NameTaken, detail: detail.into() };
    assert_eq!(second.receive().await, Some(refused));
    log.line(&["INFO", "node refused", "node=n1", "reason=name_taken", detail]).await;
}

/// No secret of a stranger or of ours is ever in the log.
#[tokio::test]
async fn tokens_are_not_logged() {
    let log = Captured::start();
    let proxy = Proxy::start().await;
    respond(proxy.address, &request_head(CONTROL_PATH, "not-the-token", &[])).await;
    let line = log.line(&["reason=wrong_token"]).await;
    assert!(!line.contains("not-the-token") && !line.contains(TOKEN), "{line}");
}

#[tokio::test]
async fn a_newcomer_takes_the_place_of_a_node_that_is_not_heard_any_more() {
    let proxy = Proxy::start_with(|settings| settings.suspect_after = Duration::from_millis(100)).await;
    let mut silent = FakeNode::join(proxy.address, "n1").await;
    proxy.shown(|shown| shown.nodes.first().is_some_and(|node| node.state == NodeState::Suspect)).await;
    let mut back = FakeNode::join(proxy.address, "n1").await;
    assert_eq!(silent.wire.receive::<ProxyMessage>().await, None, "the old connection is closed");
    drop(silent);
    let sign = async {
        loop {
            back.wire.send(&NodeMessage::Heartbeat(script::heartbeat())).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let alive = proxy.shown(|shown| shown.nodes.len() == 1 && shown.nodes[0].state == NodeState::Alive);
    tokio::select! {
        shown = alive => assert_eq!(shown.fleet.nodes, 1),
        () = sign => {}
    }
}

#[tokio::test]
async fn a_node_that_floods_is_expelled_and_the_others_stay() {
    let log = Captured::start();
    let (proxy, mut node) = Proxy::with_node().await;
    let mut flooding = FakeNode::join(proxy.address, "n2").await;
    for _ in 0..1000 {
        flooding.wire.send(&NodeMessage::Heartbeat(script::heartbeat())).await;
    }
    let refused = flooding.wire.receive::<ProxyMessage>().await;
    let detail = "more than 200 messages in a second".to_owned();
    assert_eq!(refused, Some(ProxyMessage::Refused { reason: Reason::LimitExceeded, detail }));
    assert_eq!(flooding.wire.receive::<ProxyMessage>().await, None);
    log.line(&["WARN", "node lost", "node=n2", "reason=\"limit_exceeded\""]).await;
    let shown = proxy.shown(|shown| shown.nodes.iter().any(|node| node.state == NodeState::Lost)).await;
    assert_eq!((shown.fleet.alive, shown.nodes[0].name.as_str()), (1, "n1"));
    attached(&proxy, &mut node).await;
}

#[tokio::test]
async fn a_drained_node_gets_no_lease_and_keeps_what_it_has() {
    let (proxy, mut node) = Proxy::with_node().await;
    let n1 = || -> Name { "n1".parse().expect("test name") };
    let (mut stream, wire) = attached(&proxy, &mut node).await;
    soon(proxy.fleet.order(n1(), Order::Drain)).await.expect("it is there");
    proxy.ask().await.check_fails(Reason::NoNode).await;
    let shown = proxy.shown(|shown| shown.fleet.draining == 1).await;
    assert!(!shown.nodes[0].drained && shown.nodes[0].leases.len() == 1);
    drop(wire);
    stream.check_fails(Reason::NodeLost).await;
    proxy.shown(|shown| shown.nodes[0].drained).await;
    soon(proxy.fleet.order(n1(), Order::Undrain)).await.expect("it is there");
    attached(&proxy, &mut node).await;
}

#[tokio::test]
async fn orders_reach_a_node_or_are_refused() {
    let (proxy, mut node) = Proxy::with_node().await;
    let order = |node: &str, order| soon(proxy.fleet.order(node.parse().expect("test name"), order));
    assert_eq!(order("n1", Order::Prove).await, Ok(()));
    assert_eq!(node.wire.receive().await, Some(ProxyMessage::Prove));
    for unknown in [Order::Drain, Order::Undrain, Order::Prove] {
        let refused = order("n2", unknown).await.expect_err("there is none");
        assert_eq!(refused.to_string(), "there is no node named n2");
    }
    proxy.stop.cancel();
    soon(proxy.tasks.finish()).await;
    assert_eq!(order("n1", Order::Drain).await, Err(OrderError::Stopped));
}
