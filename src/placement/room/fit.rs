//! Whether a cost fits into a room, and how full that would make it.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Room, as_float};
use crate::wire::cost::{Cost, GpuResources, Resources};

/// What rounding may add up to, as a share of what is compared.
const ROUNDING: f64 = 1e-9;

/// A dimension of a node, of which there may be too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// CPU cores.
    Cpu,
    /// Bytes of memory.
    Memory,
    /// Share of the time in which the disk is busy.
    Disk,
    /// Bits per second.
    Network,
    /// Share of a GPU's encoders.
    GpuEncoder,
    /// Share of a GPU's decoders.
    GpuDecoder,
    /// Bytes of a GPU's memory.
    GpuMemory,
}

/// How full a node would be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fit {
    /// The highest utilisation of any dimension, those of its other GPUs left out.
    pub highest: f64,
    /// The highest in those that the cost needs at all.
    pub needed: f64,
    /// The highest of the GPUs that the cost needs.
    pub gpu: f64,
}

/// What keeps a cost from fitting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shortage {
    /// Too little is free of something.
    Room {
        /// Of what.
        dimension: Dimension,
        /// How much is needed, in the dimension's unit.
        needed: f64,
        /// How much there is up to the limit.
        free: f64,
    },
    /// A GPU has no encoder session left.
    Sessions {
        /// Which one.
        gpu: u32,
    },
}

impl Room {
    /// How full the node would be with `cost`. `limit` is the share of each dimension that may be in use; what the cost needs
    /// nothing of is not judged. Encoder sessions are never more than there are.
    ///
    /// # Errors
    /// The first dimension in which it does not fit.
    pub fn fit(&self, cost: &Cost, limit: f64, now: Instant) -> Result<Fit, Shortage> {
        let mut fit = Fit::default();
        let (used, has) = (self.machine(now), self.machine_capacity());
        let needed = &cost.machine;
        fit.add(Dimension::Cpu, [used.cpu, needed.cpu, has.cpu], limit)?;
        fit.add(Dimension::Memory, [used.memory, needed.memory, has.memory], limit)?;
        fit.add(Dimension::Disk, [used.disk, needed.disk, has.disk], limit)?;
        fit.add(Dimension::Network, [used.network, needed.network, has.network], limit)?;
        for (at, (gpu, _)) in cost.gpus.iter().enumerate() {
            if cost.gpus[..at].iter().all(|(earlier, _)| earlier != gpu) {
                self.fit_gpu(&mut fit, *gpu, cost.gpu(*gpu), (limit, now))?;
            }
        }
        Ok(fit)
    }

    /// A GPU that is not in the list measures and bounds nothing.
    fn fit_gpu(
        &self,
        fit: &mut Fit,
        index: u32,
        needed: GpuResources,
        (limit, now): (f64, Instant),
    ) -> Result<(), Shortage> {
        let Some(gpu) = self.gpu(index) else { return Ok(()) };
        let (used, has) = (gpu.expected(now), gpu.capacity());
        let mut of_gpu = Fit::default();
        if needed.sessions > 0.0 && used.sessions + needed.sessions > has.sessions {
            return Err(Shortage::Sessions { gpu: index });
        }
        // Sessions are whole and have no headroom: the last one may be taken.
        of_gpu.count(used.sessions + needed.sessions, 0.0, has.sessions);
        of_gpu.add(Dimension::GpuEncoder, [used.encoder, needed.encoder, has.encoder], limit)?;
        of_gpu.add(Dimension::GpuDecoder, [used.decoder, needed.decoder, has.decoder], limit)?;
        of_gpu.add(Dimension::GpuMemory, [used.memory, needed.memory, has.memory], limit)?;
        fit.highest = fit.highest.max(of_gpu.highest);
        fit.needed = fit.needed.max(of_gpu.needed);
        fit.gpu = fit.gpu.max(of_gpu.highest);
        Ok(())
    }

