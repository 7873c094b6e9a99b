//! One node after the other: whether it would do, and how good it would be.

use std::time::Instant;

use super::encoders::{Chosen, Encoders};
use super::explanation::{Lack, Scored};
use super::offer::{Offer, Offers};
use super::plans::Plans;
use super::rank::Rank;
use super::site::{Occupancy, Site};
use super::wanted::Wanted;
use super::{NodeState, NodeView};
use crate::ffmpeg::capability::Carriage;
use crate::placement::cost::CostModel;
use crate::placement::demand::{Demand, Urgency};
use crate::placement::policy::Policy;
use crate::wire::cost::Cost;
use crate::wire::report::EncoderOn;

/// What a demand is, ready to be held against many nodes.
pub(super) struct Judge<'a> {
    demand: &'a Demand,
    policy: Policy,
    offers: Offers<'a>,
    encoders: Encoders<'a>,
}

impl<'a> Judge<'a> {
    /// Of nodes as they are, filled as far as the policy allows.
    pub(super) fn new(
        demand: &'a Demand,
        costs: &'a CostModel,
        policy: &Policy,
        seed: u64,
        now: Instant,
    ) -> Self {
        let limit = match demand.urgency {
            Urgency::New => policy.headroom,
            Urgency::Running => policy.headroom.max(1.0),
        };
        let plans = Plans::new(&demand.work, costs, limit, seed);
        Self::of(demand, *policy, plans, Site::new(Occupancy::AsItIs, now))
    }

    /// Of nodes with nothing else on them, all of which may be filled.
    pub(super) fn of_empty(demand: &'a Demand, costs: &'a CostModel, now: Instant) -> Self {
        let plans = Plans::new(&demand.work, costs, f64::INFINITY, 0);
        Self::of(demand, Policy::default(), plans, Site::new(Occupancy::Empty, now))
    }

    fn of(demand: &'a Demand, policy: Policy, plans: Plans<'a>, site: Site) -> Self {
        let wanted = Wanted::new(demand);
        let offers = Offers::new(&wanted);
        Self { demand, policy, offers, encoders: Encoders::new(wanted, plans, site) }
    }

    /// Has the machine fetch from memory what judging these nodes reads, for all of them at the same time. Over thousands of
    /// nodes most of the time would go by waiting for the memory of one after the other.
    pub(super) fn look_ahead(&self, nodes: &[NodeView<'_>]) {
        let class = |node: &NodeView<'_>| match self.encoders.tells_classes_apart() {
            true => node.class.as_bytes().first().copied().map_or(0, u64::from),
            false => 0,
        };
        let touch =
            |node: &NodeView<'_>| node.room.touch() ^ self.offers.touch(node.capabilities) ^ class(node);
        std::hint::black_box(nodes.iter().fold(0, |sum, node| sum ^ touch(node)));
    }

    /// Whether a node would do, and how good it would be.
    ///
    /// # Errors
    /// The first constraint that it fails. What waiting does not change comes before what it may.
    pub(super) fn judge(&mut self, node: &NodeView<'a>) -> Result<Scored, Lack> {
        let chosen = self.choose(node)?;
        #[expect(clippy::cast_possible_truncation, reason = "shown, and compared with others cut alike")]
        let score = chosen.fit.highest as f32;
        let last_resort = self.demand.prefer_not.contains(node.name);
        let missing = self.demand.prefer_tags.iter().filter(|tag| !node.tags.contains(tag)).count();
        Ok(Scored {
            score,
            last_resort,
            over_headroom: chosen.fit.needed > self.policy.headroom,
            other_encoder: !chosen.as_before,
            missing_tags: u8::try_from(missing).unwrap_or(u8::MAX),
        })
    }

    /// What was chosen for the node.
    fn choose(&mut self, node: &NodeView<'a>) -> Result<Chosen, Lack> {
        if node.state != NodeState::Alive {
            return Err(Lack::Alive(node.state));
        }
        let Self { demand, offers, encoders, .. } = self;
        let offer = offers.read(node.capabilities, demand, &encoders.wanted);
        check_kind(offer, node, demand)?;
        if node.leases >= node.slots {
            return Err(Lack::FreeSlot(node.slots));
        }
        if let Some(lagging) = node.room.lagging() {
            return Err(Lack::Lagging(u32::try_from(lagging.lag.as_millis()).unwrap_or(u32::MAX)));
        }
        encoders.choose(offer, node)
    }

    /// How the node that was just judged compares to others.
    pub(super) fn rank(&self, node: &NodeView<'a>, scored: Scored) -> Rank {
        Rank::new(node, scored, self.policy.kind)
    }

    /// The encoders and the cost on a node that would do.
    pub(super) fn assign(&mut self, node: &NodeView<'a>) -> Result<(Vec<Option<EncoderOn>>, Cost), Lack> {
        let chosen = self.choose(node)?;
        Ok(self.encoders.picked(chosen, node))
    }

    /// What the demand needs on a node that is alive, if that would do with nothing else on it.
    pub(super) fn cost_when_empty(&mut self, node: &NodeView<'a>) -> Option<Cost> {
        if node.state != NodeState::Alive || node.slots == 0 {
            return None;
        }
        let Self { demand, offers, encoders, .. } = self;
        let offer = offers.read(node.capabilities, demand, &encoders.wanted);
        check_kind(offer, node, demand).ok()?;
        let chosen = encoders.choose(offer, node).ok()?;
        Some(self.encoders.picked(chosen, node).1)
    }
}

/// Whether a node that offers this fulfils the constraints that have nothing to do with what is free.
#[inline]
fn check_kind(offer: &Offer, node: &NodeView<'_>, demand: &Demand) -> Result<(), Lack> {
    if demand.exclude.contains(node.name) {
        return Err(Lack::NotExcluded);
    }
    if let Some(lack) = offer.media {
        return Err(lack);
    }
    if let Some(at) = demand.require_tags.iter().position(|tag| !node.tags.contains(tag)) {
        return Err(Lack::Tag(u32::try_from(at).unwrap_or(u32::MAX)));
    }
    match offer.without {
        Some(rendition) => Err(Lack::Encoder(u32::try_from(rendition).unwrap_or(u32::MAX))),
        None => Ok(()),
    }
}

/// The first part of the input that a node's FFmpeg does not read.
pub(super) fn unread(node: &NodeView<'_>, demand: &Demand) -> Option<Carriage> {
    demand.reads.iter().copied().find(|carriage| !node.capabilities.reads.contains(carriage))
}
