//! The fleet: which nodes are connected, how each stands, and which leases each has been given. A state machine without
//! I/O: what happens comes in through `handle_*`, what must be done about it comes out of [`Fleet::next_command`].
//!
//! A lease is *offered* to a node, *attached* when the node has connected for it, and *released* when it is over. It
//! takes up a slot from the offer on. An offer that nobody comes for expires, and a lost node loses its leases.
//! Every way out of here that was not asked for is one [`Command::Fail`]; after it the lease is unknown.
//!
//! What nodes and leases report goes into each node's [`super::room::Room`], and from there into the costs that are learnt
//! ([`learning`]).

pub mod drain;
mod error;
mod kinds;
mod learning;
mod lease;
mod member;
mod reserve;
mod room_now;
pub mod snapshot;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::drain::Drains;
pub use self::error::NodeError;
use self::kinds::Kinds;
use self::lease::{Lease, Phase};
use self::member::Member;
pub use self::reserve::{Offer, Unplaced};
pub use self::room_now::RoomNow;
use super::cost::CostModel;
use super::load;
use super::place::decision::Roster;
use super::place::{NodeState, NodeView};
use super::policy::Policy;
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::wire::message::LeaseId;
use crate::wire::report::{Capabilities, EncoderOn, Heartbeat, NodeHello};

/// How long an offered lease waits for its node to connect. A node dials at once; two seconds are one lost SYN and
/// its first retransmission (RFC 6298 §2: 1 s) on a slow link.
pub const OFFER_TIMEOUT: Duration = Duration::from_secs(2);
/// A node that is silent for this many times `suspect_after` is lost, whatever its connection looks like.
pub const LOST_AFTER_SUSPICIONS: u32 = 10;
/// The most nodes connected at once; one more is refused.
pub const MAX_NODES: usize = 1024;
/// How long a lost node is shown, unless it comes back.
pub const LOST_SHOWN_FOR: Duration = Duration::from_secs(60);
/// The most lost nodes that are shown; one more, and the one lost first is forgotten.
pub const MAX_LOST_SHOWN: usize = 256;

/// The longest text that a node may give with a refusal, in characters; the rest is cut off.
const MAX_DETAIL_CHARS: usize = 200;

/// Identifies a control connection for as long as the process lives; a name may come back on another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Close a control connection. Its node is lost already.
    Disconnect {
        /// Which connection.
        connection: ConnectionId,
        /// Why.
        reason: Reason,
    },
    /// Tell a node that a lease is not wanted any more.
    Cancel {
        /// The node's control connection.
        connection: ConnectionId,
        /// Which lease.
        lease: LeaseId,
        /// Why.
        reason: Reason,
    },
    /// Tell the stream that its lease is over, and close the lease's connection if there is one.
    Fail(LeaseFailure),
    /// Nothing but news: a node now stands otherwise.
    Report {
        /// The node.
        node: Name,
        /// How it stands now.
        state: NodeState,
        /// Why, if it is lost.
        reason: Option<Reason>,
    },
    /// Nothing but news: encoders of a node that worked work no more.
    EncodersLost {
        /// The node.
        node: Name,
        /// Which ones, and where.
        encoders: Vec<EncoderOn>,
    },
}

/// How a lease ended without being given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFailure {
    /// Which lease.
    pub lease: LeaseId,
    /// The node that had it.
    pub node: Name,
    /// Why.
    pub reason: Reason,
    /// For the log and the API.
    pub detail: String,
}

/// Nodes and leases.
///
/// Invariants: a connection belongs to exactly one member, and that one is not lost; every lease belongs to a member
/// that is not lost and lists it.
#[derive(Debug)]
pub struct Fleet {
    suspect_after: Duration,
    members: BTreeMap<Name, Member>,
    connections: BTreeMap<ConnectionId, Name>,
    drains: Drains,
    kinds: Kinds,
    /// Bounded by the slots of all nodes.
    leases: BTreeMap<LeaseId, Lease>,
    last_lease: u64,
    seed: u64,
    policy: Policy,
    costs: CostModel,
    /// Nothing is due before; a heartbeat only moves to later what is due of a node that is no suspect, so it need not be looked
    /// for with each.
    due: Option<Instant>,
    /// What decisions tell of the members; made anew when they have changed.
    roster: Option<Arc<Roster>>,
    /// Drained after every input; one input makes at most a command or two for each node and lease.
    commands: VecDeque<Command>,
}

