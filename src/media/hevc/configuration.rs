//! `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8.3.3.1) and the sequence parameter set in it.

use crate::media::bits::{Bits, Cut};
use crate::media::nal::Unreadable;
use crate::media::track::{VideoCodec, VideoConfiguration};
use crate::media::video::plausible_rate;

use super::nal_type::SPS;
use super::{nal_type, parameter_set};

/// `avgFrameRate` counts frames in this many seconds (§8.3.3.1.3).
const AVERAGE_SECONDS: f64 = 256.0;

/// What is wrong with a configuration record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HevcError {
    /// It ends inside a field.
    #[error("the HEVC configuration record {0}")]
    Truncated(#[from] Cut),
    /// `configurationVersion`, at byte 0, is not 1: a reader must not go on.
    #[error("unknown version {0} of the HEVC configuration record")]
    Version(u8),
    /// Lengths of 3 bytes, which the standard forbids (at byte 21).
    #[error("NAL unit lengths of {0} bytes are not allowed")]
    NalLength(u8),
    /// It has no sequence parameter set of the base layer.
    #[error("the HEVC configuration record has no sequence parameter set")]
    NoParameterSet,
    /// The first sequence parameter set cannot be read.
    #[error("the sequence parameter set at byte {offset} cannot be read: {cause}")]
    ParameterSet {
        /// Byte at which it begins.
        offset: usize,
        /// What is wrong inside it.
        cause: Unreadable,
    },
    /// Cropping leaves no picture.
    #[error("the sequence parameter set at byte {offset} leaves a picture of {width}x{height}")]
    NoPicture {
        /// Byte at which it begins.
        offset: usize,
        /// Width after cropping.
        width: u32,
        /// Height after cropping.
        height: u32,
    },
}

/// Reads an `HEVCDecoderConfigurationRecord`.
///
/// Size and codecs string are those of its *first* sequence parameter set, because it is what a decoder goes by; the record's
/// own copy of profile and level is not read. The frame rate is the record's average, if it has one: encoders leave it 0.
///
/// # Errors
/// A record that is cut, of another version, or without a readable sequence parameter set, with the byte where it shows.
pub fn read_configuration(record: &[u8]) -> Result<VideoConfiguration, HevcError> {
    let mut fields = Bits::new(record);
    let version = fields.u8("configurationVersion")?;
    if version != 1 {
        return Err(HevcError::Version(version));
    }
    fields.bytes(18, "general_profile_space")?;
    let average = f64::from(fields.u16("avgFrameRate")?);
    let nal_length_bytes = (fields.u8("lengthSizeMinusOne")? & 0b11) + 1;
    if nal_length_bytes == 3 {
        return Err(HevcError::NalLength(nal_length_bytes));
    }
    let (offset, nal) = first_parameter_set(&mut fields)?.ok_or(HevcError::NoParameterSet)?;
    let set = parameter_set::read(nal).map_err(|cause| HevcError::ParameterSet { offset, cause })?;
    let (width, height) = (set.width, set.height);
    if width == 0 || height == 0 {
        return Err(HevcError::NoPicture { offset, width, height });
    }
    Ok(VideoConfiguration {
        codec: VideoCodec::Hevc,
        codecs: set.profile.codecs(),
        width,
        height,
        frame_rate: plausible_rate(average / AVERAGE_SECONDS),
        nal_length_bytes,
    })
}

