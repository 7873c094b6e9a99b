//! Bodies of Enhanced RTMP v2 with a single track: packet types, FourCCs and what follows them ("Enhanced Audio",
//! "Enhanced Video"). Several tracks and modifiers are taken apart in [`super::tracks()`] before.
//!
//! What a `Metadata` or `MultichannelConfig` packet says is not read: colours are in the codec's own configuration, where
//! players look for them, and sound is mixed to two channels.

use crate::media::audio;
use crate::media::track::{AudioCodec, VideoCodec};

use super::FlvError;
use super::body::{AudioBody, VideoBody, audio_access_unit, composition_offset};

/// Set in byte 0 of a video body: the low nibble is then a packet type and a FourCC follows (`isExVideoHeader`).
pub(super) const VIDEO_EX_HEADER: u8 = 0x80;
/// The sound format, in the high nibble of byte 0, that says the same of an audio body (`SoundFormat.ExHeader`).
pub(super) const AUDIO_EX_HEADER: u8 = 9;
/// `VideoFrameType.Command`: what follows is for a player, and no picture.
pub(super) const FRAME_TYPE_COMMAND: u8 = 5;
/// Bytes before the body of a single track: byte 0 and the FourCC.
pub(super) const EX_HEADER_BYTES: usize = 5;
/// `AudioPacketType.ModEx` and `VideoPacketType.ModEx`: a modifier comes, and then the packet's own type.
pub(super) const MOD_EX: u8 = 7;

/// `VideoPacketType` ("Enhanced Video", table "Extended VideoTagHeader").
pub(super) mod video_packet {
    pub const SEQUENCE_START: u8 = 0;
    pub const CODED_FRAMES: u8 = 1;
    pub const SEQUENCE_END: u8 = 2;
    /// Without a composition time, which is then zero.
    pub const CODED_FRAMES_X: u8 = 3;
    pub const METADATA: u8 = 4;
    pub const MPEG2_TS_SEQUENCE_START: u8 = 5;
    pub const MULTITRACK: u8 = 6;
}

/// `AudioPacketType` ("Enhanced Audio", table "Extended AudioTagHeader").
pub(super) mod audio_packet {
    pub const SEQUENCE_START: u8 = 0;
    pub const CODED_FRAMES: u8 = 1;
    pub const SEQUENCE_END: u8 = 2;
    pub const MULTICHANNEL_CONFIG: u8 = 4;
    pub const MULTITRACK: u8 = 5;
}

/// `VideoFourCc` and `AudioFourCc`, as far as they are taken.
pub(super) mod four_cc {
    pub const AVC: [u8; 4] = *b"avc1";
    pub const HEVC: [u8; 4] = *b"hvc1";
    /// Not in the standard. In an MP4 file it is HEVC that has parameter sets in band as well, which is no difference
    /// here; so it is taken, and [`super::super::tracks()`] writes it as `hvc1` for FFmpeg.
    pub const HEVC_IN_BAND: [u8; 4] = *b"hev1";
    pub const AV1: [u8; 4] = *b"av01";
    pub const VP9: [u8; 4] = *b"vp09";
    pub const AAC: [u8; 4] = *b"mp4a";
    pub const MP3: [u8; 4] = *b".mp3";
    pub const OPUS: [u8; 4] = *b"Opus";
    pub const FLAC: [u8; 4] = *b"fLaC";
    pub const AC3: [u8; 4] = *b"ac-3";
    pub const EAC3: [u8; 4] = *b"ec-3";
}

