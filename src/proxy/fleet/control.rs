//! A node's control connection: heartbeats up, leases down. The task moves messages between the socket and dispatch,
//! and holds the node to the form: hello first and soon, sound frames, not too many.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tracing::{Instrument, debug, info_span};

use super::Upgraded;
use super::dispatch::Input;
use super::outbox::Outbox;
use crate::base::clock;
use crate::base::rate::RateBound;
use crate::base::reason::Reason;
use crate::base::socket::{ReadHalf, WriteHalf};
use crate::placement::fleet::ConnectionId;
use crate::placement::load::MAX_SLOTS;
use crate::wire::codec::{self, Message, WireError};
use crate::wire::message::{NodeMessage, ProxyMessage};

/// Messages that wait to be written to a node: a lease and its end for each slot that it may have, because all may come at
/// once, when another node is lost. When it is full the node does not read, and is treated as lost.
const QUEUE_CAPACITY: usize = 2 * MAX_SLOTS as usize;
/// How long a node may take to say hello after the upgrade.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that a node may send in a second, refusals of leases left out; at a heartbeat every 250 ms it sends about four.
const MAX_MESSAGES_PER_SECOND: u32 = 200;
/// Refusals that it may send in a second: one for each slot, because it may be offered as many leases at once.
const MAX_REFUSALS_PER_SECOND: u32 = MAX_SLOTS;
/// How long the last messages to a node, and its own end, may take when the connection is closed from our side.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Room that is kept free in the receive buffer.
const READ_BYTES: usize = 8 * 1024;

/// Why a control connection is over.
#[derive(Debug, thiserror::Error)]
enum End {
    /// Dispatch wants it closed, or is gone.
    #[error("closed by the proxy")]
    Closed,
    #[error("the node closed the connection")]
    Eof,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("no hello within {} s", HELLO_TIMEOUT.as_secs())]
    NoHello,
    #[error("the first message is no hello")]
    HelloNotFirst,
    #[error("more than {MAX_MESSAGES_PER_SECOND} messages in a second")]
    TooManyMessages,
    #[error("more than {MAX_REFUSALS_PER_SECOND} leases refused in a second")]
    TooManyRefusals,
}

/// Serves one node until either side ends it, and tells dispatch.
pub(super) async fn run(
    connection: ConnectionId,
    peer: SocketAddr,
    upgraded: Upgraded,
    inbox: mpsc::Sender<Input>,
) {
    let span = info_span!("control", %peer, connection = connection.0);
    let (mut socket, mut writer) = upgraded.socket.into_split();
    let (sender, queue) = mpsc::channel(QUEUE_CAPACITY);
    let mut control = Control {
        inbox,
        connection,
        newcomer: Some(sender),
        queue,
        outbox: Outbox::default(),
        received: upgraded.received,
        rate: RateBound::per_second(MAX_MESSAGES_PER_SECOND),
        refusals: RateBound::per_second(MAX_REFUSALS_PER_SECOND),
        hello_by: clock::now() + HELLO_TIMEOUT,
    };
    async {
        let end = match control.talk(&mut socket, &mut writer).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        debug!(reason = %end.reason(), detail = %end, "control connection ends");
        control.say_goodbye(&end, &mut socket, &mut writer).await;
        // Dispatch is gone only when everything stops.
        let _ = control.inbox.send(Input::Disconnected { connection, reason: end.reason() }).await;
    }
    .instrument(span)
    .await;
}

/// What never is, for a loop that only errors end.
enum Never {}

/// One control connection.
struct Control {
    /// Dispatch.
    inbox: mpsc::Sender<Input>,
    connection: ConnectionId,
    /// How dispatch will reach the node; goes to it with the hello.
    newcomer: Option<mpsc::Sender<ProxyMessage>>,
    /// What dispatch has for the node; its end is the order to close.
    queue: mpsc::Receiver<ProxyMessage>,
    outbox: Outbox,
    /// What was read and is no whole frame yet; at most one frame of the codec's limit, and what one read brings.
    received: BytesMut,
    rate: RateBound,
    refusals: RateBound,
    hello_by: Instant,
}

