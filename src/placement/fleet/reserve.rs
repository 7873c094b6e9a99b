//! A demand becomes an offer: the best node by what is known now, and its room taken at once.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::member::Member;
use super::{ConnectionId, Fleet, Lease, OFFER_TIMEOUT, Phase};
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::placement::demand::Demand;
use crate::placement::place::decision::{Decision, Roster};
use crate::placement::place::{self, Choice};
use crate::wire::message::LeaseId;

/// A lease that has just been offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Its identity.
    pub lease: LeaseId,
    /// The control connection of the node that it goes to.
    pub connection: ConnectionId,
    /// The node, and what its leases are encoded by.
    pub choice: Choice,
    /// Why that node, and why not the others.
    pub decision: Arc<Decision>,
}

/// No node will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Unplaced {
    reason: Reason,
    /// What each node lacks.
    pub decision: Arc<Decision>,
}

impl Unplaced {
    /// The reason of the closed set.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decision.fmt(f)
    }
}

impl std::error::Error for Unplaced {}

impl Fleet {
    /// Places a demand and offers a lease to the node chosen. Its slot and its room are taken from now on.
    ///
    /// # Errors
    /// When no node will do.
    pub fn reserve(&mut self, demand: &Demand, now: Instant) -> Result<Offer, Unplaced> {
        self.handle_deadline(now);
        self.seed = next_seed(self.seed);
        let passed_over = self.passed_over(demand, now);
        let result = if passed_over.is_empty() {
            self.place(demand, now)
        } else {
            let prefer_not = demand.prefer_not.iter().cloned().chain(passed_over).collect();
            self.place(&Demand { prefer_not, ..demand.clone() }, now)
        };
        let decision = Arc::new(Decision::of(&result, demand, self.roster()));
        match result {
            Ok(choice) => Ok(self.offer(choice, decision, demand, now)),
            Err(refusal) => Err(Unplaced { reason: refusal.reason(), decision }),
        }
    }

    /// The choice, by what the nodes look like now.
    fn place(&self, demand: &Demand, now: Instant) -> Result<Choice, place::Refusal> {
        place::place(&self.views(), demand, &self.costs, &self.policy, self.seed, now)
    }

    /// Takes the slot and the room of a choice, until somebody comes for it or [`OFFER_TIMEOUT`] is over.
    fn offer(&mut self, choice: Choice, decision: Arc<Decision>, demand: &Demand, now: Instant) -> Offer {
        self.last_lease += 1;
        let lease = LeaseId(self.last_lease);
        let member = self.members.get_mut(&choice.node).expect("the choice is one of the members");
        let connection = member.connection().expect("only a connected node is alive");
        member.leases.insert(lease);
        member.room.reserve(lease, choice.cost.clone(), demand.replay, now);
        let expires = now + OFFER_TIMEOUT;
        self.watch(Some(expires));
        let held = Lease {
            node: choice.node.clone(),
            phase: Phase::Offered { expires },
            work: demand.work.clone(),
            encoders: choice.encoders.clone(),
            learnt: None,
        };
        self.leases.insert(lease, held);
        Offer { lease, connection, choice, decision }
    }

    /// Nodes that have just refused such a lease.
    fn passed_over(&self, demand: &Demand, now: Instant) -> Vec<Name> {
        let members = self.members.values().filter(|member| member.is_passed_over(&demand.work, now));
        members.map(Member::name).cloned().collect()
    }

    /// The members by place, as decisions name them; shared by all decisions until it changes.
    fn roster(&mut self) -> Arc<Roster> {
        if let Some(roster) = &self.roster {
            return Arc::clone(roster);
        }
        let roster = Arc::new(Roster::of(&self.views()));
        self.roster = Some(Arc::clone(&roster));
        roster
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014): ties are broken evenly, and a test can repeat them.
fn next_seed(seed: u64) -> u64 {
    let step = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (step ^ (step >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
