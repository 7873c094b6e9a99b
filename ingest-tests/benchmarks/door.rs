//! What the front door costs: CPU seconds for each GB that publishers send, and memory for each publisher, beside nginx with
//! its RTMP module in the same run. `make bench-door` runs it in under four minutes; it judges nothing.
//!
//! 100 publishers of 6 Mbit/s each, paced as encoders are, in chunks of 128 and of 4096 bytes. The server has core 0 alone;
//! publishers and the node share core 1. Three servers are compared:
//!
//! * `nginx` receives and drops: nobody plays.
//! * `no node` is the proxy without a node: it receives, keeps the GOP log, and drops what the log cannot hold.
//! * `headgate` also sends all of it on to a node, as in life. The node is a sink: it speaks the fleet link, drops the media,
//!   and answers with the smallest output that lets the proxy commit and release the log. FFmpeg is not in it.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark stands outside the product: it starts threads and processes, and reads the clock itself"
)]
#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

#[path = "door/clip.rs"]
mod clip;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "door/measure.rs"]
mod measure;
#[path = "door/publishers.rs"]
mod publishers;
#[path = "door/rtmp.rs"]
mod rtmp;
#[path = "door/servers.rs"]
mod servers;
#[path = "door/sink.rs"]
mod sink;

use std::time::Duration;

use clip::Clip;
use measure::{Cost, Usage};
use publishers::Publishers;
use servers::UnderTest;

const PUBLISHERS: usize = 100;
const CHUNK_SIZES: [usize; 2] = [4096, 128];
/// Connected, and nothing sent: long enough for the server to have put its memory in order.
const IDLE: Duration = Duration::from_secs(2);
/// Until GOP logs and buffers have their usual size.
const SETTLE: Duration = Duration::from_secs(7);
const WINDOW: Duration = Duration::from_secs(20);
/// What the session alone is fed.
const ALONE_BYTES: u64 = 2_000_000_000;

/// One line of the table.
struct Row {
    server: &'static str,
    chunk_size: usize,
    cost: Cost,
    idle_bytes: u64,
    busy_bytes: u64,
    /// Of the busy ones, what the GOP log holds.
    log_bytes: u64,
}

fn main() {
    // `cargo test --all-targets` starts benchmarks too, to see whether they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    measure::use_core(1);
    println!("{PUBLISHERS} publishers of 6 Mbit/s, {} s each after {} s", WINDOW.as_secs(), SETTLE.as_secs());
    let mut rows = Vec::new();
    for chunk_size in CHUNK_SIZES {
        let clip = Clip::new(chunk_size);
        println!("session alone, chunks of {chunk_size}: {:.2} CPU s/GB", alone(&clip));
        let nginx = servers::Nginx::start();
        rows.extend(nginx.map(|nginx| measure_server(&nginx, &clip)));
        rows.push(measure_server(&servers::Headgate::without_node(), &clip));
        rows.push(measure_server(&servers::Headgate::with_node(), &clip));
    }
    print_table(&rows);
}

/// CPU seconds a GB of [`headgate::rtmp::Session`] by itself, fed as sockets are read: 64 KiB at a time.
fn alone(clip: &Clip) -> f64 {
    let mut session = rtmp::accepted_session();
    let begun = Usage::of_this_thread();
    let mut fed = 0;
    while fed < ALONE_BYTES {
        for piece in clip.first.chunks(64 * 1024).take(usize::from(fed == 0)).chain(clip.pieces()) {
            fed += rtmp::feed(&mut session, piece);
        }
    }
    (Usage::of_this_thread().saturating_sub(begun)).as_secs_f64() / measure::gigabytes(fed)
}

fn measure_server(server: &dyn UnderTest, clip: &Clip) -> Row {
    let pid = server.pid();
    let empty = measure::resident_bytes(pid);
    let publishers = Publishers::connect(server.rtmp(), PUBLISHERS);
    std::thread::sleep(IDLE);
    let idle = measure::resident_bytes(pid);
    let running = publishers.start(clip);
    std::thread::sleep(SETTLE);
    let before = (Usage::of(pid), running.sent_bytes());
    std::thread::sleep(WINDOW);
    let after = (Usage::of(pid), running.sent_bytes());
    let busy = measure::resident_bytes(pid);
    let log_bytes = server.log_bytes(PUBLISHERS);
    running.stop();
    let each = |bytes: u64| bytes.saturating_sub(empty) / PUBLISHERS as u64;
    Row {
        server: server.name(),
        chunk_size: clip.chunk_size,
        cost: Cost::new(before, after),
        idle_bytes: each(idle),
        busy_bytes: each(busy),
        log_bytes: log_bytes / PUBLISHERS as u64,
    }
}

fn print_table(rows: &[Row]) {
    println!(
        "\n{:<9} {:>6} {:>7} {:>9} {:>7} {:>7} {:>9} | {:>9} {:>9} {:>9} {:>9}",
        "server",
        "chunk",
        "GB",
        "CPU s/GB",
        "user",
        "system",
        "to nginx",
        "idle",
        "busy",
        "GOP log",
        "busy-log"
    );
    for row in rows {
        let nginx = rows.iter().find(|other| other.server == "nginx" && other.chunk_size == row.chunk_size);
        let ratio =
            nginx.map_or("-".to_owned(), |nginx| format!("{:.2}", row.cost.total() / nginx.cost.total()));
        println!(
            "{:<9} {:>6} {:>7.2} {:>9.2} {:>7.2} {:>7.2} {:>9} | {:>5} KiB {:>5} KiB {:>5} KiB {:>5} KiB",
            row.server,
            row.chunk_size,
            row.cost.gigabytes,
            row.cost.total(),
            row.cost.user,
            row.cost.system,
            ratio,
            row.idle_bytes / 1024,
            row.busy_bytes / 1024,
            row.log_bytes / 1024,
            row.busy_bytes.saturating_sub(row.log_bytes) / 1024,
        );
    }
    println!("memory is resident memory for each publisher: idle has published and sent nothing");
}
