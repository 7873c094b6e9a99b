//! The fleet port with a certificate, and those who come without TLS where it is wanted or with it where it is not.

use std::io;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::fake_node::Carrier;
use super::*;
use crate::base::log::captured::Captured;
use crate::base::socket::tests::{Made, client, make};

/// A fleet on a port with a certificate for `proxy.example`.
async fn secured() -> (Proxy, Made) {
    let made = make(&["proxy.example"], |_| {});
    let server = made.server();
    (Proxy::start_with(|settings| settings.tls = Some(server)).await, made)
}

/// Dials as a node that trusts this certificate.
async fn dial(
    proxy: &Proxy,
    trusted: &Made,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> io::Result<Box<dyn Carrier>> {
    let socket = TcpStream::connect(proxy.address).await.expect("the fleet port is open");
    let name = ServerName::try_from("proxy.example").expect("a name");
    Ok(Box::new(soon(client(trusted.cert.der(), versions).connect(name, socket)).await?))
}

async fn check_version(version: &'static rustls::SupportedProtocolVersion) {
    let (proxy, made) = secured().await;
    let dial = async || dial(&proxy, &made, &[version]).await.expect("it is trusted");
    let control = Wire::upgrade_over(dial().await, &request_head(CONTROL_PATH, TOKEN, &[])).await;
    let mut node = FakeNode::join_over(proxy.address, control, "n1").await;
    let mut stream = proxy.ask().await;
    let spec = node.lease().await;
    let mut wire = Wire::upgrade_over(dial().await, &node.lease_request(&spec)).await;
    Stream::check_placed(stream.event().await.as_ref());
    assert_eq!(stream.event().await, Some(LeaseEvent::Attached));
    // More than socket and TLS hold, so that what TLS holds back must be passed on.
    let media = LeaseInput::Media(Bytes::from(vec![7; 3_000_000]).into());
    stream.send(media.clone()).await;
    stream.send(LeaseInput::EndOfInput).await;
    assert_eq!(wire.receive::<LeaseInput>().await, Some(media));
    assert_eq!(wire.receive::<LeaseInput>().await, Some(LeaseInput::EndOfInput));
    let mut written = 0;
    while written < 2 {
        match stream.event().await {
            Some(LeaseEvent::Written { inputs }) => written += inputs,
            other => panic!("nothing was made yet: {other:?}"),
        }
    }
    let said = [script::init(Output::Rendition(0)), script::fragment(0, &[9; 2_000_000])];
    for output in said {
        wire.send(&output).await;
        assert_eq!(stream.event().await, Some(LeaseEvent::Output(output)));
    }
    // Without a word of TLS.
    drop(wire);
    stream.check_fails(Reason::NodeLost).await;
}

#[tokio::test]
async fn a_lease_runs_over_both_versions_of_tls() {
    check_version(&rustls::version::TLS13).await;
    check_version(&rustls::version::TLS12).await;
}

#[tokio::test]
async fn a_node_that_speaks_no_tls_is_told_to() {
    let log = Captured::start();
    let (proxy, _) = secured().await;
    for request in [request_head(CONTROL_PATH, TOKEN, &[]), "GET / HTTP/1.1\r\n\r\n".to_owned()] {
        let answer = respond(proxy.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\nupgrade: TLS/1.2\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nthe proxy wants TLS: set fleet.tls_ca\n"), "{answer}");
    }
    log.line(&["INFO", "fleet connection refused", "reason=tls_failed", "speaks no TLS"]).await;
    assert!(proxy.fleet.now().nodes.is_empty());
}

#[tokio::test]
async fn a_node_that_speaks_tls_to_a_plain_port_is_logged_and_sees_that_it_is_none() {
    let log = Captured::start();
    let proxy = Proxy::start().await;
    let made = make(&["proxy.example"], |_| {});
    let error = dial(&proxy, &made, rustls::ALL_VERSIONS).await.err().expect("it is plain");
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    assert!(matches!(inner, Some(rustls::Error::InvalidMessage(_))), "{error}");
    let detail = "the node speaks TLS and this port does not: set fleet.tls_cert and fleet.tls_key";
    log.line(&["INFO", "fleet connection refused", "reason=tls_failed", detail]).await;
}

#[tokio::test]
async fn a_node_that_does_not_trust_the_certificate_is_logged_with_why() {
    let log = Captured::start();
    let (proxy, _) = secured().await;
    let other = make(&["proxy.example"], |_| {});
    assert!(dial(&proxy, &other, rustls::ALL_VERSIONS).await.is_err());
    log.line(&["reason=tls_failed", "its fleet.tls_ca must hold what issued it"]).await;
}

#[tokio::test]
async fn tls_is_no_token() {
    let (proxy, made) = secured().await;
    let mut socket = dial(&proxy, &made, rustls::ALL_VERSIONS).await.expect("it is trusted");
    let request = request_head(CONTROL_PATH, "hunter3", &[]);
    socket.write_all(request.as_bytes()).await.expect("it reads requests");
    socket.flush().await.expect("it reads requests");
    let mut answer = Vec::new();
    soon(tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut answer))
        .await
        .expect("ended with TLS's word");
    assert!(answer.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer));
}

/// Takes as long as it says: 5 s.
#[tokio::test]
async fn whoever_does_not_shake_hands_in_time_is_closed() {
    let log = Captured::start();
    let (proxy, _) = secured().await;
    let mut silent = TcpStream::connect(proxy.address).await.expect("the fleet port is open");
    let mut slow = TcpStream::connect(proxy.address).await.expect("the fleet port is open");
    // A record of TLS that announces more than comes.
    slow.write_all(&[22, 3, 1, 1, 0, 1]).await.expect("it reads");
    for socket in [&mut silent, &mut slow] {
        let mut answer = Vec::new();
        // Closed in order or by a reset, but closed.
        let _ = soon(tokio::io::AsyncReadExt::read_to_end(socket, &mut answer)).await;
        assert!(answer.is_empty());
    }
    log.line(&["fleet connection refused", "reason=handshake_timeout"]).await;
}
