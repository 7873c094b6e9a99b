//! The first bytes of an audio or video tag's body: which codec, and configuration or access unit (FLV 10.1 E.4.2, E.4.3).
//! A body of Enhanced RTMP is read in [`super::enhanced`].

use crate::media::track::{AudioCodec, VideoCodec};

use super::enhanced::{self, AUDIO_EX_HEADER, FRAME_TYPE_COMMAND, VIDEO_EX_HEADER};
use super::{FlvError, HEVC_CODEC_ID};

/// What a video tag's body is. Slices point into the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoBody<'a> {
    /// The decoder's configuration.
    Configuration {
        /// The codec.
        codec: VideoCodec,
        /// For H.264 an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1), for HEVC an
        /// `HEVCDecoderConfigurationRecord` (§8.3.3.1), for AV1 an `AV1CodecConfigurationRecord` (AV1 in ISOBMFF §2.3), for
        /// VP9 a `VPCodecConfigurationRecord` behind version and flags, as in `vpcC` (VP9 in ISOBMFF). Not empty.
        record: &'a [u8],
    },
    /// One coded picture.
    AccessUnit {
        /// The codec.
        codec: VideoCodec,
        /// Whether the sender says that decoding can begin here. Senders err: see [`crate::media::video::random_access()`].
        flagged_key: bool,
        /// Presentation time less decode time, in milliseconds; 24 bits, signed.
        composition_offset_ms: i32,
        /// For H.264 and HEVC NAL units, each behind its length; for AV1 the OBUs of a temporal unit; for VP9 a frame. Not
        /// empty.
        data: &'a [u8],
    },
    /// The sender says that its sequence ends (`17 02`, or `SequenceEnd`). It is flagged as a key frame and holds no picture.
    EndOfSequence,
    /// A command to a player (frame type 5), or metadata of Enhanced RTMP: no media.
    Info,
    /// No data at all, which some senders use to keep a connection alive.
    Empty,
}

/// What an audio tag's body is. Slices point into the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioBody<'a> {
    /// The decoder's configuration. MP3, AC-3 and E-AC-3 have none.
    Configuration {
        /// The codec.
        codec: AudioCodec,
        /// For AAC an `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1), for FLAC its `STREAMINFO` (RFC 9639 §8.2; FFmpeg 9
        /// leaves out the signature and the block header that Enhanced RTMP wants before it), for Opus an ID header
        /// (RFC 7845 §5.1), which may be empty. Not empty otherwise.
        record: &'a [u8],
    },
    /// One coded frame.
    AccessUnit {
        /// The codec.
        codec: AudioCodec,
        /// For AAC a `raw_data_block`, for Opus a packet, for the others a frame with its header. Not empty.
        data: &'a [u8],
    },
    /// No data. Encoders send such bodies before sound begins, while it is muted, or when it ends; also what is only about
    /// the sound, as the places of its channels are.
    Empty,
}

/// Reads the head of a video tag's body (E.4.3.1).
///
/// # Errors
/// A codec or packet type that is not taken, or a body that ends inside its head.
pub fn read_video(body: &[u8]) -> Result<VideoBody<'_>, FlvError> {
    let Some((&first, rest)) = body.split_first() else { return Ok(VideoBody::Empty) };
    if first & VIDEO_EX_HEADER != 0 {
        return enhanced::read_video(body);
    }
    let (frame_type, codec_id) = (first >> 4, first & 0x0F);
    // Type 4, a "generated" key frame, is a server's; the other types cannot be decoded on their own.
    let flagged_key = matches!(frame_type, 1 | 4);
    match (frame_type, codec_id) {
        (FRAME_TYPE_COMMAND, _) => Ok(VideoBody::Info),
        (_, 7) => read_avc(VideoCodec::H264, flagged_key, rest),
        (_, HEVC_CODEC_ID) => read_avc(VideoCodec::Hevc, flagged_key, rest),
        (_, id) => Err(FlvError::VideoCodec { id, name: video_codec_name(id) }),
    }
}

/// Reads the head of an audio tag's body (E.4.2.1).
///
/// # Errors
/// A codec or packet type that is not taken, or a body that ends inside its head.
pub fn read_audio(body: &[u8]) -> Result<AudioBody<'_>, FlvError> {
    let Some((&first, rest)) = body.split_first() else { return Ok(AudioBody::Empty) };
    match first >> 4 {
        10 => read_aac(rest),
        // 14 is MP3 at 8 kHz, a rate that the tag's own two bits cannot say.
        2 | 14 => Ok(audio_access_unit(AudioCodec::Mp3, rest)),
        AUDIO_EX_HEADER => enhanced::read_audio(body),
        id => Err(FlvError::AudioCodec { id, name: audio_codec_name(id) }),
    }
}

