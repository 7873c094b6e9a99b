//! A proxy that does what a test tells it, by hand: listener, upgrade, frames.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::PATIENCE;
use crate::base::socket::Socket;
use crate::base::socket::tests::Made;
use crate::wire::codec::{self, Message};
use crate::wire::message::{
    CONTROL_PATH, LEASE_PATH, LeaseSpec, NodeMessage, ProxyMessage, UPGRADE, VERSION_HEADER, WIRE_VERSION,
};
use crate::wire::report::NodeHello;

/// The token of every test.
pub(super) const TOKEN: &str = "fleet-token";
/// The secret of every lease.
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(super) struct FakeProxy {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// One upgraded connection of the node.
pub(super) struct Peer {
    stream: Socket,
    buffer: BytesMut,
}

impl FakeProxy {
    pub(super) async fn bind() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), tls: None }
    }

    /// Shows this certificate.
    pub(super) async fn secured(made: &Made) -> Self {
        Self { tls: Some(TlsAcceptor::from(made.server())), ..Self::bind().await }
    }

    /// Accepts a connection and shakes hands as far as it gets; the error is TLS's.
    pub(super) async fn accept(&self) -> std::io::Result<Socket> {
        let (stream, _) = self.listener.accept().await.unwrap();
        match &self.tls {
            Some(tls) => Ok(Socket::Tls(Box::new(tls.accept(stream).await?.into()))),
            None => Ok(Socket::Plain(stream)),
        }
    }

    pub(super) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Accepts a connection and answers its request with `head` and `body`. The request, as text.
    pub(super) async fn answer(&self, head: &str, body: &str) -> (String, Peer) {
        let accepted = tokio::time::timeout(PATIENCE, self.accept()).await;
        let mut stream = accepted.expect("the node dials").unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(format!("HTTP/1.1 {head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        (String::from_utf8(request).unwrap(), Peer { stream, buffer: BytesMut::new() })
    }

    async fn upgrade(&self, path: &str) -> (String, Peer) {
        let head = format!("101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {UPGRADE}");
        let (request, peer) = self.answer(&head, "").await;
        for expected in [
            format!("GET {path} HTTP/1.1\r\n"),
            format!("\r\nupgrade: {UPGRADE}\r\n"),
            format!("\r\n{VERSION_HEADER}: {WIRE_VERSION}\r\n"),
            format!("\r\nauthorization: Bearer {TOKEN}\r\n"),
        ] {
            assert!(request.contains(&expected), "{expected} in {request}");
        }
        (request, peer)
    }

    /// Takes a node in.
    pub(super) async fn control(&self) -> (NodeHello, Peer) {
        let (_, mut peer) = self.upgrade(CONTROL_PATH).await;
        let NodeMessage::Hello(hello) = peer.next().await.unwrap() else { panic!("no hello") };
        peer.send(&ProxyMessage::Welcome { proxy: "fake".to_owned(), heartbeat_ms: 20, headroom: 100.0 })
            .await;
        (*hello, peer)
    }

    /// Gives a lease and takes its connection.
    pub(super) async fn lease(&self, control: &mut Peer, spec: LeaseSpec) -> Peer {
        control.send(&ProxyMessage::Lease(Box::new(spec))).await;
        let (request, peer) = self.upgrade(LEASE_PATH).await;
        assert!(request.contains(&format!("\r\nheadgate-lease-secret: {SECRET}\r\n")), "{request}");
        peer
    }
}

impl Peer {
    pub(super) async fn send(&mut self, message: &impl Message) {
        assert!(self.try_send(message).await, "the node closed the connection");
    }

    /// Whether the node still takes messages.
    pub(super) async fn try_send(&mut self, message: &impl Message) -> bool {
        let frame = message.encode().unwrap();
        let sent = self.stream.write_all_buf(&mut frame.head.chain(frame.body)).await;
        sent.is_ok() && self.stream.flush().await.is_ok()
    }

    /// The next message; `None` when the node has closed the connection.
    pub(super) async fn next<M: Message>(&mut self) -> Option<M> {
        loop {
            if let Some(message) = codec::decode(&mut self.buffer).unwrap() {
                return Some(message);
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            if read.expect("the node says something, or closes").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next message of the control connection that is no heartbeat.
    pub(super) async fn next_answer(&mut self) -> NodeMessage {
        loop {
            let message = self.next().await.unwrap();
            if !matches!(message, NodeMessage::Heartbeat(_)) {
                return message;
            }
        }
    }

    /// Waits until the node has sent something that is not read.
    pub(super) async fn unread(&self) {
        let stream = match &self.stream {
            Socket::Plain(stream) => stream,
            Socket::Tls(stream) => stream.get_ref().0,
        };
        tokio::time::timeout(PATIENCE, stream.readable()).await.expect("the node sends").unwrap();
    }

    /// Raw bytes on the wire, for what no message can say.
    pub(super) async fn send_raw(&mut self, bytes: Bytes) {
        self.stream.write_all(&bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }
}
