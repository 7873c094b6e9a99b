//! What the benchmark prints: a table for each fleet, and the goals.

use std::time::Duration;

use super::contest::{Arena, Contestant, Entry};
use super::simulation::rivals::Order;

/// At most this part of a rival's overloaded node-seconds.
const OVERLOAD_PART: f64 = 0.1;
/// At least this part of what the offline best fit places.
const PLACED_PART: f64 = 0.95;
/// A decision over 10,000 nodes, in 99 of 100 cases.
const DECISION: Duration = Duration::from_millis(1);

/// What each goal came to.
#[derive(Default)]
pub struct Goals(Vec<String>);

/// Prints one fleet.
pub fn table(arena: Arena, entries: &[Entry]) {
    let Arena { nodes, proxies, load, seeds: (_, seeds) } = arena;
    println!("\n{nodes} nodes, proxies: {proxies}, load {load}, seeds: {seeds}");
    println!(
        "{:32}{:>12}{:>9}{:>9}{:>14}{:>9}{:>6}{:>11}",
        "", "overloaded", "", "refused", "while room", "largest", "mean", "refused by"
    );
    println!(
        "{:32}{:>12}{:>9}{:>9}{:>14}{:>9}{:>6}{:>11}",
        "", "node-s", "share", "", "was there", "/ mean", "use", "nodes"
    );
    for Entry { contestant, outcome, .. } in entries {
        println!(
            "{:32}{:>12.0}{:>8.3}%{:>8.2}%{:>13.2}%{:>9.2}{:>6.2}{:>11}",
            contestant.name(),
            outcome.overloaded_s,
            outcome.overloaded() * 100.0,
            outcome.refused() * 100.0,
            outcome.refused_wrongly() * 100.0,
            outcome.largest_over_mean(),
            outcome.mean(),
            outcome.node_refusals,
        );
        for violation in &outcome.violations {
            println!("    VIOLATION {violation}");
        }
    }
}

impl Goals {
    /// Overload at the load of comparison.
    pub fn at_load(&mut self, arena: Arena, entries: &[Entry]) {
        let overloaded = |wanted: Contestant| {
            let entry = entries.iter().find(|entry| entry.contestant == wanted);
            entry.map(|entry| entry.outcome.overloaded_s)
        };
        let Some(ours) = overloaded(Contestant::meant_for(arena.proxies)) else { return };
        let rivals = [Order::RoundRobin, Order::LeastConnections].into_iter();
        for rival in rivals.flat_map(|order| [Contestant::Rival(order), Contestant::SlotsOnly(order)]) {
            let Some(theirs) = overloaded(rival) else { continue };
            let part = ours / theirs.max(f64::MIN_POSITIVE);
            let what = format!(
                "overloaded node-seconds at most {OVERLOAD_PART} of those of {}, {} nodes, proxies: {}",
                rival.name(),
                arena.nodes,
                arena.proxies
            );
            self.note(&what, format!("{part:.4}"), part <= OVERLOAD_PART);
        }
    }

    /// What is placed beyond saturation.
    pub fn saturated(&mut self, arena: Arena, entries: &[Entry]) {
        println!("{} nodes, proxies: {}, seeds: {}", arena.nodes, arena.proxies, arena.seeds.1);
        for Entry { contestant, outcome, placed } in entries {
            let running: u64 = outcome.present.iter().map(|present| present.streams).sum();
            println!(
                "    {:28} streams at a time {:>9.1}, refused {:>5.1}%, overloaded {:.3}%",
                contestant.name(),
                ratio(running, u64::try_from(outcome.present.len()).unwrap_or(u64::MAX)),
                outcome.refused() * 100.0,
                outcome.overloaded() * 100.0
            );
            if *contestant != Contestant::meant_for(arena.proxies) {
                continue;
            }
            let (ours, best) = placed.streams;
            let part = ratio(ours, best);
            let pixels = placed.megapixels.0 / placed.megapixels.1.max(f64::MIN_POSITIVE);
            println!(
                "    of the offline best fit: {:.1}% of the streams, {:.1}% of the pixels",
                part * 100.0,
                pixels * 100.0
            );
            let what = format!(
                "at least {PLACED_PART} of the streams of the offline best fit, {} nodes, proxies: {}",
                arena.nodes, arena.proxies
            );
            self.note(&what, format!("{part:.3}"), part >= PLACED_PART);
        }
    }

    /// How long a decision takes.
    pub fn decision(&mut self, p99: Duration) {
        self.note("a decision over 10,000 nodes: p99 under 1 ms", format!("{p99:.0?}"), p99 < DECISION);
    }

    /// Prints them.
    pub fn tell(&self) {
        println!("\nGoals");
        self.0.iter().for_each(|line| println!("{line}"));
    }

    fn note(&mut self, what: &str, found: String, met: bool) {
        let met = if met { "met" } else { "not met" };
        self.0.push(format!("{met:8} {found:>8}  {what}"));
    }
}

#[expect(clippy::cast_precision_loss, reason = "streams are counted in thousands")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
