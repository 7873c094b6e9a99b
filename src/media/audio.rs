//! Audio of any codec: what a configuration record or an access unit says. Here is only the choice of the codec's own room.

use super::aac::{self, AacError};
use super::mp3;
use super::track::{AudioCodec, AudioConfiguration};

/// What is wrong with an audio configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// An `AudioSpecificConfig`.
    #[error(transparent)]
    Aac(#[from] AacError),
    /// A codec without a reader.
    #[error("no configuration of {0:?} can be read")]
    Codec(AudioCodec),
}

/// Reads the decoder configuration that a publisher sends before its access units.
///
/// # Errors
/// A record that is malformed, or of a codec that has none ([`describes_itself`]).
pub fn read_configuration(codec: AudioCodec, record: &[u8]) -> Result<AudioConfiguration, AudioError> {
    match codec {
        AudioCodec::Aac => Ok(aac::read_configuration(record)?),
        AudioCodec::Mp3 | AudioCodec::Opus | AudioCodec::Flac | AudioCodec::Ac3 | AudioCodec::Eac3 => {
            Err(AudioError::Codec(codec))
        }
    }
}

/// Whether each access unit says what is in it, so that no configuration record comes.
#[must_use]
pub fn describes_itself(codec: AudioCodec) -> bool {
    match codec {
        AudioCodec::Mp3 | AudioCodec::Ac3 | AudioCodec::Eac3 => true,
        AudioCodec::Aac | AudioCodec::Opus | AudioCodec::Flac => false,
    }
}

/// What an access unit of a codec that [`describes_itself`] says; `None` if it says nothing that makes sense.
#[must_use]
pub fn read_access_unit(codec: AudioCodec, data: &[u8]) -> Option<AudioConfiguration> {
    match codec {
        AudioCodec::Mp3 => mp3::read_configuration(data).ok(),
        AudioCodec::Aac | AudioCodec::Opus | AudioCodec::Flac | AudioCodec::Ac3 | AudioCodec::Eac3 => None,
    }
}

/// How many samples an access unit lasts, at the configuration's rate.
#[must_use]
pub fn samples(configuration: &AudioConfiguration, data: &[u8]) -> u32 {
    let _ = data;
    configuration.samples_per_access_unit
}
