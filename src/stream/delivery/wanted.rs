//! What an attempt is asked for: what it shall run, and what its node should know of it.

use std::time::{Duration, Instant};

use super::Delivery;
use crate::ffmpeg::attempt::{AudioStart, SourceSamples};
use crate::ffmpeg::frame_rate::FrameRate;
use crate::media::gop::GopLog;
use crate::stream::attempt::Trust;
use crate::stream::command::{Purpose, Standing, Wanted};
use crate::stream::resume::Start;
use crate::stream::section::Section;
use crate::stream::source::SourceMedia;
use crate::wire::message::AttemptSpec;

/// Sample rate and size of encoded audio access units.
pub(super) const AAC_RATE: u32 = 48_000;
pub(super) const AAC_SAMPLES: i64 = 1024;

impl Delivery {
    /// An attempt that begins at `start`, the one with the next number.
    pub(super) fn wanted(
        &self,
        purpose: Purpose,
        (log, section, start): (&GopLog, &Section, &Start),
        now: Instant,
    ) -> Wanted {
        let mut prefer_not = self.backoff.avoided(now);
        let (mut exclude, mut only) = (Vec::new(), None);
        for attempt in &self.running {
            let Some(node) = &attempt.node else { continue };
            match &attempt.trust {
                Trust::Suspected { .. } => prefer_not.push(node.clone()),
                Trust::Trusted => exclude.push(node.clone()),
                Trust::Leaving { to, .. } => {
                    exclude.push(node.clone());
                    only.clone_from(to);
                }
            }
        }
        let replay = (section.source_end - start.earliest).as_millis();
        Wanted {
            spec: self.spec(section, start),
            reads: section.reads.clone(),
            source: SourceMedia::of(section, log),
            replay: Duration::from_millis(u64::try_from(replay).unwrap_or(0)),
            // An output's configuration is announced with its first commit.
            standing: if self.inits.is_empty() { Standing::New } else { Standing::Running },
            purpose,
            prefer_not,
            exclude,
            only,
        }
    }

    /// What it shall run.
    pub(super) fn spec(&self, section: &Section, start: &Start) -> AttemptSpec {
        AttemptSpec {
            number: self.attempts,
            ladder: self.ladder.for_source(section.audio.as_ref().map(|audio| audio.codec)),
            has_video: section.video.is_some(),
            has_audio: section.audio.is_some(),
            base: start.base,
            frame_rate: section.frame_rate.and_then(FrameRate::measured),
            max_gop: self.max_segment_duration,
            audio_start: audio_start(section, start),
        }
    }
}

/// Where an attempt's encoded audio begins: with the frame of the stream's grid that has the first sample to come.
fn audio_start(section: &Section, start: &Start) -> AudioStart {
    // Units of one run of samples have one grid, so any of them tells it: where the GOP has none yet, the last that came.
    let unit = start.first_audio.or(section.last_audio);
    let source = section.audio.as_ref().zip(unit).map(|(audio, unit)| SourceSamples {
        rate: audio.sample_rate,
        first: (unit - start.base).as_samples(audio.sample_rate),
        access_unit: audio.samples_per_access_unit,
    });
    let first = start.first_audio.unwrap_or(start.earliest).as_samples(AAC_RATE);
    let grid = first.div_euclid(AAC_SAMPLES) * AAC_SAMPLES;
    AudioStart { first_sample: grid - start.base.as_samples(AAC_RATE), source }
}
