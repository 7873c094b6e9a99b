//! One node of the fleet: what it said about itself, when it was last heard, and the leases that it was given.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ConnectionId, LOST_AFTER_SUSPICIONS, LOST_SHOWN_FOR};
use crate::base::names::Name;
use crate::placement::load::{self, ReportError};
use crate::placement::place::{NodeState, NodeView};
use crate::placement::room::Room;
use crate::placement::work::Work;
use crate::wire::message::LeaseId;
use crate::wire::report::{Capabilities, EncoderOn, Heartbeat, LeaseLoad, Load, NodeHello};

/// For how long a node that refused a lease is passed over for more of the same work, if another would do: until some
/// heartbeats have said why.
const PASSED_OVER_FOR: Duration = Duration::from_secs(2);
/// The most such refusals that are remembered of a node; the oldest is forgotten.
const MAX_REFUSED: usize = 8;

/// A node that is connected, or was not long ago.
#[derive(Debug)]
pub(super) struct Member {
    standing: Standing,
    /// What it said about itself, within bounds; what it can do is not in it.
    hello: NodeHello,
    /// What it can do, shared with others of its kind.
    capabilities: Arc<Capabilities>,
    /// What it measured last, within bounds; nothing in use before its first heartbeat.
    load: Load,
    /// How many leases it said it holds.
    leases_reported: u32,
    /// What it said last of those that it was given.
    lease_loads: Vec<LeaseLoad>,
    /// What of it is taken.
    pub(super) room: Room,
    /// How many leases it refused.
    refused: u64,
    /// Of what work, lately.
    refused_work: VecDeque<(Work, Instant)>,
    /// Its hello counts as the first heartbeat.
    last_heard: Instant,
    /// Whether it was asked for that it gets no new lease.
    drained: bool,
    /// Leases offered to it or attached.
    pub(super) leases: BTreeSet<LeaseId>,
}

/// What its state is made of.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// `silent` is set when it becomes suspect and cleared by a heartbeat; `leaving` is never taken back.
    Connected {
        connection: ConnectionId,
        silent: bool,
        leaving: bool,
    },
    Lost {
        at: Instant,
    },
}

impl Member {
    /// A node that has just said hello.
    pub(super) fn new(
        connection: ConnectionId,
        hello: NodeHello,
        capabilities: Arc<Capabilities>,
        now: Instant,
    ) -> Self {
        Self {
            standing: Standing::Connected { connection, silent: false, leaving: false },
            room: Room::new(hello.capacity, &capabilities.gpus),
            hello,
            capabilities,
            load: Load::default(),
            leases_reported: 0,
            lease_loads: Vec::new(),
            refused: 0,
            refused_work: VecDeque::new(),
            last_heard: now,
            drained: false,
            leases: BTreeSet::new(),
        }
    }

    /// Unique among the members.
    pub(super) fn name(&self) -> &Name {
        &self.hello.name
    }

    /// What it said about itself, within bounds; its capabilities are the latest.
    pub(super) fn hello(&self) -> &NodeHello {
        &self.hello
    }

    /// What it measured last.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// How many leases it said it holds, ending ones and strangers' included.
    pub(super) fn leases_reported(&self) -> u32 {
        self.leases_reported
    }

    /// What it said last of those that it was given here.
    pub(super) fn lease_loads(&self) -> &[LeaseLoad] {
        &self.lease_loads
    }

