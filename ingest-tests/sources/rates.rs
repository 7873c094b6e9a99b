//! Frame rates, B-frames and GOPs.

use serde_json::json;

use super::row::check;
use super::source::Source;
use crate::harness::numbered::{H264, Numbered};
use crate::harness::reference::Loss;

/// A source of this rate, which stats must tell, with a GOP of about a second.
#[track_caller]
fn check_rate(rate: &'static str, gop: u32, told: f64) {
    let video = format!("{H264} -bf 2 -g {gop}");
    check(rate, |folder| {
        let file = Numbered { video, ..Numbered::new(rate) }.make(folder, "source.flv");
        Source { fields: vec![("fps", json!(told)), ("height", json!(180))], ..Source::new(file) }
    });
}

#[test]
fn rate_24() {
    check_rate("24", 24, 24.0);
}

#[test]
fn rate_25() {
    check_rate("25", 25, 25.0);
}

#[test]
fn rate_29_97() {
    check_rate("30000/1001", 30, 29.97);
}

#[test]
fn rate_30() {
    check_rate("30", 30, 30.0);
}

#[test]
fn rate_50() {
    check_rate("50", 50, 50.0);
}

#[test]
fn rate_60() {
    check_rate("60", 60, 60.0);
}

/// Intervals of 10 to 200 ms, as a screen has that is sent when it changes.
#[test]
fn rate_that_varies() {
    check("variable", |folder| {
        let picture = ",settb=1/1000,setpts='if(eq(N,0),0,PREV_OUTPTS+10+floor(190*random(0)))'";
        let video = format!("{H264} -bf 2 -g 12 -enc_time_base:v 1:1000");
        Source::new(Numbered { picture, video, ..Numbered::new("10") }.make(folder, "source.flv"))
    });
}

/// GOPs of two pictures.
#[test]
fn rate_1() {
    check("1", |folder| {
        let video = format!("{H264} -bf 0 -g 2");
        let file = Numbered { video, seconds: 16, ..Numbered::new("1") }.make(folder, "source.flv");
        Source { speed: 2, ..Source::new(file) }
    });
}

/// A source of 30 a second with these options of x264.
#[track_caller]
fn check_x264(name: &str, options: &str) {
    check(name, |folder| {
        let video = format!("{H264} {options}");
        Source::new(Numbered { video, ..Numbered::new("30") }.make(folder, "source.flv"))
    });
}

#[test]
fn no_b_frames() {
    check_x264("no B-frames", "-bf 0 -g 60");
}

#[test]
fn many_b_frames() {
    check_x264("8 B-frames", "-bf 8 -b_strategy 0 -b-pyramid normal -g 60");
}

#[test]
fn gops_of_half_a_second() {
    check_x264("GOP 0.5 s", "-bf 2 -g 15");
}

#[test]
fn gops_of_2_s() {
    check_x264("GOP 2 s", "-bf 2 -g 60");
}

/// GOPs of so many pictures at a low rate, published faster than real time, and kept for so long.
#[track_caller]
fn check_long(name: &str, made: &Numbered, speed: u32, log: &'static str) {
    check(name, |folder| {
        let mut source = Source::new(made.make(folder, "source.flv"));
        source.sections.push(("gop_log", log));
        Source { speed, ..source }
    });
}

#[test]
fn gops_of_10_s() {
    let video = format!("{H264} -bf 2 -g 150");
    let made = Numbered { seconds: 24, video, ..Numbered::new("15") };
    check_long("GOP 10 s", &made, 3, "max_duration = \"60s\"");
}

/// Longer than a segment may be.
#[test]
fn gops_of_60_s() {
    let video = format!("{H264} -bf 0 -g 240");
    let made = Numbered { seconds: 128, video, ..Numbered::new("4") };
    check_long("GOP 60 s", &made, 10, "max_duration = \"200s\"");
}

/// A log of 4 s holds no GOP of this source: while all goes well nothing is lost, and after a kill what was not kept.
#[test]
fn gops_longer_than_the_log() {
    check("GOP > log", |folder| {
        let video = format!("{H264} -bf 0 -g 100");
        let made = Numbered { seconds: 32, video, ..Numbered::new("10") };
        let mut source = Source::new(made.make(folder, "source.flv"));
        source.sections.push(("gop_log", "max_duration = \"4s\""));
        Source { speed: 3, loss_by_kill: Loss::Counted, ..source }
    });
}
