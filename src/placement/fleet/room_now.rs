//! The fleet's room as tenancy asks for it.

use std::time::Instant;

use super::{Fleet, Member};
use crate::base::names::Name;
use crate::placement::demand::Demand;
use crate::placement::place::decision::{Decision, Roster};
use crate::placement::place::{self, NodeState, NodeView};
use crate::placement::tenancy::{Amounts, Candidate, FleetRoom, NodeRoom, Wish};
use crate::wire::cost::{GpuResources, Resources};
use crate::wire::report::Gpu;

/// A fleet at one instant.
#[derive(Clone, Copy, Debug)]
pub struct RoomNow<'a> {
    fleet: &'a Fleet,
    now: Instant,
}

impl Fleet {
    /// What there is room for at `now`.
    #[must_use]
    pub fn room_at(&self, now: Instant) -> RoomNow<'_> {
        RoomNow { fleet: self, now }
    }
}

impl<'a> RoomNow<'a> {
    fn alive(&self) -> impl Iterator<Item = &'a Member> {
        self.fleet.members.values().filter(|member| member.state() == NodeState::Alive)
    }

    fn views(&self) -> Vec<NodeView<'a>> {
        self.alive().map(Member::view).collect()
    }

    /// What may be used of a node, and what is left of that.
    fn room(&self, member: &Member) -> NodeRoom {
        let (view, headroom) = (member.view(), self.fleet.policy.headroom);
        let gpus = &view.capabilities.gpus;
        let usable = Amounts::new(
            view.room.machine_capacity() * headroom,
            filled(all_of(gpus), headroom),
            f64::from(view.slots),
        );
        if view.room.lagging().is_some() {
            return NodeRoom { usable, free: Amounts::default() };
        }
        let expected = view.room.expected(self.now);
        let used = expected.gpus.iter().fold(GpuResources::default(), |sum, (_, used)| sum + *used);
        let left = |has: f64, used: f64| (has - used).max(0.0);
        let (has, is) = (view.room.machine_capacity() * headroom, expected.machine);
        let machine = Resources {
            cpu: left(has.cpu, is.cpu),
            memory: left(has.memory, is.memory),
            disk: left(has.disk, is.disk),
            network: left(has.network, is.network),
        };
        let has = filled(all_of(gpus), headroom);
        let gpu = GpuResources {
            encoder: left(has.encoder, used.encoder),
            decoder: left(has.decoder, used.decoder),
            memory: left(has.memory, used.memory),
            sessions: left(has.sessions, used.sessions),
        };
        NodeRoom {
            usable,
            free: Amounts::new(machine, gpu, f64::from(view.slots.saturating_sub(view.leases))),
        }
    }
}

/// What all of these have together.
fn all_of(gpus: &[Gpu]) -> GpuResources {
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory, to be compared")]
    let one = |gpu: &Gpu| GpuResources {
        encoder: 1.0,
        decoder: 1.0,
        memory: gpu.memory as f64,
        sessions: gpu.sessions.map_or(f64::INFINITY, f64::from),
    };
    gpus.iter().fold(GpuResources::default(), |sum, gpu| sum + one(gpu))
}

/// Of that, what may be used: of encoder sessions all.
fn filled(all: GpuResources, headroom: f64) -> GpuResources {
    GpuResources {
        encoder: all.encoder * headroom,
        decoder: all.decoder * headroom,
        memory: all.memory * headroom,
        sessions: all.sessions,
    }
}

fn demand(wish: &Wish) -> Demand {
    Demand { work: wish.work.clone(), require_tags: wish.require_tags.clone(), ..Demand::default() }
}

impl FleetRoom for RoomNow<'_> {
    fn nodes(&self) -> Vec<NodeRoom> {
        self.alive().map(|member| self.room(member)).collect()
    }

    fn candidates(&self, wish: &Wish) -> Vec<Candidate> {
        let suitable = place::suitable(&self.views(), &demand(wish), &self.fleet.costs, self.now);
        suitable.into_iter().map(|(at, cost)| (at, Amounts::of(&cost))).collect()
    }

    fn shortage(&self, wish: &Wish) -> Option<String> {
        let (nodes, demand) = (self.views(), demand(wish));
        let has_tags = |node: &&NodeView<'_>| demand.require_tags.iter().all(|tag| node.tags.contains(tag));
        if !nodes.iter().any(|node| has_tags(&node)) {
            let tags: Vec<&str> = demand.require_tags.iter().map(Name::as_str).collect();
            return Some(format!("no node has the tags {}", tags.join(", ")));
        }
        let placed =
            place::place(&nodes, &demand, &self.fleet.costs, &self.fleet.policy, self.fleet.seed, self.now);
        let roster = std::sync::Arc::new(Roster::of(&nodes));
        placed.is_err().then(|| Decision::of(&placed, &demand, roster).to_string())
    }
}