impl Fleet {
    /// An empty fleet. A node is suspect after `suspect_after` without a heartbeat; `costs` is what was learnt before; `seed`
    /// breaks ties between nodes.
    #[must_use]
    pub fn new(suspect_after: Duration, policy: Policy, costs: CostModel, seed: u64) -> Self {
        Self {
            suspect_after,
            members: BTreeMap::new(),
            connections: BTreeMap::new(),
            drains: Drains::default(),
            kinds: Kinds::default(),
            leases: BTreeMap::new(),
            last_lease: 0,
            seed,
            policy,
            costs,
            due: None,
            roster: None,
            commands: VecDeque::new(),
        }
    }

    /// A node says who it is. One whose name is connected already is refused while that one is heard, and takes its place
    /// when it is suspect: a node that lost its network comes back on a new connection, long before the old one breaks.
    ///
    /// # Errors
    /// When it is not taken; nothing has changed then.
    pub fn handle_hello(
        &mut self,
        connection: ConnectionId,
        hello: NodeHello,
        now: Instant,
    ) -> Result<(), NodeError> {
        self.handle_deadline(now);
        if self.connections.contains_key(&connection) {
            return Err(NodeError::SecondHello);
        }
        let mut hello = load::bounded_hello(hello)?;
        let held_by =
            self.members.get(&hello.name).and_then(|member| Some((member.connection()?, member.state())));
        let replaced = match held_by {
            None => None,
            Some((old, NodeState::Suspect)) => Some(old),
            Some((_, NodeState::Alive | NodeState::Draining | NodeState::Lost)) => {
                return Err(NodeError::NameTaken(hello.name));
            }
        };
        if replaced.is_none() && self.connections.len() >= MAX_NODES {
            return Err(NodeError::TooManyNodes);
        }
        let name = hello.name.clone();
        if let Some(old) = replaced {
            let detail = format!("another connection of {name} has replaced it");
            self.lose(&name, Reason::Superseded, &detail, now);
            self.commands.push_back(Command::Disconnect { connection: old, reason: Reason::Superseded });
        }
        self.connections.insert(connection, name.clone());
        let capabilities = self.kinds.share(std::mem::take(&mut hello.capabilities));
        let mut member = Member::new(connection, hello, capabilities, now);
        member.drain(self.drains.contains(&name));
        let state = member.state();
        self.watch(member.next_deadline(self.suspect_after));
        self.members.insert(name.clone(), member);
        self.roster = None;
        self.report(name, state, None);
        Ok(())
    }

    /// A node's sign of life. A suspect node is alive again.
    ///
    /// # Errors
    /// When it is out of bounds, or the connection has no node.
    pub fn handle_heartbeat(
        &mut self,
        connection: ConnectionId,
        heartbeat: &Heartbeat,
        now: Instant,
    ) -> Result<(), NodeError> {
        self.handle_deadline(now);
        let suspect_after = self.suspect_after;
        let member = self.member(connection)?;
        let was = member.state();
        member.handle_heartbeat(heartbeat, now)?;
        let (name, state) = (member.name().clone(), member.state());
        let due = member.next_deadline(suspect_after);
        self.learn(&name, now);
        if was != state {
            // Of a suspect only its loss was due, which is later.
            self.watch(due);
            self.report(name, state, None);
        }
        Ok(())
    }

    /// What a node can do has changed.
    ///
    /// # Errors
    /// When it is out of bounds, or the connection has no node.
    pub fn handle_capabilities(
        &mut self,
        connection: ConnectionId,
        capabilities: Capabilities,
        now: Instant,
    ) -> Result<(), NodeError> {
        self.handle_deadline(now);
        let capabilities = load::bounded_capabilities(capabilities)?;
        let capabilities = self.kinds.share(capabilities);
        let member = self.member(connection)?;
        let encoders = member.handle_capabilities(capabilities, now);
        let node = member.name().clone();
        self.roster = None;
        if !encoders.is_empty() {
            self.commands.push_back(Command::EncodersLost { node, encoders });
        }
        Ok(())
    }

    /// A node leaves in order: it gets no new lease, and keeps those it has.
    ///
    /// # Errors
    /// When the connection has no node.
    pub fn handle_leaving(&mut self, connection: ConnectionId, now: Instant) -> Result<(), NodeError> {
        self.handle_deadline(now);
        let member = self.member(connection)?;
        let was = member.state();
        if member.leave() && was != member.state() {
            let name = member.name().clone();
            self.report(name, NodeState::Draining, None);
        }
        Ok(())
    }

