//! What must come out of a source, take by take, and the one judgement of what did.

use super::audio::{self, Unit};
use super::clip::Sound;
use super::judge::{self, Item, Tolerance};
use super::pcm::{self, Lag, Pcm, Search};
use super::player::{Delivery, Gaps, Recording};
use super::track::{Kind, Track};
use super::{frames, grid};

/// Half of 1024 samples at 48 kHz: nearer to its own place than to any other.
const UNIT_TOLERANCE: Tolerance = 10_666;
/// How far encoded sound may be beside its place for all of a stream: half an access unit, in samples.
const SYNC_SAMPLES: i64 = 512;
/// From one piece of sound that is looked for to the next, in samples: half a second.
const STEP: usize = 24_000;
/// Access units of sound that may fall to the cut where two takes meet.
const CUT_UNITS: usize = 2;

/// How pictures are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// There are none.
    None,
    /// Each of the source's once, at its time.
    Each,
    /// One at each place of a grid of so many a second: the newest of the source's by then.
    Grid(i64, i64),
}

/// Whether something may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    Nothing,
    /// As many frames as the stats say are lost.
    Counted,
}

/// What one take must give.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub frames: Vec<Item>,
    pub units: Vec<Unit>,
    pub pcm: Pcm,
}

/// What must come out of a source.
#[derive(Clone, Debug)]
pub struct Reference {
    pub takes: Vec<Content>,
    pub pictures: Pictures,
    pub sound: Option<Sound>,
    pub renditions: usize,
    pub discontinuities: usize,
    /// How far sound may begin beside the picture, in microseconds.
    pub uneven_us: i64,
    pub gaps: Gaps,
    pub loss: Loss,
    /// How far a frame may be from its place, in microseconds.
    pub tolerance: Tolerance,
}

/// What was found, for those who read a table of it.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub findings: Vec<String>,
    /// Frames of the rendition that has the fewest.
    pub frames: usize,
    /// Access units of sound.
    pub units: usize,
    /// Frames that the rendition that has the fewest has not.
    pub missing: usize,
    /// By how many samples encoded sound is late: the least and the most.
    pub lag: Option<(i64, i64)>,
}

impl Reference {
    /// Everything that is wrong with a recording.
    pub fn judge(&self, recording: &Recording) -> Verdict {
        let videos = if self.pictures == Pictures::None { 0 } else { self.renditions };
        let audios = usize::from(self.sound.is_some());
        let gaps = if self.loss == Loss::Counted { Gaps::Anywhere } else { self.gaps };
        let (discontinuities, uneven_us) = (self.discontinuities, self.uneven_us);
        let cut_us = match self.pictures {
            Pictures::Grid(rate, per) => 1_000_000 * per / rate + 1_000,
            Pictures::Each | Pictures::None => 0,
        };
        let delivery = Delivery { videos, audios, discontinuities, uneven_us, cut_us, gaps };
        let findings = recording.judge_delivery_of(delivery);
        let mut verdict = Verdict { findings, frames: usize::MAX, ..Verdict::default() };
        let mut lates = vec![None; self.takes.len()];
        for track in recording.of(Kind::Video) {
            self.judge_video(track, &mut lates, &mut verdict);
        }
        for track in recording.of(Kind::Audio) {
            self.judge_audio(track, &lates, &mut verdict);
        }
        if recording.of(Kind::Video).next().is_none() {
            verdict.frames = 0;
        }
        verdict
    }

    /// Judges pictures, and notes by how much each take is later than its source.
    fn judge_video(&self, track: &Track, lates: &mut [Option<i64>], verdict: &mut Verdict) {
        let mut find =
            |findings: Vec<String>| verdict.findings.extend(findings.iter().map(|text| of(track, text)));
        let (mut found, mut missing) = (Vec::new(), 0);
        for part in &track.parts {
            let (frames, complaints) = frames::read(part);
            found.extend(frames);
            find(complaints);
        }
        find(backward("frames", &found));
        for (index, take) in self.takes.iter().enumerate() {
            let found = self.share(index, &found, |take| &take.frames);
            let source = match self.loss {
                Loss::Nothing => take.frames.clone(),
                Loss::Counted => present(&take.frames, &found),
            };
            missing += take.frames.len() - source.len();
            match self.pictures {
                Pictures::Grid(rate, per) => find(grid::judge(&source, &found, (rate, per))),
                Pictures::None | Pictures::Each => {
                    find(judge::compare("frames", &source, &found, self.tolerance))
                }
            }
            lates[index] = judge::offset(&source, &found);
        }
        verdict.frames = verdict.frames.min(found.len());
        verdict.missing = verdict.missing.max(missing);
    }

    fn judge_audio(&self, track: &Track, lates: &[Option<i64>], verdict: &mut Verdict) {
        let (mut found, mut pcm, mut findings) = (Vec::new(), Pcm::default(), Vec::new());
        for part in &track.parts {
            let (units, complaints) = audio::read(part);
            found.extend(units);
            findings.extend(complaints);
            if self.sound == Some(Sound::Encoded) {
                let (part, complaints) = Pcm::read(part, 0);
                findings.extend(complaints);
                findings.extend(
                    pcm.put(part.start, part.samples.into_iter())
                        .err()
                        .map(|gap| format!("sound jumps by {gap} samples from one init segment to the next")),
                );
            }
        }
        verdict.units = found.len();
        match self.sound {
            None => {}
            Some(Sound::Encoded) => findings.extend(self.judge_encoded(&pcm, lates, verdict)),
            Some(sound) => findings.extend(self.judge_units(sound, &found, lates)),
        }
        verdict.findings.extend(findings.iter().map(|text| of(track, text)));
    }

