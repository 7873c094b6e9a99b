//! The policies that others have, each with what it can know and no more.
//!
//! All of them keep to what is certain: a node must be able to do the work, and have a slot and an encoder session left as far
//! as the proxy knows. They make their offers at the same costs, to the same nodes, which refuse alike; and try the next
//! node in their order when refused, as often as ours. What they do not have is knowledge of load (but least-loaded), and
//! reservations.

use std::time::Instant;

use headgate::placement::work::RenditionWork;
use headgate::wire::message::LeaseId;
use headgate::wire::report::{EncoderOn, Gpu, Heartbeat};

use super::hardware::{HARDWARE, SOFTWARE};
use super::proxy::{Ask, Chooser, Fleet, Knowledge, Offer};
use super::random::Random;
use super::truth::{encoders, float};

/// A rival's order of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The fewest of this proxy's leases first.
    LeastConnections,
    /// The fewest of this proxy's leases for each core first, as one would configure weights by hand.
    Weighted,
    /// The lowest utilisation in the last heartbeat first, whatever was placed since.
    LeastLoaded,
}

impl Order {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round robin",
            Self::Random => "random",
            Self::LeastConnections => "least connections",
            Self::Weighted => "least connections, weighted",
            Self::LeastLoaded => "least loaded",
        }
    }
}

/// A proxy with such a policy.
pub struct Rival {
    order: Order,
    fleet: Fleet,
    knowledge: Knowledge,
    random: Random,
    turn: usize,
    nodes: Vec<Seen>,
}

/// What a rival knows of a node.
#[derive(Clone, Debug, Default)]
struct Seen {
    leases: u32,
    /// The highest in the last heartbeat.
    utilization: f64,
    /// Encoder sessions of each GPU: as last reported, and of this proxy's own leases.
    sessions: Vec<(u32, u32)>,
}

impl Rival {
    /// One that has placed nothing.
    pub fn new(order: Order, fleet: Fleet, seed: u64) -> Self {
        let seen = |node: &super::proxy::Known| Seen {
            sessions: vec![(0, 0); node.capabilities.gpus.len()],
            ..Seen::default()
        };
        let nodes = fleet.iter().map(seen).collect();
        let knowledge = Knowledge::new(Fleet::clone(&fleet));
        Self { order, fleet, knowledge, random: Random::new(seed), turn: 0, nodes }
    }

    /// By which encoders the node would do it, as far as is known; `None` if it cannot.
    fn way(&self, node: usize, ask: &Ask<'_>) -> Option<Vec<Option<EncoderOn>>> {
        let (known, seen) = (&self.fleet[node], &self.nodes[node]);
        if seen.leases >= known.capacity.slots || ask.refused_by.contains(&node) {
            return None;
        }
        let work = &ask.kind.demand.work;
        let needed = work.renditions.iter().filter(|rendition| rendition.is_encoded()).count();
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        let open = |gpu: &Gpu| {
            let at = usize::try_from(gpu.index).unwrap_or(usize::MAX);
            seen.sessions.get(at).map_or(0, |&(reported, own)| reported.max(own))
        };
        let free = |gpu: &&Gpu| gpu.sessions.is_none_or(|limit| open(gpu) + needed <= limit);
        let gpu = known.capabilities.gpus.iter().filter(free).min_by_key(|gpu| open(gpu));
        let wants_gpu = work.renditions.iter().any(|made| prefers(made, HARDWARE));
        let hardware = gpu.filter(|_| wants_gpu).and_then(|gpu| encoders(work, HARDWARE, Some(gpu.index)));
        hardware.or_else(|| encoders(work, SOFTWARE, None))
    }

