//! Video of any codec: what a configuration record says, and where decoding can begin. Here is only the choice of the
//! codec's own room.

use super::h264::{self, H264Error};
use super::track::{VideoCodec, VideoConfiguration};

pub use super::h264::RandomAccess;

/// What is wrong with a video configuration record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VideoError {
    /// An `AVCDecoderConfigurationRecord`.
    #[error(transparent)]
    H264(#[from] H264Error),
    /// A codec without a reader.
    #[error("no configuration of {0:?} can be read")]
    Codec(VideoCodec),
}

/// Reads the decoder configuration that a publisher sends before its pictures.
///
/// # Errors
/// A record that is malformed.
pub fn read_configuration(codec: VideoCodec, record: &[u8]) -> Result<VideoConfiguration, VideoError> {
    match codec {
        VideoCodec::H264 => Ok(h264::read_configuration(record)?),
        VideoCodec::Hevc | VideoCodec::Av1 | VideoCodec::Vp9 => Err(VideoError::Codec(codec)),
    }
}

/// Whether decoding can begin at this access unit (`data`: of H.264 and HEVC NAL units behind their lengths, of AV1 a temporal
/// unit, of VP9 a frame).
#[must_use]
pub fn random_access(configuration: &VideoConfiguration, data: &[u8]) -> RandomAccess {
    match configuration.codec {
        VideoCodec::H264 => h264::random_access(data, configuration.nal_length_bytes),
        VideoCodec::Hevc | VideoCodec::Av1 | VideoCodec::Vp9 => RandomAccess::None,
    }
}
