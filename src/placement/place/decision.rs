//! A decision as people read it: what was found of every node, with names and words. It is kept with the stream, so it
//! holds the compact [`Explanation`] and a roster that all decisions of one moment share; the rest is made when asked for.

use std::fmt;
use std::sync::Arc;

use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use super::explanation::{Explanation, Lack, Scored, Verdict};
use super::{Choice, NodeState, NodeView, Refusal};
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::capability::Carriage;
use crate::placement::demand::Demand;
use crate::placement::room::{Dimension, Shortage};
use crate::wire::cost::Cost;
use crate::wire::report::EncoderOn;

/// How many nodes a text names; the API has them all.
const NAMED_IN_TEXT: usize = 4;

/// What is told of the nodes that decisions were made among, by their place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    node: Name,
    ffmpeg_version: String,
}

/// What came of one demand.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    roster: Arc<Roster>,
    explanation: Explanation,
    /// What the verdicts' places in the demand mean.
    require_tags: Vec<Name>,
    renditions: Vec<(Name, Vec<String>)>,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Placed { node: Name, encoders: Vec<Option<EncoderOn>>, cost: Cost },
    Refused { reason: Reason, unreadable: Option<Carriage> },
}

/// A node that would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feasible {
    /// The node.
    pub node: Name,
    /// How good it would be.
    #[serde(flatten)]
    pub scored: Scored,
}

/// A node that would not do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// The node.
    pub node: Name,
    /// The first constraint that it failed.
    pub constraint: Constraint,
    /// The same in words.
    pub text: String,
}

/// What a node must fulfil.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "failed", rename_all = "snake_case")]
pub enum Constraint {
    /// To be alive.
    Alive {
        /// What it is instead.
        state: NodeState,
    },
    /// Not to be excluded by the demand.
    NotExcluded,
    /// To have an FFmpeg that reads the input.
    Read {
        /// The first part of the input that it does not read.
        carriage: Carriage,
        /// The version that it has.
        ffmpeg: String,
    },
    /// To have an FFmpeg that decodes what is encoded anew.
    Decode {
        /// The first part of the input that it does not decode.
        carriage: Carriage,
        /// The version that it has.
        ffmpeg: String,
    },
    /// To have the required tags.
    Tag {
        /// The first that it has not.
        tag: Name,
    },
    /// To have an encoder for each rendition.
    Encoder {
        /// The first rendition without one.
        rendition: Name,
        /// The encoders that would have done.
        any_of: Vec<String>,
    },
    /// To have a free slot.
    FreeSlot {
        /// Slots it has, all taken.
        slots: u32,
    },
    /// To have no lease that falls behind: who cannot keep up gets no more, whatever he says of his load.
    Lagging {
        /// How far the worst of its leases is behind; little where it is slow.
        lag_ms: u32,
    },
    /// To have room in every dimension.
    Room {
        /// Where it has not.
        dimension: Dimension,
        /// How much is needed, in the dimension's unit.
        needed: f64,
        /// How much there is.
        free: f64,
    },
    /// To have an encoder session left on its GPU.
    Sessions {
        /// Which GPU has none.
        gpu: u32,
    },
}

impl Roster {
    /// Of these nodes, in this order.
    #[must_use]
    pub fn of(nodes: &[NodeView<'_>]) -> Self {
        let entry = |node: &NodeView<'_>| Entry {
            node: node.name.clone(),
            ffmpeg_version: node.capabilities.ffmpeg_version.clone(),
        };
        Self(nodes.iter().map(entry).collect())
    }
}

impl Decision {
    /// What [`super::place`] decided. `roster` is of the same nodes in the same order.
    #[must_use]
    pub fn of(result: &Result<Choice, Refusal>, demand: &Demand, roster: Arc<Roster>) -> Self {
        let (explanation, outcome) = match result {
            Ok(Choice { node, encoders, cost, explanation }) => {
                let (node, encoders, cost) = (node.clone(), encoders.clone(), cost.clone());
                (explanation, Outcome::Placed { node, encoders, cost })
            }
            Err(refusal) => {
                let (reason, unreadable) = (refusal.reason(), refusal.unreadable);
                (&refusal.explanation, Outcome::Refused { reason, unreadable })
            }
        };
        let renditions = demand.work.renditions.iter();
        Self {
            roster,
            explanation: explanation.clone(),
            require_tags: demand.require_tags.clone(),
            renditions: renditions.map(|made| (made.name.clone(), made.encoders().to_vec())).collect(),
            outcome,
        }
    }

