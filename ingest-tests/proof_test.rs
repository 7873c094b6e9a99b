//! An encoder's proof, with the real FFmpegs: who keeps to it is accepted, and each way of not keeping to it is found out.

#![allow(clippy::disallowed_methods, reason = "a test starts FFmpeg itself")]

mod harness;

use std::io::Write;
use std::process::{Command, Stdio};

use harness::ffmpeg::{Ffmpeg, run_ok_with};
use headgate::ffmpeg::args::{Equipment, Pipes, arguments};
use headgate::ffmpeg::attempt::AttemptSpec;
use headgate::ffmpeg::encoder::{Encoder, Usable};
use headgate::ffmpeg::ladder::{Latency, Output};
use headgate::ffmpeg::proof::{self, Flaw};
use headgate::media::fmp4::SampleEntry;
use headgate::media::fmp4::read::{Event, Reader};
use headgate::media::video::{RandomAccess, random_access, read_configuration};

/// Runs `spec` over `input` with arguments that `change` has had in hand. What it wrote.
fn run(
    ffmpeg: Ffmpeg,
    encoder: Encoder,
    (spec, input): (&AttemptSpec, &[u8]),
    change: impl FnOnce(&mut Vec<String>),
) -> Vec<u8> {
    let equipment = Equipment { encoders: vec![Some(Usable::software(encoder))], cores: 4 };
    // Standard output and error are pipes as good as any.
    let pipes = Pipes { progress: 2, outputs: vec![(Output::Rendition(0), 1)] };
    let mut arguments = arguments(spec, &equipment, &pipes).expect("it has a row");
    change(&mut arguments);
    let mut command = Command::new(ffmpeg.path());
    command.args(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it is installed");
    let mut stdin = child.stdin.take().expect("it was asked for");
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("it is our child");
    let fed = feeding.join().expect("it does not panic");
    assert!(output.status.success() && fed.is_ok(), "{ffmpeg:?} {encoder:?}: {arguments:?}");
    output.stdout
}

fn judged(
    ffmpeg: Ffmpeg,
    encoder: Encoder,
    latency: Latency,
    change: impl FnOnce(&mut Vec<String>),
) -> Result<(), Flaw> {
    let spec = proof::attempt(encoder, latency);
    proof::judge(encoder, &run(ffmpeg, encoder, (&spec, proof::INPUT), change))
}

/// Each encoder on the CPU with each FFmpeg that has it.
const ENCODERS: [(Ffmpeg, Encoder); 3] = [
    (Ffmpeg::Debian, Encoder::Libx264),
    (Ffmpeg::Current, Encoder::Libx264),
    (Ffmpeg::Current, Encoder::Libopenh264),
];

#[test]
fn encoders_on_the_cpu_prove_themselves_at_both_latencies() {
    for (ffmpeg, encoder) in ENCODERS.into_iter().filter(|(ffmpeg, _)| ffmpeg.is_installed()) {
        for latency in [Latency::Normal, Latency::Low] {
            assert_eq!(
                judged(ffmpeg, encoder, latency, |_| {}),
                Ok(()),
                "{ffmpeg:?} {encoder:?} {latency:?}"
            );
        }
    }
}

/// Gives the option another value.
fn set(arguments: &mut [String], option: &str, value: &str) {
    let at = arguments.iter().position(|word| word == option).expect("the row has it");
    value.clone_into(&mut arguments[at + 1]);
}

/// Puts more options before the output's container.
fn add(arguments: &mut Vec<String>, words: &[&str]) {
    let at = arguments.iter().position(|word| word == "-movflags").expect("every output has it");
    arguments.splice(at..at, words.iter().map(|&word| word.to_owned()));
}

#[track_caller]
fn check_flaw(encoder: Encoder, expected: &Flaw, change: impl Fn(&mut Vec<String>)) {
    let with = |(_, has): &(Ffmpeg, Encoder)| *has == encoder;
    for (ffmpeg, _) in ENCODERS.into_iter().filter(with).filter(|(ffmpeg, _)| ffmpeg.is_installed()) {
        let flaw = judged(ffmpeg, encoder, Latency::Normal, &change).expect_err("it was broken");
        assert_eq!(&flaw, expected, "{ffmpeg:?}");
    }
}

#[test]
fn x264_that_does_not_keep_to_it_is_found_out() {
    let check =
        |expected: Flaw, change: fn(&mut Vec<String>)| check_flaw(Encoder::Libx264, &expected, change);
    // No IDR pictures where they are asked for: with open GOPs, x264 begins one by a recovery point instead.
    check(Flaw::NoKey { picture: 30 }, |arguments| {
        set(arguments, "-forced-idr", "0");
        add(arguments, &["-x264-params", "open-gop=1"]);
    });
    // A GOP at each scene cut, of which the first is at picture 45.
    check(Flaw::ExtraKey { picture: 45 }, |arguments| set(arguments, "-sc_threshold", "40"));
    // Nothing is forced, and GOPs are as long as they like.
    check(Flaw::NoKey { picture: 30 }, |arguments| {
        set(arguments, "-force_key_frames", "expr:0");
    });
    // GOPs of its own.
    check(Flaw::ExtraKey { picture: 25 }, |arguments| set(arguments, "-g", "25"));
    // Pictures are left out.
    check(Flaw::Count { made: 45 }, |arguments| {
        set(arguments, "-vf", "select='not(mod(n,2))'");
    });
    // Times are put on the grid of a frame rate.
    let moved = Flaw::Time { picture: 1, found: 93_600, expected: 94_230 };
    check(moved, |arguments| set(arguments, "-enc_time_base:v", "1:25"));
}

#[test]
fn openh264_that_leaves_pictures_out_is_found_out() {
    if !Ffmpeg::Current.is_installed() {
        return;
    }
    let rows = judged(Ffmpeg::Current, Encoder::Libopenh264, Latency::Normal, |arguments| {
        set(arguments, "-allow_skip_frames", "1");
        set(arguments, "-b:v", "60000");
        set(arguments, "-maxrate", "60000");
    });
    assert!(matches!(rows, Err(Flaw::Count { made: ..90 })), "{rows:?}");
}

/// The times of IDR pictures, in ticks.
fn keys(written: &[u8]) -> Vec<i64> {
    let mut reader = Reader::new();
    reader.push(written);
    let (mut configuration, mut keys) = (None, Vec::new());
    while let Some(event) = reader.next_event().expect("FFmpeg writes what can be read") {
        match event {
            Event::Header(header) => {
                let SampleEntry::Video { codec, configuration: record, .. } = header.entry else { panic!() };
                configuration = Some(read_configuration(codec, &record).expect("a legal record"));
            }
            Event::AccessUnit(unit) => {
                let configuration = configuration.as_ref().expect("it comes first");
                if random_access(configuration, &unit.data) == RandomAccess::Idr {
                    keys.push(unit.presentation_time);
                }
            }
        }
    }
    keys
}

/// `OpenH264` begins GOPs at scene cuts, and nothing can stop it. All attempts must agree on where.
#[test]
fn openh264_begins_gops_at_the_same_scene_cuts_wherever_an_attempt_begins() {
    if !Ffmpeg::Current.is_installed() {
        return;
    }
    let folder = harness::folder();
    let (whole, later) = (folder.path().join("whole.flv"), folder.path().join("later.flv"));
    // 24 s with GOPs of 2 s and a scene cut every 0.76 s, among them some right behind a random access point.
    let graph = "testsrc2=size=320x180:rate=25,negate=enable='mod(floor(n/19),2)',hue=h=40*floor(n/19)";
    let (whole_name, later_name) = (whole.display().to_string(), later.display().to_string());
    run_ok_with(
        Ffmpeg::Current,
        &[
            "-v error -f lavfi -i",
            graph,
            "-t 24 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -bf 0 -g 50 -keyint_min 50 -sc_threshold 0 -f flv",
            &whole_name,
        ],
    );
    // From the fourth GOP on, with the times that it has in the whole.
    run_ok_with(
        Ffmpeg::Current,
        &[
            "-v error -copyts -ss 5.9 -i",
            &whole_name,
            "-c copy -copyts -avoid_negative_ts disabled -f flv",
            &later_name,
        ],
    );
    let mut spec = proof::attempt(Encoder::Libopenh264, Latency::Normal);
    spec.max_gop = std::time::Duration::from_secs(10);
    let keys = [&whole, &later].map(|file| {
        let input = std::fs::read(file).expect("it was made");
        keys(&run(Ffmpeg::Current, Encoder::Libopenh264, (&spec, &input), |_| {}))
    });
    let first = keys[1][0];
    assert!(first > keys[0][0], "{keys:?}");
    // Its first GOP is warm-up, whose output nobody takes.
    let after =
        |keys: &[i64]| -> Vec<i64> { keys.iter().copied().filter(|key| *key >= first + 180_000).collect() };
    assert_eq!(after(&keys[0]), after(&keys[1]));
    assert!(after(&keys[0]).len() > 12, "there are more than the source's: {keys:?}");
}