    /// Whether a GPU is known to have no encoder session left.
    #[must_use]
    pub fn is_out_of_sessions(&self, gpu: u32, now: Instant) -> bool {
        let room = self.gpu(gpu).filter(|room| room.capacity().sessions.is_finite());
        room.is_some_and(|room| room.expected(now).sessions + 1.0 > room.capacity().sessions)
    }

    /// The highest utilisation of a GPU; nothing of one that is not in the list.
    #[must_use]
    pub fn gpu_utilization(&self, gpu: u32, now: Instant) -> f64 {
        let Some(room) = self.gpu(gpu) else { return 0.0 };
        let (used, has) = (room.expected(now), room.capacity());
        let pairs = [
            (used.encoder, has.encoder),
            (used.decoder, has.decoder),
            (used.memory, has.memory),
            (used.sessions, has.sessions),
        ];
        pairs.into_iter().map(|(used, has)| share(used, has)).fold(0.0, f64::max)
    }

    /// What the machine has; infinite where nobody knows.
    #[must_use]
    pub fn machine_capacity(&self) -> Resources {
        let memory = self.capacity.memory;
        Resources {
            cpu: f64::from(self.capacity.cores),
            memory: if memory == 0 { f64::INFINITY } else { as_float(memory) },
            disk: 1.0,
            network: self.capacity.network_bps.map_or(f64::INFINITY, as_float),
        }
    }

    /// What all its GPUs have together.
    #[must_use]
    pub fn gpu_capacity(&self) -> GpuResources {
        self.gpus.iter().fold(GpuResources::default(), |sum, gpu| sum + gpu.capacity())
    }

    /// The highest utilisation of the machine now, its GPUs left out.
    #[must_use]
    pub fn utilization(&self, now: Instant) -> f64 {
        self.fit(&Cost::default(), f64::INFINITY, now).map_or(1.0, |fit| fit.highest)
    }
}

impl Fit {
    fn add(
        &mut self,
        dimension: Dimension,
        [used, needed, has]: [f64; 3],
        limit: f64,
    ) -> Result<(), Shortage> {
        self.count(used, needed, has);
        if needed > 0.0 && share(used + needed, has) > limit * (1.0 + ROUNDING) {
            let free = (has * limit - used).max(0.0);
            return Err(Shortage::Room { dimension, needed, free });
        }
        Ok(())
    }

    fn count(&mut self, used: f64, needed: f64, has: f64) {
        let share = share(used + needed, has);
        self.highest = self.highest.max(share);
        if needed > 0.0 {
            self.needed = self.needed.max(share);
        }
    }
}

/// What is used of what there is. Of nothing there is nothing left: a thousand times full, so that a sum stays a number.
fn share(used: f64, has: f64) -> f64 {
    const FULL: f64 = 1e3;
    if used <= 0.0 || has == f64::INFINITY {
        0.0
    } else if has > 0.0 {
        used / has
    } else {
        FULL
    }
}

impl Dimension {
    /// An amount with its unit, for people.
    fn write(self, f: &mut fmt::Formatter<'_>, amount: f64) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "{amount:.2} cores"),
            Self::Memory | Self::GpuMemory => write!(f, "{:.0} MiB", amount / f64::from(1 << 20)),
            Self::Network => write!(f, "{:.1} Mbit/s", amount / 1e6),
            Self::Disk | Self::GpuEncoder | Self::GpuDecoder => write!(f, "{:.0} %", amount * 100.0),
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::GpuEncoder => "GPU encoder",
            Self::GpuDecoder => "GPU decoder",
            Self::GpuMemory => "GPU memory",
        })
    }
}

/// To follow the node's name: "has too little CPU: ...".
impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Room { dimension, needed, free } => {
                write!(f, "has too little {dimension}: ")?;
                dimension.write(f, needed)?;
                f.write_str(" needed, ")?;
                dimension.write(f, free)?;
                f.write_str(" free")
            }
            Self::Sessions { gpu } => write!(f, "has no encoder session left on GPU {gpu}"),
        }
    }
}
