//! What tests send: small messages with everything in place.

use bytes::Bytes;

use crate::base::units::Bitrate;
use crate::ffmpeg::attempt::AudioStart;
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Output, Rendition, VideoOutput};
use crate::media::time::Ticks;
use crate::media::track::{VideoCodec, VideoConfiguration};
use crate::wire::message::{AttemptSpec, AudioUnit, Fragment, LeaseOutput, OutputConfiguration, OutputInit};
use crate::wire::report::{Capabilities, Capacity, EncoderOn, Heartbeat, Load, NodeHello};

/// An attempt with one rendition and no audio.
pub(in crate::proxy) fn attempt() -> AttemptSpec {
    let rendition = Rendition {
        name: "360p".parse().expect("test name"),
        height: 360,
        video_bitrate: Bitrate::kilobits(800),
        fps: None,
        threads: None,
        video: VideoOutput::H264 { encoders: vec!["libx264".into()], preset: "ultrafast".into() },
    };
    AttemptSpec {
        number: 3,
        ladder: Ladder {
            renditions: vec![rendition],
            audio: AudioOutput::Copy,
            latency: Latency::Normal,
            deinterlace: Deinterlace::Off,
        },
        has_video: true,
        has_audio: false,
        base: Ticks::ZERO,
        frame_rate: None,
        max_gop: std::time::Duration::from_secs(10),
        audio_start: AudioStart::default(),
    }
}

pub(in super::super) fn init(output: Output) -> LeaseOutput {
    let configuration = OutputConfiguration::Video(VideoConfiguration {
        codec: VideoCodec::H264,
        codecs: "avc1.64001f".into(),
        width: 640,
        height: 360,
        frame_rate: None,
        nal_length_bytes: 4,
    });
    LeaseOutput::Init(OutputInit { output, configuration, segment: Bytes::from_static(b"ftyp moov") })
}

pub(in super::super) fn fragment(rendition: u8, data: &[u8]) -> LeaseOutput {
    LeaseOutput::Fragment(Fragment {
        rendition,
        position: Ticks(180_000),
        end: Some(Ticks(360_000)),
        first_presentation: Ticks(180_000),
        last_presentation: Ticks(357_000),
        access_units: 60,
        data: Bytes::copy_from_slice(data),
    })
}

pub(in super::super) fn audio_unit(data: &[u8]) -> LeaseOutput {
    LeaseOutput::AudioUnit(AudioUnit { presentation_time: Ticks(0), data: Bytes::copy_from_slice(data) })
}

pub(in crate::proxy) fn hello(name: &str) -> NodeHello {
    NodeHello {
        name: name.parse().expect("test name"),
        tags: Vec::new(),
        class: "x86".into(),
        cost_per_hour: None,
        watts: None,
        capacity: Capacity { cores: 4, memory: 8 << 30, slots: 2, network_bps: None },
        capabilities: Capabilities {
            ffmpeg_version: "5.1.9".into(),
            encoders: vec![EncoderOn::cpu("libx264")],
            reads: vec![Carriage::H264, Carriage::Aac, Carriage::Mp3],
            decodes: vec![Carriage::H264, Carriage::Aac, Carriage::Mp3],
            ..Capabilities::default()
        },
    }
}

pub(in super::super) fn heartbeat() -> Heartbeat {
    Heartbeat { load: Load { cpu: 0.5, memory: 1 << 30, ..Load::default() }, leases: Vec::new() }
}
