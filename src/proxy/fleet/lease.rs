//! A lease, from offer to end: a task that stands between one stream and one node. It waits for the node to connect,
//! writes the stream's input vectored and reports how much of it is out, and hands on what the node makes.

mod link;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, debug, info_span};

use self::link::{Receiving, Sending};
use super::dispatch::Input;
use super::outbox::Outbox;
use super::output_guard::Violation;
use super::{LeaseEvent, LeaseRequest, Upgraded};
use crate::base::clock;
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::placement::fleet::LeaseFailure;
use crate::placement::place::decision::Decision;
use crate::wire::codec::WireError;
use crate::wire::message::{AttemptEnd, LeaseId, LeaseInput, LeaseOutput};

/// How often to look whether the stream gave the lease up while the node takes nothing: a channel wakes its receiver
/// when the last sender goes, but not one that has no room to receive.
const GIVE_UP_CHECK: Duration = Duration::from_millis(100);

/// A lease that was offered.
#[derive(Debug)]
pub(super) struct Lease {
    /// Its number, unique while the proxy runs.
    pub(super) id: LeaseId,
    /// The node that it was offered to.
    pub(super) node: Name,
    /// Why it was offered there.
    pub(super) placement: Arc<Decision>,
    /// The stream's ends of its channels, and what it wanted.
    pub(super) request: LeaseRequest,
    /// Gets the connection when the node has come for the lease.
    pub(super) socket: oneshot::Receiver<Upgraded>,
    /// Says that the lease is over, from where nodes and leases are decided.
    pub(super) failed: oneshot::Receiver<LeaseFailure>,
}

/// How a lease is over. Each becomes exactly one last event.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("{}", .0.detail)]
    Ended(AttemptEnd),
    #[error("{}", .0.detail)]
    Failed(LeaseFailure),
    #[error("the stream gave the lease up")]
    GivenUp,
    #[error("dispatch has stopped")]
    Stopped,
    #[error("the node's connection was lost while it was upgraded")]
    NotUpgraded,
    #[error("the node closed the lease's connection")]
    Eof,
    #[error("the lease's connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the node sent what is no frame: {0}")]
    Unreadable(WireError),
    #[error("the input does not fit into a frame: {0}")]
    Unwritable(WireError),
    #[error("the node broke the protocol: {0}")]
    Violation(#[from] Violation),
}

/// Bytes of one lease's connection, for the log.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    written: u64,
    read: u64,
}

impl Lease {
    /// Runs the lease to its end. Releases its slot before the last event goes out: who asks again upon that event
    /// finds the slot free.
    pub(super) async fn run(mut self, inbox: mpsc::Sender<Input>) {
        let LeaseRequest { stream, attempt, .. } = &self.request;
        let span =
            info_span!("lease", lease = self.id.0, %stream, attempt = attempt.number, node = %self.node);
        async {
            let (begun, mut traffic) = (clock::now(), Traffic::default());
            let over = match self.serve(&mut traffic).await {
                Ok(never) => match never {},
                Err(over) => over,
            };
            log_end(&over, begun, traffic);
            // Dispatch is gone only when everything stops.
            let _ = inbox.send(Input::Released { lease: self.id }).await;
            let last = over.into_event(self.node);
            // Fails only if the stream has gone, which is then no one's loss.
            let _ = self.request.events.send(Box::new((self.request.attempt.number, last))).await;
        }
        .instrument(span)
        .await;
    }

    /// The two halves of its life. Never returns but by the end of it.
    async fn serve(&mut self, traffic: &mut Traffic) -> Result<Never, Over> {
        self.tell(LeaseEvent::Placed { node: self.node.clone(), placement: Arc::clone(&self.placement) })
            .await?;
        let (upgraded, first) = self.offered().await?;
        self.tell(LeaseEvent::Attached).await?;
        debug!(node = %self.node, "lease attached");
        let (reader, writer) = upgraded.socket.into_split();
        let mut sending = Sending::new(writer);
        let mut receiving = Receiving::new(reader, upgraded.received, &self.request.attempt);
        if let Some(first) = first {
            sending.push(&first)?;
        }
        self.attached(&mut sending, &mut receiving, traffic).await
    }

    /// Tells the stream something, unless dispatch ends the lease first.
    async fn tell(&mut self, event: LeaseEvent) -> Result<(), Over> {
        tokio::select! {
            biased;
            failure = &mut self.failed => Err(Over::from_dispatch(failure)),
            sent = self.request.events.send(Box::new((self.request.attempt.number, event))) => {
                sent.map_err(|_| Over::GivenUp)
            }
        }
    }

