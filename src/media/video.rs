//! Video of any codec: what a configuration record says, and where decoding can begin. Here is only the choice of the
//! codec's own room.
//!
//! A record need not say the size of the pictures: VP9's never does, and AV1's does only if a sequence header is in it. Then
//! width and height are 0 until a random access point tells them ([`refined`]).

use bytes::{Bytes, BytesMut};

use super::av1::{self, Av1Error};
use super::h264::{self, H264Error};
use super::hevc::{self, HevcError};
use super::track::{VideoCodec, VideoConfiguration};
use super::vp9::{self, Vp9Error};

/// The longest side of a picture in pixels: that of H.264 and HEVC at level 6.2 (ISO/IEC 14496-10 §A.3.1 f, ISO/IEC 23008-2
/// §A.4.1), sqrt(8 x 35,651,584). AV1 and VP9 allow 16,384 at their highest level.
pub const MAX_SIDE: u32 = 16_888;
/// A clock that ticks faster than this is not a frame rate: senders of variable frame rate write their time base instead, which
/// makes 1000 or 90000.
const MAX_FRAME_RATE: f64 = 480.0;
/// The longest intra refresh that is waited for, in frames: 10 s at 25 a second, and 8.5 s at 30. x264 and hardware encoders
/// refresh within 1 to 5 s; H.264 would allow 65,535 frames.
pub const MAX_RECOVERY_FRAMES: u32 = 256;

/// Whether decoding can begin at an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RandomAccess {
    /// At an IDR picture, or what is the same in other codecs: what comes after refers to nothing before.
    Idr,
    /// At an open GOP's I picture or the start of an intra refresh. Pictures that follow in decoding order but are shown
    /// before it may be lost, and those of a refresh are damaged until it is complete.
    RecoveryPoint {
        /// Frames from here on until pictures are right; 0 for an open GOP.
        recovery_frame_count: u32,
    },
    /// Not here, or there is no picture at all.
    None,
}

impl RandomAccess {
    /// Whether a GOP begins here.
    ///
    /// One does at the start of an intra refresh, too, up to [`MAX_RECOVERY_FRAMES`] long: an encoder begins the next refresh
    /// when the last is complete, so a decoder that begins here is whole where the next GOP begins, and one GOP of warm-up is
    /// enough. Where a stream itself begins so (its IDR picture was before), its first pictures are decoded and not shown:
    /// FFmpeg hides them until the refresh is complete, and they count as undecodable. Waiting for an IDR picture would be
    /// in vain, as such encoders send one at their start only.
    #[must_use]
    pub fn begins_gop(self) -> bool {
        match self {
            Self::Idr => true,
            Self::RecoveryPoint { recovery_frame_count } => recovery_frame_count <= MAX_RECOVERY_FRAMES,
            Self::None => false,
        }
    }
}

