//! What an attempt needs of a node: the vector that placement reckons with, and that a lease carries to its node.

use std::ops::{Add, AddAssign, Mul};

use serde::{Deserialize, Serialize};

/// Amounts in every dimension of a machine but its GPUs. Never negative, never NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU cores.
    pub cpu: f64,
    /// Bytes of memory.
    pub memory: f64,
    /// Share of the time in which the disk of the working folder is busy; its capacity is 1.
    pub disk: f64,
    /// Bits per second of the network, in the busier direction.
    pub network: f64,
}

/// Amounts in every dimension of one GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuResources {
    /// Share of its encoders; the capacity is 1.
    pub encoder: f64,
    /// Share of its decoders; the capacity is 1.
    pub decoder: f64,
    /// Bytes of its memory.
    pub memory: f64,
    /// Encoder sessions.
    pub sessions: f64,
}

/// What an attempt needs of a node. Of a GPU only where an encoder runs on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Of the machine.
    pub machine: Resources,
    /// Of its GPUs, by index; at most one entry for each rendition.
    pub gpus: Vec<(u32, GpuResources)>,
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
            disk: self.disk + other.disk,
            network: self.network + other.network,
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<f64> for Resources {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self {
            cpu: self.cpu * factor,
            memory: self.memory * factor,
            disk: self.disk * factor,
            network: self.network * factor,
        }
    }
}

impl Add for GpuResources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            encoder: self.encoder + other.encoder,
            decoder: self.decoder + other.decoder,
            memory: self.memory + other.memory,
            sessions: self.sessions + other.sessions,
        }
    }
}

impl Mul<f64> for GpuResources {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self {
            encoder: self.encoder * factor,
            decoder: self.decoder * factor,
            memory: self.memory * factor,
            sessions: self.sessions * factor,
        }
    }
}

impl AddAssign for GpuResources {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Cost {
    /// What it needs of the GPU with this index.
    #[must_use]
    pub fn gpu(&self, index: u32) -> GpuResources {
        let on_it = self.gpus.iter().filter(|(gpu, _)| *gpu == index);
        on_it.fold(GpuResources::default(), |sum, (_, needed)| sum + *needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_renditions_need_of_one_gpu_is_added_up() {
        let session = GpuResources { encoder: 0.25, sessions: 1.0, ..GpuResources::default() };
        let cost =
            Cost { machine: Resources::default(), gpus: vec![(0, session), (1, session), (0, session)] };
        assert_eq!(cost.gpu(0), GpuResources { encoder: 0.5, sessions: 2.0, ..GpuResources::default() });
        assert_eq!(cost.gpu(2), GpuResources::default());
    }

    #[test]
    fn resources_add_and_scale_in_every_dimension() {
        let one = Resources { cpu: 1.0, memory: 2.0, disk: 0.5, network: 8.0 };
        assert_eq!(one + one, one * 2.0);
        let one = GpuResources { encoder: 0.1, decoder: 0.2, memory: 4.0, sessions: 1.0 };
        assert_eq!(one + one, one * 2.0);
    }
}
