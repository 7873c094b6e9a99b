//! Means of measured over estimated, for each dimension that is learnt.
//!
//! The mean is geometric: half as much and twice as much are equally far off, and what is averaged is a factor. It is a plain
//! mean of the first samples and a decaying one from [`MEMORY`] samples on. Measurements are not all sound (a machine that
//! throttles, a clock that jumps), so each is first brought within a factor of what is believed already: wide while there are
//! few samples, and narrow afterwards. A real change still comes through: an average moves by that factor as often as it is
//! told to.

use serde::{Deserialize, Serialize};

use super::Used;
use crate::wire::cost::{Cost, GpuResources, Resources};

/// From so many samples on an older one counts ever less. An attempt brings one in about 5 s, so a single one is averaged over
/// some minutes, and many of them over each other.
const MEMORY: f64 = 32.0;
/// Samples until the average is believed more than a sample that is far from it.
const SETTLED: f64 = 10.0;
/// A sample is at most this many times, and at least this part of, what was believed: as long as that is little,
const UNSETTLED_REACH: f64 = 8.0;
/// and afterwards.
const SETTLED_REACH: f64 = 2.0;
/// No machine is as much faster or slower than the one that the table was measured on, nor any work so oddly estimated.
pub(super) const MOST: f64 = 64.0;

/// One figure for each dimension that is learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::placement) struct Ratios<T> {
    /// Of CPU cores.
    pub cpu: T,
    /// Of bytes of memory.
    pub memory: T,
    /// Of the share of a GPU's encoders.
    pub encoder: T,
    /// Of the share of a GPU's decoders.
    pub decoder: T,
    /// Of bytes of a GPU's memory.
    pub gpu_memory: T,
}

/// What is known of one key.
pub(super) type Averages = Ratios<Average>;

/// A decaying mean. Without samples it is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, f64)", into = "(f64, f64)")]
pub(super) struct Average {
    mean: f64,
    /// Up to [`MEMORY`].
    samples: f64,
}

impl From<(f64, f64)> for Average {
    fn from((mean, samples): (f64, f64)) -> Self {
        Self { mean, samples }
    }
}

impl From<Average> for (f64, f64) {
    fn from(average: Average) -> Self {
        (average.mean, average.samples)
    }
}

impl Average {
    /// The mean, of one sample at least.
    pub(super) fn known(self) -> Option<f64> {
        (self.samples > 0.0).then_some(self.mean)
    }

    /// Whether it can have come from samples. That of a file may not.
    pub(super) fn is_sound(self) -> bool {
        let nothing = self == Self::default();
        nothing || ((1.0 / MOST..=MOST).contains(&self.mean) && (1.0..=MEMORY).contains(&self.samples))
    }

    /// Takes a sample in. `believed` is what it is compared with while there is no mean.
    fn learn(&mut self, sample: f64, believed: f64) {
        let centre = self.known().unwrap_or(believed);
        let reach = if self.samples < SETTLED { UNSETTLED_REACH } else { SETTLED_REACH };
        let sample = sample.clamp(centre / reach, centre * reach).clamp(1.0 / MOST, MOST);
        self.samples = (self.samples + 1.0).min(MEMORY);
        let share = 1.0 / self.samples;
        let mean = centre.powf(1.0 - share) * sample.powf(share);
        // Rounding may leave the bounds by the last bit.
        self.mean = mean.clamp(1.0 / MOST, MOST);
    }
}

impl Averages {
    /// The means.
    pub(super) fn known(&self) -> Ratios<Option<f64>> {
        self.map(Average::known)
    }

    /// Takes a sample of each dimension in that has one.
    pub(super) fn learn(&mut self, samples: Ratios<Option<f64>>, believed: Ratios<f64>) {
        let learn = |(average, sample, believed): (&mut Average, Option<f64>, f64)| {
            if let Some(sample) = sample {
                average.learn(sample, believed);
            }
        };
        let Ratios { cpu, memory, encoder, decoder, gpu_memory } = self;
        learn((cpu, samples.cpu, believed.cpu));
        learn((memory, samples.memory, believed.memory));
        learn((encoder, samples.encoder, believed.encoder));
        learn((decoder, samples.decoder, believed.decoder));
        learn((gpu_memory, samples.gpu_memory, believed.gpu_memory));
    }
}

