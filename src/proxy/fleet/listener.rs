//! The fleet port: accepts connections, answers the HTTP request that each begins with, and hands the socket on to a
//! control or lease task. Strangers get at most [`MAX_WAITING`] places and [`HANDSHAKE_TIMEOUT`] each.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE as UPGRADE_HEADER, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{info, warn};

use super::admission::{Denial, Wanted, admit};
use super::dispatch::Input;
use super::secret::LeaseSecret;
use super::{FleetSettings, SocketSlot, Upgraded, control, tls};
use crate::base::clock;
use crate::base::rate::RateBound;
use crate::base::reason::Reason;
use crate::base::secret::Secret;
use crate::base::shutdown::CancellationToken;
use crate::base::socket::Socket;
use crate::base::task::Tasks;
use crate::placement::fleet::{ConnectionId, MAX_NODES};
use crate::wire::message::{UPGRADE, VERSION_HEADER, WIRE_VERSION};

/// Connections that have not been upgraded yet. When there are so many, the next one waits in the kernel's backlog.
const MAX_WAITING: usize = 256;
/// How long a connection may take from being accepted to being upgraded, TLS included.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest request head, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Pause after a failed accept: with no file descriptor left the next one fails at once, too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Refused requests that are logged in a second; whoever knocks faster fills no disk.
const LOGGED_DENIALS_PER_SECOND: u32 = 10;

/// What decides who comes in, shared by all connections.
#[derive(Debug)]
pub(super) struct Door {
    token: Option<Secret>,
    /// With it every connection is TLS, and without it none.
    tls: Option<Arc<ServerConfig>>,
    inbox: mpsc::Sender<Input>,
    /// Control connections. When there are [`MAX_NODES`], the next one is refused.
    controls: Arc<Semaphore>,
    last_connection: AtomicU64,
    logged: Mutex<RateBound>,
}

/// What an admitted connection becomes.
enum Admitted {
    /// A node's control connection, with its place among [`MAX_NODES`].
    Control(OwnedSemaphorePermit),
    /// A lease's connection, with where it is waited for.
    Lease(SocketSlot),
}

