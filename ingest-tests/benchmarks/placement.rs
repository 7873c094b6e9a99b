//! Placement, simulated: what comes of fleets of 3, 100 and 10,000 nodes under ours and under other policies, with one proxy and
//! with eight, and how long one decision takes. `make bench-placement` runs it in about five minutes on two cores. What is
//! simulated is said in [`simulation`], what is compared in [`contest`].
//!
//! `HEADGATE_SEED` sets the first seed; 1 if it does not. Small fleets are run with several, and their figures added up.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark stands outside the product: it starts threads, and reads the clock itself"
)]
#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

#[path = "placement/contest.rs"]
mod contest;
#[path = "placement/report.rs"]
mod report;
#[path = "placement/mod.rs"]
mod simulation;

use std::time::{Duration, Instant};

use contest::{AT_LOAD, Arena, Contestant, Entry, Placed, SATURATED, run_all};
use report::{Goals, table};
use simulation::scenario::Setting;
use simulation::world::{Run, run};

/// The fleets: nodes, proxies, and with how many seeds.
const FLEETS: [(usize, usize, u64); 6] =
    [(3, 1, 12), (3, 8, 12), (100, 1, 5), (100, 8, 5), (10_000, 1, 1), (10_000, 8, 1)];
/// Those that are run beyond saturation. How many streams the largest holds is the business of its proxies, of which one is enough.
const SATURATED_FLEETS: [(usize, usize, u64); 5] =
    [(3, 1, 12), (3, 8, 12), (100, 1, 5), (100, 8, 5), (10_000, 1, 1)];
/// The fleet whose decisions are timed; it is one of the above with one seed.
const TIMED: (usize, usize) = (10_000, 1);
/// The largest fleets are compared with fewer rivals.
const MANY: usize = 1_000;

fn main() {
    // `cargo test --all-targets` starts benchmarks too, to see whether they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let begun = Instant::now();
    let seed = std::env::var("HEADGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut goals = Goals::default();
    println!(
        "Seed {seed}. Load {AT_LOAD}: of what a best fit that knows all costs packs into the whole fleet."
    );
    let mut timed = Some(decisions(seed, &mut goals));
    for (nodes, proxies, seeds) in FLEETS {
        let arena = Arena { nodes, proxies, load: AT_LOAD, seeds: (seed, seeds) };
        let of_ours = if (nodes, proxies) == TIMED { timed.take() } else { None };
        let mut others = contestants(nodes, proxies);
        others.retain(|contestant| of_ours.is_none() || *contestant != Contestant::Ours);
        let mut entries = run_all(arena, others);
        entries.splice(0..0, of_ours);
        table(arena, &entries);
        goals.at_load(arena, &entries);
    }
    println!(
        "\nSaturated: load {SATURATED}. Placed, beside an offline best fit that packs all streams of a moment anew."
    );
    for (nodes, proxies, seeds) in SATURATED_FLEETS {
        let arena = Arena { nodes, proxies, load: SATURATED, seeds: (seed, seeds) };
        let ours = run_all(arena, Contestant::saturated(proxies));
        goals.saturated(arena, &ours);
    }
    goals.tell();
    println!("{:.0} s in all", begun.elapsed().as_secs_f64());
}

fn contestants(nodes: usize, proxies: usize) -> Vec<Contestant> {
    let mut all = Contestant::ALL.to_vec();
    all.retain(|contestant| proxies > 1 || *contestant != Contestant::OursOfSome);
    if nodes >= MANY {
        all.retain(Contestant::is_cheap);
    }
    all
}

/// How long one decision takes, with nothing else running: a full fleet of the largest size, one proxy. The run's outcome is
/// that fleet's own.
fn decisions(seed: u64, goals: &mut Goals) -> Entry {
    let (nodes, proxies) = TIMED;
    let arena = Arena { nodes, proxies, load: AT_LOAD, seeds: (seed, 1) };
    let setting = Setting::new(arena.scenario(Contestant::Ours, seed));
    let Run { outcome, mut choices_ns } = run(&setting, Contestant::Ours.policy());
    choices_ns.sort_unstable();
    let count = choices_ns.len();
    let at = |thousandths: usize| {
        let at = (count * thousandths / 1_000).min(count.saturating_sub(1));
        Duration::from_nanos(choices_ns.get(at).copied().unwrap_or(0))
    };
    let (half, p99, all) = (at(500), at(990), at(1_000));
    println!("A decision over {nodes} nodes: p50 {half:.0?}, p99 {p99:.0?}, max {all:.0?}, of {count}.");
    goals.decision(p99);
    Entry { contestant: Contestant::Ours, outcome, placed: Placed::default() }
}
