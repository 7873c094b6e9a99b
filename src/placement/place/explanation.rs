//! What was found of every node: a few bytes each, by its place among the nodes. With names and words it is a
//! [`super::decision::Decision`].

use serde::Serialize;

use super::NodeState;
use crate::ffmpeg::capability::Carriage;
use crate::placement::room::{Dimension, Shortage};

/// What was found of every node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    verdicts: Vec<Verdict>,
    chosen: Option<usize>,
}

/// What was found of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It would do.
    Feasible(Scored),
    /// It would not.
    LeftOut(Lack),
}

/// How good a node would be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// The highest utilisation of any of its dimensions, with the demand placed there.
    pub score: f32,
    /// Whether the demand would rather have any other node.
    pub last_resort: bool,
    /// Whether it would be filled over the headroom.
    pub over_headroom: bool,
    /// Whether it encodes otherwise than the stream's last attempt did.
    pub other_encoder: bool,
    /// How many of the preferred tags it has not.
    pub missing_tags: u8,
}

/// The first constraint that a node failed, without words. Places are those in the demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lack {
    /// It is not alive but this.
    Alive(NodeState),
    /// The demand excludes it.
    NotExcluded,
    /// Its FFmpeg does not read this.
    Read(Carriage),
    /// Its FFmpeg does not decode this.
    Decode(Carriage),
    /// It has not this of the required tags.
    Tag(u32),
    /// It has no encoder for this rendition.
    Encoder(u32),
    /// All of these slots are taken.
    FreeSlot(u32),
    /// One of its leases is so many milliseconds behind, or slow: it cannot keep up.
    Lagging(u32),
    /// Too little is free.
    Room {
        /// Of what.
        dimension: Dimension,
        /// How much is needed, in the dimension's unit.
        needed: f32,
        /// How much there is.
        free: f32,
    },
    /// This GPU has no encoder session left.
    Sessions(u32),
}

impl Scored {
    /// What comes before any load, the lower the better: to be the last resort, then to be over the headroom, then another
    /// encoder than before, then tags that are missing. A node where the attempt has just failed comes after one that is
    /// rather full, as it would most likely fail there again.
    #[must_use]
    #[inline]
    pub(super) fn preference(self) -> (bool, bool, bool, u8) {
        (self.last_resort, self.over_headroom, self.other_encoder, self.missing_tags)
    }
}

impl Lack {
    /// Whether it may be there a moment later, when something has ended.
    #[must_use]
    pub fn is_room(self) -> bool {
        match self {
            Self::FreeSlot(_) | Self::Lagging(_) | Self::Room { .. } | Self::Sessions(_) => true,
            Self::Alive(_)
            | Self::NotExcluded
            | Self::Read(_)
            | Self::Decode(_)
            | Self::Tag(_)
            | Self::Encoder(_) => false,
        }
    }
}

impl From<Shortage> for Lack {
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough to be told")]
    fn from(shortage: Shortage) -> Self {
        match shortage {
            Shortage::Room { dimension, needed, free } => {
                Self::Room { dimension, needed: needed as f32, free: free as f32 }
            }
            Shortage::Sessions { gpu } => Self::Sessions(gpu),
        }
    }
}

impl Explanation {
    pub(super) fn new(verdicts: Vec<Verdict>, chosen: Option<usize>) -> Self {
        Self { verdicts, chosen }
    }

    /// The place of the node that was chosen.
    #[must_use]
    pub fn chosen(&self) -> Option<usize> {
        self.chosen
    }

    /// What was found of each node, in the order in which they were given.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// What each node that would not do lacks, by its place.
    pub fn lacks(&self) -> impl Iterator<Item = (usize, Lack)> {
        self.verdicts.iter().enumerate().filter_map(|(at, verdict)| match verdict {
            Verdict::Feasible(_) => None,
            Verdict::LeftOut(lack) => Some((at, *lack)),
        })
    }
}
