//! Damaged input, recovery points, intra refresh and copied open GOPs: each source beside the others, to nodes that run each
//! FFmpeg, undisturbed and with every node killed once in mid-stream. What can be decoded comes out once, at its time and whole;
//! what cannot is counted; a copied rendition has each picture's bytes once; and nothing hangs.

mod damage;
mod harness;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use damage::source::{self, Source};
use damage::verdict;
use harness::ffmpeg::Ffmpeg;
use harness::player::{Player, Recording};
use harness::rtmp::{Client, Style};
use harness::server::{Server, config_with};
use harness::stats::{Stats, Watch};
use harness::{assert_none, folder, wait_for};
use headgate::base::clock::now;
use serde_json::Value;

/// From the first byte to ENDLIST: 6 s of media, and a busy machine's slack.
const BOUND: Duration = Duration::from_secs(60);
/// How far behind a stream is that has caught up: a GOP of a second, and a little; and until then.
const SETTLED_LAG_MS: i64 = 1_300;
const SETTLED_BOUND: Duration = Duration::from_secs(20);
/// When the nodes are killed, after the sources have begun: in their third second and in their fourth.
const KILLS: [(&str, Duration); 2] =
    [("n1", Duration::from_millis(2_400)), ("n2", Duration::from_millis(3_900))];
const RENDITIONS: &str = "renditions = [
    { name = \"180p\", height = 180, video_bitrate = \"400k\", preset = \"ultrafast\" },
    { name = \"source\", height = 180, video_bitrate = \"400k\", video_codec = \"copy\" },
]";

/// Some twenty streams are enough for a small machine: one fleet at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What happens to the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Each is killed with SIGKILL and started again.
    Killed,
}

/// A proxy and two nodes.
struct Fleet {
    nodes: BTreeMap<&'static str, Server>,
    config: String,
    proxy: Server,
    stats: Stats,
}

impl Fleet {
    fn start(ffmpeg: Ffmpeg) -> Self {
        let more = [("profiles.both", RENDITIONS), ("node", "slots = 32")];
        let config = config_with(&more, &ffmpeg.path()).replace("profile = \"test\"", "profile = \"both\"");
        let proxy = Server::start(&["proxy"], &config);
        let stats = Stats::of(&proxy);
        let mut fleet = Self { nodes: BTreeMap::new(), config, proxy, stats };
        KILLS.iter().for_each(|(name, _)| fleet.start_node(name));
        fleet.stats.wait_for_nodes(2);
        fleet
    }

    fn start_node(&mut self, name: &'static str) {
        let address = self.proxy.address("fleet");
        let node = Server::spawn(&["node", "--proxy", &address, "--name", name], &self.config);
        self.nodes.insert(name, node);
    }

    /// Kills each node at its time and starts it again.
    fn kill_all(&mut self) {
        let begun = now();
        for (name, at) in KILLS {
            std::thread::sleep(at.saturating_sub(begun.elapsed()));
            self.nodes.remove(name).expect("it was started").kill();
            self.start_node(name);
            self.stats.wait_for_nodes(2);
        }
    }
}

/// Sends a source in real time and ends in order.
fn publish(ports: &Ports, source: &Source, watch: &Watch) {
    let mut client = Client::open(&ports.rtmp, Style::default());
    client.publish("live", source.name);
    let begun = now();
    for tag in &source.tags {
        std::thread::sleep(Duration::from_millis(tag.time_ms.into()).saturating_sub(begun.elapsed()));
        client.send_tags(std::slice::from_ref(tag), 0).expect("what is sent is read");
    }
    if !source.damaged.is_empty() {
        // A stream that is over is in stats no more: what it lacks must have been counted before. Only the last GOP is open.
        let lag = || watch.last()?["committed"]["lag_ms"].as_i64();
        let _ = wait_for(SETTLED_BOUND, || lag().filter(|&lag| lag < SETTLED_LAG_MS));
    }
    client.finish();
}

/// Where the proxy is reached.
struct Ports {
    rtmp: String,
    play: String,
    stats: Stats,
}

impl Ports {
    fn of(fleet: &Fleet) -> Self {
        let (rtmp, play) = (fleet.proxy.address("rtmp"), fleet.proxy.http_url("/hls"));
        Self { rtmp, play, stats: fleet.stats.clone() }
    }
}

/// What came out of a source, in a folder, and its last entry in stats.
fn carry(ports: &Ports, source: &Source) -> (Recording, Option<Value>, tempfile::TempDir) {
    let (folder, stream) = (folder(), format!("live/{}", source.name));
    let watch = Watch::start(ports.stats.clone(), &stream);
    let url = format!("{}/{stream}/index.m3u8", ports.play);
    let player = Player::start(url, folder.path().to_owned(), BOUND);
    publish(ports, source, &watch);
    (player.finish(), watch.last(), folder)
}

/// Carries all `sources` at once over nodes that run `ffmpeg`, and judges each.
#[track_caller]
fn check(ffmpeg: Ffmpeg, fault: Fault) {
    if !ffmpeg.is_installed() || !Ffmpeg::Current.is_installed() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder();
    let sources = source::all(ffmpeg, folder.path());
    let mut fleet = Fleet::start(ffmpeg);
    let findings: Vec<String> = std::thread::scope(|scope| {
        let run = |source, ports: Ports| {
            let (recording, entry, _folder) = carry(&ports, source);
            verdict::judge(source, &recording, entry.as_ref())
        };
        let ports = || Ports::of(&fleet);
        let threads: Vec<_> = sources.iter().map(|source| (source, ports())).collect();
        let threads: Vec<_> =
            threads.into_iter().map(|(source, ports)| scope.spawn(move || run(source, ports))).collect();
        if fault == Fault::Killed {
            fleet.kill_all();
        }
        threads.into_iter().flat_map(|thread| thread.join().expect("a publisher is let in")).collect()
    });
    assert_none(&format!("{ffmpeg:?}, {fault:?}"), &findings);
}

#[test]
fn debian_undisturbed() {
    check(Ffmpeg::Debian, Fault::None);
}

#[test]
fn current_undisturbed() {
    check(Ffmpeg::Current, Fault::None);
}

#[test]
fn debian_killed() {
    check(Ffmpeg::Debian, Fault::Killed);
}

#[test]
fn current_killed() {
    check(Ffmpeg::Current, Fault::Killed);
}
