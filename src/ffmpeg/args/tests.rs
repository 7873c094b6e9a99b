use super::*;
use crate::base::units::Bitrate;
use crate::media::time::Ticks;

fn h264(name: &str, height: u32, preset: &str) -> Rendition {
    Rendition {
        name: name.parse().unwrap(),
        height,
        video_bitrate: Bitrate::kilobits(1500),
        video: VideoOutput::H264 {
            encoders: vec!["h264_none".to_owned(), "libx264".to_owned()],
            preset: preset.to_owned(),
        },
    }
}

fn attempt(renditions: Vec<Rendition>, audio: AudioOutput) -> AttemptSpec {
    AttemptSpec {
        number: 1,
        ladder: Ladder { renditions, audio, latency: Latency::Normal },
        has_video: true,
        has_audio: true,
        base: Ticks::ZERO,
        max_gop_access_units: 250,
        audio_first_sample: -2048,
    }
}

/// The arguments with pipes from 11 on, a line for each option.
fn written(attempt: &AttemptSpec) -> Result<String, ArgumentsError> {
    let pipes = Pipes { progress: 10, outputs: outputs(attempt).into_iter().zip(11..).collect() };
    Ok(arguments(attempt, Encoder::ALL, &pipes)?.join(" ").replace(" -", "\n-"))
}

#[test]
fn two_renditions_with_copied_audio() {
    let ladder = vec![h264("720p", 720, "veryfast"), h264("1080p", 1080, "medium")];
    insta::assert_snapshot!(written(&attempt(ladder, AudioOutput::Copy)).unwrap());
}

#[test]
fn low_latency_with_encoded_audio() {
    let audio = AudioOutput::Aac { bitrate: Bitrate::kilobits(128) };
    let mut attempt = attempt(vec![h264("360p", 360, "ultrafast")], audio);
    attempt.ladder.latency = Latency::Low;
    insta::assert_snapshot!(written(&attempt).unwrap());
}

#[test]
fn a_copied_rendition_without_audio() {
    let source = Rendition { video: VideoOutput::Copy, ..h264("source", 1080, "medium") };
    let mut attempt = attempt(vec![source], AudioOutput::Copy);
    attempt.has_audio = false;
    insta::assert_snapshot!(written(&attempt).unwrap());
}

#[test]
fn an_attempt_has_the_outputs_that_its_input_can_feed() {
    let mut attempt = attempt(vec![h264("a", 720, "fast"), h264("b", 360, "fast")], AudioOutput::Copy);
    assert_eq!(outputs(&attempt), [Output::Rendition(0), Output::Rendition(1), Output::Audio]);
    attempt.has_video = false;
    assert_eq!(outputs(&attempt), [Output::Audio]);
    attempt.has_audio = false;
    assert_eq!(outputs(&attempt), []);
}

#[test]
fn what_this_node_cannot_run_is_said() {
    let check = |rendition: Rendition, usable: &[Encoder], expected: ArgumentsError| {
        let attempt = attempt(vec![rendition], AudioOutput::Copy);
        let pipes = Pipes { progress: 10, outputs: vec![(Output::Rendition(0), 11)] };
        assert_eq!(arguments(&attempt, usable, &pipes), Err(expected));
    };
    let wanted = "h264_none, libx264".to_owned();
    check(h264("a", 720, "fast"), &[], ArgumentsError::NoEncoder { rendition: 0, wanted });
    let bad_preset = ArgumentsError::BadPreset { rendition: 0 };
    check(h264("a", 720, "fast -y"), Encoder::ALL, bad_preset.clone());
    check(h264("a", 720, ""), Encoder::ALL, bad_preset);
    assert_eq!(Encoder::by_name("libx265"), None);
}

#[test]
fn only_far_sighted_presets_are_held_back() {
    for (preset, expected) in [("ultrafast", false), ("veryfast", false), ("faster", true), ("slow", true)] {
        let written = written(&attempt(vec![h264("a", 720, preset)], AudioOutput::Copy)).unwrap();
        assert_eq!(written.contains("-rc-lookahead 10"), expected, "{preset}");
    }
}
