//! Placement in a small simulation: ours overloads nodes for at most a tenth of the time that round robin and least connections
//! do, places nearly what an offline best fit places, asks no node for what it cannot do, and forgets every lease.
//! `make bench-placement` runs the same at full size.
//!
//! All is drawn from a seed, so it comes out the same each time. `HEADGATE_SEED` sets another one; a test that fails says
//! which it had.

#[path = "benchmarks/placement/mod.rs"]
mod simulation;

use headgate::placement::policy::Selection;

use simulation::offline::packed_anew;
use simulation::outcome::Outcome;
use simulation::rivals::Order;
use simulation::scenario::{Policy, Scenario, Setting};
use simulation::world::run;

const OURS: Policy = Policy::Ours(Selection::Best);
/// The goal is a tenth.
const OVERLOAD_PART: f64 = 0.1;
/// Of what the offline best fit places.
const PLACED_PART: f64 = 0.95;
const AT_LOAD: f64 = 0.85;
const SATURATED: f64 = 1.3;

/// Runs that are added up.
#[derive(Clone, Copy, Debug)]
struct Trial {
    nodes: usize,
    proxies: usize,
    load: f64,
    /// Seconds.
    measured: f64,
    seeds: u64,
}

const THREE: Trial = Trial { nodes: 3, proxies: 1, load: AT_LOAD, measured: 1_200.0, seeds: 4 };
const THIRTY: Trial = Trial { nodes: 30, proxies: 1, load: AT_LOAD, measured: 120.0, seeds: 2 };

fn first_seed() -> u64 {
    std::env::var("HEADGATE_SEED").ok().map_or(1, |text| text.parse().expect("HEADGATE_SEED is a number"))
}

impl Trial {
    fn with(self, proxies: usize) -> Self {
        Self { proxies, ..self }
    }

    fn settings(self) -> impl Iterator<Item = Setting> {
        let first = first_seed();
        (first..first + self.seeds).map(move |seed| {
            let of = Scenario::of(self.nodes, self.proxies, self.load, seed);
            Setting::new(Scenario { measured: self.measured, packings: 0, ..of })
        })
    }

    fn outcome(self, policy: Policy) -> Outcome {
        self.settings().fold(Outcome::default(), |mut sum, setting| {
            sum.add(run(&setting, policy).outcome);
            sum
        })
    }
}

/// What speaks against `outcome`, of a policy that wants to be as good as ours beside these rivals'.
fn faults(outcome: &Outcome, rivals: &[Outcome]) -> Vec<String> {
    let mut faults = outcome.violations.clone();
    if outcome.held_at_end > 0 {
        faults.push(format!("{} leases are held when all streams have ended", outcome.held_at_end));
    }
    for rival in rivals {
        if outcome.overloaded_s > OVERLOAD_PART * rival.overloaded_s {
            faults.push(format!(
                "overloaded for {} s, a rival for {} s",
                outcome.overloaded_s, rival.overloaded_s
            ));
        }
    }
    faults
}

/// Nodes refuse all policies alike, by their own room.
fn rivals(trial: Trial) -> [Outcome; 2] {
    [Order::RoundRobin, Order::LeastConnections].map(|order| trial.outcome(Policy::Rival(order)))
}

#[track_caller]
fn check(trial: Trial) {
    let faults = faults(&trial.outcome(OURS), &rivals(trial));
    assert!(faults.is_empty(), "HEADGATE_SEED={}, {trial:?}: {faults:#?}", first_seed());
}

#[test]
fn three_nodes_are_overloaded_a_tenth_as_long() {
    check(THREE);
}

#[test]
fn three_nodes_of_eight_proxies_are_too() {
    check(THREE.with(8));
}

#[test]
fn thirty_nodes_are_overloaded_a_tenth_as_long() {
    check(THIRTY);
}

#[test]
fn thirty_nodes_of_eight_proxies_are_too() {
    check(THIRTY.with(8));
}

/// The tests above are worth something: who sees all that ours sees but reserves nothing does not pass them.
#[test]
fn without_reservations_nobody_passes() {
    for trial in [THREE, THIRTY] {
        let faults = faults(&trial.outcome(Policy::Rival(Order::LeastLoaded)), &rivals(trial));
        assert_eq!(faults.len(), 2, "HEADGATE_SEED={}, {trial:?}: {faults:?}", first_seed());
    }
}

#[test]
fn a_violation_and_a_leak_are_faults() {
    let mut outcome = Outcome { held_at_end: 1, ..Outcome::default() };
    outcome.violate(format_args!("a node without a GPU is asked for one"));
    assert_eq!(faults(&outcome, &[]).len(), 2);
}

#[test]
fn a_full_fleet_takes_nearly_what_an_offline_best_fit_places() {
    let trial = Trial { load: SATURATED, ..THIRTY };
    let (mut ours, mut best) = (0, 0);
    for setting in trial.settings() {
        for sample in run(&setting, OURS).outcome.present.iter().step_by(20) {
            ours += sample.streams;
            best += packed_anew(&setting, sample.at).0;
        }
    }
    let [placed, wanted] = [ours, best].map(simulation::truth::float);
    assert!(placed >= PLACED_PART * wanted, "HEADGATE_SEED={}: {ours} streams of {best}", first_seed());
}

#[test]
fn one_seed_gives_one_outcome() {
    let short = Trial { measured: 60.0, seeds: 1, ..THREE };
    for policy in [OURS, Policy::Rival(Order::Random)] {
        let outcome = short.with(8).outcome(policy);
        assert_eq!(outcome, short.with(8).outcome(policy));
        assert_ne!(outcome, Trial { load: SATURATED, ..short.with(8) }.outcome(policy));
    }
}
