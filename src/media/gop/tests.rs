//! Bounds, cursors and release, each by one example; and a model test of a reader beside a writer.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const A: SectionId = SectionId(1);
const B: SectionId = SectionId(2);

fn unit(track: TrackKind, millis: i64, random_access: bool, bytes: usize) -> AccessUnit {
    let time = Ticks::from_millis(millis);
    let payload = Bytes::from(vec![0; bytes]);
    AccessUnit { track, decode_time: time, presentation_time: time, random_access, payload }
}

fn key(millis: i64) -> AccessUnit {
    unit(TrackKind::Video, millis, true, 100)
}

fn delta(millis: i64) -> AccessUnit {
    unit(TrackKind::Video, millis, false, 10)
}

fn sound(millis: i64) -> AccessUnit {
    unit(TrackKind::Audio, millis, false, 5)
}

fn log(max_millis: i64, max_bytes: usize) -> GopLog {
    GopLog::new(GopLogLimits { max_duration: Ticks::from_millis(max_millis), max_bytes })
}

/// What GOPs of so many access units with these payloads cost.
fn cost(gops: usize, units: usize, payload_bytes: usize) -> usize {
    gops * GOP_BYTES + units * UNIT_BYTES + payload_bytes
}

fn millis(read: Read<'_>) -> Option<i64> {
    match read {
        Read::Unit(unit) => Some(unit.decode_time.as_millis()),
        Read::CaughtUp | Read::SectionEnd | Read::FellOff => None,
    }
}

#[test]
fn nothing_is_kept_before_the_first_random_access_point() {
    let mut log = log(1000, 10_000);
    assert_eq!(log.append(delta(0), A), Appended::Undecodable);
    assert_eq!(log.append(sound(0), A), Appended::Undecodable);
    assert_eq!(log.append(key(10), A), Appended::Kept);
    assert_eq!(log.append(sound(20), A), Appended::Kept);
    assert_eq!((log.len(), log.bytes()), (1, cost(1, 2, 105)));
    assert_eq!(log.append(sound(20), B), Appended::Undecodable, "another section has no GOP yet");
    assert_eq!(
        log.append(unit(TrackKind::Audio, 20, true, 5), B),
        Appended::Kept,
        "without video audio begins GOPs"
    );
}

#[test]
fn a_reader_gets_everything_once_and_stops_at_the_section() {
    let mut log = log(10_000, 10_000);
    for unit in [key(0), sound(5), delta(10), key(20), delta(30)] {
        log.append(unit, A);
    }
    let mut cursor = log.cursor_at(0);
    let seen: Vec<_> = std::iter::from_fn(|| millis(log.read(&mut cursor))).collect();
    assert_eq!(seen, [0, 5, 10, 20, 30]);
    assert_eq!(log.read(&mut cursor), Read::CaughtUp);
    log.append(key(40), B);
    assert_eq!(log.read(&mut cursor), Read::SectionEnd);
    assert_eq!(log.read(&mut cursor), Read::SectionEnd, "and stays there");
}

#[test]
fn over_the_bound_whole_gops_leave_and_a_late_reader_is_told() {
    let mut log = log(10_000, cost(2, 2, 250));
    let mut late = log.cursor_at(0);
    for time in [0, 10, 20] {
        log.append(key(time), A);
    }
    assert_eq!((log.len(), log.bytes()), (2, cost(2, 2, 200)));
    assert_eq!(log.read(&mut late), Read::FellOff);
    let mut there = log.cursor_at(1);
    assert_eq!(millis(log.read(&mut there)), Some(10));
}

#[test]
fn a_gop_longer_than_the_log_is_cut_at_the_front_and_an_up_to_date_reader_goes_on() {
    let mut log = log(100, 10_000);
    log.append(key(0), A);
    let mut cursor = log.cursor_at(0);
    let mut late = cursor;
    assert_eq!(millis(log.read(&mut cursor)), Some(0));
    for time in [40, 80, 120, 160] {
        log.append(delta(time), A);
        assert_eq!(millis(log.read(&mut cursor)), Some(time));
    }
    assert!(log.duration() <= Ticks::from_millis(100));
    assert!(!log.gops().next().expect("one GOP is there").is_whole());
    assert_eq!(log.read(&mut late), Read::FellOff);
}

#[test]
fn the_newest_unit_stays_even_if_it_alone_is_over_the_bound() {
    let mut log = log(100, 50);
    log.append(key(0), A);
    assert_eq!((log.len(), log.bytes()), (1, cost(1, 1, 100)));
}

#[test]
fn release_lets_go_of_what_is_done_but_never_of_the_newest() {
    let mut log = log(10_000, 10_000);
    for time in [0, 10, 20] {
        log.append(key(time), A);
    }
    log.release_before(1);
    assert_eq!(log.gops().map(Gop::number).collect::<Vec<_>>(), [1, 2]);
    log.release_before(9);
    assert_eq!(log.gops().map(Gop::number).collect::<Vec<_>>(), [2]);
    assert_eq!(log.bytes(), cost(1, 1, 100));
}

/// Whose clock stands still is bounded by bytes alone.
#[test]
fn small_payloads_cost_what_their_access_units_take() {
    let mut log = log(10_000, 100_000);
    log.append(key(0), A);
    for _ in 0..100_000 {
        log.append(unit(TrackKind::Video, 0, false, 1), A);
    }
    assert!(log.bytes() <= 100_000);
    let held = log.gops().map(|gop| gop.units.len()).sum::<usize>();
    assert!(held <= 100_000 / size_of::<AccessUnit>(), "{held}");
    for _ in 0..1_000 {
        log.append(unit(TrackKind::Video, 0, true, 1), A);
    }
    assert!(log.len() <= 100_000 / (size_of::<Gop>() + size_of::<AccessUnit>()), "{}", log.len());
}

proptest! {
    /// A reader that keeps up sees every unit that the log kept, in order, whatever is released behind it.
    #[test]
    fn a_reader_that_keeps_up_misses_nothing(kinds in prop::collection::vec(0u8..4, 1..200)) {
        let mut log = log(300, 9_000);
        let mut cursor = log.cursor_at(0);
        let (mut kept, mut read) = (Vec::new(), Vec::new());
        for (at, kind) in kinds.into_iter().enumerate() {
            let time = i64::try_from(at).expect("a few hundred") * 10;
            let unit = match kind { 0 => key(time), 1 => sound(time), _ => delta(time) };
            if log.append(unit, A) == Appended::Kept {
                kept.push(time);
            }
            read.extend(std::iter::from_fn(|| millis(log.read(&mut cursor))));
            prop_assert!(log.bytes() <= 9_000 && log.duration() <= Ticks::from_millis(300));
            if kind == 3 {
                log.release_before(cursor.gop);
            }
        }
        prop_assert_eq!(read, kept);
    }
}
