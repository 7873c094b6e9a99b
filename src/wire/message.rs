//! The messages, as types. Control messages are JSON; media travels as raw bytes behind a fixed header ([`super::codec`]).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::names::StreamName;
use crate::base::reason::Reason;
pub use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::ladder::Output;
use crate::media::flv::{self, FlvError, TagKind};
pub use crate::media::fragment::Fragment;
use crate::media::time::Ticks;
use crate::media::track::{AudioConfiguration, VideoConfiguration};
use crate::wire::cost::Cost;
use crate::wire::report::{Capabilities, EncoderOn, Heartbeat, NodeHello};

/// Version of this protocol. Sides with different versions do not talk.
pub const WIRE_VERSION: u32 = 4;
/// The protocol's name in the HTTP `Upgrade` header.
pub const UPGRADE: &str = "headgate-fleet";
/// Path of a node's control connection on the fleet port.
pub const CONTROL_PATH: &str = "/fleet/v1/control";
/// Path of a lease's connection on the fleet port.
pub const LEASE_PATH: &str = "/fleet/v1/lease";
/// Header with [`WIRE_VERSION`].
pub const VERSION_HEADER: &str = "headgate-wire-version";
/// Header with the lease secret, 32 hexadecimal digits.
pub const LEASE_SECRET_HEADER: &str = "headgate-lease-secret";

/// Identifies a lease within one proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub u64);

/// From node to proxy on the control connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NodeMessage {
    /// First message: who the node is and what it can do.
    Hello(Box<NodeHello>),
    /// Sent at every heartbeat interval.
    Heartbeat(Heartbeat),
    /// What it can do has changed, or was proved anew because the proxy asked.
    Capabilities(Box<Capabilities>),
    /// The node does not take this lease.
    LeaseRefused {
        /// Which one.
        lease: LeaseId,
        /// Why.
        reason: Reason,
        /// What more there is to say, for the log and the API: the dimension that has no room for example.
        detail: String,
    },
    /// The node leaves in order; no new lease, please.
    Leaving,
}

/// From proxy to node on the control connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProxyMessage {
    /// Answer to [`NodeMessage::Hello`].
    Welcome {
        /// The proxy's identity.
        proxy: String,
        /// How often to send a heartbeat, in milliseconds.
        heartbeat_ms: u64,
        /// The share of each dimension of a node that the proxy fills. A node does not refuse what stays under it.
        headroom: f64,
    },
    /// The node is not taken; the connection closes.
    Refused {
        /// Why.
        reason: Reason,
        /// For the node's log.
        detail: String,
    },
    /// Please run this.
    Lease(Box<LeaseSpec>),
    /// Prove again what you can do, and say it.
    Prove,
    /// Give this lease up, connected or not.
    Cancel {
        /// Which one.
        lease: LeaseId,
        /// Why.
        reason: Reason,
    },
}

/// One lease: a stream's attempt that a node shall run.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaseSpec {
    /// Its identity.
    pub lease: LeaseId,
    /// Proves on the lease's own connection that the node was given it: 32 hexadecimal digits, used once.
    pub secret: String,
    /// For the node's log.
    pub stream: StreamName,
    /// What to run.
    pub attempt: AttemptSpec,
    /// What each rendition of the ladder is encoded by, in the ladder's order; `None` for a copy.
    pub encoders: Vec<Option<EncoderOn>>,
    /// What the proxy expects it to need. The node refuses what does not fit by its own count.
    pub cost: Cost,
}

impl std::fmt::Debug for LeaseSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut masked = f.debug_struct("LeaseSpec");
        masked.field("lease", &self.lease).field("secret", &"***").field("stream", &self.stream);
        masked.field("attempt", &self.attempt).field("encoders", &self.encoders).field("cost", &self.cost);
        masked.finish()
    }
}

/// Bytes of an FLV tag before its body (FLV 10.1 E.4.1).
const TAG_HEADER_BYTES: usize = 11;
/// Bytes after it: `PreviousTagSize` (E.3).
pub(super) const TAG_TRAILER_BYTES: usize = 4;

/// Bytes for FFmpeg's standard input: whole FLV tags, the file header first. On the wire both kinds are one frame of the
/// same bytes, and what arrives is always [`Media::Bytes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// As they are.
    Bytes(Bytes),
    /// An FLV tag whose body others hold too, so that it is not copied to be put between its header and trailer.
    Tag {
        /// What comes before the body.
        header: [u8; TAG_HEADER_BYTES],
        /// The body.
        payload: Bytes,
    },
}

