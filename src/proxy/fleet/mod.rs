//! The fleet link of the proxy: nodes dial the fleet port, streams ask for leases, and this room brings them together.
//! It acts; what is decided about nodes and leases is decided in [`crate::placement`].
//!
//! ```text
//!  listener ── admission ──► control (a task a node) ──┐ hello, heartbeats           streams
//!     │                                                ▼                                │ FleetHandle::request
//!     │ a lease's secret ─────────────────────► dispatch (one task: placement::fleet) ◄─┘
//!     │                                                │ spawns, fails
//!     └── the lease's socket ──────────────────► lease (a task a lease) ── LeaseEvent ──► the stream
//! ```
//!
//! Dispatch never waits for another task, so nothing that waits for it can wait for ever. Every queue between them is
//! bounded, and each says what happens when it is full.

mod admission;
mod booking;
mod control;
mod dispatch;
mod learned;
mod lease;
mod listener;
mod outbox;
mod output_guard;
mod secret;
mod tls;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::booking::{Booking, Refused};
use self::dispatch::{Dispatch, Input};
use crate::base::names::{Name, StreamName};
use crate::base::reason::Reason;
use crate::base::secret::Secret;
use crate::base::shutdown::CancellationToken;
use crate::base::socket::Socket;
use crate::base::task::Tasks;
use crate::placement::demand::Demand;
use crate::placement::fleet::drain::UnknownNode;
pub use crate::placement::fleet::snapshot::FleetSnapshot;
use crate::placement::place::decision::Decision;
use crate::placement::policy::Policy;
use crate::placement::tenancy::TenantLimits;
use crate::wire::message::{AttemptSpec, LeaseInput, LeaseOutput};

/// Inputs that wait for the dispatch task. A node's messages wait for room, which slows that node's reading down; a
/// stream's request is refused with [`Reason::NoNode`] when it is full.
const INBOX_CAPACITY: usize = 1024;
/// How long a publish waits to be judged; dispatch takes milliseconds, unless there is more than it can do.
const ADMIT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the fleet link must know.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// What a node must present; `None` takes any node.
    pub token: Option<Secret>,
    /// How often nodes send a heartbeat.
    pub heartbeat: Duration,
    /// After how long without one a node is suspect.
    pub suspect_after: Duration,
    /// What the proxy calls itself to its nodes.
    pub proxy_id: String,
    /// What each tenant may have of the nodes.
    pub tenants: BTreeMap<Name, TenantLimits>,
    /// What the port speaks TLS with; `None` leaves it plain.
    pub tls: Option<Arc<ServerConfig>>,
    /// How nodes are chosen.
    pub policy: Policy,
    /// The file in which it is kept what work really costs; `None` keeps nothing.
    pub learned: Option<PathBuf>,
}

/// A stream's wish to have an attempt run somewhere.
#[derive(Debug)]
pub struct LeaseRequest {
    /// The stream, for the node's log and ours.
    pub stream: StreamName,
    /// What to run.
    pub attempt: AttemptSpec,
    /// Where it may run.
    pub demand: Demand,
    /// What goes to the node once it is attached. Dropping the sender gives the lease up, at once, whatever is still
    /// queued; so the sender must be kept until the last event, after [`LeaseInput::EndOfInput`] too. When the node
    /// takes nothing more the queue fills up: a stream that waits for room must go on reading its events meanwhile.
    pub input: mpsc::Receiver<LeaseInput>,
    /// What becomes of it, with [`AttemptSpec::number`]. When it is full, reading from the node stops until there is
    /// room; writing to it goes on.
    pub events: mpsc::Sender<Box<(u32, LeaseEvent)>>,
}

/// What becomes of a lease. [`LeaseEvent::Failed`] or [`LeaseOutput::Ended`] comes exactly once, and last.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseEvent {
    /// It was offered to a node.
    Placed {
        /// Which one.
        node: Name,
        /// Why that one.
        placement: Arc<Decision>,
    },
    /// The node has connected for it; what comes through the input is sent from now on.
    Attached,
    /// That many more inputs were written to the socket, in order.
    Written {
        /// How many.
        inputs: usize,
    },
    /// The node says something. Indices of renditions are those of the attempt's ladder.
    Output(LeaseOutput),
    /// It is over without an orderly end.
    Failed {
        /// The node that had it, if there was one.
        node: Option<Name>,
        /// Why: [`Reason::NoNode`], [`Reason::NoRoom`], [`Reason::UnsupportedCodec`] (no node can read the input, so that it is of no use to ask
        /// again), [`Reason::HandshakeTimeout`] (the node did not connect for it),
        /// [`Reason::NodeLost`], [`Reason::ProtocolViolation`], [`Reason::Superseded`] (given up by the stream),
        /// [`Reason::Shutdown`], or why the node refused it.
        reason: Reason,
        /// For the log and the API.
        detail: String,
        /// What each node lacked, if none was found.
        placement: Option<Arc<Decision>>,
    },
}

