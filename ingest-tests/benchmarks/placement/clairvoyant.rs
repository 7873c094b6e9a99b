//! What could be had: best fit by someone who knows what every stream really takes.
//!
//! It places each stream as it comes, on the node that it fills most ([`Prefers::Fullest`]), and never moves one. Machines
//! differ, so the classical rule alone is no good measure: it packs old, slow machines first, where everything costs more. So there
//! is a second one, which takes the fullest of the nodes where the stream costs the fewest cores ([`Prefers::Cheapest`]).
//!
//! Both keep under the same limit as the policy that they are compared with. They reckon with average use; ups and downs are what a
//! limit under 1 is for. What can be had by moving streams is in [`super::offline`].

use std::collections::HashMap;
use std::time::Instant;

use headgate::placement::work::Work;
use headgate::wire::cost::{Cost, GpuResources, Resources};
use headgate::wire::message::LeaseId;
use headgate::wire::report::Heartbeat;

use super::hardware::{CLASSES, HARDWARE, Hardware, SOFTWARE};
use super::proxy::{Ask, Chooser, Offer};
use super::truth::{Ways, encoders, float, ways};

/// What the system itself takes of a node: bytes.
const SYSTEM: f64 = 1.2e9;
/// What rounding may add up to.
const ROUNDING: f64 = 1e-9;

/// Which nodes a best fit takes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefers {
    /// Those that the stream fills most.
    Fullest,
    /// Those on which it costs the fewest cores, and of these the ones that it fills most.
    Cheapest,
}

/// Nodes with what is really on them.
#[derive(Clone, Debug)]
pub struct Packing {
    nodes: Vec<Bin>,
    limit: f64,
    prefers: Prefers,
}

#[derive(Clone, Debug)]
struct Bin {
    class_index: usize,
    has: Resources,
    used: Resources,
    leases: u32,
    slots: u32,
    gpu_memory: f64,
    sessions: f64,
    gpus: Vec<GpuResources>,
}

/// A place for a stream.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The node.
    pub node: usize,
    /// The GPU that makes all of it; `None` if the processor does.
    pub gpu: Option<u32>,
    /// What it takes there.
    pub cost: Cost,
    /// Cores that it takes, where fewer come first; and how full that makes the node, or its GPU.
    rank: (f64, f64),
}

/// What a stream takes on each class of machine.
pub fn everywhere(work: &Work, content: f64) -> Vec<Ways> {
    CLASSES.iter().map(|class| ways(work, class, content)).collect()
}

impl Packing {
    /// Empty nodes, of which up to `limit` may be used in each dimension.
    pub fn new(hardware: &[Hardware], limit: f64, prefers: Prefers) -> Self {
        let bin = |node: &Hardware| {
            let (class, capacity) = (node.class(), node.class().capacity());
            let network = capacity.network_bps.map_or(f64::INFINITY, float);
            let memory = float(capacity.memory);
            Bin {
                class_index: node.class_index,
                has: Resources { cpu: f64::from(capacity.cores), memory, disk: 1.0, network },
                used: Resources { cpu: node.foreign_cores, memory: SYSTEM, ..Resources::default() },
                leases: 0,
                slots: capacity.slots,
                gpu_memory: float(class.gpu.memory_gib << 30),
                sessions: class.gpu.sessions.map_or(f64::INFINITY, f64::from),
                gpus: (0..class.gpus).map(|_| GpuResources::default()).collect(),
            }
        };
        Self { nodes: hardware.iter().map(bin).collect(), limit, prefers }
    }

    /// The place that is filled most by it.
    pub fn best_fit(&self, ways: &[Ways]) -> Option<Spot> {
        let mut best: Option<Spot> = None;
        for (node, bin) in self.nodes.iter().enumerate() {
            let Some((gpu, fullness)) = bin.fit(&ways[bin.class_index], self.limit) else { continue };
            let ways = &ways[bin.class_index];
            let cores = match self.prefers {
                Prefers::Fullest => 0.0,
                Prefers::Cheapest => ways.way(gpu).map_or(0.0, |cost| cost.machine.cpu),
            };
            let better =
                |best: &Spot| cores < best.rank.0 || (cores <= best.rank.0 && fullness > best.rank.1);
            if best.as_ref().is_none_or(better) {
                let cost = bin.cost(ways, gpu);
                best = Some(Spot { node, gpu, cost, rank: (cores, fullness) });
            }
        }
        best
    }

