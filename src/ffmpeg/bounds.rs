//! How many access units FFmpeg may hold inside: what went in and has not come out is not yet a sign that it hangs.

use super::attempt::AttemptSpec;
use super::encoder::Encoder;
use super::ladder::{Deinterlace, Latency, Rendition, VideoOutput};

/// FFmpeg's MP4 muxer writes an access unit when the next one comes, because only that tells how long it lasts.
const MUXER: u32 = 1;
/// Pictures that a decoder keeps until those shown before them have come. The standards allow 16; encoders of live streams
/// use 2, or 4 with a deep pyramid.
const REORDERED: u32 = 4;
/// `yadif` needs the next picture.
const DEINTERLACER: u32 = 1;
/// `fps` gives a picture out when the next slot's has come.
const FRAME_RATE_FILTER: u32 = 1;
/// Pictures a second of a source that does not say it: many, so that the bound holds.
const UNTOLD_RATE: f64 = 60.0;

/// Threads of the decoder: each but one holds a picture back.
#[must_use]
pub(super) fn decoder_threads(attempt: &AttemptSpec) -> u32 {
    if attempt.has_low_rate() { 1 } else { 2 }
}

/// The most threads that a rendition's encoder gets: each but one holds a picture back. 16 of them made veryfast twice as slow
/// to answer.
#[must_use]
pub(super) fn encoder_threads(rendition: &Rendition) -> u32 {
    rendition.threads.unwrap_or(if rendition.height < 1080 { 4 } else { 8 }).max(1)
}

/// How much the encoders of an attempt may hold back: at low frame rates nothing, whatever the profile says.
#[must_use]
pub(super) fn latency(attempt: &AttemptSpec) -> Latency {
    if attempt.has_low_rate() { Latency::Low } else { attempt.ladder.latency }
}

/// The most access units of the source that FFmpeg holds between its input and the pipe of `rendition`, while its input stays
/// open. A source that reorders by more than four pictures adds what is beyond.
#[must_use]
pub fn access_units_inside(attempt: &AttemptSpec, rendition: &Rendition) -> u32 {
    let VideoOutput::H264 { encoders, preset } = &rendition.video else { return MUXER };
    let deinterlacer = match attempt.ladder.deinterlace {
        Deinterlace::Off => 0,
        Deinterlace::Frame | Deinterlace::Field => DEINTERLACER,
    };
    let before = decoder_threads(attempt) - 1 + REORDERED + deinterlacer;
    let known = encoders.iter().filter_map(|name| Encoder::by_name(name));
    // Which of them it will be is the node's choice, and how many threads it has.
    let threads = encoder_threads(rendition);
    let encoder = known.map(|encoder| encoder.held_back(preset, threads, latency(attempt)));
    let filter = if rendition.fps.is_some() { FRAME_RATE_FILTER } else { 0 };
    let after = filter + encoder.max().unwrap_or(0) + MUXER;
    before + source_pictures(after, attempt, rendition)
}

