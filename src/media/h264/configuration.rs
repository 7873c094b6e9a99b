//! `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1) and the sequence parameter set in it.

use crate::media::bits::{Bits, Cut};
use crate::media::nal::Unreadable;
use crate::media::track::{VideoCodec, VideoConfiguration};

use super::nal_type;
use super::nal_type::SPS;
use super::parameter_set;

/// What is wrong with a configuration record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum H264Error {
    /// It ends inside a field.
    #[error("the AVC configuration record {0}")]
    Truncated(#[from] Cut),
    /// `configurationVersion`, at byte 0, is not 1: a reader must not go on.
    #[error("unknown version {0} of the AVC configuration record")]
    Version(u8),
    /// Lengths of 3 bytes, which the standard forbids (at byte 4).
    #[error("NAL unit lengths of {0} bytes are not allowed")]
    NalLength(u8),
    /// It has no sequence parameter set.
    #[error("the AVC configuration record has no sequence parameter set")]
    NoParameterSet,
    /// What stands for the first sequence parameter set is a NAL unit of another type, or shorter than 4 bytes.
    #[error("the NAL unit at byte {offset} is no sequence parameter set")]
    NotParameterSet {
        /// Byte at which it begins.
        offset: usize,
    },
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

/// Reads an `AVCDecoderConfigurationRecord`.
///
/// Size, frame rate and codecs string are those of its *first* sequence parameter set, because it is what a decoder goes
/// by; the record's own copy of profile and level is not read. Picture parameter sets must be whole, and are not read either.
///
/// # Errors
/// A record that is cut, of another version, or without a readable sequence parameter set, with the byte where it shows.
pub fn read_configuration(record: &[u8]) -> Result<VideoConfiguration, H264Error> {
    let mut fields = Bits::new(record);
    let version = fields.u8("configurationVersion")?;
    if version != 1 {
        return Err(H264Error::Version(version));
    }
    fields.bytes(3, "AVCProfileIndication")?;
    let nal_length_bytes = (fields.u8("lengthSizeMinusOne")? & 0b11) + 1;
    if nal_length_bytes == 3 {
        return Err(H264Error::NalLength(nal_length_bytes));
    }
    let sequence_sets = fields.u8("numOfSequenceParameterSets")? & 0x1F;
    let first = parameter_sets(&mut fields, sequence_sets, "sequenceParameterSetNALUnit")?;
    let picture_sets = fields.u8("numOfPictureParameterSets")?;
    parameter_sets(&mut fields, picture_sets, "pictureParameterSetNALUnit")?;

    let (offset, sps) = first.ok_or(H264Error::NoParameterSet)?;
    describe(sps, offset, nal_length_bytes)
}

/// Passes over `count` parameter sets, each behind a length of two bytes. Returns the first with its offset.
fn parameter_sets<'a>(
    fields: &mut Bits<'a>,
    count: u8,
    field: &'static str,
) -> Result<Option<(usize, &'a [u8])>, H264Error> {
    let mut first = None;
    for _ in 0..count {
        let length = fields.u16(field)?;
        let offset = fields.offset();
        let nal = fields.bytes(usize::from(length), field)?;
        first = first.or(Some((offset, nal)));
    }
    Ok(first)
}

