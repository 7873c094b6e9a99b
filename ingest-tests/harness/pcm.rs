//! Reads sound as samples at their places, and finds by how many samples one is beside another: sound that is encoded anew has
//! no access unit of its source, but each piece of it still has one place.

use std::path::Path;

use super::ffmpeg::{run, text};
use super::frames::complaints;

/// What all sound is compared at.
pub const RATE: i64 = 48_000;
/// Samples that are compared at once: 85 ms, which noise below 3 kHz makes unmistakable.
const WINDOW: usize = 4_096;
/// The first and the last tenth of a second are an encoder's business.
const EDGE: usize = 4_800;
/// What FLV's milliseconds round away, in samples.
pub const FLV_SLACK: i64 = 50;
/// Silence that a file may have between two frames, in samples: an hour.
const MAX_GAP: i64 = 3_600 * RATE;
/// How alike two pieces must be, in percent, to be the same sound twice encoded.
const ALIKE_PERCENT: i128 = 60;
/// Quieter windows, by the mean of their squares, have no place that could be found.
const QUIET: i128 = 10_000;

/// Mono sound of 16 bits at [`RATE`]; where a file has none, there is silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pcm {
    /// The place of the first sample on the file's clock.
    pub start: i64,
    /// From there.
    pub samples: Vec<i16>,
}

/// Where a piece of sound was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The piece's place in the source.
    pub at: i64,
    /// By how many samples it is later than it should be; `None` if it is nowhere near.
    pub samples: Option<i64>,
}

impl Pcm {
    /// The first audio track of a file, and what the decoder complained about. Frames that are less than `slack` samples
    /// beside the end of the last are taken for its continuation: FLV rounds times to 48.
    pub fn read(media: &Path, slack: i64) -> (Self, Vec<String>) {
        let filter = format!(
            "aformat=sample_fmts=s16:sample_rates={RATE}:channel_layouts=mono,asettb=1/{RATE},ashowinfo"
        );
        let output = run(&[
            "-loglevel level+info -copyts -i",
            text(media),
            "-map 0:a:0 -af",
            &filter,
            "-f s16le pipe:1",
        ]);
        let log = String::from_utf8_lossy(&output.stderr);
        let bytes = output.stdout.as_chunks::<2>().0;
        let (mut pcm, mut complaints, mut taken) = (Self::default(), complaints(&log), 0);
        for (mut place, count) in log.lines().filter_map(frame) {
            let end = pcm.start + pcm.samples.len() as i64;
            if taken > 0 && (place - end).abs() < slack {
                place = end;
            }
            let samples = bytes.iter().skip(taken).take(count).map(|&sample| i16::from_le_bytes(sample));
            taken += count;
            if let Err(gap) = pcm.put(place, samples) {
                complaints.push(format!("sound jumps by {gap} samples at {place}"));
            }
        }
        if taken != bytes.len() || !output.status.success() {
            complaints.push(format!("{taken} samples listed, {} decoded, {}", bytes.len(), output.status));
        }
        (pcm, complaints)
    }

    /// Puts samples at their place, over what is there; an error is a gap that is too long or goes back to before the start.
    pub fn put(&mut self, place: i64, samples: impl Iterator<Item = i16>) -> Result<(), i64> {
        if self.samples.is_empty() {
            self.start = place;
        }
        let gap = place - self.start - self.samples.len() as i64;
        let at = usize::try_from(place - self.start).map_err(|_| gap)?;
        if gap > MAX_GAP {
            return Err(gap);
        }
        self.samples.resize(at, 0);
        self.samples.extend(samples);
        Ok(())
    }

    /// The same sound, later.
    #[must_use]
    pub fn shifted(mut self, samples: i64) -> Self {
        self.start += samples;
        self
    }

    fn slice(&self, from: i64, count: usize) -> Option<&[i16]> {
        let from = usize::try_from(from - self.start).ok()?;
        self.samples.get(from..from.checked_add(count)?)
    }
}

