//! Tenancy as the API shows it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::supply::FleetRoom;
use super::{Amounts, Tenancy};
use crate::base::names::Name;

/// One tenant: what it may have and what it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantSnapshot {
    /// Its name.
    pub name: Name,
    /// Its part where room is short.
    pub weight: f64,
    /// Streams that it has.
    pub streams: usize,
    /// Streams that it may have.
    pub max_streams: usize,
    /// Pixels a second of what is encoded for it: as expected until a stream has shown what it is.
    pub pixels_per_second: u64,
    /// What that may be; `null` for any number.
    pub max_pixels_per_second: Option<u64>,
    /// The largest share, over all dimensions, that its streams take of the fleet; not weighted. 0 without a node.
    pub dominant_share: f64,
    /// Streams of it that wait for a node.
    pub waiting: usize,
    /// Publishes refused, and streams ended, for want of room or by a limit, since the start.
    pub refused: u64,
}

impl Tenancy {
    /// Each tenant at `now`, by name.
    #[must_use]
    pub fn snapshot(&self, room: &dyn FleetRoom, now: Instant) -> Vec<TenantSnapshot> {
        let capacity = room.capacity();
        self.tenants.iter().map(|(name, account)| account.snapshot(name, &capacity, now)).collect()
    }

    /// Streams that wait for a node.
    #[must_use]
    pub fn queue_length(&self, now: Instant) -> usize {
        self.tenants.values().map(|account| account.waiting(now)).sum()
    }
}

impl Account {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
    fn snapshot(&self, name: &Name, capacity: &Amounts, now: Instant) -> TenantSnapshot {
        TenantSnapshot {
            name: name.clone(),
            weight: self.limits.weight,
            streams: self.bookings.len(),
            max_streams: self.limits.max_streams,
            pixels_per_second: self.pixel_rate(None).round() as u64,
            max_pixels_per_second: self.limits.max_pixels_per_second,
            dominant_share: self.taken().share_of(capacity),
            waiting: self.waiting(now),
            refused: self.refused,
        }
    }
}
