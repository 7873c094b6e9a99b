//! FLAC: its `STREAMINFO` (RFC 9639 §8.2), which Enhanced RTMP v2 carries as the configuration, and how long a frame lasts
//! (RFC 9639 §9.1). Nothing is decoded.

use super::bits::{Bits, Cut};
use super::track::{AudioCodec, AudioConfiguration};

/// What a FLAC file begins with (RFC 9639 §6).
const SIGNATURE: &[u8; 4] = b"fLaC";
/// `STREAMINFO`'s type of metadata block (RFC 9639 §8.1).
const STREAMINFO: u32 = 0;
/// What a frame begins with, in 15 bits (RFC 9639 §9.1).
const SYNC: u32 = 0b111_1111_1111_1100;

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlacError {
    /// It ends inside a field.
    #[error("the FLAC configuration {0}")]
    Truncated(#[from] Cut),
    /// The first metadata block is another one.
    #[error("the FLAC configuration begins with a metadata block of type {0} instead of STREAMINFO")]
    BlockType(u32),
    /// A rate of 0, which says that it is no sound.
    #[error("the FLAC configuration has a sampling rate of 0")]
    SampleRate,
    /// Blocks of less than 16 samples.
    #[error("FLAC blocks of {0} samples are not allowed")]
    BlockSize(u16),
}

/// Reads a `STREAMINFO` block.
///
/// Enhanced RTMP v2 has the file's signature and the block's header before it, FFmpeg 9.0.2 sends the block's 34 bytes alone and
/// reads both. Both are taken: a block that begins `fLaC` would have its largest block smaller than its smallest.
///
/// Samples are those of the largest block; a stream of blocks of one size has all but the last so long. The codecs string is
/// the sample entry's name in MP4.
///
/// # Errors
/// A configuration that is cut, of another metadata block, or with values that cannot be.
pub fn read_configuration(configuration: &[u8]) -> Result<AudioConfiguration, FlacError> {
    let mut bits = Bits::new(configuration);
    if configuration.starts_with(SIGNATURE) {
        bits.bytes(SIGNATURE.len(), "signature")?;
        bits.skip(1, "last-metadata-block flag")?;
        let block_type = bits.read(7, "metadata block type")?;
        if block_type != STREAMINFO {
            return Err(FlacError::BlockType(block_type));
        }
        bits.skip(24, "metadata block size")?;
    }
    bits.skip(16, "minimum block size")?;
    let largest = bits.u16("maximum block size")?;
    bits.skip(24 + 24, "frame size")?;
    let sample_rate = bits.read(20, "sample rate")?;
    let channels = bits.read(3, "number of channels")?.to_le_bytes()[0] + 1;
    bits.skip(5 + 36, "bits per sample")?;
    bits.bytes(16, "MD5 checksum")?;
    if largest < 16 {
        return Err(FlacError::BlockSize(largest));
    }
    if sample_rate == 0 {
        return Err(FlacError::SampleRate);
    }
    Ok(AudioConfiguration {
        codec: AudioCodec::Flac,
        codecs: "fLaC".into(),
        sample_rate,
        channels: u16::from(channels),
        samples_per_access_unit: u32::from(largest),
    })
}

/// How many samples a frame lasts, by the block size in its header; `None` if there is no header.
#[must_use]
pub fn samples(frame: &[u8]) -> Option<u32> {
    read_block_size(frame).ok().flatten()
}

fn read_block_size(frame: &[u8]) -> Result<Option<u32>, Cut> {
    let mut bits = Bits::new(frame);
    if bits.read(15, "frame sync code")? != SYNC {
        return Ok(None);
    }
    bits.skip(1, "blocking strategy")?;
    let code = bits.read(4, "block size bits")?;
    // Of the uncommon block size's place: behind the sample rate, channels, depth and the coded number (§9.1.6).
    bits.skip(4 + 4 + 3 + 1, "sample rate bits")?;
    Ok(match code {
        0 => None,
        1 => Some(192),
        2..=5 => Some(144 << code),
        6 | 7 => {
            skip_coded_number(&mut bits)?;
            let width = if code == 6 { 8 } else { 16 };
            Some(bits.read(width, "uncommon block size")? + 1)
        }
        _ => Some(1 << code),
    })
}

/// A number in the manner of UTF-8 (§9.1.5): the first byte's leading ones count all its bytes, if there are two or more.
fn skip_coded_number(bits: &mut Bits<'_>) -> Result<(), Cut> {
    let ones = bits.u8("coded number")?.leading_ones() as usize;
    bits.bytes(ones.saturating_sub(1), "coded number")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bits::packed;
    use proptest::prelude::*;

    /// ffmpeg 9.0.2 -f lavfi -i anullsrc=r=44100:cl=stereo -t 0.2 -c:a flac -sample_fmt s32 a.flv: the FLAC sequence start
    /// without its first five bytes.
    const STEREO: &[u8; 34] =
        b"\x04\x00\x04\x00\x00\x00\x00\x00\x18\x9a\x0a\xc4\x43\x70\x00\x00\x00\x00\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

    #[track_caller]
    fn check(configuration: &[u8], expected: (u32, u16, u32)) {
        let (sample_rate, channels, samples_per_access_unit) = expected;
        let (codec, codecs) = (AudioCodec::Flac, "fLaC".to_owned());
        let expected = AudioConfiguration { codec, codecs, sample_rate, channels, samples_per_access_unit };
        assert_eq!(read_configuration(configuration), Ok(expected));
    }

    /// `STEREO` with other bytes from 10 on: rate, channels, depth.
    fn with(bytes: [u8; 4]) -> Vec<u8> {
        [&STEREO[..10], &bytes, &STEREO[14..]].concat()
    }

    /// With the signature and the block's header, as the specification of Enhanced RTMP has it.
    fn with_signature(block: &[u8]) -> Vec<u8> {
        [b"fLaC\x80\x00\x00\x22", block].concat()
    }

    #[test]
    fn configurations_of_ffmpeg() {
        check(STEREO, (44_100, 2, 1024));
        // The same with r=96000:cl=5.1 and with r=192000:cl=mono.
        check(&with([0x17, 0x70, 0x0B, 0x70]), (96_000, 6, 1024));
        check(&with([0x2E, 0xE0, 0x01, 0x70]), (192_000, 1, 1024));
    }

    #[test]
    fn the_specifications_form_is_taken() {
        check(&with_signature(STEREO), (44_100, 2, 1024));
        let comment = [b"fLaC\x84\x00\x00\x22", &STEREO[..]].concat();
        assert_eq!(read_configuration(&comment), Err(FlacError::BlockType(4)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(read_configuration(&with([0, 0, 0x03, 0x70])), Err(FlacError::SampleRate));
        let mut small = *STEREO;
        small[2..4].copy_from_slice(&[0, 15]);
        assert_eq!(read_configuration(&small), Err(FlacError::BlockSize(15)));
        for whole in [STEREO.to_vec(), with_signature(STEREO)] {
            for length in 0..whole.len() {
                let cut = read_configuration(&whole[..length]);
                assert!(matches!(cut, Err(FlacError::Truncated(cut)) if cut.offset <= length), "{length}");
            }
        }
    }

    #[test]
    fn frames_last_as_their_headers_say() {
        // The same command: the first bytes of a frame.
        assert_eq!(samples(&[0xFF, 0xF8, 0xA9, 0x1C, 0x02, 0x5D]), Some(1024));
        let sizes = [192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768];
        for (code, expected) in (1..).zip(sizes).filter(|&(_, size)| size > 0) {
            assert_eq!(samples(&packed(&format!("{SYNC:b} 0 {code:04b} 1001 0001 100 0"))), Some(expected));
        }
    }

    #[test]
    fn uncommon_sizes_are_behind_the_coded_number() {
        assert_eq!(samples(&[0xFF, 0xF9, 0x69, 0x18, 0x05, 99]), Some(100));
        assert_eq!(samples(&[0xFF, 0xF9, 0x79, 0x18, 0xC2, 0x80, 0xFF, 0xFF]), Some(65_536));
        assert_eq!(samples(&[0xFF, 0xF8, 0x69, 0x18, 0xFE, 1, 2, 3, 4, 5, 6, 15]), Some(16));
        assert_eq!(samples(&[0xFF, 0xF8, 0x69, 0x18, 0xFE, 1, 2, 3, 4, 5, 6]), None);
    }

    #[test]
    fn what_is_no_frame_has_no_length() {
        for frame in [&[][..], &[0xFF, 0xF8, 0xA9], &[0xFF, 0xFA, 0xA9, 0x1C], &[0xFF, 0xF8, 0x09, 0x1C]] {
            assert_eq!(samples(frame), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = (read_configuration(&bytes), read_configuration(&with_signature(&bytes)));
            let _ = samples(&[&[0xFF, 0xF8][..], &bytes].concat());
        }
    }
}