    /// A control connection is gone: its node is lost, and the node's leases fail. A node that had said that it leaves
    /// is forgotten at once, the others are still shown for a while. Nothing happens if it was known.
    pub fn handle_disconnected(&mut self, connection: ConnectionId, reason: Reason, now: Instant) {
        self.handle_deadline(now);
        let Ok(member) = self.member(connection) else { return };
        let (name, leaving) = (member.name().clone(), member.is_leaving());
        let reason = if leaving { Reason::NodeStopping } else { reason };
        let detail = format!("the control connection of {name} ended: {reason}");
        self.lose(&name, reason, &detail, now);
        if leaving {
            self.remove(&name);
        }
    }

    /// A node does not take a lease, or gives it back. Ignored unless the lease is that node's: the answer may have
    /// crossed our own cancellation.
    ///
    /// # Errors
    /// When the connection has no node.
    pub fn handle_lease_refused(
        &mut self,
        connection: ConnectionId,
        lease: LeaseId,
        (reason, detail): (Reason, &str),
        now: Instant,
    ) -> Result<(), NodeError> {
        self.handle_deadline(now);
        let node = self.member(connection)?.name().clone();
        if let Some(held) = self.leases.get(&lease).filter(|held| held.node == node) {
            let work = held.work.clone();
            self.member(connection)?.handle_refused(work, now);
            let colon = if detail.is_empty() { "" } else { ": " };
            let detail: String = detail.chars().filter(|c| !c.is_control()).take(MAX_DETAIL_CHARS).collect();
            let detail = format!("{node} refused the lease: {reason}{colon}{detail}");
            self.fail(lease, reason, detail, now);
        }
        Ok(())
    }

    /// The node has connected for a lease. Says whether it is still on offer; attaching twice is not possible.
    #[must_use]
    pub fn handle_attached(&mut self, lease: LeaseId, now: Instant) -> bool {
        self.handle_deadline(now);
        match self.leases.get_mut(&lease) {
            Some(Lease { phase: phase @ Phase::Offered { .. }, .. }) => {
                *phase = Phase::Attached;
                true
            }
            Some(Lease { phase: Phase::Attached, .. }) | None => false,
        }
    }

    /// A lease is over: its attempt ended, its connection broke, or the stream gave it up. Its slot is free. An offer
    /// given up is cancelled, and so is one that is attached: a node whose FFmpeg hangs does not read its lease's
    /// connection, and would not see that it is closed. One that has ended it by itself ignores that. Nothing happens if
    /// it had failed here before.
    pub fn handle_released(&mut self, lease: LeaseId, now: Instant) {
        if let Some(Lease { node, .. }) = self.forget(lease, now) {
            self.cancel(&node, lease, Reason::Superseded);
        }
        self.handle_deadline(now);
    }

    /// Time has passed: offers expire, silent nodes become suspect and then lost, lost ones are forgotten.
    pub fn handle_deadline(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let expired: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.phase.expired(now)).map(|(&id, _)| id).collect();
        for lease in expired {
            self.expire(lease, now);
        }
        let due: Vec<Name> = self
            .members
            .iter()
            .filter(|(_, member)| member.next_deadline(self.suspect_after).is_some_and(|at| at <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.grow_older(&name, now);
        }
        self.due = self.first_due();
    }

    /// When [`Fleet::handle_deadline`] is to be called at the latest, without any other input. It may find then that
    /// there is nothing to do yet.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The first of all deadlines: of offers and of members.
    fn first_due(&self) -> Option<Instant> {
        let offers = self.leases.values().filter_map(|lease| lease.phase.expires());
        let members = self.members.values().filter_map(|member| member.next_deadline(self.suspect_after));
        offers.chain(members).min()
    }

    /// What must be done, in order, until `None`.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The control connection of a node; `None` if none of that name is connected.
    #[must_use]
    pub fn connection(&self, node: &Name) -> Option<ConnectionId> {
        self.members.get(node)?.connection()
    }

    /// The node that has this control connection.
    #[must_use]
    pub fn node(&self, connection: ConnectionId) -> Option<&Name> {
        self.connections.get(&connection)
    }

    /// Something is due at `at` too.
    fn watch(&mut self, at: Option<Instant>) {
        self.due = self.due.into_iter().chain(at).min();
    }

