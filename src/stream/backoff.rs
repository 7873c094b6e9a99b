//! When the next attempt may start, and which nodes it had better avoid.
//!
//! One failure is answered at once: a node died. Three rules keep a stream that is itself the fault from taking the fleet
//! down, and a node that is the fault from keeping the stream:
//!
//! * failures in a row without a single commit in between wait longer each time (quarantine);
//! * however much is committed in between, there are at most [`MAX_IN_SPAN`] failures in [`SPAN`];
//! * a node that was lost, or failed twice within [`MEMORY`], is avoided for as long.
//!
//! No wait is longer than what the GOP log can hold, or waiting would be what loses frames.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::base::names::Name;
use crate::base::reason::Reason;

/// How often placement is asked again while no node has room.
pub const PLACE_AGAIN: Duration = Duration::from_millis(250);
/// Failures in a row without a commit that are answered at once.
pub const FREE_FAILURES: u32 = 3;
/// The first wait after that; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The most failures in [`SPAN`].
pub const MAX_IN_SPAN: usize = 5;
/// See [`MAX_IN_SPAN`].
pub const SPAN: Duration = Duration::from_secs(10);
/// How long a node's failures are remembered.
pub const MEMORY: Duration = Duration::from_secs(60);
/// The most failures remembered; the oldest leave first.
const MAX_REMEMBERED: usize = 64;

/// A failure that is remembered.
#[derive(Clone, Debug)]
struct Failure {
    at: Instant,
    node: Option<Name>,
    /// Whether one is enough to avoid the node.
    blamed: bool,
    /// Whether it counts against the stream, and not only against the node.
    counts: bool,
}

/// Failures of late.
#[derive(Debug)]
pub struct Backoff {
    longest_wait: Duration,
    recent: VecDeque<Failure>,
    /// Failures since the last commit.
    in_a_row: u32,
    not_before: Option<Instant>,
    last: Option<(Reason, String)>,
}

impl Backoff {
    /// No failures yet; no wait will be longer than `longest_wait`.
    #[must_use]
    pub fn new(longest_wait: Duration) -> Self {
        Self { longest_wait, recent: VecDeque::new(), in_a_row: 0, not_before: None, last: None }
    }

    /// Another section begins: what failed was not its fault, but nodes stay known.
    pub fn begin_section(&mut self) {
        self.in_a_row = 0;
        self.not_before = None;
        self.last = None;
    }

    /// An attempt failed on `node`.
    pub fn handle_failure(&mut self, node: Option<Name>, reason: Reason, detail: String, now: Instant) {
        self.last = Some((reason, detail));
        self.forget(now);
        let not_taken = matches!(
            reason,
            Reason::NoSlot | Reason::NoRoom | Reason::NodeStopping | Reason::HandshakeTimeout
        );
        if reason == Reason::NoNode || (reason == Reason::NoRoom && node.is_none()) {
            self.not_before = Some(now + PLACE_AGAIN);
        } else if not_taken {
            // The node did not take it, which says nothing of the stream: the next best, and the same one not too soon.
            let again = node.is_none() || self.recent.iter().any(|failure| failure.node == node);
            self.not_before = again.then(|| now + PLACE_AGAIN);
            self.remember(Failure { at: now, node, blamed: true, counts: false });
        } else {
            self.in_a_row = self.in_a_row.saturating_add(1);
            // FFmpeg may fail for a passing cause: the same node gets a second try. A lost node does not.
            self.remember(Failure { at: now, node, blamed: reason == Reason::NodeLost, counts: true });
            self.not_before = self.quarantine(now).max(self.rate(now));
        }
    }

    /// An attempt on `node` was suspected, and another one won: the node is avoided, and the stream goes on.
    pub fn handle_superseded(&mut self, node: Option<Name>, now: Instant) {
        self.forget(now);
        self.remember(Failure { at: now, node, blamed: true, counts: true });
    }

    /// The input was refused everywhere. It is told, and nothing waits for it: what comes next is another section.
    pub fn remember_refusal(&mut self, reason: Reason, detail: String) {
        self.last = Some((reason, detail));
    }

    fn remember(&mut self, failure: Failure) {
        if self.recent.len() == MAX_REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(failure);
    }

    fn forget(&mut self, now: Instant) {
        while self.recent.front().is_some_and(|failure| now.saturating_duration_since(failure.at) > MEMORY) {
            self.recent.pop_front();
        }
    }

    fn quarantine(&self, now: Instant) -> Option<Instant> {
        let doublings = self.in_a_row.checked_sub(FREE_FAILURES + 1)?;
        Some(now + FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(self.longest_wait))
    }

    fn rate(&self, now: Instant) -> Option<Instant> {
        let mut counted = self.recent.iter().rev().filter(|failure| failure.counts);
        let first_of_many = counted.nth(MAX_IN_SPAN - 1)?.at;
        Some((first_of_many + SPAN).min(now + self.longest_wait)).filter(|&at| at > now)
    }

    /// Something was committed: the stream is not the fault.
    pub fn handle_commit(&mut self) {
        self.in_a_row = 0;
        self.last = None;
    }

    /// An operator says that what failed is mended.
    pub fn release(&mut self) {
        (self.in_a_row, self.not_before) = (0, None);
        self.recent.clear();
    }

    /// Whether an attempt may start at `now`. A wait that is over is forgotten: should nothing start for another reason,
    /// only news can change that, and the time must not be looked at again and again.
    pub fn allow(&mut self, now: Instant) -> bool {
        let allowed = self.not_before.is_none_or(|at| at <= now);
        if allowed {
            self.not_before = None;
        }
        allowed
    }

