//! A connection to the proxy's fleet port: dialled, upgraded from HTTP/1.1, then frames both ways.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, InvalidHeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tls::{Tls, TlsError};
use crate::base::secret::Secret;
use crate::base::socket::{ReadHalf, Socket, WriteHalf};
use crate::wire::codec::{self, Frame, Message, WireError};
use crate::wire::message::{UPGRADE as PROTOCOL, VERSION_HEADER, WIRE_VERSION};

/// How long a connection may take until it is upgraded, TLS included.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the proxy's host may leave what was sent unacknowledged, or a probe unanswered, until it counts as gone.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a refusal's text that are read.
const MAX_REFUSAL_BYTES: usize = 4096;
/// Room that a read has at least.
const READ_BYTES: usize = 16 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The network says no, or the connection broke.
    #[error("{0}")]
    Network(#[from] io::Error),
    /// It took longer than five seconds.
    #[error("no answer within {DIAL_TIMEOUT:?}")]
    Timeout,
    /// What answers is no HTTP server.
    #[error("no HTTP: {0}{hint}", hint = hint(.0))]
    Http(#[from] hyper::Error),
    /// TLS did not come about.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The proxy takes nothing but TLS; its own text.
    #[error("{0}")]
    WantsTls(String),
    /// A token or secret that is no header value, or a proxy address that is none.
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    /// A proxy that does not take this connection: a wrong token, another version, a taken name.
    #[error("the proxy refuses with status {}: {text}", status.as_u16())]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What the proxy says, for the log.
        text: String,
    },
}

/// Something in front of the proxy may speak TLS for it, and says so in TLS's own words.
fn hint(error: &hyper::Error) -> &'static str {
    if error.is_parse() { "; if the proxy wants TLS, set fleet.tls_ca" } else { "" }
}

/// Why a connection that was there is of no further use.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// It broke.
    #[error("{0}")]
    Network(#[from] io::Error),
    /// It was closed.
    #[error("the proxy closed the connection")]
    Closed,
    /// What came is no frame, or what should go may not become one.
    #[error("{0}")]
    Wire(#[from] WireError),
}

/// Where the proxy is and how the node proves that it belongs to the fleet.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    /// `HOST:PORT` of its fleet port.
    pub(super) address: String,
    /// The fleet's token.
    pub(super) token: Option<Secret>,
    /// With whom to speak TLS; `None` for plain TCP.
    pub(super) tls: Option<Arc<Tls>>,
}

/// An upgraded connection, as the two halves that different tasks use.
pub(super) type Connection = (FrameReader, FrameWriter);

impl Proxy {
    /// Opens a connection to `path`, with one more header where the path needs it.
    pub(super) async fn dial(
        &self,
        path: &str,
        header: Option<(&str, &str)>,
    ) -> Result<Connection, DialError> {
        let request = self.request(path, header)?;
        let connecting = async {
            let stream = TcpStream::connect(&self.address).await?;
            prepare(&stream)?;
            let socket = match &self.tls {
                Some(tls) => tls.connect(&self.address, stream).await?,
                None => Socket::Plain(stream),
            };
            upgrade(socket, request).await
        };
        tokio::time::timeout(DIAL_TIMEOUT, connecting).await.map_err(|_| DialError::Timeout)?
    }

    fn request(
        &self,
        path: &str,
        header: Option<(&str, &str)>,
    ) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
        let mut request = Request::get(path)
            .header(HOST, &self.address)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, PROTOCOL)
            .header(VERSION_HEADER, WIRE_VERSION);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, sensitive(&[b"Bearer ", token.expose()].concat())?);
        }
        if let Some((name, value)) = header {
            request = request.header(name, sensitive(value.as_bytes())?);
        }
        request.body(Empty::new())
    }
}

/// A header value that no log of an HTTP library prints.
fn sensitive(value: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_bytes(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Small frames leave at once, and a peer that vanished without a word is noticed.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(2)).with_interval(Duration::from_secs(1));
    socket.set_tcp_keepalive(&probes.with_retries(3))?;
    socket.set_tcp_user_timeout(Some(PEER_TIMEOUT))
}

/// Sends the request and takes the stream back from the HTTP library once the proxy has switched protocols.
async fn upgrade(socket: Socket, request: Request<Empty<Bytes>>) -> Result<Connection, DialError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(response).await);
        }
        Ok(hyper::upgrade::on(response).await?)
    };
    let mut exchange = std::pin::pin!(exchange);
    // The connection's future moves the bytes; it ends when the upgrade is there, which `exchange` then returns.
    let upgraded = tokio::select! {
        biased;
        result = &mut exchange => result?,
        // An error of the connection is the exchange's as well, unless the answer came before it.
        _ = connection.with_upgrades() => exchange.await?,
    };
    let parts = upgraded
        .downcast::<TokioIo<Socket>>()
        .expect("the upgraded stream is of the type that the handshake was given");
    let (reader, writer) = parts.io.into_inner().into_split();
    Ok((FrameReader { stream: reader, buffer: parts.read_buf.into() }, FrameWriter { stream: writer }))
}

async fn refused(response: Response<Incoming>) -> DialError {
    let status = response.status();
    // RFC 2817 §4.2. Another version of our protocol has the same status, and our protocol's name there.
    let wants_tls = status == StatusCode::UPGRADE_REQUIRED
        && response.headers().get(UPGRADE).is_some_and(|to| to.as_bytes().starts_with(b"TLS/"));
    let body = Limited::new(response.into_body(), MAX_REFUSAL_BYTES).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&body).chars().filter(|character| !character.is_control()).collect();
    if wants_tls { DialError::WantsTls(text) } else { DialError::Refused { status, text } }
}

/// The receiving half.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: ReadHalf,
    buffer: BytesMut,
}

impl FrameReader {
    /// The next message. Cancel-safe: what was read of a frame is kept.
    pub(super) async fn next<M: Message>(&mut self) -> Result<M, ConnectionError> {
        loop {
            if let Some(message) = codec::decode(&mut self.buffer)? {
                return Ok(message);
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }

    /// Whether the proxy has closed the connection, without reading what it sent before.
    pub(super) async fn is_closed(&self) -> bool {
        self.stream.is_closed().await
    }
}

/// The sending half.
#[derive(Debug)]
pub(super) struct FrameWriter {
    stream: WriteHalf,
}

impl FrameWriter {
    /// Sends a message. Not cancel-safe: after a cancelled call the connection is of no use.
    pub(super) async fn send(&mut self, message: &impl Message) -> Result<(), ConnectionError> {
        self.send_frame(message.encode()?).await
    }

    /// Sends a frame; its pieces leave in one system call.
    pub(super) async fn send_frame(&mut self, frame: Frame) -> Result<(), ConnectionError> {
        let [head, body, tail] = frame.pieces();
        self.stream.write_all_buf(&mut Buf::chain(Buf::chain(head, body), tail)).await?;
        // TLS may still hold the last of it; TCP never does.
        Ok(self.stream.flush().await?)
    }

    /// Says that nothing more will come.
    pub(super) async fn finish(&mut self) -> Result<(), ConnectionError> {
        Ok(self.stream.shutdown().await?)
    }
}
