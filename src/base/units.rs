//! Sizes and rates as types, so that no number travels without its unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// A number of bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bitrate(pub u64);

impl ByteSize {
    /// From binary mebibytes.
    #[must_use]
    pub const fn mebibytes(count: u64) -> Self {
        Self(count * 1024 * 1024)
    }

    /// The count as an index type; sizes above it saturate.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Bitrate {
    /// From decimal kilobits per second.
    #[must_use]
    pub const fn kilobits(count: u64) -> Self {
        Self(count * 1000)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bit/s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mebibytes_are_binary_and_kilobits_decimal() {
        assert_eq!(ByteSize::mebibytes(3), ByteSize(3_145_728));
        assert_eq!(Bitrate::kilobits(2_500), Bitrate(2_500_000));
    }

    #[test]
    fn a_bitrate_is_printed_with_its_unit() {
        assert_eq!(Bitrate::kilobits(128).to_string(), "128000 bit/s");
    }

    #[test]
    fn the_largest_size_is_the_largest_index() {
        assert_eq!(ByteSize(7).as_usize(), 7);
        assert_eq!(ByteSize(u64::MAX).as_usize(), usize::MAX);
    }

    #[test]
    fn a_number_is_all_that_is_written() {
        assert_eq!(serde_json::to_string(&ByteSize(42)).unwrap(), "42");
        assert_eq!(serde_json::from_str::<Bitrate>("42").unwrap(), Bitrate(42));
    }
}
