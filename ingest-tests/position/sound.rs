//! Sound as numbers: what came out of an attempt, by its position on the timeline, and how far two of them are apart.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::ffmpeg::{Ffmpeg, text};

use super::attempt::access_units;

/// Samples a second of what comes out.
pub const RATE: i64 = 48_000;
/// Samples of an AAC access unit.
pub const UNIT: i64 = 1024;
/// How far two runs are looked for each other, in samples.
const LAGS: i64 = 700;
/// Samples compared at once.
const WINDOW: i64 = 1024;
/// How much weaker than the sound the difference of equal windows is at least, in dB: what the encoder's history changes.
pub const SAME_RATIO: f64 = 15.0;

/// Decoded sound, one channel beside the other.
pub struct Sound {
    /// Position of the first sample, at 48 kHz after FFmpeg's time zero.
    pub begin: i64,
    /// Left and right.
    pub channels: [Vec<f32>; 2],
    /// What is wrong with the access units' times.
    pub findings: Vec<String>,
}

impl Sound {
    /// Decodes a pipe's bytes. `grid` is the position of any access unit that is on the stream's grid.
    pub fn decode(bytes: &[u8], grid: i64, folder: &Path) -> Self {
        let (units, header) = access_units(bytes);
        assert_eq!(i64::from(header.timescale), RATE);
        let times: Vec<i64> = units.iter().map(|unit| unit.presentation_time).collect();
        let mut findings = Vec::new();
        for pair in times.windows(2).filter(|pair| pair[1] - pair[0] != UNIT) {
            findings.push(format!("an access unit at {} is followed by one at {}", pair[0], pair[1]));
        }
        for time in times.iter().filter(|&time| (time - grid).rem_euclid(UNIT) != 0) {
            findings.push(format!("an access unit at {time} is not on the grid"));
        }
        let file = folder.join("out.mp4");
        std::fs::write(&file, bytes).expect("a temporary folder can be written");
        let decoded = Command::new(Ffmpeg::Debian.path())
            .args(["-nostdin", "-loglevel", "error", "-i", text(&file), "-f", "f32le", "pipe:1"])
            .stderr(Stdio::inherit())
            .output()
            .expect("it is installed");
        let samples: Vec<f32> = decoded
            .stdout
            .chunks_exact(4)
            .map(|it| f32::from_le_bytes([it[0], it[1], it[2], it[3]]))
            .collect();
        let channel = |at: usize| samples.iter().skip(at).step_by(2).copied().collect::<Vec<f32>>();
        let channels = [channel(0), channel(1)];
        if channels[0].len() != units.len() * 1024 {
            findings.push(format!("{} units gave {} samples", units.len(), channels[0].len()));
        }
        Self { begin: times.first().copied().unwrap_or_default(), channels, findings }
    }

    pub fn end(&self) -> i64 {
        self.begin + i64::try_from(self.channels[0].len()).expect("short")
    }

    /// `length` samples of a channel from `position` on.
    fn window(&self, channel: usize, position: i64, length: i64) -> Option<&[f32]> {
        let from = usize::try_from(position - self.begin).ok()?;
        self.channels[channel].get(from..from + usize::try_from(length).ok()?)
    }

    /// Mean square of both channels from `position` on for `length` samples.
    pub fn power(&self, position: i64, length: i64) -> [f64; 2] {
        [0, 1].map(|channel| self.window(channel, position, length).map_or(0.0, energy))
    }
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

/// Two runs where both are.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// By how many samples the second is late, where it is most.
    pub offset: i64,
    /// How much weaker than the sound their difference is at equal positions, where it is least, in dB.
    pub ratio: f64,
    /// Windows that were compared.
    pub windows: usize,
}

/// Compares `restarted` with `whole` from `from` on, a window every quarter of a second; windows of silence are skipped.
pub fn compare(whole: &Sound, restarted: &Sound, from: i64) -> Difference {
    let mut worst = Difference { offset: 0, ratio: f64::INFINITY, windows: 0 };
    let mut at = from;
    while at + WINDOW + LAGS < whole.end().min(restarted.end()) {
        for channel in [0, 1] {
            let Some(wanted) = whole.window(channel, at, WINDOW) else { continue };
            if energy(wanted) < 1e-5 {
                continue;
            }
            let product = |lag: i64| {
                let shifted = restarted.window(channel, at + lag, WINDOW).unwrap_or_default();
                let norm = energy(shifted).sqrt().max(1e-9);
                wanted.iter().zip(shifted).map(|(&a, &b)| f64::from(a * b)).sum::<f64>() / norm
            };
            let same = restarted.window(channel, at, WINDOW).unwrap_or_default();
            let apart: Vec<f32> = wanted.iter().zip(same).map(|(&a, &b)| a - b).collect();
            let ratio = 10.0 * (energy(wanted) / energy(&apart).max(1e-12)).log10();
            worst.windows += 1;
            worst.ratio = worst.ratio.min(ratio);
            // What is as equal as this is in its place; a search takes long.
            if ratio < SAME_RATIO && worst.offset == 0 {
                let best = (-LAGS..=LAGS).max_by(|&a, &b| product(a).total_cmp(&product(b)));
                worst.offset = best.unwrap_or_default();
            }
        }
        at += RATE / 4;
    }
    worst
}
