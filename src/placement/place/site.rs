//! The gauges of the node that is looked at, and what the renditions that were given out there would add to its GPUs.

use std::time::Instant;

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
    /// What was given out here is in it.
    gauge: Gauge,
    /// What was given out.
    taken: Option<[f64; 4]>,
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

    /// Gives out all of this at once, to each GPU what it says for it.
    ///
    /// # Errors
    /// What the first GPU lacks.
    pub(super) fn take_all<'n>(
        &mut self,
        needs: impl Iterator<Item = (u32, &'n Need)> + Clone,
    ) -> Result<(), Shortage> {
        for gpu in &mut self.gpus {
            let of_gpu = needs.clone().filter(|(index, _)| *index == gpu.index);
            let sum = of_gpu
                .fold(None, |sum: Option<Need>, (_, need)| Some(sum.map_or(*need, |sum| sum.and(need))));
            if let Some(sum) = sum {
                gpu.take(&sum)?;
            }
        }
        Ok(())
    }

    /// How full the GPUs are on which something was given out.
    pub(super) fn taken(&self) -> Fit {
        let taken = self.gpus.iter().filter_map(|gpu| Some(gpu.gauge.filled_gpu(gpu.taken.as_ref()?)));
        taken.fold(Fit::default(), Fit::and)
    }
}

impl GpuSite {
    /// Gives this out too, if it fits.
    #[inline]
    pub(super) fn take(&mut self, need: &Need) -> Result<(), Shortage> {
        self.gauge.fit_gpu(self.index, need)?;
        self.taken = Some(need.added_to(self.taken.unwrap_or_default()));
        self.gauge = self.gauge.with(need);
        Ok(())
    }
}
