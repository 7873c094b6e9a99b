//! The choice of a node: a pure function from what the fleet looks like, a demand and a seed, to a choice that explains
//! itself. The explanation is part of the API, so its types are serializable.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::demand::Demand;
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::capability::Carriage;
use crate::wire::report::EncoderOn;

/// How a node stands with the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Heartbeats come.
    Alive,
    /// No heartbeat for longer than `suspect_after`: no new lease, those it has stay.
    Suspect,
    /// It leaves in order: no new lease.
    Draining,
    /// Its connection is gone, and its leases with it.
    Lost,
}

/// A node as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    /// Its name, unique among the nodes.
    pub name: &'a Name,
    /// How it stands.
    pub state: NodeState,
    /// Leases it can hold at once.
    pub slots: u32,
    /// Leases it has been given, attached or only offered: what has just been placed counts at once.
    pub leases: u32,
    /// The encoders that work there.
    pub encoders: &'a [EncoderOn],
    /// FFmpeg's version there, for the explanation.
    pub ffmpeg_version: &'a str,
    /// What that FFmpeg reads from FLV.
    pub reads: &'a [Carriage],
}

/// The node that was chosen, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The node.
    pub node: Name,
    /// How the others compare.
    pub explanation: Explanation,
}

/// No node will do; the explanation says what each one lacks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// What each node lacks; nothing in it is feasible.
    pub explanation: Explanation,
    /// What no node can read: to wait for room would be in vain. `None` as long as some node that is known can read the
    /// input, whatever keeps it from taking the demand now, and while no node is alive.
    pub unreadable: Option<Carriage>,
}

impl Refusal {
    /// The reason of the closed set.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self.unreadable {
            Some(_) => Reason::UnsupportedCodec,
            None => Reason::NoNode,
        }
    }
}

/// Every node that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// Those that would do, the best first.
    pub feasible: Vec<Scored>,
    /// Those that would not, by name.
    pub left_out: Vec<LeftOut>,
}

/// A node that would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// The node.
    pub node: Name,
    /// The lowest wins: the number of leases that the node has.
    pub score: f64,
    /// Whether the demand would rather have any other node.
    pub last_resort: bool,
}

/// A node that would not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The node.
    pub node: Name,
    /// The first constraint that it failed.
    pub constraint: Constraint,
}

/// What a node must fulfil.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// To have a free slot.
    FreeSlot {
        /// Slots it has, all taken.
        slots: u32,
    },
    /// To have an encoder for each rendition.
    Encoder {
        /// The first rendition without one.
        rendition: Name,
        /// The encoders that would have done.
        any_of: Vec<String>,
    },
}

/// Chooses the node with the fewest leases among the feasible ones; `seed` breaks ties, so that equal nodes share.
///
/// The same nodes give the same choice in whatever order they are listed.
///
/// # Errors
/// When no node is feasible.
pub fn place(nodes: &[NodeView<'_>], demand: &Demand, seed: u64) -> Result<Choice, Refusal> {
    let explanation = explain(nodes, demand);
    let Some(best) = explanation.feasible.first() else {
        return Err(Refusal { explanation, unreadable: unreadable(nodes, demand) });
    };
    let tied = explanation.feasible.iter().take_while(|other| other.rank().cmp(&best.rank()).is_eq()).count();
    let drawn = usize::try_from(seed % tied.max(1) as u64).unwrap_or_default();
    let node = explanation.feasible[drawn].node.clone();
    Ok(Choice { node, explanation })
}

fn explain(nodes: &[NodeView<'_>], demand: &Demand) -> Explanation {
    let mut explanation = Explanation::default();
    for node in nodes {
        match failed_constraint(node, demand) {
            Some(constraint) => {
                explanation.left_out.push(LeftOut { node: node.name.clone(), constraint });
            }
            None => explanation.feasible.push(Scored {
                node: node.name.clone(),
                score: f64::from(node.leases),
                last_resort: demand.prefer_not.contains(node.name),
            }),
        }
    }
    explanation.feasible.sort_by(|a, b| a.rank().cmp(&b.rank()).then_with(|| a.node.cmp(&b.node)));
    explanation.left_out.sort_by(|a, b| a.node.cmp(&b.node));
    explanation
}

/// What keeps every node that is known from reading the input. A suspect, leaving or lost one that reads it counts too: it
/// may come back, or what it is replaced by.
fn unreadable(nodes: &[NodeView<'_>], demand: &Demand) -> Option<Carriage> {
    let allowed = || nodes.iter().filter(|node| !demand.exclude.contains(node.name));
    let nobody = allowed().all(|node| unread(node, demand).is_some());
    let anybody_alive = allowed().any(|node| node.state == NodeState::Alive);
    // Whoever reads the newest part reads the others too, so this is what to ask for.
    let newest = demand.reads.iter().copied().max_by_key(|carriage| carriage.since_release());
    newest.filter(|_| nobody && anybody_alive)
}

/// The first part of the input that a node's FFmpeg does not read.
fn unread(node: &NodeView<'_>, demand: &Demand) -> Option<Carriage> {
    demand.reads.iter().copied().find(|carriage| !node.reads.contains(carriage))
}

fn failed_constraint(node: &NodeView<'_>, demand: &Demand) -> Option<Constraint> {
    if node.state != NodeState::Alive {
        return Some(Constraint::Alive { state: node.state });
    }
    if demand.exclude.contains(node.name) {
        return Some(Constraint::NotExcluded);
    }
    if let Some(carriage) = unread(node, demand) {
        return Some(Constraint::Read { carriage, ffmpeg: node.ffmpeg_version.to_owned() });
    }
    if node.leases >= node.slots {
        return Some(Constraint::FreeSlot { slots: node.slots });
    }
    let missing = demand.encoders.iter().find(|wanted| {
        let has = |name: &String| node.encoders.iter().any(|on| on.encoder == *name);
        !wanted.any_of.iter().any(has)
    })?;
    Some(Constraint::Encoder { rendition: missing.rendition.clone(), any_of: missing.any_of.clone() })
}

impl Scored {
    /// What decides, the lower the better. Scores are never negative or NaN, so their bits order as they do.
    fn rank(&self) -> (bool, u64) {
        (self.last_resort, self.score.to_bits())
    }
}

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
            Self::FreeSlot { slots } => write!(f, "has all {slots} slots taken"),
            Self::Encoder { rendition, any_of } => {
                write!(f, "has no encoder for {rendition} ({})", any_of.join(", "))
            }
        }
    }
}

/// How many nodes a refusal names in its text; the explanation has them all.
const NAMED_IN_TEXT: usize = 4;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = &self.explanation.left_out;
        if left_out.is_empty() {
            return f.write_str("no node has joined");
        }
        if let Some(carriage) = self.unreadable {
            let (major, minor) = carriage.since_release();
            return write!(
                f,
                "no node can read {carriage} from FLV: FFmpeg {major}.{minor} or later is needed"
            );
        }
        f.write_str("no node will do: ")?;
        for (at, LeftOut { node, constraint }) in left_out.iter().take(NAMED_IN_TEXT).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{node} {constraint}")?;
        }
        match left_out.len().saturating_sub(NAMED_IN_TEXT) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests;
