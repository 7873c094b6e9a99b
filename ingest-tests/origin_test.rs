//! The origin as players, browsers and caches meet it.

mod harness;

use std::time::Duration;

use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::http::{Answer, Client};
use harness::player::Player;
use harness::playlist::{Media, Multivariant, resolve};
use harness::publisher::{Publisher, Repeat};
use harness::server::{Server, config};
use harness::{assert_none, wait_for};
use headgate::base::clock::now;

/// What the README promises from the first frame to the first picture.
const PLAYABLE_WITHIN: Duration = Duration::from_secs(6);
/// An orderly end is told at once; `reconnect_grace`, 15 s, would be far beyond.
const ENDED_WITHIN: Duration = Duration::from_secs(4);

/// A stream that goes on for as long as the value lives, and addresses in it.
struct Live {
    // Ends before the server does, which then need not wait for it.
    _publisher: Publisher,
    server: Server,
    client: Client,
    index: String,
    media: String,
    segment: String,
    init: String,
}

impl Live {
    fn start() -> Self {
        let server = Server::start(&["up"], &config(&Ffmpeg::Debian.path()));
        let clip = harness::root().join("fixtures/media/numbered-30s.flv");
        let publisher =
            Publisher::start(Ffmpeg::Debian, &clip, &server.publish_url("live/demo"), Repeat::Forever);
        let (client, index) = (Client::new(), server.play_url("live/demo"));
        let listed = || {
            let text = client.get(&index).ok().filter(|answer| answer.status == 200)?.text();
            let media = resolve(&index, &Multivariant::parse(&text).ok()?.variants.first()?.0);
            let playlist = Media::parse(&client.get(&media).ok()?.text()).ok()?;
            // Not the first of the window: it stays there while a test runs.
            let segment = playlist.segments.last()?;
            Some((resolve(&media, &segment.uri), resolve(&media, &segment.map), media.clone()))
        };
        let (segment, init, media) = wait_for(Duration::from_secs(30), listed).expect("the stream plays");
        Self { server, _publisher: publisher, client, index, media, segment, init }
    }

    #[track_caller]
    fn get(&self, url: &str) -> Answer {
        self.client.get(url).expect("the origin answers")
    }

    fn everything(&self) -> [&str; 4] {
        [&self.index, &self.media, &self.init, &self.segment]
    }
}

/// `Some(n)` for `max-age=n`, where caches may keep it at all.
fn max_age(answer: &Answer) -> Option<u64> {
    let directives = answer.header("cache-control")?.split(',').map(str::trim);
    directives.into_iter().find_map(|directive| directive.strip_prefix("max-age=")?.parse().ok())
}

fn browsers_may_read(live: &Live) {
    for url in live.everything() {
        let origin = [("origin", "https://player.example")];
        let answer = live.client.get_with(url, &origin).expect("the origin answers");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{url}");
        let preflight = live.client.preflight(url).expect("the origin answers");
        assert!((200..300).contains(&preflight.status), "{url}: a preflight gets {}", preflight.status);
        assert_eq!(preflight.header("access-control-allow-origin"), Some("*"), "{url}");
    }
    let api = live.server.http_url("/api/v1/stats");
    let foreign =
        live.client.get_with(&api, &[("origin", "https://player.example")]).expect("the API answers");
    assert!((400..500).contains(&foreign.status), "the API answers a foreign page with {}", foreign.status);
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let rebound = live.client.get_with(&api, &[("host", "rebound.example")]).expect("the API answers");
    assert!(
        (400..500).contains(&rebound.status),
        "the API answers to a foreign name with {}",
        rebound.status
    );
}

fn content_types_are_those_of_hls(live: &Live) {
    let expected =
        ["application/vnd.apple.mpegurl", "application/vnd.apple.mpegurl", "video/mp4", "video/mp4"];
    for (url, expected) in live.everything().into_iter().zip(expected) {
        let answer = live.get(url);
        assert_eq!(answer.header("content-type"), Some(expected), "{url}");
    }
}

fn head_says_what_get_would(live: &Live) {
    for url in [&live.index, &live.init, &live.segment] {
        let (head, get) = (live.client.head(url).expect("the origin answers"), live.get(url));
        assert_eq!((head.status, head.body.len()), (200, 0), "{url}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{url}");
    }
    let (head, get) = (live.client.head(&live.segment).expect("the origin answers"), live.get(&live.segment));
    assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
}

/// RFC 9110 §14.
fn ranges_are_served(live: &Live) {
    let whole = live.get(&live.segment).body;
    let check = |range: &str, status: u16, expected: &[u8]| {
        let answer = live.client.get_with(&live.segment, &[("range", range)]).expect("the origin answers");
        assert_eq!(answer.status, status, "{range}");
        if status == 206 {
            assert_eq!(answer.body, expected, "{range}");
            assert!(
                answer.header("content-range").is_some_and(|value| value.starts_with("bytes ")),
                "{range}"
            );
        }
    };
    check("bytes=0-99", 206, &whole[..100]);
    check("bytes=100-", 206, &whole[100..]);
    check("bytes=-50", 206, &whole[whole.len() - 50..]);
    check(&format!("bytes=10-{}", whole.len() + 1_000), 206, &whole[10..]);
    check(&format!("bytes={}-", whole.len()), 416, &[]);
    assert_eq!(live.get(&live.segment).header("accept-ranges"), Some("bytes"));
}

