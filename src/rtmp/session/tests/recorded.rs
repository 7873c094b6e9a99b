//! What real encoders sent (`fixtures/rtmp/README.md`).

use super::*;

/// FFmpeg signs its handshake whenever it publishes.
pub(super) const SIGNED: &[u8] = include_bytes!("../../../../fixtures/rtmp/ffmpeg-5.1-h264-aac.bin");

fn replay(bytes: &[u8]) -> (PublishRequest, Vec<Tag>) {
    let mut outcome = run(bytes);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.events.pop(), Some(Event::PublishEnded));
    let mut events = outcome.events.into_iter();
    let Some(Event::PublishRequested(request)) = events.next() else { panic!("no request") };
    let tags = events.map(|event| if let Event::Media(tag) = event { tag } else { panic!("{event:?}") });
    (request, tags.collect())
}

/// Times of a kind's tags, sequence headers (second byte 0) and the end of the sequence (2) left out.
fn times(tags: &[Tag], kind: TagKind) -> Vec<u32> {
    let coded = tags.iter().filter(|tag| tag.kind == kind && tag.payload[1] == 1);
    coded.map(|tag| tag.timestamp_ms).collect()
}

fn check_h264_aac(bytes: &[u8], encoder: &str, start_ms: u32) {
    let (request, tags) = replay(bytes);
    assert_eq!((request.app.as_str(), request.stream.as_str()), ("demo", "cam?key=secret"));
    assert!(request.encoder.contains(encoder), "{}", request.encoder);
    assert!(request.tc_url.ends_with("/demo"));
    assert_eq!(tags[0].kind, TagKind::Script);
    assert!(tags[0].payload.starts_with(b"\x02\x00\x0aonMetaData\x08"));
    let video = times(&tags, TagKind::Video);
    assert_eq!(video, (0..20).map(|frame| video[0] + 100 * frame).collect::<Vec<_>>());
    assert!(video[0].abs_diff(start_ms) < 100, "{}", video[0]);
    check_aac_times(&times(&tags, TagKind::Audio));
}

/// 1024 samples at 44.1 kHz, rounded to milliseconds, for two seconds.
fn check_aac_times(times: &[u32]) {
    assert!((86..=88).contains(&times.len()), "{}", times.len());
    for (at, time) in (0u32..).zip(times) {
        assert!(time.abs_diff(times[0] + at * 10_240 / 441) <= 1, "{at}: {time}");
    }
}

#[test]
fn ffmpeg_publishes_h264_and_aac() {
    check_h264_aac(include_bytes!("../../../../fixtures/rtmp/ffmpeg-5.1-h264-aac.bin"), "Lavf59", 0);
    check_h264_aac(include_bytes!("../../../../fixtures/rtmp/ffmpeg-9.0-h264-aac.bin"), "Lavf", 0);
}

#[test]
fn ffmpeg_passes_the_extended_timestamp() {
    let bytes = include_bytes!("../../../../fixtures/rtmp/ffmpeg-5.1-extended-timestamp.bin");
    check_h264_aac(bytes, "Lavf59", 16_777_000);
}

/// Equal sizes make FFmpeg send type 3 chunks: who loses their deltas ends seconds early.
#[test]
fn ffmpeg_publishes_silence_at_its_full_length() {
    let (_, tags) = replay(include_bytes!("../../../../fixtures/rtmp/ffmpeg-5.1-silent-aac.bin"));
    check_aac_times(&times(&tags, TagKind::Audio));
}