    /// How many leases it refused since it joined.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Its control connection, while it is not lost.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self.standing {
            Standing::Connected { connection, .. } => Some(connection),
            Standing::Lost { .. } => None,
        }
    }

    /// Whether it said that it leaves.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.standing, Standing::Connected { leaving: true, .. })
    }

    /// When it was lost, if it is.
    pub(super) fn lost_at(&self) -> Option<Instant> {
        match self.standing {
            Standing::Connected { .. } => None,
            Standing::Lost { at } => Some(at),
        }
    }

    /// Silence is the worse news of a node that also leaves.
    pub(super) fn state(&self) -> NodeState {
        match self.standing {
            Standing::Lost { .. } => NodeState::Lost,
            Standing::Connected { silent: true, .. } => NodeState::Suspect,
            Standing::Connected { leaving: true, .. } => NodeState::Draining,
            Standing::Connected { .. } if self.drained => NodeState::Draining,
            Standing::Connected { .. } => NodeState::Alive,
        }
    }

    /// How long nothing was heard.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_heard)
    }

    /// It as [`crate::placement::place`] sees it.
    pub(super) fn view(&self) -> NodeView<'_> {
        NodeView {
            name: &self.hello.name,
            state: self.state(),
            slots: self.hello.capacity.slots,
            leases: u32::try_from(self.leases.len()).unwrap_or(u32::MAX),
            tags: &self.hello.tags,
            class: &self.hello.class,
            capabilities: &self.capabilities,
            room: &self.room,
            cost_per_hour: self.hello.cost_per_hour,
            watts: self.hello.watts,
        }
    }

    /// A sign of life, unless it is out of bounds: then nothing has changed.
    pub(super) fn handle_heartbeat(
        &mut self,
        heartbeat: &Heartbeat,
        now: Instant,
    ) -> Result<(), ReportError> {
        let Heartbeat { load, mut leases } = load::bounded_heartbeat(heartbeat, self.hello.capacity)?;
        self.room.handle_heartbeat(&load, &leases, now);
        self.leases_reported = u32::try_from(leases.len()).unwrap_or(u32::MAX);
        leases.retain(|report| self.leases.contains(&report.lease));
        (self.load, self.lease_loads) = (load, leases);
        self.last_heard = now;
        if let Standing::Connected { silent, .. } = &mut self.standing {
            *silent = false;
        }
        Ok(())
    }

    /// What it can do has changed. The encoders that it has no more.
    pub(super) fn handle_capabilities(
        &mut self,
        capabilities: Arc<Capabilities>,
        now: Instant,
    ) -> Vec<EncoderOn> {
        self.room.handle_gpus(&capabilities.gpus, now);
        let before = std::mem::replace(&mut self.capabilities, capabilities);
        let has = |on: &EncoderOn| self.capabilities.encoders.contains(on);
        before.encoders.iter().filter(|on| !has(on)).cloned().collect()
    }

    /// It did not take a lease with this work.
    pub(super) fn handle_refused(&mut self, work: Work, now: Instant) {
        self.refused = self.refused.saturating_add(1);
        if self.refused_work.len() >= MAX_REFUSED {
            self.refused_work.pop_front();
        }
        self.refused_work.push_back((work, now));
    }

    /// Whether it has just refused the same work.
    pub(super) fn is_passed_over(&self, work: &Work, now: Instant) -> bool {
        let just = |at: Instant| now.saturating_duration_since(at) < PASSED_OVER_FOR;
        self.refused_work.iter().any(|(refused, at)| just(*at) && refused == work)
    }

    /// It gets no new lease from now on. Says whether that is news.
    pub(super) fn leave(&mut self) -> bool {
        match &mut self.standing {
            Standing::Connected { leaving, .. } => !std::mem::replace(leaving, true),
            Standing::Lost { .. } => false,
        }
    }

    /// Whether it gets new leases, as it was asked for.
    pub(super) fn drain(&mut self, drained: bool) {
        self.drained = drained;
    }

    /// It was asked for that it empties, and it has.
    pub(super) fn is_drained(&self) -> bool {
        self.drained && self.leases.is_empty() && (self.leases_reported == 0 || self.connection().is_none())
    }

    /// It was silent for too long.
    pub(super) fn suspect(&mut self) {
        if let Standing::Connected { silent, .. } = &mut self.standing {
            *silent = true;
        }
    }

    /// Its connection is gone; this is the one that it had until now.
    pub(super) fn lose(&mut self, now: Instant) -> Option<ConnectionId> {
        let connection = self.connection();
        self.standing = Standing::Lost { at: now };
        connection
    }

    /// When it will be suspect, or else lost, or else forgotten.
    pub(super) fn next_deadline(&self, suspect_after: Duration) -> Option<Instant> {
        match self.standing {
            Standing::Connected { silent: false, .. } => self.last_heard.checked_add(suspect_after),
            Standing::Connected { silent: true, .. } => {
                self.last_heard.checked_add(suspect_after.saturating_mul(LOST_AFTER_SUSPICIONS))
            }
            Standing::Lost { at } => at.checked_add(LOST_SHOWN_FOR),
        }
    }
}
