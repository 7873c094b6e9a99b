//! One node's room: what the machine has, what it measured of itself, and what was placed on it and is not in the
//! measurement yet. The proxy keeps one for each node; a node keeps one of itself, by which it refuses what does not fit.
//!
//! # What counts
//!
//! The node's measured total always counts. On top of it each lease counts what was predicted for it and is not measured:
//! all of that until its output has caught up with its input, and from then on less and less, until after [`FADE`] only
//! the measurement is left. An attempt that begins behind live reads as fast as it can until it is there, so until then it
//! counts [`REPLAY_FACTOR`] times its CPU. What a lease used that is over is taken off until the next measurement.
//!
//! Where a dimension is not measured, what leases were predicted to need does not fade. A dimension whose capacity nobody
//! knows, such as that of a network without a speed, bounds nothing.
//!
//! # Bounds
//!
//! Leases are bounded by the node's slots, which is the caller's to keep. A reported lease that was not reserved here is
//! another proxy's, or ending: it is in the total, and nothing is kept of it.

mod devices;
mod fading;
mod fit;
mod front;
mod gauge;
mod gpu;
mod held;
mod ledger;

use std::time::{Duration, Instant};

pub use self::devices::Devices;
pub use self::fit::{Dimension, Fit, Shortage};
use self::front::Front;
use self::gauge::per_unit;
pub(super) use self::gauge::{Gauge, Need};
use self::gpu::GpuRoom;
use self::held::Held;
use self::ledger::Ledger;
use super::demand::Replay;
use crate::wire::cost::{Cost, GpuResources, Resources};
use crate::wire::message::LeaseId;
use crate::wire::report::{Capacity, Gpu, LeaseLoad, Load};

/// How long a prediction fades into the measurement: FFmpeg's warm-up, and twice the time over which CPU is averaged.
pub const FADE: Duration = Duration::from_secs(10);
/// How many times its steady CPU an attempt uses that catches up.
pub const REPLAY_FACTOR: f64 = 3.0;
/// An output less behind than one GOP has caught up: encoders for live streams are told to make one of two seconds.
pub const CAUGHT_UP: Duration = Duration::from_secs(2);
/// A lease that is further behind after its warm-up is on a node that cannot keep up, whatever its gauges say.
pub const LAG_LIMIT: Duration = Duration::from_secs(3);
/// Likewise one that makes less than this many seconds of media in a second, and is behind, for [`SLOW_FOR`].
pub const SLOW: f64 = 0.95;
/// How long it must be slow.
pub const SLOW_FOR: Duration = Duration::from_secs(3);

/// What a node has and what of it is taken.
#[derive(Clone, Debug)]
pub struct Room {
    /// What a decision reads: what the ledger comes to.
    front: Front,
    capacity: Capacity,
    ledger: Box<Ledger>,
}

/// A lease by which a node is seen not to keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagging {
    /// Which one.
    pub lease: LeaseId,
    /// How far its output is behind its input.
    pub lag: Duration,
}

/// What of a node will be in use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// Of the machine.
    pub machine: Resources,
    /// Of each of its GPUs, by index.
    pub gpus: Vec<(u32, GpuResources)>,
}

impl Room {
    /// All of it free.
    #[must_use]
    pub fn new(capacity: Capacity, gpus: &[Gpu]) -> Self {
        let memory = Some(capacity.memory).filter(|memory| *memory > 0);
        let per_unit = Resources {
            cpu: per_unit(Some(f64::from(capacity.cores))),
            memory: per_unit(memory.map(as_float)),
            disk: 1.0,
            network: per_unit(capacity.network_bps.map(as_float)),
        };
        let gpus = gpus.iter().map(GpuRoom::new).collect();
        let ledger = Box::new(Ledger::new(per_unit, gpus));
        let mut front = Front::default();
        front.renew(None, ledger.unused(), ledger.gpus.iter().map(|gpu| (gpu.index, gpu.unused())));
        front.full_gpus = ledger.full_gpus();
        Self { front, capacity, ledger }
    }

    /// The node has other GPUs than before.
    pub fn handle_gpus(&mut self, gpus: &[Gpu], now: Instant) {
        let before = std::mem::take(&mut self.ledger.gpus);
        self.ledger.gpus = gpus.iter().map(|gpu| GpuRoom::renewed(gpu, &before)).collect();
        self.weigh(now);
    }

    /// What the node measured, within bounds ([`super::load`]). A lease that it does not list any more has its old
    /// measurement.
    pub fn handle_heartbeat(&mut self, load: &Load, leases: &[LeaseLoad], now: Instant) {
        for report in leases {
            if let Some(held) = self.ledger.held.get_mut(&report.lease) {
                held.handle_report(report, now);
            }
        }
        let by_leases: f64 = leases.iter().filter_map(|report| report.cpu).sum();
        let network = as_float(load.net_rx_bps.max(load.net_tx_bps));
        self.ledger.measured = Resources {
            // A node that says that it is idle while its leases are not has at least those.
            cpu: (load.cpu * f64::from(self.capacity.cores)).max(by_leases),
            memory: as_float(load.memory),
            disk: load.disk_busy,
            network,
        };
        for gpu in &mut self.ledger.gpus {
            gpu.handle_load(load.gpus.iter().find(|load| load.index == gpu.index));
        }
        self.weigh(now);
        self.front.lagging = self.find_lagging(now);
    }