    /// How far the first picture may be from its time on a grid, in microseconds.
    fn off_grid_us(&self) -> i64 {
        match self.pictures {
            Pictures::Grid(rate, per) => 500_000 * per / rate + 1_000,
            Pictures::Each | Pictures::None => 0,
        }
    }

    /// Judges sound that is copied, by its access units.
    fn judge_units(&self, sound: Sound, found: &[Unit], lates: &[Option<i64>]) -> Vec<String> {
        let all: Vec<Unit> = self.takes.iter().flat_map(|take| take.units.clone()).collect();
        let by_order = |units: &[Unit]| -> Vec<Item> {
            (0..).zip(units).map(|(id, unit)| Item { id: Some(id), at_us: unit.at_us }).collect()
        };
        let by_hash = |units: &[Unit]| audio::items(&all, units);
        let named = |units: &[Unit]| if sound == Sound::Distinct { by_hash(units) } else { by_order(units) };
        let (source, found) = (named(&all), named(found));
        let (mut findings, mut first) = (backward("audio units", &found), 0);
        for (index, take) in self.takes.iter().enumerate() {
            let range = first..first + take.units.len();
            first = range.end;
            let mine: Vec<Item> =
                found.iter().copied().filter(|item| in_range(item, &range, index)).collect();
            let wanted = self.wanted_units(&source[range], &mine, index);
            findings.extend(judge::compare("audio units", &wanted, &mine, UNIT_TOLERANCE));
            if let (Some(late), Some(audio)) = (lates[index], judge::offset(&wanted, &mine))
                && (late - audio).abs() > UNIT_TOLERANCE + self.off_grid_us()
            {
                findings.push(format!("sound is {} us late to the picture", audio - late));
            }
        }
        findings
    }

    /// The units that must be there: what is before the first picture may be there; where takes meet, few may not.
    fn wanted_units(&self, source: &[Item], found: &[Item], take: usize) -> Vec<Item> {
        let begins = self.takes[take].frames.iter().map(|frame| frame.at_us).min().unwrap_or(i64::MIN);
        let is_found = |item: &Item| found.iter().any(|found| found.id == item.id);
        let early = source.iter().filter(|unit| unit.at_us < begins && !is_found(unit)).count();
        let last = take + 1 < self.takes.len();
        let tail = if last {
            source.iter().rev().take(CUT_UNITS).take_while(|unit| !is_found(unit)).count()
        } else {
            0
        };
        let wanted: Vec<Item> = source[early..source.len() - tail].to_vec();
        if self.loss == Loss::Counted { present(&wanted, found) } else { wanted }
    }

    /// Judges sound that is encoded anew, by where its pieces are.
    fn judge_encoded(&self, found: &Pcm, lates: &[Option<i64>], verdict: &mut Verdict) -> Vec<String> {
        let mut findings = Vec::new();
        for (take, late) in self.takes.iter().zip(lates) {
            let late = late.map_or(found.start - take.pcm.start, pcm::samples);
            let mut lags = pcm::lags(&take.pcm, found, Search { late, reach: SYNC_SAMPLES, step: STEP });
            if self.loss == Loss::Counted {
                lags.retain(|lag| lag.samples.is_some());
            }
            findings.extend(pcm::judge(&lags));
            verdict.lag = span(&lags).or(verdict.lag);
        }
        findings
    }

    /// What was found of one take; what cannot be read, or is of none, is the first one's.
    fn share(&self, take: usize, found: &[Item], of: impl Fn(&Content) -> &Vec<Item>) -> Vec<Item> {
        let owner = |item: &Item| {
            self.takes.iter().position(|take| of(take).iter().any(|wanted| wanted.id == item.id)).unwrap_or(0)
        };
        found.iter().copied().filter(|item| owner(item) == take).collect()
    }
}

fn in_range(item: &Item, range: &std::ops::Range<usize>, take: usize) -> bool {
    item.id.map_or(take == 0, |id| range.contains(&(id as usize)))
}

fn of(track: &Track, text: &str) -> String {
    let name = track.url.rsplit('/').next().unwrap_or_default();
    format!("{name}: {text}")
}

/// Those of `source` that were found.
fn present(source: &[Item], found: &[Item]) -> Vec<Item> {
    source.iter().copied().filter(|item| found.iter().any(|found| found.id == item.id)).collect()
}

/// Whether anything, of whatever take, comes before what it follows.
fn backward(what: &str, found: &[Item]) -> Vec<String> {
    let wrong = found.windows(2).filter(|pair| pair[1].at_us <= pair[0].at_us).count();
    if wrong == 0 { Vec::new() } else { vec![format!("{wrong} {what} are not later than the one before")] }
}

fn span(lags: &[Lag]) -> Option<(i64, i64)> {
    let found = || lags.iter().filter_map(|lag| lag.samples);
    Some((found().min()?, found().max()?))
}
