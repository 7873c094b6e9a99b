//! One RTMP connection: the loop around [`Session`]. It reads, gives what was read to the session, acts on its events,
//! and writes its answers.

use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::{debug, info};

use crate::base::clock;
use crate::base::reason::Reason;
use crate::base::shutdown::CancellationToken;
use crate::proxy::stream::registry::Published;
use crate::proxy::stream::task::{PublisherClosed, PublisherInput};
use crate::rtmp::{Event, PublishRequest, Session};
use crate::stream::{PublisherEnd, PublisherId};

use super::meter::Counted;
use super::{Door, auth};

/// Bytes read at once. The buffer lives as long as its connection; what it holds is consumed before the next read.
const READ_BYTES: usize = 16 * 1024;
/// How long a peer may take to read an answer.
const WRITE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

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

/// One connection.
struct Connection<'a> {
    socket: TcpStream,
    session: Session,
    id: PublisherId,
    door: &'a Door,
    publishing: Option<Publishing>,
    /// Whether it was refused, and that was told.
    refused: bool,
    /// When the connection is closed unless something happens.
    deadline: Instant,
}

/// The stream that a connection publishes to.
struct Publishing {
    stream: Published,
    counted: Counted,
    began: Instant,
    bytes_before: u64,
}

/// Serves one connection to its end.
pub async fn serve(socket: TcpStream, id: PublisherId, door: &Door, stop: CancellationToken) {
    // Small answers must not wait for acknowledgements (RTMP's connect takes several round trips).
    if let Err(error) = socket.set_nodelay(true) {
        debug!(%error, "nodelay refused");
    }
    let deadline = clock::now() + door.handshake_timeout;
    let session = Session::new(door.limits);
    let mut connection = Connection { socket, session, id, door, publishing: None, refused: false, deadline };
    let end = connection.run(stop).await;
    connection.close(end).await;
}

