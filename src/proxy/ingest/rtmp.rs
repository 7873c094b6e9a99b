//! One RTMP connection: the loop around a session. It reads, gives what was read to the session, writes its answers, acts on
//! its events, and hands media to the stream.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::mpsc::error::TrySendError;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info};

use crate::base::clock;
use crate::base::names::StreamName;
use crate::base::reason::Reason;
use crate::base::shutdown::CancellationToken;
use crate::media::flv::{Tag, TagKind};
use crate::proxy::fleet::Refused;
use crate::proxy::stream::registry::Published;
use crate::proxy::stream::task::{PublisherClosed, PublisherInput};
use crate::rtmp::{self, PublishRequest, Session};
use crate::stream::PublisherEnd;

use super::admission::Use;
use super::bitrate::BitrateMeter;
use super::intake::{Batch, Intake, Stop};
use super::limits::{Limit, Phase};
use super::meter::{Counted, Seat};
use super::rationed::Rationed;
use super::tenants::CountedForTenant;
use super::transport::{HangsUp, READ_BYTES, Transport};
use super::{Door, auth};

/// Bytes read at once before a key is proved: what is left of one read, while a publish waits for its answer, is memory that
/// a stranger makes us keep. The handshake takes 3073.
pub const UNPROVED_READ_BYTES: usize = 4 * 1024;
/// How long a peer may take to read an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a publisher reports for the gauges.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// What encoders are told when we stop.
const STOPPING: &str = "the server is stopping";

/// How a connection ended.
struct End {
    reason: Reason,
    /// What the stream is told, where it has not ended the publisher itself.
    publisher_end: PublisherEnd,
    detail: String,
}

impl End {
    fn broken(reason: Reason, detail: impl ToString) -> Self {
        Self { reason, publisher_end: PublisherEnd::Broken, detail: detail.to_string() }
    }
}

impl From<PublisherClosed> for End {
    /// An encoder's user is shown the detail, so it is never empty.
    fn from(closed: PublisherClosed) -> Self {
        let PublisherClosed { reason, detail } = closed;
        if !detail.is_empty() {
            Self::broken(reason, detail)
        } else if reason == Reason::TakenOver {
            Self::broken(reason, "another encoder took the stream over")
        } else if reason == Reason::Shutdown {
            Self::broken(reason, STOPPING)
        } else if reason == Reason::Ended {
            Self::broken(reason, "the stream has ended")
        } else {
            Self::broken(reason, reason)
        }
    }
}

/// One connection.
struct Connection {
    transport: Transport,
    intake: Intake,
    seat: Seat,
    door: Arc<Door>,
    phase: Phase,
    publishing: Option<Publishing>,
    /// Whether it was refused, and that was told.
    refused: bool,
    /// Whether the proxy stops, and the encoder was told.
    stopping: bool,
    /// When the connection is closed unless something happens. Bytes alone do not move it.
    deadline: Instant,
}

/// The stream that a connection publishes to.
struct Publishing {
    name: StreamName,
    stream: Published,
    counted: Counted,
    tenant: Option<CountedForTenant>,
    bitrate: BitrateMeter,
    began: Instant,
    bytes_before: u64,
    last_media: Instant,
    largest_message_bytes: usize,
    reported: Instant,
}

/// Serves one connection to its end, over TLS where there is a `tls`.
pub async fn serve(
    socket: TcpStream,
    seat: Seat,
    door: Arc<Door>,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    // Small answers must not wait for acknowledgements (RTMP's connect takes several round trips).
    if let Err(error) = socket.set_nodelay(true) {
        debug!(%error, "nodelay refused");
    }
    let deadline = clock::now() + door.bounds.handshake_timeout;
    let transport = match tls {
        None => Transport::Plain(socket),
        // Boxed: the state of a TLS handshake is large, and is of use for a moment only.
        Some(tls) => match Box::pin(accept_tls(&tls, socket, deadline, &stop)).await {
            Ok(transport) => transport,
            Err(end) => {
                if end.reason == Reason::HandshakeTimeout {
                    seat.hit(Limit::HandshakeTimeout);
                } else if end.reason == Reason::LimitExceeded {
                    seat.hit(Limit::UnprovedMemory);
                }
                return door.log_stranger(end.reason, &end.detail);
            }
        },
    };
    let intake = Intake::new(Session::new(door.limits));
    let phase = Phase::Handshaking;
    let (publishing, refused, stopping) = (None, false, false);
    let mut connection =
        Connection { transport, intake, seat, door, phase, publishing, refused, stopping, deadline };
    let end = connection.run(&stop).await;
    Box::pin(connection.close(end)).await;
}

