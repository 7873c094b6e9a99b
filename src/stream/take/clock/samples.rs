//! The sample clock: where access units of audio begin, to the sample.
//!
//! A sender stamps each access unit in whole milliseconds, with jitter, but its samples have no gap. So units are laid
//! end to end in samples of the source's rate, counted from the timeline's zero, and the stamps only correct that. A
//! unit's *deviation* is its stamp minus the end of the unit before. What is *usual* is the mean of late deviations:
//! the phase of a sender whose first stamp was itself off. A unit moves off the end of the one before
//!
//! * at once if its deviation is more than [`MAX_JITTER`], and so beside what is usual: the source has a gap, or an
//!   overlap;
//! * at once if the shift under it has changed, or its own configuration, and it is beside what is usual by more than
//!   [`ROUNDING`]: sound follows pictures, and an encoder that has begun anew;
//! * within [`PATIENCE`] units after the configuration of the pictures has changed, if it is beside what is usual by more
//!   than half a unit: that encoder may have begun anew too, and sound of before may still come first;
//! * if for [`PATIENCE`] units in a row the deviation was more than half a unit to the same side, by the smallest of
//!   these: a unit was lost, or the sender's samples and its stamps drift apart.
//!
//! A move to within [`ROUNDING`] of whole units is one by whole units. No unit begins before the one before it.
//!
//! **What a wrong answer costs.** Jitter of more than [`MAX_JITTER`], taken for a gap, puts a silence or an overlap of
//! its length there, each time. A gap taken for jitter leaves sound off by at most [`MAX_JITTER`] for [`PATIENCE`]
//! units, and by half a unit for good.

use crate::media::time::Ticks;

/// Stamps this far off move nothing by themselves: 50 ms, and what whole milliseconds hide.
const MAX_JITTER: Ticks = Ticks::from_millis(51);
/// The most that is taken for the phase of a sender whose first stamp was off. With [`MAX_JITTER`] less than what a
/// step back of the stamps must be for a jump: units that merely overlap make none.
const MAX_PHASE: Ticks = Ticks::from_millis(40);
/// What stamps in whole milliseconds hide.
const ROUNDING: Ticks = Ticks::from_millis(1);
/// Units in a row. With stamps that are off by up to 30 ms, evenly spread, a third of the units of 1024 samples at 48 kHz
/// deviate by more than half a unit to one side: 8 in a row come every five minutes, 32 never (once in 10^15).
pub(super) const PATIENCE: u32 = 32;
/// Units that the mean is taken over.
const MEAN_UNITS: i64 = 32;

/// What is known of the stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamps {
    /// They go on.
    Steady,
    /// The encoder may have begun anew.
    PerhapsAnew,
    /// It has, or the shift has changed.
    Anew,
}

/// Units in a row that deviate to the same side.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    units: u32,
    smallest: Ticks,
}

/// See the module's words. Positions are samples of `rate`.
#[derive(Debug)]
pub(super) struct SampleClock {
    rate: u32,
    begin: i64,
    end: i64,
    usual: Ticks,
    /// Units that the mean is of, at most [`MEAN_UNITS`].
    units: i64,
    run: Run,
}

impl SampleClock {
    /// A clock whose first unit is stamped `time`: that defines the phase.
    pub(super) fn new(time: Ticks, rate: u32) -> Self {
        let rate = rate.max(1);
        let begin = time.as_samples_up(rate);
        Self { rate, begin, end: begin, usual: Ticks::ZERO, units: 0, run: Run::default() }
    }

    /// Where the unit of `samples` begins that is stamped `time`.
    pub(super) fn place(&mut self, time: Ticks, samples: u32, stamps: Stamps) -> Ticks {
        let deviation = time - self.end();
        let unusual = deviation - self.usual;
        let gap = deviation.abs() > MAX_JITTER && unusual.abs() > MAX_JITTER;
        let anew = match stamps {
            Stamps::Steady => false,
            Stamps::PerhapsAnew => unusual.abs() > self.half_of(samples),
            Stamps::Anew => unusual.abs() > ROUNDING,
        };
        let by = if gap || anew {
            self.run = Run::default();
            self.whole_units(unusual, samples)
        } else if let Some(smallest) = self.lasting(deviation, samples) {
            self.usual = (self.usual - smallest).clamp(Ticks::ZERO - MAX_PHASE, MAX_PHASE);
            self.whole_units(smallest, samples)
        } else {
            self.units = (self.units + 1).min(MEAN_UNITS);
            let usual = self.usual + Ticks(unusual.0 / self.units);
            self.usual = usual.clamp(Ticks::ZERO - MAX_PHASE, MAX_PHASE);
            0
        };
        self.begin = self.end.saturating_add(by).max(self.begin);
        self.end = self.begin.saturating_add(i64::from(samples));
        self.begin()
    }

    fn half_of(&self, samples: u32) -> Ticks {
        Ticks(Ticks::from_samples(i64::from(samples), self.rate).0 / 2)
    }

