//! Failover, frame by frame: one proxy, three nodes on hosts of their own, and every fault that the design knows, while a
//! numbered clip is published. What players get must be the clip, each frame once and in order, whatever happens meanwhile,
//! and what stats say of it must be the same.

#![allow(clippy::print_stdout, reason = "what a fault cost is told to who looks at a failure")]

mod harness;

use std::time::Duration;

use harness::player::Player;
use harness::process::{Identity, descendants};
use harness::publisher::Publisher;
use harness::site_fleet::{NodeSpec, SiteFleet};
use harness::stats::judge_counters;
use harness::{assert_none, folder, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const STREAM: &str = "live/failover";
/// GOPs that are published, of 2 s each.
const GOPS: usize = 8;
/// From the first byte to ENDLIST.
const BOUND: Duration = Duration::from_secs(60);
/// Until something has happened that takes a second or two, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(20);
/// What a player holds that waits for three segments of 2 s before it begins.
const BUFFER: Duration = Duration::from_secs(6);

/// A fleet, a stream in it, and who looks at it.
struct Scene {
    fleet: SiteFleet,
    player: Player,
    publisher: Publisher,
    _folder: tempfile::TempDir,
}

/// What must be true of a stream after a fault, beside its frames.
struct Expected {
    /// Whom the last failover must name as its cause; none for a fault that is none of the nodes'.
    causes: &'static [&'static str],
    /// How often another attempt must have taken over, at least.
    takeovers: u64,
}

impl Scene {
    /// The clip is being published, and its first GOP is committed.
    fn start(sections: &[(&str, &str)]) -> Self {
        let scene = Self::begin(sections);
        let (carrier, committed) = (scene.carrier(), scene.committed());
        println!("{carrier} carries the stream; {committed} frames are committed");
        scene
    }

    /// The clip is being published.
    fn begin(sections: &[(&str, &str)]) -> Self {
        let nodes = ["n1", "n2", "n3"].map(NodeSpec::plain);
        let fleet = SiteFleet::start_with(&nodes, sections, GOPS);
        let folder = folder();
        let player = Player::start(fleet.play_url(STREAM), folder.path().to_owned(), BOUND);
        let publisher = fleet.publish_once(STREAM, &fleet.clip().path);
        Self { fleet, player, publisher, _folder: folder }
    }

    /// The node that carries the stream, once something of it is committed.
    #[track_caller]
    fn carrier(&self) -> String {
        self.fleet.carrier(STREAM)
    }

    fn entry(&self) -> Option<Value> {
        self.fleet.stats().stream(STREAM)
    }

    fn committed(&self) -> u64 {
        self.entry().and_then(|entry| entry["committed"]["frames"].as_u64()).unwrap_or(0)
    }

    /// Waits until the stream runs on another node than `from`.
    #[track_caller]
    fn wait_for_another(&self, from: &str) -> String {
        let other = || self.fleet.stats().carrier(STREAM).filter(|node| node != from);
        wait_for(SOON, other).unwrap_or_else(|| panic!("it stays on {from}: {:?}", self.entry()))
    }

    /// Waits until so many frames are committed.
    #[track_caller]
    fn wait_for_frames(&self, frames: u64) {
        let there = || (self.committed() >= frames).then_some(());
        assert!(wait_for(SOON, there).is_some(), "{frames} frames: {:?}", self.entry());
    }

    /// The FFmpeg processes of a node.
    fn ffmpegs(&self, node: &str) -> Vec<Identity> {
        descendants(self.fleet.pid(node)).into_iter().collect()
    }

    /// What is said of the stream when it is over.
    #[track_caller]
    fn last_words(fleet: &SiteFleet) -> Value {
        let ended = || {
            let entry = fleet.api(&format!("/api/v1/streams/{STREAM}"));
            entry["ended"].is_string().then_some(entry)
        };
        wait_for(SOON, ended).unwrap_or_else(|| panic!("it does not end"))
    }

