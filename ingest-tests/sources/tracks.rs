//! Tracks that are missing, late, announced in vain, or beside each other.

use super::row::check;
use super::source::{Keep, Source};
use crate::harness::numbered::Numbered;
use crate::harness::player::Gaps;
use crate::harness::reference::Pictures;
use crate::harness::rtmp::{AUDIO, VIDEO};

#[test]
fn no_sound() {
    check("no audio", |folder| {
        let file = Numbered { sound: None, ..Numbered::new("30") }.make(folder, "source.flv");
        Source { sound: None, ..Source::new(file) }
    });
}

#[test]
fn sound_only() {
    check("audio only", |folder| {
        let file = Numbered { pictures: false, seconds: 8, ..Numbered::new("30") }.make(folder, "source.flv");
        Source { pictures: Pictures::None, ..Source::new(file) }
    });
}

/// The metadata of a whole file, and some of its tags.
#[track_caller]
fn check_part(name: &str, keep: Keep, change: fn(Source) -> Source) {
    check(name, |folder| {
        let file = Numbered { seconds: 9, ..Numbered::new("30") }.make(folder, "source.flv");
        change(Source::part(file, keep))
    });
}

#[test]
fn sound_that_is_announced_never_comes() {
    check_part("audio claimed", |kind, _| kind != AUDIO, |source| Source { sound: None, ..source });
}

#[test]
fn a_picture_that_is_announced_never_comes() {
    let silent = |source| Source { pictures: Pictures::None, ..source };
    check_part("video claimed", |kind, _| kind != VIDEO, silent);
}

/// Players are told that there is nothing while there is no sound.
fn with_gaps(source: Source) -> Source {
    Source { gaps: Gaps::Sound, ..source }
}

/// What its decoder needs comes first, as from FFmpeg.
#[test]
fn sound_begins_3_s_late() {
    check_part("audio 3 s later", |kind, time| kind != AUDIO || time == 0 || time >= 3_000, with_gaps);
}

#[test]
fn sound_stops_for_4_s() {
    let heard: Keep = |kind, time| kind != AUDIO || !(2_500..6_500).contains(&time);
    check_part("audio stops 4 s", heard, with_gaps);
}

/// Its times are a second behind those of pictures that come with it.
#[test]
fn sound_is_a_second_early() {
    check("audio 1 s early", |folder| {
        let made = Numbered { picture: ",setpts=PTS+1/TB", ..Numbered::new("30") };
        let file = made.make(folder, "source.flv");
        let arrival = |kind, time| if kind == AUDIO { time + 1_000 } else { time };
        Source { arrival, uneven_ms: 1_100, ..Source::by_hand(file) }
    });
}

/// Its times are a second ahead.
#[test]
fn sound_is_a_second_late() {
    check("audio 1 s late", |folder| {
        let sound = Some(",aformat=channel_layouts=stereo,asetpts=PTS+1/TB");
        let file = Numbered { sound, ..Numbered::new("30") }.make(folder, "source.flv");
        let arrival = |kind, time| if kind == AUDIO { time - 1_000 } else { time };
        Source { arrival, uneven_ms: 1_100, ..Source::by_hand(file) }
    });
}
