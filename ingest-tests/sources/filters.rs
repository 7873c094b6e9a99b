//! Profiles whose filters break one-to-one: rates of their own, and deinterlacing.

use super::row::check;
use super::source::Source;
use crate::harness::numbered::{H264, Numbered};
use crate::harness::reference::Pictures;

/// A source of 30 a second in renditions of another rate, which is `rate / per` a second.
#[track_caller]
fn check_fps(written: &str, rate: i64, per: i64) {
    check(&format!("fps = {written}"), |folder| {
        let mut source = Source::new(Numbered::new("30").make(folder, "source.flv"));
        let encoder = format!("encoder = \"libx264\", fps = {written}");
        source.renditions = source.renditions.replace("encoder = \"libx264\"", &encoder);
        Source { pictures: Pictures::Grid(rate, per), ..source }
    });
}

#[test]
fn half_the_rate() {
    check_fps("15", 15, 1);
}

#[test]
fn twice_the_rate() {
    check_fps("60", 60, 1);
}

#[test]
fn rate_of_films() {
    check_fps("\"24000/1001\"", 24_000, 1_001);
}

/// Two numbered pictures in one, 15 a second: `shown` picks those that must come out of the 30 there were.
#[track_caller]
fn check_interlaced(mode: &str, shown: &'static str) {
    check(&format!("deinterlace = {mode}"), |folder| {
        let video = format!("{H264} -bf 0 -g 30");
        let shown = Numbered { picture: shown, video: video.clone(), ..Numbered::new("30") };
        let interlaced = ",tinterlace=mode=interleave_top,setfield=tff";
        let video = format!("{video} -flags +ildct+ilme -x264opts tff=1");
        let sent = Numbered { picture: interlaced, video, ..Numbered::new("30") };
        let (content, file) = (shown.make(folder, "shown.flv"), sent.make(folder, "source.flv"));
        let mut source = Source::new(file);
        source.pieces[0].content = content;
        source.renditions = format!("{}\ndeinterlace = \"{mode}\"", source.renditions);
        source
    });
}

#[test]
fn deinterlaced_by_frame() {
    check_interlaced("frame", ",select='not(mod(n,2))'");
}

#[test]
fn deinterlaced_by_field() {
    check_interlaced("field", "");
}
