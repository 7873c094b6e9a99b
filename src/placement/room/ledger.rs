//! What a room is reckoned from: the node's measurement, and what it holds.

use std::collections::BTreeMap;
use std::ops::Add;
use std::time::Instant;

use super::devices::Devices;
use super::fading::{Fading, Line};
use super::front::{Front, Sloping, Span};
use super::gauge::{Dimensions, Gauge};
use super::gpu::GpuRoom;
use super::held::Held;
use crate::wire::cost::Resources;
use crate::wire::message::LeaseId;

/// Invariant: `base` and `fading`, here and in each GPU, are what `measured` and `held` come to as of the last input.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// The share that one unit of each amount is of what the machine has.
    pub(super) per_unit: Resources,
    /// What counts in full: what was measured, and what of the leases is not measured yet.
    base: Resources,
    /// What fades into it.
    fading: Fading<Resources>,
    pub(super) gpus: Vec<GpuRoom>,
    /// What the node measured, less what ended since.
    pub(super) measured: Resources,
    pub(super) held: BTreeMap<LeaseId, Held>,
}

impl Ledger {
    /// Of a machine on which nothing is known to be used.
    pub(super) fn new(per_unit: Resources, gpus: Vec<GpuRoom>) -> Self {
        Self { per_unit, gpus, ..Self::default() }
    }

    /// What will be in use of the machine.
    pub(super) fn machine(&self, now: Instant) -> Resources {
        self.base + self.fading.left(now)
    }

    /// Adds up what counts, without which it would have to be added up for each decision.
    pub(super) fn weigh(&mut self, front: &mut Front, now: Instant) {
        let beside = self.held.values().map(Held::beside_measured);
        let in_full = beside.clone().filter(|(_, since)| since.is_none());
        self.base = in_full.fold(self.measured, |sum, (amount, _)| sum + amount);
        self.fading.renew(beside.filter_map(|(amount, since)| Some((amount, since?))), now);
        for gpu in &mut self.gpus {
            gpu.weigh(self.held.values(), now);
        }
        self.show(front, now);
    }

    /// Shows decisions what is in use.
    pub(super) fn show(&self, front: &mut Front, now: Instant) {
        let (machine, until) = sloping(&self.base, &self.per_unit, self.fading.line(now));
        let until = self.gpus.iter().filter_map(|gpu| gpu.sloping(now).1).chain(until).min();
        let gpus = self.gpus.iter().map(|gpu| (gpu.index, gpu.sloping(now).0));
        front.renew(until.map(|until| Span { from: now, until }), machine, gpus);
        front.full_gpus = self.full_gpus();
    }

    /// How full the machine is before anything is known of it.
    pub(super) fn unused(&self) -> Sloping {
        sloping(&self.base, &self.per_unit, None).0
    }

    /// The GPUs that have no encoder session left.
    pub(super) fn full_gpus(&self) -> Devices {
        let full = self.gpus.iter().filter(|gpu| gpu.is_out_of_sessions());
        full.map(|gpu| Some(gpu.index)).collect()
    }
}

/// How full it is where a line of what fades begins, and how that fades until when.
pub(super) fn sloping<T>(base: &T, per_unit: &T, line: Option<Line<T>>) -> (Sloping, Option<Instant>)
where
    T: Dimensions + Copy + Add<Output = T>,
{
    match line {
        None => (Sloping { gauge: Gauge::new(base, per_unit), fades: [0.0; 4] }, None),
        Some(Line { left, per_second, until }) => {
            let gauge = Gauge::new(&(*base + left), per_unit);
            (Sloping { gauge, fades: per_second.in_order() }, Some(until))
        }
    }
}
