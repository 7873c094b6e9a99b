//! Dispatch: the one task that owns the fleet's state. It feeds [`Fleet`] with what nodes and streams say and carries
//! out what that decides; it never waits for another task. What does not fit into a queue is treated there and then.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use super::booking::{Booking, Ended, Refused};
use super::learned::Learned;
use super::lease::Lease;
use super::secret::LeaseSecret;
use super::{FleetSettings, FleetSnapshot, LeaseRequest, Order, SocketSlot, refuse};
use crate::base::clock;
use crate::base::names::{Name, StreamName};
use crate::base::reason::Reason;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::placement::fleet::drain::UnknownNode;
use crate::placement::fleet::{Command, ConnectionId, Fleet, LeaseFailure, NodeError, Offer};
use crate::placement::place::NodeState;
use crate::placement::place::decision::Decision;
use crate::placement::tenancy::{Tenancy, Wish};
use crate::wire::message::{LeaseId, LeaseSpec, NodeMessage, ProxyMessage};
use crate::wire::report::NodeHello;

/// The shortest time between two snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(250);
/// How long leases may take to close when the fleet stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// What happens.
#[derive(Debug)]
pub(super) enum Input {
    /// A stream wants a lease.
    Request(Box<LeaseRequest>),
    /// A stream is to start.
    Admit { stream: StreamName, answer: oneshot::Sender<Result<Booking, Refused>> },
    /// A node has connected. Dropping `queue` closes its connection, after what is in it has been written.
    Hello { connection: ConnectionId, hello: Box<NodeHello>, queue: mpsc::Sender<ProxyMessage> },
    /// A node that has said hello says something else.
    Heard { connection: ConnectionId, message: NodeMessage },
    /// A control connection is over.
    Disconnected { connection: ConnectionId, reason: Reason },
    /// Somebody presents a lease's secret. No answer means that there is no such lease.
    Claim { secret: LeaseSecret, reply: oneshot::Sender<SocketSlot> },
    /// A lease's task is done.
    Released { lease: LeaseId },
    /// An operator wants something of a node.
    Order { node: Name, order: Order, reply: oneshot::Sender<Result<(), UnknownNode>> },
}

/// Why a request got no lease.
struct NoLease {
    reason: Reason,
    detail: String,
    /// What each node lacks; `None` where it was not its tenant's turn.
    decision: Option<Arc<Decision>>,
}

impl NoLease {
    fn of(reason: Reason, detail: impl ToString, decision: Option<Arc<Decision>>) -> Self {
        Self { reason, detail: detail.to_string(), decision }
    }
}

/// The task's state.
pub(super) struct Dispatch {
    settings: FleetSettings,
    tasks: Tasks,
    /// For the leases that are started here.
    inbox: mpsc::Sender<Input>,
    fleet: Fleet,
    tenancy: Tenancy,
    /// Streams that are over and still booked.
    ended: Arc<Ended>,
    /// Keeps what the fleet learns.
    learned: Learned,
    /// At most [`crate::placement::fleet::MAX_NODES`].
    nodes: HashMap<ConnectionId, mpsc::Sender<ProxyMessage>>,
    /// Leases on offer, by what their node must present; bounded as `leases` is.
    offers: HashMap<LeaseSecret, (LeaseId, SocketSlot)>,
    /// Leases whose task runs and has not been told to end; bounded by the slots of all nodes.
    leases: HashMap<LeaseId, oneshot::Sender<LeaseFailure>>,
    /// Leases whose task runs.
    running: HashSet<LeaseId>,
    snapshot: watch::Sender<Arc<FleetSnapshot>>,
    /// When the next snapshot may be published.
    snapshot_due: Instant,
    changed: bool,
}