    /// The nodes as a decision sees them, by name.
    #[must_use]
    pub fn views(&self) -> Vec<NodeView<'_>> {
        self.members.values().map(Member::view).collect()
    }

    /// What work is reckoned to cost.
    #[must_use]
    pub fn costs(&self) -> &CostModel {
        &self.costs
    }

    /// How nodes are chosen.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The member of a connection that has said hello and is not lost.
    fn member(&mut self, connection: ConnectionId) -> Result<&mut Member, NodeError> {
        let name = self.connections.get(&connection).ok_or(NodeError::NoHello)?;
        self.members.get_mut(name).ok_or(NodeError::NoHello)
    }

    /// Tells how a node stands now.
    fn report(&mut self, node: Name, state: NodeState, reason: Option<Reason>) {
        self.commands.push_back(Command::Report { node, state, reason });
    }

    /// Tells a node, if it is still connected, that a lease is over.
    fn cancel(&mut self, node: &Name, lease: LeaseId, reason: Reason) {
        if let Some(connection) = self.members.get(node).and_then(Member::connection) {
            self.commands.push_back(Command::Cancel { connection, lease, reason });
        }
    }

    /// Nobody came for an offer: the stream learns it, and the node that it need not come any more.
    fn expire(&mut self, lease: LeaseId, now: Instant) {
        let Some(node) = self.leases.get(&lease).map(|held| held.node.clone()) else { return };
        let detail = format!("{node} did not connect for the lease within {} s", OFFER_TIMEOUT.as_secs());
        self.fail(lease, Reason::HandshakeTimeout, detail, now);
        self.cancel(&node, lease, Reason::HandshakeTimeout);
    }

    /// Ends a lease that was not given up. Its slot is free before anybody hears of it.
    fn fail(&mut self, lease: LeaseId, reason: Reason, detail: String, now: Instant) {
        if let Some(Lease { node, .. }) = self.forget(lease, now) {
            self.commands.push_back(Command::Fail(LeaseFailure { lease, node, reason, detail }));
        }
    }

    /// Takes a lease out of both places that know it.
    fn forget(&mut self, lease: LeaseId, now: Instant) -> Option<Lease> {
        let held = self.leases.remove(&lease)?;
        if let Some(member) = self.members.get_mut(&held.node) {
            member.leases.remove(&lease);
            member.room.release(lease, now);
        }
        Some(held)
    }

    /// Nothing more is shown of a member.
    fn remove(&mut self, name: &Name) {
        self.members.remove(name);
        self.roster = None;
    }

    /// A member's own deadline has come: it is suspect, then lost, then forgotten.
    fn grow_older(&mut self, name: &Name, now: Instant) {
        let Some(member) = self.members.get_mut(name) else { return };
        let Some(connection) = member.connection() else { return self.remove(name) };
        let silence = member.silence(now);
        if silence >= self.suspect_after.saturating_mul(LOST_AFTER_SUSPICIONS) {
            let detail = format!("{name} was silent for {} ms", silence.as_millis());
            self.lose(name, Reason::IdleTimeout, &detail, now);
            self.commands.push_back(Command::Disconnect { connection, reason: Reason::IdleTimeout });
        } else {
            member.suspect();
            let state = member.state();
            self.report(name.clone(), state, None);
        }
    }

    /// Takes a member's connection and leases away; it stays to be shown.
    fn lose(&mut self, name: &Name, reason: Reason, detail: &str, now: Instant) {
        let Some(member) = self.members.get_mut(name) else { return };
        if let Some(connection) = member.lose(now) {
            self.connections.remove(&connection);
        }
        // To a stream it makes a difference whether its node was told to stop or failed.
        let told = if reason == Reason::NodeStopping { reason } else { Reason::NodeLost };
        for lease in member.leases.clone() {
            self.fail(lease, told, detail.to_owned(), now);
        }
        self.watch(now.checked_add(LOST_SHOWN_FOR));
        self.report(name.clone(), NodeState::Lost, Some(reason));
        self.forget_oldest_lost();
    }

    /// Whoever has the token can join under ever new names; what is remembered of them is bounded.
    fn forget_oldest_lost(&mut self) {
        let lost = || self.members.iter().filter_map(|(name, member)| Some((member.lost_at()?, name)));
        if lost().count() > MAX_LOST_SHOWN
            && let Some(oldest) = lost().min().map(|(_, name)| name.clone())
        {
            self.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
