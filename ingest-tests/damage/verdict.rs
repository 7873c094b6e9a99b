//! The judgement: what came out against what was sent, frame by frame.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::source::{Source, is_picture, picture};
use crate::harness::ffmpeg::{run, text};
use crate::harness::judge::Item;
use crate::harness::player::Recording;
use crate::harness::track::{Kind, Track};
use crate::harness::{frames, offsets};

/// Half a frame: nearer to its own place than to any other.
const HALF_FRAME_US: i64 = 16_000;
/// Pictures keep their time to a millisecond.
const TOLERANCE_US: i64 = 1_500;

/// What is wrong with what came out of `source`.
pub fn judge(source: &Source, recording: &Recording, entry: Option<&Value>) -> Vec<String> {
    let mut findings = recording.judge_delivery(2);
    let mut videos = recording.of(Kind::Video);
    if let (Some(encoded), Some(copied)) = (videos.next(), videos.next()) {
        let (missing, found) = judge_frames(source, encoded);
        findings.extend(found);
        findings.extend(judge_copy(source, copied));
        if encoded.segments.len() < 2 && !source.is_one_gop {
            findings.push("it is not cut at its random access points".to_owned());
        }
        findings.extend(judge_counters(source.before + missing, entry));
    }
    if source.removed.is_empty() || source.before == 0 {
        let tracks = recording.of(Kind::Audio);
        findings.extend(tracks.flat_map(|track| source.clip.judge_audio(&track.file)));
    }
    findings.into_iter().map(|finding| format!("{}: {finding}", source.name)).collect()
}

/// Each frame once, at its time, with its number; only damaged ones may lack, or be unreadable. Gives how many lack that were
/// sent behind the first random access point, too.
fn judge_frames(source: &Source, track: &Track) -> (usize, Vec<String>) {
    let (found, mut findings) = frames::read(&track.file);
    let whole = |number: usize| !source.damaged.contains(&number);
    let known = |item: &&Item| item.id.is_some_and(|id| whole(id as usize));
    let at = |number: u32| source.clip.frames.get(number as usize).map(|frame| frame.at_us);
    let first = found.iter().find(known).and_then(|item| Some(item.at_us - at(item.id?)?));
    let Some(offset) = first else { return (0, vec!["no frame of the source came out".to_owned()]) };
    let mut shown = BTreeMap::<usize, u32>::new();
    for item in &found {
        let time = item.at_us - offset;
        let place = source.clip.frames.iter().position(|frame| (frame.at_us - time).abs() < HALF_FRAME_US);
        let Some(place) = place else {
            findings.push(format!("a picture {:?} at {time} us is no frame's", item.id));
            continue;
        };
        *shown.entry(place).or_default() += 1;
        if whole(place) && item.id != u32::try_from(place).ok() {
            findings.push(format!("frame {place} shows {:?}", item.id));
        }
    }
    findings.extend(
        shown.iter().filter(|(_, count)| **count > 1).map(|(place, _)| format!("frame {place} comes twice")),
    );
    let sent = (0..source.clip.frames.len()).filter(|number| !source.removed.contains(number));
    let lacking: Vec<usize> = sent.filter(|number| !shown.contains_key(number)).collect();
    let wrong: Vec<&usize> = lacking.iter().filter(|&&number| whole(number)).collect();
    if !wrong.is_empty() {
        findings.push(format!("{} frames are missing: {wrong:?}", wrong.len()));
    }
    findings.extend(
        source
            .removed
            .iter()
            .filter(|number| shown.contains_key(number))
            .map(|number| format!("frame {number} was not sent and is shown")),
    );
    (lacking.len().saturating_sub(source.before), findings)
}

/// The bytes of each picture from the first random access point on, once, in coded order, each at its time.
fn judge_copy(source: &Source, track: &Track) -> Vec<String> {
    let sent: Vec<(String, i64)> = source
        .tags
        .iter()
        .filter(|tag| is_picture(tag))
        .skip(source.before)
        .map(|tag| {
            let (data, offset_ms) = picture(tag);
            let hash = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
            (hash, (i64::from(tag.time_ms) + offset_ms) * 1_000)
        })
        .collect();
    let output = run(&[
        "-loglevel level+error -copyts -i",
        text(&track.file),
        "-map 0:v:0 -c copy -f framehash -hash sha256 pipe:1",
    ]);
    let late = offsets::added_by_ffmpeg(&track.file);
    let listing = String::from_utf8_lossy(&output.stdout);
    let copied = copied(&listing);
    let alike = sent.iter().zip(&copied).take_while(|((one, _), (other, _))| one == other).count();
    let mut findings = Vec::new();
    if alike < sent.len() || copied.len() != sent.len() {
        findings.push(format!(
            "of {} pictures {} are copied, and the first {alike} are alike",
            sent.len(),
            copied.len()
        ));
    }
    let moved = |((_, sent_at), (_, at)): (&(String, i64), &(String, i64))| at - late - sent_at;
    let offsets: Vec<i64> = sent.iter().zip(&copied).map(moved).collect();
    let first = offsets.first().copied().unwrap_or_default();
    let beside: Vec<usize> = offsets
        .iter()
        .enumerate()
        .filter(|(_, offset)| (**offset - first).abs() > TOLERANCE_US)
        .map(|(at, _)| at)
        .collect();
    if !beside.is_empty() {
        findings.push(format!(
            "{} copied pictures are not at their times: {:?}",
            beside.len(),
            &beside[..beside.len().min(8)]
        ));
    }
    findings
}

/// Lines of `stream, dts, pts, duration, size, hash` as hashes and times in microseconds.
fn copied(listing: &str) -> Vec<(String, i64)> {
    let mut time_base = (1, 1);
    let mut pictures = Vec::new();
    for line in listing.lines() {
        if let Some(rest) = line.strip_prefix("#tb 0:") {
            time_base = frames::fraction(rest);
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let pts = fields.get(2).and_then(|field| field.parse().ok()).unwrap_or_default();
            let hash = fields.last().copied().unwrap_or_default().to_owned();
            pictures.push((hash, frames::to_micros(pts, time_base)));
        }
    }
    pictures
}

/// Nothing is lost or doubled, and just what lacks is counted as undecodable.
fn judge_counters(undecodable: usize, entry: Option<&Value>) -> Vec<String> {
    let Some(entry) = entry else { return vec!["the stream was never in stats".to_owned()] };
    let expected = [("frames_lost", 0), ("frames_duplicated", 0), ("frames_undecodable", undecodable as u64)];
    let wrong = expected.into_iter().filter(|(name, count)| entry[*name].as_u64() != Some(*count));
    wrong.map(|(name, count)| format!("{name} is {} and not {count}", entry[name])).collect()
}
