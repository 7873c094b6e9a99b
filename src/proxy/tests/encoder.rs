//! A publisher over a real socket, with TLS or without: the tests' RTMP client with the simulation's pictures and sound.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::media::amf0::Value;
use crate::media::flv::{Tag, TagKind};
use crate::proxy::fleet::tests::soon;
use crate::rtmp::client::{Client, MESSAGE_STREAM, commands};
use crate::rtmp::handshake;
use crate::stream::simulation::source::{Numbers, Shape, Source};

/// What the server's handshake takes.
const HANDSHAKE_BYTES: usize = 1 + 2 * handshake::HANDSHAKE_BYTES;

/// What carries an encoder's bytes.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// One connection of an encoder.
pub struct Encoder {
    pub client: Client,
    socket: Box<dyn Socket>,
    received: Vec<u8>,
    source: Source,
    numbers: Numbers,
}

impl Encoder {
    /// Connected, with nothing said yet.
    pub async fn connect(door: SocketAddr) -> Self {
        Self::over(TcpStream::connect(door).await.expect("the RTMP port is open"))
    }

    /// The same over TLS of one of these versions, where it trusts one certificate. An error is TLS's.
    pub async fn connect_tls(
        door: SocketAddr,
        trusted: &CertificateDer<'static>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> std::io::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(door).await.expect("the RTMPS port is open");
        let host = ServerName::try_from("localhost").expect("a name");
        let stream = soon(TlsConnector::from(Arc::new(config)).connect(host, socket)).await?;
        Ok(Self::over(stream))
    }

    fn over(socket: impl Socket + 'static) -> Self {
        let (client, source, numbers) =
            (Client::new(), Source::new(u32::MAX, false, Shape::Whole), Numbers::default());
        Self { client, socket: Box::new(socket), received: Vec::new(), source, numbers }
    }

    /// Has asked to publish, and read no answer.
    pub async fn ask(door: SocketAddr, app: &str, stream: &str) -> Self {
        let mut encoder = Self::connect(door).await;
        encoder.say_publish(app, stream);
        encoder.flush().await;
        encoder
    }

    /// Says that it wants to publish; goes out with the next flush.
    pub fn say_publish(&mut self, app: &str, stream: &str) {
        self.client.connect(app);
        self.client.call(0, "createStream", 4.0, &[]);
        self.client.publish(stream);
    }

    /// Publishes, and has sent what it will send.
    pub async fn publish(door: SocketAddr, stream: &str) -> Self {
        let mut encoder = Self::connect(door).await;
        encoder.start(stream).await;
        encoder
    }

    /// The same on a connection that is there.
    pub async fn start(&mut self, stream: &str) {
        self.say_publish("live", stream);
        self.flush().await;
        self.told("NetStream.Publish.Start").await;
        let configuration = self.source.configuration();
        self.send(configuration).await;
    }

    /// Says what it needs to be understood, and so many pictures; goes out with the next flush.
    pub fn say_pictures(&mut self, count: u32) {
        let mut tags = self.source.configuration();
        for _ in 0..count {
            tags.extend(self.source.next_tags(&mut self.numbers).expect("it never ends"));
        }
        self.say(tags);
    }

    /// Sends so many pictures of 40 ms, ten to a GOP, and the sound that goes with them.
    pub async fn pictures(&mut self, count: u32) {
        for _ in 0..count {
            let tags = self.source.next_tags(&mut self.numbers).expect("it never ends");
            self.send(tags).await;
        }
    }

    /// Ends in order.
    pub async fn unpublish(&mut self) {
        self.client.call(0, "FCUnpublish", 6.0, &["demo".into()]);
        self.client.call(MESSAGE_STREAM, "deleteStream", 7.0, &[f64::from(MESSAGE_STREAM).into()]);
        self.flush().await;
    }

    /// Sends what the client has said. The other side may have closed.
    pub async fn flush(&mut self) {
        let bytes = self.client.bytes.split();
        let _ = soon(self.socket.write_all(&bytes)).await;
    }

    async fn send(&mut self, tags: Vec<Tag>) {
        self.say(tags);
        self.flush().await;
    }

    fn say(&mut self, tags: Vec<Tag>) {
        for Tag { kind, timestamp_ms, payload } in tags {
            let type_id = match kind {
                TagKind::Audio => 8,
                TagKind::Video => 9,
                TagKind::Script => 18,
            };
            self.client.media(type_id, timestamp_ms, &payload);
        }
    }

    /// Reads until it is told `code`, and gives the text that came with it.
    pub async fn told(&mut self, code: &str) -> String {
        loop {
            if let Some((_, text)) = self.statuses().into_iter().find(|(told, _)| told == code) {
                return text;
            }
            assert!(self.read().await, "closed before {code}, after {:?}", self.statuses());
        }
    }

    /// Reads until the server has closed, in order, and gives all codes it was told.
    pub async fn closed(&mut self) -> Vec<String> {
        while self.read().await {}
        self.statuses().into_iter().map(|(code, _)| code).collect()
    }

    /// Whether there was more to read. A reset fails the test: what was on its way to us would be lost with it.
    async fn read(&mut self) -> bool {
        soon(self.socket.read_buf(&mut self.received)).await.expect("closed in order") > 0
    }

    /// Each status so far: its code and its text.
    fn statuses(&self) -> Vec<(String, String)> {
        if self.received.len() < HANDSHAKE_BYTES {
            return Vec::new();
        }
        let text = |value: &Value, key| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let status = |value: &Value| text(value, "code").zip(text(value, "description"));
        commands(&self.received).iter().flat_map(|(_, values)| values).filter_map(status).collect()
    }
}
