//! What a proxy of the simulation is: something that chooses nodes, by what it was told; and what all policies know alike.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use headgate::base::names::Name;
use headgate::placement::cost::{CostModel, Used};
use headgate::placement::demand::Demand;
use headgate::wire::cost::{Cost, GpuResources};
use headgate::wire::message::LeaseId;
use headgate::wire::report::{Capabilities, Capacity, EncoderOn, Heartbeat, LeaseLoad};

use super::arrivals::Stream;
use super::hardware::Hardware;
use super::ladders::Kind;

/// A lease is learnt from this many seconds after it began, when it is known to be warm.
const WARM_AFTER: f64 = 15.0;
/// And at most this often.
const LEARN_EVERY: f64 = 5.0;
/// Only while it keeps up, and does not catch up.
const STEADY: std::ops::RangeInclusive<f64> = 0.97..=1.1;

/// What nodes said when they joined.
#[derive(Debug)]
pub struct Known {
    /// The node's name.
    pub name: Name,
    /// Its class, as it says.
    pub class: String,
    /// What it has.
    pub capacity: Capacity,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// What every proxy knows of the nodes, shared because it never changes in a run.
pub type Fleet = Rc<Vec<Known>>;

/// What these machines say when they join.
pub fn known(hardware: &[Hardware]) -> Fleet {
    let known = |node: &Hardware| Known {
        name: node.name.clone(),
        class: node.class().name.to_owned(),
        capacity: node.class().capacity(),
        capabilities: node.class().capabilities(),
    };
    Rc::new(hardware.iter().map(known).collect())
}

/// A stream that wants a node.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Its kind; all that a proxy may know of it.
    pub kind: &'a Kind,
    /// What it really is: for the clairvoyant.
    pub stream: &'a Stream,
    /// Nodes that have refused it.
    pub refused_by: &'a [usize],
    /// When, in seconds.
    pub at: f64,
    /// When, as placement has it.
    pub now: Instant,
}

/// A lease that is offered to a node.
#[derive(Clone, Debug)]
pub struct Offer {
    /// To which.
    pub node: usize,
    /// By which encoder each rendition is to be made.
    pub encoders: Vec<Option<EncoderOn>>,
    /// What the proxy believes that it costs.
    pub cost: Cost,
}

/// A proxy with a policy.
pub trait Chooser {
    /// A node's heartbeat has arrived.
    fn handle_heartbeat(&mut self, node: usize, heartbeat: &Heartbeat, at: (f64, Instant));

    /// Which node is to be asked next; `None` if none would do.
    fn choose(&mut self, ask: &Ask<'_>) -> Option<Offer>;

    /// The node has taken it.
    fn handle_placed(&mut self, lease: LeaseId, ask: &Ask<'_>, offer: Offer);

    /// The lease is over.
    fn handle_ended(&mut self, lease: LeaseId, node: usize, now: Instant);

    /// Leases that it still believes to be held or reserved somewhere.
    fn held(&self) -> usize;

    /// How long each choice took, in nanoseconds, where it was measured.
    fn choices_ns(&self) -> &[u64] {
        &[]
    }
}

/// What is learnt of costs, by rivals as by ours, so that all tell the nodes the same when they offer a lease.
#[derive(Debug)]
pub struct Knowledge {
    /// What work costs.
    pub costs: CostModel,
    fleet: Fleet,
    leases: HashMap<LeaseId, Learning>,
}

#[derive(Debug)]
struct Learning {
    demand: Rc<Demand>,
    encoders: Vec<Option<EncoderOn>>,
    since: f64,
    learnt: f64,
}

impl Knowledge {
    /// Nothing but the estimate.
    pub fn new(fleet: Fleet) -> Self {
        Self { costs: CostModel::default(), fleet, leases: HashMap::new() }
    }

    /// What a demand would cost on a node.
    pub fn predict(&self, node: usize, demand: &Demand, encoders: &[Option<EncoderOn>]) -> Cost {
        self.costs.predict(&self.fleet[node].class, &demand.work, encoders)
    }

    /// A lease begins.
    pub fn handle_placed(&mut self, lease: LeaseId, ask: &Ask<'_>, encoders: Vec<Option<EncoderOn>>) {
        let demand = Rc::clone(&ask.kind.demand);
        self.leases.insert(lease, Learning { demand, encoders, since: ask.at, learnt: ask.at });
    }

    /// A lease is over; by which encoders it ran.
    pub fn handle_ended(&mut self, lease: LeaseId) -> Vec<Option<EncoderOn>> {
        self.leases.remove(&lease).map(|learning| learning.encoders).unwrap_or_default()
    }

    /// Leases that are known.
    pub fn leases(&self) -> usize {
        self.leases.len()
    }

    /// Learns from those of a node's leases that are this proxy's. `gpus` says what a lease uses of GPUs.
    pub fn handle_heartbeat(
        &mut self,
        node: usize,
        heartbeat: &Heartbeat,
        at: f64,
        gpus: impl Fn(LeaseId) -> Vec<(u32, GpuResources)>,
    ) {
        for report in &heartbeat.leases {
            let Some(learning) = self.leases.get_mut(&report.lease) else { continue };
            let Some(cpu) = learning.is_due(report, at) else { continue };
            learning.learnt = at;
            let used = Used { cpu, memory: report.memory, gpus: gpus(report.lease) };
            self.costs.learn(&self.fleet[node].class, &learning.demand.work, &learning.encoders, &used);
        }
    }
}

impl Learning {
    fn is_due(&self, report: &LeaseLoad, at: f64) -> Option<f64> {
        let caught_up = report.lag_ms.is_some_and(|lag| lag < 2_000);
        let steady = report.speed.is_some_and(|speed| STEADY.contains(&speed));
        let due = at - self.since > WARM_AFTER && at - self.learnt > LEARN_EVERY;
        report.cpu.filter(|_| caught_up && steady && due)
    }
}
