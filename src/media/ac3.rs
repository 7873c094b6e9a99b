//! AC-3 and E-AC-3: what a synchronization frame says of itself (ETSI TS 102 366 §4.3, §4.4 and, for E-AC-3, §E.1.2 and §E.1.3).
//!
//! There is no configuration before them in FLV. Nothing is decoded; dependent substreams, which add channels to E-AC-3, are not
//! counted, so 7.1 is described by its core of 5.1.

use super::bits::{Bits, Cut};
use super::track::{AudioCodec, AudioConfiguration};

/// What each frame begins with (§4.4.1.1).
const SYNC_WORD: u32 = 0x0B77;
/// Rates by `fscod` (§4.4.1.3, table 4.1); E-AC-3 has half of them too (§E.1.3.1.4).
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Full channels by `acmod` (§4.4.2.3, table 4.3).
const CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// Blocks of 256 samples by `numblkscod` (§E.1.3.1.5).
const BLOCKS: [u32; 4] = [1, 2, 3, 6];
const SAMPLES_PER_BLOCK: u32 = 256;
/// What an AC-3 frame has, and an E-AC-3 access unit at most: six blocks.
const MAX_SAMPLES: u32 = 6 * SAMPLES_PER_BLOCK;
/// `bsid` up to which a frame is AC-3; 9 and 10 halve and quarter its rate, which no standard says but decoders do.
const LAST_AC3: u32 = 10;
/// `bsid` up to which a frame is E-AC-3 (§E.1.3.1.6).
const LAST_EAC3: u32 = 16;

/// What is wrong with an access unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ac3Error {
    /// It ends inside a field.
    #[error("the AC-3 frame {0}")]
    Truncated(#[from] Cut),
    /// It does not begin with the synchronization word.
    #[error("no AC-3 sync word at byte 0, but {0:04x}")]
    NoSync(u32),
    /// A `bsid` of no decoder.
    #[error("unknown AC-3 bit stream {0}")]
    BitStream(u32),
    /// A reserved `fscod` or `fscod2`.
    #[error("reserved AC-3 sampling rate")]
    SampleRate,
}

/// The head of a synchronization frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    sample_rate: u32,
    channels: u16,
    samples: u32,
    /// Bytes of it, of E-AC-3.
    length: Option<usize>,
    /// Whether its samples come after those of the frame before it, rather than at the same time.
    is_first_substream: bool,
}

/// Describes a track by the frame at the start of one of its access units. `codec` is the one that the publisher names: E-AC-3 may
/// begin with an AC-3 frame (§E.2.3.1.1).
///
/// # Errors
/// [`Ac3Error`] if the access unit does not begin with a frame's head.
pub fn read_configuration(codec: AudioCodec, access_unit: &[u8]) -> Result<AudioConfiguration, Ac3Error> {
    let frame = read_frame(access_unit)?;
    Ok(AudioConfiguration {
        codec,
        // The sample entries' names in MP4 (ETSI TS 102 366 annex F).
        codecs: if codec == AudioCodec::Eac3 { "ec-3".into() } else { "ac-3".into() },
        sample_rate: frame.sample_rate,
        channels: frame.channels,
        samples_per_access_unit: MAX_SAMPLES,
    })
}

/// How many samples an access unit lasts: those of all frames of its first substream, six blocks at most. `None` if it does
/// not begin with a frame.
#[must_use]
pub fn samples(access_unit: &[u8]) -> Option<u32> {
    let mut rest = access_unit;
    let mut samples = 0;
    while let Ok(frame) = read_frame(rest) {
        if frame.is_first_substream {
            samples += frame.samples;
        }
        let behind = frame.length.and_then(|length| rest.get(length..));
        // Bounded by the blocks as well: more of them than six are not one access unit.
        let Some(behind) = behind.filter(|_| samples < MAX_SAMPLES) else { break };
        rest = behind;
    }
    (samples > 0).then(|| samples.min(MAX_SAMPLES))
}

fn read_frame(frame: &[u8]) -> Result<Frame, Ac3Error> {
    let mut bits = Bits::new(frame);
    let sync = bits.read(16, "syncword")?;
    if sync != SYNC_WORD {
        return Err(Ac3Error::NoSync(sync));
    }
    // Both kinds have `bsid` at the same place, which tells them apart (§E.2.3.1.6).
    let mut ahead = bits.clone();
    ahead.skip(24, "syncinfo")?;
    match ahead.read(5, "bsid")? {
        bit_stream @ 0..=LAST_AC3 => read_ac3(bits, bit_stream),
        bit_stream @ ..=LAST_EAC3 => {
            let _ = bit_stream;
            read_eac3(bits)
        }
        other => Err(Ac3Error::BitStream(other)),
    }
}

