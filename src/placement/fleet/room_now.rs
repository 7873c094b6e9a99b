//! The fleet's room as tenancy asks for it.

use std::sync::Arc;
use std::time::Instant;

use super::Fleet;
use crate::placement::demand::Demand;
use crate::placement::place::decision::{Decision, Roster};
use crate::placement::place::{self, NodeState, NodeView};
use crate::placement::tenancy::{Amounts, Candidate, FleetRoom, NodeRoom, Wish};
use crate::wire::cost::GpuResources;

/// A fleet at one instant.
#[derive(Clone, Debug)]
pub struct RoomNow<'a> {
    fleet: &'a Fleet,
    alive: Vec<NodeView<'a>>,
    now: Instant,
}

impl Fleet {
    /// What there is room for at `now`.
    #[must_use]
    pub fn room_at(&self, now: Instant) -> RoomNow<'_> {
        let alive = self.views().into_iter().filter(|node| node.state == NodeState::Alive);
        RoomNow { fleet: self, alive: alive.collect(), now }
    }
}

impl RoomNow<'_> {
    /// One that falls behind has nothing free, whatever it says of its load.
    fn room(&self, node: &NodeView<'_>) -> NodeRoom {
        let headroom = self.fleet.policy.headroom;
        let (machine, gpus) = (node.room.machine_capacity() * headroom, of_gpus(node, headroom));
        let usable = Amounts::new(machine, gpus, f64::from(node.slots));
        if node.room.lagging().is_some() {
            return NodeRoom { usable, free: Amounts::default() };
        }
        let expected = node.room.expected(self.now);
        let gpus = expected.gpus.iter().fold(GpuResources::default(), |sum, (_, used)| sum + *used);
        let mut free = usable;
        free -= Amounts::new(expected.machine, gpus, f64::from(node.leases));
        NodeRoom { usable, free }
    }
}

/// What may be used of a node's GPUs together. Encoder sessions are as many as there are.
fn of_gpus(node: &NodeView<'_>, headroom: f64) -> GpuResources {
    let GpuResources { encoder, decoder, memory, sessions } = node.room.gpu_capacity();
    let (encoder, decoder, memory) = (encoder * headroom, decoder * headroom, memory * headroom);
    GpuResources { encoder, decoder, memory, sessions }
}

/// A stream that is to start, of which no more is known than its tenant's profile.
fn demand(wish: &Wish) -> Demand {
    Demand { work: wish.work.clone(), require_tags: wish.require_tags.clone(), ..Demand::default() }
}

impl FleetRoom for RoomNow<'_> {
    fn nodes(&self) -> Vec<NodeRoom> {
        self.alive.iter().map(|node| self.room(node)).collect()
    }

    fn candidates(&self, wish: &Wish) -> Vec<Candidate> {
        let suitable = place::suitable(&self.alive, &demand(wish), &self.fleet.costs, self.now);
        suitable.into_iter().map(|(at, cost)| (at, Amounts::of(&cost))).collect()
    }

    fn shortage(&self, wish: &Wish) -> Option<String> {
        let (demand, Fleet { costs, policy, .. }) = (demand(wish), self.fleet);
        let result = place::place(&self.alive, &demand, costs, policy, 0, self.now);
        let roster = Arc::new(Roster::of(&self.alive));
        result.is_err().then(|| Decision::of(&result, &demand, roster).to_string())
    }
}
