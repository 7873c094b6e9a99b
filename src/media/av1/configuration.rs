//! `AV1CodecConfigurationRecord` (AV1-ISOBMFF §2.3.3) and the sequence header in it.

use crate::media::bits::{Bits, Cut};
use crate::media::track::{VideoCodec, VideoConfiguration};
use crate::media::video::MAX_SIDE;

use super::obu::{Obus, obu_type};
use super::sequence;

/// What is wrong with a configuration record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Av1Error {
    /// It ends inside a field.
    #[error("the AV1 configuration record {0}")]
    Truncated(#[from] Cut),
    /// Byte 0, a marker bit and `version`, is not 0x81: a reader must not go on.
    #[error("the AV1 configuration record begins with {0:#04x} instead of 0x81, version 1")]
    Version(u8),
    /// The sequence header in it cannot be read. Offsets count from the header's payload on.
    #[error("the sequence header in the AV1 configuration record {0}")]
    SequenceHeader(#[source] Cut),
    /// A picture larger than any level allows.
    #[error("pictures of {width}x{height} are larger than any level of AV1 allows")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
}

/// Reads an `AV1CodecConfigurationRecord`.
///
/// The codecs string is the record's, in its short form (AV1-ISOBMFF §5). Size and frame rate are those of the sequence header;
/// where none is in the record (`configOBUs` may be empty), width and height are 0 until one comes with a random access point.
///
/// # Errors
/// A record that is cut, of another version, or with a sequence header that cannot be read.
pub fn read_configuration(record: &[u8]) -> Result<VideoConfiguration, Av1Error> {
    let mut bits = Bits::new(record);
    let version = bits.u8("version")?;
    if version != 0x81 {
        return Err(Av1Error::Version(version));
    }
    let profile = bits.read(3, "seq_profile")?;
    let level = bits.read(5, "seq_level_idx_0")?;
    let tier = if bits.flag("seq_tier_0")? { 'H' } else { 'M' };
    let is_deep = bits.flag("high_bitdepth")?;
    let bit_depth = match (is_deep, bits.flag("twelve_bit")?) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    bits.skip(5, "monochrome")?;
    bits.bytes(1, "initial_presentation_delay_present")?;
    let header = Obus::new(bits.rest()).find(|obu| obu.obu_type == obu_type::SEQUENCE_HEADER);
    let sequence =
        header.map(|obu| sequence::read(obu.payload)).transpose().map_err(Av1Error::SequenceHeader)?;
    let (width, height) = sequence.map_or((0, 0), |sequence| (sequence.width, sequence.height));
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(Av1Error::TooLarge { width, height });
    }
    Ok(VideoConfiguration {
        codec: VideoCodec::Av1,
        codecs: format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}"),
        width,
        height,
        frame_rate: sequence.and_then(|sequence| sequence.frame_rate),
        nal_length_bytes: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// ffmpeg 9.0.2 -f lavfi -i testsrc=s=322x182:r=30000/1001 -t 1 -c:v libsvtav1 -preset 12 -pix_fmt yuv420p a.flv: the
    /// AV1 sequence start without its first five bytes.
    const SVT: &[u8] = b"\x81\x00\x0c\x00\x0a\x0b\x02\x00\x00\x05\x21\xe8\x36\xa0\x17\xc0\x02";

    #[track_caller]
    fn check(record: &[u8], codecs: &str, size: (u32, u32)) {
        let (width, height) = size;
        let (codec, codecs) = (VideoCodec::Av1, codecs.to_owned());
        let expected =
            VideoConfiguration { codec, codecs, width, height, frame_rate: None, nal_length_bytes: 0 };
        assert_eq!(read_configuration(record), Ok(expected));
    }

    #[test]
    fn records_as_encoders_write_them() {
        check(SVT, "av01.0.00M.08", (322, 182));
        // … -t 0.3 -c:v libaom-av1 -cpu-used 8 -pix_fmt yuv420p
        let libaom = b"\x81\x00\x0c\x00\x0a\x0b\x00\x00\x00\x04\x3d\x06\xd4\xda\xf9\x00\x40";
        check(libaom, "av01.0.00M.08", (322, 182));
    }

    #[test]
    fn profile_level_tier_and_depth_are_told() {
        check(&[0x81, 0x04, 0x0C, 0x00], "av01.0.04M.08", (0, 0));
        check(&[0x81, 0x2D, 0xC0, 0x00], "av01.1.13H.10", (0, 0));
        check(&[0x81, 0x5F, 0x60, 0x00], "av01.2.31M.12", (0, 0));
    }

    #[test]
    fn the_size_may_be_unknown() {
        check(&SVT[..4], "av01.0.00M.08", (0, 0));
        // Metadata only.
        check(&[0x81, 0, 0x0C, 0, 0x2A, 1, 9], "av01.0.00M.08", (0, 0));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let refused = |record: &[u8]| read_configuration(record).unwrap_err();
        assert_eq!(refused(&[0x01, 0, 0, 0]), Av1Error::Version(1));
        assert_eq!(
            refused(&[]).to_string(),
            "the AV1 configuration record ends inside version, which begins at byte 0"
        );
        let cut = refused(&SVT[..10]);
        assert_eq!(cut, Av1Error::SequenceHeader(Cut { offset: 3, field: "initial_display_delay_minus_1" }));
        // A reduced header of 65,536 x 1.
        let large = [
            &[0x81, 0, 0x0C, 0, 0x0A, 7][..],
            &crate::media::bits::packed(&format!("000 1 1 00000 1111 0000 {} 0", "1".repeat(16))),
        ]
        .concat();
        assert_eq!(refused(&large), Av1Error::TooLarge { width: 65_536, height: 1 });
    }

    #[test]
    fn every_cut_before_the_obus_is_an_error() {
        for length in 0..4 {
            let cut = read_configuration(&SVT[..length]);
            assert!(matches!(cut, Err(Av1Error::Truncated(cut)) if cut.offset <= length), "{length}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(record in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_configuration(&record);
            let _ = read_configuration(&[&[0x81, 0, 0x0C, 0, 0x0A][..], &record].concat());
        }
    }
}
