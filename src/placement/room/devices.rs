//! A set of devices.

use crate::placement::load::MAX_GPU_INDEX;

/// The CPU, which is `None`, and GPUs by index. Those over [`MAX_GPU_INDEX`] are in no set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Devices(u64);

/// The CPU's bit comes first, as `None` comes before any index.
const _: () = assert!(MAX_GPU_INDEX < 63, "each GPU has a bit");

impl Devices {
    /// All GPUs.
    pub const GPUS: Self = Self(!1);

    /// Puts one in.
    #[inline]
    pub fn insert(&mut self, device: Option<u32>) {
        self.0 |= bit(device);
    }

    /// Whether one is in it.
    #[must_use]
    #[inline]
    pub fn contains(self, device: Option<u32>) -> bool {
        self.0 & bit(device) != 0
    }

    /// Those that are in both.
    #[must_use]
    #[inline]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Those that are in either.
    #[must_use]
    #[inline]
    pub fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are not in the other set.
    #[must_use]
    #[inline]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether there is none.
    #[must_use]
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[must_use]
    #[inline]
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The CPU, and then the GPUs by index.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Option<u32>> {
        std::iter::successors(Some(self.0), |left| Some(left & left.wrapping_sub(1)))
            .take_while(|left| *left != 0)
            .map(|left| left.trailing_zeros().checked_sub(1))
    }
}

impl FromIterator<Option<u32>> for Devices {
    fn from_iter<I: IntoIterator<Item = Option<u32>>>(devices: I) -> Self {
        let mut set = Self::default();
        devices.into_iter().for_each(|device| set.insert(device));
        set
    }
}

#[inline]
fn bit(device: Option<u32>) -> u64 {
    device.map_or(1, |gpu| gpu.checked_add(1).and_then(|place| 1u64.checked_shl(place)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(devices in prop::collection::vec(prop::option::of(0..=MAX_GPU_INDEX), 0..20), other: [u8; 3]) {
            let set: Devices = devices.iter().copied().collect();
            let other: BTreeSet<_> = other.into_iter().map(|gpu| Some(u32::from(gpu) % 63)).collect();
            let expected: BTreeSet<_> = devices.into_iter().collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), expected.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(usize::try_from(set.count()).ok(), Some(expected.len()));
            prop_assert_eq!(set.is_empty(), expected.is_empty());
            let either: BTreeSet<_> = expected.union(&other).copied().collect();
            let (both, left): (BTreeSet<_>, _) = expected.iter().copied().partition(|device| other.contains(device));
            let other: Devices = other.into_iter().collect();
            prop_assert_eq!(set.or(other).iter().collect::<BTreeSet<_>>(), either);
            prop_assert_eq!(set.and(other).iter().collect::<BTreeSet<_>>(), both);
            prop_assert_eq!(set.without(other).iter().collect::<BTreeSet<_>>(), left);
        }
    }

    #[test]
    fn a_gpu_without_a_bit_is_in_no_set() {
        for gpu in [63, 64, 255, u32::MAX] {
            let set: Devices = [Some(gpu)].into_iter().collect();
            assert!(set.is_empty() && !set.contains(Some(gpu)) && !Devices::GPUS.contains(Some(gpu)));
        }
        assert!(Devices::GPUS.contains(Some(MAX_GPU_INDEX)) && !Devices::GPUS.contains(None));
    }
}