async fn accept_tls(
    tls: &TlsAcceptor,
    socket: TcpStream,
    deadline: Instant,
    stop: &CancellationToken,
) -> Result<Transport, End> {
    tokio::select! {
        accepted = tls.accept(Rationed::new(socket)) => match accepted {
            Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                let detail = "this is no TLS that is spoken here; plain RTMP has a port of its own";
                Err(End::broken(Reason::ProtocolViolation, format!("{detail}: {error}")))
            }
            Err(error) => Err(unread(error)),
        },
        () = clock::until(Some(deadline)) => Err(End::broken(Reason::HandshakeTimeout, "no TLS in time")),
        () = stop.cancelled() => Err(End::broken(Reason::Shutdown, STOPPING)),
    }
}

/// Nothing more can be read: the connection is broken, or a stranger's ration is used up.
fn unread(error: io::Error) -> End {
    let rationed = error.kind() == io::ErrorKind::QuotaExceeded;
    End::broken(if rationed { Reason::LimitExceeded } else { Reason::ConnectionLost }, error)
}

impl Connection {
    async fn run(&mut self, stop: &CancellationToken) -> End {
        // Moved only when it has run out: a publisher's deadline moves with each of its messages.
        let timer = tokio::time::sleep_until(self.deadline.into());
        let stopped = stop.cancelled();
        tokio::pin!(timer, stopped);
        loop {
            let proved = self.phase == Phase::Publishing;
            let most = if proved { READ_BYTES } else { UNPROVED_READ_BYTES };
            let intake = &mut self.intake;
            let received = tokio::select! {
                biased;
                closed = closed(&mut self.publishing) => return closed.into(),
                () = &mut stopped, if !self.stopping => {
                    if let Err(end) = self.handle_stop().await {
                        return end;
                    }
                    continue;
                }
                received = self.transport.receive(most, |bytes| (bytes.len(), intake.take(bytes))) => received,
                () = &mut timer => {
                    if clock::now() >= self.deadline {
                        return self.timed_out();
                    }
                    timer.as_mut().reset(self.deadline.into());
                    continue;
                }
            };
            let handled = match received {
                Ok((0, _)) => Err(End::broken(Reason::ConnectionLost, "end of file")),
                Ok((bytes, batch)) => self.handle_batch(bytes, batch).await,
                Err(error) => Err(self.unread(error)),
            };
            if let Err(end) = handled {
                return end;
            }
            // Whoever always sends something never lets the timer have its turn.
            if clock::now() >= self.deadline {
                return self.timed_out();
            }
        }
    }

    /// Publishers stay until their streams end them: what they have sent is put out first.
    async fn handle_stop(&mut self) -> Result<(), End> {
        self.stopping = true;
        if self.publishing.is_none() {
            return Err(End::broken(Reason::Shutdown, STOPPING));
        }
        self.intake.session.request_reconnect(STOPPING);
        self.flush().await
    }

    fn timed_out(&self) -> End {
        let (limit, allowed) = self.door.bounds.timeout(self.phase);
        self.seat.hit(limit);
        let (reason, what) = match self.phase {
            Phase::Handshaking => (Reason::HandshakeTimeout, "no handshake"),
            Phase::Asking => (Reason::HandshakeTimeout, "no publish"),
            Phase::Publishing => (Reason::IdleTimeout, "no media"),
        };
        End::broken(reason, format!("{what} for {allowed:?} ({})", limit.key()))
    }

    /// Acts on what one read amounted to, and on all that is held after it.
    async fn handle_batch(&mut self, bytes: usize, mut batch: Batch) -> Result<(), End> {
        self.count(bytes)?;
        loop {
            self.flush().await?;
            self.pass_on(std::mem::take(&mut batch.tags)).await?;
            match batch.stop {
                None => break,
                Some(Stop::Full) => {}
                // Boxed: it comes once, and its state would be part of every connection.
                Some(Stop::Asked(request)) => Box::pin(self.handle_request(&request)).await?,
                Some(Stop::Ended) => {
                    let (reason, publisher_end) = (Reason::Unpublished, PublisherEnd::Orderly);
                    return Err(End { reason, publisher_end, detail: String::new() });
                }
                Some(Stop::Failed(error)) => return Err(self.failed(&error)),
            }
            batch = self.intake.go_on();
        }
        self.report()
    }

