//! Opus: its identification header (RFC 7845 §5.1), which Enhanced RTMP v2 carries as the configuration, and how long a packet
//! lasts (RFC 6716 §3.1).
//!
//! Nothing is decoded. Samples are counted at 48 kHz, as all of Opus is; the header's "input sample rate" is only what the sound
//! once had.

use super::bits::{Bits, Cut};
use super::track::{AudioCodec, AudioConfiguration};

/// The rate at which Opus counts (RFC 7845 §4).
const SAMPLE_RATE: u32 = 48_000;
/// 20 ms, which encoders use unless told otherwise (RFC 6716 §2.1.4).
const USUAL_SAMPLES: u32 = 960;
/// 120 ms, the longest that a packet lasts (RFC 6716 §3.4, requirement 5).
const MAX_SAMPLES: u32 = 5760;

/// What is wrong with an identification header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// It ends inside a field.
    #[error("the Opus header {0}")]
    Truncated(#[from] Cut),
    /// It does not begin with `OpusHead`.
    #[error("the Opus header does not begin with OpusHead")]
    Signature,
    /// A major version, the upper four bits of byte 8, that is not 0: a reader must not go on.
    #[error("unknown version {0} of the Opus header")]
    Version(u8),
    /// No channel (at byte 9).
    #[error("the Opus header has no channel")]
    NoChannel,
}

/// Reads an identification header. The channel mapping table behind it only matters to decoders; it must be whole.
///
/// The codecs string is the sample entry's name in MP4 (Opus-in-ISOBMFF §4.3.1).
///
/// # Errors
/// A header that is cut, or another one.
pub fn read_configuration(header: &[u8]) -> Result<AudioConfiguration, OpusError> {
    let mut bits = Bits::new(header);
    if bits.bytes(8, "Magic Signature")? != b"OpusHead" {
        return Err(OpusError::Signature);
    }
    let version = bits.u8("Version")?;
    if version > 0x0F {
        return Err(OpusError::Version(version));
    }
    let channels = bits.u8("Output Channel Count")?;
    if channels == 0 {
        return Err(OpusError::NoChannel);
    }
    bits.bytes(2, "Pre-skip")?;
    bits.bytes(4, "Input Sample Rate")?;
    bits.bytes(2, "Output Gain")?;
    if bits.u8("Channel Mapping Family")? != 0 {
        bits.bytes(2 + usize::from(channels), "Channel Mapping Table")?;
    }
    Ok(AudioConfiguration {
        codec: AudioCodec::Opus,
        codecs: "Opus".into(),
        sample_rate: SAMPLE_RATE,
        channels: u16::from(channels),
        samples_per_access_unit: USUAL_SAMPLES,
    })
}

/// How many samples a packet lasts: frames of the length that its first byte says, as many as that byte or the next one
/// says. `None` if there are none, or more than 120 ms.
#[must_use]
pub fn samples(packet: &[u8]) -> Option<u32> {
    let (&toc, rest) = packet.split_first()?;
    // Configurations 0 to 31 (RFC 6716 §3.1, table 2): SILK, hybrid, CELT.
    let frame = match toc >> 3 {
        silk @ 0..=11 => [480, 960, 1920, 2880][usize::from(silk % 4)],
        hybrid @ 12..=15 => [480, 960][usize::from(hybrid % 2)],
        celt => [120, 240, 480, 960][usize::from(celt % 4)],
    };
    let frames = match toc & 0b11 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3F),
    };
    let samples = frame * frames;
    (1..=MAX_SAMPLES).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// ffmpeg 9.0.2 -f lavfi -i sine=r=48000 -t 0.3 -c:a libopus a.flv: the Opus sequence start without its first five bytes.
    const MONO: &[u8; 19] = b"OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00";
    /// The same with -ac 6.
    const SIX: &[u8; 27] =
        b"OpusHead\x01\x06\x38\x01\x80\xbb\x00\x00\x00\x00\x01\x04\x02\x00\x04\x01\x02\x03\x05";

    #[track_caller]
    fn check(header: &[u8], channels: u16) {
        let (codec, codecs) = (AudioCodec::Opus, "Opus".to_owned());
        let (sample_rate, samples_per_access_unit) = (48_000, 960);
        let expected = AudioConfiguration { codec, codecs, sample_rate, channels, samples_per_access_unit };
        assert_eq!(read_configuration(header), Ok(expected));
    }

    #[test]
    fn headers_of_libopus() {
        check(MONO, 1);
        check(SIX, 6);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let changed = |at: usize, byte| {
            let mut header = *MONO;
            header[at] = byte;
            read_configuration(&header).unwrap_err()
        };
        assert_eq!(changed(4, b'T'), OpusError::Signature);
        assert_eq!(changed(8, 0x10), OpusError::Version(16));
        assert_eq!(changed(9, 0), OpusError::NoChannel);
        assert_eq!(changed(18, 1), OpusError::Truncated(Cut { offset: 19, field: "Channel Mapping Table" }));
        for length in 0..SIX.len() {
            let cut = read_configuration(&SIX[..length]);
            assert!(matches!(cut, Err(OpusError::Truncated(cut)) if cut.offset <= length), "{length}");
        }
    }

    #[test]
    fn packets_of_libopus_last_as_long_as_was_asked() {
        // The same command with -frame_duration 20 (the default), 60, 10, 2.5 and 120: the first bytes of a packet.
        for (packet, expected) in [
            ([0xF8, 0x72], 960),
            ([0xFF, 0x03], 2880),
            ([0xF0, 0xAD], 480),
            ([0xE0, 0xB4], 120),
            ([0xFF, 0x06], 5760),
        ] {
            assert_eq!(samples(&packet), Some(expected));
        }
    }

    #[test]
    fn each_configuration_has_its_length() {
        let silk = [480, 960, 1920, 2880].repeat(3);
        let lengths = [silk, [480, 960].repeat(2), [120, 240, 480, 960].repeat(4)].concat();
        for (toc, frame) in (0..32u8).map(|configuration| configuration << 3).zip(lengths) {
            assert_eq!(samples(&[toc]), Some(frame));
            assert_eq!(samples(&[toc | 1]), Some(2 * frame));
            assert_eq!(samples(&[toc | 2]), Some(2 * frame));
            assert_eq!(samples(&[toc | 3, 0x81]), Some(frame));
        }
    }

    #[test]
    fn packets_that_cannot_be_have_no_length() {
        for packet in [&[][..], &[0xFF], &[0xFF, 0], &[0xFF, 7], &[0x1B, 63]] {
            assert_eq!(samples(packet), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (read_configuration(&bytes), samples(&bytes));
            let _ = read_configuration(&[b"OpusHead", &bytes[..]].concat());
        }
    }
}
