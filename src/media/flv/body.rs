//! The first bytes of an audio or video tag's body: which codec, and configuration or access unit (FLV 10.1 E.4.2, E.4.3).

use crate::media::track::{AudioCodec, VideoCodec};

use super::FlvError;

/// Set in byte 0 of a video body by Enhanced RTMP: the low nibble is then a packet type and a FourCC follows (v2, "Enhanced Video").
const VIDEO_EX_HEADER: u8 = 0x80;
/// Enhanced RTMP's sound format for the same (v2, "Enhanced Audio").
const AUDIO_EX_HEADER: u8 = 9;
/// Enhanced RTMP packet types up to this one have the FourCC at byte 1; multitrack and `ModEx` have not.
const LAST_PLAIN_VIDEO_PACKET: u8 = 5;
/// The same for audio: `SequenceStart`, `CodedFrames`, `SequenceEnd`, reserved, `MultichannelConfig`.
const LAST_PLAIN_AUDIO_PACKET: u8 = 4;

/// What a video tag's body is. Slices point into the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoBody<'a> {
    /// The decoder's configuration.
    Configuration {
        /// The codec.
        codec: VideoCodec,
        /// For H.264 an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1).
        record: &'a [u8],
    },
    /// One coded picture.
    AccessUnit {
        /// The codec.
        codec: VideoCodec,
        /// Whether the sender says that decoding can begin here. Senders err: see [`crate::media::h264::random_access()`].
        flagged_key: bool,
        /// Presentation time less decode time, in milliseconds; 24 bits, signed.
        composition_offset_ms: i32,
        /// For H.264 NAL units, each behind its length. Not empty.
        data: &'a [u8],
    },
    /// The sender says that its sequence ends (`17 02`). It is flagged as a key frame and holds no picture.
    EndOfSequence,
    /// A command to a player, without media: frame type 5.
    Info,
    /// No data at all, which some senders use to keep a connection alive.
    Empty,
}

/// What an audio tag's body is. Slices point into the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioBody<'a> {
    /// The decoder's configuration. MP3 has none.
    Configuration {
        /// The codec.
        codec: AudioCodec,
        /// For AAC an `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
        record: &'a [u8],
    },
    /// One coded frame.
    AccessUnit {
        /// The codec.
        codec: AudioCodec,
        /// For AAC a `raw_data_block`, for MP3 a frame with its header. Not empty.
        data: &'a [u8],
    },
    /// No data. Encoders send such bodies before sound begins, or while it is muted.
    Empty,
}

/// Reads the head of a video tag's body (E.4.3.1).
///
/// # Errors
/// A codec or packet type that is not taken, or a body that ends inside its head.
pub fn read_video(body: &[u8]) -> Result<VideoBody<'_>, FlvError> {
    let Some((&first, rest)) = body.split_first() else { return Ok(VideoBody::Empty) };
    if first & VIDEO_EX_HEADER != 0 {
        return Err(refuse_enhanced(body, LAST_PLAIN_VIDEO_PACKET));
    }
    let (frame_type, codec_id) = (first >> 4, first & 0x0F);
    match (frame_type, codec_id) {
        (5, _) => Ok(VideoBody::Info),
        // Type 4, a "generated" key frame, is a server's; the other types cannot be decoded on their own.
        (_, 7) => read_avc(matches!(frame_type, 1 | 4), rest),
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
        AUDIO_EX_HEADER => Err(refuse_enhanced(body, LAST_PLAIN_AUDIO_PACKET)),
        id => Err(FlvError::AudioCodec { id, name: audio_codec_name(id) }),
    }
}

/// `AVCVIDEOPACKET` (E.4.3.2), from `AVCPacketType` on.
fn read_avc(flagged_key: bool, rest: &[u8]) -> Result<VideoBody<'_>, FlvError> {
    let truncated = FlvError::Truncated { needed: 5, length: rest.len() + 1 };
    let Some((&packet_type, rest)) = rest.split_first() else { return Err(truncated) };
    if packet_type == 2 {
        // Senders differ on whether a composition time follows here.
        return Ok(VideoBody::EndOfSequence);
    }
    let Some((&[high, mid, low], data)) = rest.split_first_chunk() else { return Err(truncated) };
    let composition_offset_ms = i32::from_be_bytes([high, mid, low, 0]) >> 8;
    let codec = VideoCodec::H264;
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

fn audio_access_unit(codec: AudioCodec, data: &[u8]) -> AudioBody<'_> {
    if data.is_empty() { AudioBody::Empty } else { AudioBody::AccessUnit { codec, data } }
}

/// Why an Enhanced RTMP body is refused: by its FourCC where the packet type leaves it at byte 1.
fn refuse_enhanced(body: &[u8], last_plain_packet: u8) -> FlvError {
    let packet_type = body.first().map_or(0, |first| first & 0x0F);
    if packet_type > last_plain_packet {
        return FlvError::EnhancedPacketType(packet_type);
    }
    match body.get(1..5) {
        Some(&[a, b, c, d]) => FlvError::FourCc([a, b, c, d]),
        _ => FlvError::Truncated { needed: 5, length: body.len() },
    }
}

/// Names from E.4.3.1; 12 and up are not Adobe's, but Chinese networks and their tools send them.
fn video_codec_name(id: u8) -> &'static str {
    match id {
        1 => "JPEG",
        2 => "Sorenson H.263",
        3 => "Screen video",
        4 => "On2 VP6",
        5 => "On2 VP6 with alpha",
        6 => "Screen video 2",
        12 => "H.265, not in the standard",
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
    fn video_that_is_not_taken_is_named() {
        check_video(&[0x12, 0, 0], Err(FlvError::VideoCodec { id: 2, name: "Sorenson H.263" }));
        check_video(&[0x1C, 0], Err(FlvError::VideoCodec { id: 12, name: "H.265, not in the standard" }));
        check_video(&[0x90, b'h', b'v', b'c', b'1', 1], Err(FlvError::FourCc(*b"hvc1")));
        check_video(&[0x96, 0, b'a', b'v', b'c', b'1'], Err(FlvError::EnhancedPacketType(6)));
        check_video(&[0x90, b'h'], Err(FlvError::Truncated { needed: 5, length: 2 }));
        check_video(&[0x17, 3, 0, 0, 0], Err(FlvError::AvcPacketType(3)));
        check_video(&[0x17], Err(FlvError::Truncated { needed: 5, length: 1 }));
        check_video(&[0x17, 1, 0, 0], Err(FlvError::Truncated { needed: 5, length: 4 }));
        let message = FlvError::FourCc(*b"hv\n1").to_string();
        assert_eq!(message, r#"Enhanced RTMP codec "hv\n1" is not supported, send H.264 with AAC"#);
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
        check_audio(&[0x90, b'O', b'p', b'u', b's'], Err(FlvError::FourCc(*b"Opus")));
        check_audio(&[0x95, 0, 0, 0, 0], Err(FlvError::EnhancedPacketType(5)));
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
