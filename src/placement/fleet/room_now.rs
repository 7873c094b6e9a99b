//! The fleet's room as tenancy asks for it.

use std::time::Instant;

use super::{Fleet, Member};
use crate::base::names::Name;
use crate::placement::demand::{Demand, EncoderDemand};
use crate::placement::place::{self, NodeState, NodeView};
use crate::placement::tenancy::{Amounts, Candidate, FleetRoom, NodeRoom, Wish};
use crate::wire::cost::{Cost, GpuResources, Resources};

/// A fleet at one instant.
#[derive(Clone, Copy, Debug)]
pub struct RoomNow<'a> {
    fleet: &'a Fleet,
}

impl Fleet {
    /// What there is room for at `now`.
    #[must_use]
    pub fn room_at(&self, _now: Instant) -> RoomNow<'_> {
        RoomNow { fleet: self }
    }
}

impl RoomNow<'_> {
    fn alive(&self) -> impl Iterator<Item = &Member> {
        self.fleet.members.values().filter(|member| member.state() == NodeState::Alive)
    }
}

fn amounts(slots: u32) -> Amounts {
    Amounts::new(Resources::default(), GpuResources::default(), f64::from(slots))
}

fn has_tags(member: &Member, wish: &Wish) -> bool {
    wish.require_tags.iter().all(|tag| member.hello().tags.contains(tag))
}

fn demand(wish: &Wish) -> Demand {
    let encoded = wish.work.renditions.iter().filter(|rendition| rendition.is_encoded());
    let encoders = encoded.map(|rendition| EncoderDemand {
        rendition: rendition.name.clone(),
        any_of: rendition.encoders().to_vec(),
    });
    Demand {
        encoders: encoders.collect(),
        work: wish.work.clone(),
        require_tags: wish.require_tags.clone(),
        ..Demand::default()
    }
}

impl FleetRoom for RoomNow<'_> {
    fn nodes(&self) -> Vec<NodeRoom> {
        let room = |member: &Member| {
            let NodeView { slots, leases, .. } = member.view();
            NodeRoom { usable: amounts(slots), free: amounts(slots.saturating_sub(leases)) }
        };
        self.alive().map(room).collect()
    }

    fn candidates(&self, wish: &Wish) -> Vec<Candidate> {
        let demand = demand(wish);
        let cost = Amounts::of(&Cost::default());
        let could = |member: &Member| {
            let empty = NodeView { leases: 0, ..member.view() };
            has_tags(member, wish) && place::place(&[empty], &demand, 0).is_ok()
        };
        self.alive().enumerate().filter(|(_, member)| could(member)).map(|(at, _)| (at, cost)).collect()
    }

    fn shortage(&self, wish: &Wish) -> Option<String> {
        let nodes: Vec<NodeView<'_>> =
            self.alive().filter(|member| has_tags(member, wish)).map(Member::view).collect();
        if nodes.is_empty() {
            let tags: Vec<&str> = wish.require_tags.iter().map(Name::as_str).collect();
            return Some(format!("no node has the tags {}", tags.join(", ")));
        }
        place::place(&nodes, &demand(wish), 0).err().map(|refusal| refusal.to_string())
    }
}
