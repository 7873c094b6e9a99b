//! The sample clock: where access units of audio begin, to the sample.
//!
//! A sender stamps each access unit in whole milliseconds, with jitter, but its samples have no gap. So units are laid end to end in
//! samples of the source's rate, counted from the timeline's zero, and the stamps only correct that. A unit's *deviation* is its stamp
//! minus the end of the unit before. What is *usual* is the mean of late deviations: the phase of a sender whose first
//! stamp was itself off. A unit moves off the end of the one before
//!
//! * at once if its deviation is more than [`MAX_JITTER`], and so beside what is usual: the source has a gap, or an overlap;
//! * at once if the shift under it has changed, and it is beside what is usual by more than [`ROUNDING`]: sound follows
//!   pictures;
//! * if for [`PATIENCE`] units in a row the deviation was more than half a unit to the same side, by the smallest of these:
//!   a unit was lost, or the sender's samples and its stamps drift apart.
//!
//! A move to within [`ROUNDING`] of whole units is one by whole units. No unit begins before the one before it.
//!
//! **What a wrong answer costs.** Jitter taken for a gap puts a silence or an overlap of its length there, at most once for [`PATIENCE`]
//! units. A gap taken for jitter leaves sound off by at most half a unit, and for the time of [`PATIENCE`] units by [`MAX_JITTER`].

use crate::media::time::Ticks;

/// Stamps this far off move nothing by themselves.
const MAX_JITTER: Ticks = Ticks::from_millis(50);
/// The most that is taken for the phase of a sender whose first stamp was off. With [`MAX_JITTER`] less than what a step back of the
/// stamps must be for a jump: units that merely overlap make none.
const MAX_PHASE: Ticks = Ticks::from_millis(40);
/// What stamps in whole milliseconds hide.
const ROUNDING: Ticks = Ticks::from_millis(1);
/// Units in a row. With stamps that are off by up to 30 ms, evenly spread, a third of the units of 1024 samples at 48 kHz
/// deviate by more than half a unit to one side: 8 in a row come every five minutes, 32 never (once in 10^15).
const PATIENCE: u32 = 32;
/// Units that the mean is taken over.
const MEAN_UNITS: i64 = 32;

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

    /// Where the unit of `samples` begins that is stamped `time`. `shifted`: the shift under it has changed.
    pub(super) fn place(&mut self, time: Ticks, samples: u32, shifted: bool) -> Ticks {
        let deviation = time - self.end();
        let unusual = deviation - self.usual;
        let gap = deviation.abs() > MAX_JITTER && unusual.abs() > MAX_JITTER;
        let by = if gap || (shifted && unusual.abs() > ROUNDING) {
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

    /// The smallest deviation of a run that has become long enough with this unit's.
    fn lasting(&mut self, deviation: Ticks, samples: u32) -> Option<Ticks> {
        let half = Ticks(Ticks::from_samples(i64::from(samples), self.rate).0 / 2);
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