/// What an operator may want of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Give it no new lease, also when it comes back.
    Drain,
    /// Give it leases again.
    Undrain,
    /// Have it prove again what it can do. Its answer changes what the API shows of it, within a minute.
    Prove,
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no node of that name; for [`Order::Prove`], none that is connected.
    #[error(transparent)]
    UnknownNode(#[from] UnknownNode),
    /// The proxy is stopping.
    #[error("the fleet has stopped")]
    Stopped,
}

/// How streams and operators reach the fleet. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FleetHandle {
    inbox: mpsc::Sender<Input>,
    snapshot: watch::Receiver<Arc<FleetSnapshot>>,
}

impl FleetHandle {
    /// Asks for a lease. The answer comes as events: [`LeaseEvent::Placed`], or [`LeaseEvent::Failed`] with
    /// [`Reason::NoNode`] or [`Reason::UnsupportedCodec`] when no node will do. Never waits: the one who asks is the one who reads the events.
    ///
    /// # Errors
    /// In words, when the fleet's queue is full or the fleet has stopped. Then no event comes.
    pub fn request(&self, request: LeaseRequest) -> Result<(), &'static str> {
        self.inbox.try_send(Input::Request(Box::new(request))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => "too many requests wait for a node",
            mpsc::error::TrySendError::Closed(_) => "the fleet has stopped",
        })
    }

    /// Asks for room for a stream that is to start. There is room until the booking is dropped, if only to wait for a node
    /// where the tenant has it so.
    ///
    /// # Errors
    /// Over a limit of the tenant or without room, with the text for the encoder's user.
    pub async fn admit(&self, stream: &StreamName) -> Result<Booking, Refused> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.inbox.send(Input::Admit { stream: stream.clone(), answer }).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout(ADMIT_TIMEOUT, asked).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Refused::new(Reason::Shutdown, "the server is stopping")),
            Err(_) => Err(Refused::new(Reason::NoRoom, "the server has too much to do; try again later")),
        }
    }

    /// Has an order carried out.
    ///
    /// # Errors
    /// When there is no such node, or no fleet any more.
    pub async fn order(&self, node: Name, order: Order) -> Result<(), OrderError> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Input::Order { node, order, reply }).await.map_err(|_| OrderError::Stopped)?;
        Ok(answer.await.map_err(|_| OrderError::Stopped)??)
    }

    /// The fleet as it was published last.
    #[must_use]
    pub fn now(&self) -> Arc<FleetSnapshot> {
        self.snapshot.borrow().clone()
    }

    /// The fleet as the API shows it; published on every change, and while there are nodes, at most every 250 ms.
    #[must_use]
    pub fn stats(&self) -> watch::Receiver<Arc<FleetSnapshot>> {
        self.snapshot.clone()
    }
}

/// Starts to serve nodes on `listener`, which is bound already, until `stop`: then leases are closed first, control
/// connections after them.
#[must_use]
pub fn start(
    listener: TcpListener,
    settings: FleetSettings,
    tasks: &Tasks,
    stop: CancellationToken,
) -> FleetHandle {
    let (inbox, inputs) = mpsc::channel(INBOX_CAPACITY);
    let (publisher, snapshot) = watch::channel(Arc::default());
    let door = listener::Door::new(&settings, inbox.clone());
    tasks.spawn(listener::run(listener, Arc::new(door), tasks.clone(), stop.clone()));
    let dispatch = Dispatch::new(settings, tasks.clone(), inbox.clone(), publisher);
    tasks.spawn(dispatch.run(inputs, stop));
    FleetHandle { inbox, snapshot }
}

/// Answers a request that reached no node.
async fn refuse(request: LeaseRequest, reason: Reason, detail: String, placement: Option<Arc<Decision>>) {
    let failed = LeaseEvent::Failed { node: None, reason, detail, placement };
    // Fails only if the stream has gone, which is then no one's loss.
    let _ = request.events.send(Box::new((request.attempt.number, failed))).await;
}

/// A connection of a node after the HTTP upgrade.
#[derive(Debug)]
struct Upgraded {
    socket: Socket,
    /// What the node sent right behind its request.
    received: BytesMut,
}

/// Where a lease's task waits for its connection. Sent to the listener in answer to a secret, once.
type SocketSlot = oneshot::Sender<Upgraded>;

#[cfg(test)]
pub(super) mod tests;
