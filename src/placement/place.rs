//! The choice of a node: a pure function from what the fleet looks like, a demand and a seed, to a choice that explains
//! itself.
//!
//! Every node is judged ([`judge`]): the constraints in their order, those that waiting does not change before those that
//! it may; among them which encoder on which device each rendition gets there ([`encoders`]), by what that costs ([`plans`]).
//! Those that would do are ranked ([`rank`]), and what was found of every node is kept as a few bytes each ([`explanation`]), which become names
//! and words only when somebody asks ([`decision`]).

pub mod decision;
mod encoders;
pub mod explanation;
mod judge;
mod offer;
mod plans;
mod rank;
mod site;
mod wanted;

use std::time::Instant;

use serde::{Deserialize, Serialize};

use self::explanation::{Explanation, Verdict};
use self::judge::Judge;
use self::rank::Candidates;
use super::cost::CostModel;
use super::demand::Demand;
use super::policy::Policy;
use super::room::Room;
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::capability::Carriage;
use crate::wire::cost::Cost;
use crate::wire::report::{Capabilities, EncoderOn};

/// How a node stands with the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Heartbeats come.
    Alive,
    /// No heartbeat for longer than `suspect_after`: no new lease, those it has stay.
    Suspect,
    /// It leaves in order, or is drained: no new lease.
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
    /// Its tags, sorted.
    pub tags: &'a [Name],
    /// The kind of machine: nodes of one class need as much for the same work.
    pub class: &'a str,
    /// What it can do.
    pub capabilities: &'a Capabilities,
    /// What of it is free.
    pub room: &'a Room,
    /// What an hour of it costs.
    pub cost_per_hour: Option<f64>,
    /// What it draws under load.
    pub watts: Option<f64>,
}

/// The node that was chosen, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The node.
    pub node: Name,
    /// What each rendition is encoded by there, in the ladder's order; `None` for a copy.
    pub encoders: Vec<Option<EncoderOn>>,
    /// What it is expected to need there.
    pub cost: Cost,
    /// How the others compare.
    pub explanation: Explanation,
}

/// No node will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What each node lacks; nothing in it is feasible.
    pub explanation: Explanation,
    /// What no node can read: to wait for room would be in vain. `None` as long as some node that is known can read the
    /// input, whatever keeps it from taking the demand now, and while no node is alive.
    pub unreadable: Option<Carriage>,
}

impl Refusal {
    /// The reason of the closed set: [`Reason::UnsupportedCodec`] where no node can read it, [`Reason::NoRoom`] where a node
    /// would do that has no room, or else [`Reason::NoNode`].
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self.unreadable {
            Some(_) => Reason::UnsupportedCodec,
            None if self.explanation.lacks().any(|(_, lack)| lack.is_room()) => Reason::NoRoom,
            None => Reason::NoNode,
        }
    }
}

/// Chooses the best node by `policy` among the feasible ones; `seed` breaks ties, so that equal nodes share.
///
/// The same nodes give the same choice in whatever order they are listed.
///
/// # Errors
/// When no node is feasible.
#[expect(
    clippy::too_many_arguments,
    reason = "a pure function of six things that belong to different owners"
)]
pub fn place(
    nodes: &[NodeView<'_>],
    demand: &Demand,
    costs: &CostModel,
    policy: &Policy,
    seed: u64,
    now: Instant,
) -> Result<Choice, Refusal> {
    let mut judge = Judge::new(demand, costs, policy, seed, now);
    let mut candidates = Candidates::new(nodes, policy, seed);
    let mut verdicts = Vec::with_capacity(nodes.len());
    for some in nodes.chunks(AHEAD) {
        judge.look_ahead(some);
        for node in some {
            let at = verdicts.len();
            verdicts.push(match judge.judge(node) {
                Ok(scored) => {
                    candidates.add(at, judge.rank(node, scored));
                    Verdict::Feasible(scored)
                }
                Err(lack) => Verdict::LeftOut(lack),
            });
        }
    }
    let best = candidates.best();
    let explanation = Explanation::new(verdicts, best);
    // The winner is judged once more, because the encoders of all others were not kept.
    match best.and_then(|at| nodes.get(at)).map(|node| (node, judge.assign(node))) {
        Some((node, Ok((encoders, cost)))) => {
            Ok(Choice { node: node.name.clone(), encoders, cost, explanation })
        }
        Some((_, Err(_))) | None => Err(Refusal { explanation, unreadable: unreadable(nodes, demand) }),
    }
}

/// How many nodes are fetched from memory at once: as many as fit into the processor's nearest cache.
const AHEAD: usize = 32;

/// The nodes that could take the demand if they had nothing else to do and leave nothing free, by their place in `nodes`,
/// and what it is expected to need there.
#[must_use]
pub fn suitable(
    nodes: &[NodeView<'_>],
    demand: &Demand,
    costs: &CostModel,
    now: Instant,
) -> Vec<(usize, Cost)> {
    let mut judge = Judge::of_empty(demand, costs, now);
    nodes.iter().enumerate().filter_map(|(at, node)| Some((at, judge.cost_when_empty(node)?))).collect()
}

/// What keeps every node that is known from reading the input. A suspect, leaving or lost one that reads it counts too: it
/// may come back, or what it is replaced by.
fn unreadable(nodes: &[NodeView<'_>], demand: &Demand) -> Option<Carriage> {
    let allowed = || nodes.iter().filter(|node| !demand.exclude.contains(node.name));
    let nobody = allowed().all(|node| judge::unread(node, demand).is_some());
    let anybody_alive = allowed().any(|node| node.state == NodeState::Alive);
    // Whoever reads the newest part reads the others too, so this is what to ask for.
    let newest = demand.reads.iter().copied().max_by_key(|carriage| carriage.since_release());
    newest.filter(|_| nobody && anybody_alive)
}

#[cfg(test)]
mod tests;