impl Control {
    /// Moves messages both ways until something ends it. Every arm is cancel-safe.
    async fn talk(&mut self, socket: &mut ReadHalf, writer: &mut WriteHalf) -> Result<Never, End> {
        loop {
            self.take_messages().await?;
            self.received.reserve(READ_BYTES);
            let hello_by = self.newcomer.is_some().then_some(self.hello_by);
            tokio::select! {
                message = self.queue.recv(), if self.outbox.has_room() => {
                    self.outbox.push(message.ok_or(End::Closed)?.encode()?);
                }
                written = self.outbox.write_to(writer), if !self.outbox.is_empty() => { written?; }
                read = socket.read_buf(&mut self.received) => {
                    if read? == 0 {
                        return Err(End::Eof);
                    }
                }
                () = clock::until(hello_by) => return Err(End::NoHello),
            }
        }
    }

    /// Hands on what has been received in full. Waits for room at dispatch, which never waits for us.
    async fn take_messages(&mut self) -> Result<(), End> {
        while let Some(message) = codec::decode::<NodeMessage>(&mut self.received)? {
            let (rate, too_many) = match message {
                NodeMessage::LeaseRefused { .. } => (&mut self.refusals, End::TooManyRefusals),
                NodeMessage::Hello(_)
                | NodeMessage::Heartbeat(_)
                | NodeMessage::Capabilities(_)
                | NodeMessage::Leaving => (&mut self.rate, End::TooManyMessages),
            };
            if !rate.admits(clock::now()) {
                return Err(too_many);
            }
            let connection = self.connection;
            let input = match (self.newcomer.take(), message) {
                (Some(queue), NodeMessage::Hello(hello)) => Input::Hello { connection, hello, queue },
                (
                    Some(_),
                    NodeMessage::Heartbeat(_)
                    | NodeMessage::Capabilities(_)
                    | NodeMessage::LeaseRefused { .. }
                    | NodeMessage::Leaving,
                ) => {
                    return Err(End::HelloNotFirst);
                }
                (None, message) => Input::Heard { connection, message },
            };
            self.inbox.send(input).await.map_err(|_| End::Closed)?;
        }
        Ok(())
    }

    /// Says why, where that is the node's fault, and writes what is left to write. Then reads on until the node closes
    /// too: bytes left unread would make the kernel reset the connection (RFC 1122 §4.2.2.13), and the node might never
    /// see why.
    async fn say_goodbye(&mut self, end: &End, socket: &mut ReadHalf, writer: &mut WriteHalf) {
        while let Ok(message) = self.queue.try_recv() {
            self.push(&message);
        }
        match end {
            End::Eof | End::Io(_) => return,
            End::Closed => {}
            End::Wire(_)
            | End::NoHello
            | End::HelloNotFirst
            | End::TooManyMessages
            | End::TooManyRefusals => {
                self.push(&ProxyMessage::Refused { reason: end.reason(), detail: end.to_string() });
            }
        }
        let goodbye = async {
            while !self.outbox.is_empty() {
                self.outbox.write_to(writer).await?;
            }
            writer.shutdown().await?;
            self.received.clear();
            while socket.read_buf(&mut self.received).await? > 0 {
                self.received.clear();
            }
            Ok::<_, io::Error>(())
        };
        if !matches!(tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await, Ok(Ok(()))) {
            debug!("the node did not take its goodbye");
        }
    }

    /// Queues one of the last messages, of which there are at most as many as the queue holds, and one.
    fn push(&mut self, message: &ProxyMessage) {
        match message.encode() {
            Ok(frame) => self.outbox.push(frame),
            Err(error) => debug!(%error, "last message not written"),
        }
    }
}

impl End {
    fn reason(&self) -> Reason {
        match self {
            Self::Closed => Reason::Shutdown,
            Self::Eof | Self::Io(_) => Reason::ConnectionLost,
            Self::Wire(WireError::TooLong { .. }) | Self::TooManyMessages | Self::TooManyRefusals => {
                Reason::LimitExceeded
            }
            Self::Wire(
                WireError::NoKind
                | WireError::UnknownKind(_)
                | WireError::TooShort { .. }
                | WireError::UnknownFlags(_)
                | WireError::Json { .. },
            )
            | Self::HelloNotFirst => Reason::ProtocolViolation,
            Self::NoHello => Reason::HandshakeTimeout,
        }
    }
}