impl<T: Copy> Ratios<T> {
    /// The same dimensions, each with another figure.
    fn map<U>(&self, figure: impl Fn(T) -> U) -> Ratios<U> {
        Ratios {
            cpu: figure(self.cpu),
            memory: figure(self.memory),
            encoder: figure(self.encoder),
            decoder: figure(self.decoder),
            gpu_memory: figure(self.gpu_memory),
        }
    }

    /// Both figures of each dimension made one.
    fn zip<U: Copy, V>(self, other: Ratios<U>, figure: impl Fn(T, U) -> V) -> Ratios<V> {
        Ratios {
            cpu: figure(self.cpu, other.cpu),
            memory: figure(self.memory, other.memory),
            encoder: figure(self.encoder, other.encoder),
            decoder: figure(self.decoder, other.decoder),
            gpu_memory: figure(self.gpu_memory, other.gpu_memory),
        }
    }
}

impl Ratios<Option<f64>> {
    /// What was `used` over what was `estimated`, in each dimension where both say something.
    pub(super) fn measured(used: &Used, estimated: &Cost) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a ratio does not need every byte")]
        let measured = amounts(used.cpu, used.memory as f64, &used.gpus);
        let machine = &estimated.machine;
        measured.zip(amounts(machine.cpu, machine.memory, &estimated.gpus), |used, estimated| {
            let ratio = used / estimated;
            (used > 0.0 && estimated > 0.0 && ratio.is_finite()).then_some(ratio)
        })
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and where there are none, those.
    pub(super) fn or_option(self, others: Self) -> Self {
        self.zip(others, Option::or)
    }

    /// These, and where there are none, those.
    pub(super) fn or(self, others: Ratios<f64>) -> Ratios<f64> {
        self.zip(others, |known, other| known.unwrap_or(other))
    }
}

impl Ratios<f64> {
    /// As the table says.
    pub(in crate::placement) const ESTIMATED: Self =
        Self { cpu: 1.0, memory: 1.0, encoder: 1.0, decoder: 1.0, gpu_memory: 1.0 };

    /// Makes a prediction of an estimate.
    pub(super) fn scale(&self, cost: &mut Cost) {
        cost.machine = self.of_machine(&cost.machine);
        for (_, gpu) in &mut cost.gpus {
            *gpu = self.of_gpu(gpu);
        }
    }

    /// What is predicted of a machine where this is estimated.
    pub(in crate::placement) fn of_machine(&self, estimated: &Resources) -> Resources {
        let (cpu, memory) = (estimated.cpu * self.cpu, estimated.memory * self.memory);
        Resources { cpu, memory, ..*estimated }
    }

    /// Whether of GPUs the same is predicted where the same is estimated.
    pub(in crate::placement) fn is_same_of_gpus(&self, other: &Self) -> bool {
        let of_gpus = |ratios: &Self| [ratios.encoder, ratios.decoder, ratios.gpu_memory];
        of_gpus(self) == of_gpus(other)
    }

    /// What is predicted of a GPU.
    pub(in crate::placement) fn of_gpu(&self, estimated: &GpuResources) -> GpuResources {
        GpuResources {
            encoder: estimated.encoder * self.encoder,
            decoder: estimated.decoder * self.decoder,
            memory: estimated.memory * self.gpu_memory,
            sessions: estimated.sessions,
        }
    }
}

/// What is used of the machine and of all its GPUs together.
fn amounts(cpu: f64, memory: f64, gpus: &[(u32, GpuResources)]) -> Ratios<f64> {
    let sum = gpus.iter().fold(GpuResources::default(), |sum, (_, gpu)| sum + *gpu);
    Ratios { cpu, memory, encoder: sum.encoder, decoder: sum.decoder, gpu_memory: sum.memory }
}

#[cfg(test)]
mod tests;