fn caches_keep_segments_and_not_playlists(live: &Live) {
    for url in [&live.init, &live.segment] {
        let answer = live.get(url);
        assert!(max_age(&answer) >= Some(60), "{url}: {:?}", answer.header("cache-control"));
    }
    for url in [&live.index, &live.media] {
        let answer = live.get(url);
        let control = answer.header("cache-control").unwrap_or_default();
        let fresh =
            control.contains("no-cache") || control.contains("no-store") || max_age(&answer) <= Some(2);
        assert!(!control.is_empty() && fresh, "{url}: {control:?}");
    }
}

fn what_is_not_there_is_404(live: &Live) {
    for path in [
        "/hls/live/other/index.m3u8",
        "/hls/nobody/demo/index.m3u8",
        "/hls/live/demo/720p/index.m3u8",
        "/hls/live/demo/index.m3u9",
        "/hls/live/demo/..%2f..%2fetc/passwd",
        "/hls/live/-bad/index.m3u8",
        "/nothing",
    ] {
        let status = live.get(&live.server.http_url(path)).status;
        assert_eq!(status, 404, "{path}");
    }
    let past = live.get(&format!("{}x", live.segment));
    assert_eq!(past.status, 404);
    assert!(max_age(&past).unwrap_or(0) <= 2, "a cache may keep that a segment is missing");
}

/// The numbers in the multivariant playlist are those of the stream.
fn variants_describe_themselves(live: &Live) {
    let playlist = Multivariant::parse(&live.get(&live.index).text()).expect("it is one");
    let resolutions: Vec<&str> =
        playlist.variants.iter().map(|(_, tags)| tags["RESOLUTION"].as_str()).collect();
    assert_eq!(resolutions, ["640x360", "320x180"]);
    for (uri, tags) in &playlist.variants {
        assert!(
            tags["CODECS"].contains("avc1.") && tags["CODECS"].contains("mp4a.40.2"),
            "{uri}: {}",
            tags["CODECS"]
        );
        assert!(tags["FRAME-RATE"].starts_with("30"), "{uri}: {}", tags["FRAME-RATE"]);
        let bandwidth: u64 = tags["BANDWIDTH"].parse().expect("it is a number");
        assert!((20_000..5_000_000).contains(&bandwidth), "{uri}: {bandwidth}");
    }
}

#[test]
fn the_origin_is_a_good_citizen() {
    let live = Live::start();
    browsers_may_read(&live);
    content_types_are_those_of_hls(&live);
    head_says_what_get_would(&live);
    ranges_are_served(&live);
    caches_keep_segments_and_not_playlists(&live);
    what_is_not_there_is_404(&live);
    variants_describe_themselves(&live);
}

#[test]
fn health_and_readiness_answer() {
    let server = Server::start(&["up"], &config(&Ffmpeg::Debian.path()));
    let client = Client::new();
    let status = |path: &str| client.get(&server.http_url(path)).map(|answer| answer.status).ok();
    assert_eq!(status("/healthz"), Some(200));
    let ready = wait_for(Duration::from_secs(30), || status("/readyz").filter(|&status| status == 200));
    assert!(ready.is_some(), "/readyz answers {:?}", status("/readyz"));
    server.stop();
}

#[test]
fn a_stream_plays_within_6_s_and_ends_at_once() {
    let folder = harness::folder();
    let clip = Clip::beginning(5, folder.path());
    let server = Server::start(&["up"], &config(&Ffmpeg::Debian.path()));
    harness::stats::Stats::of(&server).wait_for_nodes(1);
    let bound = Duration::from_secs(40);
    let player = Player::start(server.play_url("live/demo"), folder.path().to_owned(), bound);
    let mut publisher =
        Publisher::start(Ffmpeg::Debian, &clip.path, &server.publish_url("live/demo"), Repeat::Once);
    publisher.wait_for_success(bound);
    let unpublished_at = now();
    let started_at = publisher.started_at;
    let recording = player.finish();
    assert_none("the output", &recording.judge(&clip, 2));
    let playable = recording.playable_at().expect("it played").duration_since(started_at);
    let ended = recording.ended_at().expect("it ended").saturating_duration_since(unpublished_at);
    println!("playable after {playable:.2?}; ENDLIST {ended:.2?} after the publisher's end");
    assert!(playable < PLAYABLE_WITHIN, "playable after {playable:?}");
    assert!(ended < ENDED_WITHIN, "ENDLIST {ended:?} after the publisher's end");
}