/// Reads a video body whose byte 0 has [`VIDEO_EX_HEADER`] set.
pub(super) fn read_video(body: &[u8]) -> Result<VideoBody<'_>, FlvError> {
    let (first, rest) = body.split_first().ok_or(truncated(EX_HEADER_BYTES, body))?;
    let (frame_type, packet_type) = (first >> 4 & 0x07, first & 0x0F);
    // FFmpeg 9 sends metadata as a command frame; a command frame that is none has no FourCC. Neither holds a picture.
    if frame_type == FRAME_TYPE_COMMAND || packet_type == video_packet::METADATA {
        return Ok(VideoBody::Info);
    }
    if packet_type > video_packet::MPEG2_TS_SEQUENCE_START {
        return Err(FlvError::EnhancedPacketType(packet_type));
    }
    let (name, rest) = rest.split_first_chunk().ok_or(truncated(EX_HEADER_BYTES, body))?;
    let codec = video_codec(*name)?;
    let flagged_key = matches!(frame_type, 1 | 4);
    let (composition_offset_ms, data) = match packet_type {
        video_packet::SEQUENCE_START if rest.is_empty() => return Ok(VideoBody::Empty),
        video_packet::SEQUENCE_START => return Ok(VideoBody::Configuration { codec, record: rest }),
        video_packet::CODED_FRAMES if has_composition_time(codec) => {
            composition_offset(rest).ok_or(truncated(EX_HEADER_BYTES + 3, body))?
        }
        video_packet::CODED_FRAMES | video_packet::CODED_FRAMES_X => (0, rest),
        video_packet::SEQUENCE_END => return Ok(VideoBody::EndOfSequence),
        _ => return Err(FlvError::Mpeg2Ts(*name)),
    };
    if data.is_empty() {
        return Ok(VideoBody::Empty);
    }
    Ok(VideoBody::AccessUnit { codec, flagged_key, composition_offset_ms, data })
}

/// Reads an audio body whose sound format is [`AUDIO_EX_HEADER`].
pub(super) fn read_audio(body: &[u8]) -> Result<AudioBody<'_>, FlvError> {
    let (first, rest) = body.split_first().ok_or(truncated(EX_HEADER_BYTES, body))?;
    let packet_type = first & 0x0F;
    let known = matches!(
        packet_type,
        audio_packet::SEQUENCE_START
            | audio_packet::CODED_FRAMES
            | audio_packet::SEQUENCE_END
            | audio_packet::MULTICHANNEL_CONFIG
    );
    if !known {
        return Err(FlvError::EnhancedPacketType(packet_type));
    }
    let (name, rest) = rest.split_first_chunk().ok_or(truncated(EX_HEADER_BYTES, body))?;
    let codec = audio_codec(*name)?;
    match packet_type {
        // FFmpeg 9 starts AC-3 and E-AC-3 so, too, with nothing in it: their frames say everything.
        audio_packet::SEQUENCE_START if audio::describes_itself(codec) => Ok(AudioBody::Empty),
        // Only Opus may leave its header out: it is then mono or stereo, as its packets say.
        audio_packet::SEQUENCE_START if rest.is_empty() && codec != AudioCodec::Opus => Ok(AudioBody::Empty),
        audio_packet::SEQUENCE_START => Ok(AudioBody::Configuration { codec, record: rest }),
        audio_packet::CODED_FRAMES => Ok(audio_access_unit(codec, rest)),
        // The end of a sequence means what an empty body means: silence.
        _ => Ok(AudioBody::Empty),
    }
}

/// The standard has a composition time for H.264 and HEVC alone: AV1 and VP9 are shown in the order in which they come.
fn has_composition_time(codec: VideoCodec) -> bool {
    match codec {
        VideoCodec::H264 | VideoCodec::Hevc => true,
        VideoCodec::Av1 | VideoCodec::Vp9 => false,
    }
}

fn video_codec(name: [u8; 4]) -> Result<VideoCodec, FlvError> {
    match name {
        four_cc::AVC => Ok(VideoCodec::H264),
        four_cc::HEVC | four_cc::HEVC_IN_BAND => Ok(VideoCodec::Hevc),
        four_cc::AV1 => Ok(VideoCodec::Av1),
        four_cc::VP9 => Ok(VideoCodec::Vp9),
        other => Err(FlvError::FourCc(other)),
    }
}

fn audio_codec(name: [u8; 4]) -> Result<AudioCodec, FlvError> {
    match name {
        four_cc::AAC => Ok(AudioCodec::Aac),
        four_cc::MP3 => Ok(AudioCodec::Mp3),
        four_cc::OPUS => Ok(AudioCodec::Opus),
        four_cc::FLAC => Ok(AudioCodec::Flac),
        four_cc::AC3 => Ok(AudioCodec::Ac3),
        four_cc::EAC3 => Ok(AudioCodec::Eac3),
        other => Err(FlvError::FourCc(other)),
    }
}

fn truncated(needed: usize, body: &[u8]) -> FlvError {
    FlvError::Truncated { needed, length: body.len() }
}

#[cfg(test)]
mod tests;