/// What is wrong with a video configuration record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VideoError {
    /// An `AVCDecoderConfigurationRecord`.
    #[error(transparent)]
    H264(#[from] H264Error),
    /// An `HEVCDecoderConfigurationRecord`.
    #[error(transparent)]
    Hevc(#[from] HevcError),
    /// An `AV1CodecConfigurationRecord`.
    #[error(transparent)]
    Av1(#[from] Av1Error),
    /// A `VPCodecConfigurationRecord`.
    #[error(transparent)]
    Vp9(#[from] Vp9Error),
}

/// Reads the decoder configuration that a publisher sends before its pictures. Width and height are 0 if it does not say them.
///
/// # Errors
/// A record that is malformed.
pub fn read_configuration(codec: VideoCodec, record: &[u8]) -> Result<VideoConfiguration, VideoError> {
    Ok(match codec {
        VideoCodec::H264 => h264::read_configuration(record)?,
        VideoCodec::Hevc => hevc::read_configuration(record)?,
        VideoCodec::Av1 => av1::read_configuration(record)?,
        VideoCodec::Vp9 => vp9::read_configuration(record)?,
    })
}

/// Whether decoding can begin at this access unit (`data`: of H.264 and HEVC NAL units behind their lengths, of AV1 a temporal
/// unit, of VP9 a frame or superframe).
///
/// Where it can, the size is known, from the configuration or from the access unit itself ([`refined`]).
#[must_use]
pub fn random_access(configuration: &VideoConfiguration, data: &[u8]) -> RandomAccess {
    let found = match configuration.codec {
        VideoCodec::H264 => h264::random_access(data, configuration.nal_length_bytes),
        VideoCodec::Hevc => hevc::random_access(data, configuration.nal_length_bytes),
        VideoCodec::Av1 => av1::random_access(data),
        VideoCodec::Vp9 => vp9::random_access(data),
    };
    let sized = configuration.width > 0 || refined(configuration, data).is_some();
    if sized { found } else { RandomAccess::None }
}

/// A picture as an attempt reads it that has read others before: at the start of an intra refresh it says that all is whole
/// ([`h264::mark`]). `None` where it goes as it is.
#[must_use]
pub fn marked(configuration: &VideoConfiguration, data: &[u8]) -> Option<BytesMut> {
    match configuration.codec {
        VideoCodec::H264 => h264::mark(data, configuration.nal_length_bytes),
        VideoCodec::Hevc | VideoCodec::Av1 | VideoCodec::Vp9 => None,
    }
}

/// A copied picture as its encoder made it, without what [`marked`] adds.
#[must_use]
pub fn unmarked(configuration: &VideoConfiguration, data: Bytes) -> Bytes {
    match configuration.codec {
        VideoCodec::H264 => h264::unmark(data, configuration.nal_length_bytes),
        VideoCodec::Hevc | VideoCodec::Av1 | VideoCodec::Vp9 => data,
    }
}

/// The configuration with what a random access point says that the record did not, or says otherwise: the pictures' size,
/// of AV1 and VP9. `None` if the access unit adds nothing.
#[must_use]
pub fn refined(configuration: &VideoConfiguration, data: &[u8]) -> Option<VideoConfiguration> {
    let size = match configuration.codec {
        VideoCodec::H264 | VideoCodec::Hevc => None,
        VideoCodec::Av1 => av1::size(data),
        VideoCodec::Vp9 => vp9::size(data),
    };
    let (width, height) = size.filter(|&size| size != (configuration.width, configuration.height))?;
    Some(VideoConfiguration { width, height, ..configuration.clone() })
}

/// A rate that can be one of pictures.
pub(super) fn plausible_rate(rate: f64) -> Option<f64> {
    (rate > 0.0 && rate <= MAX_FRAME_RATE).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODECS: [VideoCodec; 4] = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9];
    /// The start of a key frame of libvpx, 322x182, and of the frame after it (see [`vp9`]).
    const VP9_KEY: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x00, 0x14, 0x10, 0x0B, 0x56, 0x06];
    const VP9_INTER: &[u8] = &[0x86, 0x00, 0x40, 0x92, 0xF1, 0x21, 0x40, 0x00, 0x00, 0x4C];
    /// A sequence header of SVT-AV1, 322x182, and the start of a key frame (see [`av1`]).
    const AV1_SEQUENCE: &[u8] = b"\x0a\x0b\x02\x00\x00\x05\x21\xe8\x36\xa2\x57\xc8\x02";
    const AV1_KEY: &[u8] = &[0x32, 1, 0x10];

    fn configuration(codec: VideoCodec, record: &[u8]) -> VideoConfiguration {
        read_configuration(codec, record).unwrap()
    }

    fn size(configuration: &VideoConfiguration) -> (u32, u32) {
        (configuration.width, configuration.height)
    }

    #[test]
    fn a_size_that_the_record_lacks_comes_with_the_first_random_access_point() {
        let vp9 = configuration(VideoCodec::Vp9, &[0, 11, 0x82, 2, 2, 2, 0, 0]);
        let av1 = configuration(VideoCodec::Av1, &[0x81, 0, 0x0C, 0]);
        let unit = [AV1_SEQUENCE, AV1_KEY].concat();
        for (unknown, start, expected) in [(vp9, VP9_KEY, (322, 182)), (av1, &unit, (322, 182))] {
            assert_eq!(size(&unknown), (0, 0));
            assert_eq!(random_access(&unknown, start), RandomAccess::Idr);
            let known = refined(&unknown, start).unwrap();
            assert_eq!((size(&known), &known.codecs), (expected, &unknown.codecs));
            assert_eq!(random_access(&known, start), RandomAccess::Idr);
            assert_eq!(refined(&known, start), None, "nothing new");
        }
    }

    #[test]
    fn without_a_size_nothing_begins() {
        let unknown = configuration(VideoCodec::Av1, &[0x81, 0, 0x0C, 0]);
        assert_eq!(random_access(&unknown, AV1_KEY), RandomAccess::None);
        let known = configuration(VideoCodec::Av1, &[&[0x81, 0, 0x0C, 0], AV1_SEQUENCE].concat());
        assert_eq!(random_access(&known, AV1_KEY), RandomAccess::Idr);
    }

    #[test]
    fn a_gop_begins_at_any_refresh_that_is_not_too_long() {
        let at = |recovery_frame_count| RandomAccess::RecoveryPoint { recovery_frame_count };
        let expected = [
            (RandomAccess::Idr, true),
            (at(0), true),
            (at(20), true),
            (at(MAX_RECOVERY_FRAMES), true),
            (at(MAX_RECOVERY_FRAMES + 1), false),
            (RandomAccess::None, false),
        ];
        expected
            .into_iter()
            .for_each(|(access, begins)| assert_eq!(access.begins_gop(), begins, "{access:?}"));
    }

    #[test]
    fn only_h264_is_marked() {
        let refresh = [0, 0, 0, 6, 6, 6, 2, 0x2C, 0x40, 0x80, 0, 0, 0, 2, 0x41, 0x9A];
        let any = configuration(VideoCodec::Vp9, &[0, 11, 0x82, 2, 2, 2, 0, 0]);
        for codec in CODECS {
            let known = VideoConfiguration { codec, nal_length_bytes: 4, ..any.clone() };
            let marked = marked(&known, &refresh).map(BytesMut::freeze);
            assert_eq!(marked.is_some(), codec == VideoCodec::H264);
            assert_eq!(unmarked(&known, marked.unwrap_or_default()).is_empty(), codec != VideoCodec::H264);
        }
    }

    #[test]
    fn only_a_random_access_point_changes_the_size() {
        let record = [0, 11, 0x82, 2, 2, 2, 0, 0];
        let known = VideoConfiguration { width: 640, height: 360, ..configuration(VideoCodec::Vp9, &record) };
        assert_eq!(refined(&known, VP9_INTER), None);
        assert_eq!(random_access(&known, VP9_INTER), RandomAccess::None);
        assert_eq!(refined(&known, VP9_KEY).map(|refined| size(&refined)), Some((322, 182)));
        let h264 = VideoConfiguration { codec: VideoCodec::H264, ..known };
        assert_eq!(refined(&h264, VP9_KEY), None);
    }

    #[test]
    fn each_codec_has_its_own_reader() {
        for codec in CODECS {
            let error = read_configuration(codec, &[]).unwrap_err().to_string();
            let name =
                ["AVC", "HEVC", "AV1", "VP9"][CODECS.iter().position(|&other| other == codec).unwrap()];
            assert!(error.starts_with(&format!("the {name} configuration record ends")), "{error}");
        }
        // An IDR slice of H.264 is a trailing picture's of HEVC, and the other way round.
        let (avc, hevc) = ([0, 0, 0, 2, 0x65, 0x88], [0, 0, 0, 3, 0x28, 1, 0xAF]);
        let any = configuration(VideoCodec::Vp9, &[0, 11, 0x82, 2, 2, 2, 0, 0]);
        let with =
            |codec| VideoConfiguration { codec, width: 16, height: 16, nal_length_bytes: 4, ..any.clone() };
        assert_eq!(random_access(&with(VideoCodec::H264), &avc), RandomAccess::Idr);
        assert_eq!(random_access(&with(VideoCodec::H264), &hevc), RandomAccess::None);
        assert_eq!(random_access(&with(VideoCodec::Hevc), &hevc), RandomAccess::Idr);
        assert_eq!(random_access(&with(VideoCodec::Hevc), &avc), RandomAccess::None);
    }

    proptest! {
        #[test]
        fn what_begins_has_a_size(data in prop::collection::vec(any::<u8>(), 0..60), key: bool) {
            let head = if key { &VP9_KEY[..4] } else { &[] };
            let data = [head, &data[..]].concat();
            for codec in CODECS {
                let (codecs, frame_rate) = (String::new(), None);
                let unknown = VideoConfiguration { codec, codecs, width: 0, height: 0, frame_rate, nal_length_bytes: 4 };
                let known = refined(&unknown, &data);
                prop_assert!(known.is_none_or(|known| (1..=MAX_SIDE).contains(&known.width) && (1..=MAX_SIDE).contains(&known.height)));
                if random_access(&unknown, &data) != RandomAccess::None {
                    prop_assert!(refined(&unknown, &data).is_some());
                }
            }
        }
    }
}