    /// The node that was chosen.
    #[must_use]
    pub fn node(&self) -> Option<&Name> {
        match &self.outcome {
            Outcome::Placed { node, .. } => Some(node),
            Outcome::Refused { .. } => None,
        }
    }

    /// What each rendition is encoded by there, in the ladder's order; `None` for a copy.
    #[must_use]
    pub fn encoders(&self) -> &[Option<EncoderOn>] {
        match &self.outcome {
            Outcome::Placed { encoders, .. } => encoders,
            Outcome::Refused { .. } => &[],
        }
    }

    /// Why there is none, where there is none.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match &self.outcome {
            Outcome::Placed { .. } => None,
            Outcome::Refused { reason, .. } => Some(*reason),
        }
    }

    /// The nodes that would do: the one chosen, and then the others, the least used first within each group of those that
    /// the demand would rather have.
    #[must_use]
    pub fn feasible(&self) -> Vec<Feasible> {
        let verdicts = self.explanation.verdicts().iter().zip(&self.roster.0).enumerate();
        let mut feasible: Vec<_> = verdicts
            .filter_map(|(at, (verdict, Entry { node, .. }))| match verdict {
                Verdict::Feasible(scored) => Some((at, Feasible { node: node.clone(), scored: *scored })),
                Verdict::LeftOut(_) => None,
            })
            .collect();
        let chosen = self.explanation.chosen();
        feasible.sort_by(|(a_at, a), (b_at, b)| {
            let chosen = (Some(*b_at) == chosen).cmp(&(Some(*a_at) == chosen));
            let preferred = a.scored.preference().cmp(&b.scored.preference());
            let score = a.scored.score.total_cmp(&b.scored.score);
            chosen.then(preferred).then(score).then_with(|| a.node.cmp(&b.node))
        });
        feasible.into_iter().map(|(_, feasible)| feasible).collect()
    }

    /// The nodes that would not do, by name.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        let with_words = |(entry, lack): (&Entry, Lack)| {
            let constraint = self.constraint(lack, entry);
            LeftOut { node: entry.node.clone(), text: constraint.to_string(), constraint }
        };
        self.lacking().into_iter().map(with_words).collect()
    }

    /// The same without words: a stream that waits has its refusal told four times a second.
    fn lacking(&self) -> Vec<(&Entry, Lack)> {
        let lacks = self.explanation.lacks();
        let mut lacking: Vec<_> =
            lacks.filter_map(|(at, lack)| Some((self.roster.0.get(at)?, lack))).collect();
        lacking.sort_by(|(a, _), (b, _)| a.node.cmp(&b.node));
        lacking
    }

    /// The node that was chosen and the next best, each with how full it would be, and why the others would not do.
    fn write_placed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = |f: &mut fmt::Formatter<'_>, Feasible { node, scored }: &Feasible| {
            write!(f, "{node} ({:.0} %)", f64::from(scored.score) * 100.0)
        };
        write_some(f, &self.feasible(), full)?;
        let lacking = self.lacking();
        if lacking.is_empty() {
            return Ok(());
        }
        f.write_str("; not ")?;
        write_some(f, &lacking, |f, (entry, lack)| {
            write!(f, "{}, which {}", entry.node, self.constraint(*lack, entry))
        })
    }

    /// Places are those of the demand that was judged, so that each is found.
    fn constraint(&self, lack: Lack, entry: &Entry) -> Constraint {
        let ffmpeg = || entry.ffmpeg_version.clone();
        match lack {
            Lack::Alive(state) => Constraint::Alive { state },
            Lack::NotExcluded => Constraint::NotExcluded,
            Lack::Read(carriage) => Constraint::Read { carriage, ffmpeg: ffmpeg() },
            Lack::Decode(carriage) => Constraint::Decode { carriage, ffmpeg: ffmpeg() },
            Lack::Tag(at) => match usize::try_from(at).ok().and_then(|at| self.require_tags.get(at)) {
                Some(tag) => Constraint::Tag { tag: tag.clone() },
                None => Constraint::NotExcluded,
            },
            Lack::Encoder(at) => match usize::try_from(at).ok().and_then(|at| self.renditions.get(at)) {
                Some((name, any_of)) => {
                    Constraint::Encoder { rendition: name.clone(), any_of: any_of.clone() }
                }
                None => Constraint::NotExcluded,
            },
            Lack::FreeSlot(slots) => Constraint::FreeSlot { slots },
            Lack::Lagging(lag_ms) => Constraint::Lagging { lag_ms },
            Lack::Room { dimension, needed, free } => {
                Constraint::Room { dimension, needed: f64::from(needed), free: f64::from(free) }
            }
            Lack::Sessions(gpu) => Constraint::Sessions { gpu },
        }
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Decision", 6)?;
        let (encoders, cost) = match &self.outcome {
            Outcome::Placed { encoders, cost, .. } => (Some(encoders), Some(cost)),
            Outcome::Refused { .. } => (None, None),
        };
        fields.serialize_field("node", &self.node())?;
        fields.serialize_field("reason", &self.reason())?;
        fields.serialize_field("encoders", &encoders)?;
        fields.serialize_field("cost", &cost)?;
        fields.serialize_field("feasible", &self.feasible())?;
        fields.serialize_field("left_out", &self.left_out())?;
        fields.end()
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unreadable, lacking) = match &self.outcome {
            Outcome::Placed { .. } => return self.write_placed(f),
            Outcome::Refused { unreadable, .. } => (unreadable, self.lacking()),
        };
        if lacking.is_empty() {
            return f.write_str("no node has joined");
        }
        if let Some(carriage) = unreadable {
            let (major, minor) = carriage.since_release();
            return write!(
                f,
                "no node can read {carriage} from FLV: FFmpeg {major}.{minor} or later is needed"
            );
        }
        f.write_str("no node will do: ")?;
        write_some(f, &lacking, |f, (entry, lack)| {
            write!(f, "{} {}", entry.node, self.constraint(*lack, entry))
        })
    }
}

