//! FLV tags: how RTMP media is carried to FFmpeg, and what the first bytes of a tag's body mean.
//!
//! `tracks` takes a body of several tracks apart, `body` and `enhanced` read the first bytes of each, `script` the few
//! facts of `onMetaData` that are worth showing; here are the tag and the bytes around it. What a codec's own
//! configuration says is read in [`super::video`] and [`super::audio`]. The standards are *Adobe Flash Video File
//! Format 10.1*, Annex E, and *Enhanced RTMP v2* (Veovera).

mod body;
mod enhanced;
mod script;
mod tracks;

use bytes::Bytes;

pub use body::{AudioBody, VideoBody, read_audio, read_video};
pub use script::{Metadata, read_metadata};
pub use tracks::{TrackBody, Tracks, tracks};

/// Bytes of a tag before its body (E.4.1).
const TAG_HEADER_BYTES: u32 = 11;

/// The longest body that a tag's 24-bit length can say, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 0xFF_FFFF;

/// The codec number of HEVC by the "CDN Union", which China's networks and their encoders send; Adobe's table ends with 7
/// (E.4.3.1). Its bodies are laid out as those of H.264, so it costs nothing to take. FFmpeg does not know it.
const HEVC_CODEC_ID: u8 = 12;

/// Most tracks in one body: their numbers have one byte (Enhanced RTMP v2, "Enhanced Video", `videoTrackId`).
pub const MAX_TRACKS: usize = 256;

/// What a tag carries; the values are FLV's tag types and RTMP's message types (FLV 10.1 Annex E.4.1, RTMP 1.0 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TagKind {
    /// Sound.
    Audio = 8,
    /// Pictures.
    Video = 9,
    /// Script data, `onMetaData` for example.
    Script = 18,
}

/// One media message of a publisher: the body of an FLV tag with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub kind: TagKind,
    /// The sender's clock in milliseconds; wraps at 2^32.
    pub timestamp_ms: u32,
    /// The body, as received.
    pub payload: Bytes,
}

/// What is wrong with a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlvError {
    /// The body is longer than [`MAX_PAYLOAD_BYTES`].
    #[error("a tag body of {0} bytes does not fit FLV's 24-bit length")]
    PayloadTooLong(usize),
    /// The body ends inside the fields before its data.
    #[error("the tag body ends after {length} bytes, before the {needed} of its header")]
    Truncated {
        /// Bytes of the header.
        needed: usize,
        /// Bytes of the body.
        length: usize,
    },
    /// FLV's video codec number is one that is not taken (E.4.3.1, byte 0).
    #[error("video codec {id} ({name}) is not supported, send H.264")]
    VideoCodec {
        /// The number.
        id: u8,
        /// What it stands for.
        name: &'static str,
    },
    /// FLV's sound format is one that is not taken (E.4.2.1, byte 0).
    #[error("audio codec {id} ({name}) is not supported, send AAC or MP3")]
    AudioCodec {
        /// The number.
        id: u8,
        /// What it stands for.
        name: &'static str,
    },
    /// The body is Enhanced RTMP's, of a codec that is not taken ("Enhanced Video", "Enhanced Audio").
    #[error(
        "Enhanced RTMP codec \"{}\" is not supported, send H.264, HEVC, AV1 or VP9 with AAC, MP3, Opus, FLAC, AC-3 or E-AC-3",
        .0.escape_ascii()
    )]
    FourCc([u8; 4]),
    /// The body is Enhanced RTMP's, of a packet type that the standard reserves, or that may not be where it is: one within
    /// a multitrack body that is a multitrack or a modifier again.
    #[error("Enhanced RTMP packet type {0} is not supported")]
    EnhancedPacketType(u8),
    /// Video in the form that it has in MPEG-2 TS (`MPEG2TSSequenceStart`), with its FourCC.
    #[error("Enhanced RTMP codec \"{}\" in its MPEG-2 TS form is not supported", .0.escape_ascii())]
    Mpeg2Ts([u8; 4]),
    /// `AvMultitrackType` is none of the three that exist.
    #[error("unknown Enhanced RTMP multitrack type {0}")]
    MultitrackType(u8),
    /// A body with more tracks than a track's number can tell apart.
    #[error("a tag body has more than {MAX_TRACKS} tracks, the next one begins at byte {offset}")]
    TooManyTracks {
        /// Where the first one begins that is too many.
        offset: usize,
    },
    /// `AVCPacketType` is none of the three that exist (E.4.3.1, byte 1).
    #[error("unknown AVC packet type {0}")]
    AvcPacketType(u8),
    /// `AACPacketType` is none of the two that exist (E.4.2.1, byte 1).
    #[error("unknown AAC packet type {0}")]
    AacPacketType(u8),
}