impl Media {
    /// A tag at `timestamp_ms`.
    ///
    /// # Errors
    /// When the payload is longer than a tag can say.
    pub fn tag(kind: TagKind, timestamp_ms: u32, payload: Bytes) -> Result<Self, FlvError> {
        Ok(Self::Tag { header: flv::tag_header(kind, payload.len(), timestamp_ms)?, payload })
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Tag { payload, .. } => TAG_HEADER_BYTES + payload.len() + TAG_TRAILER_BYTES,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in one piece: without a copy of what has arrived.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Tag { header, payload } => {
                [&header[..], &payload[..], &flv::tag_trailer(payload.len())[..]].concat().into()
            }
        }
    }
}

impl From<Bytes> for Media {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// From proxy to node on a lease's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseInput {
    /// For FFmpeg's standard input.
    Media(Media),
    /// No more input: let FFmpeg finish.
    EndOfInput,
}

/// From node to proxy on a lease's connection.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseOutput {
    /// The init segment of an output; comes once, before anything else of this output.
    Init(OutputInit),
    /// A fragment of a rendition.
    Fragment(Fragment),
    /// One access unit of audio.
    AudioUnit(AudioUnit),
    /// How far FFmpeg is. Sent when something came out, at most every 100 ms an output.
    Progress(Progress),
    /// The attempt has ended; nothing follows.
    Ended(AttemptEnd),
}

/// The init segment of an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputInit {
    /// Which output.
    pub output: Output,
    /// What is in it.
    pub configuration: OutputConfiguration,
    /// `ftyp` and `moov`, without bit rates: equal bytes mean equal configurations. Raw bytes on the wire.
    #[serde(skip)]
    pub segment: Bytes,
}

/// What an output's track is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputConfiguration {
    /// Pictures; timescale 90000.
    Video(VideoConfiguration),
    /// Sound; timescale is the sample rate.
    Audio(AudioConfiguration),
}

/// One access unit of audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioUnit {
    /// When it is heard, on the stream's timeline.
    pub presentation_time: Ticks,
    /// The coded frame.
    pub data: Bytes,
}

/// How far an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which output.
    pub output: Output,
    /// Presentation time of the last access unit that came out, on the stream's timeline.
    pub position: Ticks,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// `Completed` when all input came out.
    pub reason: Reason,
    /// FFmpeg's last words that explain it; a few lines at most, empty when all went well.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::Name;
    use crate::ffmpeg::attempt::AudioStart;
    use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency};

    #[test]
    fn a_tag_has_the_bytes_of_its_three_parts() {
        let payload = Bytes::from_static(b"body");
        let tag = Media::tag(TagKind::Video, 0x0102_0304, payload).expect("a short body");
        let expected = [&b"\x09\0\0\x04\x02\x03\x04\x01\0\0\0body"[..], &flv::tag_trailer(4)].concat();
        assert_eq!((tag.len(), tag.is_empty()), (expected.len(), false));
        assert_eq!(tag.into_bytes(), expected);
        let long = Bytes::from(vec![0; flv::MAX_PAYLOAD_BYTES + 1]);
        assert!(Media::tag(TagKind::Audio, 0, long).is_err());
    }

    #[test]
    fn a_lease_does_not_print_its_secret() {
        let attempt = AttemptSpec {
            number: 1,
            ladder: Ladder {
                renditions: Vec::new(),
                audio: AudioOutput::Copy,
                latency: Latency::Normal,
                deinterlace: Deinterlace::Off,
            },
            has_video: true,
            has_audio: false,
            base: Ticks::ZERO,
            frame_rate: None,
            max_gop: std::time::Duration::from_secs(10),
            audio_start: AudioStart::default(),
        };
        let name: Name = "a".parse().expect("a name");
        let stream = StreamName { tenant: name.clone(), name };
        let (secret, encoders, cost) = ("0123abcd".into(), Vec::new(), Cost::default());
        let spec = LeaseSpec { lease: LeaseId(7), secret, stream, attempt, encoders, cost };
        let message = format!("{:?}", ProxyMessage::Lease(Box::new(spec)));
        assert!(message.contains("LeaseId(7)") && !message.contains("0123abcd"), "{message}");
    }
}
