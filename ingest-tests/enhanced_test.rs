//! Codecs and tracks beyond RTMP 1.0 (Enhanced RTMP v2), from the current FFmpeg to nodes that run it: every frame of HEVC,
//! AV1 and VP9 comes out once, sound of other codecs is encoded to AAC, and of several tracks the first is taken.

mod harness;

use std::time::Duration;

use harness::clip::{Clip, Sound};
use harness::ffmpeg::Ffmpeg;
use harness::player::Player;
use harness::publisher::Publisher;
use harness::server::{Server, config_with};
use harness::stats::{Stats, Watch, judge_counters};
use harness::{assert_none, folder, wait_for};
use serde_json::{Value, json};

const STREAM: &str = "live/enhanced";
/// GOPs that are published: 8 s.
const GOPS: usize = 4;
/// From the first byte to ENDLIST: the clip, and a busy machine's slack.
const BOUND: Duration = Duration::from_secs(45);

const HEVC: &str = "-c:v libx265 -preset ultrafast -crf 28 -tag:v hvc1 \
    -x265-params keyint=60:min-keyint=60:scenecut=0:open-gop=0:log-level=error";
const AV1: &str = "-c:v libsvtav1 -preset 10 -crf 25 -g 60 -svtav1-params keyint=60:scd=0";
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 600k -g 60 -keyint_min 60";
const H264: &str = "-c:v libx264 -preset ultrafast -g 60 -keyint_min 60 -sc_threshold 0";

const ONE_RENDITION: &str =
    "renditions = [{ name = \"180p\", height = 180, video_bitrate = \"400k\", preset = \"ultrafast\" }]";
const COPY: &str =
    "renditions = [{ name = \"source\", height = 180, video_bitrate = \"400k\", video_codec = \"copy\" }]";

/// Publishes `clip` from the current FFmpeg with the options `after`, and judges what comes out of one rendition in
/// `profile`. Gives the stream's last entry in stats.
#[track_caller]
fn check(clip: &Clip, after: &[&str], profile: &str) -> Value {
    let (folder, more) = (folder(), [("profiles.one", profile), ("tenants.live", "")]);
    let config =
        config_with(&more, &Ffmpeg::Current.path()).replace("profile = \"test\"", "profile = \"one\"");
    let server = Server::start(&["up"], &config);
    let stats = Stats::of(&server);
    stats.wait_for_nodes(1);
    let player = Player::start(server.play_url(STREAM), folder.path().to_owned(), BOUND);
    let watch = Watch::start(stats, STREAM);
    let url = server.publish_url(STREAM);
    let mut publisher = Publisher::start_with(Ffmpeg::Current, &["-re"], &clip.path, after, &url);
    publisher.wait_for_success(BOUND);
    assert_none("the output", &player.finish().judge(clip, 1));
    let last = watch.last();
    assert_none("the counters", &judge_counters(last.as_ref()));
    drop(watch);
    server.stop();
    last.expect("its counters were judged")
}

/// The same for a clip of these codecs, which stats must name.
#[track_caller]
fn check_codecs(options: &str, sound: Sound, profile: &str, codecs: (&str, &str)) {
    if !Ffmpeg::Current.is_installed() {
        return;
    }
    let folder = folder();
    let clip = Clip::encoded(GOPS, options, sound, folder.path());
    let entry = check(&clip, &["-c", "copy"], profile);
    let source = &entry["source"];
    assert_eq!(
        (&source["video_codec"], &source["audio_codec"]),
        (&json!(codecs.0), &json!(codecs.1)),
        "{source}"
    );
}

#[test]
fn hevc_is_transcoded() {
    check_codecs(&format!("{HEVC} -c:a copy"), Sound::Distinct, ONE_RENDITION, ("hevc", "aac"));
}

#[test]
fn hevc_is_passed_through() {
    check_codecs(&format!("{HEVC} -c:a copy"), Sound::Distinct, COPY, ("hevc", "aac"));
}

