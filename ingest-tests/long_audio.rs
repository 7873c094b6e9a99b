//! Half an hour of sound at 44.1 kHz, published at many times real time, copied and encoded: at the end it is where it was at
//! the beginning. `make long-audio` runs this; it is no part of `make test`.

mod harness;

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::ffmpeg::Ffmpeg;
use harness::fleet::Fleet;
use harness::numbered::{H264, Numbered};
use harness::pcm::{self, FLV_SLACK, Pcm, Search};
use harness::player::{Player, Recording};
use harness::publisher::Publisher;
use harness::server::config_with;
use harness::track::Kind;
use harness::{assert_none, audio, judge};

const SECONDS: u32 = 1_800;
/// Times real time.
const SPEED: u32 = 40;
const STREAM: &str = "live/long";
const BOUND: Duration = Duration::from_secs(300);
/// A piece of sound is looked for every half minute.
const STEP: usize = 30 * 48_000;
/// How far a drift would be seen.
const REACH: i64 = 200;
/// Between 44.1 and 48 kHz a piece lies between two samples, and is found at the one or the other.
const ROUNDED_SAMPLES: i64 = 1;
/// Times in FLV are milliseconds.
const ROUNDED_US: i64 = 1_000;

/// The source, with pictures as small and as rare as can be.
fn made(folder: &Path) -> PathBuf {
    let sound = Some(",aresample=44100,aformat=channel_layouts=mono");
    let video = format!("{H264} -bf 0 -g 2");
    Numbered { seconds: SECONDS, sound, video, ..Numbered::new("1") }.make(folder, "source.flv")
}

/// A fleet of that FFmpeg whose profile makes `audio`; its log holds what comes in 15 s.
fn config(audio: &str, node: Ffmpeg) -> String {
    let rendition = "{ name = \"90p\", height = 90, video_bitrate = \"100k\", preset = \"ultrafast\" }";
    let profile = format!("renditions = [{rendition}]\naudio = \"{audio}\"");
    let more = [
        ("profiles.small", profile.as_str()),
        ("origin", "window = 1000"),
        ("gop_log", "max_duration = \"600s\""),
    ];
    config_with(&more, &node.path()).replace("profile = \"test\"", "profile = \"small\"")
}

/// Publishes a file to a fleet, and gives what a player gets.
fn play(file: &Path, config: &str, folder: &Path) -> Recording {
    let fleet = Fleet::start(&["n1"], config);
    let player = Player::start(fleet.proxy.play_url(STREAM), folder.to_owned(), BOUND);
    let speed = SPEED.to_string();
    let url = fleet.proxy.publish_url(STREAM);
    let mut publisher =
        Publisher::start_with(Ffmpeg::Debian, &["-readrate", &speed], file, &["-c", "copy"], &url);
    publisher.wait_for_success(BOUND);
    let recording = player.finish();
    fleet.stop();
    recording
}

#[test]
fn encoded_sound_does_not_drift() {
    for node in [Ffmpeg::Debian, Ffmpeg::Current].into_iter().filter(|node| node.is_installed()) {
        let folder = harness::folder();
        let source = made(folder.path());
        let recording = play(&source, &config("aac:64k", node), folder.path());
        let track = recording.of(Kind::Audio).next().expect("there is sound");
        let (original, mut findings) = Pcm::read(&source, FLV_SLACK);
        let (found, complaints) = Pcm::read(&track.file, 0);
        findings.extend(complaints);
        // The two clocks are brought together by the end of their sound, to within what the first piece tells.
        let late = found.start - original.start;
        let coarse = pcm::lags(&original, &found, Search { late, reach: 12_000, step: usize::MAX });
        let first = coarse.first().and_then(|lag| lag.samples).expect("the beginning is there");
        let search = Search { late: late + first, reach: REACH, step: STEP };
        let lags = pcm::lags(&original, &found, search);
        for lag in &lags {
            println!("{node:?}: encoded, at {} s: lag {:?} samples", lag.at / 48_000, lag.samples);
        }
        findings.extend(pcm::judge_within(&lags, ROUNDED_SAMPLES));
        assert_none("encoded sound", &findings);
        assert!(lags.len() >= SECONDS as usize / 30 - 1, "{} pieces", lags.len());
    }
}

#[test]
fn copied_sound_does_not_drift() {
    for node in [Ffmpeg::Debian, Ffmpeg::Current].into_iter().filter(|node| node.is_installed()) {
        let folder = harness::folder();
        let source = made(folder.path());
        let recording = play(&source, &config("copy", node), folder.path());
        let track = recording.of(Kind::Audio).next().expect("there is sound");
        let ((units, mut findings), (found, complaints)) = (audio::read(&source), audio::read(&track.file));
        findings.extend(complaints);
        let (wanted, found) = (audio::items(&units, &units), audio::items(&units, &found));
        findings.extend(judge::compare("audio units", &wanted, &found, ROUNDED_US));
        let late = judge::offset(&wanted, &found).unwrap_or(0);
        for (item, origin) in found.iter().zip(&wanted).step_by(43 * 60) {
            let (at, off) = (origin.at_us / 1_000_000, item.at_us - late - origin.at_us);
            println!("{node:?}: copied, at {at} s: {off} us");
        }
        assert_none("copied sound", &findings);
    }
}
