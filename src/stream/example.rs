//! What the tests of this room share: tags, access units, sections and a ladder, each as plain as can be.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::command::{Redundancy, StreamSettings, Takeover};
use super::section::{AudioAhead, Preamble, Section};
use super::simulation::source::{AUDIO, VIDEO};
use crate::base::names::Name;
use crate::base::units::Bitrate;
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Rendition, VideoOutput};
use crate::media::access_unit::AccessUnit;
use crate::media::flv::{Tag, TagKind};
use crate::media::gop::{GopLog, GopLogLimits, SectionId};
use crate::media::time::Ticks;
use crate::media::track::{AudioCodec, AudioConfiguration, TrackKind, VideoCodec, VideoConfiguration};

/// The timeline at `millis`.
pub fn at(millis: i64) -> Ticks {
    Ticks::from_millis(millis)
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn tag(kind: TagKind, timestamp_ms: u32, payload: impl Into<Bytes>) -> Tag {
    Tag { kind, timestamp_ms, payload: payload.into() }
}

/// The video configuration: 64x36 or, as `which` 1, 128x72, at 25 pictures a second.
pub fn video_tag(timestamp_ms: u32, which: usize) -> Tag {
    tag(TagKind::Video, timestamp_ms, VIDEO[which])
}

/// The audio configuration: AAC-LC, 48 kHz, stereo.
pub fn audio_tag(timestamp_ms: u32) -> Tag {
    tag(TagKind::Audio, timestamp_ms, AUDIO)
}

/// A tag body with one picture of this NAL unit, shown `offset_ms` after it is decoded.
pub fn picture_body(offset_ms: i32, nal: &[u8]) -> Bytes {
    let mut body = BytesMut::from(&b"\x27\x01"[..]);
    body.extend_from_slice(&offset_ms.to_be_bytes()[1..]);
    body.put_u32(u32::try_from(nal.len()).expect("short"));
    body.extend_from_slice(nal);
    body.freeze()
}

/// An IDR picture.
pub fn key(timestamp_ms: u32) -> Tag {
    tag(TagKind::Video, timestamp_ms, picture_body(0, b"\x65idr!"))
}

/// A picture that refers to others.
pub fn picture(timestamp_ms: u32) -> Tag {
    tag(TagKind::Video, timestamp_ms, picture_body(0, b"\x41pic!"))
}

/// An access unit of AAC.
pub fn sound(timestamp_ms: u32) -> Tag {
    tag(TagKind::Audio, timestamp_ms, &b"\xaf\x01sound"[..])
}

/// An access unit as the log holds it.
pub fn unit(track: TrackKind, millis: i64, random_access: bool) -> AccessUnit {
    let (decode_time, presentation_time) = (at(millis), at(millis));
    let payload = Bytes::from_static(b"payload");
    AccessUnit { track, decode_time, presentation_time, random_access, payload }
}

/// Appends a GOP of pictures each 100 ms from `from` to before `to`.
pub fn append_gop(log: &mut GopLog, section: u32, from: i64, to: i64) {
    for millis in (from..to).step_by(100) {
        log.append(unit(TrackKind::Video, millis, millis == from), SectionId(section));
    }
}

/// A log that holds a minute.
pub fn log() -> GopLog {
    GopLog::new(GopLogLimits { max_duration: at(60_000), max_bytes: 1 << 30 })
}

pub fn video() -> VideoConfiguration {
    VideoConfiguration {
        codec: VideoCodec::H264,
        codecs: "avc1.64000a".into(),
        width: 64,
        height: 36,
        frame_rate: Some(25.0),
        nal_length_bytes: 4,
    }
}

pub fn audio() -> AudioConfiguration {
    AudioConfiguration {
        codec: AudioCodec::Aac,
        codecs: "mp4a.40.2".into(),
        sample_rate: 48_000,
        channels: 2,
        samples_per_access_unit: 1024,
    }
}

/// An open section with both tracks, from zero to `end_ms`.
pub fn section(id: u32, end_ms: i64) -> Section {
    let (video_body, audio_body) = (Bytes::from_static(VIDEO[0]), Bytes::from_static(AUDIO));
    Section {
        id: SectionId(id),
        preamble: Preamble { metadata: None, video: Some(video_body), audio: Some(audio_body) },
        video: Some(video()),
        audio: Some(audio()),
        reads: vec![Carriage::H264, Carriage::Aac],
        frame_rate: Some(25.0),
        position: Ticks::ZERO,
        source_end: at(end_ms),
        last_audio: None,
        audio_ahead: AudioAhead::default(),
        closed: None,
    }
}

/// Two renditions, audio copied.
pub fn ladder() -> Arc<Ladder> {
    let rendition = |text: &str, height| Rendition {
        name: name(text),
        height,
        video_bitrate: Bitrate::kilobits(100),
        fps: None,
        threads: None,
        video: VideoOutput::H264 { encoders: vec!["libx264".into()], preset: "ultrafast".into() },
    };
    let renditions = vec![rendition("a", 36), rendition("b", 18)];
    Arc::new(Ladder {
        renditions,
        audio: AudioOutput::Copy,
        latency: Latency::Normal,
        deinterlace: Deinterlace::Off,
    })
}

/// How a stream behaves in tests, unless they say otherwise.
pub fn settings() -> StreamSettings {
    StreamSettings {
        reconnect_grace: Duration::from_secs(15),
        takeover: Takeover::Replace,
        max_segment_duration: Duration::from_secs(10),
        suspect_after: Duration::from_millis(750),
        redundancy: Redundancy::One,
    }
}
