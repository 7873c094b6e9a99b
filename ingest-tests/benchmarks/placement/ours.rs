//! The policy under test: [`place`] over rooms that heartbeats and reservations fill, at costs that are learnt.

use std::collections::HashMap;
use std::time::Instant;

use headgate::base::names::Name;
use headgate::placement::demand::{Demand, Replay};
use headgate::placement::place::{NodeState, NodeView, place};
use headgate::placement::policy::Policy;
use headgate::placement::room::Room;
use headgate::wire::cost::Resources;
use headgate::wire::message::LeaseId;
use headgate::wire::report::Heartbeat;

use super::proxy::{Ask, Chooser, Fleet, Knowledge, Offer};
use super::random::{Random, hash};

/// While a large fleet is filled, before anything is measured, a choice is made among so many random nodes: to look at all
/// for each of a hundred thousand streams would take minutes, and the best of many random ones is nearly the best.
const AMONG_WHILE_FILLING: usize = 256;

/// A proxy of ours.
pub struct Ours {
    fleet: Fleet,
    index: HashMap<Name, usize>,
    rooms: Vec<Room>,
    leases: Vec<u32>,
    knowledge: Knowledge,
    policy: Policy,
    seed: u64,
    /// When the fleet is full, in seconds.
    full_at: f64,
    choices: u64,
    choices_ns: Vec<u64>,
}

impl Ours {
    /// One that has placed nothing.
    pub fn new(fleet: Fleet, (policy, full_at): (Policy, f64), seed: u64) -> Self {
        let room = |node: &super::proxy::Known| Room::new(node.capacity, &node.capabilities.gpus);
        Self {
            index: fleet.iter().enumerate().map(|(at, node)| (node.name.clone(), at)).collect(),
            rooms: fleet.iter().map(room).collect(),
            leases: vec![0; fleet.len()],
            knowledge: Knowledge::new(Fleet::clone(&fleet)),
            policy,
            fleet,
            seed,
            full_at,
            choices: 0,
            choices_ns: Vec::new(),
        }
    }

    /// The nodes to choose among.
    fn views(&self, ask: &Ask<'_>) -> Vec<NodeView<'_>> {
        let all = self.fleet.len();
        if ask.at >= self.full_at || all <= AMONG_WHILE_FILLING {
            return (0..all).map(|node| self.view(node)).collect();
        }
        let mut random = Random::new(hash(&[self.seed, self.choices, 1]));
        let mut some: Vec<usize> = (0..AMONG_WHILE_FILLING).map(|_| random.index(all)).collect();
        some.sort_unstable();
        some.dedup();
        some.into_iter().map(|node| self.view(node)).collect()
    }

    fn view(&self, node: usize) -> NodeView<'_> {
        let known = &self.fleet[node];
        NodeView {
            name: &known.name,
            state: NodeState::Alive,
            slots: known.capacity.slots,
            leases: self.leases[node],
            tags: &[],
            class: &known.class,
            capabilities: &known.capabilities,
            room: &self.rooms[node],
            cost_per_hour: None,
            watts: None,
        }
    }
}

impl Chooser for Ours {
    fn handle_heartbeat(&mut self, node: usize, heartbeat: &Heartbeat, (at, now): (f64, Instant)) {
        let room = &mut self.rooms[node];
        room.handle_heartbeat(&heartbeat.load, &heartbeat.leases, now);
        let room = &self.rooms[node];
        self.knowledge.handle_heartbeat(node, heartbeat, at, |lease| room.used_gpus(lease));
    }

    /// What is timed is all that a decision takes: to look at the nodes, to place, and to clear away what was looked at.
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark reads the clock itself; nothing is decided by it"
    )]
    fn choose(&mut self, ask: &Ask<'_>) -> Option<Offer> {
        let refused = |&node: &usize| self.fleet[node].name.clone();
        let retried = || Demand {
            exclude: ask.refused_by.iter().map(refused).collect(),
            ..Demand::clone(&ask.kind.demand)
        };
        let retried = (!ask.refused_by.is_empty()).then(retried);
        let demand = retried.as_ref().unwrap_or(&ask.kind.demand);
        self.choices += 1;
        let seed = hash(&[self.seed, self.choices]);
        let begun = Instant::now();
        let choice = place(&self.views(ask), demand, &self.knowledge.costs, &self.policy, seed, ask.now).ok();
        if ask.at >= self.full_at {
            self.choices_ns.push(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        let choice = choice?;
        Some(Offer { node: *self.index.get(&choice.node)?, encoders: choice.encoders, cost: choice.cost })
    }

    fn handle_placed(&mut self, lease: LeaseId, ask: &Ask<'_>, offer: Offer) {
        self.leases[offer.node] += 1;
        self.rooms[offer.node].reserve(lease, offer.cost, Replay::None, ask.now);
        self.knowledge.handle_placed(lease, ask, offer.encoders);
    }

    fn handle_ended(&mut self, lease: LeaseId, node: usize, now: Instant) {
        self.leases[node] = self.leases[node].saturating_sub(1);
        self.rooms[node].release(lease, now);
        self.knowledge.handle_ended(lease);
    }

    /// Leases that are counted or known, or else nodes in whose room something is still reserved.
    fn held(&self) -> usize {
        let counted: u32 = self.leases.iter().sum();
        let reserved = self.rooms.iter().filter(|room| room.reserved() != Resources::default()).count();
        usize::try_from(counted).unwrap_or(usize::MAX).max(self.knowledge.leases()).max(reserved)
    }

    fn choices_ns(&self) -> &[u64] {
        &self.choices_ns
    }
}
