//! Sound of all rates, layouts and codecs, copied and encoded.

use serde_json::json;

use super::row::check;
use super::source::Source;
use crate::harness::clip::Sound;
use crate::harness::numbered::{AAC, Numbered};

const ENCODED: &str = "audio = \"aac:128k\"";

/// Encoders put silence before what they are given.
const PRIMING_MS: i64 = 130;

/// Filters that make sound of these.
const STEREO_44_100: &str = ",aresample=44100,aformat=channel_layouts=stereo";
const MONO: &str = ",aformat=channel_layouts=mono";
const FIVE_ONE: &str = ",pan=5.1|c0=c0|c1=0.9*c0|c2=0.8*c0|c3=0.3*c0|c4=0.6*c0|c5=0.5*c0";

/// AAC that is copied.
#[track_caller]
fn check_copied(name: &str, filters: &'static str) {
    check(name, |folder| {
        let made = Numbered { sound: Some(filters), ..Numbered::new("30") };
        let file = made.make(folder, "source.flv");
        Source { fields: vec![("audio_codec", json!("aac"))], ..Source::new(file) }
    });
}

/// Sound that is encoded anew: where each piece of it is, to the sample.
#[track_caller]
fn check_encoded(name: &str, filters: &'static str, audio: &'static str) {
    check(name, |folder| {
        let made = Numbered { seconds: 8, sound: Some(filters), audio, ..Numbered::new("30") };
        let file = made.make(folder, "source.flv");
        Source { audio: ENCODED, sound: Some(Sound::Encoded), uneven_ms: PRIMING_MS, ..Source::new(file) }
    });
}

#[test]
fn copied_at_44_100() {
    check_copied("44.1 kHz, copied", STEREO_44_100);
}

#[test]
fn copied_mono() {
    check_copied("mono, copied", MONO);
}

#[test]
fn copied_5_1() {
    check_copied("5.1, copied", FIVE_ONE);
}

#[test]
fn encoded_from_44_100() {
    check_encoded("44.1 kHz, encoded", STEREO_44_100, AAC);
}

#[test]
fn encoded_from_mono() {
    check_encoded("mono, encoded", MONO, AAC);
}

#[test]
fn encoded_from_5_1() {
    check_encoded("5.1, encoded", FIVE_ONE, AAC);
}

#[test]
fn encoded_from_mp3() {
    check_encoded("MP3, encoded", STEREO_44_100, "-c:a libmp3lame -b:a 128k");
}
