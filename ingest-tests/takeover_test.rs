//! `takeover = "refuse"` protects a publisher that sends, not one that has fallen silent: an encoder whose network broke finds
//! its own dead connection in the way, and must be let in once that has been silent for 3 s.

mod harness;

use std::time::Duration;

use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::flv::{Tag, tags};
use harness::player::Player;
use harness::rtmp::{Client, Style};
use harness::server::{Server, config_with};
use harness::stats::{Stats, Watch, judge_counters};
use harness::{assert_none, folder, takes, wait_for};
use headgate::base::clock::now;

const STREAM: &str = "live/refuse";
const BOUND: Duration = Duration::from_secs(45);
/// How long a publisher must have been silent to be replaced, and when it must be possible at the latest.
const SILENT: Duration = Duration::from_secs(3);
const REPLACED_BOUND: Duration = Duration::from_secs(8);
/// How often a refused encoder tries again, as real ones do.
const AGAIN: Duration = Duration::from_millis(500);

#[test]
fn a_silent_publisher_is_replaced_and_one_that_sends_is_not() {
    let folder = folder();
    let clip = Clip::beginning(2, folder.path());
    let tags = tags(&clip.path);
    let mut keys = tags.iter().enumerate().filter(|(_, tag)| tag.is_key_frame());
    let second_gop = keys.nth(1).expect("the clip has two GOPs").0;
    let server =
        Server::start(&["up"], &config_with(&[("stream", "takeover = \"refuse\"")], &Ffmpeg::Debian.path()));
    let stats = Stats::of(&server);
    stats.wait_for_nodes(1);
    let watch = Watch::start(stats, STREAM);
    let player = Player::start(server.play_url(STREAM), folder.path().to_owned(), BOUND);
    let mut first = Client::open(&server.address("rtmp"), Style::default());
    first.publish("live", "refuse");
    first.send_tags(&tags[..second_gop], 0).expect("it is read");
    let silent_since = now();
    let come_back = || {
        std::thread::sleep(AGAIN);
        let mut client = Client::open(&server.address("rtmp"), Style::default());
        client.ask("live", "refuse").expect("commands are read");
        client
            .hears_first(&["NetStream.Publish.Start", "NetStream.Publish.Rejected"])
            .filter(|&answer| answer == 0)?;
        Some(client)
    };
    let second = wait_for(REPLACED_BOUND, come_back);
    let after = silent_since.elapsed();
    let mut second = second.expect("a silent publisher is in the way");
    assert!(after >= SILENT, "replaced after {after:?}");
    // What every encoder sends first: the decoders' configurations.
    let configurations: Vec<Tag> = tags.iter().take(8).filter(|tag| !tag.is_media()).cloned().collect();
    second.send_tags(&configurations, 0).expect("it is read");
    second.send_tags(&tags[second_gop..], 0).expect("it is read");
    second.finish();
    // Both takes in one stream, one after the other: the first half of the clip, and the second.
    let recording = player.finish();
    assert_none("the delivery", &recording.judge_delivery(2));
    assert_none("the takes", &takes::judge(&recording, &clip, 1));
    assert_none("the counters", &judge_counters(watch.last().as_ref()));
    drop(watch);
    assert!(first.is_closed(), "the first one is still connected");
    server.stop();
}
