//! Many strangers at once, and the server's vital signs before and after.

#![allow(clippy::print_stdout, reason = "what was measured is worth reading when it fails")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use headgate::base::clock::now;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::harness::flv::Tag;
use crate::harness::process::{cpu_time, descriptors, resident_bytes};
use crate::harness::rtmp::{
    COMMAND, COMMAND_CHUNKS, Chunker, Client, Message, Style, asking, connect_from, first_header, handshake,
    stranger,
};
use crate::harness::server::Server;
use crate::harness::stats::Stats;
use crate::harness::wait_for;

/// Connections that never publish.
pub const CROWD: usize = 10_000;
/// What each may cost.
const MAX_BYTES_EACH: u64 = 64 * 1024;
/// Connections that a health check makes and closes at once.
const HEALTH_CHECKS: usize = 2_000;
/// Descriptors that a crowd needs on either side, and some for the rest.
const DESCRIPTORS: u64 = 12_000;
/// Until all that strangers did is seen and done with, on a busy machine. The time to shake hands must be longer.
const GONE_BOUND: Duration = Duration::from_secs(30);
/// Lines about strangers within any second of the clock. A bound of 5 may be used up at the end of one window and at the
/// beginning of the next.
const MAX_LINES_A_SECOND: usize = 10;
/// Processor time in an idle second.
const MAX_IDLE: Duration = Duration::from_millis(200);

/// Lets this process, and the server that it will start, have as many descriptors as a crowd needs.
pub fn raise_descriptors() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    assert!(hard >= DESCRIPTORS, "this test needs {DESCRIPTORS} descriptors; `ulimit -Hn` allows {hard}");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(DESCRIPTORS), hard).expect("below the hard limit");
}

/// Holds 10,000 connections of which none publishes: silent ones, ones that shook hands, ones in the middle of a message.
pub fn stand_around(server: &Server) -> Vec<String> {
    let (address, before) = (server.address("rtmp"), resident_bytes(server.pid()));
    let began = now();
    let crowd: Result<Vec<TcpStream>, std::io::Error> =
        (0..CROWD).map(|index| stand(&address, index)).collect();
    let Ok(crowd) = crowd else { return vec![format!("a crowd is not let in: {crowd:?}")] };
    println!("{CROWD} connections are made after {:.1?}", began.elapsed());
    let all_open = || (descriptors(server.pid()) > CROWD).then_some(());
    let mut findings = Vec::new();
    if wait_for(GONE_BOUND, all_open).is_none() {
        findings
            .push(format!("only {} descriptors are open for {CROWD} connections", descriptors(server.pid())));
    }
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    println!("they are all accepted after {:.1?}, and take {} KiB", began.elapsed(), grown / 1024);
    if grown > MAX_BYTES_EACH * CROWD as u64 {
        findings.push(format!("{CROWD} connections take {} bytes each", grown / CROWD as u64));
    }
    let asked = now();
    let mut client = Client::open(&address, Style::default());
    if client.ask("cheap", "beside-the-crowd").is_err() || !client.hears("NetStream.Publish.Start") {
        findings.push("a publisher is not let in beside a crowd".to_owned());
    }
    client.finish();
    if Stats::of(server).read().is_none() {
        findings.push("stats do not answer beside a crowd".to_owned());
    }
    println!("a publisher beside them was served within {:.1?}", asked.elapsed());
    drop(crowd);
    findings
}

fn stand(address: &str, index: usize) -> std::io::Result<TcpStream> {
    let mut socket = connect_from(stranger(index), address)?;
    let mut bytes = Vec::new();
    if !index.is_multiple_of(3) {
        bytes.extend(handshake());
    }
    if index % 3 == 2 {
        let mut chunker = Chunker::new(Style { chunk_size: 128, ..Style::default() });
        bytes.extend(chunker.chunks(COMMAND_CHUNKS, &asking("cheap", "never")[0]).1);
        bytes.extend(first_header(5, 0, &Message::new(COMMAND, 0, vec![0; 4_000]), 0));
        bytes.extend([0; 128]);
    }
    socket.write_all(&bytes)?;
    Ok(socket)
}

