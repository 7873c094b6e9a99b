//! Fragmented MP4 (ISO/IEC 14496-12) with one track: read from FFmpeg's pipes, written for players as CMAF
//! (ISO/IEC 23000-19).
//!
//! `mp4-atom` encodes everything that is written, and decodes the leaf boxes that are read. Which box lies in which is
//! walked here, in `boxes`: `mp4-atom` follows nested boxes recursively and without a bound, and 640 bytes of `traf`
//! within `traf` overflow a stack of 2 MiB, which ends the process. Its containers also keep what we do not need.
//!
//! Of a copied rendition FFmpeg writes HEVC as `hev1`; it is written as `hvc1` here, which is what Safari plays. `colr`, HDR
//! levels and bit rates are not carried over: what players need of colours is in the codec configurations.
//!
//! Edit lists are neither read nor written: FFmpeg writes none with `empty_moov` and `negative_cts_offsets`, and with
//! signed composition offsets players need none (ISO/IEC 23000-19 §7.5.13).

mod boxes;
mod header;
pub mod read;
mod run;
pub mod write;

use std::fmt;

use bytes::Bytes;

use super::time::TICKS_PER_SECOND;
use super::track::{TrackKind, VideoCodec};

/// A box's type, four bytes of any value (ISO/IEC 14496-12 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BoxType(pub [u8; 4]);

impl fmt::Display for BoxType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for BoxType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What `moov` says about the one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackHeader {
    /// Units in a second of all times in this track's fragments; not zero.
    pub timescale: u32,
    /// What is in the track.
    pub entry: SampleEntry,
}

/// The codec and what a decoder must know before the first access unit (ISO/IEC 14496-12 §8.5.2). Bit rates are not in
/// it: FFmpeg estimates them anew in every attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleEntry {
    /// Pictures: `avc1` and `hvc1` with parameter sets out of band (ISO/IEC 14496-15 §5.4.2, §8.4.1), `av01` (*AV1 Codec ISO
    /// Media File Format Binding* §2.2) or `vp09` (*VP Codec ISO Media File Format Binding*).
    Video {
        /// Which of them.
        codec: VideoCodec,
        /// Coded width in pixels, after cropping.
        width: u16,
        /// Coded height in pixels, after cropping.
        height: u16,
        /// `pasp`, where there is one.
        pixel_aspect: Option<PixelAspect>,
        /// The body of `avcC`, `hvcC`, `av1C` or `vpcC`: the codec's configuration record, of VP9 with version and flags
        /// before it.
        configuration: Bytes,
    },
    /// AAC: `mp4a` (ISO/IEC 14496-14 §5.6).
    Aac {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u16,
        /// `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
        configuration: Bytes,
    },
}

/// Shape of a pixel, as width to height (`pasp`, ISO/IEC 14496-12 §12.1.4); neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelAspect {
    /// Relative width.
    pub horizontal: u32,
    /// Relative height.
    pub vertical: u32,
}

impl SampleEntry {
    /// Pictures or sound.
    #[must_use]
    pub fn kind(&self) -> TrackKind {
        match self {
            Self::Video { .. } => TrackKind::Video,
            Self::Aac { .. } => TrackKind::Audio,
        }
    }

    /// The timescale in which [`mod@write`] writes this track: 90000 for pictures, the sample rate for sound.
    #[must_use]
    pub fn timescale(&self) -> u32 {
        const VIDEO_TIMESCALE: u32 = TICKS_PER_SECOND as u32;
        match self {
            Self::Video { .. } => VIDEO_TIMESCALE,
            Self::Aac { sample_rate, .. } => *sample_rate,
        }
    }
}

/// Sample flags of an access unit at which decoding can begin: it depends on no other (ISO/IEC 14496-12 §8.8.3.1).
const FLAGS_RANDOM_ACCESS: u32 = 0x0200_0000;
/// Sample flags of any other access unit: it depends on others and is no sync sample.
const FLAGS_DEPENDENT: u32 = 0x0101_0000;
/// The bit `sample_is_non_sync_sample` of sample flags.
const FLAG_NON_SYNC: u32 = 0x0001_0000;

#[cfg(test)]
mod tests;
