//! The record of a failover, for stats: from the fault's notice to the first commit of whoever took over.

use std::time::{Duration, Instant};

use crate::base::names::Name;
use crate::base::reason::Reason;

/// The last failover, for stats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// Where the stream was.
    pub from: Option<Name>,
    /// Where it went; unknown until somebody has taken over.
    pub to: Option<Name>,
    /// Why.
    pub cause: Reason,
    /// When the fault was noticed.
    pub noticed: Instant,
    /// How long before that the attempt was last heard of.
    pub detection: Duration,
    /// From there to the next commit; unknown until then.
    pub recovery: Option<Duration>,
}

/// How sure it is that an attempt is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    /// It may come back, or another may take its place.
    Open,
    /// It is over.
    Lost,
}

/// Failovers of one stream: the one that is going on, and the last one.
#[derive(Debug, Default)]
pub struct Failovers {
    /// The attempt whose place is to be taken.
    pending: Option<(u32, Certainty, Failover)>,
    last: Option<Failover>,
    /// Attempts that took the place of another.
    taken_over: u32,
}

impl Failovers {
    /// `attempt` is to be replaced. One failover is recorded at a time: from the first fault to the next commit.
    pub fn begin(&mut self, attempt: u32, failover: Failover) {
        self.pending.get_or_insert((attempt, Certainty::Open, failover));
    }

    /// `attempt` is over, and `failover` says why if nothing was known before.
    pub fn lose(&mut self, attempt: u32, failover: Failover) {
        let (lost, certainty, _) = self.pending.get_or_insert((attempt, Certainty::Lost, failover));
        if *lost == attempt {
            *certainty = Certainty::Lost;
        }
    }

    /// `attempt` is well again, or stays where it is.
    pub fn withdraw(&mut self, attempt: u32) {
        self.pending.take_if(|(of, certainty, _)| *of == attempt && *certainty == Certainty::Open);
    }

    /// Something of `attempt`, which runs on `node`, was committed.
    pub fn handle_commit(&mut self, attempt: u32, node: Option<&Name>, now: Instant) {
        if let Some((_, _, failover)) = self.pending.take_if(|(of, ..)| *of != attempt) {
            let recovery = Some(now.saturating_duration_since(failover.noticed));
            self.last = Some(Failover { to: node.cloned(), recovery, ..failover });
            self.taken_over = self.taken_over.saturating_add(1);
        }
    }

    /// The one that goes on, if an attempt was lost, or the last one.
    #[must_use]
    pub fn shown(&self) -> Option<&Failover> {
        let lost = self.pending.as_ref().filter(|(_, certainty, _)| *certainty == Certainty::Lost);
        lost.map(|(_, _, failover)| failover).or(self.last.as_ref())
    }

    /// How many attempts took the place of another.
    #[must_use]
    pub fn taken_over(&self) -> u32 {
        self.taken_over
    }
}
