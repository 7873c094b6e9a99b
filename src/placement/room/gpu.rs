//! The room of one GPU. Its load is measured in all, never for each lease, and encoder sessions are whole: they do not fade
//! but count until the GPU's own count must have them.

use std::time::Instant;

use super::held::Held;
use super::{as_float, remaining};
use crate::wire::cost::GpuResources;
use crate::wire::report::{Gpu, GpuLoad};

/// One GPU of a node.
#[derive(Clone, Debug)]
pub(super) struct GpuRoom {
    pub(super) index: u32,
    /// Bytes; 0 where nobody knows.
    memory: u64,
    sessions: Option<u32>,
    /// `None` where it does not answer.
    measured: Option<GpuResources>,
    /// What all leases on it were predicted to need.
    predicted: GpuResources,
    /// What counts in full beside the measurement.
    unmeasured: GpuResources,
    /// What fades into it, and since when.
    fading: Vec<(GpuResources, Instant)>,
}

impl GpuRoom {
    pub(super) fn new(gpu: &Gpu) -> Self {
        Self {
            index: gpu.index,
            memory: gpu.memory,
            sessions: gpu.sessions,
            measured: None,
            predicted: GpuResources::default(),
            unmeasured: GpuResources::default(),
            fading: Vec::new(),
        }
    }

    /// The same, with what was measured before if it was there.
    pub(super) fn renewed(gpu: &Gpu, before: &[Self]) -> Self {
        let measured = before.iter().find(|old| old.index == gpu.index).and_then(|old| old.measured);
        Self { measured, ..Self::new(gpu) }
    }

    pub(super) fn handle_load(&mut self, load: Option<&GpuLoad>) {
        if let Some(load) = load
            && self.memory == 0
        {
            self.memory = load.memory_total;
        }
        self.measured = load.map(|load| GpuResources {
            encoder: load.encoder,
            decoder: load.decoder,
            memory: as_float(load.memory_used),
            sessions: f64::from(load.sessions),
        });
    }

    pub(super) fn weigh<'a>(&mut self, held: impl Iterator<Item = &'a Held>, now: Instant) {
        (self.predicted, self.unmeasured) = Default::default();
        self.fading.clear();
        for held in held.filter(|held| held.cost.gpus.iter().any(|(gpu, _)| *gpu == self.index)) {
            let needed = held.cost.gpu(self.index);
            self.predicted += needed;
            if held.hides_sessions(now) {
                self.unmeasured.sessions += needed.sessions;
            }
            let amount = GpuResources { sessions: 0.0, ..needed };
            match held.fades_since() {
                None => self.unmeasured += amount,
                Some(since) if remaining(since, now) > 0.0 => self.fading.push((amount, since)),
                Some(_) => {}
            }
        }
    }

    /// What will be in use.
    pub(super) fn expected(&self, now: Instant) -> GpuResources {
        let Some(measured) = self.measured else { return self.predicted };
        let mut sum = measured + self.unmeasured;
        for (amount, since) in &self.fading {
            let left = remaining(*since, now);
            sum.encoder += amount.encoder * left;
            sum.decoder += amount.decoder * left;
            sum.memory += amount.memory * left;
        }
        // A driver that does not count sessions says that there are none.
        sum.sessions = sum.sessions.max(self.predicted.sessions);
        sum
    }

    /// What it has; infinite where nobody knows.
    pub(super) fn capacity(&self) -> GpuResources {
        GpuResources {
            encoder: 1.0,
            decoder: 1.0,
            memory: if self.memory == 0 { f64::INFINITY } else { as_float(self.memory) },
            sessions: self.sessions.map_or(f64::INFINITY, f64::from),
        }
    }

    /// The part of what was measured that falls to `needed` of what all leases were predicted to need.
    pub(super) fn part_of(&self, needed: GpuResources) -> Option<GpuResources> {
        let measured = self.measured.filter(|measured| measured.sessions <= self.predicted.sessions)?;
        let part =
            |measured: f64, needed: f64, all: f64| if all > 0.0 { measured * needed / all } else { 0.0 };
        Some(GpuResources {
            encoder: part(measured.encoder, needed.encoder, self.predicted.encoder),
            decoder: part(measured.decoder, needed.decoder, self.predicted.decoder),
            memory: part(measured.memory, needed.memory, self.predicted.memory),
            sessions: needed.sessions,
        })
    }
}
