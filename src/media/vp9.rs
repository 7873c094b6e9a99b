//! VP9: what a track's configuration says, and where its decoding can begin.
//!
//! Nothing is decoded. The standards are the VP9 Bitstream & Decoding Process Specification ("VP9 §": the frame's header) and the
//! VP Codec ISO Media File Format Binding ("VP-ISOBMFF": the record). The record does not say the size of the pictures: a key
//! frame does.

use super::bits::{Bits, Cut};
use super::track::{VideoCodec, VideoConfiguration};
use super::video::{MAX_SIDE, RandomAccess};

/// What each frame begins with (VP9 §6.2, `frame_marker`).
const FRAME_MARKER: u32 = 2;
/// What a key frame's header goes on with (VP9 §6.2, `frame_sync_code`).
const SYNC_CODE: u32 = 0x49_8342;
/// `color_space` of RGB, whose chroma is never subsampled (VP9 §7.2.2).
const RGB: u32 = 7;
/// Version 1 and the first of no flags, as a `vpcC` box begins before the record.
const FULL_BOX: [u8; 3] = [1, 0, 0];
/// Bytes of a box's version and flags (ISO/IEC 14496-12 §4.2).
const FULL_BOX_BYTES: usize = 4;

/// What is wrong with a configuration record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Vp9Error {
    /// It ends inside a field.
    #[error("the VP9 configuration record {0}")]
    Truncated(#[from] Cut),
    /// There are profiles 0 to 3.
    #[error("unknown VP9 profile {0}")]
    Profile(u8),
    /// Samples have 8, 10 or 12 bits.
    #[error("VP9 samples of {0} bits do not exist")]
    BitDepth(u32),
}

/// Reads a `VPCodecConfigurationRecord` (VP-ISOBMFF, "VP Codec Configuration Box"). Width and height are 0: it has none.
///
/// FFmpeg 9.0.2 puts the box's version and flags before the record, Enhanced RTMP v2 speaks of the record only. Both are taken:
/// a record that begins `01 00 00` would have samples of 0 bits.
///
/// # Errors
/// A record that is cut, or whose profile or bit depth does not exist.
pub fn read_configuration(record: &[u8]) -> Result<VideoConfiguration, Vp9Error> {
    let mut bits = Bits::new(record);
    if record.starts_with(&FULL_BOX) {
        bits.bytes(FULL_BOX_BYTES, "version")?;
    }
    let profile = bits.u8("profile")?;
    if profile > 3 {
        return Err(Vp9Error::Profile(profile));
    }
    let level = bits.u8("level")?;
    let bit_depth = bits.read(4, "bitDepth")?;
    if !matches!(bit_depth, 8 | 10 | 12) {
        return Err(Vp9Error::BitDepth(bit_depth));
    }
    bits.skip(3 + 1 + 8 + 8 + 8, "chromaSubsampling")?;
    bits.skip(16, "codecInitializationDataSize")?;
    Ok(VideoConfiguration {
        codec: VideoCodec::Vp9,
        // VP-ISOBMFF, "Codecs Parameter String": the fields that must be there.
        codecs: format!("vp09.{profile:02}.{level:02}.{bit_depth:02}"),
        width: 0,
        height: 0,
        frame_rate: None,
        nal_length_bytes: 0,
    })
}

/// Whether decoding can begin at this frame or superframe.
///
/// A superframe's index is at its end (VP9 annex B), so its first frame is at its start, and that one decides: it must be a key
/// frame that is shown. A hidden one is none, because the picture that is then shown is no key frame to a decoder.
#[must_use]
pub fn random_access(frame: &[u8]) -> RandomAccess {
    if size(frame).is_some() { RandomAccess::Idr } else { RandomAccess::None }
}

/// The size of a key frame that is shown, in pixels; `None` of any other frame, and of a size that no level allows.
///
/// What a player should scale to (`render_size`) is not read; FFmpeg passes over it too.
#[must_use]
pub fn size(frame: &[u8]) -> Option<(u32, u32)> {
    let size = read_key_frame(frame).ok().flatten();
    size.filter(|&(width, height)| width <= MAX_SIDE && height <= MAX_SIDE)
}

/// `uncompressed_header` (VP9 §6.2) of a key frame, up to its size; `None` of another frame.
fn read_key_frame(frame: &[u8]) -> Result<Option<(u32, u32)>, Cut> {
    let mut bits = Bits::new(frame);
    if bits.read(2, "frame_marker")? != FRAME_MARKER {
        return Ok(None);
    }
    let profile = bits.read(1, "profile_low_bit")? | bits.read(1, "profile_high_bit")? << 1;
    if profile == 3 {
        bits.skip(1, "reserved_zero")?;
    }
    let shows_existing = bits.flag("show_existing_frame")?;
    if shows_existing || bits.flag("frame_type")? {
        return Ok(None);
    }
    let is_shown = bits.flag("show_frame")?;
    bits.skip(1, "error_resilient_mode")?;
    if !is_shown || bits.read(24, "frame_sync_code")? != SYNC_CODE {
        return Ok(None);
    }
    skip_color(&mut bits, profile)?;
    let width = bits.read(16, "frame_width_minus_1")? + 1;
    let height = bits.read(16, "frame_height_minus_1")? + 1;
    Ok(Some((width, height)))
}

