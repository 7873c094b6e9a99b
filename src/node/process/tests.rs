use tokio::io::AsyncReadExt;

use super::*;
use crate::base::units::Bitrate;
use crate::ffmpeg::attempt::AudioStart;
use crate::ffmpeg::encoder::Encoder;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Rendition, VideoOutput};
use crate::media::time::Ticks;

fn attempt() -> AttemptSpec {
    let video = VideoOutput::H264 { encoders: vec!["libx264".to_owned()], preset: "ultrafast".to_owned() };
    let rendition = Rendition {
        name: "a".parse().unwrap(),
        height: 180,
        video_bitrate: Bitrate::kilobits(300),
        fps: None,
        threads: None,
        video,
    };
    AttemptSpec {
        number: 1,
        ladder: Ladder {
            renditions: vec![rendition],
            audio: AudioOutput::Copy,
            latency: Latency::Normal,
            deinterlace: Deinterlace::Off,
        },
        has_video: true,
        has_audio: false,
        base: Ticks::ZERO,
        frame_rate: None,
        max_gop: Duration::from_secs(10),
        audio_start: AudioStart::default(),
    }
}

fn equipment() -> Equipment {
    Equipment { encoders: vec![Some(Usable::software(Encoder::Libx264))], cores: 2 }
}

fn start() -> Process {
    Process::start(Path::new("ffmpeg"), &attempt(), &equipment()).unwrap()
}

/// Whether a process of this identifier exists, a dead one that nobody reaped included.
fn exists(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

#[tokio::test]
async fn ffmpeg_waits_for_input_in_a_group_of_its_own_and_is_reaped() {
    let mut process = start();
    let id = process.id().unwrap();
    let pid = Pid::from_raw(i32::try_from(id).unwrap());
    assert_eq!(nix::unistd::getpgid(Some(pid)).unwrap(), pid);
    process.end().await;
    assert_eq!(process.id(), None);
    assert!(!exists(id));
}

#[tokio::test]
async fn a_stopped_ffmpeg_is_killed_when_its_grace_is_over() {
    let mut process = start();
    let id = process.id().unwrap();
    process.signal(Signal::SIGSTOP);
    process.end().await;
    assert!(!exists(id));
}

#[tokio::test]
async fn an_ffmpeg_that_is_dropped_is_gone_soon() {
    let process = start();
    let id = process.id().unwrap();
    drop(process);
    for _ in 0..200 {
        if !exists(id) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("FFmpeg is still there");
}

#[tokio::test]
async fn an_end_of_input_without_input_is_told_by_ffmpeg() {
    let mut process = start();
    drop(process.input.take());
    let mut words = String::new();
    process.words.take().unwrap().read_to_string(&mut words).await.unwrap();
    assert!(words.contains("[fatal]"), "{words}");
    let (_, mut output) = process.outputs.remove(0);
    assert_eq!(output.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    assert!(matches!(process.ended().await.unwrap(), Exit::Code(_)));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let started = Process::start(Path::new("/nonexistent/ffmpeg"), &attempt(), &equipment());
    assert!(matches!(started.err(), Some(StartError::System(_))));
    assert!(answer(Path::new("/nonexistent/ffmpeg"), &[], TERMINATION_GRACE).await.is_err());
}
