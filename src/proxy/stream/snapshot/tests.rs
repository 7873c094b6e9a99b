use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::base::reason::Reason;
use crate::base::units::Bitrate;
use crate::hls::OutputView;
use crate::media::time::Ticks;
use crate::media::track::{AudioCodec, AudioConfiguration, TrackKind, VideoCodec, VideoConfiguration};
use crate::proxy::tests::house::{name, stream_name};
use crate::wire::message::Fragment;

fn video(width: u32, height: u32) -> VideoConfiguration {
    let (codec, codecs) = (VideoCodec::H264, "avc1.64001f".into());
    VideoConfiguration { codec, codecs, width, height, frame_rate: None, nal_length_bytes: 4 }
}

fn audio() -> AudioConfiguration {
    AudioConfiguration {
        codec: AudioCodec::Aac,
        codecs: "mp4a.40.2".into(),
        sample_rate: 48_000,
        channels: 2,
        samples_per_access_unit: 1024,
    }
}

/// So many committed fragments of 60 access units and a second each.
fn committed(fragments: i64) -> VideoCommit {
    let mut commit = VideoCommit::default();
    for second in 0..fragments {
        let position = Ticks(90_000 * second);
        let fragment = Fragment {
            rendition: 0,
            position,
            end: None,
            first_presentation: position,
            last_presentation: position,
            access_units: 60,
            data: Bytes::from_static(b"moof"),
        };
        assert!(commit.offer(&fragment, position + Ticks(90_000)));
    }
    commit
}

/// Every field with a value of its own, so that none can stand for another.
pub(in crate::proxy::stream) fn report() -> Report {
    Report {
        state: State::Live,
        node: Some(name("n1")),
        attempts: 3,
        reattachments: 2,
        last_failure: Some((Reason::FfmpegCrashed, "why".to_owned())),
        video: Some(video(1920, 1080)),
        audio: Some(audio()),
        other_tracks: vec![OtherTrack { kind: TrackKind::Video, number: 1, four_cc: *b"hv\"\x01" }],
        more_other_tracks: 2,
        frame_rate: Some(29.5),
        gop: Some(Duration::from_millis(1950)),
        source_frames: 301,
        source_end: Ticks::from_millis(5_400),
        committed_end: Some(Ticks::from_millis(4_000)),
        renditions: vec![committed(5), committed(4)],
        frames_lost: 11,
        frames_duplicated: 12,
        frames_undecodable: 13,
        log_gops: 14,
        log_bytes: 15,
        log_duration: Ticks::from_millis(16),
        startup: Some(Duration::from_millis(26)),
        failover: Some(FailoverReport {
            from: Some(name("n2")),
            to: Some(name("n3")),
            cause: Reason::NodeLost,
            detected: Duration::from_millis(17),
            recovered: Some(Duration::from_millis(18)),
            ago: Duration::from_secs(19),
        }),
    }
}

fn shown(report: &Report) -> Value {
    let now = clock::now();
    let output = OutputView {
        name: name("high"),
        configuration: None,
        segments: Vec::new(),
        peak: Bitrate(20),
        average: Bitrate(21),
        frame_rate: None,
    };
    let meter = SourceMeter { bytes: 22, span: None, last: Some(now), bitrate: 23 };
    let snapshot = Snapshot {
        name: &stream_name("demo"),
        renditions: &[name("high"), name("low")],
        configurations: &BTreeMap::from([
            (Output::Rendition(1), OutputConfiguration::Video(video(640, 360))),
            (Output::Audio, OutputConfiguration::Audio(audio())),
        ]),
        view: &View { renditions: vec![output], ..View::default() },
        meter: &meter,
        age: Duration::from_secs(24),
        left_out: 25,
        placement: None,
        ended: None,
    };
    serde_json::to_value(snapshot.stats(report, clock::now())).expect("stats are JSON")
}

#[test]
fn every_field_comes_from_where_it_should() {
    let mut stats = shown(&report());
    let at = stats["last_failover"]["at"].take().as_u64().expect("an instant");
    let expected_at = millis(clock::unix_now()) - 19_000;
    assert!(at.abs_diff(expected_at) < 10_000, "{at} {expected_at}");
    let expected = json!({
        "tenant": "live", "name": "demo", "protocol": "rtmp", "state": "live",
        "node": "n1", "attempts": 3, "reattachments": 2,
        "source": {
            "video_codec": "h264", "width": 1920, "height": 1080, "fps": 29.5, "audio_codec": "aac",
            "other_tracks": [{ "kind": "video", "number": 1, "codec": "hv\\\"\\x01" }], "more_other_tracks": 2,
            "bitrate": 23, "gop_ms": 1950, "bytes": 22, "frames": 301,
        },
        "committed": { "frames": 240, "fragments": 9, "position_ms": 4000, "lag_ms": 1400 },
        "frames_lost": 11, "frames_duplicated": 12, "frames_undecodable": 13,
        "gop_log": { "gops": 14, "bytes": 15, "duration_ms": 16 },
        "last_failover": {
            "from": "n2", "to": "n3", "cause": "node_lost", "detected_ms": 17, "recovered_ms": 18, "at": null,
        },
        "last_failure": { "reason": "ffmpeg_crashed", "detail": "why" },
        "startup_ms": 26, "left_out": 25,
        "renditions": [
            { "name": "high", "width": null, "height": null, "bitrate": 21, "frames": 300 },
            { "name": "low", "width": 640, "height": 360, "bitrate": 0, "frames": 240 },
        ],
        "uptime_s": 24,
    });
    assert_eq!(stats, expected);
}

#[test]
fn what_is_not_known_is_null_or_zero() {
    let unknown = Report {
        node: None,
        video: None,
        audio: None,
        frame_rate: None,
        gop: None,
        committed_end: None,
        failover: None,
        ..report()
    };
    let stats = shown(&unknown);
    for field in ["video_codec", "width", "height", "fps", "audio_codec", "gop_ms"] {
        assert_eq!(stats["source"][field], Value::Null, "{field}");
    }
    assert_eq!((&stats["node"], &stats["last_failover"]), (&Value::Null, &Value::Null));
    assert_eq!((&stats["committed"]["lag_ms"], &stats["committed"]["position_ms"]), (&json!(0), &json!(0)));
    // Committed ahead of the source: rounding, not a negative lag.
    let ahead = Report { source_end: Ticks::ZERO, ..report() };
    assert_eq!(shown(&ahead)["committed"]["lag_ms"], json!(0));
}

#[test]
fn each_state_has_its_word() {
    for (state, word) in [
        (State::Live, "live"),
        (State::Waiting, "waiting"),
        (State::Reconnecting, "reconnecting"),
        (State::Quarantined, "quarantined"),
    ] {
        assert_eq!(shown(&Report { state, ..report() })["state"], word);
    }
}

#[test]
fn the_sources_bitrate_is_that_of_the_last_two_seconds() {
    let start = clock::now();
    let mut meter = SourceMeter::default();
    let mut bitrates = Vec::new();
    for half_seconds in 0..=8 {
        // 500 bytes, and from the third second on twice as many.
        let bytes = if half_seconds <= 4 { 500 } else { 1000 };
        meter.count(bytes, start + half_seconds * Duration::from_millis(500));
        bitrates.push(meter.bitrate);
    }
    assert_eq!(bitrates, [0, 0, 0, 0, 8_000, 8_000, 8_000, 8_000, 16_000]);
    assert_eq!(meter.bytes(), 6_500);
}