fn describe(nal: &[u8], offset: usize, nal_length_bytes: u8) -> Result<VideoConfiguration, H264Error> {
    let &[_, profile, constraints, level, ..] = nal else {
        return Err(H264Error::NotParameterSet { offset });
    };
    if nal_type(nal) != Some(SPS) {
        return Err(H264Error::NotParameterSet { offset });
    }
    let sps = parameter_set::read(nal).map_err(|cause| H264Error::ParameterSet { offset, cause })?;
    let (width, height) = (sps.width, sps.height);
    if width == 0 || height == 0 {
        return Err(H264Error::NoPicture { offset, width, height });
    }
    Ok(VideoConfiguration {
        codec: VideoCodec::H264,
        // RFC 6381 §3.3: the three bytes after the SPS's NAL header, in hexadecimal.
        codecs: format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        width,
        height,
        frame_rate: sps.frame_rate,
        nal_length_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// ffmpeg 5.1 -f lavfi -i testsrc=s=1920x1080:r=30000/1001 -t 0.3 -c:v libx264 -preset veryfast -pix_fmt yuv420p a.flv:
    /// the AVC sequence header without its first five bytes. All records below are made so, with what is said.
    const HIGH_1080P: &[u8] =
        b"\x01\x64\x00\x28\xff\xe1\x00\x19\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\
        \x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58\x01\x00\x04\x68\xef\x8f\xcb\xfd\xf8\xf8\x00";

    #[track_caller]
    fn check(record: &[u8], codecs: &str, size: (u32, u32), frame_rate: Option<f64>) {
        let expected = VideoConfiguration {
            codec: VideoCodec::H264,
            codecs: codecs.into(),
            width: size.0,
            height: size.1,
            frame_rate,
            nal_length_bytes: 4,
        };
        assert_eq!(read_configuration(record), Ok(expected));
    }

    #[test]
    fn a_cropped_picture_at_a_fractional_rate() {
        check(HIGH_1080P, "avc1.640028", (1920, 1080), Some(30_000.0 / 1001.0));
    }

    #[test]
    fn constrained_baseline() {
        // -s 640x360 -r 25 -preset ultrafast -profile:v baseline
        let record = b"\x01\x42\xc0\x1e\xff\xe1\x00\x19\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5\xc0\x44\x00\x00\x03\x00\x04\x00\
            \x00\x03\x00\xc8\x3c\x58\xba\x80\x01\x00\x04\x68\xce\x0f\xc8";
        check(record, "avc1.42c01e", (640, 360), Some(25.0));
    }

    #[test]
    fn interlaced_pictures_count_both_fields() {
        // -s 1920x1080 -r 25 -preset ultrafast -flags +ildct+ilme -x264-params tff=1
        let record = b"\x01\x4d\x40\x28\xff\xe1\x00\x19\x67\x4d\x40\x28\xf4\x03\xc0\x22\x7e\xf0\x11\x00\x00\x03\x00\x01\x00\
            \x00\x03\x00\x32\x1f\x16\x2e\xa0\x01\x00\x04\x68\xde\x0f\xc8";
        check(record, "avc1.4d4028", (1920, 1080), Some(25.0));
    }

    #[test]
    fn ten_bits_and_other_chroma() {
        // -s 1280x720 -r 50 -preset ultrafast -pix_fmt yuv422p10le
        let record = b"\x01\x7a\x00\x20\xff\xe1\x00\x19\x67\x7a\x00\x20\xb6\xcb\x40\x28\x02\xdd\x80\x88\x00\x00\x03\x00\x08\
            \x00\x00\x03\x03\x20\x78\xc1\x95\x01\x00\x04\x68\xce\x0f\xc8\xfe\xfa\xfa\x00";
        check(record, "avc1.7a0020", (1280, 720), Some(50.0));
    }

    #[test]
    fn a_level_too_low_for_its_pictures_is_tolerated_and_told() {
        // -s 1920x1080 -r 25 -preset ultrafast -level 3.0
        let record = b"\x01\x42\xc0\x1e\xff\xe1\x00\x19\x67\x42\xc0\x1e\xda\x01\xe0\x08\x9f\x97\x01\x10\x00\x00\x03\x00\x10\
            \x00\x00\x03\x03\x20\xf1\x62\xea\x01\x00\x04\x68\xce\x0f\xc8";
        check(record, "avc1.42c01e", (1920, 1080), Some(25.0));
    }

    #[test]
    fn padding_behind_a_parameter_set_is_tolerated() {
        let mut record = HIGH_1080P.to_vec();
        record[7] += 4;
        record.splice(33..33, [0; 4]);
        check(&record, "avc1.640028", (1920, 1080), Some(30_000.0 / 1001.0));
    }

    #[test]
    fn vui_that_is_cut_behind_its_timing_is_tolerated() {
        let mut record = HIGH_1080P.to_vec();
        record[7] -= 3;
        record.drain(30..33);
        check(&record, "avc1.640028", (1920, 1080), Some(30_000.0 / 1001.0));
    }

    /// `HIGH_1080P` with `byte` at `at`.
    fn changed(at: usize, byte: u8) -> Vec<u8> {
        let mut record = HIGH_1080P.to_vec();
        record[at] = byte;
        record
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let refused = |record: &[u8]| read_configuration(record).unwrap_err();
        assert_eq!(refused(&changed(0, 0)), H264Error::Version(0));
        assert_eq!(refused(&changed(4, 0xFE)), H264Error::NalLength(3));
        assert_eq!(refused(&changed(8, 0x68)), H264Error::NotParameterSet { offset: 8 });
        assert_eq!(refused(&[1, 100, 0, 40, 255, 0xE0, 0]), H264Error::NoParameterSet);
        assert_eq!(refused(&[1, 100, 0, 40, 255, 0xE1, 0, 0, 0]), H264Error::NotParameterSet { offset: 8 });
        assert!(matches!(refused(&changed(12, 0)), H264Error::ParameterSet { offset: 8, .. }));
        let cut = refused(&HIGH_1080P[..20]);
        assert_eq!(cut, H264Error::Truncated(Cut { offset: 8, field: "sequenceParameterSetNALUnit" }));
        let message =
            "the AVC configuration record ends inside sequenceParameterSetNALUnit, which begins at byte 8";
        assert_eq!(cut.to_string(), message);
    }

    #[test]
    fn lengths_of_one_and_two_bytes_are_taken() {
        for bytes in [1, 2] {
            let read = read_configuration(&changed(4, 0xFC | (bytes - 1))).unwrap();
            assert_eq!(read.nal_length_bytes, bytes);
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        let picture_sets_end = HIGH_1080P.len() - 4;
        for length in 0..picture_sets_end {
            let cut = read_configuration(&HIGH_1080P[..length]);
            assert!(matches!(cut, Err(H264Error::Truncated(cut)) if cut.offset <= length), "{length}");
        }
        assert!(read_configuration(&HIGH_1080P[..picture_sets_end]).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(record in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_configuration(&record);
        }

        #[test]
        fn arbitrary_parameter_sets_never_panic(sps in prop::collection::vec(any::<u8>(), 0..100)) {
            let length = u8::try_from(sps.len() + 1).unwrap();
            let record = [&[1, 100, 0, 40, 255, 0xE1, 0, length, 0x67][..], &sps, &[0]].concat();
            let _ = read_configuration(&record);
        }

        #[test]
        fn damaged_records_never_panic(damage in prop::collection::vec((0..HIGH_1080P.len(), any::<u8>()), 1..8)) {
            let mut record = HIGH_1080P.to_vec();
            for (at, byte) in damage {
                record[at] = byte;
            }
            if let Ok(read) = read_configuration(&record) {
                prop_assert!(read.width > 0 && read.height > 0);
                prop_assert!(read.frame_rate.is_none_or(f64::is_finite));
            }
        }
    }
}