    /// A lease was placed here: it counts at once.
    pub fn reserve(&mut self, lease: LeaseId, cost: Cost, replay: Replay, now: Instant) {
        self.ledger.held.insert(lease, Held::new(cost, replay));
        self.weigh(now);
    }

    /// A lease is over. Nothing happens if it is not known.
    pub fn release(&mut self, lease: LeaseId, now: Instant) {
        let Some(held) = self.ledger.held.remove(&lease) else { return };
        let used = held.measured();
        self.ledger.measured.cpu = (self.ledger.measured.cpu - used.cpu).max(0.0);
        self.ledger.measured.memory = (self.ledger.measured.memory - used.memory).max(0.0);
        self.weigh(now);
        if self.front.lagging.is_some_and(|lagging| lagging.lease == lease) {
            self.front.lagging = self.find_lagging(now);
        }
    }

    /// What the node has.
    #[must_use]
    pub fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// The lease by which the node is seen not to keep up, if there is one.
    #[must_use]
    #[inline]
    pub fn lagging(&self) -> Option<Lagging> {
        self.front.lagging
    }

    /// The GPUs that have no encoder session left.
    #[must_use]
    #[inline]
    pub fn full_gpus(&self) -> Devices {
        self.front.full_gpus
    }

    /// How full the machine is, its GPUs left out.
    #[inline]
    pub(super) fn gauge(&self, now: Instant) -> Gauge {
        self.front
            .machine(now)
            .unwrap_or_else(|| Gauge::new(&self.ledger.machine(now), &self.ledger.per_unit))
    }

    /// How full a GPU is; `None` of one that is not in the list.
    #[inline]
    pub(super) fn gpu_gauge(&self, index: u32, now: Instant) -> Option<Gauge> {
        self.gpu_gauge_at(self.front.place(index)?, now)
    }

    /// How full each of its GPUs is, by index.
    pub(super) fn gpu_gauges(&self, now: Instant) -> impl Iterator<Item = (u32, Gauge)> {
        let gpus = self.front.indices().enumerate();
        gpus.filter_map(move |(at, index)| Some((index, self.gpu_gauge_at(at, now)?)))
    }

    #[inline]
    fn gpu_gauge_at(&self, at: usize, now: Instant) -> Option<Gauge> {
        self.front.gpu(at, now).or_else(|| Some(self.ledger.gpus.get(at)?.gauge(now)))
    }

    /// Has the machine fetch what a decision reads ([`Front::touch`]).
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        self.front.touch()
    }

    /// What will be in use at `now`, of everything.
    #[must_use]
    pub fn expected(&self, now: Instant) -> Expected {
        let gpus = self.ledger.gpus.iter().map(|gpu| (gpu.index, gpu.expected(now)));
        Expected { machine: self.ledger.machine(now), gpus: gpus.collect() }
    }

    /// What its leases were predicted to need of the machine, in all.
    #[must_use]
    pub fn reserved(&self) -> Resources {
        self.ledger.held.values().fold(Resources::default(), |sum, held| sum + held.cost.machine)
    }

    /// Whether a lease's measurement can be learnt from: its prediction has faded, its output is at live, and it keeps up
    /// and does not catch up.
    #[must_use]
    pub fn is_steady(&self, lease: LeaseId, now: Instant) -> bool {
        self.ledger.held.get(&lease).is_some_and(|held| held.is_steady(now))
    }

    /// What a lease uses of the GPUs that measure themselves: its predicted part of what was measured. A GPU on which others
    /// than the leases known here have sessions is left out, because it is not known whose its load is.
    #[must_use]
    pub fn used_gpus(&self, lease: LeaseId) -> Vec<(u32, GpuResources)> {
        let Some(held) = self.ledger.held.get(&lease) else { return Vec::new() };
        let on = |gpu: &&GpuRoom| held.cost.gpus.iter().any(|(index, _)| *index == gpu.index);
        let used = |gpu: &GpuRoom| Some((gpu.index, gpu.part_of(held.cost.gpu(gpu.index))?));
        self.ledger.gpus.iter().filter(on).filter_map(used).collect()
    }

    fn weigh(&mut self, now: Instant) {
        self.ledger.weigh(&mut self.front, now);
    }

    fn find_lagging(&self, now: Instant) -> Option<Lagging> {
        let lagging = self.ledger.held.iter().filter(|(_, held)| held.is_lagging(now));
        let lagging = lagging.map(|(&lease, held)| Lagging { lease, lag: held.lag() });
        lagging.max_by_key(|lagging| lagging.lag)
    }
}

/// What is left at `now` of what began to fade at `since`: from 1 to 0.
fn remaining(since: Instant, now: Instant) -> f64 {
    let passed = now.saturating_duration_since(since).as_secs_f64() / FADE.as_secs_f64();
    (1.0 - passed).max(0.0)
}

/// Amounts within bounds are far below 2^53, where floats begin to leave whole numbers out.
#[expect(clippy::cast_precision_loss, reason = "an amount to reckon with")]
fn as_float(amount: u64) -> f64 {
    amount as f64
}

#[cfg(test)]
mod tests;
