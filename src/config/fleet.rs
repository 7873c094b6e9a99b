//! `[fleet]`: the port that nodes dial, and when one of them is suspected.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::reader::{Key, Reader};
use super::surroundings::SecretSource;
use super::units::Quantity;
use crate::base::secret::Secret;

/// The port that nodes dial.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// What a node must present. `None` only where `listen` is loopback. A node reads the same key.
    pub token: Option<Secret>,
    /// How often a node gives a sign of life.
    pub heartbeat: Duration,
    /// After this long without one a node gets no new streams; at least twice `heartbeat`.
    pub suspect_after: Duration,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 7070).into(),
            token: None,
            heartbeat: Duration::from_millis(250),
            suspect_after: Duration::from_millis(750),
        }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    pub(super) listen: Key<SocketAddr>,
    token: Key<SecretSource>,
    heartbeat: Key<Duration>,
    suspect_after: Key<Duration>,
}

impl Written {
    /// A token that was written but cannot be had is noted by itself, not as a missing one too.
    pub(super) fn mean(&self, reader: &mut Reader) -> Fleet {
        let default = Fleet::default();
        let millisecond = Duration::from_millis(1);
        // Faster, and heartbeats are load of their own; slower, and detection takes longer than any encoder's grace.
        let heartbeats = 50 * millisecond..=10_000 * millisecond;
        let suspicions = 100 * millisecond..=60_000 * millisecond;
        let fleet = Fleet {
            listen: reader.get(&self.listen, default.listen),
            token: reader.secret(&self.token),
            heartbeat: reader.within(&self.heartbeat, default.heartbeat, heartbeats),
            suspect_after: reader.within(&self.suspect_after, default.suspect_after, suspicions),
        };
        self.refuse_open_fleet(&fleet, reader);
        self.refuse_hasty_suspicion(&fleet, reader);
        fleet
    }

    /// Whoever speaks to this port gets streams to transcode, so off loopback it asks for a token.
    fn refuse_open_fleet(&self, fleet: &Fleet, reader: &mut Reader) {
        if !fleet.listen.ip().to_canonical().is_loopback() && self.token.place().is_none() {
            reader.refuse(self.listen.place(), "must be loopback, or fleet.token must be set");
        }
    }

    /// With less, one late heartbeat would start a failover.
    fn refuse_hasty_suspicion(&self, fleet: &Fleet, reader: &mut Reader) {
        let least = 2 * fleet.heartbeat;
        if fleet.suspect_after < least {
            let place = self.suspect_after.place().or_else(|| self.heartbeat.place());
            let (least, set) = (least.written(), fleet.suspect_after.written());
            let problem =
                format!("fleet.suspect_after must be at least twice fleet.heartbeat ({least}), it is {set}");
            reader.refuse(place, problem);
        }
    }
}
