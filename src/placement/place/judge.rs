//! One node after the other: whether it would do, and how good it would be.

use std::time::Instant;

use super::encoders::{Encoders, Site};
use super::explanation::{Lack, Scored};
use super::rank::Rank;
use super::wanted::Wanted;
use super::{NodeState, NodeView};
use crate::ffmpeg::capability::Carriage;
use crate::placement::cost::CostModel;
use crate::placement::demand::{Demand, Urgency};
use crate::placement::policy::Policy;
use crate::placement::room::Room;
use crate::wire::cost::Cost;
use crate::wire::report::EncoderOn;

/// What a demand is, ready to be held against many nodes.
pub(super) struct Judge<'a> {
    demand: &'a Demand,
    policy: Policy,
    now: Instant,
    encoders: Encoders<'a>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(demand: &'a Demand, costs: &'a CostModel, policy: &Policy, now: Instant) -> Self {
        let encoders = Encoders::new(Wanted::new(demand, costs));
        Self { demand, policy: *policy, now, encoders }
    }

    /// Whether the node would do, and how good it would be.
    ///
    /// # Errors
    /// The first constraint that it fails. What waiting does not change comes before what it may.
    pub(super) fn judge(&mut self, node: &NodeView<'a>) -> Result<Scored, Lack> {
        if node.state != NodeState::Alive {
            return Err(Lack::Alive(node.state));
        }
        self.judge_suitable(node)?;
        if node.leases >= node.slots {
            return Err(Lack::FreeSlot(node.slots));
        }
        if let Some(lagging) = node.room.lagging() {
            return Err(Lack::Lagging(u32::try_from(lagging.lag.as_millis()).unwrap_or(u32::MAX)));
        }
        let site = Site { class: node.class, room: node.room, limit: self.limit(), now: self.now };
        let fit = self.encoders.choose(site)?;
        #[expect(clippy::cast_possible_truncation, reason = "shown, and compared with others cut alike")]
        let score = fit.highest as f32;
        let last_resort = self.demand.prefer_not.contains(node.name);
        let missing = self.demand.prefer_tags.iter().filter(|tag| !node.tags.contains(tag)).count();
        Ok(Scored {
            score,
            last_resort,
            over_headroom: fit.needed > self.policy.headroom,
            other_encoder: !self.encoders.wanted.is_as_before(&self.encoders.picks),
            missing_tags: u8::try_from(missing).unwrap_or(u8::MAX),
        })
    }

    /// How the node that was just judged compares to others.
    pub(super) fn rank(&self, node: &NodeView<'a>, scored: Scored) -> Rank {
        Rank::new(node, scored, self.policy.kind)
    }

    /// The encoders and the cost on a node that would do.
    pub(super) fn assign(&mut self, node: &NodeView<'a>) -> Result<(Vec<Option<EncoderOn>>, Cost), Lack> {
        self.judge(node)?;
        let Encoders { wanted, picks, .. } = &mut self.encoders;
        let cost = wanted.price(node.class, picks).clone();
        Ok((wanted.encoders(picks), cost))
    }

    /// What the demand needs on a node that is alive, if that would do with nothing else on it.
    pub(super) fn cost_when_empty(&mut self, node: &NodeView<'a>) -> Option<Cost> {
        if node.state != NodeState::Alive || node.slots == 0 {
            return None;
        }
        self.judge_suitable(node).ok()?;
        let empty = Room::new(*node.room.capacity(), &node.capabilities.gpus);
        let site = Site { class: node.class, room: &empty, limit: f64::INFINITY, now: self.now };
        self.encoders.choose(site).ok()?;
        let Encoders { wanted, picks, .. } = &mut self.encoders;
        Some(wanted.price(node.class, picks).clone())
    }

    /// What may be filled of each dimension.
    fn limit(&self) -> f64 {
        match self.demand.urgency {
            Urgency::New => self.policy.headroom,
            Urgency::Running => self.policy.headroom.max(1.0),
        }
    }

    /// The constraints that have nothing to do with what is free.
    fn judge_suitable(&mut self, node: &NodeView<'a>) -> Result<(), Lack> {
        let demand = self.demand;
        if demand.exclude.contains(node.name) {
            return Err(Lack::NotExcluded);
        }
        if let Some(carriage) = unread(node, demand) {
            return Err(Lack::Read(carriage));
        }
        let decodes = &node.capabilities.decodes;
        if let Some(carriage) = demand.decodes.iter().find(|carriage| !decodes.contains(carriage)) {
            return Err(Lack::Decode(*carriage));
        }
        if let Some(at) = demand.require_tags.iter().position(|tag| !node.tags.contains(tag)) {
            return Err(Lack::Tag(u32::try_from(at).unwrap_or(u32::MAX)));
        }
        self.encoders.look(&node.capabilities.encoders)
    }
}

/// The first part of the input that a node's FFmpeg does not read.
pub(super) fn unread(node: &NodeView<'_>, demand: &Demand) -> Option<Carriage> {
    demand.reads.iter().copied().find(|carriage| !node.capabilities.reads.contains(carriage))
}