/// `color_config` (VP9 §6.2.2).
fn skip_color(bits: &mut Bits<'_>, profile: u32) -> Result<(), Cut> {
    if profile >= 2 {
        bits.skip(1, "ten_or_twelve_bit")?;
    }
    let says_subsampling = profile % 2 == 1;
    if bits.read(3, "color_space")? == RGB {
        bits.skip(usize::from(says_subsampling), "reserved_zero")
    } else {
        bits.skip(if says_subsampling { 1 + 3 } else { 1 }, "color_range")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bits::packed;
    use proptest::prelude::*;

    /// ffmpeg 9.0.2 -f lavfi -i testsrc=s=322x182:r=30000/1001 -t 1 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt
    /// yuv420p a.flv: the VP9 sequence start without its first five bytes.
    const RECORD: [u8; 12] = [1, 0, 0, 0, 0x00, 0x0B, 0x82, 0x02, 0x02, 0x02, 0x00, 0x00];

    #[track_caller]
    fn check_record(record: &[u8], codecs: &str) {
        let (codec, codecs) = (VideoCodec::Vp9, codecs.to_owned());
        let expected =
            VideoConfiguration { codec, codecs, width: 0, height: 0, frame_rate: None, nal_length_bytes: 0 };
        assert_eq!(read_configuration(record), Ok(expected));
    }

    #[test]
    fn records_with_and_without_the_boxs_version() {
        check_record(&RECORD, "vp09.00.11.08");
        check_record(&RECORD[4..], "vp09.00.11.08");
        check_record(&[2, 31, 0xA2, 9, 16, 9, 0, 0], "vp09.02.31.10");
        check_record(&[1, 0, 0, 0, 1, 41, 0xC4, 2, 2, 2, 0, 0], "vp09.01.41.12");
    }

    #[test]
    fn what_is_wrong_with_a_record_is_said() {
        assert_eq!(read_configuration(&[4, 0, 0x82, 0, 0, 0, 0, 0]), Err(Vp9Error::Profile(4)));
        assert_eq!(read_configuration(&[0, 0, 0x92, 0, 0, 0, 0, 0]), Err(Vp9Error::BitDepth(9)));
        for length in 0..RECORD.len() {
            let cut = read_configuration(&RECORD[..length]);
            assert!(matches!(cut, Err(Vp9Error::Truncated(cut)) if cut.offset <= length), "{length}");
        }
        let message = read_configuration(&[0]).unwrap_err().to_string();
        assert_eq!(message, "the VP9 configuration record ends inside level, which begins at byte 1");
    }

    /// A frame is a random access point exactly if it tells its size.
    #[track_caller]
    fn check_frame(frame: &[u8], expected: Option<(u32, u32)>) {
        assert_eq!(size(frame), expected);
        assert_eq!(random_access(frame) == RandomAccess::Idr, expected.is_some());
    }

    #[test]
    fn frames_of_libvpx() {
        // The same command: the start of the first two pictures.
        check_frame(&[0x82, 0x49, 0x83, 0x42, 0x00, 0x14, 0x10, 0x0B, 0x56, 0x06], Some((322, 182)));
        check_frame(&[0x86, 0x00, 0x40, 0x92, 0xF1, 0x21, 0x40, 0x00, 0x00, 0x4C], None);
    }

    /// Marker, profile, existing, type, shown, resilient; then the sync code; then color; then 640x360.
    fn frame(head: &str, color: &str) -> Vec<u8> {
        packed(&format!("{head}{SYNC_CODE:024b}{color}{:016b}{:016b}", 639, 359))
    }

    #[test]
    fn each_profile_says_its_color_in_its_own_way() {
        let found = Some((640, 360));
        check_frame(&frame("10 00 0 0 1 0", "001 0"), found);
        check_frame(&frame("10 10 0 0 1 0", "001 0 000"), found);
        check_frame(&frame("10 10 0 0 1 0", "111 0"), found);
        check_frame(&frame("10 01 0 0 1 1", "1 010 1"), found);
        check_frame(&frame("10 11 0 0 0 1 0", "0 010 0 110"), found);
        check_frame(&frame("10 11 0 0 0 1 0", "0 111 0"), found);
    }

    #[test]
    fn only_key_frames_that_are_shown_count() {
        check_frame(&frame("10 00 0 1 1 0", "001 0"), None);
        check_frame(&frame("10 00 0 0 0 0", "001 0"), None);
        check_frame(&frame("10 00 1 0 1 0", "001 0"), None);
        check_frame(&frame("01 00 0 0 1 0", "001 0"), None);
        check_frame(&[0x82, 0x49, 0x83, 0x43, 0x00, 0x14, 0x10, 0x0B, 0x56, 0x06], None);
        check_frame(&packed(&format!("10 00 0 0 1 0{SYNC_CODE:024b}001 0{}", "1".repeat(32))), None);
        let whole = frame("10 00 0 0 1 0", "001 0");
        for length in 0..whole.len() {
            check_frame(&whole[..length], None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read_configuration(&bytes);
            let _ = random_access(&bytes);
            let _ = size(&[&[0x82, 0x49, 0x83, 0x42][..], &bytes].concat());
        }
    }
}
