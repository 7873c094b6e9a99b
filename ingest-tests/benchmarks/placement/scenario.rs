//! What is simulated: how many nodes, proxies and streams, for how long.

use headgate::placement;
use headgate::placement::policy::{PolicyKind, Selection};

use super::arrivals::{Crowd, Stream, streams};
use super::clairvoyant::{Clairvoyant, Prefers};
use super::hardware::{Hardware, fleet};
use super::ladders::{Kind, catalogue};
use super::machine::Refuses;
use super::offline::room_for;
use super::ours::Ours;
use super::proxy::{Chooser, Fleet, known};
use super::random::hash;
use super::rivals::{Order, Rival};

/// A run, but for the policy.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What decides all that is left to chance.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// Proxies; a stream is published at any of them.
    pub proxies: usize,
    /// Streams that would be there at a time if all were placed, as a share of how many a clairvoyant best fit packs into
    /// all that there is.
    pub load: f64,
    /// What ours leaves free of each node, and so the clairvoyant too: 1 less this.
    pub headroom: f64,
    /// By what nodes refuse.
    pub refuses: Refuses,
    /// Seconds between two heartbeats of a node.
    pub heartbeat: f64,
    /// Seconds that a stream stays, on average.
    pub lifetime: f64,
    /// Seconds in which the first streams come; until the fleet has settled; and over which is measured.
    pub fill: f64,
    /// See [`Scenario::fill`].
    pub settle: f64,
    /// See [`Scenario::fill`].
    pub measured: f64,
    /// Refused streams that are held against an offline packing, at most.
    pub packings: u64,
}

/// Who places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// Ours.
    Ours(Selection),
    /// A rival.
    Rival(Order),
    /// A clairvoyant best fit, one for all proxies together.
    Clairvoyant(Prefers),
}

/// What all policies meet in a scenario.
pub struct Setting {
    /// The scenario.
    pub scenario: Scenario,
    /// Every kind of stream.
    pub kinds: Vec<Kind>,
    /// The machines.
    pub hardware: Vec<Hardware>,
    /// What they say of themselves.
    pub fleet: Fleet,
    /// The streams, by the time at which they come.
    pub streams: Vec<Stream>,
}

impl Scenario {
    /// As it is run in the benchmark. Larger fleets are watched for a shorter time, and their nodes send fewer heartbeats;
    /// what is added up is about the same.
    pub fn of(nodes: usize, proxies: usize, load: f64, seed: u64) -> Self {
        let few = Self {
            seed,
            nodes,
            proxies,
            load,
            headroom: placement::policy::DEFAULT_HEADROOM,
            refuses: Refuses::Room(1.0),
            heartbeat: 0.25,
            lifetime: 300.0,
            fill: 120.0,
            settle: 60.0,
            measured: 3_600.0,
            packings: 300,
        };
        match nodes {
            0..=9 => few,
            10..=999 => Self { measured: 300.0, ..few },
            _ => Self {
                heartbeat: 2.0,
                lifetime: 180.0,
                fill: 120.0,
                settle: 10.0,
                measured: 20.0,
                packings: 0,
                ..few
            },
        }
    }

    /// When it ends, in seconds.
    pub fn end(&self) -> f64 {
        self.fill + self.settle + self.measured
    }
}

impl Setting {
    /// Draws everything.
    pub fn new(scenario: Scenario) -> Self {
        let kinds = catalogue();
        let hardware = fleet(scenario.nodes, hash(&[scenario.seed, 7]));
        let room = room_in(&hardware, &kinds, hash(&[scenario.seed, 8]));
        let crowd = Crowd {
            present: scenario.load * room,
            lifetime: scenario.lifetime,
            fill: scenario.fill,
            end: scenario.end(),
        };
        let streams = streams(&crowd, &kinds, hash(&[scenario.seed, 9]));
        let fleet = known(&hardware);
        Self { scenario, kinds, hardware, fleet, streams }
    }

    /// The proxies under a policy.
    pub fn proxies(&self, policy: Policy) -> Vec<Box<dyn Chooser>> {
        let Scenario { seed, headroom, proxies, .. } = self.scenario;
        let proxy = |index: u64| -> Box<dyn Chooser> {
            let (fleet, seed) = (Fleet::clone(&self.fleet), hash(&[seed, 10, index]));
            match policy {
                Policy::Ours(selection) => {
                    let policy = placement::policy::Policy { kind: PolicyKind::Spread, headroom, selection };
                    Box::new(Ours::new(fleet, (policy, self.scenario.fill), seed))
                }
                Policy::Rival(order) => Box::new(Rival::new(order, fleet, seed)),
                Policy::Clairvoyant(prefers) => Box::new(Clairvoyant::new(&self.hardware, headroom, prefers)),
            }
        };
        let count = if matches!(policy, Policy::Clairvoyant(_)) { 1 } else { proxies };
        (0..).take(count).map(proxy).collect()
    }
}

/// How many streams there is room for at most. Of a large fleet a part is filled, and taken for the whole.
fn room_in(hardware: &[Hardware], kinds: &[Kind], seed: u64) -> f64 {
    const PART: usize = 500;
    let part = hardware.len().min(PART);
    let share = super::truth::float(u64::try_from(hardware.len()).unwrap_or(u64::MAX))
        / super::truth::float(u64::try_from(part.max(1)).unwrap_or(1));
    room_for(&hardware[..part], kinds, 1.0, seed) * share
}
