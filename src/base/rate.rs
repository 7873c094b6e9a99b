//! A bound on how often something may happen.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Admits a number of events in each second, counted from the first one in it. Twice as many can come within one
/// second across two windows, which is near enough for a bound on misbehaviour.
#[derive(Debug)]
pub struct RateBound {
    limit: u32,
    since: Option<Instant>,
    count: u32,
}

impl RateBound {
    /// At most `limit` events a second.
    pub fn per_second(limit: u32) -> Self {
        Self { limit, since: None, count: 0 }
    }

    /// Counts an event and says whether it is within the bound.
    pub fn admits(&mut self, now: Instant) -> bool {
        let open = self.since.is_some_and(|since| now.saturating_duration_since(since) < WINDOW);
        if !open {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;

    #[test]
    fn a_burst_is_cut_and_the_next_second_is_free() {
        let start = clock::now();
        let mut bound = RateBound::per_second(3);
        let admitted =
            |bound: &mut RateBound, at: Duration| (0..5).filter(|_| bound.admits(start + at)).count();
        assert_eq!(admitted(&mut bound, Duration::ZERO), 3);
        assert_eq!(admitted(&mut bound, Duration::from_millis(999)), 0);
        assert_eq!(admitted(&mut bound, Duration::from_millis(1000)), 3);
    }

    #[test]
    fn a_window_begins_with_its_first_event_and_a_bound_of_zero_admits_nothing() {
        let start = clock::now();
        let mut bound = RateBound::per_second(1);
        let admits = [0, 900, 1_000, 1_900, 2_500, 3_400, 3_500]
            .map(|millis| bound.admits(start + Duration::from_millis(millis)));
        assert_eq!(admits, [true, false, true, false, true, false, true]);
        assert!(!RateBound::per_second(0).admits(start));
    }

    #[test]
    fn a_time_before_the_window_is_within_it() {
        let start = clock::now();
        let mut bound = RateBound::per_second(1);
        assert!(bound.admits(start + Duration::from_secs(5)));
        assert!(!bound.admits(start));
    }
}
