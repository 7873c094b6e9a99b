//! Encoders that are not FFmpeg: each publishes the clip in real time, and every frame and audio unit of it comes out once.

mod harness;

use std::time::Duration;

use harness::assert_none;
use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::player::Player;
use harness::publisher::{GstSink, Publisher};
use harness::server::{Server, config};
use harness::stats::{Stats, Watch, judge_counters};

/// GOPs that are published: 10 s.
const GOPS: usize = 5;
/// From the first byte to ENDLIST: the clip, and a busy machine's slack.
const BOUND: Duration = Duration::from_secs(45);

fn check(sink: GstSink) {
    let folder = harness::folder();
    let clip = Clip::beginning_with_picture(GOPS, folder.path());
    let server = Server::start(&["up"], &config(&Ffmpeg::Debian.path()));
    let stats = Stats::of(&server);
    stats.wait_for_nodes(1);
    let player = Player::start(server.play_url("live/gst"), folder.path().to_owned(), BOUND);
    let watch = Watch::start(stats, "live/gst");
    let mut publisher = Publisher::start_gstreamer(sink, &clip.path, &server.publish_url("live/gst"));
    publisher.wait_for_success(BOUND);
    assert_none("the output", &player.finish().judge(&clip, 2));
    assert_none("the counters", &judge_counters(watch.last().as_ref()));
    drop(watch);
    server.stop();
}

#[test]
fn gstreamer_publishes_with_its_own_rtmp() {
    check(GstSink::Rtmp2);
}

#[test]
fn gstreamer_publishes_with_librtmp() {
    check(GstSink::Librtmp);
}
