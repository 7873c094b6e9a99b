//! Encoders that come back within the grace time, with what they had and with other things.

use super::change::hevc;
use super::row::check;
use super::source::{Piece, Source, Stamp};
use crate::harness::ffmpeg::Ffmpeg;
use crate::harness::numbered::Numbered;
use crate::harness::pace::End;

/// When the second take begins, by the clock of the first: 1.5 s after its end.
const BACK_MS: i64 = 5_500;

fn first() -> Numbered {
    Numbered { seconds: 4, ..Numbered::new("30") }
}

fn second() -> Numbered {
    Numbered { first: 120, ..first() }
}

/// What is lost, and found again.
#[track_caller]
fn check_back(name: &str, discontinuities: usize, second: &Numbered, stamp: Stamp) {
    check(name, |folder| {
        let first = Piece::whole(first().make(folder, "first.flv"));
        let second = Piece::later(second.make(folder, "second.flv"), BACK_MS);
        let pieces = vec![first, Piece { after: Some(End::Reset), ..second }];
        Source { discontinuities, stamp, ..Source::of(pieces) }
    });
}

#[test]
fn with_the_same() {
    check_back("back with the same", 0, &second(), |_, time| time);
}

#[test]
fn with_its_clock_at_zero() {
    let zero: Stamp = |_, time| if time < BACK_MS { time } else { time - BACK_MS };
    check_back("back at zero", 0, &second(), zero);
}

#[test]
fn with_another_resolution() {
    let other = Numbered { picture: ",scale=256:144", ..second() };
    check_back("back with another size", 1, &other, |_, time| time);
}

#[test]
fn with_another_codec() {
    check("back with another codec", |folder| {
        let first = Piece::whole(first().make(folder, "first.flv"));
        let second = Piece { shift_ms: BACK_MS, after: Some(End::Reset), ..hevc(&second(), folder) };
        Source { nodes: vec![Ffmpeg::Current], ..Source::of(vec![first, second]) }
    });
}
