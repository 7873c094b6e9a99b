//! Frame rates, B-frames and GOPs.

use super::row::check;
use super::source::Source;
use crate::harness::numbered::{H264, Numbered};

/// A source of this rate, with a GOP of about a second.
#[track_caller]
fn check_rate(rate: &'static str, gop: u32) {
    let video = format!("{H264} -bf 2 -g {gop}");
    check(rate, |folder| Source::new(Numbered { video, ..Numbered::new(rate) }.make(folder, "rate.flv")));
}

#[test]
fn rate_24() {
    check_rate("24", 24);
}

#[test]
fn rate_29_97() {
    check_rate("30000/1001", 30);
}