/// The first sequence parameter set of the base layer, with its offset. All arrays of NAL units must be whole; the type that
/// an array gives for its units is not believed, as their own headers say it.
fn first_parameter_set<'a>(fields: &mut Bits<'a>) -> Result<Option<(usize, &'a [u8])>, HevcError> {
    let mut first = None;
    for _ in 0..fields.u8("numOfArrays")? {
        fields.u8("NAL_unit_type")?;
        for _ in 0..fields.u16("numNalus")? {
            let length = fields.u16("nalUnitLength")?;
            let offset = fields.offset();
            let nal = fields.bytes(usize::from(length), "nalUnit")?;
            if nal_type(nal) == Some(SPS) {
                first = first.or(Some((offset, nal)));
            }
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// ffmpeg 9.0.2 -f lavfi -i testsrc=s=322x182:r=25 -t 0.1 -c:v libx265 -preset ultrafast -x265-params info=0
    /// -pix_fmt yuv420p a.flv: the HEVC sequence start without its first five bytes. The others are made so, with what is said.
    const MAIN_322X182: &[u8] =
        b"\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x3c\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x03\x20\x00\
        \x01\x00\x18\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3c\x95\x94\
        \x09\x21\x00\x01\x00\x2c\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3c\xa0\x0a\
        \x88\x0c\x1c\x44\xd9\x65\x65\x4a\x4c\x2f\x01\x68\x08\x00\x00\x03\x00\x08\x00\x00\x03\x00\xc8\x40\x22\x00\
        \x01\x00\x06\x44\x01\xc0\x73\xc1\x89";
    /// Where its sequence parameter set begins.
    const SPS_OFFSET: usize = 57;

    #[track_caller]
    fn check(record: &[u8], codecs: &str, size: (u32, u32), frame_rate: Option<f64>) {
        let (codec, codecs, nal_length_bytes) = (VideoCodec::Hevc, codecs.to_owned(), 4);
        let (width, height) = size;
        let expected = VideoConfiguration { codec, codecs, width, height, frame_rate, nal_length_bytes };
        assert_eq!(read_configuration(record), Ok(expected));
    }

    #[test]
    fn a_cropped_picture() {
        check(MAIN_322X182, "hvc1.1.6.L60.90", (322, 182), None);
    }

    #[test]
    fn ten_bits() {
        // testsrc=s=1920x1080:r=50 … -pix_fmt yuv420p10le
        let record = b"\x01\x02\x20\x00\x00\x00\x90\x00\x00\x00\x00\x00\x7b\xf0\x00\xfc\xfd\xfa\xfa\x00\x00\x0f\x03\
            \x20\x00\x01\x00\x18\x40\x01\x0c\x01\xff\xff\x02\x20\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x7b\
            \x95\x94\x09\x21\x00\x01\x00\x2d\x42\x01\x01\x02\x20\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x7b\
            \xa0\x03\xc0\x80\x11\x07\xca\xd9\x65\x65\x4a\x4c\x2f\x01\x68\x08\x00\x00\x03\x00\x08\x00\x00\x03\x01\x90\
            \x40\x22\x00\x01\x00\x06\x44\x01\xc0\x73\xc1\x89";
        check(record, "hvc1.2.4.L123.90", (1920, 1080), None);
    }

    #[test]
    fn range_extensions_at_the_high_tier() {
        // … -x265-params info=0:high-tier=1:level-idc=5.1 -pix_fmt yuv422p
        let record = b"\x01\x24\x08\x00\x00\x00\x9d\x08\x00\x00\x00\x00\x99\xf0\x00\xfc\xfe\xf8\xf8\x00\x00\x0f\x03\
            \x20\x00\x01\x00\x17\x40\x01\x0c\x01\xff\xff\x24\x08\x00\x00\x03\x00\x9d\x08\x00\x00\x03\x00\x00\x99\x95\
            \x94\x09\x21\x00\x01\x00\x2b\x42\x01\x01\x24\x08\x00\x00\x03\x00\x9d\x08\x00\x00\x03\x00\x00\x99\xb0\x0a\
            \x88\x0c\x1c\x44\x5e\x59\x59\x52\x93\x0b\xc0\x5a\x02\x00\x00\x03\x00\x02\x00\x00\x03\x00\x32\x10\x22\x00\
            \x01\x00\x06\x44\x01\xc0\x73\xc1\x89";
        check(record, "hvc1.4.10.H153.9D.8", (322, 182), None);
    }

    /// `MAIN_322X182` with `byte` at `at`.
    fn changed(at: usize, byte: u8) -> Vec<u8> {
        let mut record = MAIN_322X182.to_vec();
        record[at] = byte;
        record
    }

    #[test]
    fn the_records_average_is_a_frame_rate() {
        check(&changed(19, 25), "hvc1.1.6.L60.90", (322, 182), Some(25.0));
    }

    #[test]
    fn lengths_of_one_and_two_bytes_are_taken() {
        for bytes in [1, 2] {
            let read = read_configuration(&changed(21, 0x0C | (bytes - 1))).unwrap();
            assert_eq!(read.nal_length_bytes, bytes);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let refused = |record: &[u8]| read_configuration(record).unwrap_err();
        assert_eq!(refused(&changed(0, 0)), HevcError::Version(0));
        assert_eq!(refused(&changed(21, 0x0E)), HevcError::NalLength(3));
        assert_eq!(refused(&changed(SPS_OFFSET, 0x44)), HevcError::NoParameterSet);
        assert_eq!(refused(&changed(22, 0)), HevcError::NoParameterSet);
        assert_eq!(
            refused(&[]).to_string(),
            "the HEVC configuration record ends inside configurationVersion, which begins at byte 0"
        );
        // A set of three bytes: the length before it says so, and what follows is another unit.
        let short = [&MAIN_322X182[..55], &[0, 3, 0x42, 1, 1]].concat();
        let mut short = short;
        short[22] = 2;
        let message = refused(&short).to_string();
        assert_eq!(
            message,
            "the sequence parameter set at byte 57 cannot be read: it ends inside general_profile_space, which begins at byte 3"
        );
    }

    #[test]
    fn every_cut_is_an_error() {
        for length in 0..MAIN_322X182.len() {
            let cut = read_configuration(&MAIN_322X182[..length]);
            assert!(matches!(cut, Err(HevcError::Truncated(cut)) if cut.offset <= length), "{length}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(record in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_configuration(&record);
        }

        #[test]
        fn damaged_records_never_panic(damage in prop::collection::vec((0..MAIN_322X182.len(), any::<u8>()), 1..8)) {
            let mut record = MAIN_322X182.to_vec();
            for (at, byte) in damage {
                record[at] = byte;
            }
            if let Ok(read) = read_configuration(&record) {
                prop_assert!(read.width > 0 && read.height > 0);
            }
        }
    }
}
