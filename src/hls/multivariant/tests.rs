use std::sync::Arc;

use super::*;
use crate::base::units::Bitrate;
use crate::media::track::{AudioCodec, VideoCodec};

fn output(name: &str, configuration: Option<OutputConfiguration>, (peak, average): (u64, u64)) -> OutputView {
    OutputView {
        name: name.parse().expect("a name"),
        configuration: configuration.map(Arc::new),
        segments: Vec::new(),
        peak: Bitrate(peak),
        average: Bitrate(average),
        frame_rate: None,
    }
}

fn video(height: u32, codecs: &str) -> OutputConfiguration {
    OutputConfiguration::Video(VideoConfiguration {
        codec: VideoCodec::H264,
        codecs: codecs.to_owned(),
        width: height * 16 / 9,
        height,
        frame_rate: Some(25.0),
        nal_length_bytes: 4,
    })
}

fn audio() -> OutputConfiguration {
    OutputConfiguration::Audio(AudioConfiguration {
        codec: AudioCodec::Aac,
        codecs: "mp4a.40.2".to_owned(),
        sample_rate: 48_000,
        channels: 2,
        samples_per_access_unit: 1024,
    })
}

#[test]
fn variants_share_the_audio() {
    let measured = OutputView {
        frame_rate: Some(30_000.0 / 1001.0),
        ..output("720p", Some(video(720, "avc1.64001f")), (3_100_000, 2_800_000))
    };
    let view = View {
        renditions: vec![measured, output("360p", Some(video(360, "avc1.64001e")), (900_000, 800_000))],
        audio: Some(output("audio", Some(audio()), (130_000, 128_000))),
        ..View::default()
    };
    insta::assert_snapshot!(multivariant(&view), @r##"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio/index.m3u8"
    #EXT-X-STREAM-INF:BANDWIDTH=3230000,AVERAGE-BANDWIDTH=2928000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="audio"
    720p/index.m3u8
    #EXT-X-STREAM-INF:BANDWIDTH=1030000,AVERAGE-BANDWIDTH=928000,CODECS="avc1.64001e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO="audio"
    360p/index.m3u8
    "##);
}

#[test]
fn a_stream_without_sound_has_no_audio_group() {
    let silent = Some(output("audio", None, (0, 0)));
    for audio in [None, silent] {
        let renditions =
            vec![output("source", Some(video(360, "avc1.64001e")), (0, 0)), output("lost", None, (1, 1))];
        let text = multivariant(&View { renditions, audio, ..View::default() });
        let expected = "#EXT-X-STREAM-INF:BANDWIDTH=1,AVERAGE-BANDWIDTH=1,CODECS=\"avc1.64001e\",\
                        RESOLUTION=640x360,FRAME-RATE=25.000\nsource/index.m3u8\n";
        assert_eq!(text.split_once("SEGMENTS\n").expect("a header").1, expected);
    }
}

#[test]
fn sound_alone_is_the_variant() {
    let view = View { audio: Some(output("audio", Some(audio()), (130_000, 128_000))), ..View::default() };
    insta::assert_snapshot!(multivariant(&view), @r##"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-STREAM-INF:BANDWIDTH=130000,AVERAGE-BANDWIDTH=128000,CODECS="mp4a.40.2"
    audio/index.m3u8
    "##);
}

#[test]
fn a_codec_string_cannot_leave_its_quotes() {
    let renditions = vec![output("a", Some(video(360, "avc1\",URI=\"x\n#EXT")), (1, 1))];
    let text = multivariant(&View { renditions, ..View::default() });
    assert!(text.contains("CODECS=\"avc1,URI=x#EXT\",RESOLUTION"), "{text}");
}
