use std::time::Duration;

use super::*;
use crate::base::units::Bitrate;
use crate::ffmpeg::attempt::{AudioStart, SourceSamples};
use crate::ffmpeg::encoder::{Class, Device, Reordering};
use crate::ffmpeg::frame_rate::FrameRate;
use crate::ffmpeg::ladder::{Deinterlace, Ladder};
use crate::media::time::Ticks;

fn h264(name: &str, height: u32, preset: &str) -> Rendition {
    Rendition {
        name: name.parse().unwrap(),
        height,
        video_bitrate: Bitrate::kilobits(1500),
        fps: None,
        threads: None,
        video: VideoOutput::H264 {
            encoders: vec!["h264_none".to_owned(), "libx264".to_owned()],
            preset: preset.to_owned(),
        },
    }
}

fn attempt(renditions: Vec<Rendition>, audio: AudioOutput) -> AttemptSpec {
    AttemptSpec {
        number: 1,
        ladder: Ladder { renditions, audio, latency: Latency::Normal, deinterlace: Deinterlace::Off },
        has_video: true,
        has_audio: true,
        base: Ticks::ZERO,
        frame_rate: FrameRate::new(25, 1),
        max_gop: Duration::from_secs(10),
        audio_start: AudioStart { first_sample: -2048, source: None },
    }
}

/// The arguments with x264 and pipes from 11 on, a line for each option.
fn written(attempt: &AttemptSpec) -> Result<String, ArgumentsError> {
    let x264 = [Usable::software(Encoder::Libx264)];
    written_with(attempt, Equipment { encoders: choose(attempt, &x264)?, cores: 16 })
}

