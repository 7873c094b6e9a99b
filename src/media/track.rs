//! Tracks: what is in them, as the codec configuration says.

use serde::{Deserialize, Serialize};

/// Which elementary stream an access unit belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// Which kinds of tracks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// Pictures alone.
    Video,
    /// Sound alone.
    Audio,
    /// Both.
    Both,
}

/// A video codec, by the name that the API gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoCodec {
    /// ISO/IEC 14496-10.
    H264,
    /// ISO/IEC 23008-2.
    Hevc,
    /// AV1 Bitstream & Decoding Process Specification (AOMedia).
    Av1,
    /// VP9 Bitstream & Decoding Process Specification (WebM project).
    Vp9,
}

/// An audio codec, by the name that the API gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioCodec {
    /// ISO/IEC 14496-3 AAC.
    Aac,
    /// ISO/IEC 11172-3 layer III.
    Mp3,
    /// RFC 6716.
    Opus,
    /// RFC 9639.
    Flac,
    /// ETSI TS 102 366.
    Ac3,
    /// ETSI TS 102 366 Annex E, E-AC-3.
    Eac3,
}

/// What a video track's codec configuration says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoConfiguration {
    /// The codec.
    pub codec: VideoCodec,
    /// RFC 6381 string, for example `avc1.64001f`.
    pub codecs: String,
    /// Picture width in pixels, after cropping.
    pub width: u32,
    /// Picture height in pixels, after cropping.
    pub height: u32,
    /// Pictures per second, where the stream says it.
    pub frame_rate: Option<f64>,
    /// H.264 and HEVC: bytes of the length before each NAL unit: 1, 2 or 4 (ISO/IEC 14496-15 §5.3.3.1). 0 for codecs
    /// that have no NAL units.
    pub nal_length_bytes: u8,
}

/// What an audio track's codec configuration says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioConfiguration {
    /// The codec.
    pub codec: AudioCodec,
    /// RFC 6381 string, for example `mp4a.40.2`.
    pub codecs: String,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
    /// Samples in one access unit: 1024 for AAC-LC, 1152 for MP3; where units differ (Opus, FLAC) the usual number.
    pub samples_per_access_unit: u32,
}
