//! Reads the audio access units of a file as hashes of their payload, with their presentation times.

use std::collections::BTreeMap;
use std::path::Path;

use super::ffmpeg::{run, text};
use super::frames::{complaints, fraction, to_micros};
use super::judge::Item;

/// An audio access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// MD5 of the payload, in hexadecimal.
    pub hash: String,
    /// When it is heard, in microseconds.
    pub at_us: i64,
}

/// All units of the first audio track, in the order of the file, and what FFmpeg complained about.
pub fn read(media: &Path) -> (Vec<Unit>, Vec<String>) {
    let output = run(&[
        "-loglevel level+error -copyts -i",
        text(media),
        "-map 0:a:0 -c copy -f framehash -hash md5 pipe:1",
    ]);
    let mut complaints = complaints(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        complaints.push(format!("ffmpeg could not read the audio: {}", output.status));
    }
    (units(&String::from_utf8_lossy(&output.stdout)), complaints)
}

/// Parses `#tb 0: 1/48000` and lines of `stream, dts, pts, duration, size, hash`.
fn units(listing: &str) -> Vec<Unit> {
    let mut time_base = (1, 1);
    let mut units = Vec::new();
    for line in listing.lines() {
        if let Some(rest) = line.strip_prefix("#tb 0:") {
            time_base = fraction(rest);
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let pts = fields.get(2).and_then(|field| field.parse().ok()).unwrap_or(i64::MIN);
            let hash = fields.last().copied().unwrap_or_default().to_owned();
            units.push(Unit { hash, at_us: to_micros(pts, time_base) });
        }
    }
    units
}

/// How much sound that is encoded anew may begin or last beside its source, in microseconds: encoders put silence before
/// it and fill their last frame; and of the last unit only the beginning is known (AC-3's lasts 32 ms, AAC's 21).
pub const LENGTH_TOLERANCE: i64 = 130_000;

/// What is wrong with the length of sound that was encoded anew.
pub fn compare_lengths(source: &[Unit], found: &[Unit]) -> Vec<String> {
    let length = |units: &[Unit]| Some(units.last()?.at_us - units.first()?.at_us);
    match (length(source), length(found)) {
        (Some(source), Some(found)) if (source - found).abs() <= LENGTH_TOLERANCE => Vec::new(),
        (source, found) => vec![format!("sound of {source:?} us has become {found:?} us")],
    }
}

/// How much later than in the source sound begins, in microseconds.
pub fn first_offset(source: &[Unit], found: &[Unit]) -> Option<i64> {
    Some(found.first()?.at_us - source.first()?.at_us)
}

/// Units as items that are named by their place in `source`, in which no two are equal.
pub fn items(source: &[Unit], units: &[Unit]) -> Vec<Item> {
    let places: BTreeMap<&str, u32> = source.iter().map(|unit| unit.hash.as_str()).zip(0..).collect();
    assert_eq!(places.len(), source.len(), "two audio units of the source are equal");
    let item = |unit: &Unit| Item { id: places.get(unit.hash.as_str()).copied(), at_us: unit.at_us };
    units.iter().map(item).collect()
}
