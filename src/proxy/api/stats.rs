//! The body of `/api/v1/stats`. Field names are the contract's; what is not measured yet is not in it.
//!
//! Snapshots are published when something changes. What goes on by itself, an age or an uptime, is as of `taken_at`,
//! and [`Stats`] adds what has passed since.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::base::clock;
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::media::track::{AudioCodec, TrackKind, VideoCodec};
use crate::placement::fleet::snapshot::{FleetTotals, NodeSnapshot};
use crate::placement::place::decision::Decision;
use crate::placement::tenancy::snapshot::TenantSnapshot;

/// Everything in one answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stats {
    /// The proxy that answers.
    pub proxy: ProxyStats,
    /// All nodes together.
    pub fleet: FleetTotals,
    /// Each node, by name.
    pub nodes: Vec<NodeSnapshot>,
    /// Each stream, by name.
    pub streams: Vec<StreamStats>,
    /// Each tenant, by name.
    pub tenants: Vec<TenantStats>,
}

/// One tenant: what it may have of the fleet and what it has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantStats {
    /// Of the nodes.
    #[serde(flatten)]
    pub fleet: TenantSnapshot,
    /// What its publishers send.
    #[serde(flatten)]
    pub ingest: TenantIngest,
}

/// What a tenant's publishers send together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantIngest {
    /// Bits per second received now.
    pub bitrate: u64,
    /// Bits per second that they may send; `null` for any number.
    pub max_bitrate: Option<u64>,
    /// Publishers ended since the start because all together sent more than that.
    pub over_bitrate: u64,
}

/// The proxy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProxyStats {
    /// Its identity.
    pub id: String,
    /// The program's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// What comes in.
    #[serde(flatten)]
    pub ingest: IngestStats,
}

/// What publishers send to a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestStats {
    /// Publishers connected now.
    pub publishers: u64,
    /// Bytes received from publishers since the start.
    pub ingest_bytes: u64,
    /// Bits per second received now.
    pub ingest_bitrate: u64,
    /// Connections at the RTMP and RTMPS ports.
    pub rtmp: RtmpStats,
}

/// Connections at the RTMP and RTMPS ports together, publishers and strangers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtmpStats {
    /// Connected now.
    pub connections: u64,
    /// Of these, still shaking hands (TLS included).
    pub handshaking: u64,
    /// Of these, past that and without an accepted publish.
    pub asking: u64,
    /// Of these, publishing.
    pub publishing: u64,
    /// Addresses they come from; of IPv6, networks of 64 bits.
    pub addresses: u64,
    /// Turned away since the start.
    pub refused: RtmpRefused,
    /// Every limit with its gauge.
    pub limits: RtmpLimits,
}

/// Who was turned away since the start. Who was ended by another limit is counted in that limit's `hits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtmpRefused {
    /// Newcomers over `max_connections`.
    pub max_connections: u64,
    /// Newcomers over `max_connections_per_address`.
    pub max_connections_per_address: u64,
    /// Publishes: a wrong key, an unknown tenant, a stream that is taken.
    pub publish: u64,
}

/// The limits of `[rtmp]`, by their keys there. Counts, bytes, bits per second, and milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtmpLimits {
    /// Connections.
    pub max_connections: Gauge,
    /// Connections of the address that has the most.
    pub max_connections_per_address: Gauge,
    /// Milliseconds; now: the oldest that is shaking hands.
    pub handshake_timeout: Gauge,
    /// Milliseconds; now: the oldest that has not published.
    pub publish_timeout: Gauge,
    /// Milliseconds; now: the publisher that has been silent longest.
    pub idle_timeout: Gauge,
    /// Bytes; now: the largest message that a present publisher has sent.
    pub max_message_size: Gauge,
    /// Chunk streams of one connection.
    pub max_chunk_streams: Gauge,
    /// Bytes of one connection that has proved nothing; fixed.
    pub max_unproved_memory: Gauge,
    /// Bits per second of one publisher.
    pub max_bitrate: Gauge,
}

/// One limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge {
    /// The limit.
    pub limit: u64,
    /// The value now that is nearest to it.
    pub now: u64,
    /// The highest since the start.
    pub highest: u64,
    /// How many were refused or ended by it since the start.
    pub hits: u64,
}

