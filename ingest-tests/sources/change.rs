//! Parameters that change while the encoder stays connected: one discontinuity, and nothing is lost on either side.

use std::path::Path;

use super::row::check;
use super::source::{Piece, Source};
use crate::harness::ffmpeg::Ffmpeg;
use crate::harness::numbered::{H264, Numbered};
use crate::harness::rtmp::AUDIO;

/// Each side lasts so long; sound of the first side ends a little later than its pictures.
const SECONDS: u32 = 4;
const NEXT_MS: i64 = 4_050;
/// Pictures of the first side.
const COUNT: u32 = 120;

/// A source that is itself, and then `second`.
#[track_caller]
fn check_change(name: &str, discontinuities: usize, first: &Numbered, second: &Numbered) {
    check(name, |folder| {
        let first = Piece::whole(first.make(folder, "first.flv"));
        let second = Piece::later(second.make(folder, "second.flv"), NEXT_MS);
        Source { discontinuities, ..Source::of(vec![first, second]) }
    });
}

fn first() -> Numbered {
    Numbered { seconds: SECONDS, ..Numbered::new("30") }
}

fn second() -> Numbered {
    Numbered { first: COUNT, ..first() }
}

#[test]
fn resolution() {
    check_change("resolution", 1, &first(), &Numbered { picture: ",scale=256:144", ..second() });
}

/// What players get stays the same: there is no reason for a discontinuity.
#[test]
fn profile_and_level() {
    let baseline = format!("{H264} -profile:v baseline -level 3.1 -bf 0 -g 30");
    check_change("profile", 0, &Numbered { video: baseline, ..first() }, &second());
}

/// Sound of 48 kHz, and of 44.1 kHz; it begins with the picture, and not later.
const STEREO: &str = ",aformat=channel_layouts=stereo,asetpts=PTS-0.13/TB";
const STEREO_44_100: &str = ",aresample=44100,aformat=channel_layouts=stereo,asetpts=PTS-0.13/TB";
/// The same for the first side, where it may not begin before the picture.
const FIRST_STEREO: &str = ",aformat=channel_layouts=stereo";
const FIRST_MONO: &str = ",aformat=channel_layouts=mono";

/// The sound is another one from a key frame on. None of the first comes after the second is announced.
#[track_caller]
fn check_sound(name: &str, before: &'static str, after: &'static str) {
    check(name, |folder| {
        let first = Numbered { sound: Some(before), ..first() }.make(folder, "first.flv");
        let second = Numbered { sound: Some(after), ..second() }.make(folder, "second.flv");
        let mut source = Source::part(first, |kind, time| kind != AUDIO || time < NEXT_MS);
        source.pieces.push(Piece::later(second, NEXT_MS));
        Source { discontinuities: 1, ..source }
    });
}

#[test]
fn rate_of_the_sound() {
    check_sound("audio 48 to 44.1", FIRST_STEREO, STEREO_44_100);
}

#[test]
fn layout_of_the_sound() {
    check_sound("audio mono to stereo", FIRST_MONO, STEREO);
}

/// Where the other sound is announced: 0.55 s after a key frame.
const WITHIN_MS: i64 = 3_550;

/// Pictures go on; the sound is another one from the middle of a GOP on.
#[track_caller]
fn check_sound_within(name: &str, before: &'static str, after: &'static str) {
    check(name, |folder| {
        let pictures = Numbered { seconds: 2 * SECONDS, sound: Some(before), ..first() };
        let sound = Numbered { pictures: false, sound: Some(after), ..second() };
        let first = pictures.make(folder, "first.flv");
        let mut source = Source::part(first, |kind, time| kind != AUDIO || time < WITHIN_MS);
        let piece = Piece::later(sound.make(folder, "second.flv"), WITHIN_MS);
        source.pieces.push(Piece { pictures: false, keep: |kind, _| kind == AUDIO, ..piece });
        Source { discontinuities: 1, uneven_ms: 1_000, ..source }
    });
}

#[test]
fn rate_of_the_sound_within_a_gop() {
    check_sound_within("audio 48 to 44.1 in mid-GOP", FIRST_STEREO, STEREO_44_100);
}

#[test]
fn layout_of_the_sound_within_a_gop() {
    check_sound_within("audio mono to stereo in mid-GOP", FIRST_MONO, STEREO);
}

/// H.264, and then HEVC as Enhanced RTMP has it. FFmpeg 5.1 reads none.
#[test]
fn codec() {
    check("codec", |folder| {
        let first = Piece::whole(first().make(folder, "first.flv"));
        // Its sound begins a little before its pictures.
        let second = Piece { shift_ms: NEXT_MS + 60, ..hevc(&second(), folder) };
        Source { nodes: vec![Ffmpeg::Current], ..Source::of(vec![first, second]) }
    });
}

/// HEVC, in FLV and in a file that FFmpeg 5.1 reads.
pub fn hevc(made: &Numbered, folder: &Path) -> Piece {
    if !Ffmpeg::Current.is_installed() {
        return Piece::whole(made.make(folder, "hevc.flv"));
    }
    let x265 = "-c:v libx265 -preset ultrafast -bf 0 -x265-params keyint=30:min-keyint=30:scenecut=0:log-level=error";
    let file =
        Numbered { video: x265.to_owned(), ..made.clone() }.make_with(Ffmpeg::Current, folder, "hevc.flv");
    let content = folder.join("hevc.mkv");
    let (from, to) = (crate::harness::ffmpeg::text(&file), crate::harness::ffmpeg::text(&content));
    crate::harness::ffmpeg::run_ok_with(
        Ffmpeg::Current,
        &["-loglevel error -copyts -i", from, "-c copy", to],
    );
    Piece { content, ..Piece::whole(file) }
}
