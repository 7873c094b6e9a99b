//! Encoders that leave without a word and come back: the stream goes on, as one stream, and nothing of either take is lost.

mod harness;

use std::time::Duration;

use harness::clip::{Clip, GOP_FRAMES};
use harness::ffmpeg::Ffmpeg;
use harness::flv::tags;
use harness::player::Player;
use harness::publisher::{Publisher, Repeat};
use harness::rtmp::{Client, Style};
use harness::server::{Server, config_with};
use harness::stats::{Stats, Watch, judge_counters};
use harness::{assert_none, folder, takes, wait_for};
use headgate::base::clock::now;

/// GOPs of the take that is left, and of the next one.
const FIRST: usize = 2;
const SECOND: usize = 3;
const BOUND: Duration = Duration::from_secs(45);
/// Until an encoder that comes back is on the air again: its start, and a busy machine's slack.
const BACK_BOUND: Duration = Duration::from_secs(5);

/// How an encoder leaves: what it gives is held to the end.
type Way = fn(Client) -> Option<Client>;

/// Publishes the beginning, leaves by `leave`, comes back with what follows; gives what went wrong.
fn check(server: &Server, clip: &Clip, name: &str, leave: Way) -> Vec<String> {
    let (folder, stats) = (folder(), Stats::of(server));
    let (first, second) =
        (Clip::cut(0, FIRST, folder.path()), Clip::cut(FIRST, FIRST + SECOND, folder.path()));
    let stream = format!("live/{name}");
    let watch = Watch::start(stats.clone(), &stream);
    let player = Player::start(server.play_url(&stream), folder.path().to_owned(), BOUND);
    let mut client = Client::open(&server.address("rtmp"), Style::default());
    client.publish("live", name);
    client.send_tags(&tags(&first), 0).expect("it is read");
    let sent = (FIRST * GOP_FRAMES) as u64;
    let frames = || stats.stream(&stream).and_then(|entry| entry["source"]["frames"].as_u64());
    // A reset may throw away what has not been read.
    wait_for(BOUND, || (frames() == Some(sent)).then_some(())).expect("all of it is taken");
    // Held open to the end, where it is left so.
    let left = leave(client);
    let back = now();
    let mut encoder = Publisher::start(Ffmpeg::Debian, &second, &server.publish_url(&stream), Repeat::Once);
    let on_air = wait_for(BACK_BOUND, || frames().filter(|&frames| frames > sent));
    let took = back.elapsed();
    let named = |all: serde_json::Value| {
        all["streams"].as_array().map(|streams| streams.iter().filter(|entry| entry["name"] == name).count())
    };
    let entries = stats.read().and_then(named);
    encoder.wait_for_success(BOUND);
    let recording = player.finish();
    drop(left);
    let mut findings = recording.judge_delivery(2);
    findings.extend(takes::judge(&recording, clip, FIRST));
    findings.extend(judge_counters(watch.last().as_ref()));
    if entries != Some(1) {
        findings.push(format!("{entries:?} streams of one name in stats"));
    }
    if on_air.is_none() {
        findings.push(format!("the second take is not on the air after {took:.1?}"));
    }
    findings.into_iter().map(|finding| format!("{name}: {finding}")).collect()
}

#[test]
fn an_encoder_that_left_without_a_word_comes_back() {
    let folder = folder();
    let clip = Clip::beginning(FIRST + SECOND, folder.path());
    let server = Server::start(&["up"], &config_with(&[], &Ffmpeg::Debian.path()));
    Stats::of(&server).wait_for_nodes(1);
    let ways: [(&str, Way); 3] = [
        // Its network is gone: for the server the connection is open, and silent.
        ("stalled", Some),
        ("reset", |client| {
            client.reset();
            None
        }),
        ("closed", |client| {
            drop(client);
            None
        }),
    ];
    let findings: Vec<String> = std::thread::scope(|scope| {
        let run = |(name, leave)| check(&server, &clip, name, leave);
        let threads: Vec<_> = ways.map(|way| scope.spawn(move || run(way))).into_iter().collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("an encoder is let in")).collect()
    });
    assert_none("after a reconnect", &findings);
    server.stop();
}

/// `takeover = "refuse"`: while the first one sends, a second is refused with words and the first notices nothing.
#[test]
fn a_second_publisher_is_refused_where_so_configured() {
    let folder = folder();
    let clip = Clip::beginning(FIRST, folder.path());
    let refuse = ("stream", "takeover = \"refuse\"");
    let server = Server::start(&["up"], &config_with(&[refuse], &Ffmpeg::Debian.path()));
    let stats = Stats::of(&server);
    stats.wait_for_nodes(1);
    let player = Player::start(server.play_url("live/taken"), folder.path().to_owned(), BOUND);
    let mut first =
        Publisher::start(Ffmpeg::Debian, &clip.path, &server.publish_url("live/taken"), Repeat::Once);
    wait_for(BOUND, || stats.stream("live/taken")).expect("the first is let in");
    let mut second = Client::open(&server.address("rtmp"), Style::default());
    second.ask("live", "taken").expect("commands are read");
    assert!(second.hears("NetStream.Publish.Rejected") && second.is_closed(), "a second one is let in");
    first.wait_for_success(BOUND);
    assert_none("the first", &player.finish().judge(&clip, 2));
    server.stop();
}
