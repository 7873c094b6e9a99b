//! Audio of any codec: what a configuration record or an access unit says. Here is only the choice of the codec's own room.

use super::aac::{self, AacError};
use super::ac3;
use super::flac::{self, FlacError};
use super::mp3;
use super::opus::{self, OpusError};
use super::track::{AudioCodec, AudioConfiguration};

/// What is wrong with an audio configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// An `AudioSpecificConfig`.
    #[error(transparent)]
    Aac(#[from] AacError),
    /// An `OpusHead`.
    #[error(transparent)]
    Opus(#[from] OpusError),
    /// A `STREAMINFO`.
    #[error(transparent)]
    Flac(#[from] FlacError),
    /// A codec that has no configuration record, since it [`describes_itself`].
    #[error("{0:?} has no configuration record")]
    NoRecord(AudioCodec),
}

/// Reads the decoder configuration that a publisher sends before its access units.
///
/// # Errors
/// A record that is malformed, or of a codec that has none ([`describes_itself`]).
pub fn read_configuration(codec: AudioCodec, record: &[u8]) -> Result<AudioConfiguration, AudioError> {
    match codec {
        AudioCodec::Aac => Ok(aac::read_configuration(record)?),
        AudioCodec::Opus => Ok(opus::read_configuration(record)?),
        AudioCodec::Flac => Ok(flac::read_configuration(record)?),
        AudioCodec::Mp3 | AudioCodec::Ac3 | AudioCodec::Eac3 => Err(AudioError::NoRecord(codec)),
    }
}

/// Whether each access unit says what is in it, so that no configuration record comes. FFmpeg 9.0.2 sends an empty one all the
/// same.
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
        AudioCodec::Ac3 | AudioCodec::Eac3 => ac3::read_configuration(codec, data).ok(),
        AudioCodec::Aac | AudioCodec::Opus | AudioCodec::Flac => None,
    }
}

/// How many samples an access unit lasts, at the configuration's rate: where units differ by what this one says, and the usual
/// number if it says nothing that makes sense.
#[must_use]
pub fn samples(configuration: &AudioConfiguration, data: &[u8]) -> u32 {
    let told = match configuration.codec {
        AudioCodec::Opus => opus::samples(data),
        AudioCodec::Flac => flac::samples(data),
        AudioCodec::Ac3 | AudioCodec::Eac3 => ac3::samples(data),
        // AAC's units are as long as its configuration says, and MP3's frames as their version says, which stays.
        AudioCodec::Aac | AudioCodec::Mp3 => None,
    };
    told.unwrap_or(configuration.samples_per_access_unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODECS: [AudioCodec; 6] = [
        AudioCodec::Aac,
        AudioCodec::Mp3,
        AudioCodec::Opus,
        AudioCodec::Flac,
        AudioCodec::Ac3,
        AudioCodec::Eac3,
    ];

    fn configuration(codec: AudioCodec) -> AudioConfiguration {
        let codecs = String::new();
        AudioConfiguration { codec, codecs, sample_rate: 48_000, channels: 2, samples_per_access_unit: 777 }
    }

    #[test]
    fn a_codec_is_told_by_a_record_or_by_itself() {
        let units: [&[u8]; 2] = [&[0xFF, 0xFB, 0x90, 0xC4], &[0x0B, 0x77, 0x28, 0x19, 0x1E, 0x40, 0xEB]];
        for codec in CODECS {
            let has_no_record = read_configuration(codec, &[]) == Err(AudioError::NoRecord(codec));
            let read = units.iter().find_map(|unit| read_access_unit(codec, unit));
            assert_eq!(describes_itself(codec), has_no_record);
            assert_eq!(read.map(|read| read.codec), describes_itself(codec).then_some(codec));
        }
        assert_eq!(read_access_unit(AudioCodec::Mp3, units[1]), None);
        assert_eq!(read_access_unit(AudioCodec::Eac3, units[0]), None);
    }

    #[test]
    fn access_units_of_changing_length_say_it() {
        for (codec, unit, expected) in [
            (AudioCodec::Opus, &[0xF0, 0xAD][..], 480),
            (AudioCodec::Flac, &[0xFF, 0xF8, 0xA9, 0x1C, 0x02], 1024),
            (AudioCodec::Eac3, &[0x0B, 0x77, 0x03, 0x7F, 0x0F, 0x87], 256),
            (AudioCodec::Ac3, &[0x0B, 0x77, 0x28, 0x19, 0x1E, 0x40, 0xEB], 1536),
            (AudioCodec::Aac, &[0xDE, 0x02], 777),
            (AudioCodec::Mp3, &[0xFF, 0xFB, 0x90, 0xC4], 777),
        ] {
            assert_eq!(samples(&configuration(codec), unit), expected, "{codec:?}");
            assert_eq!(samples(&configuration(codec), &[]), 777, "{codec:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_access_units_last_a_bounded_time(unit in prop::collection::vec(any::<u8>(), 0..60)) {
            for codec in CODECS {
                let _ = read_access_unit(codec, &unit);
                prop_assert!((1..=65_536).contains(&samples(&configuration(codec), &unit)));
            }
        }
    }
}
