//! HEVC: what a track's configuration says, and where its decoding can begin.
//!
//! Nothing is decoded, and of multi-layer streams only the base layer is looked at. The standards are ISO/IEC 23008-2 (HEVC: NAL
//! units, parameter sets) and ISO/IEC 14496-15 §8 (how FLV and MP4 carry them).

mod configuration;
mod parameter_set;
mod random_access;

pub use configuration::{HevcError, read_configuration};
pub use random_access::random_access;

/// `nal_unit_type` (ISO/IEC 23008-2 table 7-1), as far as it matters here.
mod nal_type {
    /// The last slice of a picture that is no random access point; 10 to 15 are reserved.
    pub(super) const RASL_R: u8 = 9;
    /// The first slice of a broken link access picture (BLA), of three types.
    pub(super) const BLA_W_LP: u8 = 16;
    /// The last slice of an IDR picture, of two types.
    pub(super) const IDR_N_LP: u8 = 20;
    /// Slice of a clean random access picture (CRA).
    pub(super) const CRA: u8 = 21;
    /// Sequence parameter set.
    pub(super) const SPS: u8 = 33;
}

/// The type in a NAL unit's header; `None` for a unit that is cut, or of another layer than the base layer, which a decoder
/// of this one ignores (§7.4.2.2, `nuh_layer_id`).
fn nal_type(nal: &[u8]) -> Option<u8> {
    let &[first, second, ..] = nal else { return None };
    let layer = (first & 1) << 5 | second >> 3;
    (layer == 0).then_some(first >> 1 & 0x3F)
}
