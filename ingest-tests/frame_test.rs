//! The frame test: the clip is published in real time, played while it is live, and every frame of it is in every rendition
//! exactly once, at its time; and every audio unit. With each FFmpeg as publisher and as the node's.

mod harness;

use std::time::Duration;

use harness::assert_none;
use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::player::Player;
use harness::publisher::{Publisher, Repeat};
use harness::server::{Server, config};
use harness::stats::{Stats, Watch, judge_counters};

/// GOPs that are published: 10 s, five segments.
const GOPS: usize = 5;
/// From the first byte to ENDLIST: the clip, and a busy machine's slack.
const BOUND: Duration = Duration::from_secs(45);

fn check(publisher: Ffmpeg, node: Ffmpeg) {
    if !publisher.is_installed() || !node.is_installed() {
        return;
    }
    let folder = harness::folder();
    let clip = Clip::beginning(GOPS, folder.path());
    let server = Server::start(&["up"], &config(&node.path()));
    let stats = Stats::of(&server);
    stats.wait_for_nodes(1);
    let player = Player::start(server.play_url("live/frames"), folder.path().to_owned(), BOUND);
    let watch = Watch::start(stats, "live/frames");
    let mut publisher =
        Publisher::start(publisher, &clip.path, &server.publish_url("live/frames"), Repeat::Once);
    publisher.wait_for_success(BOUND);
    let recording = player.finish();
    assert_none("the output", &recording.judge(&clip, 2));
    assert_none("the counters", &judge_counters(watch.last().as_ref()));
    drop(watch);
    server.stop();
}

#[test]
fn debian_publishes_and_debian_transcodes() {
    check(Ffmpeg::Debian, Ffmpeg::Debian);
}

#[test]
fn debian_publishes_and_current_transcodes() {
    check(Ffmpeg::Debian, Ffmpeg::Current);
}

#[test]
fn current_publishes_and_debian_transcodes() {
    check(Ffmpeg::Current, Ffmpeg::Debian);
}

#[test]
fn current_publishes_and_current_transcodes() {
    check(Ffmpeg::Current, Ffmpeg::Current);
}