    /// Waits for the end, and judges it.
    #[track_caller]
    fn finish(mut self, expected: &Expected) {
        self.publisher.wait_for_success(BOUND);
        let recording = self.player.finish();
        let entry = Some(Self::last_words(&self.fleet));
        println!("the longest wait for a segment: {:.2?}", recording.longest_wait());
        let mut findings = recording.judge(self.fleet.clip(), 2);
        findings.extend(judge_counters(entry.as_ref()));
        if recording.longest_wait() > BUFFER {
            findings.push(format!("a player ran dry: {:?} without a segment", recording.longest_wait()));
        }
        findings.extend(judge_entry(entry.as_ref(), self.fleet.clip().frames.len(), expected));
        assert_none("after the fault", &findings);
        self.fleet.stop();
    }
}

/// What stats say of a stream must be what players got, and why.
fn judge_entry(entry: Option<&Value>, frames: usize, expected: &Expected) -> Vec<String> {
    let Some(entry) = entry else { return Vec::new() };
    let mut findings = Vec::new();
    let renditions = entry["renditions"].as_array().cloned().unwrap_or_default();
    let counted = renditions.iter().filter_map(|rendition| rendition["frames"].as_u64());
    if !counted.eq([frames as u64; 2]) {
        findings.push(format!("stats count other frames than the {frames} that there are: {renditions:?}"));
    }
    let (taken, failover) = (entry["reattachments"].as_u64(), &entry["last_failover"]);
    println!("reattachments {taken:?}, last_failover {failover}");
    if taken < Some(expected.takeovers) {
        findings.push(format!("reattachments is {taken:?}, not {} or more", expected.takeovers));
    }
    let cause = failover["cause"].as_str().unwrap_or("none");
    if !expected.causes.is_empty() && !expected.causes.contains(&cause) {
        findings.push(format!("last_failover is {failover}, not for one of {:?}", expected.causes));
    }
    if failover.is_object() && failover["recovered_ms"].as_u64().is_none() {
        findings.push(format!("last_failover never ended: {failover}"));
    }
    findings
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process is ours");
}

const LOST: Expected = Expected { causes: &["node_lost"], takeovers: 1 };
const STALLED: Expected = Expected { causes: &["stalled", "node_lost"], takeovers: 1 };

#[test]
fn a_node_that_is_killed() {
    let mut scene = Scene::start(&[]);
    let carrier = scene.carrier();
    scene.fleet.kill_node(&carrier);
    scene.wait_for_another(&carrier);
    scene.finish(&LOST);
}

#[test]
fn a_host_that_vanishes() {
    let scene = Scene::start(&[]);
    let carrier = scene.carrier();
    if scene.fleet.cut(&carrier) {
        scene.wait_for_another(&carrier);
        scene.wait_for_frames(300);
        scene.fleet.mend(&carrier);
        scene.finish(&STALLED);
    }
}

#[test]
fn a_host_that_cannot_be_heard() {
    let scene = Scene::start(&[]);
    let carrier = scene.carrier();
    if scene.fleet.host(&carrier).mute(scene.fleet.address()) {
        scene.wait_for_another(&carrier);
        scene.wait_for_frames(300);
        scene.fleet.host(&carrier).restore(scene.fleet.address());
        scene.finish(&STALLED);
    }
}

#[test]
fn a_host_that_hears_nothing() {
    let scene = Scene::start(&[]);
    let carrier = scene.carrier();
    if scene.fleet.host(&carrier).deafen() {
        scene.wait_for_another(&carrier);
        scene.wait_for_frames(300);
        scene.fleet.host(&carrier).restore(scene.fleet.address());
        scene.finish(&STALLED);
    }
}

#[test]
fn an_ffmpeg_that_crashes() {
    let scene = Scene::start(&[]);
    let carrier = scene.carrier();
    for ffmpeg in scene.ffmpegs(&carrier) {
        send(ffmpeg.pid, Signal::SIGSEGV);
    }
    scene.finish(&Expected { causes: &["ffmpeg_crashed"], takeovers: 1 });
}