impl Dispatch {
    pub(super) fn new(
        settings: FleetSettings,
        tasks: Tasks,
        inbox: mpsc::Sender<Input>,
        snapshot: watch::Sender<Arc<FleetSnapshot>>,
    ) -> Self {
        // Ties between nodes need be even, not secret: without random bits the clock will do.
        let seed = getrandom::u64().unwrap_or_else(|_| clock::unix_now().as_secs());
        let (costs, learned) = Learned::open(settings.learned.clone(), clock::now());
        Self {
            fleet: Fleet::new(settings.suspect_after, settings.policy, costs, seed),
            tenancy: Tenancy::new(settings.tenants.clone()),
            ended: Arc::default(),
            learned,
            settings,
            tasks,
            inbox,
            nodes: HashMap::new(),
            offers: HashMap::new(),
            leases: HashMap::new(),
            running: HashSet::new(),
            snapshot,
            snapshot_due: clock::now(),
            changed: false,
        }
    }

    /// Runs until `stop`, and then until the leases are closed or [`STOP_TIMEOUT`] is over.
    pub(super) async fn run(mut self, mut inputs: mpsc::Receiver<Input>, stop: CancellationToken) {
        let ended = Arc::clone(&self.ended);
        loop {
            self.carry_out_commands();
            self.publish(clock::now());
            self.learned.save(self.fleet.costs(), clock::now());
            tokio::select! {
                // 1. The order to stop. 2. What happens, which also moves time on. 3. Time alone.
                biased;
                () = stop.cancelled() => break,
                Some(input) = inputs.recv() => self.handle(input, clock::now()),
                () = ended.news() => self.end_bookings(),
                () = clock::until(self.next_deadline()) => self.fleet.handle_deadline(clock::now()),
            }
        }
        self.stop(inputs).await;
    }

    /// When there is something to do without any input.
    fn next_deadline(&self) -> Option<Instant> {
        let snapshot = (self.changed || self.ages()).then_some(self.snapshot_due);
        let save = self.learned.next_deadline(self.fleet.costs());
        self.fleet.next_deadline().into_iter().chain(snapshot).chain(save).min()
    }

    /// Whether a snapshot is due even if nothing happens: the ages of nodes grow, and streams cease to wait.
    fn ages(&self) -> bool {
        !self.nodes.is_empty() || self.snapshot.borrow().fleet.queue_length > 0
    }

    /// One input, of whatever kind. Never waits.
    fn handle(&mut self, input: Input, now: Instant) {
        self.changed = true;
        match input {
            Input::Request(request) => self.handle_request(*request, now),
            Input::Admit { stream, answer } => self.handle_admit(stream, answer, now),
            Input::Hello { connection, hello, queue } => self.handle_hello(connection, *hello, queue, now),
            Input::Heard { connection, message } => {
                if let Err(error) = self.hear(connection, message, now) {
                    self.expel(connection, None, &error, now);
                }
            }
            Input::Disconnected { connection, reason } => {
                self.nodes.remove(&connection);
                self.fleet.handle_disconnected(connection, reason, now);
            }
            Input::Claim { secret, reply } => self.handle_claim(secret, reply, now),
            Input::Released { lease } => self.handle_released(lease, now),
            Input::Order { node, order, reply } => {
                let done = self.handle_order(&node, order, now);
                // Whoever asked may have gone meanwhile.
                let _ = reply.send(done);
            }
        }
    }

    /// Places the request, tells the node, and starts the lease's task. If the node cannot be told, the lease fails
    /// as any lease of a lost node does.
    fn handle_request(&mut self, request: LeaseRequest, now: Instant) {
        if request.events.is_closed() {
            // The stream has gone meanwhile: an FFmpeg would be started for nobody.
            return;
        }
        let secret = match LeaseSecret::generate() {
            Ok(secret) => secret,
            Err(error) => return self.refuse(request, Reason::Internal, error.to_string(), None),
        };
        let offer = match self.place(&request, now) {
            Ok(offer) => offer,
            Err(NoLease { reason, detail, decision }) => {
                return self.refuse(request, reason, detail, decision);
            }
        };
        debug!(stream = %request.stream, attempt = request.attempt.number, placement = %offer.decision, "lease placed");
        let spec = LeaseSpec {
            lease: offer.lease,
            secret: secret.expose(),
            stream: request.stream.clone(),
            attempt: request.attempt.clone(),
            encoders: offer.choice.encoders,
            cost: offer.choice.cost,
        };
        let (slot, socket) = oneshot::channel();
        let (fail, failed) = oneshot::channel();
        self.offers.insert(secret, (offer.lease, slot));
        self.leases.insert(offer.lease, fail);
        self.running.insert(offer.lease);
        let (id, node, placement) = (offer.lease, offer.choice.node, offer.decision);
        let lease = Lease { id, node, placement, request, socket, failed };
        self.tasks.spawn(lease.run(self.inbox.clone()));
        self.send(offer.connection, ProxyMessage::Lease(Box::new(spec)), now);
    }

