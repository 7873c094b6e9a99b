//! Who is let in and how far each connection has come, with a gauge for every limit. No clock, no sockets: `now` is an
//! argument. Its owner is [`super::meter::Meter`], which all doors share.
//!
//! Bounds: as many connections as `max_connections`, so at most as many addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::proxy::api::stats::{Gauge, RtmpLimits, RtmpRefused, RtmpStats};
use crate::stream::PublisherId;

use super::limits::{Bounds, Limit, Phase};

/// Whom a connection is counted for. Of IPv6 the first 64 bits: a host owns all addresses of its network (RFC 6177 §2), and
/// could come from a new one each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// One address of IPv4, also where the socket shows it as IPv6.
    V4(Ipv4Addr),
    /// A network of IPv6.
    V6([u16; 4]),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// What a connection reports of itself now and then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Bits per second that it sends.
    pub bitrate: u64,
    /// The largest message it has sent, in bytes.
    pub message_bytes: usize,
    /// Memory that it holds, in bytes.
    pub memory_bytes: usize,
    /// Chunk streams that it has used.
    pub chunk_streams: usize,
}

/// A connection that was let in.
#[derive(Debug)]
struct Seat {
    origin: Origin,
    phase: Phase,
    /// When the phase began; of a publisher, when its last media came.
    since: Instant,
    used: Use,
}

/// What is kept of a limit.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    highest: u64,
    hits: u64,
}

/// The connections of all doors.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    seats: BTreeMap<PublisherId, Seat>,
    /// Connections from each address; never zero.
    addresses: BTreeMap<Origin, usize>,
    tallies: [Tally; Limit::ALL.len()],
    refused_publishes: u64,
}