    /// The next node in the order of those that would do, with how.
    fn next(&mut self, ask: &Ask<'_>) -> Option<(usize, Vec<Option<EncoderOn>>)> {
        let count = self.fleet.len();
        let start = match self.order {
            Order::RoundRobin => self.turn,
            Order::Random | Order::LeastConnections | Order::Weighted | Order::LeastLoaded => {
                self.random.index(count)
            }
        };
        let from_start = (start..count).chain(0..start);
        match self.order {
            Order::RoundRobin | Order::Random => {
                let found = from_start.filter_map(|node| Some((node, self.way(node, ask)?))).next();
                self.turn = found.as_ref().map_or(self.turn, |(node, _)| (node + 1) % count);
                found
            }
            Order::LeastConnections | Order::Weighted | Order::LeastLoaded => self.lowest(from_start, ask),
        }
    }

    /// The first of those with the lowest rank that would do. Whether a node would do is asked only of the lowest so far.
    fn lowest(
        &self,
        nodes: impl Iterator<Item = usize>,
        ask: &Ask<'_>,
    ) -> Option<(usize, Vec<Option<EncoderOn>>)> {
        let mut best = None;
        let mut lowest = f64::INFINITY;
        for node in nodes {
            let rank = self.rank(node);
            if rank < lowest
                && let Some(way) = self.way(node, ask)
            {
                lowest = rank;
                best = Some((node, way));
            }
        }
        best
    }

    fn rank(&self, node: usize) -> f64 {
        let seen = &self.nodes[node];
        match self.order {
            Order::Weighted => f64::from(seen.leases) / f64::from(self.fleet[node].capacity.cores),
            Order::LeastLoaded => seen.utilization,
            Order::RoundRobin | Order::Random | Order::LeastConnections => f64::from(seen.leases),
        }
    }

    fn count_sessions(&mut self, node: usize, encoders: &[Option<EncoderOn>], change: impl Fn(u32) -> u32) {
        for gpu in encoders.iter().flatten().filter_map(|on| on.gpu) {
            let at = usize::try_from(gpu).unwrap_or(usize::MAX);
            if let Some((_, own)) = self.nodes[node].sessions.get_mut(at) {
                *own = change(*own);
            }
        }
    }
}

fn prefers(rendition: &RenditionWork, encoder: &str) -> bool {
    rendition.encoders().first().is_some_and(|first| first == encoder)
}

impl Chooser for Rival {
    fn handle_heartbeat(&mut self, node: usize, heartbeat: &Heartbeat, (at, _): (f64, Instant)) {
        let (load, capacity) = (&heartbeat.load, &self.fleet[node].capacity);
        let network = capacity.network_bps.map_or(0.0, |bps| float(load.net_tx_bps) / float(bps));
        let machine = load.cpu.max(float(load.memory) / float(capacity.memory)).max(network);
        let gpu =
            load.gpus.iter().map(|gpu| gpu.encoder.max(float(gpu.memory_used) / float(gpu.memory_total)));
        let seen = &mut self.nodes[node];
        seen.utilization = gpu.fold(machine, f64::max);
        for (gpu, (reported, _)) in load.gpus.iter().zip(&mut seen.sessions) {
            *reported = gpu.sessions;
        }
        self.knowledge.handle_heartbeat(node, heartbeat, at, |_| Vec::new());
    }

    fn choose(&mut self, ask: &Ask<'_>) -> Option<Offer> {
        let (node, encoders) = self.next(ask)?;
        let cost = self.knowledge.predict(node, &ask.kind.demand, &encoders);
        Some(Offer { node, encoders, cost })
    }

    fn handle_placed(&mut self, lease: LeaseId, ask: &Ask<'_>, offer: Offer) {
        self.nodes[offer.node].leases += 1;
        self.count_sessions(offer.node, &offer.encoders, |own| own + 1);
        self.knowledge.handle_placed(lease, ask, offer.encoders);
    }

    fn handle_ended(&mut self, lease: LeaseId, node: usize, _now: Instant) {
        self.nodes[node].leases = self.nodes[node].leases.saturating_sub(1);
        let encoders = self.knowledge.handle_ended(lease);
        self.count_sessions(node, &encoders, |own| own.saturating_sub(1));
    }

    fn held(&self) -> usize {
        self.nodes.iter().map(|seen| usize::try_from(seen.leases).unwrap_or(usize::MAX)).sum()
    }
}
