//! The timeline: 90 kHz ticks that never go back, and RTMP's 32-bit milliseconds unwrapped onto them.

use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Ticks in a second. ISO/IEC 13818-1 §2.4.3.7 gives PTS and DTS this clock, and every RTMP millisecond is exactly 90.
pub const TICKS_PER_SECOND: i64 = 90_000;

/// An instant on a stream's timeline, or a distance between two, in units of 1/90000 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticks(pub i64);

impl Ticks {
    /// Zero.
    pub const ZERO: Ticks = Ticks(0);

    /// From milliseconds, exactly.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(90))
    }

    /// In milliseconds, rounded towards minus infinity.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(90)
    }

    /// In milliseconds, rounded to the nearest.
    #[must_use]
    pub const fn as_nearest_millis(self) -> i64 {
        self.0.saturating_add(45).div_euclid(90)
    }

    /// In seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are 3,171 years")]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 90_000.0
    }

    /// From a duration, rounded down to a tick.
    #[must_use]
    pub fn from_duration(duration: std::time::Duration) -> Self {
        let nanos = duration.as_nanos();
        Self(i64::try_from(nanos * 9 / 100_000).unwrap_or(i64::MAX))
    }

    /// As a number of samples at `rate` Hz, rounded to the nearest.
    #[must_use]
    pub fn as_samples(self, rate: u32) -> i64 {
        scale(self.0, i64::from(rate), TICKS_PER_SECOND)
    }

    /// As a number of samples at `rate` Hz, rounded up: the first sample that is not before it.
    #[must_use]
    pub fn as_samples_up(self, rate: u32) -> i64 {
        let product = i128::from(self.0) * i128::from(rate);
        clamp((product + i128::from(TICKS_PER_SECOND - 1)).div_euclid(i128::from(TICKS_PER_SECOND)))
    }

    /// From a number of samples at `rate` Hz, rounded to the nearest tick.
    #[must_use]
    pub fn from_samples(samples: i64, rate: u32) -> Self {
        Self(scale(samples, TICKS_PER_SECOND, i64::from(rate.max(1))))
    }

    /// The distance without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

/// `value * numerator / denominator`, rounded to the nearest, without overflow on the way.
fn scale(value: i64, numerator: i64, denominator: i64) -> i64 {
    let (value, denominator) = (i128::from(value) * i128::from(numerator), i128::from(denominator));
    clamp((value + denominator / 2).div_euclid(denominator))
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl Add for Ticks {
    type Output = Ticks;

    fn add(self, other: Ticks) -> Ticks {
        Ticks(self.0.saturating_add(other.0))
    }
}

impl Sub for Ticks {
    type Output = Ticks;

    fn sub(self, other: Ticks) -> Ticks {
        Ticks(self.0.saturating_sub(other.0))
    }
}

/// Of the values that RTMP's 32-bit millisecond clock may mean by `raw` (RTMP 1.0 §5.3.1: "timestamps roll over every 49
/// days"), the one nearest to `near`, in milliseconds. At most 2^31 ms from it, so no clock adds up to an overflow.
#[must_use]
pub fn nearest_millis(raw: u32, near: i64) -> i64 {
    let ahead = (i64::from(raw) - near.rem_euclid(1 << 32)).rem_euclid(1 << 32);
    near.saturating_add(if ahead >= 1 << 31 { ahead - (1 << 32) } else { ahead })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrap_goes_on_and_a_step_back_stays_one() {
        let wrap = 1i64 << 32;
        assert_eq!(nearest_millis(9, wrap - 10), wrap + 9);
        assert_eq!(nearest_millis(u32::MAX, wrap + 9), wrap - 1);
        assert_eq!(nearest_millis(0, (1 << 31) + 1), wrap);
        assert_eq!(nearest_millis(0, -5), 0);
        assert_eq!(nearest_millis(7, i64::MAX), nearest_millis(7, i64::MAX), "no overflow");
    }

    #[test]
    fn samples_and_ticks_meet_on_the_grid() {
        assert_eq!(Ticks::from_samples(1024, 48_000), Ticks(1920));
        assert_eq!(Ticks(1920).as_samples(48_000), 1024);
        assert_eq!(Ticks::from_samples(1024, 44_100), Ticks(2090));
        assert_eq!([0, 1, 2090, 2091].map(|ticks| Ticks(ticks).as_samples_up(44_100)), [0, 1, 1025, 1025]);
        assert_eq!(Ticks(-90).as_millis(), -1);
        assert_eq!(Ticks::from_duration(std::time::Duration::from_millis(1500)), Ticks(135_000));
    }

    #[test]
    fn the_ends_of_the_range_saturate() {
        let (first, last) = (Ticks(i64::MIN), Ticks(i64::MAX));
        assert_eq!((last + Ticks(1), first - Ticks(1), first.abs()), (last, first, last));
        assert_eq!(Ticks::from_millis(i64::MAX), last);
        assert_eq!((last.as_samples(192_000), first.as_samples(192_000)), (i64::MAX, i64::MIN));
        assert_eq!((last.as_samples_up(192_000), first.as_samples_up(192_000)), (i64::MAX, i64::MIN));
        assert_eq!(Ticks::from_samples(1, 0), Ticks(90_000), "a rate of zero is taken for one");
        assert_eq!(Ticks::from_duration(std::time::Duration::MAX), last);
    }

    proptest! {
        #[test]
        fn whole_milliseconds_come_back(millis in -10_000_000_000_000i64..10_000_000_000_000) {
            let time = Ticks::from_millis(millis);
            prop_assert_eq!(time.as_millis(), millis);
            prop_assert_eq!((time + Ticks(89)).as_millis(), millis);
            prop_assert_eq!((time - Ticks(1)).as_millis(), millis - 1);
        }

        #[test]
        fn a_time_in_samples_is_off_by_half_of_one_at_most(
            ticks in -100_000_000_000_000i64..100_000_000_000_000,
            rate in 8_000u32..=192_000,
        ) {
            let back = Ticks::from_samples(Ticks(ticks).as_samples(rate), rate);
            prop_assert!((back - Ticks(ticks)).0.abs() <= 45_000 / i64::from(rate) + 1);
            if rate >= 90_000 {
                prop_assert_eq!(back, Ticks(ticks));
            }
        }

        #[test]
        fn a_number_of_samples_comes_back_at_rates_that_media_have(
            samples in -100_000_000_000_000i64..100_000_000_000_000,
            rate in 8_000u32..=48_000,
        ) {
            let time = Ticks::from_samples(samples, rate);
            prop_assert_eq!(time.as_samples(rate), samples);
            let first = (time + Ticks(1)).as_samples_up(rate);
            prop_assert!(Ticks::from_samples(first, rate) > time);
        }

        #[test]
        fn the_nearest_meaning_is_congruent_and_less_than_half_the_range_away(raw: u32, near in -(1i64 << 60)..1 << 60) {
            let nearest = nearest_millis(raw, near);
            prop_assert_eq!(nearest.rem_euclid(1 << 32), i64::from(raw));
            prop_assert!((-(1i64 << 31)..1 << 31).contains(&(nearest - near)));
        }
    }
}