/// Accepts until `stop`.
pub(super) async fn run(listener: TcpListener, door: Arc<Door>, tasks: Tasks, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_WAITING));
    let accepting = async {
        loop {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((socket, peer)) => {
                    tasks.spawn(serve(socket, peer, door.clone(), place, stop.clone()));
                }
                Err(error) => {
                    warn!(%error, "fleet connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
}

/// One connection, from its request to the end of what it becomes.
async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    door: Arc<Door>,
    place: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake(socket, peer, &door));
    let outcome = stop.run_until_cancelled(handshake).await;
    drop(place);
    match outcome {
        Some(Ok(Some((upgraded, Admitted::Control(permit))))) => {
            let id = ConnectionId(door.last_connection.fetch_add(1, Ordering::Relaxed));
            control::run(id, peer, upgraded, door.inbox.clone()).await;
            drop(permit);
        }
        Some(Ok(Some((upgraded, Admitted::Lease(slot))))) => {
            // If nobody waits any more the lease is over, and dropping the socket tells the node so.
            let _ = slot.send(upgraded);
        }
        Some(Ok(None)) | None => {}
        Some(Err(_)) => door.log(peer, Reason::HandshakeTimeout, "no complete request in time"),
    }
}

/// Answers the first request. `None` if it was turned away, or was not HTTP.
async fn handshake(socket: TcpStream, peer: SocketAddr, door: &Door) -> Option<(Upgraded, Admitted)> {
    // Frames are written as they come up; waiting for more (RFC 896) would hold the last one back.
    if let Err(error) = socket.set_nodelay(true) {
        door.log(peer, Reason::ConnectionLost, &error.to_string());
        return None;
    }
    let socket = match tls::open(socket, door.tls.clone()).await {
        Ok(socket) => socket,
        Err((reason, detail)) => {
            door.log(peer, reason, &detail);
            return None;
        }
    };
    let (mut upgraded, admitted) = ask(socket, peer, door).await?;
    match admitted {
        Some(what) => Some((upgraded, what)),
        None => {
            // It was told why; whoever has gone meanwhile has no use for an orderly end.
            let _ = upgraded.socket.shutdown().await;
            None
        }
    }
}

/// Answers the first request, and gives the connection back with what it may become. `None` if it was not HTTP.
async fn ask(socket: Socket, peer: SocketAddr, door: &Door) -> Option<(Upgraded, Option<Admitted>)> {
    let admitted = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let admitted = &admitted;
        async move {
            let answer = match door.admit(&request).await {
                Ok(what) => {
                    *admitted.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
                    switching_protocols()
                }
                Err(denial) => {
                    door.log(peer, denial.reason, &denial.detail);
                    turned_away(&denial)
                }
            };
            Ok::<_, Infallible>(answer)
        }
    });
    let http = http1::Builder::new()
        .keep_alive(false)
        // One who has asked and says no more still wants the answer.
        .half_close(true)
        .max_buf_size(MAX_HEAD_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service)
        .without_shutdown();
    let parts = match http.await {
        Ok(parts) => parts,
        Err(error) => {
            door.log(peer, Reason::ProtocolViolation, &error.to_string());
            return None;
        }
    };
    let upgraded = Upgraded { socket: parts.io.into_inner(), received: BytesMut::from(parts.read_buf) };
    Some((upgraded, admitted.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

impl Door {
    pub(super) fn new(settings: &FleetSettings, inbox: mpsc::Sender<Input>) -> Self {
        Self {
            token: settings.token.clone(),
            tls: settings.tls.clone(),
            inbox,
            controls: Arc::new(Semaphore::new(MAX_NODES)),
            last_connection: AtomicU64::new(1),
            logged: Mutex::new(RateBound::per_second(LOGGED_DENIALS_PER_SECOND)),
        }
    }

    /// Decides about a request: what its head tells first, then what only the state can tell.
    async fn admit(&self, request: &Request<Incoming>) -> Result<Admitted, Denial> {
        match admit(request.method(), request.uri().path(), request.headers(), self.token.as_ref())? {
            Wanted::Control => {
                self.controls.clone().try_acquire_owned().map(Admitted::Control).map_err(|_| {
                    let detail = format!("the proxy has {MAX_NODES} control connections, no more are taken");
                    Denial::new(StatusCode::SERVICE_UNAVAILABLE, Reason::LimitExceeded, detail)
                })
            }
            Wanted::Lease(secret) => self.claim(secret).await.map(Admitted::Lease).ok_or_else(|| {
                let detail = "no lease on offer has this secret; it is used once, and for two seconds";
                Denial::new(StatusCode::FORBIDDEN, Reason::WrongToken, detail)
            }),
        }
    }

    /// Uses a lease's secret up. `None` if there is no such lease on offer, or no dispatch any more.
    async fn claim(&self, secret: LeaseSecret) -> Option<SocketSlot> {
        let (reply, claimed) = oneshot::channel();
        self.inbox.send(Input::Claim { secret, reply }).await.ok()?;
        claimed.await.ok()
    }

    /// What strangers do is news, but not much of it.
    fn log(&self, peer: SocketAddr, reason: Reason, detail: &str) {
        let admits = self.logged.lock().unwrap_or_else(PoisonError::into_inner).admits(clock::now());
        if admits {
            info!(%peer, %reason, detail, "fleet connection refused");
        }
    }
}

/// RFC 9110 §15.2.2.
fn switching_protocols() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE_HEADER, HeaderValue::from_static(UPGRADE));
    response
}

/// The denial as text, with the headers that its status asks for (RFC 9110 §15.5.2 and §15.5.22).
fn turned_away(denial: &Denial) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{}\n", denial.detail)));
    *response.status_mut() = denial.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(VERSION_HEADER, HeaderValue::from(WIRE_VERSION));
    if denial.status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(UPGRADE_HEADER, HeaderValue::from_static(UPGRADE));
    }
    if denial.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
