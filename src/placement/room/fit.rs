//! Whether a cost fits into a room, and how full that would make it.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::gauge::Need;
use super::{Room, as_float};
use crate::wire::cost::{Cost, GpuResources, Resources};

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
    /// The first dimension in which it does not fit. Nothing bounds what a GPU that is not in the list does.
    pub fn fit(&self, cost: &Cost, limit: f64, now: Instant) -> Result<Fit, Shortage> {
        let mut fit = self.gauge(now).fit_machine(&Need::of_machine(&cost.machine, limit))?;
        for (at, (index, _)) in cost.gpus.iter().enumerate() {
            let is_first = cost.gpus[..at].iter().all(|(earlier, _)| earlier != index);
            if let Some(gpu) = self.gpu_gauge(*index, now).filter(|_| is_first) {
                fit = fit.and(gpu.fit_gpu(*index, &Need::of_gpu(&cost.gpu(*index), limit))?);
            }
        }
        Ok(fit)
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
        self.ledger.gpus.iter().fold(GpuResources::default(), |sum, gpu| sum + gpu.capacity())
    }

    /// The highest utilisation of the machine now, its GPUs left out.
    #[must_use]
    pub fn utilization(&self, now: Instant) -> f64 {
        self.fit(&Cost::default(), f64::INFINITY, now).map_or(1.0, |fit| fit.highest)
    }
}

impl Fit {
    /// The higher of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            highest: self.highest.max(other.highest),
            needed: self.needed.max(other.needed),
            gpu: self.gpu.max(other.gpu),
        }
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