    /// When it may, if not yet.
    #[must_use]
    pub fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// Whether attempts are held back because they keep failing.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.in_a_row > FREE_FAILURES
    }

    /// Nodes that had better not get the next attempt.
    #[must_use]
    pub fn avoided(&self, now: Instant) -> Vec<Name> {
        let fresh = |failure: &&Failure| now.saturating_duration_since(failure.at) <= MEMORY;
        let mut nodes: Vec<(&Name, bool)> = Vec::new();
        for failure in self.recent.iter().filter(fresh) {
            let Some(node) = &failure.node else { continue };
            match nodes.iter_mut().find(|(known, _)| *known == node) {
                Some((_, avoided)) => *avoided = true,
                None => nodes.push((node, failure.blamed)),
            }
        }
        nodes.into_iter().filter(|(_, avoided)| *avoided).map(|(node, _)| node.clone()).collect()
    }

    /// Why the last attempt failed, if nothing has been committed since.
    #[must_use]
    pub fn last_failure(&self) -> Option<&(Reason, String)> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(5);

    fn failed(backoff: &mut Backoff, reason: Reason, now: Instant) {
        backoff.handle_failure(Some("n1".parse().expect("a name")), reason, String::new(), now);
    }

    fn wait(backoff: &Backoff, now: Instant) -> u128 {
        backoff.not_before().map_or(0, |at| (at - now).as_millis())
    }

    #[test]
    fn a_lost_node_is_avoided_at_once_and_a_crash_gets_a_second_try() {
        let now = crate::base::clock::now();
        let mut backoff = Backoff::new(LONGEST);
        failed(&mut backoff, Reason::FfmpegCrashed, now);
        assert!(backoff.allow(now) && backoff.avoided(now).is_empty());
        backoff.handle_commit();
        failed(&mut backoff, Reason::FfmpegCrashed, now + SPAN);
        assert_eq!(backoff.avoided(now + SPAN).len(), 1, "though something was committed in between");
        let mut backoff = Backoff::new(LONGEST);
        failed(&mut backoff, Reason::NodeLost, now);
        assert!(backoff.allow(now) && backoff.avoided(now).len() == 1);
        assert!(backoff.avoided(now + MEMORY + SPAN).is_empty(), "not for ever");
    }

    #[test]
    fn waits_double_up_to_the_longest_and_a_commit_ends_the_quarantine() {
        let mut now = crate::base::clock::now();
        let mut backoff = Backoff::new(LONGEST);
        let mut waits = Vec::new();
        for _ in 0..9 {
            now += MEMORY;
            failed(&mut backoff, Reason::FfmpegExited, now);
            waits.push(wait(&backoff, now));
        }
        assert_eq!(waits, [0, 0, 0, 500, 1000, 2000, 4000, 5000, 5000]);
        assert!(backoff.is_quarantined() && backoff.last_failure().is_some());
        backoff.handle_commit();
        assert!(!backoff.is_quarantined() && backoff.last_failure().is_none());
    }

    #[test]
    fn commits_in_between_do_not_lift_the_bound_on_failures() {
        let now = crate::base::clock::now();
        let mut backoff = Backoff::new(LONGEST);
        for failure in 1..=20 {
            failed(&mut backoff, Reason::FfmpegExited, now);
            backoff.handle_commit();
            let expected = if failure < MAX_IN_SPAN { 0 } else { LONGEST.as_millis() };
            assert_eq!(wait(&backoff, now), expected, "failure {failure}");
        }
        failed(&mut backoff, Reason::FfmpegExited, now + SPAN * 2);
        assert_eq!(wait(&backoff, now + SPAN * 2), 0, "one after a quiet span is answered at once");
    }

    #[test]
    fn a_refusal_is_no_failure_of_the_stream() {
        let now = crate::base::clock::now();
        let mut backoff = Backoff::new(LONGEST);
        failed(&mut backoff, Reason::NoSlot, now);
        assert!(backoff.allow(now), "another node may take it at once");
        failed(&mut backoff, Reason::NoSlot, now);
        assert!(!backoff.allow(now), "the same one not too soon");
        assert!(backoff.allow(now + PLACE_AGAIN));
        (0..200).for_each(|_| failed(&mut backoff, Reason::NoSlot, now));
        assert!(!backoff.is_quarantined());
        assert_eq!((backoff.avoided(now).len(), backoff.recent.len()), (1, MAX_REMEMBERED));
    }

    #[test]
    fn a_node_without_room_is_another_thing_than_a_fleet_without() {
        let now = crate::base::clock::now();
        let mut backoff = Backoff::new(LONGEST);
        failed(&mut backoff, Reason::NoRoom, now);
        assert!(backoff.allow(now) && backoff.avoided(now).len() == 1, "the next best may take it at once");
        let mut backoff = Backoff::new(LONGEST);
        backoff.handle_failure(None, Reason::NoRoom, String::new(), now);
        assert!(!backoff.allow(now) && backoff.avoided(now).is_empty());
    }

    #[test]
    fn no_room_is_asked_again_soon_and_a_wait_that_is_over_is_forgotten() {
        let now = crate::base::clock::now();
        let mut backoff = Backoff::new(LONGEST);
        (0..20).for_each(|_| backoff.handle_failure(None, Reason::NoNode, String::new(), now));
        assert!(!backoff.is_quarantined() && !backoff.allow(now));
        assert!(backoff.allow(now + PLACE_AGAIN));
        assert_eq!(backoff.not_before(), None);
    }
}