    /// Whether there is any place for it.
    pub fn has_room(&self, ways: &[Ways]) -> bool {
        self.nodes.iter().any(|bin| bin.fit(&ways[bin.class_index], self.limit).is_some())
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Something really is there.
    pub fn add(&mut self, node: usize, cost: &Cost) {
        self.change(node, cost, 1.0);
        self.nodes[node].leases += 1;
    }

    /// And is not any more.
    pub fn remove(&mut self, node: usize, cost: &Cost) {
        self.change(node, cost, -1.0);
        self.nodes[node].leases = self.nodes[node].leases.saturating_sub(1);
    }

    fn change(&mut self, node: usize, cost: &Cost, sign: f64) {
        let bin = &mut self.nodes[node];
        bin.used += cost.machine * sign;
        for (gpu, needed) in &cost.gpus {
            if let Some(used) = usize::try_from(*gpu).ok().and_then(|gpu| bin.gpus.get_mut(gpu)) {
                used.encoder += needed.encoder * sign;
                used.decoder += needed.decoder * sign;
                used.memory += needed.memory * sign;
                used.sessions += needed.sessions * sign;
            }
        }
    }
}

impl Bin {
    /// By a GPU if one has room, the fullest first, as the ladders prefer; else by the processor.
    fn fit(&self, ways: &Ways, limit: f64) -> Option<(Option<u32>, f64)> {
        if self.leases >= self.slots {
            return None;
        }
        let on_gpu = ways.hardware.as_ref().and_then(|cost| self.fit_gpu(cost, limit));
        on_gpu.map(|(gpu, fullness)| (Some(gpu), fullness)).or_else(|| {
            let cost = ways.software.as_ref()?;
            self.machine(cost, limit).map(|fullness| (None, fullness))
        })
    }

    fn fit_gpu(&self, cost: &Cost, limit: f64) -> Option<(u32, f64)> {
        let machine = self.machine(cost, limit)?;
        let needed = cost.gpu(0);
        let limit = limit + ROUNDING;
        let fullness = |used: &GpuResources| {
            let memory = (used.memory + needed.memory) / self.gpu_memory;
            let busiest = memory.max(used.encoder + needed.encoder);
            (busiest <= limit && used.sessions + needed.sessions <= self.sessions)
                .then_some(busiest.max(machine))
        };
        let fits = self.gpus.iter().zip(0_u32..).filter_map(|(used, gpu)| Some((gpu, fullness(used)?)));
        fits.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn machine(&self, cost: &Cost, limit: f64) -> Option<f64> {
        let after = self.used + cost.machine;
        let shares =
            [after.cpu / self.has.cpu, after.memory / self.has.memory, after.network / self.has.network];
        let fullness = shares.into_iter().fold(0.0, f64::max);
        (fullness <= limit + ROUNDING).then_some(fullness)
    }

    /// The cost with the GPU's own number.
    fn cost(&self, ways: &Ways, gpu: Option<u32>) -> Cost {
        let cost = ways.way(gpu).cloned().unwrap_or_default();
        let gpus = cost.gpus.iter().map(|(_, needed)| (gpu.unwrap_or(0), *needed)).collect();
        Cost { gpus, ..cost }
    }
}

/// A best fit that places streams as they come.
pub struct Clairvoyant {
    packing: Packing,
    placed: HashMap<LeaseId, Cost>,
}

impl Clairvoyant {
    /// Empty nodes.
    pub fn new(hardware: &[Hardware], limit: f64, prefers: Prefers) -> Self {
        Self { packing: Packing::new(hardware, limit, prefers), placed: HashMap::new() }
    }
}

impl Chooser for Clairvoyant {
    fn handle_heartbeat(&mut self, _node: usize, _heartbeat: &Heartbeat, _at: (f64, Instant)) {}

    fn choose(&mut self, ask: &Ask<'_>) -> Option<Offer> {
        let work = &ask.kind.demand.work;
        let Spot { node, gpu, cost, .. } = self.packing.best_fit(&everywhere(work, ask.stream.content))?;
        let encoder = if gpu.is_some() { HARDWARE } else { SOFTWARE };
        let encoders = encoders(work, encoder, gpu)?;
        Some(Offer { node, encoders, cost })
    }

    fn handle_placed(&mut self, lease: LeaseId, _ask: &Ask<'_>, offer: Offer) {
        self.packing.add(offer.node, &offer.cost);
        self.placed.insert(lease, offer.cost);
    }

    fn handle_ended(&mut self, lease: LeaseId, node: usize, _now: Instant) {
        if let Some(cost) = self.placed.remove(&lease) {
            self.packing.remove(node, &cost);
        }
    }

    fn held(&self) -> usize {
        self.placed.len()
    }
}