    /// The smallest deviation of a run that has become long enough with this unit's.
    fn lasting(&mut self, deviation: Ticks, samples: u32) -> Option<Ticks> {
        let half = self.half_of(samples);
        if deviation.abs() <= half {
            self.run = Run::default();
            return None;
        }
        let goes_on = self.run.units > 0 && self.run.smallest.0.signum() == deviation.0.signum();
        self.run = match self.run {
            Run { units, smallest } if goes_on && smallest.abs() < deviation.abs() => {
                Run { units: units + 1, smallest }
            }
            Run { units, .. } if goes_on => Run { units: units + 1, smallest: deviation },
            Run { .. } => Run { units: 1, smallest: deviation },
        };
        (self.run.units >= PATIENCE).then(|| std::mem::take(&mut self.run).smallest)
    }

    /// `by` in samples: as whole units where that is what was lost.
    fn whole_units(&self, by: Ticks, samples: u32) -> i64 {
        let (exact, unit) = (by.as_samples(self.rate), i64::from(samples.max(1)));
        let whole = (exact.saturating_add(unit / 2)).div_euclid(unit).saturating_mul(unit);
        let off = Ticks::from_samples(whole, self.rate) - by;
        if whole != 0 && off.abs() <= ROUNDING { whole } else { exact }
    }

    /// The units that follow have `rate`. Nothing moves but to the next sample of it.
    pub(super) fn change_rate(&mut self, rate: u32) {
        let rate = rate.max(1);
        if rate != self.rate {
            let (begin, end) = (self.begin(), self.end());
            (self.begin, self.end) = (begin.as_samples_up(rate), end.as_samples_up(rate));
            (self.rate, self.run) = (rate, Run::default());
        }
    }