#[test]
fn an_ffmpeg_that_hangs_and_goes_on_later() {
    let scene = Scene::start(&[]);
    let carrier = scene.carrier();
    let ffmpegs = scene.ffmpegs(&carrier);
    ffmpegs.iter().for_each(|ffmpeg| send(ffmpeg.pid, Signal::SIGSTOP));
    scene.wait_for_another(&carrier);
    // It has been ended meanwhile, unless that takes a moment.
    let again = ffmpegs.iter().filter(|ffmpeg| harness::process::is_running(**ffmpeg));
    again.for_each(|ffmpeg| {
        let _ = kill(Pid::from_raw(ffmpeg.pid), Signal::SIGCONT);
    });
    scene.finish(&STALLED);
}

#[test]
fn a_node_that_hangs_and_goes_on_later() {
    let scene = Scene::start(&[]);
    let carrier = scene.carrier();
    send(scene.fleet.pid(&carrier), Signal::SIGSTOP);
    scene.wait_for_another(&carrier);
    scene.wait_for_frames(240);
    send(scene.fleet.pid(&carrier), Signal::SIGCONT);
    // What it says late is discarded, and it is a node like any other again.
    scene.fleet.stats().wait_for_nodes(3);
    scene.finish(&STALLED);
}

#[test]
fn a_node_that_becomes_too_slow() {
    let scene = Scene::start(&[]);
    let carrier = scene.carrier();
    if scene.fleet.host(&carrier).limit(0.04) {
        scene.wait_for_another(&carrier);
        scene.fleet.host(&carrier).limit(1.0);
        scene.finish(&Expected { causes: &["stalled", "too_slow", "node_lost", "rebalanced"], takeovers: 1 });
    }
}

#[test]
fn a_second_node_that_dies_during_the_replay() {
    let mut scene = Scene::start(&[]);
    let first = scene.carrier();
    scene.fleet.kill_node(&first);
    let second = scene.wait_for_another(&first);
    scene.fleet.kill_node(&second);
    scene.finish(&LOST);
}

#[test]
fn all_nodes_die_and_come_back() {
    let mut scene = Scene::start(&[]);
    for node in ["n1", "n2", "n3"] {
        scene.fleet.kill_node(node);
    }
    for node in ["n1", "n2", "n3"] {
        scene.fleet.start_node(node);
    }
    scene.finish(&LOST);
}

#[test]
fn a_fault_during_the_first_gop() {
    let mut scene = Scene::begin(&[]);
    let carried = || scene.fleet.stats().carrier(STREAM);
    let carrier = wait_for(SOON, carried).expect("a node gets the stream");
    scene.fleet.kill_node(&carrier);
    scene.finish(&Expected { causes: &[], takeovers: 0 });
}

/// The encoder goes without a word and comes back with the rest of the clip, and the node dies while it is away.
#[test]
fn a_fault_while_the_encoder_is_away() {
    let mut scene = Scene::start(&[]);
    let carrier = scene.carrier();
    scene.wait_for_frames(60);
    scene.publisher.stop_without_a_word();
    scene.fleet.kill_node(&carrier);
    let away = || (scene.entry()?["state"] == "reconnecting").then_some(());
    assert!(wait_for(SOON, away).is_some(), "{:?}", scene.entry());
    let rest = scene.fleet.clip().path.clone();
    let before = scene.entry().and_then(|entry| entry["source"]["frames"].as_u64()).expect("frames came");
    scene.publisher = scene.fleet.publish_once(STREAM, &rest);
    scene.publisher.wait_for_success(BOUND);
    let recording = scene.player.finish();
    let entry = Scene::last_words(&scene.fleet);
    let mut findings = judge_counters(Some(&entry));
    let wanted = before + scene.fleet.clip().frames.len() as u64;
    for rendition in entry["renditions"].as_array().into_iter().flatten() {
        if rendition["frames"].as_u64() != Some(wanted) {
            findings.push(format!("{wanted} frames came in: {rendition}"));
        }
    }
    let counts: Vec<usize> = recording.tracks.iter().map(|track| track.segments.len()).collect();
    println!("segments: {counts:?}");
    assert_none("after the reconnect", &findings);
    scene.fleet.stop();
}