/// A few of a list, and how many more there are.
fn write_some<T>(
    f: &mut fmt::Formatter<'_>,
    list: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, one) in list.iter().take(NAMED_IN_TEXT).enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        write(f, one)?;
    }
    match list.len().saturating_sub(NAMED_IN_TEXT) {
        0 => Ok(()),
        more => write!(f, ", and {more} more"),
    }
}

/// To follow the node's name.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive { state: NodeState::Alive } => f.write_str("is alive"),
            Self::Alive { state: NodeState::Suspect } => f.write_str("is suspect"),
            Self::Alive { state: NodeState::Draining } => f.write_str("is draining"),
            Self::Alive { state: NodeState::Lost } => f.write_str("is lost"),
            Self::NotExcluded => f.write_str("is excluded"),
            Self::Read { carriage, ffmpeg } => {
                let (major, minor) = carriage.since_release();
                write!(
                    f,
                    "has FFmpeg {ffmpeg}, which does not read {carriage} from FLV ({major}.{minor} does)"
                )
            }
            Self::Decode { carriage, ffmpeg } => {
                write!(f, "has FFmpeg {ffmpeg}, which does not decode {carriage}")
            }
            Self::Tag { tag } => write!(f, "has no tag {tag}"),
            Self::Encoder { rendition, any_of } => {
                write!(f, "has no encoder for {rendition} ({})", any_of.join(", "))
            }
            Self::FreeSlot { slots } => write!(f, "has all {slots} slots taken"),
            Self::Lagging { lag_ms } => {
                write!(f, "cannot keep up: one of its leases is {lag_ms} ms behind or slow")
            }
            Self::Room { dimension, needed, free } => {
                Shortage::Room { dimension: *dimension, needed: *needed, free: *free }.fmt(f)
            }
            Self::Sessions { gpu } => Shortage::Sessions { gpu: *gpu }.fmt(f),
        }
    }
}
