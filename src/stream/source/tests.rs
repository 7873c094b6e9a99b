use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::media::gop::SectionId;
use crate::media::track::VideoCodec;
use crate::stream::example::{log, section, unit};

/// A log with `count` pictures of so many bytes, one each `step` milliseconds, of section 1, and a section that says `told`.
fn scene(count: i64, step: i64, bytes: usize, told: Option<f64>) -> (Section, GopLog) {
    let mut log = log();
    for number in 0..count {
        let payload = Bytes::from(vec![0; bytes]);
        let unit = AccessUnit { payload, ..unit(TrackKind::Video, number * step, number % 50 == 0) };
        log.append(unit, SectionId(1));
    }
    (Section { frame_rate: told, ..section(1, count * step) }, log)
}

/// Expects this of so many pictures each 40 ms where `told` is said.
#[track_caller]
fn check_rate(count: i64, told: Option<f64>, expected: Option<f64>) {
    let (section, log) = scene(count, 40, 10, told);
    assert_eq!(SourceMedia::of(&section, &log).fps, expected, "{count} {told:?}");
}

#[test]
fn the_rate_of_pictures_is_what_is_said_unless_what_comes_says_otherwise() {
    check_rate(1, Some(29.97), Some(29.97));
    check_rate(100, Some(24.0), Some(24.0));
    check_rate(100, None, Some(25.0));
    check_rate(100, Some(60.0), Some(25.0));
    // A time base. Nothing is known until there is a second of pictures.
    check_rate(100, Some(1_000.0), Some(25.0));
    check_rate(20, Some(1_000.0), None);
    check_rate(1, Some(f64::NAN), None);
    check_rate(0, None, None);
}

#[test]
fn codecs_and_size_are_those_of_the_section() {
    let (section, log) = scene(1, 40, 10, None);
    let source = SourceMedia::of(&section, &log);
    assert_eq!((source.video, source.audio), (Some(Carriage::H264), Some(Carriage::Aac)));
    assert_eq!((source.width, source.height), (64, 36));
    let mut hevc = section.clone();
    hevc.video.as_mut().expect("it has").codec = VideoCodec::Hevc;
    assert_eq!(SourceMedia::of(&hevc, &log).video, Some(Carriage::Hevc));
    let sound = SourceMedia::of(&Section { video: None, ..section }, &log);
    assert_eq!((sound.video, sound.width, sound.fps), (None, 0, None));
}

#[test]
fn only_the_sections_own_units_count() {
    let (section, mut log) = scene(51, 40, 1_000, None);
    let bitrate = |log: &GopLog| SourceMedia::of(&section, log).bitrate;
    // 51 pictures in 50 steps of 40 ms.
    assert_eq!(bitrate(&log), Some(Bitrate(51 * 8_000 / 2)));
    log.append(
        AccessUnit { payload: Bytes::from(vec![0; 99_999]), ..unit(TrackKind::Video, 9_000, true) },
        SectionId(2),
    );
    assert_eq!(bitrate(&log), Some(Bitrate(51 * 8_000 / 2)));
    // Of a long log the last part.
    let (section, log) = scene(3_000, 1, 10, None);
    assert_eq!(SourceMedia::of(&section, &log).bitrate, Some(Bitrate(1_024 * 80 * 1_000 / 1_023)));
}

/// The body of `onMetaData` with these numbers.
fn metadata(properties: &[(&str, f64)]) -> Bytes {
    let mut body = b"\x02\0\x0aonMetaData\x03".to_vec();
    for (name, value) in properties {
        body.extend_from_slice(&u16::try_from(name.len()).expect("short").to_be_bytes());
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(&value.to_be_bytes());
    }
    body.extend_from_slice(b"\0\0\x09");
    body.into()
}

/// Expects this of a section of which nothing has come but these numbers. It has 64x36 pixels at 25 pictures a second.
#[track_caller]
fn check_announced(properties: &[(&str, f64)], expected: Option<u64>) {
    let (mut section, log) = scene(1, 40, 10, Some(25.0));
    section.preamble.metadata = Some(metadata(properties));
    assert_eq!(SourceMedia::of(&section, &log).bitrate, expected.map(Bitrate), "{properties:?}");
}

#[test]
fn what_is_announced_counts_until_there_is_something_to_count() {
    check_announced(&[("videodatarate", 20.0), ("audiodatarate", 96.0)], Some(116_000));
    check_announced(&[("videodatarate", 20.0)], Some(20_000));
    check_announced(&[("audiodatarate", 96.0)], None);
    check_announced(&[("videodatarate", 0.0)], None);
    check_announced(&[], None);
    // Bits for kilobits: a bit for each pixel.
    check_announced(&[("videodatarate", 2_500_000.0)], Some(64 * 36 * 25));
    check_announced(&[("videodatarate", 1.0), ("audiodatarate", 128_000.0)], Some(1_000 + MOST_SOUND));
    let (mut section, log) = scene(51, 40, 1_000, None);
    section.preamble.metadata = Some(metadata(&[("videodatarate", 20.0)]));
    assert_eq!(SourceMedia::of(&section, &log).bitrate, Some(Bitrate(204_000)));
    section.video = None;
    section.preamble.metadata = Some(metadata(&[("videodatarate", 20.0), ("audiodatarate", 96.0)]));
    assert_eq!(SourceMedia::of(&section, &self::log()).bitrate, Some(Bitrate(96_000)), "sound alone");
}

proptest! {
    #[test]
    fn any_times_and_numbers_give_a_sane_source(
        times in prop::collection::vec(any::<i64>(), 0..40),
        told in proptest::option::of(any::<f64>()),
        kilobits in any::<f64>(),
    ) {
        let (mut section, mut log) = scene(0, 1, 0, told);
        section.preamble.metadata = Some(metadata(&[("videodatarate", kilobits), ("audiodatarate", kilobits)]));
        for time in times {
            log.append(AccessUnit { decode_time: Ticks(time), ..unit(TrackKind::Video, 0, true) }, SectionId(1));
        }
        let source = SourceMedia::of(&section, &log);
        prop_assert!(source.fps.is_none_or(|fps| fps > 0.0 && fps <= MOST_RATE), "{source:?}");
    }
}