#[test]
fn av1_is_transcoded() {
    check_codecs(&format!("{AV1} -c:a copy"), Sound::Distinct, ONE_RENDITION, ("av1", "aac"));
}

#[test]
fn vp9_is_transcoded() {
    check_codecs(&format!("{VP9} -c:a copy"), Sound::Distinct, ONE_RENDITION, ("vp9", "aac"));
}

#[test]
fn opus_is_encoded_to_aac() {
    check_codecs(&format!("{H264} -c:a libopus -b:a 64k"), Sound::Encoded, ONE_RENDITION, ("h264", "opus"));
}

#[test]
fn flac_is_encoded_to_aac() {
    check_codecs(
        &format!("{H264} -c:a flac -sample_fmt s16 -strict -2"),
        Sound::Encoded,
        ONE_RENDITION,
        ("h264", "flac"),
    );
}

#[test]
fn ac3_is_encoded_to_aac() {
    check_codecs(&format!("{H264} -c:a ac3 -b:a 128k"), Sound::Encoded, ONE_RENDITION, ("h264", "ac3"));
}

/// The first track of each kind is taken, and the others are named.
#[test]
fn of_several_tracks_the_first_is_taken() {
    if !Ffmpeg::Current.is_installed() {
        return;
    }
    let folder = folder();
    let clip = Clip::beginning(GOPS, folder.path());
    // The second picture is the first upside down and the second sound half as loud, so that they are told apart.
    let after = "-map 0:v -map 0:v -map 0:a -map 0:a -c:v:0 copy -c:a:0 copy -filter:v:1 vflip -c:v:1 libx264 \
        -preset:v:1 ultrafast -g:v:1 60 -filter:a:1 volume=0.5 -c:a:1 aac";
    let entry = check(&clip, &after.split_whitespace().collect::<Vec<_>>(), ONE_RENDITION);
    let others = entry["source"]["other_tracks"].as_array().cloned().unwrap_or_default();
    let expected = [
        json!({ "kind": "audio", "number": 1, "codec": "mp4a" }),
        json!({ "kind": "video", "number": 1, "codec": "avc1" }),
    ];
    let all = expected.iter().all(|track| others.contains(track)) && others.len() == expected.len();
    assert!(all, "{others:?}");
}

/// FFmpeg 5.1 cannot read HEVC in FLV. A fleet that has no other refuses it, in words, at once.
#[test]
fn hevc_is_refused_where_no_node_reads_it() {
    if !Ffmpeg::Current.is_installed() || !Ffmpeg::Debian.is_version("5.1") {
        return;
    }
    let folder = folder();
    let clip = Clip::encoded(GOPS, &format!("{HEVC} -c:a copy"), Sound::Distinct, folder.path());
    let server = Server::start(&["up"], &config_with(&[], &Ffmpeg::Debian.path()));
    let stats = Stats::of(&server);
    stats.wait_for_nodes(1);
    let url = server.publish_url(STREAM);
    let mut publisher = Publisher::start_with(Ffmpeg::Current, &["-re"], &clip.path, &["-c", "copy"], &url);
    publisher.wait_for_refusal(BOUND);
    assert!(publisher.started_at.elapsed() < Duration::from_secs(7), "it is refused when the clip is over");
    let said = || server.stdout.text() + &server.stderr.text();
    let logged = wait_for(BOUND, || said().contains("unsupported_codec").then_some(()));
    assert!(logged.is_some(), "no reason in the log: {}", publisher.log());
    let gone = wait_for(Duration::from_secs(5), || stats.stream(STREAM).is_none().then_some(()));
    assert!(gone.is_some(), "a refused stream stays: {:?}", stats.stream(STREAM));
    // The same name is free for what can be read.
    let clip = Clip::beginning(1, folder.path());
    let player = Player::start(server.play_url(STREAM), folder.path().to_owned(), BOUND);
    Publisher::start_with(Ffmpeg::Current, &["-re"], &clip.path, &["-c", "copy"], &url)
        .wait_for_success(BOUND);
    assert_none("the stream after it", &player.finish().judge(&clip, 2));
    server.stop();
}
