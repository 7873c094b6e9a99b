//! What the API tells about a stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::base::names::{Name, StreamName};
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::Output;
use crate::hls::View;
use crate::placement::place::decision::Decision;
use crate::proxy::api::stats::{
    CommittedStats, FailoverStats, FailureStats, GopLogStats, OtherTrackStats, RenditionStats, SourceStats,
    StreamState, StreamStats,
};
use crate::stream::Stream;
use crate::stream::commit::VideoCommit;
use crate::stream::report::{FailoverReport, Report, State};
use crate::stream::take::OtherTrack;
use crate::wire::message::OutputConfiguration;

/// Over how long the source's bitrate is measured.
const METER_SPAN: Duration = Duration::from_secs(2);

/// Counts what publishers send.
#[derive(Debug, Default)]
pub struct SourceMeter {
    bytes: u64,
    span: Option<(Instant, u64)>,
    last: Option<Instant>,
    bitrate: u64,
}

impl SourceMeter {
    /// So many bytes came at `now`.
    pub fn count(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes as u64;
        self.last = Some(now);
        let (since, before) = *self.span.get_or_insert((now, self.bytes));
        let passed = now.saturating_duration_since(since);
        if passed >= METER_SPAN {
            let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
            self.bitrate = (self.bytes - before).saturating_mul(8_000) / millis;
            self.span = Some((now, self.bytes));
        }
    }

    /// Bits per second at `now`: nothing, once nothing has come for longer than it is measured over.
    #[must_use]
    pub fn bitrate_at(&self, now: Instant) -> u64 {
        let quiet = self.last.is_none_or(|last| now.saturating_duration_since(last) > METER_SPAN);
        if quiet { 0 } else { self.bitrate }
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Where a stream's stats come from, beside its report.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub name: &'a StreamName,
    pub renditions: &'a [Name],
    pub configurations: &'a BTreeMap<Output, OutputConfiguration>,
    pub view: &'a View,
    pub meter: &'a SourceMeter,
    pub age: Duration,
    /// Committed media that players cannot get.
    pub left_out: u64,
    /// The last decision about its node.
    pub placement: Option<&'a Arc<Decision>>,
    /// Why it is over, if it is.
    pub ended: Option<Reason>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Snapshot<'_> {
    /// The stats at `now`.
    pub fn stats(&self, report: &Report, now: Instant) -> StreamStats {
        StreamStats {
            tenant: self.name.tenant.clone(),
            name: self.name.name.clone(),
            protocol: "rtmp".to_owned(),
            state: match report.state {
                State::Live => StreamState::Live,
                State::Waiting => StreamState::Waiting,
                State::Reconnecting => StreamState::Reconnecting,
                State::Quarantined => StreamState::Quarantined,
            },
            node: report.node.clone(),
            attempts: u64::from(report.attempts),
            reattachments: u64::from(report.reattachments),
            source: self.source(report, now),
            committed: committed(report),
            frames_lost: report.frames_lost,
            frames_duplicated: report.frames_duplicated,
            frames_undecodable: report.frames_undecodable,
            gop_log: GopLogStats {
                gops: report.log_gops as u64,
                bytes: report.log_bytes as u64,
                duration_ms: u64::try_from(report.log_duration.as_millis()).unwrap_or(0),
            },
            startup_ms: report.startup.map(millis),
            last_failover: report.failover.as_ref().map(failover),
            last_failure: report.last_failure.clone().map(|(reason, detail)| FailureStats { reason, detail }),
            left_out: self.left_out,
            placement: self.placement.cloned(),
            ended: self.ended,
            renditions: self.rendition_stats(&report.renditions),
            uptime_s: self.age.as_secs(),
            taken_at: now,
        }
    }

    fn source(&self, report: &Report, now: Instant) -> SourceStats {
        SourceStats {
            video_codec: report.video.as_ref().map(|video| video.codec),
            width: report.video.as_ref().map(|video| video.width),
            height: report.video.as_ref().map(|video| video.height),
            fps: report.frame_rate,
            audio_codec: report.audio.as_ref().map(|audio| audio.codec),
            other_tracks: report.other_tracks.iter().map(other_track).collect(),
            more_other_tracks: report.more_other_tracks as u64,
            bitrate: self.meter.bitrate_at(now),
            gop_ms: report.gop.map(millis),
            bytes: self.meter.bytes,
            frames: report.source_frames,
        }
    }

    fn rendition_stats(&self, commits: &[VideoCommit]) -> Vec<RenditionStats> {
        let all = self.renditions.iter().zip(commits).enumerate();
        all.map(|(index, (name, commit))| {
            let output = u8::try_from(index).ok().map(Output::Rendition);
            let size = match output.and_then(|output| self.configurations.get(&output)) {
                Some(OutputConfiguration::Video(video)) => Some((video.width, video.height)),
                Some(OutputConfiguration::Audio(_)) | None => None,
            };
            RenditionStats {
                name: name.clone(),
                width: size.map(|size| size.0),
                height: size.map(|size| size.1),
                bitrate: self.view.output(name).map_or(0, |output| output.average.0),
                frames: commit.frames(),
            }
        })
        .collect()
    }
}

fn other_track(track: &OtherTrack) -> OtherTrackStats {
    let codec = track.four_cc.escape_ascii().to_string();
    OtherTrackStats { kind: track.kind, number: track.number, codec }
}

fn committed(report: &Report) -> CommittedStats {
    let end = report.committed_end;
    let lag = end.map_or(0, |end| (report.source_end - end).as_millis());
    CommittedStats {
        frames: report.renditions.iter().map(VideoCommit::frames).min().unwrap_or(0),
        fragments: report.renditions.iter().map(VideoCommit::fragments).sum(),
        position_ms: end.map_or(0, crate::media::time::Ticks::as_millis),
        lag_ms: u64::try_from(lag).unwrap_or(0),
    }
}

fn failover(report: &FailoverReport) -> FailoverStats {
    FailoverStats {
        from: report.from.clone(),
        to: report.to.clone(),
        cause: report.cause,
        detected_ms: millis(report.detected),
        recovered_ms: report.recovered.map(millis),
        at: millis(clock::unix_now().saturating_sub(report.ago)),
    }
}

/// The stats of a stream that has only just been opened.
pub fn first_stats(name: &StreamName, renditions: &[Name], stream: &Stream, now: Instant) -> StreamStats {
    let snapshot = Snapshot {
        name,
        renditions,
        configurations: &BTreeMap::new(),
        view: &View::default(),
        meter: &SourceMeter::default(),
        age: Duration::ZERO,
        left_out: 0,
        placement: None,
        ended: None,
    };
    snapshot.stats(&stream.report(now), now)
}

#[cfg(test)]
pub(super) mod tests;