    /// A node for the request, if it is its tenant's turn.
    fn place(&mut self, request: &LeaseRequest, now: Instant) -> Result<Offer, NoLease> {
        let (stream, demand) = (&request.stream, &request.demand);
        self.fleet.handle_deadline(now);
        self.end_bookings();
        let wish = Wish { work: demand.work.clone(), require_tags: demand.require_tags.clone() };
        let judged = self.tenancy.handle_demand(stream, &wish, &self.fleet.room_at(now), now);
        judged.map_err(|refusal| NoLease::of(refusal.reason(), refusal, None))?;
        match self.fleet.reserve(demand, now) {
            Ok(offer) => {
                self.tenancy.handle_placed(stream, offer.lease, &offer.choice.cost);
                Ok(offer)
            }
            Err(refusal) => {
                self.tenancy.handle_waiting(stream, now);
                let decision = Arc::clone(&refusal.decision);
                Err(NoLease::of(refusal.reason(), refusal, Some(decision)))
            }
        }
    }

    /// A stream is to start. If whoever asked has gone meanwhile, the answer is dropped, and the booking with it.
    fn handle_admit(
        &mut self,
        stream: StreamName,
        answer: oneshot::Sender<Result<Booking, Refused>>,
        now: Instant,
    ) {
        self.fleet.handle_deadline(now);
        self.end_bookings();
        let admitted = self.tenancy.admit(&stream, &self.fleet.room_at(now), now);
        let booked = admitted.map(|()| Booking::new(stream, Arc::clone(&self.ended)));
        let _ = answer.send(booked.map_err(|refusal| Refused::new(refusal.reason(), refusal)));
    }

    /// Gives back what streams had that are over.
    fn end_bookings(&mut self) {
        for stream in self.ended.take() {
            self.tenancy.handle_ended(&stream);
            self.changed = true;
        }
    }

    /// Tells a stream that it gets no lease, and why.
    fn refuse(
        &self,
        request: LeaseRequest,
        reason: Reason,
        detail: String,
        placement: Option<Arc<Decision>>,
    ) {
        // A stream that waits asks four times a second; that it waits is in its stats.
        debug!(stream = %request.stream, attempt = request.attempt.number, %reason, detail, "lease not placed");
        // A task of its own, because the stream may not have room for the event now.
        self.tasks.spawn(refuse(request, reason, detail, placement));
    }

    /// A node wants to join: it is told that it is welcome, or why not.
    fn handle_hello(
        &mut self,
        connection: ConnectionId,
        hello: NodeHello,
        queue: mpsc::Sender<ProxyMessage>,
        now: Instant,
    ) {
        self.nodes.insert(connection, queue);
        let node = hello.name.clone();
        match self.fleet.handle_hello(connection, hello, now) {
            Ok(()) => {
                let heartbeat_ms = u64::try_from(self.settings.heartbeat.as_millis()).unwrap_or(u64::MAX);
                let (proxy, headroom) = (self.settings.proxy_id.clone(), self.settings.policy.headroom);
                self.send(connection, ProxyMessage::Welcome { proxy, heartbeat_ms, headroom }, now);
            }
            Err(error) => self.expel(connection, Some(&node), &error, now),
        }
    }

