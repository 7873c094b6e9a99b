//! What a fault costs a running stream: one proxy and three nodes on hosts of their own, and again and again the node that
//! carries the stream is killed, stopped, or cut off. `make bench-failover` runs it; it judges nothing, the tests do.
//!
//! **Recovery** is measured from outside, as a player sees it: the media playlists are read every 10 ms, and each segment has
//! the time at which it is listed first. An undisturbed run lists one a GOP; how long after the GOP's place in that rhythm is
//! learnt from the quiet GOPs of the same run. A fault's recovery ends when the last segment is listed that came late for it;
//! it is 0 where none was late. Faults are placed at 10, 50 and 95 % of a GOP. **Detection** is from the fault until the
//! proxy noticed it, by its own clock (`last_failover.at`).
//!
//! `HEADGATE_FAULTS` sets how many faults of a kind there are (30), `HEADGATE_GOPS` the lengths of GOPs in seconds (2,10).

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark stands outside the product: it starts threads and processes, and reads the clock itself"
)]
#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

#[path = "failover/fault.rs"]
mod fault;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "failover/rhythm.rs"]
mod rhythm;
#[path = "failover/table.rs"]
mod table;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use fault::{Fault, Inflicted};
use harness::clip::Clip;
use harness::site_fleet::{NodeSpec, SiteFleet};
use harness::wait_for;
use rhythm::Rhythm;
use table::{Row, Table};

const STREAM: &str = "live/failover";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Each host may use the whole machine: two cores, where the goals are set.
const CORES: f64 = 2.0;
/// Until a stream has recovered, or a node has come back.
const BOUND: Duration = Duration::from_secs(60);
/// Where in a GOP faults are placed, in percent.
const PLACES: [u32; 3] = [10, 50, 95];

fn main() {
    // `cargo test --all-targets` starts benchmarks too, to see whether they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let faults = setting("HEADGATE_FAULTS", "30").parse().expect("HEADGATE_FAULTS is a number");
    for seconds in setting("HEADGATE_GOPS", "2,10").split(',') {
        run(seconds.parse().expect("HEADGATE_GOPS are numbers"), faults);
    }
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// So many faults of each kind, at GOPs of so many seconds.
fn run(gop_s: u32, faults: u32) {
    println!("\nGOPs of {gop_s} s, 640x360, two renditions, ultrafast; {faults} faults of each kind");
    let mut table = Table::default();
    for fault in Fault::ALL {
        let mut scene = Scene::start(gop_s);
        if fault == Fault::Cut && !scene.fleet.host("n1").is_apart() {
            println!("{fault}: no network namespaces here, so there is no cable to cut");
            continue;
        }
        let rows = (0..faults).map(|number| scene.suffer(fault, PLACES[number as usize % PLACES.len()]));
        table.add(fault, rows.collect(), scene.counters());
        drop(scene.publisher);
        scene.fleet.stop();
    }
    table.print();
}

/// A fleet and a stream in it.
struct Scene {
    fleet: SiteFleet,
    publisher: harness::publisher::Publisher,
    rhythm: Rhythm,
}

impl Scene {
    fn start(gop_s: u32) -> Self {
        let nodes = NODES.map(NodeSpec::plain);
        let log = format!("max_duration = \"{}s\"", 30.max(gop_s * 5));
        let fleet =
            SiteFleet::start_on(&nodes, &[("gop_log", &log)], |folder| Clip::of_gops(gop_s, folder), CORES);
        let publisher = fleet.publish(STREAM);
        fleet.carrier(STREAM);
        let gop = Duration::from_secs(u64::from(gop_s));
        let rhythm = Rhythm::listen(&fleet.play_url(STREAM), gop);
        Self { fleet, publisher, rhythm }
    }

    /// Lets the stream run undisturbed, inflicts one fault, and waits until all is as before.
    fn suffer(&mut self, fault: Fault, percent: u32) -> Row {
        let carrier = self.fleet.carrier(STREAM);
        self.rhythm.wait_for_quiet();
        let at = self.rhythm.moment(percent);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (begun, inflicted) = (Instant::now(), Inflicted::on(&mut self.fleet, &carrier, fault));
        let recovery = self.rhythm.recovery(begun, BOUND);
        let failover = wait_for(BOUND, || self.failover_since(unix));
        inflicted.mend(&mut self.fleet);
        self.fleet.stats().wait_for_nodes(NODES.len() as u64);
        let noticed = failover.and_then(|failover| failover["at"].as_u64());
        let detection = noticed.map(|at| Duration::from_millis(at).saturating_sub(unix));
        println!("  {fault} at {percent} % of a GOP: detected {detection:.0?}, recovered {recovery:.0?}");
        Row { percent, detection, recovery }
    }

    fn failover_since(&self, unix: Duration) -> Option<Value> {
        let failover = self.fleet.stats().stream(STREAM)?["last_failover"].clone();
        // The proxy's clock is ours, to a millisecond.
        let since = failover["at"].as_u64()? + 1 >= u64::try_from(unix.as_millis()).ok()?;
        (since && failover["recovered_ms"].is_u64()).then_some(failover)
    }

    /// Frames accepted, lost and committed twice.
    fn counters(&self) -> [u64; 3] {
        let entry = self.fleet.stats().stream(STREAM).unwrap_or_default();
        let count = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
        [count(&entry["source"]["frames"]), count(&entry["frames_lost"]), count(&entry["frames_duplicated"])]
    }
}