impl Admission {
    /// Nobody is there.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let (seats, addresses) = (BTreeMap::new(), BTreeMap::new());
        Self { bounds, seats, addresses, tallies: Default::default(), refused_publishes: 0 }
    }

    /// Lets a newcomer in, which is then [`Phase::Handshaking`].
    ///
    /// # Errors
    /// The limit that it would exceed; it is counted as a hit.
    pub fn admit(&mut self, id: PublisherId, address: IpAddr, now: Instant) -> Result<(), Limit> {
        let origin = Origin::from(address);
        let from_there = self.addresses.get(&origin).copied().unwrap_or(0);
        if self.seats.len() >= self.bounds.max_connections {
            return Err(self.hit(Limit::Connections));
        }
        if from_there >= self.bounds.max_connections_per_address {
            return Err(self.hit(Limit::ConnectionsPerAddress));
        }
        self.addresses.insert(origin, from_there + 1);
        self.seats.insert(id, Seat { origin, phase: Phase::Handshaking, since: now, used: Use::default() });
        self.raise(Limit::Connections, self.seats.len() as u64);
        self.raise(Limit::ConnectionsPerAddress, from_there as u64 + 1);
        Ok(())
    }

    /// A connection has come as far as `phase`.
    pub fn enter(&mut self, id: PublisherId, phase: Phase, now: Instant) {
        self.close_phase(id, now);
        if let Some(seat) = self.seats.get_mut(&id) {
            (seat.phase, seat.since) = (phase, now);
        }
    }

    /// What a connection uses, and when its last media came. Publishers report twice a second, so the gauges are as much
    /// behind.
    pub fn report(&mut self, id: PublisherId, used: Use, last_media: Option<Instant>) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        seat.used = used;
        let proved = seat.phase == Phase::Publishing;
        if let (true, Some(at)) = (proved, last_media) {
            let silence = at.saturating_duration_since(seat.since);
            seat.since = at;
            self.raise(Limit::IdleTimeout, millis(silence));
        }
        self.raise(Limit::ChunkStreams, used.chunk_streams as u64);
        if proved {
            self.raise(Limit::Bitrate, used.bitrate);
            self.raise(Limit::MessageSize, used.message_bytes as u64);
        } else {
            self.raise(Limit::UnprovedMemory, used.memory_bytes as u64);
        }
    }

    /// A connection is gone.
    pub fn leave(&mut self, id: PublisherId, now: Instant) {
        self.close_phase(id, now);
        let Some(seat) = self.seats.remove(&id) else { return };
        let left = self.addresses.get(&seat.origin).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            self.addresses.remove(&seat.origin);
        } else {
            self.addresses.insert(seat.origin, left);
        }
    }

    /// Counts that a connection was refused or ended by a limit, and gives the limit back.
    pub fn hit(&mut self, limit: Limit) -> Limit {
        let tally = &mut self.tallies[limit as usize];
        tally.hits = tally.hits.saturating_add(1);
        limit
    }

    /// Counts a publish that was refused.
    pub fn count_refused_publish(&mut self) {
        self.refused_publishes = self.refused_publishes.saturating_add(1);
    }

    /// All of it for the API.
    #[must_use]
    pub fn stats(&self, now: Instant) -> RtmpStats {
        let in_phase = |phase| self.seats.values().filter(|seat| seat.phase == phase).count() as u64;
        let gauge = |limit| self.gauge(limit, now);
        RtmpStats {
            connections: self.seats.len() as u64,
            handshaking: in_phase(Phase::Handshaking),
            asking: in_phase(Phase::Asking),
            publishing: in_phase(Phase::Publishing),
            addresses: self.addresses.len() as u64,
            refused: RtmpRefused {
                max_connections: self.tallies[Limit::Connections as usize].hits,
                max_connections_per_address: self.tallies[Limit::ConnectionsPerAddress as usize].hits,
                publish: self.refused_publishes,
            },
            limits: RtmpLimits {
                max_connections: gauge(Limit::Connections),
                max_connections_per_address: gauge(Limit::ConnectionsPerAddress),
                handshake_timeout: gauge(Limit::HandshakeTimeout),
                publish_timeout: gauge(Limit::PublishTimeout),
                idle_timeout: gauge(Limit::IdleTimeout),
                max_message_size: gauge(Limit::MessageSize),
                max_chunk_streams: gauge(Limit::ChunkStreams),
                max_unproved_memory: gauge(Limit::UnprovedMemory),
                max_bitrate: gauge(Limit::Bitrate),
            },
        }
    }

    fn gauge(&self, limit: Limit, now: Instant) -> Gauge {
        let Tally { highest, hits } = self.tallies[limit as usize];
        let current = self.now(limit, now);
        Gauge { limit: self.bounds.told(limit), now: current, highest: highest.max(current), hits }
    }

    /// How near the connection is that is nearest to the limit.
    fn now(&self, limit: Limit, now: Instant) -> u64 {
        let most = |phase: Option<Phase>, of: &dyn Fn(&Seat) -> u64| {
            let seats = self.seats.values().filter(|seat| phase.is_none_or(|phase| seat.phase == phase));
            seats.map(of).max().unwrap_or(0)
        };
        let age = |seat: &Seat| millis(now.saturating_duration_since(seat.since));
        match limit {
            Limit::Connections => self.seats.len() as u64,
            Limit::ConnectionsPerAddress => self.addresses.values().copied().max().unwrap_or(0) as u64,
            Limit::HandshakeTimeout => most(Some(Phase::Handshaking), &age),
            Limit::PublishTimeout => most(Some(Phase::Asking), &age),
            Limit::IdleTimeout => most(Some(Phase::Publishing), &age),
            Limit::MessageSize => most(Some(Phase::Publishing), &|seat| seat.used.message_bytes as u64),
            Limit::ChunkStreams => most(None, &|seat| seat.used.chunk_streams as u64),
            Limit::UnprovedMemory => {
                let unproved = self.seats.values().filter(|seat| seat.phase != Phase::Publishing);
                unproved.map(|seat| seat.used.memory_bytes as u64).max().unwrap_or(0)
            }
            Limit::Bitrate => most(Some(Phase::Publishing), &|seat| seat.used.bitrate),
        }
    }

    /// Remembers how long a phase that ends has taken.
    fn close_phase(&mut self, id: PublisherId, now: Instant) {
        let Some(seat) = self.seats.get(&id) else { return };
        let (limit, _) = self.bounds.timeout(seat.phase);
        self.raise(limit, millis(now.saturating_duration_since(seat.since)));
    }

    fn raise(&mut self, limit: Limit, value: u64) {
        let tally = &mut self.tallies[limit as usize];
        tally.highest = tally.highest.max(value);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
