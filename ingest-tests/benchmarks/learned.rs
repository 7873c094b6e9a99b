//! How well costs are learnt: ten streams of one kind, one after the other, and for each what was predicted when it was placed
//! beside what its FFmpeg then took. `make bench-cost` runs it in under ten minutes; it judges nothing.
//!
//! The first is predicted from the table alone, the others from what was learnt of those before. After the tenth the server
//! is started again, and the eleventh is predicted from the file. Each is 30 s of 640x360 with two renditions, ultrafast. A
//! figure is learnt 10 s after a lease is attached, and then each 5 s: three or four times a stream.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark stands outside the product: it starts threads and processes, and reads the clock itself"
)]
#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

#[path = "../harness/mod.rs"]
mod harness;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::http::Client;
use harness::process::{cpu_time, descendants};
use harness::publisher::{Publisher, Repeat};
use harness::server::{Server, config_with};
use harness::stats::Stats;
use harness::wait_for;

const STREAMS: u32 = 10;
/// From the attempt's placement on: probing and catching up are over.
const SETTLE: Duration = Duration::from_secs(10);
/// How long its FFmpeg is measured.
const WINDOW: Duration = Duration::from_secs(15);
/// Until a stream is placed, and until it is gone.
const BOUND: Duration = Duration::from_secs(40);

fn main() {
    // `cargo test --all-targets` starts benchmarks too, to see whether they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (clip, folder) = (Clip::whole(), harness::folder());
    let file = folder.path().join("costs.json");
    let learned = format!("learned = {:?}\nheadroom = 100", file.display().to_string());
    let config = config_with(&[("placement", &learned)], &Ffmpeg::Debian.path());
    println!("stream     predicted    measured    predicted / measured");
    let server = Server::start(&["up"], &config);
    for number in 1..=STREAMS {
        row(&server, &clip, number);
    }
    server.stop();
    println!("after a restart");
    let server = Server::start(&["up"], &config);
    row(&server, &clip, STREAMS + 1);
    server.stop();
    tell(&file);
}

/// Publishes one stream to its end, and prints a line of it.
fn row(server: &Server, clip: &Clip, number: u32) {
    let (stats, stream) = (Stats::of(server), format!("live/cost{number}"));
    stats.wait_for_nodes(1);
    let mut publisher =
        Publisher::start(Ffmpeg::Debian, &clip.path, &server.publish_url(&stream), Repeat::Once);
    let predicted = wait_for(BOUND, || predicted(server, &stream)).expect("the stream is placed");
    std::thread::sleep(SETTLE);
    let (before, since) = (used(server), Instant::now());
    std::thread::sleep(WINDOW);
    let measured = (used(server) - before) / since.elapsed().as_secs_f64();
    println!("{number:>6} {predicted:>10.3} c {measured:>9.3} c {:>12.2}", predicted / measured);
    publisher.wait_for_success(BOUND);
    let gone = wait_for(BOUND, || descendants(server.pid()).is_empty().then_some(()));
    assert!(gone.is_some(), "FFmpeg of {stream} still runs");
}

/// Cores that the last placement of the stream reckoned with, once there is one.
fn predicted(server: &Server, stream: &str) -> Option<f64> {
    let answer = Client::new().get(&server.http_url(&format!("/api/v1/streams/{stream}"))).ok()?;
    let stream: Value = serde_json::from_slice(&answer.body).ok()?;
    stream["placement"]["cost"]["machine"]["cpu"].as_f64()
}

/// CPU seconds of all FFmpegs of the server so far.
fn used(server: &Server) -> f64 {
    descendants(server.pid()).into_iter().map(|child| cpu_time(child.pid).as_secs_f64()).sum()
}

/// Shows what the file holds.
fn tell(file: &Path) {
    let text = std::fs::read(file).unwrap_or_default();
    let costs: Value = serde_json::from_slice(&text).unwrap_or_default();
    for list in ["works", "encoders", "classes"] {
        for entry in costs[list].as_array().into_iter().flatten() {
            println!("{list}: {entry}");
        }
    }
}
