//! What one tenant may have, and what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::WAITING_FOR;
use super::amounts::Amounts;
use super::supply::{Candidate, Supply, Wish};
use crate::base::names::Name;
use crate::wire::message::LeaseId;

/// What happens to a publish for which no node has room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It is refused with a text that says what there is none of.
    #[default]
    Refuse,
    /// It is taken, and waits.
    Wait,
}

/// What a tenant may have.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantLimits {
    /// Its part of the fleet, compared with the others', where room is short. More than 0.
    pub weight: f64,
    /// Streams at once.
    pub max_streams: usize,
    /// Pixels a second of everything that is encoded for it; `None` for any number.
    pub max_pixels_per_second: Option<u64>,
    /// What happens where there is no room.
    pub when_full: WhenFull,
    /// What its streams are expected to want, before anything is known of them.
    pub expected: Wish,
}

/// How far a booking has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was taken without room.
    Waiting,
    /// There was room, which is its own.
    Promised,
    /// It has had a lease.
    Ran,
}

/// The room of one stream.
#[derive(Clone, Debug)]
pub(super) struct Booking {
    /// Who would have it: more than one while two publishers open one stream, or one ends as the next begins.
    pub(super) holders: u32,
    /// Leases that were placed for it and are not over.
    pub(super) leases: BTreeSet<LeaseId>,
    /// How far it has come.
    pub(super) standing: Standing,
    /// What it takes of the fleet, as far as that is known; always where it does not wait.
    pub(super) cost: Option<Amounts>,
    /// Pixels a second of all that is encoded for it: as expected until its first demand.
    pub(super) pixel_rate: f64,
    /// When it last wanted a node and got none.
    pub(super) asked: Option<Instant>,
    /// The lower, the earlier it was made.
    pub(super) order: u64,
}

/// A tenant.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// What it may have; as configured.
    pub(super) limits: TenantLimits,
    /// Which of the expected wishes is its own.
    pub(super) kind: usize,
    /// By the stream's name within the tenant.
    pub(super) bookings: BTreeMap<Name, Booking>,
    /// Publishes refused, and streams ended, for want of room or by a limit.
    pub(super) refused: u64,
}

impl Booking {
    /// Whether it waits for a node at `now`.
    pub(super) fn waits(&self, now: Instant) -> bool {
        let lately = |asked: Instant| now.saturating_duration_since(asked) < WAITING_FOR;
        self.leases.is_empty() && self.asked.is_some_and(lately)
    }

    /// Nodes that could take it.
    pub(super) fn candidates(&self, kind: usize, supply: &mut Supply<'_>) -> Vec<Candidate> {
        match self.cost {
            Some(cost) => supply.candidates_at(kind, cost),
            None => supply.candidates(kind).to_vec(),
        }
    }
}

impl Account {
    /// A tenant without streams.
    pub(super) fn new(limits: TenantLimits, kind: usize) -> Self {
        Self { limits, kind, bookings: BTreeMap::new(), refused: 0 }
    }

    /// What its streams take of the fleet, those left out that wait to have anything. Added up each time: what is only
    /// added to and taken from drifts.
    pub(super) fn taken(&self) -> Amounts {
        let granted = self.bookings.values().filter(|booking| booking.standing != Standing::Waiting);
        granted.filter_map(|booking| booking.cost).fold(Amounts::default(), |sum, cost| sum + cost)
    }

    /// Its weighted dominant share with `more` than it has.
    pub(super) fn share_with(&self, more: Amounts, capacity: &Amounts) -> f64 {
        (self.taken() + more).share_of(capacity) / self.limits.weight
    }

    /// Whether it has room of the fleet.
    pub(super) fn has_any(&self) -> bool {
        self.bookings.values().any(|booking| booking.standing != Standing::Waiting)
    }

    /// Pixels a second of its streams but `except`.
    pub(super) fn pixel_rate(&self, except: Option<&Name>) -> f64 {
        let others = self.bookings.iter().filter(|(name, _)| Some(*name) != except);
        others.fold(0.0, |sum, (_, booking)| sum + booking.pixel_rate)
    }

    /// Whether it could have so many pixels a second beside the streams that are not `except`.
    pub(super) fn allows_pixels(&self, rate: f64, except: Option<&Name>) -> bool {
        let Some(most) = self.limits.max_pixels_per_second else { return true };
        self.pixel_rate(except) + rate <= as_float(most)
    }

    /// Whether its limits would let it have one more stream of the expected kind.
    pub(super) fn may_grow(&self) -> bool {
        let rate = self.limits.expected.work.encoded_pixel_rate();
        self.bookings.len() < self.limits.max_streams && self.allows_pixels(rate, None)
    }

    /// How many of its streams wait for a node.
    pub(super) fn waiting(&self, now: Instant) -> usize {
        self.bookings.values().filter(|booking| booking.waits(now)).count()
    }
}

/// A count as a number to reckon with; beyond 2^53 it is off by a millionth of a millionth.
#[expect(clippy::cast_precision_loss, reason = "limits are far below 2^53, and larger ones are no limits")]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}
