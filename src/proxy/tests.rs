//! What the tests of a proxy's rooms share, and the proxy as a whole.

pub(super) mod encoder;
pub(super) mod house;
mod tenants;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use self::encoder::Encoder;
use self::house::{DEMO, configuration, transcode};
use super::*;
use crate::base::secret::Secret;
use crate::config::Config;
use crate::proxy::fleet::tests::fake_node::FakeNode;
use crate::proxy::fleet::tests::soon;

/// A whole proxy that runs.
struct Running {
    ports: Listening,
    stop: CancellationToken,
    run: JoinHandle<anyhow::Result<()>>,
    tasks: Tasks,
}

impl Running {
    async fn start() -> Self {
        let mut config = configuration();
        config.http.api_token = Some(Secret::new("curious"));
        let proxy = Proxy::bind(config).await.expect("any port");
        let ports = proxy.listening().expect("they are bound");
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        let run = tasks.spawn(proxy.run(stop.clone()));
        Self { ports, stop, run, tasks }
    }

    /// Asks until the body has `part`.
    async fn get(&self, path: &str, part: &str) {
        let host = self.ports.http;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer curious\r\nconnection: close\r\n\r\n"
        );
        soon(async {
            loop {
                let mut socket = TcpStream::connect(host).await.expect("HTTP is served");
                socket.write_all(request.as_bytes()).await.expect("it reads requests");
                let mut answer = String::new();
                socket.read_to_string(&mut answer).await.expect("it answers and closes");
                if answer.contains(part) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_proxy_serves_what_is_published_and_ends_in_order() {
    let proxy = Running::start().await;
    let node = FakeNode::join(proxy.ports.fleet, "n1").await;
    proxy.tasks.spawn(transcode(node, Tasks::new()));
    let mut encoder = Encoder::publish(proxy.ports.rtmp.expect("it is on"), DEMO).await;
    encoder.pictures(100).await;
    proxy.get("/hls/live/demo/720p/index.m3u8", ".m4s").await;
    proxy.get("/api/v1/stats", r#""publishers":1"#).await;
    proxy.stop.cancel();
    encoder.closed().await;
    soon(proxy.run).await.expect("no panic").expect("no error");
    assert!(TcpStream::connect(proxy.ports.http).await.is_err(), "HTTP is closed too");
}

/// Takes as long as it says: a stream waits `ORDERED_END_LIMIT` for its node, and players are served for `LINGER` after it.
#[tokio::test]
async fn a_node_that_hangs_cannot_keep_a_proxy_from_stopping() {
    let proxy = Running::start().await;
    let mut node = FakeNode::join(proxy.ports.fleet, "n1").await;
    let mut encoder = Encoder::publish(proxy.ports.rtmp.expect("it is on"), DEMO).await;
    encoder.pictures(20).await;
    let lease = node.lease().await;
    let mut wire = node.attach(&lease).await;
    proxy.stop.cancel();
    encoder.closed().await;
    let stopped = tokio::time::timeout(DRAIN + Duration::from_secs(5), proxy.run).await;
    stopped.expect("within its bound").expect("no panic").expect("no error");
    while wire.receive::<crate::wire::message::LeaseInput>().await.is_some() {}
}

async fn check_port_in_use(section: &str, take: impl FnOnce(&mut Config, SocketAddr)) {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let mut config = configuration();
    take(&mut config, address);
    let error = Proxy::bind(config).await.expect_err("it is taken");
    assert_eq!(error.to_string(), format!("cannot listen on {address} ([{section}] listen)"));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    check_port_in_use("rtmp", |config, address| config.rtmp.listen = Some(address)).await;
    check_port_in_use("http", |config, address| config.http.listen = address).await;
    check_port_in_use("fleet", |config, address| config.fleet.listen = address).await;
}
