//! Clocks of senders that jump, stand, stagger and wrap: the timeline goes on.

use super::row::check;
use super::source::{Source, Stamp};
use crate::harness::numbered::{H264, Numbered};
use crate::harness::rtmp::VIDEO;

/// A sound source whose times are changed on the way.
#[track_caller]
fn check_clock(name: &str, stamp: Stamp) {
    check(name, |folder| Source { stamp, ..Source::by_hand(Numbered::new("30").make(folder, "source.flv")) });
}

/// The same without B-frames, whose order would be changed, where frames may be so many microseconds beside their place.
#[track_caller]
fn check_rough_clock(name: &str, stamp: Stamp, tolerance: i64) {
    check(name, |folder| {
        let video = format!("{H264} -bf 0 -g 30");
        let file = Numbered { video, ..Numbered::new("30") }.make(folder, "source.flv");
        Source { stamp, tolerance, ..Source::by_hand(file) }
    });
}

/// From here on the clock is another one: in the middle of a GOP.
const JUMP_AT: i64 = 2_500;

/// `time` with a jump of so many seconds.
fn jump(time: i64, seconds: i64) -> i64 {
    if time < JUMP_AT { time } else { time + seconds * 1_000 }
}

#[test]
fn jumps_1_s_ahead() {
    check_clock("+1 s", |_, time| jump(time, 1));
}

#[test]
fn jumps_1_s_back() {
    check_clock("-1 s", |_, time| jump(time, -1));
}

#[test]
fn jumps_a_minute_ahead() {
    check_clock("+60 s", |_, time| jump(time, 60));
}

/// The clock was at two minutes.
#[test]
fn jumps_a_minute_back() {
    check_clock("-60 s", |_, time| 120_000 + jump(time, -60));
}

#[test]
fn jumps_an_hour_ahead() {
    check_clock("+1 h", |_, time| jump(time, 3_600));
}

/// The clock was at two hours.
#[test]
fn jumps_an_hour_back() {
    check_clock("-1 h", |_, time| 7_200_000 + jump(time, -3_600));
}

/// Three pictures have one time.
#[test]
fn equal_times() {
    check_rough_clock(
        "equal times",
        |kind, time| if kind == VIDEO { time / 100 * 100 } else { time },
        110_000,
    );
}

/// Pictures are up to 20 ms beside their time, so that some come before the one before.
#[test]
fn times_that_stagger() {
    let stagger: Stamp = |kind, time| if kind == VIDEO { 20 + time + (time * 7_919) % 41 - 20 } else { time };
    check_rough_clock("jitter of 20 ms", stagger, 45_000);
}

#[test]
fn wraps_at_2_to_the_31() {
    check_clock("wrap at 2^31", |_, time| (1 << 31) - 2_500 + time);
}

#[test]
fn wraps_at_2_to_the_32() {
    check_clock("wrap at 2^32", |_, time| (1 << 32) - 2_500 + time);
}

#[test]
fn starts_high() {
    check_clock("start at 4e9", |_, time| 4_000_000_000 + time);
}