/// As many pictures of the source as last as long as `pictures` of `rendition`.
fn source_pictures(pictures: u32, attempt: &AttemptSpec, rendition: &Rendition) -> u32 {
    let Some(fps) = rendition.fps else { return pictures };
    let source = attempt.frame_rate.map_or(UNTOLD_RATE, |rate| rate.as_f64());
    let held = (f64::from(pictures) * source / fps.as_f64()).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a sane range")]
    let held = held.clamp(1.0, 1e6) as u32;
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Bitrate;
    use crate::ffmpeg::attempt::AudioStart;
    use crate::ffmpeg::frame_rate::FrameRate;
    use crate::ffmpeg::ladder::{AudioOutput, Ladder};
    use crate::media::time::Ticks;

    fn attempt(latency: Latency, rate: Option<f64>) -> AttemptSpec {
        let (renditions, audio, deinterlace) = (Vec::new(), AudioOutput::Copy, Deinterlace::Off);
        AttemptSpec {
            number: 1,
            ladder: Ladder { renditions, audio, latency, deinterlace },
            has_video: true,
            has_audio: false,
            base: Ticks::ZERO,
            frame_rate: rate.and_then(FrameRate::measured),
            max_gop: std::time::Duration::from_secs(10),
            audio_start: AudioStart::default(),
        }
    }

    fn rendition(preset: &str, height: u32, fps: Option<u32>) -> Rendition {
        let video = VideoOutput::H264 { encoders: vec!["libx264".to_owned()], preset: preset.to_owned() };
        let (fps, threads) = (fps.and_then(|fps| FrameRate::new(fps, 1)), None);
        let video_bitrate = Bitrate::kilobits(300);
        Rendition { name: "a".parse().unwrap(), height, video_bitrate, fps, threads, video }
    }

    #[track_caller]
    fn check(attempt: &AttemptSpec, rendition: &Rendition, expected: u32) {
        assert_eq!(access_units_inside(attempt, rendition), expected);
    }

    #[test]
    fn each_stage_adds_what_it_holds() {
        let normal = attempt(Latency::Normal, Some(30.0));
        check(&normal, &rendition("ultrafast", 360, None), 1 + 4 + 5 + 1);
        check(&normal, &rendition("veryfast", 360, None), 1 + 4 + 18 + 1);
        check(&normal, &rendition("veryfast", 1080, None), 1 + 4 + 22 + 1);
        check(&normal, &rendition("slower", 360, None), 1 + 4 + 20 + 1);
        check(&normal, &rendition("veryslow", 360, None), 1 + 4 + 45 + 1);
        check(&attempt(Latency::Low, Some(30.0)), &rendition("medium", 1080, None), 1 + 4 + 1);
        let copied = Rendition { video: VideoOutput::Copy, ..rendition("", 360, None) };
        check(&normal, &copied, 1);
        let mut fields = attempt(Latency::Low, None);
        fields.ladder.deinterlace = Deinterlace::Field;
        check(&fields, &rendition("medium", 360, None), 1 + 4 + 1 + 1);
    }

    #[test]
    fn of_several_encoders_the_one_that_holds_most_back_counts() {
        let mut rendition = rendition("ultrafast", 360, None);
        let mut check_names = |names: &[&str], latency, expected: u32| {
            let encoders = names.iter().map(|&name| name.to_owned()).collect();
            rendition.video = VideoOutput::H264 { encoders, preset: "ultrafast".to_owned() };
            check(&attempt(latency, Some(30.0)), &rendition, 1 + 4 + expected + 1);
        };
        check_names(&["libx264"], Latency::Normal, 5);
        check_names(&["libopenh264"], Latency::Normal, 0);
        check_names(&["h264_nvenc", "libx264"], Latency::Normal, 13);
        check_names(&["libx264", "h264_qsv"], Latency::Normal, 5);
        check_names(&["libx264", "h264_vaapi"], Latency::Low, 1);
    }

    #[test]
    fn threads_of_a_rendition_s_own_hold_more_back() {
        let many = Rendition { threads: Some(16), ..rendition("ultrafast", 360, None) };
        check(&attempt(Latency::Normal, Some(30.0)), &many, 1 + 4 + 17 + 1);
    }

    #[test]
    fn at_a_low_rate_nothing_is_held_but_what_must_be() {
        check(&attempt(Latency::Normal, Some(1.0)), &rendition("medium", 1080, None), 4 + 1);
    }

    #[test]
    fn a_frame_rate_of_its_own_counts_in_its_own_pictures() {
        check(&attempt(Latency::Normal, Some(30.0)), &rendition("ultrafast", 360, Some(15)), 1 + 4 + 14);
        check(&attempt(Latency::Normal, Some(30.0)), &rendition("ultrafast", 360, Some(60)), 1 + 4 + 4);
        check(&attempt(Latency::Normal, None), &rendition("ultrafast", 360, Some(30)), 1 + 4 + 14);
    }
}
