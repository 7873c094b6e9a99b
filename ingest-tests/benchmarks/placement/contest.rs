//! What is compared with what: the contestants, and their runs, two at a time.
//!
//! # Which nodes refuse what
//!
//! A node of headgate refuses what does not fit by its own room. That is a part of headgate's placement which the rivals, as they
//! are found in the field, do not have: their nodes take whatever they have a slot and an encoder session for, and fall
//! behind. Both are shown. The goals are held against rivals that have been given nodes which refuse as headgate's do:
//! that is the harder comparison, because a refusal at the node undoes the worst choices of its proxy. Rows that are
//! marked "slots only" are the rivals as they are found.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use headgate::placement::policy::Selection;

use super::simulation::clairvoyant::Prefers;
use super::simulation::machine::Refuses;
use super::simulation::offline::packed_anew;
use super::simulation::outcome::{Outcome, Present};
use super::simulation::rivals::Order;
use super::simulation::scenario::{Policy, Scenario, Setting};
use super::simulation::world::run;

/// The load at which policies are compared.
pub const AT_LOAD: f64 = 0.85;
/// The load at which more comes than there is room for.
pub const SATURATED: f64 = 1.3;
/// Of how many random nodes the best is taken where several proxies place.
const SOME: u32 = 8;
/// Each so manieth sample is compared with an offline packing.
const PACKED_EACH: usize = 10;
/// Runs at a time.
const THREADS: usize = 2;

/// Fleets of one size, under one load.
#[derive(Clone, Copy, Debug)]
pub struct Arena {
    /// Nodes of each.
    pub nodes: usize,
    /// Proxies of each.
    pub proxies: usize,
    /// [`Scenario::load`].
    pub load: f64,
    /// The first seed, and how many.
    pub seeds: (u64, u64),
}

/// A policy, with nodes that refuse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contestant {
    /// Ours, the best of all nodes: for one proxy.
    Ours,
    /// Ours, the best of some random nodes: for several proxies, which would all choose the same best one.
    OursOfSome,
    /// A rival, with nodes that refuse as ours do.
    Rival(Order),
    /// A rival as it is found.
    SlotsOnly(Order),
    /// A best fit that knows all costs.
    Knowing(Prefers),
}

/// What came of all runs of a contestant.
pub struct Entry {
    /// Who.
    pub contestant: Contestant,
    /// Added up.
    pub outcome: Outcome,
    /// What ran at some moments of all runs, and what an offline best fit packs at the same. Only where the fleet is saturated.
    pub placed: Placed,
}

/// Added up over moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placed {
    /// Streams that ran, and that the offline best fit places.
    pub streams: (u64, u64),
    /// Millions of pixels a second encoded for them.
    pub megapixels: (f64, f64),
}

impl Contestant {
    /// All that are compared.
    pub const ALL: [Self; 11] = [
        Self::Ours,
        Self::OursOfSome,
        Self::Rival(Order::RoundRobin),
        Self::Rival(Order::Random),
        Self::Rival(Order::LeastConnections),
        Self::Rival(Order::Weighted),
        Self::Rival(Order::LeastLoaded),
        Self::SlotsOnly(Order::RoundRobin),
        Self::SlotsOnly(Order::LeastConnections),
        Self::SlotsOnly(Order::LeastLoaded),
        Self::Knowing(Prefers::Fullest),
    ];
    /// Those that are compared where more comes than there is room for.
    pub fn saturated(proxies: usize) -> Vec<Self> {
        let ours = Self::meant_for(proxies);
        vec![ours, Self::Knowing(Prefers::Fullest), Self::Knowing(Prefers::Cheapest)]
    }

    /// The one of ours that is meant for so many proxies: the goals are its.
    pub fn meant_for(proxies: usize) -> Self {
        if proxies > 1 { Self::OursOfSome } else { Self::Ours }
    }

    /// Whether it is run on the largest fleets.
    pub fn is_cheap(&self) -> bool {
        !matches!(self, Self::SlotsOnly(_) | Self::Rival(Order::Weighted | Order::Random))
    }

    /// How it places.
    pub fn policy(self) -> Policy {
        match self {
            Self::Ours => Policy::Ours(Selection::Best),
            Self::OursOfSome => Policy::Ours(Selection::BestOf(SOME)),
            Self::Rival(order) | Self::SlotsOnly(order) => Policy::Rival(order),
            Self::Knowing(prefers) => Policy::Clairvoyant(prefers),
        }
    }

    /// What it is called.
    pub fn name(self) -> String {
        match self {
            Self::Ours => "headgate".to_owned(),
            Self::OursOfSome => format!("headgate, best of {SOME}"),
            Self::Rival(order) => order.name().to_owned(),
            Self::SlotsOnly(order) => format!("{}, slots only", order.name()),
            Self::Knowing(Prefers::Fullest) => "best fit that knows".to_owned(),
            Self::Knowing(Prefers::Cheapest) => "cheapest fit that knows".to_owned(),
        }
    }
}

impl Arena {
    /// One of its runs.
    pub fn scenario(&self, contestant: Contestant, seed: u64) -> Scenario {
        let of = Scenario::of(self.nodes, self.proxies, self.load, seed);
        match contestant {
            Contestant::SlotsOnly(_) => Scenario { refuses: Refuses::Slots, ..of },
            Contestant::Ours | Contestant::OursOfSome | Contestant::Rival(_) | Contestant::Knowing(_) => of,
        }
    }

    fn run(&self, contestant: Contestant, seed: u64) -> (Outcome, Placed) {
        let setting = Setting::new(self.scenario(contestant, seed));
        let outcome = run(&setting, contestant.policy()).outcome;
        let saturated = self.load >= 1.0 && contestant == Contestant::meant_for(self.proxies);
        let placed = if saturated { compare(&setting, &outcome.present) } else { Placed::default() };
        (outcome, placed)
    }
}

fn compare(setting: &Setting, samples: &[Present]) -> Placed {
    let each = if setting.scenario.nodes >= 1_000 { samples.len() } else { PACKED_EACH };
    let moments = samples.iter().skip(each / 2).step_by(each.max(1));
    moments.fold(Placed::default(), |sum, ran| {
        let (streams, megapixels) = packed_anew(setting, ran.at);
        Placed {
            streams: (sum.streams.0 + ran.streams, sum.streams.1 + streams),
            megapixels: (sum.megapixels.0 + ran.megapixels, sum.megapixels.1 + megapixels),
        }
    })
}

/// Runs all of them with each seed. The order in which runs end makes no difference.
pub fn run_all(arena: Arena, contestants: Vec<Contestant>) -> Vec<Entry> {
    let (first, count) = arena.seeds;
    let seeds = first..first.saturating_add(count);
    let runs: Vec<(usize, u64)> =
        (0..contestants.len()).flat_map(|at| seeds.clone().map(move |seed| (at, seed))).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(&(at, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let came = arena.run(contestants[at], seed);
                    done.lock().expect("no run panics").push((at, seed, came));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no run panics");
    done.sort_by_key(|&(at, seed, _)| (at, seed));
    let mut entries: Vec<Entry> = contestants
        .into_iter()
        .map(|contestant| Entry { contestant, outcome: Outcome::default(), placed: Placed::default() })
        .collect();
    for (at, _, (outcome, placed)) in done {
        let entry = &mut entries[at];
        entry.outcome.add(outcome);
        entry.placed.streams.0 += placed.streams.0;
        entry.placed.streams.1 += placed.streams.1;
        entry.placed.megapixels.0 += placed.megapixels.0;
        entry.placed.megapixels.1 += placed.megapixels.1;
    }
    entries
}