/// `AVCVIDEOPACKET` (E.4.3.2), from `AVCPacketType` on. HEVC under its number has the same.
fn read_avc(codec: VideoCodec, flagged_key: bool, rest: &[u8]) -> Result<VideoBody<'_>, FlvError> {
    let truncated = FlvError::Truncated { needed: 5, length: rest.len() + 1 };
    let Some((&packet_type, rest)) = rest.split_first() else { return Err(truncated) };
    if packet_type == 2 {
        // Senders differ on whether a composition time follows here.
        return Ok(VideoBody::EndOfSequence);
    }
    let Some((composition_offset_ms, data)) = composition_offset(rest) else { return Err(truncated) };
    match packet_type {
        0 | 1 if data.is_empty() => Ok(VideoBody::Empty),
        0 => Ok(VideoBody::Configuration { codec, record: data }),
        1 => Ok(VideoBody::AccessUnit { codec, flagged_key, composition_offset_ms, data }),
        other => Err(FlvError::AvcPacketType(other)),
    }
}

/// `AACAUDIODATA` (E.4.2.2).
fn read_aac(rest: &[u8]) -> Result<AudioBody<'_>, FlvError> {
    let codec = AudioCodec::Aac;
    match rest.split_first() {
        None | Some((0, [])) => Ok(AudioBody::Empty),
        Some((0, record)) => Ok(AudioBody::Configuration { codec, record }),
        Some((1, data)) => Ok(audio_access_unit(codec, data)),
        Some((&other, _)) => Err(FlvError::AacPacketType(other)),
    }
}

/// A composition time in milliseconds, 24 bits with a sign, and what comes after it; `None` if the body ends before.
pub(super) fn composition_offset(rest: &[u8]) -> Option<(i32, &[u8])> {
    let (&[high, mid, low], data) = rest.split_first_chunk()?;
    Some((i32::from_be_bytes([high, mid, low, 0]) >> 8, data))
}

pub(super) fn audio_access_unit(codec: AudioCodec, data: &[u8]) -> AudioBody<'_> {
    if data.is_empty() { AudioBody::Empty } else { AudioBody::AccessUnit { codec, data } }
}

/// Names from E.4.3.1; 13 is not Adobe's, but some Chinese networks send it.
fn video_codec_name(id: u8) -> &'static str {
    match id {
        1 => "JPEG",
        2 => "Sorenson H.263",
        3 => "Screen video",
        4 => "On2 VP6",
        5 => "On2 VP6 with alpha",
        6 => "Screen video 2",
        13 => "AV1, not in the standard",
        _ => "unknown",
    }
}

