//! What an attempt costs on a kind of machine: first reckoned from pixels a second, then learnt from what FFmpeg really used.
//!
//! [`estimate`] is a table that was measured on one machine. For each thing that has been seen running, the model keeps the
//! mean of measured over estimated, at three levels, and a prediction takes the nearest that it has:
//!
//! 1. the same work by the same encoders on the same class of machine ([`CostModel::MAX_WORKS`] of them),
//! 2. any work by the same encoders on the same class,
//! 3. any work that encodes on the same class,
//! 4. the estimate itself.
//!
//! What encodes nothing is no measure of a machine: a copy takes hundredths of a core, of which most is not in proportion to
//! anything, so its ratio may be many times off. The third level does not learn of it.
//!
//! Of each level the entry that was learnt of least recently is forgotten when there are too many.
//!
//! The model does not judge which measurements are sound: who calls [`CostModel::learn`] leaves an attempt's warm-up and replay
//! out. It does bound what one wrong measurement can do ([`average`]).
//!
//! Network and disk are not learnt: the former is what goes in and out, which is known, and FFmpeg works in pipes.

mod average;
mod estimate;
mod file;
mod forecast;
mod key;
mod remembered;

use serde::{Deserialize, Serialize};

use self::average::{Averages, Ratios};
use self::file::File;
use self::key::Keys;
use self::remembered::Remembered;
use super::work::Work;
use crate::wire::cost::{Cost, GpuResources};
use crate::wire::report::EncoderOn;

pub use self::file::FileError;
pub(super) use self::forecast::{Class, Factors, Forecast};

/// What attempts cost, as far as it is known. [`Default`] is the estimate alone.
///
/// Its serialised form is its file's; whatever is out of bounds there is refused ([`FileError`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "File", try_from = "File")]
pub struct CostModel {
    works: Remembered,
    encoders: Remembered,
    classes: Remembered,
    lessons: u64,
}

/// What an attempt's FFmpeg was measured to use, on average over some seconds of steady work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Used {
    /// CPU cores; from 0, or it is not learnt.
    pub cpu: f64,
    /// Bytes of memory; 0 is not learnt.
    pub memory: u64,
    /// Of GPUs, by index; what is zero is not learnt, as nobody measured it.
    pub gpus: Vec<(u32, GpuResources)>,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            works: Remembered::new(Self::MAX_WORKS),
            encoders: Remembered::new(Self::MAX_ENCODER_SETS),
            classes: Remembered::new(Self::MAX_CLASSES),
            lessons: 0,
        }
    }
}

impl CostModel {
    /// The most works, each with its encoders and its class of machine, that are remembered.
    pub const MAX_WORKS: usize = 4096;
    /// The most sets of encoders, each with its class of machine.
    pub const MAX_ENCODER_SETS: usize = 1024;
    /// The most classes of machines.
    pub const MAX_CLASSES: usize = 256;

    /// What `work` is expected to need on a machine of `class`, steadily, where its renditions are made by these `encoders`:
    /// one for each, in its order, `None` for a copy.
    #[must_use]
    pub fn predict(&self, class: &str, work: &Work, encoders: &[Option<EncoderOn>]) -> Cost {
        let keys = Keys::of(class, work, encoders);
        let mut cost = estimate::cost(work, encoders);
        self.ratios(&keys).scale(&mut cost);
        cost
    }

    /// Takes note of what such work really used. What is no positive, finite number is ignored, each dimension for itself.
    pub fn learn(&mut self, class: &str, work: &Work, encoders: &[Option<EncoderOn>], used: &Used) {
        let keys = Keys::of(class, work, encoders);
        let samples = Ratios::measured(used, &estimate::cost(work, encoders));
        if samples.is_empty() {
            return;
        }
        // From the coarse to the fine: each level's first sample is judged by what the level above knew before it.
        let by_class = Self::known(&self.classes, &keys.class).or(Ratios::ESTIMATED);
        let by_encoders = Self::known(&self.encoders, &keys.encoders).or(by_class);
        if encoders.iter().any(Option::is_some) {
            self.classes.learn(&keys.class, samples, Ratios::ESTIMATED);
        }
        self.encoders.learn(&keys.encoders, samples, by_class);
        if let Some(work) = &keys.work {
            self.works.learn(work, samples, by_encoders);
        }
        self.lessons = self.lessons.wrapping_add(1);
    }

    /// How often it has learnt: where that is unchanged, so is the model.
    #[must_use]
    pub fn lessons(&self) -> u64 {
        self.lessons
    }

    /// Measured over estimated, from the nearest level that knows it, for each dimension.
    fn ratios(&self, keys: &Keys) -> Ratios<f64> {
        let by_work = keys.work.as_ref().map(|work| Self::known(&self.works, work)).unwrap_or_default();
        let known = by_work.or_option(Self::known(&self.encoders, &keys.encoders));
        known.or_option(Self::known(&self.classes, &keys.class)).or(Ratios::ESTIMATED)
    }

    fn known(level: &Remembered, key: &str) -> Ratios<Option<f64>> {
        level.get(key).map(Averages::known).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
