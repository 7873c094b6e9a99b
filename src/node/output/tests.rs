use std::path::Path;

use super::*;
use crate::base::clock;
use crate::base::units::Bitrate;
use crate::ffmpeg::attempt::AudioStart;
use crate::ffmpeg::ladder::{Deinterlace, Ladder, Latency};
use crate::media::track::VideoCodec;
use crate::node::process;

const BASE: Ticks = Ticks(1_000_000);

fn attempt(audio: AudioOutput) -> AttemptSpec {
    AttemptSpec {
        number: 1,
        ladder: Ladder {
            renditions: Vec::new(),
            audio,
            latency: Latency::Normal,
            deinterlace: Deinterlace::Off,
        },
        has_video: true,
        has_audio: true,
        base: BASE,
        frame_rate: None,
        max_gop: Duration::from_secs(10),
        audio_start: AudioStart { first_sample: 2048, source: None },
    }
}

/// What FFmpeg writes for `source`, as an attempt's output is written.
async fn written(source: &str) -> Vec<u8> {
    let arguments = format!(
        "-nostdin -loglevel error {source} -copyts -avoid_negative_ts disabled -movflags +empty_moov+default_base_moof+negative_cts_offsets+frag_discont+frag_every_frame -f mp4 pipe:1"
    );
    let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    process::answer(Path::new("ffmpeg"), &arguments, Duration::from_secs(20)).await.unwrap().1
}

fn read(reader: &mut OutputReader, bytes: &[u8], split: usize) -> Vec<LeaseOutput> {
    let (now, mut messages) = (clock::now(), Vec::new());
    for piece in bytes.chunks(split) {
        reader.handle_bytes(piece);
        while let Some(message) = reader.next_message(now).unwrap() {
            messages.push(message);
        }
    }
    messages.extend(reader.finish());
    messages
}

const VIDEO: &str = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=3 -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 25 -sc_threshold 0 -bf 2 -fps_mode passthrough -enc_time_base:v 1:90000 -video_track_timescale 90000";

#[tokio::test]
async fn pictures_become_fragments_on_the_stream_s_timeline() {
    let bytes = written(VIDEO).await;
    let attempt = attempt(AudioOutput::Copy);
    let messages = read(&mut OutputReader::new(Output::Rendition(1), &attempt), &bytes, 1000);
    assert_eq!(messages, read(&mut OutputReader::new(Output::Rendition(1), &attempt), &bytes, 17));
    let LeaseOutput::Init(init) = &messages[0] else { panic!("{:?}", messages[0]) };
    let OutputConfiguration::Video(video) = &init.configuration else { panic!("{init:?}") };
    assert_eq!((video.width, video.height, init.output), (320, 180, Output::Rendition(1)));
    assert_eq!(messages[1], LeaseOutput::Progress(Progress { output: Output::Rendition(1), position: BASE }));
    let fragments: Vec<_> = messages[2..]
        .iter()
        .map(|message| {
            let LeaseOutput::Fragment(it) = message else { panic!("{message:?}") };
            (it.rendition, it.position.0 - BASE.0, it.end.is_some(), it.access_units)
        })
        .collect();
    assert_eq!(fragments, [(1, 0, true, 25), (1, 90_000, true, 25), (1, 180_000, false, 25)]);
}

#[test]
fn the_size_of_pictures_is_the_sample_entry_s() {
    // ffmpeg 5.1 -f lavfi -i testsrc=s=640x360:r=25 -t 0.3 -c:v libx264 -preset ultrafast -profile:v baseline a.flv: its
    // AVC sequence header without the first five bytes
    let configuration = Bytes::from_static(
        b"\x01\x42\xc0\x1e\xff\xe1\x00\x19\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5\xc0\x44\x00\x00\x03\x00\x04\x00\
          \x00\x03\x00\xc8\x3c\x58\xba\x80\x01\x00\x04\x68\xce\x0f\xc8",
    );
    let (codec, pixel_aspect) = (VideoCodec::H264, None);
    let entry = SampleEntry::Video { codec, width: 638, height: 358, pixel_aspect, configuration };
    let mut reader = OutputReader::new(Output::Rendition(0), &attempt(AudioOutput::Copy));
    reader.handle_header(&TrackHeader { timescale: 90_000, entry }).unwrap();
    let Some(LeaseOutput::Init(init)) = reader.ready.pop_front() else { panic!("no init segment") };
    let OutputConfiguration::Video(video) = init.configuration else { panic!("{init:?}") };
    assert_eq!((video.codecs.as_str(), video.width, video.height), ("avc1.42c01e", 638, 358));
}

