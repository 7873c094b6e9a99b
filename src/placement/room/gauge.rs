//! How full four dimensions are, of a machine or of one of its GPUs, and whether what is needed would fit. This is what a
//! decision does with every node, so it is a few multiplications without a branch.

use super::fit::{Dimension, Fit, Shortage};
use crate::wire::cost::{GpuResources, Resources};

/// What rounding may add up to, as a share of what is compared.
const ROUNDING: f64 = 1e-9;
const MACHINE: [Dimension; 4] = [Dimension::Cpu, Dimension::Memory, Dimension::Disk, Dimension::Network];
/// Sessions come first, for which there is a shortage of its own.
const GPU: [Dimension; 4] =
    [Dimension::GpuEncoder, Dimension::GpuEncoder, Dimension::GpuDecoder, Dimension::GpuMemory];

/// What is in use, and the share that one unit of it is of what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauge {
    used: [f64; 4],
    per_unit: [f64; 4],
}

/// What is needed, and the share up to which each dimension may be filled by it: without a bound where nothing is needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    amounts: [f64; 4],
    most: [f64; 4],
}

/// Amounts of what a gauge is of, in its order.
pub(super) trait Dimensions {
    fn in_order(&self) -> [f64; 4];
}

impl Dimensions for Resources {
    fn in_order(&self) -> [f64; 4] {
        [self.cpu, self.memory, self.disk, self.network]
    }
}

impl Dimensions for GpuResources {
    fn in_order(&self) -> [f64; 4] {
        [self.sessions, self.encoder, self.decoder, self.memory]
    }
}

impl Need {
    /// Nothing.
    pub const NOTHING: Self = Self { amounts: [0.0; 4], most: [f64::INFINITY; 4] };

    /// Of a machine, each dimension of which may be filled up to `limit`.
    #[must_use]
    pub fn of_machine(needed: &Resources, limit: f64) -> Self {
        Self::up_to(needed.in_order(), [limit; 4])
    }

    /// Of a GPU. Sessions are whole and have no headroom: the last one may be taken.
    #[must_use]
    pub fn of_gpu(needed: &GpuResources, limit: f64) -> Self {
        Self::up_to(needed.in_order(), [1.0, limit, limit, limit])
    }

    fn up_to(amounts: [f64; 4], limits: [f64; 4]) -> Self {
        let most = |at: usize| if amounts[at] > 0.0 { limits[at] * (1.0 + ROUNDING) } else { f64::INFINITY };
        Self { amounts, most: std::array::from_fn(most) }
    }

    /// Both together, with the same limit.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let most = std::array::from_fn(|at| self.most[at].min(other.most[at]));
        Self { amounts: self.added_to(other.amounts), most }
    }

    /// These amounts and those.
    #[must_use]
    #[inline]
    pub fn added_to(&self, amounts: [f64; 4]) -> [f64; 4] {
        std::array::from_fn(|at| amounts[at] + self.amounts[at])
    }
}

impl Gauge {
    pub(super) fn new<T: Dimensions>(used: &T, per_unit: &T) -> Self {
        Self { used: used.in_order(), per_unit: per_unit.in_order() }
    }

    /// The same with nothing in use.
    #[must_use]
    #[inline]
    pub fn emptied(self) -> Self {
        Self { used: [0.0; 4], ..self }
    }

    /// The same when these amounts a second have faded for so long.
    #[must_use]
    #[inline]
    pub(super) fn without(&self, amounts: &[f64; 4], seconds: f64) -> Self {
        let used = std::array::from_fn(|at| self.used[at] - amounts[at] * seconds);
        Self { used, per_unit: self.per_unit }
    }

    /// The highest share.
    #[must_use]
    #[inline]
    pub fn highest(&self) -> f64 {
        highest(self.shares(&Need::NOTHING))
    }

    /// Whether a need fits.
    #[must_use]
    #[inline]
    pub fn fits(&self, need: &Need) -> bool {
        is_within(&self.shares(need), need)
    }

    /// How full a machine would be.
    ///
    /// # Errors
    /// The first dimension in which the need does not fit.
    #[inline]
    pub fn fit_machine(&self, need: &Need) -> Result<Fit, Shortage> {
        let shares = self.shares(need);
        if is_within(&shares, need) {
            Ok(Fit {
                highest: highest(shares),
                needed: highest(only_needed(shares, &need.amounts)),
                gpu: 0.0,
            })
        } else {
            Err(self.shortage(need, MACHINE))
        }
    }

    /// How full a GPU would be.
    ///
    /// # Errors
    /// The first dimension in which the need does not fit, its sessions before the others.
    #[inline]
    pub fn fit_gpu(&self, index: u32, need: &Need) -> Result<Fit, Shortage> {
        let shares = self.shares(need);
        if is_within(&shares, need) {
            Ok(filled_gpu(shares, &need.amounts))
        } else if shares[0] > need.most[0] {
            Err(Shortage::Sessions { gpu: index })
        } else {
            Err(self.shortage(need, GPU))
        }
    }

    /// How full a GPU is that these amounts were put on.
    #[must_use]
    pub fn filled_gpu(&self, amounts: &[f64; 4]) -> Fit {
        filled_gpu(self.shares(&Need::NOTHING), amounts)
    }

    /// The same with this in use too.
    #[must_use]
    #[inline]
    pub fn with(&self, need: &Need) -> Self {
        Self { used: need.added_to(self.used), per_unit: self.per_unit }
    }

    /// A number of no meaning ([`super::Room::touch`]).
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        self.used[0].to_bits()
    }

    #[inline]
    fn shares(&self, need: &Need) -> [f64; 4] {
        std::array::from_fn(|at| (self.used[at] + need.amounts[at]) * self.per_unit[at])
    }

    /// Told of the first dimension; of the last where there is none, which nobody asks for.
    #[cold]
    fn shortage(&self, need: &Need, dimensions: [Dimension; 4]) -> Shortage {
        let shares = self.shares(need);
        let at = (0..3).find(|at| shares[*at] > need.most[*at]).unwrap_or(3);
        let free = need.most[at] / (1.0 + ROUNDING) / self.per_unit[at] - self.used[at];
        Shortage::Room { dimension: dimensions[at], needed: need.amounts[at], free: free.max(0.0) }
    }
}

/// The share that one unit is of so many: nothing of a dimension without a bound. Of nothing there is nothing left, but a
/// number it must be.
pub(super) fn per_unit(has: Option<f64>) -> f64 {
    const OF_NOTHING: f64 = 1e6;
    has.map_or(0.0, |has| if has > 0.0 { 1.0 / has } else { OF_NOTHING })
}

#[inline]
fn is_within(shares: &[f64; 4], need: &Need) -> bool {
    // Without a branch for each.
    (0..4).fold(true, |within, at| within & (shares[at] <= need.most[at]))
}

#[inline]
fn filled_gpu(shares: [f64; 4], amounts: &[f64; 4]) -> Fit {
    // Sessions have no headroom, so that they do not count among what is needed of it.
    let [_, encoder, decoder, memory] = only_needed(shares, amounts);
    let highest_of_all = highest(shares);
    Fit { highest: highest_of_all, needed: highest([encoder, decoder, memory]), gpu: highest_of_all }
}

#[inline]
fn only_needed(shares: [f64; 4], amounts: &[f64; 4]) -> [f64; 4] {
    std::array::from_fn(|at| if amounts[at] > 0.0 { shares[at] } else { 0.0 })
}

#[inline]
fn highest(shares: impl IntoIterator<Item = f64>) -> f64 {
    shares.into_iter().fold(0.0, |highest, share| if share > highest { share } else { highest })
}
