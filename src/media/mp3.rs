//! MP3's configuration: the header of a layer III frame (ISO/IEC 11172-3 §2.4.1.3, ISO/IEC 13818-3 §2.4.1).
//!
//! FLV carries no configuration for MP3, so it is read from an access unit. MPEG 2.5, an extension by Fraunhofer for rates below
//! 16 kHz, is in no standard but in every decoder.

use crate::media::track::{AudioCodec, AudioConfiguration};

/// Rates of MPEG 1 by `sampling_frequency`; MPEG 2 has half of them, MPEG 2.5 a quarter.
const SAMPLE_RATES: [u32; 3] = [44_100, 48_000, 32_000];

/// What is wrong with an MP3 access unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mp3Error {
    /// It is shorter than a frame's header of 4 bytes.
    #[error("an MP3 access unit of {0} bytes has no room for its header of 4")]
    Truncated(usize),
    /// Its first 11 bits are not all set.
    #[error("no MPEG audio sync word at byte 0, but {0:08x}")]
    NoSync(u32),
    /// The frame is of layer I or II.
    #[error("MPEG audio layer {0} is not supported, send layer III")]
    Layer(u32),
    /// A reserved version or rate, or the bitrate index 15: the bytes are no header.
    #[error("reserved value in the MPEG audio header {0:08x}")]
    Reserved(u32),
}

/// Describes a track by the header at the start of one of its access units.
///
/// The samples are those of one frame: 1152 for MPEG 1, 576 for the lower rates. The codecs string names object type 34,
/// layer III (ISO/IEC 14496-3 §1.5.1.1).
///
/// # Errors
/// [`Mp3Error`] if the access unit does not begin with the header of a layer III frame.
pub fn read_configuration(access_unit: &[u8]) -> Result<AudioConfiguration, Mp3Error> {
    let header = access_unit.first_chunk().ok_or(Mp3Error::Truncated(access_unit.len()))?;
    let header = u32::from_be_bytes(*header);
    if header >> 21 != 0x7FF {
        return Err(Mp3Error::NoSync(header));
    }
    let (divisor, samples_per_access_unit) = match header >> 19 & 0b11 {
        0b00 => (4, 576),
        0b10 => (2, 576),
        0b11 => (1, 1152),
        _ => return Err(Mp3Error::Reserved(header)),
    };
    match header >> 17 & 0b11 {
        0b01 => {}
        0b00 => return Err(Mp3Error::Reserved(header)),
        layer => return Err(Mp3Error::Layer(4 - layer)),
    }
    let bitrate_index = header >> 12 & 0b1111;
    let rate = SAMPLE_RATES.get((header >> 10 & 0b11) as usize);
    let Some(rate) = rate.filter(|_| bitrate_index != 0b1111) else {
        return Err(Mp3Error::Reserved(header));
    };
    Ok(AudioConfiguration {
        codec: AudioCodec::Mp3,
        codecs: "mp4a.40.34".into(),
        sample_rate: rate / divisor,
        channels: if header >> 6 & 0b11 == 0b11 { 1 } else { 2 },
        samples_per_access_unit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expects rate, channels and samples in an access unit.
    #[track_caller]
    fn check(access_unit: &[u8], expected: (u32, u16, u32)) {
        let (sample_rate, channels, samples_per_access_unit) = expected;
        let codecs = "mp4a.40.34".into();
        let codec = AudioCodec::Mp3;
        let expected = AudioConfiguration { codec, codecs, sample_rate, channels, samples_per_access_unit };
        assert_eq!(read_configuration(access_unit), Ok(expected));
    }

    #[test]
    fn frames_as_lame_makes_them() {
        // ffmpeg 5.1 -f lavfi -i sine=r=44100 -t 0.2 -c:a libmp3lame -b:a 128k m.flv, then with r=22050 and -b:a 64k
        check(&[0xFF, 0xFB, 0x90, 0xC4, 0x00], (44_100, 1, 1152));
        check(&[0xFF, 0xF3, 0x80, 0xC4, 0x00], (22_050, 1, 576));
        check(&[0xFF, 0xFB, 0x94, 0x44], (48_000, 2, 1152));
        check(&[0xFF, 0xE3, 0x18, 0xC4], (8_000, 1, 576));
    }

    #[test]
    fn what_is_no_layer_iii_header_is_refused() {
        assert_eq!(read_configuration(&[0xFF, 0xFB, 0x90]), Err(Mp3Error::Truncated(3)));
        assert_eq!(read_configuration(b"ID3\x04"), Err(Mp3Error::NoSync(0x4944_3304)));
        assert_eq!(read_configuration(&[0xFF, 0xFD, 0x90, 0xC4]), Err(Mp3Error::Layer(2)));
        assert_eq!(read_configuration(&[0xFF, 0xFF, 0x90, 0xC4]), Err(Mp3Error::Layer(1)));
        for bytes in [0xFFEB_90C4_u32, 0xFFF9_90C4, 0xFFFB_9CC4, 0xFFFB_F0C4] {
            assert_eq!(read_configuration(&bytes.to_be_bytes()), Err(Mp3Error::Reserved(bytes)));
        }
    }

    #[test]
    fn every_header_with_a_sync_word_reads_or_is_refused() {
        for low in 0..1u32 << 21 {
            if let Ok(read) = read_configuration(&(0x7FF << 21 | low).to_be_bytes()) {
                assert!((8_000..=48_000).contains(&read.sample_rate));
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(access_unit in prop::collection::vec(any::<u8>(), 0..8)) {
            let _ = read_configuration(&access_unit);
        }
    }
}
