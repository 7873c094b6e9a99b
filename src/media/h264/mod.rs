//! H.264: what a track's configuration says, and where its decoding can begin.
//!
//! Nothing is decoded. The standards are ISO/IEC 14496-10 (H.264: NAL units, parameter sets, SEI) and ISO/IEC 14496-15
//! (how FLV and MP4 carry them). Whether a configuration has changed is decided by its bytes, not here.

mod configuration;
mod parameter_set;
mod random_access;
mod refresh;

pub use configuration::{H264Error, read_configuration};
pub use random_access::{contains_slice, random_access};
pub use refresh::{mark, unmark};

/// `nal_unit_type` (ISO/IEC 14496-10 table 7-1), as far as it matters here.
mod nal_type {
    /// Slice of a picture that is not IDR, whole.
    pub(super) const SLICE: u8 = 1;
    /// The last of the three partitions that such a slice may come in.
    pub(super) const SLICE_PARTITION_C: u8 = 4;
    /// Slice of an IDR picture.
    pub(super) const IDR_SLICE: u8 = 5;
    /// Supplemental enhancement information.
    pub(super) const SEI: u8 = 6;
    /// Sequence parameter set.
    pub(super) const SPS: u8 = 7;
}

/// The type in a NAL unit's first byte; `None` for an empty one.
fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1F)
}