    /// What a node says after its hello.
    ///
    /// # Errors
    /// When the node is to be expelled for it.
    fn hear(
        &mut self,
        connection: ConnectionId,
        message: NodeMessage,
        now: Instant,
    ) -> Result<(), NodeError> {
        if !self.nodes.contains_key(&connection) {
            // It is being closed, and what it sent before it noticed is of no interest.
            return Ok(());
        }
        match message {
            NodeMessage::Hello(hello) => self.fleet.handle_hello(connection, *hello, now),
            NodeMessage::Heartbeat(heartbeat) => self.fleet.handle_heartbeat(connection, &heartbeat, now),
            NodeMessage::Capabilities(capabilities) => {
                self.fleet.handle_capabilities(connection, *capabilities, now)
            }
            NodeMessage::LeaseRefused { lease, reason, detail } => {
                self.fleet.handle_lease_refused(connection, lease, (reason, &detail), now)
            }
            NodeMessage::Leaving => self.fleet.handle_leaving(connection, now),
        }
    }

    /// Tells a node why it is not wanted, and closes its connection. One that has joined is known by its connection; a newcomer
    /// gives a name.
    fn expel(&mut self, connection: ConnectionId, newcomer: Option<&Name>, error: &NodeError, now: Instant) {
        let (reason, detail) = (error.reason(), error.to_string());
        let node = newcomer.or_else(|| self.fleet.node(connection)).map(tracing::field::display);
        info!(node, connection = connection.0, %reason, detail, "node refused");
        self.send(connection, ProxyMessage::Refused { reason, detail }, now);
        self.nodes.remove(&connection);
        self.fleet.handle_disconnected(connection, reason, now);
    }

    /// The secret is used up even if nothing comes of it.
    fn handle_claim(&mut self, secret: LeaseSecret, reply: oneshot::Sender<SocketSlot>, now: Instant) {
        let Some(&(lease, _)) = self.offers.get(&secret) else { return };
        // One that has just expired stays on offer until its task has been told so (see `fail`).
        if self.fleet.handle_attached(lease, now)
            && let Some((_, slot)) = self.offers.remove(&secret)
        {
            // If the connection has gone meanwhile, the slot is dropped and the lease's task knows it by that.
            let _ = reply.send(slot);
        }
    }

    /// What an operator wants. A node that cannot be told to prove itself is lost by that, as by any other message.
    fn handle_order(&mut self, node: &Name, order: Order, now: Instant) -> Result<(), UnknownNode> {
        match order {
            Order::Drain => self.fleet.drain(node, now),
            Order::Undrain => self.fleet.undrain(node, now),
            Order::Prove => {
                let connection = self.fleet.connection(node).ok_or_else(|| UnknownNode(node.clone()))?;
                self.send(connection, ProxyMessage::Prove, now);
                Ok(())
            }
        }
    }

    /// A lease's task is done with it, for whatever reason.
    fn handle_released(&mut self, lease: LeaseId, now: Instant) {
        self.running.remove(&lease);
        self.leases.remove(&lease);
        self.withdraw(lease);
        self.tenancy.handle_released(lease);
        self.fleet.handle_released(lease, now);
    }

    /// Makes the secret of a lease that is still on offer worthless.
    fn withdraw(&mut self, lease: LeaseId) {
        self.offers.retain(|_, (offered, _)| *offered != lease);
    }

    /// Does what the fleet wants done. Doing it may lead to more commands, by a node whose queue is full; each such node
    /// is lost by it, so that comes to an end.
    fn carry_out_commands(&mut self) {
        while let Some(command) = self.fleet.next_command() {
            self.changed = true;
            match command {
                Command::Disconnect { connection, .. } => drop(self.nodes.remove(&connection)),
                Command::Cancel { connection, lease, reason } => {
                    self.send(connection, ProxyMessage::Cancel { lease, reason }, clock::now());
                }
                Command::Fail(failure) => self.fail(failure),
                Command::Report { node, state, reason } => report(&node, state, reason),
                Command::EncodersLost { node, encoders } => {
                    warn!(%node, ?encoders, "encoders of a node work no more")
                }
            }
        }
    }