/// One stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamStats {
    /// Whose it is.
    pub tenant: Name,
    /// Its name within the tenant.
    pub name: Name,
    /// How it is published: `rtmp`.
    pub protocol: String,
    /// What it is doing.
    pub state: StreamState,
    /// The node that transcodes it.
    pub node: Option<Name>,
    /// FFmpeg runs started for it.
    pub attempts: u64,
    /// How many of them replaced one that was lost.
    pub reattachments: u64,
    /// What the publisher sends.
    pub source: SourceStats,
    /// What has been committed.
    pub committed: CommittedStats,
    /// Access units accepted from the publisher and never committed, for reasons of ours.
    pub frames_lost: u64,
    /// Access units committed twice: always 0.
    pub frames_duplicated: u64,
    /// Source access units that gave no output in a committed span.
    pub frames_undecodable: u64,
    /// The bounded log that failover replays.
    pub gop_log: GopLogStats,
    /// From the first random access point until FFmpeg had begun every output, in milliseconds; `null` until then.
    pub startup_ms: Option<u64>,
    /// The last failover, if there was one.
    pub last_failover: Option<FailoverStats>,
    /// Why the last attempt failed, as long as nothing has been committed since.
    pub last_failure: Option<FailureStats>,
    /// Committed fragments and access units of audio that could not be listed: 0, or a fault of ours.
    pub left_out: u64,
    /// Why it is on its node, or on none: the last decision. Too long for a list of streams; it is shown with one stream.
    #[serde(skip)]
    pub placement: Option<Arc<Decision>>,
    /// Why it ended, if it has. It is shown with one stream; those of a list have not.
    #[serde(skip)]
    pub ended: Option<Reason>,
    /// The outputs.
    pub renditions: Vec<RenditionStats>,
    /// Seconds since its first publish.
    pub uptime_s: u64,
    /// When it was taken; the uptime counts from here.
    #[serde(skip, default = "clock::now")]
    pub taken_at: Instant,
}

/// What a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// Published and transcoded.
    Live,
    /// Published; no node runs it.
    Waiting,
    /// Its publisher is gone and may come back.
    Reconnecting,
    /// Its attempts keep failing without a commit, and are held back.
    Quarantined,
}

/// What a publisher sends. What is not known yet is `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStats {
    /// The video's codec; `null` before it is known.
    pub video_codec: Option<VideoCodec>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// The audio's codec; `null` without audio.
    pub audio_codec: Option<AudioCodec>,
    /// Tracks beside the video and the audio that are transcoded: sent, and passed over. At most 16.
    pub other_tracks: Vec<OtherTrackStats>,
    /// How many more of them there are.
    pub more_other_tracks: u64,
    /// Bits per second.
    pub bitrate: u64,
    /// Length of the last GOP.
    pub gop_ms: Option<u64>,
    /// Bytes received.
    pub bytes: u64,
    /// Video access units received.
    pub frames: u64,
}

/// A track that is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherTrackStats {
    /// Pictures or sound.
    pub kind: TrackKind,
    /// The sender's number of it.
    pub number: u8,
    /// Its codec as the sender says it, in four characters: `hvc1`, `mp4a`. What is no printable character is escaped.
    pub codec: String,
}

/// What has been committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedStats {
    /// Access units, of the rendition that has the fewest.
    pub frames: u64,
    /// Fragments, of all renditions.
    pub fragments: u64,
    /// The committed end, in milliseconds on the stream's timeline.
    pub position_ms: i64,
    /// How far it is behind the source.
    pub lag_ms: u64,
}

/// How full the GOP log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GopLogStats {
    /// GOPs in it.
    pub gops: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// How long they last.
    pub duration_ms: u64,
}

/// One failover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailoverStats {
    /// The node that was lost.
    pub from: Option<Name>,
    /// The node that took over.
    pub to: Option<Name>,
    /// Why.
    pub cause: Reason,
    /// From the last sign of life until it was suspected.
    pub detected_ms: u64,
    /// From the suspicion until the committed output went on; `null` as long as it has not.
    pub recovered_ms: Option<u64>,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureStats {
    /// The class of it.
    pub reason: Reason,
    /// What more is known: FFmpeg's last words, for instance.
    pub detail: String,
}

/// One rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionStats {
    /// Its name.
    pub name: Name,
    /// Width in pixels; `null` before its first output.
    pub width: Option<u32>,
    /// Height in pixels; `null` before its first output.
    pub height: Option<u32>,
    /// Bits per second.
    pub bitrate: u64,
    /// Access units committed.
    pub frames: u64,
}

impl StreamStats {
    /// The same with its uptime as of `now`.
    #[must_use]
    pub fn at(&self, now: Instant) -> Self {
        let since = now.saturating_duration_since(self.taken_at).as_secs();
        Self { uptime_s: self.uptime_s.saturating_add(since), ..self.clone() }
    }
}