/// The start of an FLV file: its header, which says what tracks to expect, and the first `PreviousTagSize` (E.2, E.3).
///
/// FFmpeg waits for every track that is announced here before it starts, so announce only what was really seen.
#[must_use]
pub fn file_header(video: bool, audio: bool) -> [u8; 13] {
    let flags = u8::from(video) | u8::from(audio) << 2;
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// The bytes before a tag's body (E.4.1). The top eight bits of the timestamp come after the lower 24.
///
/// # Errors
/// [`FlvError::PayloadTooLong`] if the body is longer than 24 bits can say.
pub fn tag_header(kind: TagKind, payload_len: usize, timestamp_ms: u32) -> Result<[u8; 11], FlvError> {
    if payload_len > MAX_PAYLOAD_BYTES {
        return Err(FlvError::PayloadTooLong(payload_len));
    }
    let [.., l2, l1, l0] = payload_len.to_be_bytes();
    let [t3, t2, t1, t0] = timestamp_ms.to_be_bytes();
    Ok([kind as u8, l2, l1, l0, t2, t1, t0, t3, 0, 0, 0])
}

/// The bytes after a tag's body: `PreviousTagSize`, the size of header and body (E.3). `payload_len` is one that
/// [`tag_header`] took; a longer one saturates.
#[must_use]
pub fn tag_trailer(payload_len: usize) -> [u8; 4] {
    let payload_len = u32::try_from(payload_len).unwrap_or(u32::MAX);
    payload_len.saturating_add(TAG_HEADER_BYTES).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_begins_as_the_muxer_of_ffmpeg_begins_it() {
        // ffmpeg 5.1 -f lavfi -i testsrc -f lavfi -i sine -t 0.4 a.flv, the first 13 bytes
        assert_eq!(&file_header(true, true), b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00");
        assert_eq!(file_header(true, false)[4], 1);
        assert_eq!(file_header(false, true)[4], 4);
    }

    #[test]
    fn a_tag_is_framed_as_the_muxer_of_ffmpeg_frames_it() {
        // The same file's first video tag, of 52 bytes, and the size after it.
        let header = tag_header(TagKind::Video, 52, 0);
        assert_eq!(header, Ok([0x09, 0, 0, 0x34, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(tag_trailer(52), [0, 0, 0, 0x3F]);
    }

    #[test]
    fn a_body_over_24_bits_is_refused() {
        assert!(tag_header(TagKind::Video, MAX_PAYLOAD_BYTES, 0).is_ok());
        let over = MAX_PAYLOAD_BYTES + 1;
        assert_eq!(tag_header(TagKind::Video, over, 0), Err(FlvError::PayloadTooLong(over)));
        assert_eq!(tag_trailer(usize::MAX), [0xFF; 4]);
    }

    proptest! {
        #[test]
        fn every_field_of_a_header_comes_back(
            kind in prop::sample::select(vec![TagKind::Audio, TagKind::Video, TagKind::Script]),
            payload_len in 0..=MAX_PAYLOAD_BYTES,
            timestamp_ms: u32,
        ) {
            let h = tag_header(kind, payload_len, timestamp_ms).unwrap();
            prop_assert_eq!(h[0], kind as u8);
            prop_assert_eq!(u32::from_be_bytes([0, h[1], h[2], h[3]]) as usize, payload_len);
            prop_assert_eq!(u32::from_be_bytes([h[7], h[4], h[5], h[6]]), timestamp_ms);
            prop_assert_eq!(&h[8..], &[0, 0, 0]);
            prop_assert_eq!(u32::from_be_bytes(tag_trailer(payload_len)) as usize, payload_len + 11);
        }
    }
}
