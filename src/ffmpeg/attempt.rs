//! What one FFmpeg run shall do: the deciding side of it, and what a lease carries to a node.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frame_rate::FrameRate;
use super::ladder::{Deinterlace, Ladder, Rendition, VideoOutput};
use crate::media::time::Ticks;

/// An [`AttemptSpec::base`] is a multiple of so many seconds. They hold a whole number of pictures at every whole frame
/// rate and at every NTSC one, and a whole number of samples at every sample rate: so the grids of frame rates and of
/// samples, counted from FFmpeg's time zero, are the timeline's own in every attempt.
pub const BASE_SECONDS: i64 = 1001;
/// Pictures a second of a source that does not say it. An IDR picture too many is cheap, a fragment that lasts longer than
/// the target duration is not.
const UNTOLD_RATE: f64 = 10.0;
/// Fewer pictures a second than this are a low frame rate: whatever FFmpeg held back would be missed for long.
const LOW_RATE: f64 = 10.0;

/// One FFmpeg run, from a start position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSpec {
    /// Number of the attempt within its stream, from 1.
    pub number: u32,
    /// What to make.
    pub ladder: Ladder,
    /// Whether the input has video.
    pub has_video: bool,
    /// Whether the input has audio.
    pub has_audio: bool,
    /// Position on the stream's timeline that is time zero of FFmpeg's input, a multiple of [`BASE_SECONDS`]. Output times
    /// are relative to it.
    pub base: Ticks,
    /// Pictures a second of the source, where it says it.
    pub frame_rate: Option<FrameRate>,
    /// A longer GOP is cut.
    pub max_gop: Duration,
    /// Where encoded audio begins.
    pub audio_start: AudioStart,
}

/// Where encoded audio begins, so that each sample of it is a function of its position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioStart {
    /// The first sample that is wanted, at 48 kHz after `base`, on the stream's 1024-sample grid. What comes before it is
    /// warm-up.
    pub first_sample: i64,
    /// The source's own samples. Unknown where no access unit has come yet.
    pub source: Option<SourceSamples>,
}

/// The grid of the source's access units, in samples of the rate that its configuration says. HE-AAC that does not announce
/// itself is decoded at twice that rate (ISO/IEC 14496-3 §1.6.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSamples {
    /// Samples a second.
    pub rate: u32,
    /// The first sample of an access unit where the attempt begins, after `base`.
    pub first: i64,
    /// Samples of an access unit.
    pub access_unit: u32,
}

impl AttemptSpec {
    /// Access units of `rendition` after which a long GOP is cut (`-g`).
    #[must_use]
    pub fn max_gop_access_units(&self, rendition: &Rendition) -> u32 {
        let frames =
            self.output_rate(rendition).map_or(UNTOLD_RATE, FrameRate::as_f64) * self.max_gop.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a sane range"
        )]
        let frames = frames.clamp(1.0, 100_000.0) as u32;
        frames
    }

    /// Pictures a second of `rendition`, where that is known.
    #[must_use]
    pub fn output_rate(&self, rendition: &Rendition) -> Option<FrameRate> {
        match (&rendition.video, self.ladder.deinterlace) {
            (VideoOutput::Copy, _) => self.frame_rate,
            (VideoOutput::H264 { .. }, Deinterlace::Field) => {
                rendition.fps.or(self.frame_rate.map(FrameRate::doubled))
            }
            (VideoOutput::H264 { .. }, Deinterlace::Off | Deinterlace::Frame) => {
                rendition.fps.or(self.frame_rate)
            }
        }
    }

    /// Whether the source has so few pictures that FFmpeg may hold none of them back.
    #[must_use]
    pub fn has_low_rate(&self) -> bool {
        self.frame_rate.is_some_and(|rate| rate.as_f64() < LOW_RATE)
    }
}
