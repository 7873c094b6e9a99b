//! The kill test: the node that carries the stream is killed with SIGKILL six times in 30 s, at random moments, and started
//! again each time. Nothing may be missing, nothing twice, and no player may notice.

mod harness;

use std::time::Duration;

use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::fleet::Fleet;
use harness::player::Player;
use harness::process::descendants;
use harness::publisher::{Publisher, Repeat};
use harness::random::Random;
use harness::server::{Server, config};
use harness::stats::{Stats, Watch, judge_counters};
use harness::{assert_none, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const STREAM: &str = "live/kill";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const KILLS: u32 = 6;
/// Kills are spread over this much of the clip's 30 s: one in each sixth of it, anywhere in that sixth.
const FIRST_KILL: Duration = Duration::from_millis(1_500);
const SHARE: Duration = Duration::from_millis(4_500);
/// From the first byte to ENDLIST.
const BOUND: Duration = Duration::from_secs(70);
/// Until a node process is started again.
const AGAIN_BOUND: Duration = Duration::from_secs(5);

#[test]
fn six_kills_lose_nothing() {
    let mut random = Random::seeded();
    let (clip, folder) = (Clip::whole(), harness::folder());
    let mut fleet = Fleet::start(&NODES, &config(&Ffmpeg::Debian.path()));
    let watch = Watch::start(fleet.stats.clone(), STREAM);
    let player = Player::start(fleet.proxy.play_url(STREAM), folder.path().to_owned(), BOUND);
    let mut publisher =
        Publisher::start(Ffmpeg::Debian, &clip.path, &fleet.proxy.publish_url(STREAM), Repeat::Once);
    for kill in 0..KILLS {
        let within = Duration::from_millis(random.below(4_500));
        let at = FIRST_KILL + SHARE * kill + within;
        std::thread::sleep(at.saturating_sub(publisher.started_at.elapsed()));
        let killed = fleet.kill_carrier(STREAM);
        fleet.start_node(&killed.node);
        let (name, without) = (&killed.node, fleet.wait_for_next_attempt(STREAM, &killed));
        println!("kill {} of {name} at {at:.1?}; the next attempt began after {without:.2?}", kill + 1);
    }
    publisher.wait_for_success(BOUND);
    let recording = player.finish();
    println!("the longest wait for a new segment: {:.2?}", recording.longest_wait());
    let last = watch.last();
    let mut findings = recording.judge(&clip, 2);
    findings.extend(judge_counters(last.as_ref()));
    let reattachments = last.and_then(|entry| entry["reattachments"].as_u64());
    if reattachments < Some(u64::from(KILLS)) {
        findings.push(format!("reattachments is {reattachments:?} after {KILLS} kills"));
    }
    assert_none("after six kills", &findings);
}

/// Kills one node process of `headgate up --nodes 2`, and then `up` itself.
#[test]
fn up_starts_its_nodes_again_and_leaves_none_behind() {
    let server = Server::start(&["up", "--nodes", "2"], &config(&Ffmpeg::Debian.path()));
    let stats = Stats::of(&server);
    stats.wait_for_nodes(2);
    let before = descendants(server.pid());
    let victim = before.iter().next().expect("nodes are child processes");
    kill(Pid::from_raw(victim.pid), Signal::SIGKILL).expect("the node is ours");
    let again = wait_for(AGAIN_BOUND, || {
        let after = descendants(server.pid());
        (after.len() >= 2 && !after.contains(victim)).then_some(())
    });
    assert!(again.is_some(), "the node was not started again");
    stats.wait_for_nodes(2);
    // Fails if a child lives on.
    server.kill();
}
