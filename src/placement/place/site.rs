//! The gauges of the node that is looked at, and what the renditions that were given out there would add to its GPUs.

use std::time::Instant;

use super::explanation::Lack;
use crate::placement::room::{Devices, Fit, Gauge, Need, Room, Shortage};

/// How much of a node is taken to be in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupancy {
    /// What its room says.
    AsItIs,
    /// Nothing.
    Empty,
}

/// One node's gauges. Those of its GPUs are kept in the place of those of the node before.
#[derive(Debug)]
pub(super) struct Site {
    occupancy: Occupancy,
    now: Instant,
    pub(super) machine: Gauge,
    gpus: Vec<GpuSite>,
}

/// One of its GPUs.
#[derive(Clone, Copy, Debug)]
pub(super) struct GpuSite {
    index: u32,
    gauge: Gauge,
    /// What was given out here.
    taken: Option<Need>,
}

impl Site {
    pub(super) fn new(occupancy: Occupancy, now: Instant) -> Self {
        Self { occupancy, now, machine: Gauge::default(), gpus: Vec::new() }
    }

    #[inline]
    pub(super) fn read_machine(&mut self, room: &Room) {
        self.machine = self.occupied(room.gauge(self.now));
    }

    /// The GPUs that have no encoder session left.
    #[inline]
    pub(super) fn full_gpus(&self, room: &Room) -> Devices {
        match self.occupancy {
            Occupancy::AsItIs => room.full_gpus(),
            Occupancy::Empty => Devices::default(),
        }
    }

    /// How full a GPU would be by `need`, nothing of it given out.
    #[inline]
    pub(super) fn fit_gpu(&self, room: &Room, gpu: u32, need: &Need) -> Result<Fit, Shortage> {
        let gauge = room.gpu_gauge(gpu, self.now);
        gauge.map_or(Ok(Fit::default()), |gauge| self.occupied(gauge).fit_gpu(gpu, need))
    }

    pub(super) fn read_gpus(&mut self, room: &Room) {
        self.gpus.clear();
        for (index, gauge) in room.gpu_gauges(self.now) {
            let gauge = self.occupied(gauge);
            self.gpus.push(GpuSite { index, gauge, taken: None });
        }
    }

    #[inline]
    fn occupied(&self, gauge: Gauge) -> Gauge {
        match self.occupancy {
            Occupancy::AsItIs => gauge,
            Occupancy::Empty => gauge.emptied(),
        }
    }

    /// A GPU of the node's list; nothing bounds what another one does.
    pub(super) fn gpu(&mut self, index: u32) -> Option<&mut GpuSite> {
        // Most often they are counted from 0 on.
        let place =
            usize::try_from(index).ok().filter(|at| self.gpus.get(*at).is_some_and(|gpu| gpu.index == index));
        let place = place.or_else(|| self.gpus.iter().position(|gpu| gpu.index == index))?;
        self.gpus.get_mut(place)
    }

    /// How full a device is; nothing is known of the CPU, and of a GPU that is not in the list.
    pub(super) fn utilization(&mut self, device: Option<u32>) -> f64 {
        device.and_then(|gpu| self.gpu(gpu)).map_or(0.0, |gpu| gpu.gauge.highest())
    }

    /// Takes back what was given out.
    pub(super) fn take_back(&mut self) {
        self.gpus.iter_mut().for_each(|gpu| gpu.taken = None);
    }

    /// How full the GPUs would be on which something was given out.
    ///
    /// # Errors
    /// What the first of them lacks.
    pub(super) fn fit_gpus(&self) -> Result<Fit, Lack> {
        let mut fit = Fit::default();
        for gpu in &self.gpus {
            if let Some(taken) = &gpu.taken {
                fit = fit.and(gpu.gauge.fit_gpu(gpu.index, taken)?);
            }
        }
        Ok(fit)
    }
}

impl GpuSite {
    /// Whether this fits too.
    pub(super) fn has_room_for(&self, need: &Need) -> bool {
        self.gauge.fits(&self.with(need))
    }

    /// Gives out this too.
    pub(super) fn take(&mut self, need: &Need) {
        self.taken = Some(self.with(need));
    }

    fn with(&self, need: &Need) -> Need {
        self.taken.map_or(*need, |taken| taken.and(need))
    }
}