    fn unread(&self, error: io::Error) -> End {
        let end = unread(error);
        if end.reason == Reason::LimitExceeded {
            self.seat.hit(Limit::UnprovedMemory);
        }
        end
    }

    fn failed(&self, error: &rtmp::Error) -> End {
        if let Some(limit) = Limit::of_session(error, self.phase) {
            self.seat.hit(limit);
        }
        End::broken(error.reason(), error)
    }

    /// Counts what a publisher sends.
    fn count(&mut self, bytes: usize) -> Result<(), End> {
        let Some(publishing) = &mut self.publishing else { return Ok(()) };
        publishing.counted.count(bytes);
        publishing.tenant.iter().for_each(|tenant| tenant.count(bytes));
        publishing.bitrate.count(bytes, clock::now()).map_err(|exceeded| {
            self.seat.hit(Limit::Bitrate);
            End::broken(Reason::LimitExceeded, exceeded)
        })
    }

    /// Follows how far the connection has come, tells what it uses, and helps it on. An error is that its tenant sends too
    /// much.
    fn report(&mut self) -> Result<(), End> {
        let now = clock::now();
        if self.phase == Phase::Handshaking && self.intake.session.has_shaken_hands() {
            self.enter(Phase::Asking);
        }
        let memory_bytes = self.intake.memory_bytes();
        let chunk_streams = self.intake.session.chunk_streams();
        let Some(publishing) = &mut self.publishing else {
            self.transport.acknowledge_now();
            self.seat.report(Use { memory_bytes, chunk_streams, ..Use::default() }, None);
            return Ok(());
        };
        if now.saturating_duration_since(publishing.reported) >= REPORT_INTERVAL {
            publishing.reported = now;
            let (bitrate, message_bytes) = (publishing.bitrate.bitrate(), publishing.largest_message_bytes);
            let used = Use { bitrate, message_bytes, memory_bytes, chunk_streams };
            self.seat.report(used, Some(publishing.last_media));
            let allowed = publishing.tenant.as_ref().map_or(Ok(()), |tenant| tenant.report(now));
            allowed.map_err(|exceeded| End::broken(Reason::LimitExceeded, exceeded))?;
        }
        Ok(())
    }

    fn enter(&mut self, phase: Phase) {
        let (_, timeout) = self.door.bounds.timeout(phase);
        (self.phase, self.deadline) = (phase, clock::now() + timeout);
        self.seat.enter(phase);
    }

    async fn handle_request(&mut self, request: &PublishRequest) -> Result<(), End> {
        let door = Arc::clone(&self.door);
        let admitted = match auth::admit(&door.tenants, request) {
            Ok(admitted) => admitted,
            Err(denied) => return self.refuse(denied.reason, denied.text).await,
        };
        match door.registry.publish(&admitted.stream, admitted.tenant, self.seat.id()).await {
            Err(Refused { reason, text }) => self.refuse(reason, text).await,
            Ok(stream) => {
                let tls = self.transport.security();
                info!(stream = %admitted.stream, encoder = request.encoder, tls, "publisher opened");
                self.open(admitted.stream, stream);
                self.intake.session.accept_publish();
                self.flush().await
            }
        }
    }

    fn open(&mut self, name: StreamName, stream: Published) {
        let (now, bounds) = (clock::now(), &self.door.bounds);
        self.publishing = Some(Publishing {
            tenant: self.door.tenant_meters.publisher(&name.tenant, self.seat.id()),
            name,
            stream,
            counted: self.seat.publisher(),
            bitrate: BitrateMeter::new(bounds.max_bitrate, bounds.bitrate_grace, now),
            began: now,
            bytes_before: self.intake.session.bytes_received(),
            last_media: now,
            largest_message_bytes: 0,
            reported: now,
        });
        self.transport.lift_ration();
        self.enter(Phase::Publishing);
    }

