//! A stream as stats show it.

use std::time::{Duration, Instant};

use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::media::time::Ticks;
use crate::media::track::{AudioConfiguration, VideoConfiguration};

use super::attempt::Stage;
use super::commit::VideoCommit;
use super::life::{Phase, Stream};
use super::take::{OtherTrack, Take};

/// What a stream is doing, in one word of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A publisher is there and an attempt runs.
    Live,
    /// No node has room, or an attempt is on its way.
    Waiting,
    /// The publisher is gone and may come back.
    Reconnecting,
    /// Attempts keep failing and are held back.
    Quarantined,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Reconnecting => "reconnecting",
            Self::Quarantined => "quarantined",
        })
    }
}

/// A snapshot of a stream. Times are on its timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// In one word.
    pub state: State,
    /// Where its attempt runs.
    pub node: Option<Name>,
    /// Attempts that a node took.
    pub attempts: u32,
    /// Attempts that took over from one that was lost.
    pub reattachments: u32,
    /// Why the last attempt failed, if none has committed anything since.
    pub last_failure: Option<(Reason, String)>,
    /// The video track of the section being put out.
    pub video: Option<VideoConfiguration>,
    /// Its audio track.
    pub audio: Option<AudioConfiguration>,
    /// Tracks that the publisher sends and nobody follows.
    pub other_tracks: Vec<OtherTrack>,
    /// How many more there are than are listed.
    pub more_other_tracks: usize,
    /// Pictures per second, where the source says it.
    pub frame_rate: Option<f64>,
    /// Distance of the last two random access points in the log.
    pub gop: Option<Duration>,
    /// Pictures accepted from publishers.
    pub source_frames: u64,
    /// Where the source is.
    pub source_end: Ticks,
    /// Where the committed output of all renditions ends, or of the audio where there is no video.
    pub committed_end: Option<Ticks>,
    /// What is committed, for each rendition.
    pub renditions: Vec<VideoCommit>,
    /// Pictures accepted and never committed, for reasons of ours.
    pub frames_lost: u64,
    /// Pictures committed twice.
    pub frames_duplicated: u64,
    /// Pictures that gave no output.
    pub frames_undecodable: u64,
    /// GOPs in the log.
    pub log_gops: usize,
    /// Bytes in the log.
    pub log_bytes: usize,
    /// Duration of the log.
    pub log_duration: Ticks,
    /// How long after the first random access point FFmpeg had begun every output.
    pub startup: Option<Duration>,
    /// The last failover.
    pub failover: Option<FailoverReport>,
}

/// The last failover, in durations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverReport {
    /// Where the stream was.
    pub from: Option<Name>,
    /// Where it went.
    pub to: Option<Name>,
    /// Why.
    pub cause: Reason,
    /// From when the attempt was last heard of until the fault was noticed.
    pub detected: Duration,
    /// From the fault's notice to the next commit.
    pub recovered: Option<Duration>,
    /// How long ago it was noticed.
    pub ago: Duration,
}

impl Stream {
    /// The stream at `now`.
    #[must_use]
    pub fn report(&self, now: Instant) -> Report {
        let section = self.sections.front();
        let delivery = &self.delivery;
        let (other_tracks, more_other_tracks) = self.take.as_ref().map_or((&[][..], 0), Take::other_tracks);
        let mut positions = self.log.gops().rev().map(crate::media::gop::Gop::position);
        let gop = positions.next().zip(positions.next()).map(|(last, before)| last - before);
        Report {
            state: self.state(),
            node: delivery.leading().and_then(|attempt| attempt.node.clone()),
            attempts: delivery.runs,
            reattachments: delivery.failovers.taken_over(),
            last_failure: delivery.backoff.last_failure().cloned(),
            video: section.and_then(|section| section.video.clone()),
            audio: section.and_then(|section| section.audio.clone()),
            other_tracks: other_tracks.to_vec(),
            more_other_tracks,
            frame_rate: section.and_then(|section| section.frame_rate),
            gop: gop.map(|gop| Duration::from_millis(u64::try_from(gop.as_millis()).unwrap_or(0))),
            source_frames: delivery.accepted(),
            source_end: self.timeline_end,
            committed_end: delivery.committed_end(),
            renditions: delivery.renditions.clone(),
            frames_lost: delivery.lost(),
            frames_duplicated: delivery.renditions.iter().map(VideoCommit::duplicated).sum(),
            frames_undecodable: delivery.undecodable(),
            log_gops: self.log.len(),
            log_bytes: self.log.bytes(),
            log_duration: self.log.duration(),
            startup: delivery.startup,
            failover: delivery.failovers.shown().map(|failover| FailoverReport {
                from: failover.from.clone(),
                to: failover.to.clone(),
                cause: failover.cause,
                detected: failover.detection,
                recovered: failover.recovery,
                ago: now.saturating_duration_since(failover.noticed),
            }),
        }
    }

    fn state(&self) -> State {
        let running = self
            .delivery
            .running
            .iter()
            .any(|attempt| matches!(attempt.stage, Stage::Placed | Stage::Attached | Stage::Finishing));
        match self.phase {
            Phase::Reconnecting(_) => State::Reconnecting,
            _ if self.delivery.backoff.is_quarantined() => State::Quarantined,
            _ if running => State::Live,
            Phase::Opening(_) | Phase::Live | Phase::Ending(..) | Phase::Over => State::Waiting,
        }
    }
}

#[cfg(test)]
mod tests;