    /// What is placed so far moves on; by how many samples, [`moved`] says.
    pub(super) fn move_all(&mut self, by: Ticks) {
        (self.begin, self.end) = (moved(self.begin, by, self.rate), moved(self.end, by, self.rate));
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Where the last unit begins.
    pub(super) fn begin(&self) -> Ticks {
        Ticks::from_samples(self.begin, self.rate)
    }

    /// Where the next unit's stamp is expected.
    pub(super) fn expected(&self) -> Ticks {
        self.end() + self.usual
    }

    /// Where the last unit ends.
    pub(super) fn end(&self) -> Ticks {
        Ticks::from_samples(self.end, self.rate)
    }
}

/// A position in samples, moved on by the first whole number of samples that is not less than `by`.
pub(super) fn moved(position: i64, by: Ticks, rate: u32) -> i64 {
    position.saturating_add(by.as_samples_up(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_HOUR_S: i64 = 1_800;

    /// Places units of 1024 samples at `rate` with these stamps in milliseconds, and gives their positions in samples.
    fn place(stamps: impl IntoIterator<Item = i64>, rate: u32) -> Vec<i64> {
        let mut clock: Option<SampleClock> = None;
        let stamps = stamps.into_iter().map(Ticks::from_millis);
        let place = |time: Ticks| {
            let clock = clock.get_or_insert_with(|| SampleClock::new(time, rate));
            clock.place(time, 1024, Stamps::Steady).as_samples(rate)
        };
        stamps.map(place).collect()
    }

    /// Units that do not begin where the one before ends, and how far from there.
    fn moves(positions: &[i64]) -> Vec<(usize, i64)> {
        let gaps = positions.windows(2).map(|pair| pair[1] - pair[0] - 1024);
        gaps.enumerate().filter(|&(_, gap)| gap != 0).map(|(before, gap)| (before + 1, gap)).collect()
    }

    /// When the `unit`th one is heard, in thousandths of a millisecond, of a source whose samples run `ppm` slow.
    fn micros(unit: i64, rate: i64, ppm: i64) -> i64 {
        unit * 1024 * (1_000_000 + ppm) / rate
    }

    #[test]
    fn exact_samples_in_whole_milliseconds_are_never_moved_in_half_an_hour() {
        for (rate, start) in [(44_100, 0), (44_100, 1_700_000_000_007), (48_000, 3), (22_050, 5), (7_350, 1)]
        {
            for round_up in [0, 500, 999] {
                let rate_hz = u32::try_from(rate).unwrap();
                let units = HALF_HOUR_S * rate / 1024;
                let stamp = |unit| start + (micros(unit, rate, 0) + round_up) / 1000;
                let positions = place((0..units).map(stamp), rate_hz);
                assert_eq!(moves(&positions), [], "{rate} {round_up}");
                let last = Ticks::from_samples(positions[positions.len() - 1] - positions[0], rate_hz);
                assert!((last.0 - micros(units - 1, rate, 0) * 9 / 100).abs() <= 2, "{rate} {round_up}");
                assert!((Ticks::from_samples(positions[0], rate_hz) - Ticks::from_millis(stamp(0))).0 <= 12);
            }
        }
    }

    #[test]
    fn a_drift_between_samples_and_stamps_never_becomes_a_unit() {
        for (rate, ppm) in [(48_000, 100), (48_000, -100), (44_100, 100), (44_100, -100)] {
            let rate_hz = u32::try_from(rate).unwrap();
            let units = HALF_HOUR_S * rate / 1024;
            let stamps: Vec<i64> = (0..units).map(|unit| micros(unit, rate, ppm) / 1000).collect();
            let positions = place(stamps.iter().copied(), rate_hz);
            let worst = positions.iter().zip(&stamps).map(|(&position, &stamp)| {
                (Ticks::from_samples(position, rate_hz) - Ticks::from_millis(stamp)).abs()
            });
            // Half a unit, what rounding hides, and what drifts in 32 units.
            let bound = Ticks::from_samples(512, rate_hz) + Ticks::from_millis(2);
            assert!(worst.max() <= Some(bound), "{rate} {ppm}");
            let moves = moves(&positions);
            assert!(moves.len() > 10 && moves.len() < 20, "{} moves of 180 ms in all", moves.len());
        }
    }

    /// Even in `-bound..=bound`, by a seeded generator.
    fn jitter(seed: &mut u64, bound: i64) -> i64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(*seed >> 33).unwrap() % (2 * bound + 1) - bound
    }

    #[test]
    fn jitter_never_moves_a_unit() {
        for (rate, bound, seed) in [(48_000, 30, 1), (44_100, 30, 2), (48_000, 50, 3), (44_100, 50, 4)] {
            let mut seed = seed;
            let units = HALF_HOUR_S * rate / 1024;
            let stamp = |unit| {
                1_000 + micros(unit, rate, 0) / 1000 + if unit == 0 { 0 } else { jitter(&mut seed, bound) }
            };
            let positions = place((0..units).map(stamp), u32::try_from(rate).unwrap());
            assert_eq!(moves(&positions), [], "{rate} {bound}");
        }
    }

    #[test]
    fn a_first_stamp_that_is_off_by_all_of_the_jitter_costs_a_few_moves_in_half_an_hour() {
        for (first, seed) in [(30, 1), (-30, 2), (30, 3), (-30, 4), (20, 5)] {
            let mut seed = seed;
            let stamp =
                |unit: i64| 1_000 + unit * 64 / 3 + if unit == 0 { first } else { jitter(&mut seed, 30) };
            let moves = moves(&place((0..80_000).map(stamp), 48_000));
            assert!(moves.len() <= 3, "{first}: {moves:?}");
        }
    }

    #[test]
    fn a_lost_unit_is_noticed_after_patience_and_is_a_whole_one() {
        for rate in [44_100, 48_000] {
            let stamp = |unit: i64| micros(unit, rate, 0) / 1000;
            let with =
                |lost: i64| (0..500).filter(move |&unit| !(100..100 + lost).contains(&unit)).map(stamp);
            let rate = u32::try_from(rate).unwrap();
            assert_eq!(moves(&place(with(1), rate)), [(131, 1024)]);
            assert_eq!(moves(&place(with(3), rate)), [(100, 3 * 1024)], "a gap, at once");
        }
    }

    #[test]
    fn a_gap_that_is_not_of_whole_units_and_an_overlap_move_at_once() {
        let stamp = |unit: i64| unit * 64 / 3 + if unit < 9 { 0 } else { 60 };
        assert_eq!(moves(&place((0..300).map(stamp), 48_000)).len(), 1);
        assert_eq!(moves(&place((0..300).map(stamp), 48_000))[0].0, 9);
        let stamp = |unit: i64| 1_000 + unit * 64 / 3 - if unit < 9 { 0 } else { 60 };
        let positions = place((0..300).map(stamp), 48_000);
        assert!(positions.is_sorted(), "no unit begins before the one before it");
        assert_eq!(moves(&positions)[0], (9, -1024));
        assert!(
            (Ticks::from_samples(positions[299], 48_000) - Ticks::from_millis(stamp(299))).as_millis() <= 11
        );
    }

    #[test]
    fn another_rate_and_units_of_another_length_go_on_where_the_last_one_ends() {
        let mut clock = SampleClock::new(Ticks::from_millis(1_000), 44_100);
        clock.place(Ticks::from_millis(1_000), 1024, Stamps::Steady);
        let end = clock.end();
        clock.change_rate(48_000);
        let begin = clock.place(Ticks::from_millis(1_023), 960, Stamps::Steady);
        assert!(begin >= end && (begin - end) <= Ticks(2), "to the next sample");
        let ends: Vec<Ticks> = [120, 2880, 4608]
            .map(|samples| {
                let end = clock.end();
                assert_eq!(clock.place(end, samples, Stamps::Steady), end);
                clock.end() - end
            })
            .into();
        assert_eq!(ends, [120, 2880, 4608].map(|samples| Ticks::from_samples(samples, 48_000)));
    }
}
