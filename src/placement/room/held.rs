//! What is known of one lease of a node: what was predicted, what is measured, and whether it keeps up.

use std::time::{Duration, Instant};

use super::{CAUGHT_UP, FADE, LAG_LIMIT, REPLAY_FACTOR, SLOW, SLOW_FOR, as_float};
use crate::placement::demand::Replay;
use crate::wire::cost::{Cost, Resources};
use crate::wire::report::LeaseLoad;

/// A lease that is not seen to have caught up by then is taken to have, because its node does not measure that.
const UNMEASURED_FOR: Duration = Duration::from_secs(30);
/// For how long after its first output a lease's encoder sessions may be missing in the GPU's own count.
const SESSIONS_SHOW_AFTER: Duration = Duration::from_secs(2);
/// A lease as little behind as this keeps up, whatever its speed: a publisher that sends too slowly is not the node's fault.
const BEHIND: Duration = Duration::from_secs(1);
/// Speeds at which a lease neither falls behind nor catches up.
const STEADY: std::ops::RangeInclusive<f64> = 0.97..=1.1;

/// One lease of a node.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// What was predicted.
    pub(super) cost: Cost,
    replay: Replay,
    /// When its node first listed it.
    listed: Option<Instant>,
    /// When it first had output.
    begun: Option<Instant>,
    /// When its output was first less than a GOP behind.
    caught_up: Option<Instant>,
    /// Since when it has been slow and behind.
    slow: Option<Instant>,
    /// What was reported last.
    report: Option<LeaseLoad>,
}

impl Held {
    pub(super) fn new(cost: Cost, replay: Replay) -> Self {
        Self { cost, replay, listed: None, begun: None, caught_up: None, slow: None, report: None }
    }

    pub(super) fn handle_report(&mut self, report: &LeaseLoad, now: Instant) {
        let listed = *self.listed.get_or_insert(now);
        let lag = report.lag_ms.map(Duration::from_millis);
        if lag.is_some() {
            self.begun.get_or_insert(now);
        }
        let unmeasured = now.saturating_duration_since(listed) >= UNMEASURED_FOR && lag.is_none();
        if unmeasured || lag.is_some_and(|lag| lag < CAUGHT_UP) {
            self.caught_up.get_or_insert(now);
        }
        let slow = report.speed.is_some_and(|speed| speed < SLOW) && lag.is_none_or(|lag| lag >= BEHIND);
        self.slow = slow.then(|| self.slow.unwrap_or(now));
        self.report = Some(*report);
    }

    /// What its process was last seen to use; nothing in the dimensions that are not measured for each.
    pub(super) fn measured(&self) -> Resources {
        let report = self.report.as_ref();
        Resources {
            cpu: report.and_then(|report| report.cpu).unwrap_or(0.0),
            memory: report.map_or(0.0, |report| as_float(report.memory)),
            ..Resources::default()
        }
    }

    /// What counts beside the node's measurement, and since when that fades; `None` while it counts in full.
    pub(super) fn beside_measured(&self) -> (Resources, Option<Instant>) {
        let (predicted, measured) = (self.cost.machine, self.measured());
        let catches_up = self.caught_up.is_none() && matches!(self.replay, Replay::Media(_));
        let factor = if catches_up { REPLAY_FACTOR } else { 1.0 };
        let amount = Resources {
            cpu: (predicted.cpu * factor - measured.cpu).max(0.0),
            memory: (predicted.memory - measured.memory).max(0.0),
            disk: predicted.disk,
            network: predicted.network,
        };
        (amount, self.caught_up)
    }

    /// Since when what it needs of a GPU fades.
    pub(super) fn fades_since(&self) -> Option<Instant> {
        self.caught_up
    }

    /// Whether its encoder sessions may not be in the GPU's own count yet.
    pub(super) fn hides_sessions(&self, now: Instant) -> bool {
        let begun = self.begun.or(self.caught_up);
        begun.is_none_or(|begun| now.saturating_duration_since(begun) < SESSIONS_SHOW_AFTER)
    }

    /// How far its output is behind.
    pub(super) fn lag(&self) -> Duration {
        let lag = self.report.and_then(|report| report.lag_ms);
        lag.map_or(Duration::ZERO, Duration::from_millis)
    }

    /// A replay's warm-up is as much longer as what it has to catch up with: more than that, and it runs slower than twice
    /// as fast as live.
    fn is_warm(&self, now: Instant) -> bool {
        let behind = match self.replay {
            Replay::None => Duration::ZERO,
            Replay::Media(media) => media,
        };
        let age = self.listed.map_or(Duration::ZERO, |listed| now.saturating_duration_since(listed));
        age >= FADE && (self.caught_up.is_some() || age >= FADE.saturating_add(behind))
    }

    pub(super) fn is_lagging(&self, now: Instant) -> bool {
        let slow = self.slow.is_some_and(|since| now.saturating_duration_since(since) >= SLOW_FOR);
        self.is_warm(now) && (slow || self.lag() > LAG_LIMIT)
    }

    pub(super) fn is_steady(&self, now: Instant) -> bool {
        let Some(report) = self.report else { return false };
        let lag = report.lag_ms.map(Duration::from_millis);
        self.is_warm(now)
            && lag.is_some_and(|lag| lag < CAUGHT_UP)
            && report.speed.is_some_and(|speed| STEADY.contains(&speed))
    }
}
