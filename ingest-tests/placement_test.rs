//! Placement in a small simulation: ours overloads nodes for at most a tenth of the time that round robin and least connections
//! do, places nearly what an offline best fit places, asks no node for what it cannot do, and forgets every lease.
//! `make bench-placement` runs the same at full size.
//!
//! A tenth is of the rivals as they are found, whose nodes take all that they have a slot and an encoder session for. Beside
//! them stand rivals with nodes that refuse by their room, as ours do. Over the benchmark's hours a tenth is kept of these too.
//! Over the minutes here, in which most costs are not learnt yet, it may be more: it was under
//! 0.6 with each of the seeds that were tried.
//!
//! All is drawn from a seed, so it comes out the same each time. `HEADGATE_SEED` sets another one; a test that fails says
//! which it had.

#[path = "benchmarks/placement/mod.rs"]
mod simulation;

use headgate::placement::policy::Selection;

use simulation::machine::Refuses;
use simulation::offline::packed_anew;
use simulation::outcome::Outcome;
use simulation::rivals::Order;
use simulation::scenario::{Policy, Scenario, Setting};
use simulation::truth::float;
use simulation::world::run;

/// Of the overloaded time of rivals as they are found: the goal.
const OF_FOUND: f64 = 0.1;
/// And of rivals with nodes that refuse as ours do.
const OF_REFUSING: f64 = 0.6;
/// Of what the offline best fit places.
const PLACED_PART: f64 = 0.95;
/// Nodes refuse by their own room, as headgate's do.
const BY_ROOM: Refuses = Refuses::Room(1.0);
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

const THREE: Trial = Trial { nodes: 3, proxies: 1, load: AT_LOAD, measured: 600.0, seeds: 3 };
const THIRTY: Trial = Trial { nodes: 30, proxies: 1, load: AT_LOAD, measured: 90.0, seeds: 2 };

/// Several proxies look at some random nodes each, because the best of all would be the same for all of them.
fn ours(proxies: usize) -> Policy {
    Policy::Ours(if proxies > 1 { Selection::BestOf(8) } else { Selection::Best })
}

fn first_seed() -> u64 {
    std::env::var("HEADGATE_SEED").ok().map_or(1, |text| text.parse().expect("HEADGATE_SEED is a number"))
}

impl Trial {
    fn with(self, proxies: usize) -> Self {
        Self { proxies, ..self }
    }

    fn settings(self, refuses: Refuses) -> impl Iterator<Item = Setting> {
        let first = first_seed();
        (first..first + self.seeds).map(move |seed| {
            let of = Scenario::of(self.nodes, self.proxies, self.load, seed);
            Setting::new(Scenario { measured: self.measured, packings: 0, refuses, ..of })
        })
    }

    fn outcome(self, policy: Policy, refuses: Refuses) -> Outcome {
        self.settings(refuses).fold(Outcome::default(), |mut sum, setting| {
            sum.add(run(&setting, policy).outcome);
            sum
        })
    }
}

/// What speaks against `outcome`, of a policy that wants to be overloaded for no more than a part of the time of each rival.
fn faults(outcome: &Outcome, rivals: &[(f64, Outcome)]) -> Vec<String> {
    let mut faults = outcome.violations.clone();
    if outcome.held_at_end > 0 {
        faults.push(format!("{} leases are held when all streams have ended", outcome.held_at_end));
    }
    for (part, rival) in rivals {
        if outcome.overloaded_s > part * rival.overloaded_s {
            faults.push(format!(
                "overloaded for {} s, a rival for {} s",
                outcome.overloaded_s, rival.overloaded_s
            ));
        }
    }
    faults
}

fn rivals(trial: Trial) -> Vec<(f64, Outcome)> {
    let of = |(part, refuses), order| (part, trial.outcome(Policy::Rival(order), refuses));
    let orders = [Order::RoundRobin, Order::LeastConnections].into_iter();
    orders
        .flat_map(|order| [(OF_FOUND, Refuses::Slots), (OF_REFUSING, BY_ROOM)].map(|how| of(how, order)))
        .collect()
}

/// Ours passes; and, so that this is worth something, who sees all that ours sees but reserves nothing does not: as it is found,
/// and with nodes that refuse, too, where the fleet is not tiny and one proxy knows of all.
#[track_caller]
fn check(trial: Trial) {
    let (seed, rivals) = (first_seed(), rivals(trial));
    let ours = faults(&trial.outcome(ours(trial.proxies), BY_ROOM), &rivals);
    assert!(ours.is_empty(), "HEADGATE_SEED={seed}, {trial:?}: {ours:#?}");
    let refusing = Some(BY_ROOM).filter(|_| trial.nodes > THREE.nodes && trial.proxies == 1);
    for refuses in [Refuses::Slots].into_iter().chain(refusing) {
        let other = faults(&trial.outcome(Policy::Rival(Order::LeastLoaded), refuses), &rivals);
        assert!(other.len() >= 2, "HEADGATE_SEED={seed}, {trial:?}, {refuses:?}: {other:?}");
    }
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
    check(Trial { seeds: 1, ..THIRTY.with(8) });
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
    let (mut placed, mut best) = (0, 0);
    for setting in trial.settings(BY_ROOM) {
        for sample in run(&setting, ours(1)).outcome.present.iter().step_by(20) {
            placed += sample.streams;
            best += packed_anew(&setting, sample.at).0;
        }
    }
    let part = float(placed) / float(best);
    assert!(part >= PLACED_PART, "HEADGATE_SEED={}: {placed} streams of {best}", first_seed());
}

#[test]
fn one_seed_gives_one_outcome() {
    let short = Trial { measured: 60.0, seeds: 1, ..THREE };
    for policy in [ours(8), Policy::Rival(Order::Random)] {
        let outcome = short.with(8).outcome(policy, BY_ROOM);
        assert_eq!(outcome, short.with(8).outcome(policy, BY_ROOM));
        assert_ne!(outcome, Trial { load: SATURATED, ..short.with(8) }.outcome(policy, BY_ROOM));
    }
}