/// Names from E.4.2.1.
fn audio_codec_name(id: u8) -> &'static str {
    match id {
        0 => "PCM, platform endian",
        1 => "ADPCM",
        3 => "PCM, little endian",
        4 => "Nellymoser 16 kHz",
        5 => "Nellymoser 8 kHz",
        6 => "Nellymoser",
        7 => "G.711 A-law",
        8 => "G.711 mu-law",
        11 => "Speex",
        15 => "device-specific sound",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(flagged_key: bool, composition_offset_ms: i32, data: &[u8]) -> VideoBody<'_> {
        VideoBody::AccessUnit { codec: VideoCodec::H264, flagged_key, composition_offset_ms, data }
    }

    #[track_caller]
    fn check_video(body: &[u8], expected: Result<VideoBody<'_>, FlvError>) {
        assert_eq!(read_video(body), expected);
    }

    #[track_caller]
    fn check_audio(body: &[u8], expected: Result<AudioBody<'_>, FlvError>) {
        assert_eq!(read_audio(body), expected);
    }

    #[test]
    fn video_bodies_as_ffmpeg_sends_them() {
        // ffmpeg 5.1 -f lavfi -i testsrc -t 1 -c:v libx264 open.flv, the first bytes of its tags and the last tag
        let record = VideoBody::Configuration { codec: VideoCodec::H264, record: &[0x01, 0x64, 0x00] };
        check_video(&[0x17, 0, 0, 0, 0, 0x01, 0x64, 0x00], Ok(record));
        check_video(&[0x17, 1, 0, 0, 0x50, 0, 0, 2, 0xAA], Ok(unit(true, 80, &[0, 0, 2, 0xAA])));
        check_video(&[0x27, 1, 0, 0, 0x28, 0, 0, 0, 0x34], Ok(unit(false, 40, &[0, 0, 0, 0x34])));
        check_video(&[0x17, 2, 0, 0, 0], Ok(VideoBody::EndOfSequence));
    }

    #[test]
    fn oddities_of_video_senders() {
        check_video(&[0x17, 2], Ok(VideoBody::EndOfSequence));
        check_video(&[0x57, 0], Ok(VideoBody::Info));
        check_video(&[0x52], Ok(VideoBody::Info));
        check_video(&[], Ok(VideoBody::Empty));
        check_video(&[0x27, 1, 0, 0, 0], Ok(VideoBody::Empty));
        check_video(&[0x27, 1, 0xFF, 0xFF, 0xFE, 9], Ok(unit(false, -2, &[9])));
        check_video(&[0x37, 1, 0, 0, 0, 9], Ok(unit(false, 0, &[9])));
    }

    #[test]
    fn hevc_under_the_number_of_the_cdn_union() {
        // The layout of H.264; made of FFmpeg's HEVC, because no encoder here sends it.
        let codec = VideoCodec::Hevc;
        let record = VideoBody::Configuration { codec, record: &[0x01, 0x01, 0x60] };
        check_video(&[0x1C, 0, 0, 0, 0, 0x01, 0x01, 0x60], Ok(record));
        let (flagged_key, composition_offset_ms) = (false, 200);
        let unit =
            VideoBody::AccessUnit { codec, flagged_key, composition_offset_ms, data: &[0, 0, 0, 0x32] };
        check_video(&[0x2C, 1, 0, 0, 0xC8, 0, 0, 0, 0x32], Ok(unit));
        check_video(&[0x1C, 2, 0, 0, 0], Ok(VideoBody::EndOfSequence));
        check_video(&[0x1C, 1, 0], Err(FlvError::Truncated { needed: 5, length: 3 }));
    }

    #[test]
    fn video_that_is_not_taken_is_named() {
        check_video(&[0x12, 0, 0], Err(FlvError::VideoCodec { id: 2, name: "Sorenson H.263" }));
        check_video(&[0x1D, 0], Err(FlvError::VideoCodec { id: 13, name: "AV1, not in the standard" }));
        check_video(&[0x17, 3, 0, 0, 0], Err(FlvError::AvcPacketType(3)));
        check_video(&[0x17], Err(FlvError::Truncated { needed: 5, length: 1 }));
        check_video(&[0x17, 1, 0, 0], Err(FlvError::Truncated { needed: 5, length: 4 }));
    }

    #[test]
    fn audio_bodies_as_ffmpeg_sends_them() {
        // ffmpeg 5.1 -f lavfi -i sine -t 0.4 -c:a aac, and the same with -c:a libmp3lame
        let (aac, mp3) = (AudioCodec::Aac, AudioCodec::Mp3);
        let record = AudioBody::Configuration { codec: aac, record: &[0x11, 0x90, 0x56] };
        check_audio(&[0xAF, 0, 0x11, 0x90, 0x56], Ok(record));
        check_audio(&[0xAF, 1, 0xDE, 0x02], Ok(AudioBody::AccessUnit { codec: aac, data: &[0xDE, 0x02] }));
        check_audio(&[0x2E, 0xFF, 0xFB], Ok(AudioBody::AccessUnit { codec: mp3, data: &[0xFF, 0xFB] }));
    }

    #[test]
    fn oddities_of_audio_senders() {
        for body in [&[][..], &[0xAF], &[0xAF, 0], &[0xAF, 1], &[0x2F]] {
            check_audio(body, Ok(AudioBody::Empty));
        }
        let mp3_at_8_khz = AudioBody::AccessUnit { codec: AudioCodec::Mp3, data: &[0xFF, 0xE3] };
        check_audio(&[0xEE, 0xFF, 0xE3], Ok(mp3_at_8_khz));
    }

    #[test]
    fn audio_that_is_not_taken_is_named() {
        check_audio(&[0xB2, 1], Err(FlvError::AudioCodec { id: 11, name: "Speex" }));
        check_audio(&[0xAF, 7, 1], Err(FlvError::AacPacketType(7)));
    }

    proptest! {
        #[test]
        fn every_composition_offset_comes_back(offset in -0x80_0000i32..0x80_0000, key: bool, data in prop::collection::vec(any::<u8>(), 1..64)) {
            let mut body = vec![if key { 0x17 } else { 0x27 }, 1];
            body.extend_from_slice(&offset.to_be_bytes()[1..]);
            body.extend_from_slice(&data);
            prop_assert_eq!(read_video(&body), Ok(unit(key, offset, &data)));
        }

        #[test]
        fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = (read_video(&body), read_audio(&body));
        }
    }
}