impl Connection<'_> {
    async fn run(&mut self, stop: CancellationToken) -> End {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        loop {
            buffer.clear();
            tokio::select! {
                read = self.socket.read_buf(&mut buffer) => match read {
                    Ok(0) => return End::broken(Reason::ConnectionLost, "end of file"),
                    Ok(_) => {}
                    Err(error) => return End::broken(Reason::ConnectionLost, error),
                },
                closed = closed(&mut self.publishing) => return End::broken(closed.reason, closed.detail),
                () = clock::until(Some(self.deadline)) => return self.timed_out(),
                () = stop.cancelled(), if self.publishing.is_none() => {
                    return End::broken(Reason::Shutdown, "stopping");
                }
            }
            if let Err(end) = self.handle_input(&buffer).await {
                return end;
            }
        }
    }

    fn timed_out(&self) -> End {
        match self.publishing {
            Some(_) => End::broken(Reason::IdleTimeout, "nothing came"),
            None => End::broken(Reason::HandshakeTimeout, "did not publish in time"),
        }
    }

    async fn handle_input(&mut self, mut input: &[u8]) -> Result<(), End> {
        if let Some(publishing) = &self.publishing {
            publishing.counted.count(input.len());
        }
        loop {
            let event = self.session.handle_input(&mut input);
            self.flush().await?;
            match event.map_err(|error| End::broken(error.reason(), error))? {
                None => return Ok(()),
                Some(Event::PublishRequested(request)) => self.handle_request(&request).await?,
                Some(Event::Media(tag)) => {
                    // Only media shows that a publisher is alive: pings alone would hold a stream for ever.
                    self.deadline = clock::now() + self.door.idle_timeout;
                    self.pass_on(PublisherInput::Media { publisher: self.id, tag }).await?
                }
                Some(Event::PublishEnded) => {
                    let (reason, publisher_end) = (Reason::Unpublished, PublisherEnd::Orderly);
                    return Err(End { reason, publisher_end, detail: String::new() });
                }
            }
        }
    }

    async fn handle_request(&mut self, request: &PublishRequest) -> Result<(), End> {
        let admitted = match auth::admit(&self.door.tenants, request) {
            Ok(admitted) => admitted,
            Err(denied) => return self.refuse(denied.reason, denied.text).await,
        };
        match self.door.registry.publish(&admitted.stream, admitted.tenant, self.id).await {
            Err(reason) => {
                let text = if reason == Reason::LimitExceeded {
                    "the tenant has as many streams as it may have"
                } else if reason == Reason::AlreadyPublishing {
                    "the stream has a publisher"
                } else {
                    "the stream cannot be published now"
                };
                self.refuse(reason, text.to_owned()).await
            }
            Ok(stream) => {
                info!(stream = %admitted.stream, encoder = request.encoder, "publisher opened");
                let bytes_before = self.session.bytes_received();
                let (counted, began) = (self.door.meter.publisher(), clock::now());
                self.publishing = Some(Publishing { stream, counted, began, bytes_before });
                self.deadline = clock::now() + self.door.idle_timeout;
                self.session.accept_publish();
                self.flush().await
            }
        }
    }

    async fn refuse(&mut self, reason: Reason, text: String) -> Result<(), End> {
        self.door.log_refusal(reason, &text);
        self.refused = true;
        self.session.refuse_publish(reason, &text);
        self.flush().await?;
        Err(End::broken(reason, text))
    }

    /// Hands something to the stream; waits while its queue is full, and with it the publisher's TCP connection.
    async fn pass_on(&mut self, input: PublisherInput) -> Result<(), End> {
        let Some(publishing) = &mut self.publishing else { return Ok(()) };
        if publishing.stream.inbox.send(input).await.is_ok() {
            return Ok(());
        }
        // The stream may have said why just before it ended.
        Err(match publishing.stream.close.try_recv() {
            Ok(closed) => End::broken(closed.reason, closed.detail),
            Err(_) => End::broken(Reason::Ended, "the stream has ended"),
        })
    }

    async fn flush(&mut self) -> Result<(), End> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(WRITE_TIMEOUT, self.socket.write_all(&output)).await {
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

    async fn close(mut self, end: End) {
        let End { reason, publisher_end, detail } = end;
        let Some(publishing) = self.publishing.take() else {
            // It has proved nothing, so it gets one rate-limited line at most.
            if !self.refused {
                self.door.log_stranger(reason, &detail);
            }
            return drain(self.socket).await;
        };
        let bytes = self.session.bytes_received() - publishing.bytes_before;
        let duration_s = clock::now().saturating_duration_since(publishing.began).as_secs();
        info!(%reason, detail, duration_s, bytes, "publisher ended");
        let closed = PublisherInput::Closed { publisher: self.id, end: publisher_end };
        // The stream may have ended first.
        let _ = publishing.stream.inbox.send(closed).await;
        drain(self.socket).await;
    }
}

/// Closes for writing and reads what is still under way, for a moment: closing with unread input would reset the
/// connection, and the peer would never see why it was refused.
async fn drain(mut socket: TcpStream) {
    const LONGEST: std::time::Duration = std::time::Duration::from_millis(500);
    const MOST: usize = 1024 * 1024;
    let drained = async {
        let mut buffer = [0; 4096];
        let mut left = MOST;
        if socket.shutdown().await.is_err() {
            return;
        }
        while let Ok(read @ 1..) = socket.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    // Whatever has not come by then is lost on purpose.
    let _ = tokio::time::timeout(LONGEST, drained).await;
}

/// Waits until the stream closes its publisher; for ever while there is none.
async fn closed(publishing: &mut Option<Publishing>) -> PublisherClosed {
    let Some(publishing) = publishing else { return std::future::pending().await };
    let ended = PublisherClosed { reason: Reason::Ended, detail: String::new() };
    (&mut publishing.stream.close).await.unwrap_or(ended)
}

#[cfg(test)]
mod tests;
