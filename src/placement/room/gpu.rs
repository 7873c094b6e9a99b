//! The room of one GPU. Its load is measured in all, never for each lease, and encoder sessions are whole: they do not fade
//! but count until the GPU's own count must have them.

use std::time::Instant;

use super::as_float;
use super::fading::Fading;
use super::front::Sloping;
use super::gauge::{Gauge, per_unit};
use super::held::Held;
use super::ledger::sloping;
use crate::wire::cost::GpuResources;
use crate::wire::report::{Gpu, GpuLoad};

/// One GPU of a node.
#[derive(Clone, Debug)]
pub(super) struct GpuRoom {
    pub(super) index: u32,
    /// What counts in full.
    base: GpuResources,
    /// The share that one unit of each amount is of what it has.
    per_unit: GpuResources,
    /// What fades into it; never sessions.
    fading: Fading<GpuResources>,
    /// Bytes; 0 where nobody knows.
    memory: u64,
    sessions: Option<u32>,
    /// `None` where it does not answer.
    measured: Option<GpuResources>,
    /// What all leases on it were predicted to need.
    predicted: GpuResources,
}

impl GpuRoom {
    pub(super) fn new(gpu: &Gpu) -> Self {
        let mut room = Self {
            index: gpu.index,
            base: GpuResources::default(),
            per_unit: GpuResources::default(),
            fading: Fading::default(),
            memory: gpu.memory,
            sessions: gpu.sessions,
            measured: None,
            predicted: GpuResources::default(),
        };
        room.count_units();
        room
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
            self.count_units();
        }
        self.measured = load.map(|load| GpuResources {
            encoder: load.encoder,
            decoder: load.decoder,
            memory: as_float(load.memory_used),
            sessions: f64::from(load.sessions),
        });
    }

    pub(super) fn weigh<'a>(&mut self, held: impl Iterator<Item = &'a Held> + Clone, now: Instant) {
        let index = self.index;
        let here = held.filter(move |held| held.cost.gpus.iter().any(|(gpu, _)| *gpu == index));
        self.predicted = GpuResources::default();
        self.base = self.measured.unwrap_or_default();
        for held in here.clone() {
            let needed = held.cost.gpu(index);
            self.predicted += needed;
            if held.hides_sessions(now) {
                self.base.sessions += needed.sessions;
            }
            if held.fades_since().is_none() {
                self.base += GpuResources { sessions: 0.0, ..needed };
            }
        }
        let fading =
            |held: &Held| Some((GpuResources { sessions: 0.0, ..held.cost.gpu(index) }, held.fades_since()?));
        // Of one that does not answer stays what was predicted.
        let answers = self.measured.is_some();
        self.fading.renew(here.filter(|_| answers).filter_map(fading), now);
        if !answers {
            self.base = self.predicted;
        }
        // A driver that does not count sessions says that there are none.
        self.base.sessions = self.base.sessions.max(self.predicted.sessions);
    }

    /// What will be in use.
    pub(super) fn expected(&self, now: Instant) -> GpuResources {
        self.base + self.fading.left(now)
    }

    /// How full it is by `now`, and how that fades from then on until when.
    pub(super) fn sloping(&self, now: Instant) -> (Sloping, Option<Instant>) {
        sloping(&self.base, &self.per_unit, self.fading.line(now))
    }

    /// How full it is before anything is known of it.
    pub(super) fn unused(&self) -> Sloping {
        sloping(&self.base, &self.per_unit, None).0
    }

    /// How full it is by `now`.
    pub(super) fn gauge(&self, now: Instant) -> Gauge {
        Gauge::new(&self.expected(now), &self.per_unit)
    }

    /// Whether it is known to have no session left.
    pub(super) fn is_out_of_sessions(&self) -> bool {
        self.sessions.is_some_and(|sessions| self.base.sessions + 1.0 > f64::from(sessions))
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

    fn count_units(&mut self) {
        self.per_unit = GpuResources {
            encoder: 1.0,
            decoder: 1.0,
            memory: per_unit(Some(self.memory).filter(|memory| *memory > 0).map(as_float)),
            sessions: per_unit(self.sessions.map(f64::from)),
        };
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