#[test]
fn the_rate_and_channels_of_sound_are_its_configuration_s() {
    // AAC-LC, 48 kHz, mono.
    let configuration = Bytes::from_static(b"\x11\x88");
    let segment = |sample_rate, channels| {
        let entry = SampleEntry::Aac { sample_rate, channels, configuration: configuration.clone() };
        let mut reader = OutputReader::new(Output::Audio, &attempt(AudioOutput::Copy));
        reader.handle_header(&TrackHeader { timescale: sample_rate, entry }).unwrap();
        let Some(LeaseOutput::Init(init)) = reader.ready.pop_front() else { panic!("no init segment") };
        let OutputConfiguration::Audio(audio) = init.configuration else { panic!("{init:?}") };
        assert_eq!((audio.sample_rate, audio.channels), (48_000, 1));
        init.segment
    };
    assert_eq!(segment(44_100, 2), segment(48_000, 1));
}

#[tokio::test]
async fn encoded_audio_before_its_first_sample_is_dropped() {
    let bytes = written(
        "-f lavfi -i sine=sample_rate=44100:duration=1 -af aresample=48000,aresample=async=1:first_pts=2048 -ac 2 -c:a aac",
    )
    .await;
    let aac = AudioOutput::Aac { bitrate: Bitrate::kilobits(128) };
    let messages = read(&mut OutputReader::new(Output::Audio, &attempt(aac)), &bytes, 999);
    let times: Vec<i64> = messages
        .iter()
        .filter_map(|message| if let LeaseOutput::AudioUnit(unit) = message { Some(unit) } else { None })
        .map(|unit| unit.presentation_time.0 - BASE.0)
        .collect();
    let grid: Vec<i64> = (2..).map(|frame| frame * 1920).take(times.len()).collect();
    assert!(times.len() > 40 && times == grid, "{times:?}");
}

#[tokio::test]
async fn an_output_of_the_wrong_kind_is_refused() {
    let mut reader = OutputReader::new(Output::Audio, &attempt(AudioOutput::Copy));
    reader.handle_bytes(&written(VIDEO).await);
    let error = reader.next_message(clock::now()).unwrap_err();
    assert!(matches!(error, OutputError::WrongTrack) && !reader.begun());
    assert_eq!(error.reason(), Reason::OutputUnreadable);
}

#[test]
fn the_last_progress_before_a_pause_is_told_when_its_time_has_come() {
    let mut reader = OutputReader::new(Output::Audio, &attempt(AudioOutput::Copy));
    let begun = clock::now();
    let at = |millis| begun + Duration::from_millis(millis);
    assert_eq!(reader.progress_due(), None);
    reader.tell_progress(Ticks(1), at(0));
    assert_eq!(reader.progress_due(), None, "it was told at once");
    reader.tell_progress(Ticks(2), at(40));
    reader.tell_progress(Ticks(3), at(80));
    reader.ready.clear();
    assert_eq!(reader.progress_due(), Some(at(100)));
    assert_eq!(reader.next_message(at(99)).unwrap(), None);
    let progress = LeaseOutput::Progress(Progress { output: Output::Audio, position: Ticks(3) });
    assert_eq!(reader.next_message(at(100)).unwrap(), Some(progress));
    assert_eq!((reader.next_message(at(300)).unwrap(), reader.progress_due()), (None, None), "once");
}

#[test]
fn progress_is_told_at_most_every_interval() {
    let mut reader = OutputReader::new(Output::Audio, &attempt(AudioOutput::Copy));
    let now = clock::now();
    for (after_ms, expected) in [(0, 1), (99, 1), (100, 2), (150, 2), (250, 3)] {
        reader.tell_progress(Ticks::ZERO, now + Duration::from_millis(after_ms));
        assert_eq!(reader.ready.len(), expected, "after {after_ms} ms");
    }
}