    /// Until the node has connected; with the first input, which may have come before it.
    async fn offered(&mut self) -> Result<(Upgraded, Option<LeaseInput>), Over> {
        let mut first = None;
        tokio::select! {
            // A failure is told before the socket's sender is dropped, so it must be looked for first.
            biased;
            failure = &mut self.failed => Err(Over::from_dispatch(failure)),
            () = given_up(&mut self.request.input, &mut first) => Err(Over::GivenUp),
            socket = &mut self.socket => Ok((socket.map_err(|_| Over::NotUpgraded)?, first)),
        }
    }

    /// Moves input and output until one of them ends. No arm waits for another, so events that nobody reads do not stop
    /// the writing, and a socket that takes nothing does not stop the reading.
    async fn attached(
        &mut self,
        sending: &mut Sending,
        receiving: &mut Receiving,
        traffic: &mut Traffic,
    ) -> Result<Never, Over> {
        let Self { request: LeaseRequest { input, events, attempt, .. }, failed, .. } = self;
        let mut inputs = Vec::with_capacity(Outbox::MAX_FRAMES);
        loop {
            receiving.decode()?;
            if input.is_closed() {
                return Err(Over::GivenUp);
            }
            let room = sending.room();
            tokio::select! {
                failure = &mut *failed => return Err(Over::from_dispatch(failure)),
                permit = events.reserve(), if sending.has_news() || receiving.has_news() => {
                    let permit = permit.map_err(|_| Over::GivenUp)?;
                    if let Some(news) = sending.take_news().or_else(|| receiving.take_news()) {
                        permit.send(Box::new((attempt.number, news)));
                    }
                }
                taken = input.recv_many(&mut inputs, room), if room > 0 => {
                    if taken == 0 {
                        return Err(Over::GivenUp);
                    }
                    inputs.drain(..).try_for_each(|input| sending.push(&input))?;
                }
                bytes = sending.write(), if sending.has_work() => traffic.written += bytes,
                bytes = receiving.read(), if !receiving.has_news() => traffic.read += bytes?,
                () = tokio::time::sleep(GIVE_UP_CHECK), if room == 0 => {}
            }
        }
    }
}

/// Waits until the stream has given the lease up. What comes before that is kept in `first`, one input at most: the
/// rest stays in the channel until the node has connected. Cancel-safe.
async fn given_up(input: &mut mpsc::Receiver<LeaseInput>, first: &mut Option<LeaseInput>) {
    if first.is_none() {
        *first = input.recv().await;
    }
    while !input.is_closed() {
        tokio::time::sleep(GIVE_UP_CHECK).await;
    }
}

/// What never is, for what only an end ends.
enum Never {}

impl Over {
    /// What dispatch says. If it says nothing and is gone, everything stops.
    fn from_dispatch(failure: Result<LeaseFailure, oneshot::error::RecvError>) -> Self {
        failure.map_or(Self::Stopped, Self::Failed)
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Ended(end) => end.reason,
            Self::Failed(failure) => failure.reason,
            Self::GivenUp => Reason::Superseded,
            Self::Stopped => Reason::Shutdown,
            Self::NotUpgraded | Self::Eof | Self::Io(_) => Reason::NodeLost,
            Self::Unreadable(_) | Self::Violation(_) => Reason::ProtocolViolation,
            Self::Unwritable(_) => Reason::Internal,
        }
    }

    /// The last event of the lease.
    fn into_event(self, node: Name) -> LeaseEvent {
        let (reason, detail) = (self.reason(), self.to_string());
        match self {
            Self::Ended(end) => LeaseEvent::Output(LeaseOutput::Ended(end)),
            Self::Failed(_)
            | Self::GivenUp
            | Self::Stopped
            | Self::NotUpgraded
            | Self::Eof
            | Self::Io(_)
            | Self::Unreadable(_)
            | Self::Unwritable(_)
            | Self::Violation(_) => LeaseEvent::Failed { node: Some(node), reason, detail, placement: None },
        }
    }
}

/// The node's own words are quoted: they may hold anything.
fn log_end(over: &Over, begun: Instant, traffic: Traffic) {
    let duration_ms = clock::now().saturating_duration_since(begun).as_millis();
    let Traffic { written, read } = traffic;
    let (reason, detail) = (over.reason(), over.to_string());
    // The stream's own lines say which attempt began and why it ended; this one is for the link.
    debug!(%reason, ?detail, duration_ms, bytes_written = written, bytes_read = read, "lease ended");
}
