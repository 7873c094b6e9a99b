//! What came of a run.

use std::fmt;

use super::truth::float;

/// Counts and sums over the measured time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Seconds, over all nodes, in which more was wanted of a node than it has, in any dimension.
    pub overloaded_s: f64,
    /// Seconds over all nodes.
    pub node_s: f64,
    /// Streams that came.
    pub arrived: u64,
    /// Streams that no node took.
    pub refused: u64,
    /// Of these, those that some node had room for, as things were: under the limit, by true costs.
    pub room_as_it_was: u64,
    /// Of these, those that would have fitted had all that ran been packed anew by an offline best fit; and how many of the
    /// refused were looked at in this way.
    pub room_if_packed: u64,
    /// See [`Outcome::room_if_packed`].
    pub packed: u64,
    /// Offers that nodes refused.
    pub node_refusals: u64,
    /// The highest utilisation of a node over the mean of all, added up over the samples.
    pub largest_over_mean: f64,
    /// The mean utilisation of all nodes, added up.
    pub mean: f64,
    /// What ran at each sample.
    pub present: Vec<Present>,
    /// How many samples.
    pub samples: u64,
    /// What should never happen, each in words; the first few.
    pub violations: Vec<String>,
    /// Leases that proxies still believed in after the last one had ended.
    pub held_at_end: usize,
}

/// What ran at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Present {
    /// When, in seconds.
    pub at: f64,
    /// How many streams.
    pub streams: u64,
    /// Millions of pixels a second that are encoded for them.
    pub megapixels: f64,
}

/// No more violations are kept than this.
const MAX_VIOLATIONS: usize = 20;

impl Outcome {
    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.overloaded_s += other.overloaded_s;
        self.node_s += other.node_s;
        self.arrived += other.arrived;
        self.refused += other.refused;
        self.room_as_it_was += other.room_as_it_was;
        self.room_if_packed += other.room_if_packed;
        self.packed += other.packed;
        self.node_refusals += other.node_refusals;
        self.largest_over_mean += other.largest_over_mean;
        self.mean += other.mean;
        self.present.extend(other.present);
        self.samples += other.samples;
        self.violations.extend(other.violations);
        self.violations.truncate(MAX_VIOLATIONS);
        self.held_at_end += other.held_at_end;
    }

    /// The highest utilisation over the mean, on average.
    pub fn largest_over_mean(&self) -> f64 {
        self.largest_over_mean / float(self.samples.max(1))
    }

    /// The mean utilisation, on average.
    pub fn mean(&self) -> f64 {
        self.mean / float(self.samples.max(1))
    }

    /// The share of all node-seconds that were overloaded.
    pub fn overloaded(&self) -> f64 {
        self.overloaded_s / self.node_s.max(f64::MIN_POSITIVE)
    }

    /// The share of streams that were refused.
    pub fn refused(&self) -> f64 {
        float(self.refused) / float(self.arrived.max(1))
    }

    /// The share of streams that were refused although an offline best fit had room for them: see [`Self::refused_with_room`].
    pub fn refused_wrongly(&self) -> f64 {
        self.refused_with_room() / float(self.arrived.max(1))
    }

    /// The refused that an offline best fit had room for: those with room as it was, and of the others as large a share as
    /// of those that were looked at.
    pub fn refused_with_room(&self) -> f64 {
        let looked_at = float(self.room_if_packed) / float(self.packed.max(1));
        float(self.room_as_it_was) + float(self.refused - self.room_as_it_was) * looked_at
    }

    /// Notes something that should never happen.
    pub fn violate(&mut self, what: fmt::Arguments<'_>) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(what.to_string());
        }
    }
}
