//! The fleet's room, as a decision about tenants sees it, and as it is tried out in that decision.

use std::rc::Rc;

use super::amounts::Amounts;
use crate::base::names::Name;
use crate::placement::work::Work;

/// What a stream would like to have.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// What is to be made of it.
    pub work: Work,
    /// Tags that its node must have.
    pub require_tags: Vec<Name>,
}

/// One node that takes leases.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeRoom {
    /// What may be used of it: its capacity times the headroom, and its slots.
    pub usable: Amounts,
    /// What is left of that now. Nothing where it gets no new lease for another cause.
    pub free: Amounts,
}

/// A node that could take a wish if it had room, by its place in [`FleetRoom::nodes`], and what that costs there.
pub type Candidate = (usize, Amounts);

/// What tenancy must know of the fleet, all at one instant.
pub trait FleetRoom {
    /// The nodes that are alive.
    fn nodes(&self) -> Vec<NodeRoom>;
    /// Those of them that could take `wish`.
    fn candidates(&self, wish: &Wish) -> Vec<Candidate>;
    /// What keeps each node from taking `wish`, in words; `None` where one can take it now.
    fn shortage(&self, wish: &Wish) -> Option<String>;

    /// All that may be used of the fleet.
    fn capacity(&self) -> Amounts {
        self.nodes().iter().fold(Amounts::default(), |sum, node| sum + node.usable)
    }

    /// What `wish` takes at the least; `None` where no node could take it.
    fn cost(&self, wish: &Wish) -> Option<Amounts> {
        least(&self.candidates(wish), &self.capacity())
    }
}

/// What a stream takes of the candidate where that is least of `capacity`.
pub(super) fn least(candidates: &[Candidate], capacity: &Amounts) -> Option<Amounts> {
    let costs = candidates.iter().map(|(_, cost)| *cost);
    costs.min_by(|a, b| a.share_of(capacity).total_cmp(&b.share_of(capacity)))
}

/// A copy of the fleet's room, in which one decision tries out who would get what.
pub(super) struct Supply<'a> {
    room: &'a dyn FleetRoom,
    kinds: &'a [Wish],
    nodes: Vec<NodeRoom>,
    /// All that may be used.
    capacity: Amounts,
    /// By kind: asked for at most once a decision.
    known: Vec<Option<Kind>>,
}

/// Who could take an expected wish, and what that takes at the least.
#[derive(Clone, Debug)]
struct Kind {
    candidates: Rc<[Candidate]>,
    least: Amounts,
}

impl<'a> Supply<'a> {
    /// `None` where no node is alive. `kinds` are the wishes that tenants are expected to have.
    pub(super) fn new(room: &'a dyn FleetRoom, kinds: &'a [Wish]) -> Option<Self> {
        let nodes = room.nodes();
        let capacity = room.capacity();
        let known = vec![None; kinds.len()];
        (!nodes.is_empty()).then_some(Self { room, kinds, nodes, capacity, known })
    }

    /// All that may be used of the fleet.
    pub(super) fn capacity(&self) -> &Amounts {
        &self.capacity
    }

    /// The nodes that could take a stream of this kind.
    pub(super) fn candidates(&mut self, kind: usize) -> Rc<[Candidate]> {
        self.known(kind).map_or_else(|| Rc::new([]) as Rc<[Candidate]>, |known| Rc::clone(&known.candidates))
    }

    /// What a stream of this kind takes at the least; nothing where no node could take it.
    pub(super) fn least(&mut self, kind: usize) -> Amounts {
        self.known(kind).map_or_else(Amounts::default, |known| known.least)
    }

    fn known(&mut self, kind: usize) -> Option<&Kind> {
        let (room, capacity) = (self.room, &self.capacity);
        let (known, wish) = self.known.get_mut(kind).zip(self.kinds.get(kind))?;
        Some(known.get_or_insert_with(|| {
            let candidates: Rc<[Candidate]> = room.candidates(wish).into();
            let least = least(&candidates, capacity).unwrap_or_default();
            Kind { candidates, least }
        }))
    }

    /// The same nodes for a stream whose cost is known already.
    pub(super) fn candidates_at(&mut self, kind: usize, cost: Amounts) -> Vec<Candidate> {
        self.candidates(kind).iter().map(|(node, _)| (*node, cost)).collect()
    }

    /// Takes what one stream needs from the first candidate with room; `None` where none has.
    pub(super) fn take(&mut self, candidates: &[Candidate]) -> Option<Amounts> {
        let has_room =
            |(at, cost): &&Candidate| self.nodes.get(*at).is_some_and(|node| node.free.covers(cost));
        let chosen = candidates.iter().find(has_room).copied()?;
        self.take_from(chosen)
    }

    /// The same from the candidate that is then left with the most, which is where `spread` would put it.
    pub(super) fn take_spread(&mut self, candidates: &[Candidate]) -> Option<Amounts> {
        let nodes = &self.nodes;
        let with_room = candidates.iter().filter_map(|&(at, cost)| {
            let node = nodes.get(at).filter(|node| node.free.covers(&cost))?;
            let mut used = node.usable + cost;
            used -= node.free;
            Some((used.share_of(&node.usable), (at, cost)))
        });
        let (_, chosen) = with_room.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        self.take_from(chosen)
    }

    fn take_from(&mut self, (at, cost): Candidate) -> Option<Amounts> {
        self.nodes.get_mut(at)?.free -= cost;
        Some(cost)
    }

    /// Whether one of the candidates has room.
    pub(super) fn holds(&self, candidates: &[Candidate]) -> bool {
        let has_room =
            |(at, cost): &Candidate| self.nodes.get(*at).is_some_and(|node| node.free.covers(cost));
        candidates.iter().any(has_room)
    }

    /// Whether one of the candidates could take it if it had nothing else to do.
    pub(super) fn could_hold(&self, candidates: &[Candidate]) -> bool {
        let could = |(at, cost): &Candidate| self.nodes.get(*at).is_some_and(|node| node.usable.covers(cost));
        candidates.iter().any(could)
    }
}

/// Whether two streams could want the same node.
pub(super) fn compete(ours: &[Candidate], theirs: &[Candidate]) -> bool {
    ours.iter().any(|(node, _)| theirs.iter().any(|(other, _)| node == other))
}
