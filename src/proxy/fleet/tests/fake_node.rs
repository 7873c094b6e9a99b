//! A node without FFmpeg: a raw socket, an upgrade request written by hand, and frames.

use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{TOKEN, script, soon};
use crate::wire::codec::{self, Message};
use crate::wire::message::{
    CONTROL_PATH, LEASE_PATH, LEASE_SECRET_HEADER, LeaseSpec, NodeMessage, ProxyMessage, UPGRADE,
    VERSION_HEADER, WIRE_VERSION,
};
use crate::wire::report::NodeHello;

/// An upgrade request with everything in place, and more headers.
pub(in crate::proxy) fn request_head(path: &str, token: &str, more: &[(&str, &str)]) -> String {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nhost: proxy\r\nconnection: upgrade\r\nupgrade: {UPGRADE}\r\n\
         {VERSION_HEADER}: {WIRE_VERSION}\r\nauthorization: Bearer {token}\r\n"
    );
    for (name, value) in more {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// Sends a request and gives the whole answer, for those that are turned away.
pub(in crate::proxy) async fn respond(proxy: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(proxy).await.expect("the fleet port is open");
    socket.write_all(request.as_bytes()).await.expect("it reads requests");
    let mut answer = Vec::new();
    soon(socket.read_to_end(&mut answer)).await.expect("it answers and closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// What carries a node's bytes.
pub(in crate::proxy) trait Carrier: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Sync + Unpin> Carrier for C {}

/// One upgraded connection.
pub(in crate::proxy) struct Wire {
    socket: Box<dyn Carrier>,
    received: BytesMut,
}

impl Wire {
    pub(in crate::proxy) async fn upgrade(proxy: SocketAddr, request: &str) -> Self {
        let socket = TcpStream::connect(proxy).await.expect("the fleet port is open");
        Self::upgrade_over(Box::new(socket), request).await
    }

    /// The same on a connection that is there.
    pub(in crate::proxy) async fn upgrade_over(mut socket: Box<dyn Carrier>, request: &str) -> Self {
        socket.write_all(request.as_bytes()).await.expect("it reads requests");
        let mut received = BytesMut::new();
        let end = loop {
            soon(socket.read_buf(&mut received)).await.expect("it answers");
            if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = received.split_to(end);
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self { socket, received }
    }

    /// Writes raw bytes; the other side may have closed.
    pub(in crate::proxy) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
        let _ = self.socket.flush().await;
    }

    pub(in crate::proxy) async fn send(&mut self, message: &impl Message) {
        let frame = message.encode().expect("a message within limits");
        self.write(&frame.head).await;
        self.write(&frame.body).await;
    }

    /// The next message; `None` when the proxy has closed the connection.
    pub(in crate::proxy) async fn receive<M: Message>(&mut self) -> Option<M> {
        loop {
            if let Some(message) = codec::decode(&mut self.received).expect("sound frames") {
                return Some(message);
            }
            match soon(self.socket.read_buf(&mut self.received)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// A node that has joined.
pub(in crate::proxy) struct FakeNode {
    proxy: SocketAddr,
    pub(in crate::proxy) wire: Wire,
}

impl FakeNode {
    pub(in crate::proxy) async fn join(proxy: SocketAddr, name: &str) -> Self {
        let wire = Wire::upgrade(proxy, &request_head(CONTROL_PATH, TOKEN, &[])).await;
        Self::join_over(proxy, wire, name).await
    }

    /// The same on a connection that is there.
    pub(in crate::proxy) async fn join_over(proxy: SocketAddr, wire: Wire, name: &str) -> Self {
        Self::join_as(proxy, wire, script::hello(name)).await
    }

    /// The same of a node that says this of itself.
    pub(in crate::proxy) async fn join_as(proxy: SocketAddr, mut wire: Wire, hello: NodeHello) -> Self {
        wire.send(&NodeMessage::Hello(Box::new(hello))).await;
        let answer = wire.receive().await;
        assert!(matches!(answer, Some(ProxyMessage::Welcome { heartbeat_ms: 250, .. })), "{answer:?}");
        Self { proxy, wire }
    }

    /// The lease that is offered next.
    pub(in crate::proxy) async fn lease(&mut self) -> LeaseSpec {
        self.next_lease().await.expect("a lease is offered")
    }

    /// The same, or `None` when the proxy has closed the connection. That earlier ones are over is passed over.
    pub(in crate::proxy) async fn next_lease(&mut self) -> Option<LeaseSpec> {
        loop {
            match self.wire.receive().await? {
                ProxyMessage::Lease(spec) => return Some(*spec),
                ProxyMessage::Cancel { .. } | ProxyMessage::Prove => {}
                other @ (ProxyMessage::Welcome { .. } | ProxyMessage::Refused { .. }) => {
                    panic!("no lease: {other:?}")
                }
            }
        }
    }

    pub(in crate::proxy) fn lease_request(&self, spec: &LeaseSpec) -> String {
        request_head(LEASE_PATH, TOKEN, &[(LEASE_SECRET_HEADER, &spec.secret)])
    }

    pub(in crate::proxy) async fn attach(&self, spec: &LeaseSpec) -> Wire {
        Wire::upgrade(self.proxy, &self.lease_request(spec)).await
    }
}
