//! Where attempts begin, and what the log may let go, by what is committed.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::media::gop::{GopLogLimits, SectionId};
use crate::media::track::TrackKind;
use crate::stream::example::{append_gop, at, audio, log, section, unit};
use crate::wire::message::Fragment;

/// A rendition of which everything up to `end_ms` is committed.
fn rendition(end_ms: i64) -> VideoCommit {
    let mut commit = VideoCommit::default();
    commit.begin_section(Ticks::ZERO);
    let (position, end) = (Ticks::ZERO, at(end_ms));
    let (first_presentation, last_presentation) = (position, end - Ticks(1));
    let (rendition, access_units, data) = (0, 1, Bytes::new());
    let fragment = Fragment {
        rendition,
        position,
        end: Some(end),
        first_presentation,
        last_presentation,
        access_units,
        data,
    };
    assert_eq!(commit.offer(&fragment, end), end_ms > 0);
    commit
}

/// Audio of which every access unit heard before `end_ms` is committed.
fn sound(end_ms: i64) -> AudioCommit {
    let mut commit = AudioCommit::default();
    commit.configure(&audio());
    commit.offer(at(end_ms) - Ticks::from_samples(1024, 48_000));
    commit
}

/// Section 1 has `gops` GOPs of a second each, from zero.
fn seconds(gops: i64) -> GopLog {
    let mut log = log();
    (0..gops).for_each(|gop| append_gop(&mut log, 1, gop * 1_000, gop * 1_000 + 1_000));
    log
}

fn committed<'a>(renditions: &'a [VideoCommit], audio: Option<&'a AudioCommit>) -> Committed<'a> {
    Committed { renditions, audio, flow: AudioFlow::Flows, unheard: None }
}

/// Expects the number of the GOP where an attempt begins, and that of the first one needed.
#[track_caller]
fn check(committed: Committed<'_>, log: &GopLog, start: Option<u64>, needed: Option<u64>) {
    let section = section(1, 60_000);
    let found = committed.start(log, &section);
    assert_eq!(found.map(|start| start.cursor), start.map(|number| log.cursor_at(number)));
    assert_eq!(committed.needed_from(log, &section), needed);
}

#[track_caller]
fn check_video(ends: &[i64], log: &GopLog, start: Option<u64>, needed: Option<u64>) {
    let renditions: Vec<_> = ends.iter().map(|&end| rendition(end)).collect();
    check(committed(&renditions, None), log, start, needed);
}

#[test]
fn without_output_an_attempt_begins_at_the_first_gop() {
    check_video(&[0, 0], &seconds(3), Some(0), Some(0));
    let fresh = [VideoCommit::default()];
    check(committed(&fresh, None), &seconds(3), Some(0), Some(0));
    check_video(&[0], &log(), None, None);
}

#[test]
fn one_gop_before_the_first_open_one_is_warm_up() {
    check_video(&[1_000], &seconds(4), Some(0), Some(0));
    check_video(&[2_000], &seconds(4), Some(1), Some(1));
    check_video(&[2_500], &seconds(4), Some(1), Some(1));
    check_video(&[2_996], &seconds(4), Some(2), Some(2));
    check_video(&[2_995], &seconds(4), Some(1), Some(1));
}

#[test]
fn the_slowest_rendition_decides() {
    check_video(&[3_000, 1_000, 3_000], &seconds(4), Some(0), Some(0));
}

#[test]
fn the_last_gop_is_open_whatever_is_committed() {
    check_video(&[9_000], &seconds(4), Some(2), Some(2));
}

#[test]
fn audio_that_lags_holds_its_gops() {
    let mut log = log();
    for second in [0, 1_000, 2_000, 3_000] {
        append_gop(&mut log, 1, second, second + 1_000);
        log.append(unit(TrackKind::Audio, second + 990, false), SectionId(1));
    }
    let renditions = [rendition(3_000)];
    let check_audio = |audio: AudioCommit, needed: u64| {
        let committed = committed(&renditions, Some(&audio));
        check(committed, &log, Some(needed), Some(needed));
    };
    check_audio(AudioCommit::default(), 0);
    check_audio(sound(990), 0);
    check_audio(sound(1_011), 0);
    check_audio(sound(2_011), 1);
    check_audio(sound(3_011), 2);
    check(committed(&renditions, None), &log, Some(2), Some(2));
}

#[test]
fn a_gop_without_audio_is_not_held_for_it() {
    let (renditions, audio) = ([rendition(2_000)], AudioCommit::default());
    check(committed(&renditions, Some(&audio)), &seconds(4), Some(1), Some(1));
}