    /// Has a lease's task end the lease and tell its stream. Its room is the stream's again from now on, not only when the task
    /// is done: who asks in between must not get it.
    fn fail(&mut self, failure: LeaseFailure) {
        let lease = failure.lease;
        self.tenancy.handle_released(lease);
        if let Some(fail) = self.leases.remove(&lease) {
            // Only a lease that has just ended by itself does not listen.
            let _ = fail.send(failure);
        }
        // After the failure was told, because the lease takes the loss of its socket's sender for one of its own.
        self.withdraw(lease);
    }

    /// Queues a message for a node. One that does not read what it is sent is lost.
    fn send(&mut self, connection: ConnectionId, message: ProxyMessage, now: Instant) {
        let Some(queue) = self.nodes.get(&connection) else { return };
        let reason = match queue.try_send(message) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(_)) => Reason::LinkSlow,
            Err(mpsc::error::TrySendError::Closed(_)) => Reason::ConnectionLost,
        };
        self.nodes.remove(&connection);
        self.fleet.handle_disconnected(connection, reason, now);
    }

    /// Publishes a snapshot if there is something to see and the last one is old enough.
    fn publish(&mut self, now: Instant) {
        if now < self.snapshot_due || !(self.changed || self.ages()) {
            return;
        }
        self.changed = false;
        self.snapshot_due = now + SNAPSHOT_INTERVAL;
        let mut snapshot = self.fleet.snapshot(now);
        snapshot.fleet.queue_length = self.tenancy.queue_length(now);
        snapshot.tenants = self.tenancy.snapshot(&self.fleet.room_at(now), now);
        self.snapshot.send_replace(Arc::new(snapshot));
    }

    /// Ends all leases, waits until their connections are closed, and then closes the nodes'.
    async fn stop(mut self, mut inputs: mpsc::Receiver<Input>) {
        // A lease takes the loss of who could fail it as the order to stop; so this comes before the offers go.
        self.leases.clear();
        self.offers.clear();
        let released = async {
            while !self.running.is_empty()
                && let Some(input) = inputs.recv().await
            {
                self.handle_while_stopping(input);
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, released).await.is_err() {
            warn!(leases = self.running.len(), "leases not closed in time");
        }
        self.nodes.clear();
        inputs.close();
        while let Ok(input) = inputs.try_recv() {
            self.handle_while_stopping(input);
        }
        self.learned.finish(self.fleet.costs()).await;
    }

    /// Nothing is begun any more; whoever waits for an answer gets one, or sees that none comes.
    fn handle_while_stopping(&mut self, input: Input) {
        match input {
            Input::Request(request) => {
                self.refuse(*request, Reason::NoNode, "the fleet stops".to_owned(), None);
            }
            Input::Released { lease } => {
                self.running.remove(&lease);
            }
            Input::Admit { answer, .. } => {
                let _ = answer.send(Err(Refused::new(Reason::Shutdown, "the server is stopping")));
            }
            // A newcomer's queue and a claim's reply are dropped, which closes both connections; an order is not answered.
            Input::Hello { .. }
            | Input::Heard { .. }
            | Input::Disconnected { .. }
            | Input::Claim { .. }
            | Input::Order { .. } => {}
        }
    }
}

/// Joining and leaving in order are what an operator expects, silence and loss are not.
fn report(node: &Name, state: NodeState, reason: Option<Reason>) {
    match (state, reason) {
        (NodeState::Alive, _) => info!(%node, "node alive"),
        (NodeState::Draining, _) => info!(%node, "node draining"),
        (NodeState::Suspect, _) => warn!(%node, "node suspect"),
        (NodeState::Lost, Some(reason @ Reason::NodeStopping)) => info!(%node, %reason, "node left"),
        (NodeState::Lost, reason) => {
            let reason = reason.map_or("unknown", Reason::as_str);
            warn!(%node, reason, "node lost");
        }
    }
}

#[cfg(test)]
mod tests;