/// `syncinfo` from `crc1` on and `bsi` up to `lfeon` (§4.3.1, §4.3.2).
fn read_ac3(mut bits: Bits<'_>, bit_stream: u32) -> Result<Frame, Ac3Error> {
    bits.skip(16, "crc1")?;
    let rate = bits.read(2, "fscod")?;
    let rate = *SAMPLE_RATES.get(rate as usize).ok_or(Ac3Error::SampleRate)?;
    bits.skip(6 + 5 + 3, "frmsizecod")?;
    let mode = bits.read(3, "acmod")?;
    // Mixing levels, of modes with a center, with surrounds, and of stereo.
    let has_center = mode & 1 != 0 && mode != 1;
    let levels = [has_center, mode & 4 != 0, mode == 2].into_iter().filter(|&has| has).count();
    bits.skip(2 * levels, "cmixlev")?;
    let low_frequency = bits.flag("lfeon")?;
    Ok(Frame {
        sample_rate: rate >> bit_stream.saturating_sub(8),
        channels: CHANNELS[mode as usize] + u16::from(low_frequency),
        samples: MAX_SAMPLES,
        length: None,
        is_first_substream: true,
    })
}

/// `bsi` of E-AC-3 up to `lfeon` (§E.1.2.2).
fn read_eac3(mut bits: Bits<'_>) -> Result<Frame, Ac3Error> {
    const DEPENDENT: u32 = 1;
    let stream_type = bits.read(2, "strmtyp")?;
    let substream = bits.read(3, "substreamid")?;
    let length = 2 * (bits.read(11, "frmsiz")? as usize + 1);
    let rate = bits.read(2, "fscod")?;
    let code = bits.read(2, "numblkscod")?;
    let (sample_rate, blocks) = match SAMPLE_RATES.get(rate as usize) {
        Some(&rate) => (rate, BLOCKS[code as usize]),
        // The two bits are `fscod2` then: half a rate, and six blocks (§E.1.3.1.4).
        None => (SAMPLE_RATES.get(code as usize).ok_or(Ac3Error::SampleRate)? / 2, 6),
    };
    let mode = bits.read(3, "acmod")?;
    let low_frequency = bits.flag("lfeon")?;
    Ok(Frame {
        sample_rate,
        channels: CHANNELS[mode as usize] + u16::from(low_frequency),
        samples: blocks * SAMPLES_PER_BLOCK,
        length: Some(length),
        is_first_substream: stream_type != DEPENDENT && substream == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bits::packed;
    use proptest::prelude::*;

    const AC3: AudioCodec = AudioCodec::Ac3;
    const EAC3: AudioCodec = AudioCodec::Eac3;

    #[track_caller]
    fn check(codec: AudioCodec, access_unit: &[u8], expected: (&str, u32, u16)) {
        let (codecs, sample_rate, channels) = expected;
        let codecs = codecs.to_owned();
        let expected =
            AudioConfiguration { codec, codecs, sample_rate, channels, samples_per_access_unit: 1536 };
        assert_eq!(read_configuration(codec, access_unit), Ok(expected));
        assert_eq!(samples(access_unit), Some(1536));
    }

    #[test]
    fn frames_of_ffmpeg() {
        // ffmpeg 9.0.2 -f lavfi -i anullsrc=r=48000:cl=5.1 -t 0.2 -c:a ac3 a.flv: a frame's first bytes; then with
        // r=44100:cl=mono and r=32000:cl=stereo; then the same with -c:a eac3.
        check(AC3, &[0x0B, 0x77, 0x28, 0x19, 0x1E, 0x40, 0xEB, 0xF8, 0x40], ("ac-3", 48_000, 6));
        check(AC3, &[0x0B, 0x77, 0xFD, 0x90, 0x4D, 0x40, 0x2F, 0x84, 0x29], ("ac-3", 44_100, 1));
        check(AC3, &[0x0B, 0x77, 0x0B, 0x5B, 0x94, 0x40, 0x43, 0xE1, 0x06], ("ac-3", 32_000, 2));
        check(EAC3, &[0x0B, 0x77, 0x03, 0x7F, 0x3F, 0x87, 0xC0, 0x00, 0x20], ("ec-3", 48_000, 6));
        check(EAC3, &[0x0B, 0x77, 0x00, 0xD0, 0x72, 0x87, 0xC0, 0x00, 0x00], ("ec-3", 44_100, 1));
        check(EAC3, &[0x0B, 0x77, 0x02, 0x3F, 0xB4, 0x87, 0xC0, 0x00, 0x00], ("ec-3", 32_000, 2));
    }

    #[test]
    fn each_mode_has_its_channels() {
        let modes = [
            (0, "", 2),
            (1, "", 1),
            (2, "11", 2),
            (3, "11", 3),
            (4, "11", 3),
            (5, "1111", 4),
            (6, "11", 4),
            (7, "1111", 5),
        ];
        for (mode, levels, channels) in modes {
            for low_frequency in [0, 1] {
                let head = format!("{SYNC_WORD:016b} {:016b} 00 000000", 0);
                let frame = packed(&format!("{head} 01000 000 {mode:03b}{levels}{low_frequency}"));
                check(AC3, &frame, ("ac-3", 48_000, channels + low_frequency));
                let frame = packed(&format!(
                    "{SYNC_WORD:016b} 00 000 {:011b} 00 11 {mode:03b}{low_frequency} 10000",
                    9
                ));
                check(EAC3, &frame, ("ec-3", 48_000, channels + low_frequency));
            }
        }
    }

    #[test]
    fn rates_beside_the_table() {
        let ac3 = |bit_stream: u32| {
            packed(&format!("{SYNC_WORD:016b} {:016b} 00 000000 {bit_stream:05b} 000 001 0", 0))
        };
        check(AC3, &ac3(9), ("ac-3", 24_000, 1));
        check(AC3, &ac3(10), ("ac-3", 12_000, 1));
        check(EAC3, &ac3(6), ("ec-3", 48_000, 1));
        let halved = packed(&format!("{SYNC_WORD:016b} 00 000 {:011b} 11 01 001 0 10000", 9));
        check(EAC3, &halved, ("ec-3", 22_050, 1));
    }

    /// An E-AC-3 frame of 20 bytes.
    fn frame(stream_type: u32, substream: u32, blocks: u32) -> Vec<u8> {
        let head = format!(
            "{SYNC_WORD:016b} {stream_type:02b} {substream:03b} {:011b} 00 {blocks:02b} 010 0 10000",
            9
        );
        let mut frame = packed(&head);
        frame.resize(20, 0);
        frame
    }

    #[test]
    fn frames_of_the_first_substream_count() {
        let lasting = |frames: &[Vec<u8>]| samples(&frames.concat());
        assert_eq!(lasting(&[frame(0, 0, 0)]), Some(256));
        assert_eq!(lasting(&[frame(0, 0, 1), frame(1, 0, 1)]), Some(512));
        assert_eq!(lasting(&[frame(0, 0, 2), frame(1, 0, 2), frame(0, 0, 2), frame(1, 0, 2)]), Some(1536));
        assert_eq!(lasting(&[frame(0, 0, 2), frame(0, 1, 2)]), Some(768));
        assert_eq!(lasting(&vec![frame(2, 0, 1); 9]), Some(1536));
        assert_eq!(lasting(&[frame(0, 0, 0), vec![1; 9]]), Some(256));
        assert_eq!(lasting(&[frame(1, 0, 3)]), None);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let refused = |unit: &[u8]| read_configuration(AC3, unit).unwrap_err();
        assert_eq!(refused(&[0x77, 0x0B, 0, 0, 0, 0, 0]), Ac3Error::NoSync(0x770B));
        assert_eq!(refused(&[0x0B, 0x77, 0, 0, 0, 0x88, 0]), Ac3Error::BitStream(17));
        assert_eq!(refused(&[0x0B, 0x77, 0, 0, 0xC0, 0x40, 0]), Ac3Error::SampleRate);
        assert_eq!(refused(&[0x0B, 0x77, 0, 0, 0xF0, 0x80, 0]), Ac3Error::SampleRate);
        let whole = [0x0B, 0x77, 0x28, 0x19, 0x1E, 0x40, 0xEB];
        for length in 0..whole.len() {
            assert!(matches!(refused(&whole[..length]), Ac3Error::Truncated(cut) if cut.offset <= length));
            assert_eq!(samples(&whole[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_or_loop(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let unit = [&[0x0B, 0x77][..], &bytes].concat();
            let _ = (read_configuration(AC3, &unit), samples(&bytes));
            prop_assert!(samples(&unit).is_none_or(|samples| samples <= 1536));
        }
    }
}