fn written_with(attempt: &AttemptSpec, equipment: Equipment) -> Result<String, ArgumentsError> {
    let pipes = Pipes { progress: 10, outputs: outputs(attempt).into_iter().zip(11..).collect() };
    Ok(arguments(attempt, &equipment, &pipes)?.join(" ").replace(" -", "\n-"))
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
fn encoded_audio_of_a_known_source_and_few_pictures() {
    let audio = AudioOutput::Aac { bitrate: Bitrate::kilobits(128) };
    let mut attempt = attempt(vec![h264("360p", 360, "veryfast")], audio);
    attempt.frame_rate = FrameRate::new(1, 1);
    let source = SourceSamples { rate: 44_100, first: 37_617_329, access_unit: 1024 };
    attempt.audio_start = AudioStart { first_sample: 40_943_616, source: Some(source) };
    insta::assert_snapshot!(written(&attempt).unwrap());
}

#[test]
fn fields_and_frame_rates_are_filtered_before_the_scale() {
    let mut attempt = attempt(vec![h264("360p", 360, "veryfast")], AudioOutput::Copy);
    let mut check = |deinterlace, fps: Option<&str>, expected: &str| {
        attempt.ladder.deinterlace = deinterlace;
        attempt.ladder.renditions[0].fps = fps.map(|fps| fps.parse().unwrap());
        let written = written(&attempt).unwrap();
        let line = |option: &str| written.lines().find(|line| line.starts_with(option)).unwrap().to_owned();
        assert_eq!((line("-vf") + &line("-g ")).replace(",scale=-2:'trunc(min(360,ih)/2)*2'", " "), expected);
    };
    let select = "select='if(key,1+0*st(0,round(pts*30000/(1001*round(1/TB)))),not(eq(round(pts*30000/(1001*round(1/TB))),ld(0))))'";
    let ntsc = format!("-vf {select},fps=30000/1001 -g 299");
    check(Deinterlace::Off, Some("29.97"), &ntsc);
    check(Deinterlace::Frame, None, "-vf yadif=mode=send_frame:deint=interlaced -g 250");
    check(Deinterlace::Field, None, "-vf yadif=mode=send_field:deint=interlaced -g 500");
    let both = format!("-vf yadif=mode=send_field:deint=interlaced,{select},fps=30000/1001 -g 299");
    check(Deinterlace::Field, Some("30000/1001"), &both);
}

#[test]
fn a_resampler_begins_with_its_first_phase() {
    let check = |rate, first, expected: Option<&str>| {
        let mut attempt = attempt(Vec::new(), AudioOutput::Aac { bitrate: Bitrate::kilobits(128) });
        attempt.audio_start.source = Some(SourceSamples { rate, first, access_unit: 1024 });
        let written = written(&attempt).unwrap();
        let (_, after) = written.split_once("atrim=start=").unwrap_or_default();
        assert_eq!(after.split_once(',').map(|(start, _)| start), expected, "{rate}");
    };
    check(44_100, 147_000, Some("3333333us"));
    check(44_100, 146_999, Some("3333333us"));
    check(44_100, 146_853, Some("3330000us"));
    check(48_000, 48_001, Some("1000020us"));
    check(22_050, 1, Some("6666us"));
    check(8_000, 7, Some("875us"));
    check(44_101, 7, None);
    check(0, 7, None);
}

#[test]
fn a_first_sample_right_behind_the_grid_begins_a_frame_earlier() {
    let check = |first_sample: i64, first: i64, rate: u32, expected: i64| {
        let mut attempt = attempt(Vec::new(), AudioOutput::Aac { bitrate: Bitrate::kilobits(128) });
        let source = Some(SourceSamples { rate, first, access_unit: 1024 });
        attempt.audio_start = AudioStart { first_sample, source };
        let written = written(&attempt).unwrap();
        let (_, first_pts) = written.split_once("first_pts=").unwrap_or_default();
        assert!(first_pts.starts_with(&format!("{expected}\n")), "{first}: {first_pts}");
    };
    check(10_240, 10_240, 48_000, 10_240);
    check(10_240, 10_241, 48_000, 9_216);
    check(10_240, 10_304, 48_000, 9_216);
    check(10_240, 10_305, 48_000, 10_240);
    // 44.1 kHz is cut off up to 9408 there, which is 32 samples behind the grid.
    check(10_208, 9_403, 44_100, 9_184);
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
    let x264 = [Usable::software(Encoder::Libx264)];
    let check = |rendition: Rendition, usable: &[Usable], expected: ArgumentsError| {
        let attempt = attempt(vec![rendition], AudioOutput::Copy);
        let made = choose(&attempt, usable)
            .and_then(|encoders| written_with(&attempt, Equipment { encoders, cores: 1 }));
        assert_eq!(made, Err(expected));
    };
    let none = || ArgumentsError::NoEncoder { rendition: 0, wanted: "h264_none, libx264".to_owned() };
    check(h264("a", 720, "fast"), &[], none());
    let bad_preset = ArgumentsError::BadPreset { rendition: 0 };
    check(h264("a", 720, "fast -y"), &x264, bad_preset.clone());
    check(h264("a", 720, ""), &x264, bad_preset);
    let forgotten = attempt(vec![h264("a", 720, "fast")], AudioOutput::Copy);
    assert_eq!(written_with(&forgotten, Equipment { encoders: Vec::new(), cores: 1 }), Err(none()));
}

#[test]
fn the_first_encoder_that_works_is_chosen() {
    let nvenc = Usable {
        encoder: Encoder::H264Nvenc,
        device: Device::Nvidia(Some(1)),
        reordering: Reordering::BFrames,
    };
    let x264 = Usable::software(Encoder::Libx264);
    let check = |names: &[&str], usable: &[&Usable], expected: &Usable| {
        let mut rendition = h264("a", 720, "fast");
        let encoders = names.iter().map(|&name| name.to_owned()).collect();
        rendition.video = VideoOutput::H264 { encoders, preset: "fast".to_owned() };
        let attempt = attempt(vec![rendition], AudioOutput::Copy);
        let usable: Vec<Usable> = usable.iter().copied().cloned().collect();
        assert_eq!(choose(&attempt, &usable), Ok(vec![Some(expected.clone())]));
    };
    check(&["h264_nvenc", "libx264"], &[&x264, &nvenc], &nvenc);
    check(&["libx264", "h264_nvenc"], &[&x264, &nvenc], &x264);
    check(&["h264_nvenc", "libx264"], &[&x264], &x264);
    let mut silent = attempt(vec![h264("a", 720, "fast")], AudioOutput::Copy);
    silent.has_video = false;
    assert_eq!(choose(&silent, &[]), Ok(Vec::new()), "sound alone needs no encoder");
}

/// What differs between encoders: the lines from `-vf` on, without those that are alike.
fn row(encoder: Encoder, device: Device, latency: Latency) -> String {
    let mut attempt = attempt(vec![h264("a", 720, "slow")], AudioOutput::Copy);
    (attempt.has_audio, attempt.ladder.latency) = (false, latency);
    let usable = Usable { encoder, device, reordering: Reordering::BFrames };
    let written = written_with(&attempt, Equipment { encoders: vec![Some(usable)], cores: 2 }).unwrap();
    let alike = ["-nostdin", "-hide", "-nostats", "-loglevel", "-progress", "-stats", "-copyts", "-analyze"];
    let more =
        ["-fps", "-probesize", "-protocol", "-max", "-f ", "-i ", "-map", "-enc_time", "-force_key", "-g "];
    let rest = ["-b:v", "-bufsize", "-video_track", "-avoid", "-flush", "-movflags"];
    let lines = written
        .lines()
        .filter(|line| !alike.iter().chain(&more).chain(&rest).any(|start| line.starts_with(start)));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_row_at_every_latency() {
    for &encoder in Encoder::ALL {
        let device = match encoder.class() {
            Class::Software => Device::Cpu,
            Class::Nvenc => Device::Nvidia(Some(1)),
            Class::Vaapi | Class::Qsv => Device::RenderNode("/dev/dri/renderD129".to_owned()),
        };
        for latency in [Latency::Normal, Latency::Low] {
            let name = format!("{}_{latency:?}", encoder.name()).to_lowercase();
            insta::assert_snapshot!(name, row(encoder, device.clone(), latency));
        }
    }
}

#[test]
fn an_encoder_whose_b_frames_come_out_wrong_goes_without() {
    for &encoder in Encoder::ALL {
        let mut attempt = attempt(vec![h264("a", 720, "fast")], AudioOutput::Copy);
        let mut check = |latency, reordering, expected: bool| {
            attempt.ladder.latency = latency;
            let usable = Usable { encoder, device: Device::Cpu, reordering };
            let written =
                written_with(&attempt, Equipment { encoders: vec![Some(usable)], cores: 2 }).unwrap();
            assert_eq!(written.contains("-bf 0"), expected, "{encoder:?} {latency:?} {reordering:?}");
        };
        check(Latency::Normal, Reordering::None, encoder.reorders());
        check(Latency::Normal, Reordering::BFrames, false);
        let by_tune = encoder == Encoder::Libx264;
        check(Latency::Low, Reordering::BFrames, encoder.reorders() && !by_tune);
    }
}

#[test]
fn a_device_is_opened_once_for_all_its_renditions() {
    let attempt = attempt(vec![h264("a", 720, "fast"), h264("b", 360, "fast")], AudioOutput::Copy);
    let node = Device::RenderNode("/dev/dri/renderD128".to_owned());
    let vaapi = Usable { encoder: Encoder::H264Vaapi, device: node, reordering: Reordering::BFrames };
    let encoders = vec![Some(vaapi.clone()), Some(vaapi)];
    let written = written_with(&attempt, Equipment { encoders, cores: 2 }).unwrap();
    assert_eq!(written.matches("-init_hw_device").count(), 1, "{written}");
    assert_eq!(written.matches("hwupload").count(), 2, "{written}");
}

#[test]
fn threads_are_bounded_by_height_profile_and_node() {
    let check = |height, threads, cores, expected: u32| {
        let rendition = Rendition { threads, ..h264("a", height, "fast") };
        let attempt = attempt(vec![rendition], AudioOutput::Copy);
        let encoders = vec![Some(Usable::software(Encoder::Libx264))];
        let written = written_with(&attempt, Equipment { encoders, cores }).unwrap();
        assert_eq!(
            written.lines().filter(|line| *line == format!("-threads {expected}")).count(),
            1,
            "{written}"
        );
    };
    check(720, None, 16, 4);
    check(1080, None, 16, 8);
    check(1080, None, 6, 6);
    check(720, Some(12), 16, 12);
    check(720, Some(12), 3, 3);
    check(720, None, 0, 1);
}

#[test]
fn only_far_sighted_presets_are_held_back() {
    for (preset, expected) in [("ultrafast", false), ("veryfast", false), ("faster", true), ("slow", true)] {
        let written = written(&attempt(vec![h264("a", 720, preset)], AudioOutput::Copy)).unwrap();
        assert_eq!(written.contains("-rc-lookahead 10"), expected, "{preset}");
    }
}
