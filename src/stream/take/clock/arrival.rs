//! The arrival clock as a witness: how much time has passed that the take's timeline has not moved on by.
//!
//! A message's wait counts in full. What was late before counts on, up to [`MAX_LATE`], because after a stall of the
//! network everything comes at once, and with it the hole where a congested encoder dropped pictures. It is forgotten
//! as the timeline moves on, an eighth of that each time: an encoder whose delay has grown for good, or whose clock is
//! slow, would be late for ever.
//!
//! A sender that is faster than real time is never late; it has no witness but its waits.

use std::time::Instant;

use crate::media::time::Ticks;

/// The most that is remembered: a longer step is a jump anyway.
const MAX_LATE: Ticks = Ticks::from_millis(10_000);

/// See the module's words.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    last: Option<Instant>,
    latest: Option<Ticks>,
    late: Ticks,
}

impl Arrival {
    /// A message of either track has come.
    pub(super) fn come(&mut self, now: Instant) {
        let waited =
            self.last.map_or(Ticks::ZERO, |last| Ticks::from_duration(now.saturating_duration_since(last)));
        self.last = self.last.max(Some(now));
        // The wait itself is not cut: it is what this very message's step is judged by.
        self.late = self.late + waited;
    }

    /// The time that nothing else has explained.
    pub(super) fn unexplained(&self) -> Ticks {
        self.late
    }

    /// The take has come to `latest` with that message.
    pub(super) fn reach(&mut self, latest: Ticks) {
        let advance = self.latest.map_or(Ticks::ZERO, |before| latest - before).max(Ticks::ZERO);
        let explained = Ticks(advance.0.saturating_add(advance.0 / 8));
        self.late = (self.late - explained).clamp(Ticks::ZERO, MAX_LATE);
        self.latest = self.latest.max(Some(latest));
    }

    /// The timeline has moved on under what has been placed.
    pub(super) fn move_all(&mut self, by: Ticks) {
        self.latest = self.latest.map(|latest| latest + by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Messages at these milliseconds of arrival and timeline; expects what is unexplained as the last one comes.
    #[track_caller]
    fn check(messages: &[(u64, i64)], expected_ms: i64) {
        let start = crate::base::clock::now();
        let mut arrival = Arrival::default();
        let mut unexplained = Ticks::ZERO;
        for &(arrived, time) in messages {
            arrival.come(start + Duration::from_millis(arrived));
            unexplained = arrival.unexplained();
            arrival.reach(Ticks::from_millis(time));
        }
        assert_eq!(unexplained.as_millis(), expected_ms);
    }

    #[test]
    fn a_wait_explains_what_it_lasted() {
        check(&[(0, 0), (40, 40), (80, 80)], 40);
        check(&[(0, 0), (5_000, 40)], 5_000);
        check(&[(0, 0), (25_000, 40)], 25_000);
    }

    #[test]
    fn after_a_stall_what_is_late_explains_a_hole_until_it_is_forgotten() {
        check(&[(0, 0), (5_000, 40), (5_000, 80)], 5_000 - 45);
        check(&[(0, 0), (5_000, 4_000), (5_000, 5_000)], 500);
        check(&[(0, 0), (60_000, 0), (60_000, 0)], 10_000);
        let slow_for_good: Vec<_> =
            (0..2_000u32).map(|n| (5_000 + 40 * u64::from(n), 40 * i64::from(n))).collect();
        check(&[&[(0, 0)], &slow_for_good[..]].concat(), 40);
    }

    #[test]
    fn a_fast_sender_has_no_witness_but_its_waits() {
        let fast: Vec<_> = (0..100u32).map(|n| (5 * u64::from(n), 40 * i64::from(n))).collect();
        check(&fast, 5);
    }
}