#[test]
fn other_sections_are_of_no_account() {
    let mut log = log();
    append_gop(&mut log, 7, 0, 1_000);
    (1..3).for_each(|gop| append_gop(&mut log, 1, gop * 1_000, gop * 1_000 + 1_000));
    append_gop(&mut log, 8, 3_000, 4_000);
    check_video(&[1_000], &log, Some(1), Some(1));
    check_video(&[2_000], &log, Some(1), Some(1));
    check_video(&[3_000], &log, Some(1), Some(1));
    let gone = section(9, 0);
    let committed = committed(&[], None);
    assert_eq!((committed.start(&log, &gone), committed.needed_from(&log, &gone)), (None, None));
}

#[test]
fn a_truncated_gop_is_waited_out() {
    let mut log = GopLog::new(GopLogLimits { max_duration: at(1_000), max_bytes: 1 << 20 });
    append_gop(&mut log, 1, 0, 5_000);
    check_video(&[0], &log, None, Some(0));
    append_gop(&mut log, 1, 5_000, 5_100);
    check_video(&[0], &log, Some(1), Some(1));
}

#[test]
fn without_its_warm_up_an_attempt_begins_at_the_open_gop() {
    let mut log = seconds(4);
    log.release_before(2);
    check_video(&[2_000], &log, Some(2), Some(2));
}

#[test]
fn the_base_is_a_multiple_of_1001_seconds_and_one_second_before_the_earliest_time_at_least() {
    let mut log = log();
    let mut first = unit(TrackKind::Video, 5_000, true);
    first.decode_time = at(4_900);
    log.append(first, SectionId(1));
    let mut sound = unit(TrackKind::Audio, 4_850, false);
    sound.presentation_time = at(4_850) + Ticks(7);
    sound.decode_time = sound.presentation_time;
    log.append(sound, SectionId(1));
    let renditions = [rendition(0)];
    let start = committed(&renditions, None).start(&log, &section(1, 0));
    let (cursor, position, earliest) = (log.cursor_at(0), at(5_000), at(4_850) + Ticks(7));
    assert_eq!(start, Some(Start { cursor, position, base: at(0), earliest, first_audio: Some(earliest) }));
    for (earliest, base) in
        [(0, -1_001_000), (999, -1_001_000), (1_000, 0), (1_001_999, 0), (1_002_000, 1_001_000)]
    {
        assert_eq!(base_before(at(earliest)), at(base), "{earliest} ms");
    }
}

proptest! {
    /// What may be released is never what the next attempt begins with.
    #[test]
    fn release_keeps_what_an_attempt_needs(gops in 1i64..12, ends in prop::collection::vec(0i64..12_000, 1..4)) {
        let mut log = seconds(gops);
        let renditions: Vec<_> = ends.iter().map(|&end| rendition(end)).collect();
        let committed = committed(&renditions, None);
        let section = section(1, 0);
        let before = committed.start(&log, &section);
        prop_assert!(before.is_some());
        let needed = committed.needed_from(&log, &section).expect("the last GOP is always needed");
        log.release_before(needed);
        prop_assert_eq!(committed.start(&log, &section), before);
        prop_assert!(log.gops().all(|gop| gop.number() >= needed));
        let slowest = ends.iter().min().expect("not empty");
        let open = log.gops().find(|gop| gop.position() + at(1_000 + 4) > at(*slowest));
        prop_assert!(open.is_none_or(|gop| gop.number() <= needed + 1));
    }
}

#[test]
fn audio_that_pauses_holds_no_gop_for_what_ffmpeg_holds_back() {
    let mut log = seconds(4);
    log.append(unit(TrackKind::Audio, 3_500, false), SectionId(1));
    let renditions = [rendition(4_000)];
    let audio = sound(3_500);
    let check = |audio: &AudioCommit, flow, done: bool| {
        let committed = Committed { flow, ..committed(&renditions, Some(audio)) };
        let gop = log.gops().last().expect("there are four");
        assert_eq!(committed.covers(gop, at(4_000)), done, "{flow:?}");
    };
    check(&audio, AudioFlow::Flows, true);
    let lacking = |units: i64| sound(3_500 - units * 1_024 / 48);
    check(&lacking(1), AudioFlow::Flows, false);
    check(&lacking(3), AudioFlow::Pauses, true);
    check(&lacking(4), AudioFlow::Pauses, false);
}

#[test]
fn an_attempt_begins_early_enough_for_what_is_unheard() {
    let log = seconds(6);
    let renditions = [rendition(5_000)];
    let base = |unheard| {
        let committed = Committed { unheard, ..committed(&renditions, None) };
        committed.start(&log, &section(1, 0)).map(|start| (start.position, start.earliest))
    };
    assert_eq!(base(None), Some((at(4_000), at(4_000))));
    assert_eq!(base(Some(at(1_234))), Some((at(4_000), at(1_234))));
    assert_eq!(base(Some(at(4_500))), Some((at(4_000), at(4_000))));
}
