//! Judges a stream whose clip came in two takes: each is complete, and in itself at its times, and the second comes right
//! after the first. How far after is not the source's to say, so times are not compared from one take to the other.

use super::clip::{Clip, GOP_FRAMES};
use super::judge::{self, Item};
use super::player::Recording;
use super::track::Kind;
use super::{audio, frames};

/// Frames keep their time to a millisecond.
const TOLERANCE_US: i64 = 1_000;

/// What is wrong with a recording of which the first `gops` GOPs of the clip are one take and the rest is another.
pub fn judge(recording: &Recording, clip: &Clip, gops: usize) -> Vec<String> {
    let mut findings = Vec::new();
    let is_first = |item: &Item| item.id < u32::try_from(gops * GOP_FRAMES).ok();
    for track in recording.of(Kind::Video) {
        let (found, complaints) = frames::read(&track.file);
        let (first, second): (Vec<Item>, Vec<Item>) = found.iter().partition(|item| is_first(item));
        let (one, two): (Vec<Item>, Vec<Item>) = clip.frames.iter().partition(|item| is_first(item));
        findings.extend(complaints);
        findings.extend(judge::compare("frames of the first take", &one, &first, TOLERANCE_US));
        findings.extend(judge::compare("frames of the second take", &two, &second, TOLERANCE_US));
        let ordered = found.windows(2).all(|pair| pair[0].id < pair[1].id && pair[0].at_us < pair[1].at_us);
        if !ordered {
            findings.push("the takes are not one after the other".to_owned());
        }
    }
    for track in recording.of(Kind::Audio) {
        let (found, complaints) = audio::read(&track.file);
        let found = audio::items(&clip.units, &found);
        findings.extend(complaints);
        if !found.windows(2).all(|pair| pair[0].id < pair[1].id && pair[0].at_us < pair[1].at_us) {
            findings.push("sound is doubled or out of order".to_owned());
        }
        // Two units where the takes meet may fall to the cut.
        if found.len() + 2 < clip.units.len() || found.iter().any(|item| item.id.is_none()) {
            findings.push(format!("{} audio units of {}", found.len(), clip.units.len()));
        }
    }
    findings
}
