//! Sound: copied and encoded, of all rates and layouts, missing, late, and beside the picture.

use super::row::check;
use super::source::Source;
use crate::harness::clip::Sound;
use crate::harness::numbered::Numbered;

const ENCODED: &str = "audio = \"aac:128k\"";

#[test]
fn encoded_from_44_100() {
    check("44.1 kHz, encoded", |folder| {
        let made = Numbered {
            sound: Some(",aresample=44100,aformat=channel_layouts=stereo"),
            ..Numbered::new("30")
        };
        Source { audio: ENCODED, sound: Some(Sound::Encoded), ..Source::new(made.make(folder, "source.flv")) }
    });
}
