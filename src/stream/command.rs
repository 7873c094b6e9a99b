//! What goes into a stream and what comes out of it: the vocabulary between the deciding type and its loop.

use std::time::Duration;

use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::capability::Carriage;
use crate::media::time::Ticks;
use crate::media::track::Tracks;
use crate::wire::message::{AttemptSpec, Fragment, LeaseInput, OutputInit};

use super::commit::AudioPlace;
use super::source::SourceMedia;

/// Identifies a publisher's connection within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublisherId(pub u64);

/// How a publisher's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublisherEnd {
    /// It said so: the stream ends now.
    Orderly,
    /// It broke: the publisher may come back within the grace time.
    Broken,
}

/// What to do when a second publisher comes for a stream that has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// The newcomer replaces the old one.
    #[default]
    Replace,
    /// The newcomer is refused, unless the publisher that is there has fallen silent
    /// ([`super::life::SILENT_PUBLISHER`]).
    Refuse,
}

/// How a stream behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// How long a stream lives on without its publisher.
    pub reconnect_grace: Duration,
    /// What a second publisher gets.
    pub takeover: Takeover,
    /// Longest piece of output between two random access points.
    pub max_segment_duration: Duration,
    /// The least time for which an attempt may owe an answer before it is suspected.
    pub suspect_after: Duration,
    /// How many attempts it has all the time.
    pub redundancy: Redundancy,
}

/// How many attempts a stream has all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redundancy {
    /// One; another is started when it is lost or suspected.
    #[default]
    One,
    /// Two, on two hosts: whoever commits first wins each position.
    Two,
}

impl Redundancy {
    /// As a number.
    #[must_use]
    pub fn attempts(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// An attempt that is over without having said so itself: refused, lost, or no node was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptFailure {
    /// Which attempt.
    pub attempt: u32,
    /// The node it was on, or that refused it.
    pub node: Option<Name>,
    /// Why.
    pub reason: Reason,
    /// What more is known.
    pub detail: String,
}

impl AttemptFailure {
    /// Whether it says that the input will be taken nowhere: no node can read it, or it is more than its tenant may have. A
    /// node that says so speaks for itself alone.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.node.is_none() && matches!(self.reason, Reason::UnsupportedCodec | Reason::LimitExceeded)
    }
}

/// Whether a stream has put anything out yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: nobody would miss it.
    New,
    /// It has viewers, or could have.
    Running,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The stream has no other.
    Only,
    /// Another one is suspected and may still win.
    Hedge,
    /// Another one is well, and its node is to be left.
    Move,
    /// The stream has several all the time.
    Twin,
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Only => "only",
            Self::Hedge => "hedge",
            Self::Move => "move",
            Self::Twin => "twin",
        })
    }
}

/// An attempt that wants a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What to run.
    pub spec: AttemptSpec,
    /// What the node's FFmpeg must read from FLV.
    pub reads: Vec<Carriage>,
    /// What it is made of.
    pub source: SourceMedia,
    /// How much media waits for it in the GOP log, warm-up included.
    pub replay: Duration,
    /// Whether its stream has put anything out.
    pub standing: Standing,
    /// What it is for.
    pub purpose: Purpose,
    /// Nodes on which the last attempts failed, and where those run that are suspected.
    pub prefer_not: Vec<Name>,
    /// Nodes that it must not get: where the stream's other attempts run, unless they are suspected. A node whose FFmpeg
    /// hangs may be the only one there is.
    pub exclude: Vec<Name>,
    /// The one node that it may get, where an operator named one.
    pub only: Option<Name>,
}

/// What a stream wants done. Failures come back as inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Find a node for this attempt and attach it; answered by `handle_placed` and
    /// `handle_attached`, or by `handle_failed`.
    Place(Box<Wanted>),
    /// Send this to the attempt's FFmpeg; answered by `handle_written`.
    Feed {
        /// Which attempt.
        attempt: u32,
        /// What to send.
        input: LeaseInput,
    },
    /// Give the attempt up, attached or not.
    Cancel {
        /// Which attempt.
        attempt: u32,
        /// Why.
        reason: Reason,
    },
    /// Show this to players.
    Commit(Commit),
    /// Close a publisher's connection.
    ClosePublisher {
        /// Which one.
        publisher: PublisherId,
        /// Why.
        reason: Reason,
        /// What more is known, as a sentence for whoever runs the encoder.
        detail: String,
    },
    /// The stream is over: end the playlists. Always the last command.
    Finish {
        /// Why.
        reason: Reason,
    },
}

/// What has been committed: the one output for its place.
#[derive(Clone, Debug, PartialEq)]
pub enum Commit {
    /// A section begins: these tracks will come, and no others.
    SectionBegins(Tracks),
    /// The source has no more audio up to here.
    AudioSilent {
        /// On the timeline.
        until: Ticks,
    },
    /// The configuration of an output, for what follows.
    Init(OutputInit),
    /// A fragment.
    Fragment {
        /// The fragment.
        fragment: Fragment,
        /// Where it ends.
        end: Ticks,
    },
    /// An access unit of audio.
    Audio {
        /// Where it stands.
        place: AudioPlace,
        /// The coded frame.
        data: bytes::Bytes,
    },
}
