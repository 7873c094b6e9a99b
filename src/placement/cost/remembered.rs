//! Averages by key, of which the one that was learnt of least recently is forgotten when there are too many.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::average::{Averages, Ratios};

/// A bounded memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Remembered {
    entries: BTreeMap<String, Entry>,
    /// Counts up with each lesson: who learnt last.
    lessons: u64,
    most: usize,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Entry {
    averages: Averages,
    /// The lesson at which it last learnt.
    learnt: u64,
}

impl Remembered {
    /// Room for `most` keys.
    pub(super) fn new(most: usize) -> Self {
        Self { entries: BTreeMap::new(), lessons: 0, most }
    }

    /// What is known of this key.
    pub(super) fn get(&self, key: &str) -> Option<&Averages> {
        self.entries.get(key).map(|entry| &entry.averages)
    }

    /// What is known of all keys that begin so, by what follows.
    pub(super) fn with_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = (&'a str, &'a Averages)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let entries = self.entries.range::<str, _>(from);
        entries.map_while(move |(key, entry)| Some((key.strip_prefix(prefix)?, &entry.averages)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes samples of it in.
    pub(super) fn learn(&mut self, key: &str, samples: Ratios<Option<f64>>, believed: Ratios<f64>) {
        self.entry(key).learn(samples, believed);
    }

    /// Puts an entry in as the latest.
    pub(super) fn insert(&mut self, key: &str, averages: Averages) {
        *self.entry(key) = averages;
    }

    /// All keys, those first that were learnt of least recently.
    pub(super) fn in_order(&self) -> Vec<(&String, &Averages)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.learnt);
        entries.into_iter().map(|(key, entry)| (key, &entry.averages)).collect()
    }

    /// The entry of this key, which is now the latest. Only a new one costs a walk through all of them.
    fn entry(&mut self, key: &str) -> &mut Averages {
        if !self.entries.contains_key(key) && self.entries.len() >= self.most {
            self.forget();
        }
        self.lessons += 1;
        let entry = self.entries.entry(key.to_owned()).or_default();
        entry.learnt = self.lessons;
        &mut entry.averages
    }

    fn forget(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.learnt).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.entries.remove(&oldest);
        }
    }
}
