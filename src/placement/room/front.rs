//! What a decision reads of each room, close together: over thousands of nodes it takes as long as it takes to fetch this from
//! memory. Two lines of a processor's cache are read of every room, three more where it has GPUs, and two more while
//! something fades.

use std::time::Instant;

use super::Lagging;
use super::devices::Devices;
use super::gauge::Gauge;

/// So many GPUs lie in the room itself.
const NEAR: usize = 2;

/// What a decision reads.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Front {
    /// How full the machine is, as of `fading`.
    machine: Gauge,
    /// The lease that is furthest behind of those that should not be, as of the last heartbeat.
    pub(super) lagging: Option<Lagging>,
    /// The GPUs that have no encoder session left.
    pub(super) full_gpus: Devices,
    /// When something fades.
    fading: Option<Span>,
    /// How much in each second, of the machine.
    fades: [f64; 4],
    count: usize,
    indices: [u32; NEAR],
    far: Box<[FarGpu]>,
    /// The first GPUs.
    near: [Gauge; NEAR],
    near_fades: [[f64; 4]; NEAR],
}

/// For how long things fade evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Instant,
    /// Where it ends at `from`, they never do.
    pub(super) until: Instant,
}

/// How full something is, and how much of that fades in each second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sloping {
    pub(super) gauge: Gauge,
    pub(super) fades: [f64; 4],
}

#[derive(Clone, Copy, Debug)]
struct FarGpu {
    index: u32,
    sloping: Sloping,
}

impl Span {
    #[inline]
    fn seconds_at(self, now: Instant) -> Option<f64> {
        let is_within = self.from <= now && now < self.until;
        is_within.then(|| now.saturating_duration_since(self.from).as_secs_f64())
    }
}

impl Front {
    /// What is there and how full it is, as of `fading.from` if anything fades.
    pub(super) fn renew(
        &mut self,
        fading: Option<Span>,
        machine: Sloping,
        gpus: impl ExactSizeIterator<Item = (u32, Sloping)>,
    ) {
        self.fading = fading;
        (self.machine, self.fades) = (machine.gauge, machine.fades);
        self.count = gpus.len();
        let mut far = Vec::with_capacity(gpus.len().saturating_sub(NEAR));
        for (at, (index, sloping)) in gpus.enumerate() {
            if at < NEAR {
                self.indices[at] = index;
                (self.near[at], self.near_fades[at]) = (sloping.gauge, sloping.fades);
            } else {
                far.push(FarGpu { index, sloping });
            }
        }
        self.far = far.into();
    }

    /// How full the machine is; `None` where that must be added up.
    #[inline]
    pub(super) fn machine(&self, now: Instant) -> Option<Gauge> {
        match self.fading {
            None => Some(self.machine),
            Some(span) => span.seconds_at(now).map(|seconds| self.machine.without(&self.fades, seconds)),
        }
    }

    /// How full a GPU is, by its place; `None` where that must be added up.
    #[inline]
    pub(super) fn gpu(&self, at: usize, now: Instant) -> Option<Gauge> {
        let (gauge, fades) = match self.near.get(at) {
            Some(gauge) => (gauge, &self.near_fades[at]),
            None => {
                let FarGpu { sloping: Sloping { gauge, fades }, .. } = self.far.get(at - NEAR)?;
                (gauge, fades)
            }
        };
        match self.fading {
            None => Some(*gauge),
            Some(span) => span.seconds_at(now).map(|seconds| gauge.without(fades, seconds)),
        }
    }

    /// The place of the GPU with this index.
    #[inline]
    pub(super) fn place(&self, index: u32) -> Option<usize> {
        let near = self.indices.iter().take(self.count).position(|near| *near == index);
        near.or_else(|| Some(self.far.iter().position(|gpu| gpu.index == index)? + NEAR))
    }

    /// The indices of the GPUs, by their places.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        let near = self.indices.iter().take(self.count).copied();
        near.chain(self.far.iter().map(|gpu| gpu.index))
    }

    /// A number of each line, put together. Of no meaning: who asks many rooms for it in a row has the machine fetch them from
    /// memory at the same time, and not one after the other.
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        let mut sum = self.machine.touch() ^ u64::from(self.fading.is_some());
        if self.count > 0 {
            sum ^= u64::from(self.indices[0]) ^ self.near[0].touch() ^ self.near[1].touch();
        }
        self.far.iter().fold(sum, |sum, gpu| sum ^ gpu.sloping.gauge.touch())
    }
}