/// Connects and closes, as a load balancer's health check does.
pub fn check_health(server: &Server) -> Vec<String> {
    let address = server.address("rtmp");
    let refused =
        (0..HEALTH_CHECKS).filter(|&index| connect_from(stranger(index), &address).is_err()).count();
    if refused == 0 { Vec::new() } else { vec![format!("{refused} health checks are refused")] }
}

/// Sends a byte a second, and must be closed all the same: time to shake hands does not begin anew with every byte.
pub fn dribble(server: &Server) -> Vec<String> {
    let mut socket = connect_from(stranger(0), &server.address("rtmp")).expect("the port is open");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a positive duration");
    let began = now();
    let open = |socket: &mut TcpStream| {
        let _ = socket.write_all(&[3]);
        // The read is the second's wait: 0 is the end, an error is that nothing came or that the connection was reset.
        match socket.read(&mut [0; 64]) {
            Ok(count) => count > 0,
            Err(error) => {
                [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&error.kind())
            }
        }
    };
    while open(&mut socket) {
        if began.elapsed() > GONE_BOUND {
            return vec!["a byte a second keeps a connection open".to_owned()];
        }
    }
    Vec::new()
}

/// Publishes a clip several times over as fast as it is read: far faster than time passes.
pub fn rush(server: &Server, tags: &[Tag]) -> Vec<String> {
    let mut client = Client::open(&server.address("rtmp"), Style::default());
    client.publish("cheap", "rush");
    let length = tags.last().map_or(0, |tag| tag.time_ms + 40);
    let sent = (0..3).try_for_each(|round| client.send_tags(tags, round * length));
    client.finish();
    // It may be held back or ended, but it is read at first.
    sent.err().map(|error| format!("a publisher in a hurry is not read: {error}")).into_iter().collect()
}

/// Publishes bodies that end early: decoder configurations at each byte, and then the clip's access units at some byte.
pub fn cut_short(server: &Server, tags: &[Tag]) -> Vec<String> {
    let cut = |tag: &Tag, end: usize| Tag { body: tag.body[..end].to_vec(), ..tag.clone() };
    let (media, before): (Vec<Tag>, Vec<Tag>) = tags.iter().cloned().partition(Tag::is_media);
    for tag in &before {
        for end in 0..tag.body.len().min(60) {
            publish_broken(server, &[cut(tag, end), media[0].clone()]);
        }
    }
    let beginnings =
        media.iter().take(4).flat_map(|tag| (0..tag.body.len().min(60)).map(move |end| cut(tag, end)));
    let anywhere = media.iter().enumerate().map(|(at, tag)| cut(tag, tag.body.len() * (at % 10) / 10));
    publish_broken(server, &before.iter().cloned().chain(beginnings).chain(anywhere).collect::<Vec<_>>());
    Vec::new()
}

/// What becomes of this stream is its own fault: it may be refused at any moment. That nothing else happens is what counts.
fn publish_broken(server: &Server, tags: &[Tag]) {
    let mut client = Client::open(&server.address("rtmp"), Style::default());
    let _ = client.ask("cheap", "cut");
    let _ = client.send_tags(tags, 0);
    client.finish();
}

/// What must be as it was when all have gone. `before` is the number of descriptors at the start.
pub fn judge_vitals(server: &mut Server, before: usize) -> Vec<String> {
    let mut findings = Vec::new();
    if let Some(status) = server.has_ended() {
        return vec![format!("the server has ended: {status}")];
    }
    if wait_for(GONE_BOUND, || (descriptors(server.pid()) <= before).then_some(())).is_none() {
        findings.push(format!("{} descriptors, {before} at the start", descriptors(server.pid())));
    }
    let used = cpu_time(server.pid());
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_time(server.pid()).saturating_sub(used);
    if used > MAX_IDLE {
        findings.push(format!("an idle second takes {used:?} of processor time"));
    }
    let log = server.stdout.text() + &server.stderr.text();
    findings.extend(log.lines().filter(|line| line.contains("panicked")).map(str::to_owned));
    let mut seconds = BTreeMap::<&str, usize>::new();
    for line in log.lines().filter(|line| line.contains("without publishing") || line.contains("too many")) {
        *seconds.entry(line.get(..19).unwrap_or_default()).or_default() += 1;
    }
    let most = seconds.values().max().copied().unwrap_or(0);
    if most > MAX_LINES_A_SECOND {
        findings.push(format!("{most} lines about strangers in a second"));
    }
    findings
}
