//! What one FFmpeg run shall do: the deciding side of it, and what a lease carries to a node.

use serde::{Deserialize, Serialize};

use super::ladder::Ladder;
use crate::media::time::Ticks;

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
    /// Position on the stream's timeline that is time zero of FFmpeg's input. Output times are relative to it.
    pub base: Ticks,
    /// Access units after which a long GOP is cut (`-g`).
    pub max_gop_access_units: u32,
    /// For encoded audio: `first_pts` of `aresample`, in samples at 48 kHz after `base`, on the stream's 1024-sample grid.
    pub audio_first_sample: i64,
}
