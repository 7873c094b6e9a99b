//! One work by the same encoders on many classes of machine. What does not depend on the class is reckoned once, and what
//! the model knows of such work is found once for all classes, so that a class costs a look into a map.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::average::{Averages, Ratios};
use super::key::{MAX_CLASS_CHARS, Stems};
use super::{CostModel, estimate};
use crate::placement::text_hash::text_hash;
use crate::placement::work::Work;
use crate::wire::cost::Cost;
use crate::wire::report::EncoderOn;

/// What was measured over what is estimated, of one class.
pub(in crate::placement) type Factors = Ratios<f64>;

/// A prediction for every class. As much as [`CostModel::predict`] says.
#[derive(Clone, Debug)]
pub(in crate::placement) struct Forecast<'a> {
    estimate: Cost,
    /// What is known of each class at its nearest level; bounded as the model is.
    known: HashMap<Class<'a>, Ratios<Option<f64>>, BuildHasherDefault<Ready>>,
    seed: u64,
}

/// The name of a class with its hash, which is made once for many maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::placement) struct Class<'a> {
    hash: u64,
    text: &'a str,
}

impl<'a> Class<'a> {
    /// As much of it as counts. Only classes with the same seed can be compared.
    pub(in crate::placement) fn new(class: &'a str, seed: u64) -> Self {
        // So many bytes have no more characters, and each of them need not be looked at.
        let text = if class.len() <= MAX_CLASS_CHARS {
            class
        } else {
            let end = class.char_indices().nth(MAX_CLASS_CHARS).map(|(at, _)| at);
            end.and_then(|end| class.get(..end)).unwrap_or(class)
        };
        Self { hash: text_hash(seed, text), text }
    }

    /// A number of it that looks random.
    pub(in crate::placement) fn number(&self) -> u64 {
        self.hash
    }
}

impl Hash for Class<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes the hash that is written last for what it is.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::placement) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl CostModel {
    /// What such work is expected to need on every class. Classes are looked for with the same `seed`.
    pub(in crate::placement) fn forecast(
        &self,
        work: &Work,
        encoders: &[Option<EncoderOn>],
        seed: u64,
    ) -> Forecast<'_> {
        let mut forecast =
            Forecast { estimate: estimate::cost(work, encoders), known: HashMap::default(), seed };
        // From the coarse to the fine: what a level knows comes before what those above it do.
        forecast.add(self.classes.with_prefix(""));
        if self.has_learnt() {
            let stems = Stems::of(work, encoders);
            forecast.add(self.encoders.with_prefix(&stems.encoders));
            forecast.add(self.works.with_prefix(&stems.work));
        }
        forecast
    }

    /// Whether anything has been learnt, so that classes make a difference.
    pub(in crate::placement) fn has_learnt(&self) -> bool {
        ![&self.works, &self.encoders, &self.classes].iter().all(|level| level.is_empty())
    }
}

impl<'a> Forecast<'a> {
    /// What is needed where nothing is known of the class.
    pub(in crate::placement) fn estimate(&self) -> &Cost {
        &self.estimate
    }

    /// Whether all classes need the same.
    pub(in crate::placement) fn is_of_all(&self) -> bool {
        self.known.is_empty()
    }

    /// By what the estimate is multiplied for a class.
    pub(in crate::placement) fn factors(&self, class: &Class<'_>) -> Factors {
        self.known.get(class).map_or(Ratios::ESTIMATED, |known| known.or(Ratios::ESTIMATED))
    }

    fn add(&mut self, level: impl Iterator<Item = (&'a str, &'a Averages)>) {
        for (class, averages) in level {
            let class = Class { hash: text_hash(self.seed, class), text: class };
            let known = self.known.entry(class).or_default();
            *known = averages.known().or_option(*known);
        }
    }
}

#[cfg(test)]
mod tests;