    async fn refuse(&mut self, reason: Reason, text: String) -> Result<(), End> {
        self.door.log_refusal(reason, &text);
        self.seat.count_refused_publish();
        self.refused = true;
        self.intake.session.refuse_publish(reason, &text);
        self.flush().await?;
        Err(End::broken(reason, text))
    }

    /// Hands media to the stream; waits while its queue is full, and with it the publisher's TCP connection. That time is
    /// ours: the publisher's silence counts from its end.
    async fn pass_on(&mut self, tags: Vec<Tag>) -> Result<(), End> {
        let Some(publishing) = self.publishing.as_mut().filter(|_| !tags.is_empty()) else { return Ok(()) };
        let largest = tags.iter().map(|tag| tag.payload.len()).max().unwrap_or(0);
        publishing.largest_message_bytes = publishing.largest_message_bytes.max(largest);
        let alive = tags.iter().any(|tag| tag.kind != TagKind::Script);
        let input = PublisherInput::Media { publisher: self.seat.id(), tags };
        let Published { inbox, close } = &mut publishing.stream;
        let sent = match inbox.try_send(input) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(close.try_recv().unwrap_or_else(|_| ended())),
            Err(TrySendError::Full(input)) => tokio::select! {
                biased;
                closed = &mut *close => Err(closed.unwrap_or_else(|_| ended())),
                sent = inbox.send(input) => sent.map_err(|_| ended()),
            },
        };
        // Only media shows that a publisher is alive: pings or script data alone would hold a stream for ever.
        if alive {
            publishing.last_media = clock::now();
            self.deadline = publishing.last_media + self.door.bounds.idle_timeout;
        }
        sent.map_err(End::from)
    }

    /// Sends what the session has to say, in one piece.
    async fn flush(&mut self) -> Result<(), End> {
        let output = self.intake.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(WRITE_TIMEOUT, self.transport.send(&output)).await {
            Ok(Ok(())) => Ok(()),
            // A publisher that has closed no longer takes our acknowledgements, but what it sent before is still to be
            // read, and its last words may be there. Reading finds the end.
            Ok(Err(error)) => {
                debug!(%error, "an answer could not be written");
                Ok(())
            }
            Err(_) => Err(End::broken(Reason::IdleTimeout, "the peer does not read")),
        }
    }

    /// Tells the log, the stream and the encoder, in this order: the stream shall not wait for an encoder that does not read.
    async fn close(mut self, end: End) {
        let End { reason, publisher_end, detail } = end;
        if let Some(publishing) = self.publishing.take() {
            let bytes = self.intake.session.bytes_received().saturating_sub(publishing.bytes_before);
            let duration_s = clock::now().saturating_duration_since(publishing.began).as_secs();
            info!(stream = %publishing.name, %reason, detail, duration_s, bytes, "publisher ended");
            let closed = PublisherInput::Closed { publisher: self.seat.id(), end: publisher_end };
            // The stream may have ended first.
            let _ = publishing.stream.inbox.send(closed).await;
            self.tell_end(reason, &detail).await;
        } else if !self.refused {
            // It has proved nothing, so it gets one rate-limited line at most.
            self.door.log_stranger(reason, &detail);
        }
        let Self { transport, seat, .. } = self;
        let first = if reason == Reason::Unpublished { HangsUp::Peer } else { HangsUp::We };
        transport.close(first).await;
        drop(seat);
    }

    async fn tell_end(&mut self, reason: Reason, detail: &str) {
        if reason == Reason::ConnectionLost {
            return;
        }
        if reason == Reason::Shutdown && !self.stopping {
            self.intake.session.request_reconnect(STOPPING);
        }
        self.intake.session.end_publish(reason, detail);
        if let Err(End { detail, .. }) = self.flush().await {
            debug!(detail, "the encoder was not told why it ended");
        }
    }
}

/// Waits until the stream closes its publisher; for ever while there is none.
async fn closed(publishing: &mut Option<Publishing>) -> PublisherClosed {
    let Some(publishing) = publishing else { return std::future::pending().await };
    (&mut publishing.stream.close).await.unwrap_or_else(|_| ended())
}

/// What is said of a stream that ended without a word.
fn ended() -> PublisherClosed {
    PublisherClosed { reason: Reason::Ended, detail: String::new() }
}

#[cfg(test)]
mod tests;
