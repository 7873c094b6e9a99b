//! When the next attempt may start, and which nodes it had better avoid.
//!
//! One failure is answered at once: a node died. A stream whose attempts keep failing without a single commit in
//! between is the fault itself, most likely: it waits longer each time, so that it cannot take the fleet down.

use std::time::{Duration, Instant};

use crate::base::names::Name;
use crate::base::reason::Reason;

/// How often placement is asked again while no node has room.
pub const PLACE_AGAIN: Duration = Duration::from_millis(250);
/// Failures in a row that are answered at once.
pub const FREE_FAILURES: u32 = 3;
/// The first wait after that; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The most nodes remembered; the oldest leaves first.
const MAX_AVOIDED: usize = 8;

/// Failures since the last commit.
#[derive(Debug, Default)]
pub struct Retry {
    failures: u32,
    waiting_for_room: bool,
    not_before: Option<Instant>,
    failed_on: Vec<Name>,
    last: Option<(Reason, String)>,
}

impl Retry {
    /// An attempt failed on `node`.
    pub fn handle_failure(&mut self, node: Option<Name>, reason: Reason, detail: String, now: Instant) {
        self.last = Some((reason, detail));
        if reason == Reason::NoNode {
            self.waiting_for_room = true;
            self.not_before = Some(now + PLACE_AGAIN);
        } else if matches!(reason, Reason::NoSlot | Reason::NodeStopping | Reason::HandshakeTimeout) {
            // The node did not take it, which says nothing of the stream: the next best, and the same one not too soon.
            let again = node.as_ref().is_none_or(|node| self.failed_on.contains(node));
            self.not_before = again.then(|| now + PLACE_AGAIN);
            self.avoid(node);
        } else {
            self.failures = self.failures.saturating_add(1);
            self.waiting_for_room = false;
            // FFmpeg may fail for a passing cause: the same node gets a second try. A lost node does not.
            self.avoid(node.filter(|_| self.failures > 1 || reason == Reason::NodeLost));
            let doublings = self.failures.checked_sub(FREE_FAILURES + 1);
            self.not_before = doublings.map(|doublings| now + wait(doublings));
        }
    }

    fn avoid(&mut self, node: Option<Name>) {
        let Some(node) = node else { return };
        self.failed_on.retain(|known| *known != node);
        self.failed_on.push(node);
        if self.failed_on.len() > MAX_AVOIDED {
            self.failed_on.remove(0);
        }
    }

    /// A node was found.
    pub fn handle_placed(&mut self) {
        self.waiting_for_room = false;
    }

    /// Something was committed: all is well.
    pub fn handle_commit(&mut self) {
        if self.last.is_some() {
            *self = Self::default();
        }
    }

    /// Whether an attempt may start at `now`.
    #[must_use]
    pub fn allows(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// When it may, if not yet.
    #[must_use]
    pub fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// The wait is over, whether or not there is anything to start with: it is no deadline any more.
    pub fn end_wait(&mut self) {
        self.not_before = None;
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether attempts are held back because they keep failing.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.failures > FREE_FAILURES
    }

    /// Whether no node had room when last asked.
    #[must_use]
    pub fn is_waiting_for_room(&self) -> bool {
        self.waiting_for_room
    }

    /// Nodes on which the last attempts failed.
    #[must_use]
    pub fn failed_on(&self) -> &[Name] {
        &self.failed_on
    }

    /// Why the last attempt failed.
    #[must_use]
    pub fn last_failure(&self) -> Option<&(Reason, String)> {
        self.last.as_ref()
    }
}

fn wait(doublings: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(retry: &mut Retry, reason: Reason, now: Instant) {
        retry.handle_failure(Some("n1".parse().expect("a name")), reason, String::new(), now);
    }

    #[test]
    fn a_lost_node_is_avoided_at_once_and_a_crash_gets_a_second_try() {
        let now = crate::base::clock::now();
        let mut retry = Retry::default();
        failed(&mut retry, Reason::FfmpegCrashed, now);
        assert!(retry.allows(now) && retry.failed_on().is_empty());
        failed(&mut retry, Reason::FfmpegCrashed, now);
        assert!(retry.allows(now) && retry.failed_on().len() == 1);
        let mut retry = Retry::default();
        failed(&mut retry, Reason::NodeLost, now);
        assert!(retry.allows(now) && retry.failed_on().len() == 1);
        retry.handle_commit();
        assert!(retry.failed_on().is_empty());
    }

    #[test]
    fn waits_double_up_to_the_longest_and_a_commit_ends_them() {
        let now = crate::base::clock::now();
        let mut retry = Retry::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            failed(&mut retry, Reason::FfmpegExited, now);
            waits.push(retry.not_before().map_or(0, |at| (at - now).as_millis()));
        }
        assert_eq!(waits, [0, 0, 0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert!(retry.is_quarantined());
        retry.handle_commit();
        assert!(!retry.is_quarantined() && retry.allows(now));
    }

    #[test]
    fn a_refusal_is_no_failure_of_the_stream() {
        let now = crate::base::clock::now();
        let mut retry = Retry::default();
        failed(&mut retry, Reason::NoSlot, now);
        assert!(retry.allows(now), "another node may take it at once");
        failed(&mut retry, Reason::NoSlot, now);
        assert!(!retry.allows(now) && retry.allows(now + PLACE_AGAIN), "the same one not too soon");
        (0..20).for_each(|_| failed(&mut retry, Reason::NoSlot, now));
        assert!(!retry.is_quarantined());
        assert_eq!(retry.failed_on().len(), 1);
    }

    #[test]
    fn no_room_is_asked_again_soon_and_is_no_failure() {
        let now = crate::base::clock::now();
        let mut retry = Retry::default();
        (0..20).for_each(|_| retry.handle_failure(None, Reason::NoNode, String::new(), now));
        assert!(retry.is_waiting_for_room() && !retry.is_quarantined());
        assert!(!retry.allows(now) && retry.allows(now + PLACE_AGAIN));
    }
}
