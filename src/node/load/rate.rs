//! The arithmetic of gauges: what a counter that only grows says of the time between two looks at it.

use std::time::{Duration, Instant};

/// How far back a gauge looks: a sample's weight falls to 1/e in this time. Its samples are then as old on average as those
/// of a plain mean over twice as long, 2 s.
const MEMORY: Duration = Duration::from_secs(1);

/// A gauge that does not jump: a mean whose samples weigh the less the older they are. Never negative, never NaN.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Smoothed {
    value: Option<f64>,
}

impl Smoothed {
    /// Takes what was seen `over` the time before now. The first sample counts in full; nothing is seen in no time, and
    /// what is no number or negative was not seen.
    pub(super) fn push(&mut self, sample: f64, over: Duration) {
        if over.is_zero() || !sample.is_finite() || sample < 0.0 {
            return;
        }
        let weight = 1.0 - (-over.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.value = Some(self.value.map_or(sample, |value| value + (sample - value) * weight));
    }

    /// The gauge; `None` before anything was seen.
    pub(super) fn get(&self) -> Option<f64> {
        self.value
    }
}

/// How many bits a counter has; it begins again at zero after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// 32, as the milliseconds of `/proc/diskstats` have: they are at their end after 49 days.
    Bits32,
    /// 64, which no counter of this machine ever fills.
    Bits64,
}

/// How far a counter went from `old` to `new`; `None` if it began anew, as of a device that was taken out and put in.
pub(super) fn counted(width: Width, old: u64, new: u64) -> Option<u64> {
    match width {
        _ if new >= old => Some(new - old),
        Width::Bits64 => None,
        Width::Bits32 => {
            let (old, new) = (u32::try_from(old).ok()?, u32::try_from(new).ok()?);
            // More than half of the range between two looks is 25 days: that is no wrap.
            let grown = new.wrapping_sub(old);
            (grown <= u32::MAX / 2).then_some(grown.into())
        }
    }
}

/// A counter as a rate, smoothed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    width: Width,
    last: Option<(Instant, u64)>,
    smoothed: Smoothed,
}

impl Rate {
    /// Of a counter of this width, not looked at yet.
    pub(super) fn new(width: Width) -> Self {
        Self { width, last: None, smoothed: Smoothed::default() }
    }

    /// Takes what the counter says now. A look without any time since the last one is not taken: the next one then sees
    /// all of what was counted.
    pub(super) fn push(&mut self, count: u64, now: Instant) {
        if let Some((at, old)) = self.last {
            let over = now.saturating_duration_since(at);
            if over.is_zero() {
                return;
            }
            if let Some(grown) = counted(self.width, old, count) {
                self.smoothed.push(approximate(grown) / over.as_secs_f64(), over);
            }
        }
        self.last = Some((now, count));
    }

    /// Counts a second; `None` before two looks.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.smoothed.get()
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "a gauge that is off by a part in 2^53 is exact enough")]
pub(super) fn approximate(count: u64) -> f64 {
    count as f64
}

/// A rate as a whole number; a count beyond 64 bits saturates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and NaN is zero"
)]
pub(super) fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;
    use proptest::prelude::*;

    #[test]
    fn counters_wrap_and_begin_anew() {
        let check = |width, old, new, expected| assert_eq!(counted(width, old, new), expected, "{old} {new}");
        check(Width::Bits64, 5, 12, Some(7));
        check(Width::Bits64, 5, 5, Some(0));
        check(Width::Bits64, 1 << 32, 0, None);
        check(Width::Bits64, u64::from(u32::MAX), 3, None);
        check(Width::Bits32, u64::from(u32::MAX), 3, Some(4));
        check(Width::Bits32, 4_000_000_000, 100, Some(294_967_396));
        check(Width::Bits32, 1_000_000_000, 100, None);
        check(Width::Bits32, 1 << 40, 100, None);
    }

    /// The rate after each of (milliseconds, count).
    fn rates(width: Width, looks: &[(u64, u64)]) -> Vec<Option<f64>> {
        let (start, mut rate) = (clock::now(), Rate::new(width));
        let look = |&(millis, count): &(u64, u64)| {
            rate.push(count, start + Duration::from_millis(millis));
            rate.per_second()
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_rate_needs_two_looks_with_time_between_them() {
        assert_eq!(rates(Width::Bits64, &[(0, 10), (500, 60)]), [None, Some(100.0)]);
        assert_eq!(rates(Width::Bits64, &[(0, 10), (0, 35), (500, 60)]), [None, None, Some(100.0)]);
    }

    #[test]
    fn a_counter_that_began_anew_leaves_the_rate_as_it_was() {
        let looks = [(0, 1000), (1000, 1100), (2000, 7), (3000, 107)];
        assert_eq!(rates(Width::Bits64, &looks), [None, Some(100.0), Some(100.0), Some(100.0)]);
        let wraps = [(0, u64::from(u32::MAX) - 49), (1000, 50)];
        assert_eq!(rates(Width::Bits32, &wraps), [None, Some(100.0)]);
    }

    #[test]
    fn a_step_has_mostly_arrived_after_two_seconds_however_often_one_looks() {
        let check = |every_ms: u64| {
            let mut gauge = Smoothed::default();
            gauge.push(0.0, Duration::from_secs(1));
            let after = |gauge: &mut Smoothed, millis: u64| {
                (0..millis / every_ms).for_each(|_| gauge.push(1.0, Duration::from_millis(every_ms)));
                gauge.get().unwrap()
            };
            let (half, two) = (after(&mut gauge, 500), after(&mut gauge, 1500));
            assert!((half - 0.393).abs() < 0.001 && (two - 0.865).abs() < 0.001, "{half} {two}");
        };
        [20, 100, 250, 500].into_iter().for_each(check);
    }

    #[test]
    fn what_is_no_number_was_not_seen() {
        let mut gauge = Smoothed::default();
        assert_eq!(gauge.get(), None);
        for wrong in [f64::NAN, f64::INFINITY, -1.0] {
            gauge.push(wrong, Duration::from_secs(1));
        }
        gauge.push(3.0, Duration::ZERO);
        assert_eq!(gauge.get(), None);
        gauge.push(3.0, Duration::from_secs(1));
        assert_eq!(gauge.get(), Some(3.0));
    }

    proptest! {
        #[test]
        fn any_counts_make_a_sane_rate(counts: Vec<(u16, u64)>, wide: bool) {
            let width = if wide { Width::Bits64 } else { Width::Bits32 };
            let (mut now, mut rate) = (clock::now(), Rate::new(width));
            for (millis, count) in counts {
                now += Duration::from_millis(millis.into());
                rate.push(count, now);
                let sane = rate.per_second().is_none_or(|rate| rate.is_finite() && rate >= 0.0);
                prop_assert!(sane, "{:?}", rate);
            }
        }

        #[test]
        fn a_gauge_stays_between_its_samples(samples in prop::collection::vec((0.0..1e9, 1_u64..5000), 1..50)) {
            let mut gauge = Smoothed::default();
            samples.iter().for_each(|&(sample, millis)| gauge.push(sample, Duration::from_millis(millis)));
            let low = samples.iter().map(|it| it.0).fold(f64::INFINITY, f64::min);
            let high = samples.iter().map(|it| it.0).fold(0.0, f64::max);
            let value = gauge.get().unwrap();
            prop_assert!((low - 1e-6..=high + 1e-6).contains(&value), "{} {} {}", low, value, high);
        }
    }
}