/// Microseconds as samples. A wall clock's need more than 64 bits on the way.
pub fn samples(micros: i64) -> i64 {
    i64::try_from(i128::from(micros) * i128::from(RATE) / 1_000_000).unwrap_or(i64::MAX)
}

/// How pieces are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// How many samples later the clock of what is searched is.
    pub late: i64,
    /// Up to how many samples to each side.
    pub reach: i64,
    /// From one piece to the next, in samples.
    pub step: usize,
}

/// Where pieces of `source` are in `found`.
pub fn lags(source: &Pcm, found: &Pcm, Search { late, reach, step }: Search) -> Vec<Lag> {
    let mut lags = Vec::new();
    for offset in (EDGE..source.samples.len().saturating_sub(WINDOW + EDGE)).step_by(step) {
        let at = source.start + offset as i64;
        let Some(window) = source.slice(at, WINDOW) else { break };
        if is_whole(window) {
            lags.push(Lag { at, samples: lag(window, found, at + late, reach) });
        }
    }
    lags
}

/// Whether a window has sound from its beginning to its end.
fn is_whole(window: &[i16]) -> bool {
    window.chunks(WINDOW / 8).all(|part| product(part, part) / part.len() as i128 > QUIET)
}

fn lag(window: &[i16], found: &Pcm, place: i64, reach: i64) -> Option<i64> {
    let candidates = (-reach..=reach).filter_map(|lag| Some((lag, found.slice(place + lag, WINDOW)?)));
    let scored = candidates.map(|(lag, piece)| (product(window, piece), lag, piece));
    let (score, lag, piece) = scored.max_by_key(|&(score, lag, _)| (score, -lag.abs()))?;
    // Cosine, squared: without a root, and without a fraction.
    let alike = score > 0
        && score * score * 10_000
            >= product(window, window) * product(piece, piece) * ALIKE_PERCENT * ALIKE_PERCENT;
    alike.then_some(lag)
}

fn product(left: &[i16], right: &[i16]) -> i128 {
    let products = left.iter().zip(right).map(|(&left, &right)| i64::from(left) * i64::from(right));
    i128::from(products.sum::<i64>())
}

/// What is wrong with these: a piece that is not found, or one that is elsewhere than the first.
pub fn judge(lags: &[Lag]) -> Vec<String> {
    judge_within(lags, 0)
}

/// The same, where pieces may be moved by so many samples.
pub fn judge_within(lags: &[Lag], samples: i64) -> Vec<String> {
    let mut findings = Vec::new();
    let ms = |at: i64| at * 1_000 / RATE;
    let gone: Vec<String> =
        lags.iter().filter(|lag| lag.samples.is_none()).map(|lag| ms(lag.at).to_string()).collect();
    if !gone.is_empty() {
        findings.push(format!("{} pieces of sound are not found, at ms {}", gone.len(), gone.join(", ")));
    }
    let Some(first) = lags.iter().find_map(|lag| lag.samples) else {
        findings.push("no sound that could be compared".to_owned());
        return findings;
    };
    let moved = lags.iter().filter(|lag| lag.samples.is_some_and(|found| (found - first).abs() > samples));
    let moved: Vec<String> =
        moved.map(|lag| format!("{:+} at ms {}", lag.samples.unwrap_or(0) - first, ms(lag.at))).collect();
    if !moved.is_empty() {
        findings.push(format!("{} pieces of sound are moved by samples: {}", moved.len(), moved.join(", ")));
    }
    findings
}

/// `n:0 pts:9600 ... nb_samples:1024` of the `ashowinfo` filter.
fn frame(line: &str) -> Option<(i64, usize)> {
    let field = |name: &str| line.split(name).nth(1)?.split_whitespace().next();
    line.contains("ashowinfo").then_some(())?;
    Some((field(" pts:")?.parse().ok()?, field(" nb_samples:")?.parse().ok()?))
}
