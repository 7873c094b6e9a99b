use proptest::prelude::*;

use super::super::{read_audio, read_video};
use super::*;

fn unit(codec: VideoCodec, flagged_key: bool, composition_offset_ms: i32, data: &[u8]) -> VideoBody<'_> {
    VideoBody::AccessUnit { codec, flagged_key, composition_offset_ms, data }
}

#[track_caller]
fn check_video(body: &[u8], expected: Result<VideoBody<'_>, FlvError>) {
    assert_eq!(read_video(body), expected);
}

#[track_caller]
fn check_audio(body: &[u8], expected: Result<AudioBody<'_>, FlvError>) {
    assert_eq!(read_audio(body), expected);
}

// Video below: ffmpeg 9.0.2 -f lavfi -i testsrc2=size=64x36:rate=25:duration=0.4 -pix_fmt yuv420p -c:v ENCODER -f flv a.flv,
// the first bytes of its tags.

#[test]
fn hevc_as_ffmpeg_sends_it() {
    // libx265 -preset ultrafast: B-frames, one of which is shown when it is decoded
    let codec = VideoCodec::Hevc;
    let record = VideoBody::Configuration { codec, record: b"\x01\x01\x60\x00" };
    check_video(b"\x90hvc1\x01\x01\x60\x00", Ok(record));
    check_video(b"\x91hvc1\x00\x00\x50\x00\x00\x02\x8c", Ok(unit(codec, true, 80, &[0, 0, 2, 0x8C])));
    check_video(b"\xa1hvc1\x00\x00\xc8\x00\x00\x00\x32", Ok(unit(codec, false, 200, &[0, 0, 0, 0x32])));
    check_video(b"\xa3hvc1\x00\x00\x00\x0b", Ok(unit(codec, false, 0, &[0, 0, 0, 0x0B])));
    check_video(b"\x92hvc1", Ok(VideoBody::EndOfSequence));
}

#[test]
fn av1_and_vp9_as_ffmpeg_sends_them() {
    // libsvtav1 -preset 12
    let codec = VideoCodec::Av1;
    let record = VideoBody::Configuration { codec, record: b"\x81\x00\x0c\x00\x0a\x0b" };
    check_video(b"\x90av01\x81\x00\x0c\x00\x0a\x0b", Ok(record));
    check_video(b"\x91av01\x12\x00\x0a\x0b", Ok(unit(codec, true, 0, &[0x12, 0, 0x0A, 0x0B])));
    check_video(b"\xa1av01\x12\x00\x1a\x01\xd8", Ok(unit(codec, false, 0, &[0x12, 0, 0x1A, 1, 0xD8])));
    // libvpx-vp9 -deadline realtime -cpu-used 8
    let codec = VideoCodec::Vp9;
    let record = b"\x01\x00\x00\x00\x00\x0a\x82\x02\x02\x02\x00\x00";
    check_video(
        b"\x90vp09\x01\x00\x00\x00\x00\x0a\x82\x02\x02\x02\x00\x00",
        Ok(VideoBody::Configuration { codec, record }),
    );
    check_video(b"\x91vp09\x82\x49\x83\x42", Ok(unit(codec, true, 0, b"\x82\x49\x83\x42")));
    check_video(b"\xa1vp09\x86\x00\x40", Ok(unit(codec, false, 0, b"\x86\x00\x40")));
}

#[test]
fn h264_with_a_four_cc() {
    // FFmpeg sends H.264 so as a second track only; written by hand after "Enhanced Video".
    let codec = VideoCodec::H264;
    check_video(b"\x90avc1\x01\x64", Ok(VideoBody::Configuration { codec, record: &[1, 0x64] }));
    check_video(b"\x91avc1\x00\x00\x50\x00", Ok(unit(codec, true, 80, &[0])));
    check_video(b"\xc3avc1\x00", Ok(unit(codec, true, 0, &[0])));
    check_video(b"\xa1avc1\xff\xff\xfe\x09", Ok(unit(codec, false, -2, &[9])));
}

#[test]
fn video_without_a_picture() {
    // FFmpeg's colours, a command frame by its frame type; the same as the standard has it; commands to a player.
    check_video(b"\xd4hvc1\x02\x00\x09colorInfo", Ok(VideoBody::Info));
    check_video(b"\x94hvc1\x02\x00\x09colorInfo", Ok(VideoBody::Info));
    for packet_type in 0..=15 {
        check_video(&[0xD0 | packet_type, 0], Ok(VideoBody::Info));
    }
    for body in [&b"\x90hvc1"[..], b"\x91hvc1\0\0\0", b"\xa3avc1", b"\xa1av01", b"\xa3vp09"] {
        check_video(body, Ok(VideoBody::Empty));
    }
}

#[test]
fn video_that_is_not_taken_is_named() {
    check_video(b"\x90vp08\x01", Err(FlvError::FourCc(*b"vp08")));
    check_video(b"\xa1vvc1\0\0\0\x01", Err(FlvError::FourCc(*b"vvc1")));
    check_video(b"\x95av01\x01", Err(FlvError::Mpeg2Ts(*b"av01")));
    check_video(b"\x96\x01avc1", Err(FlvError::EnhancedPacketType(6)));
    check_video(b"\x97\x02\0\0\0\x01avc1", Err(FlvError::EnhancedPacketType(7)));
    check_video(b"\x9favc1", Err(FlvError::EnhancedPacketType(15)));
    let message = FlvError::FourCc(*b"hv\n1").to_string();
    assert!(message.starts_with(r#"Enhanced RTMP codec "hv\n1" is not supported, send H.264, HEVC"#));
    for (length, needed) in [(1, 5), (4, 5), (5, 8), (7, 8)] {
        check_video(&b"\x91hvc1\0\0\0\x01"[..length], Err(FlvError::Truncated { needed, length }));
    }
}

// Audio below: ffmpeg 9.0.2 -f lavfi -i sine=sample_rate=48000:duration=0.2 -ac 2 -c:a ENCODER -f flv a.flv

#[test]
fn audio_as_ffmpeg_sends_it() {
    let unit = |codec, data| Ok(AudioBody::AccessUnit { codec, data });
    let record = |codec, record| Ok(AudioBody::Configuration { codec, record });
    // libopus
    let header = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
    check_audio(&[&b"\x90Opus"[..], header].concat(), record(AudioCodec::Opus, header));
    check_audio(b"\x94Opus\x01\x02\0\0\0\x03", Ok(AudioBody::Empty));
    check_audio(b"\x91Opus\xfc\x7e\x02", unit(AudioCodec::Opus, b"\xfc\x7e\x02"));
    // flac: the block's 34 bytes without "fLaC" and the block's header
    check_audio(b"\x90fLaC\x04\x00\x04\x00", record(AudioCodec::Flac, b"\x04\x00\x04\x00"));
    check_audio(b"\x91fLaC\xff\xf8\xaa", unit(AudioCodec::Flac, b"\xff\xf8\xaa"));
    // ac3 and eac3: a start with nothing in it
    check_audio(b"\x90ac-3", Ok(AudioBody::Empty));
    check_audio(b"\x91ac-3\x0b\x77\xfe", unit(AudioCodec::Ac3, b"\x0b\x77\xfe"));
    check_audio(b"\x90ec-3", Ok(AudioBody::Empty));
    check_audio(b"\x91ec-3\x0b\x77\x01", unit(AudioCodec::Eac3, b"\x0b\x77\x01"));
}

#[test]
fn audio_that_ffmpeg_sends_without_a_four_cc() {
    let (aac, mp3) = (AudioCodec::Aac, AudioCodec::Mp3);
    check_audio(b"\x90mp4a\x11\x90", Ok(AudioBody::Configuration { codec: aac, record: &[0x11, 0x90] }));
    check_audio(b"\x91mp4a\xde\x02", Ok(AudioBody::AccessUnit { codec: aac, data: &[0xDE, 2] }));
    check_audio(b"\x91.mp3\xff\xfb", Ok(AudioBody::AccessUnit { codec: mp3, data: &[0xFF, 0xFB] }));
    check_audio(b"\x90.mp3\xff\xfb", Ok(AudioBody::Empty));
}

#[test]
fn audio_without_sound() {
    for body in [&b"\x92Opus"[..], b"\x91Opus", b"\x90mp4a", b"\x90fLaC", b"\x91ec-3", b"\x94mp4a"] {
        check_audio(body, Ok(AudioBody::Empty));
    }
    check_audio(b"\x90Opus", Ok(AudioBody::Configuration { codec: AudioCodec::Opus, record: &[] }));
}

#[test]
fn audio_that_is_not_taken_is_named() {
    check_audio(b"\x91alaw\x01", Err(FlvError::FourCc(*b"alaw")));
    for packet_type in [3, 5, 6, 7, 8, 15] {
        let body = [0x90 | packet_type, b'O', b'p', b'u', b's'];
        check_audio(&body, Err(FlvError::EnhancedPacketType(packet_type)));
    }
    check_audio(b"\x91Opu", Err(FlvError::Truncated { needed: 5, length: 4 }));
}

proptest! {
    #[test]
    fn every_composition_time_comes_back(offset in -0x80_0000i32..0x80_0000, data in prop::collection::vec(any::<u8>(), 1..64)) {
        let body = [&b"\xa1hvc1"[..], &offset.to_be_bytes()[1..], &data].concat();
        prop_assert_eq!(read_video(&body), Ok(unit(VideoCodec::Hevc, false, offset, &data)));
    }

    #[test]
    fn arbitrary_bodies_never_panic(
        first in 0x80..=0xFFu8,
        name in prop::sample::select(vec![*b"avc1", *b"hvc1", *b"av01", *b"Opus", *b"ac-3", *b"\0\0\0\0"]),
        rest in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let body = [&[first][..], &name, &rest].concat();
        for length in 0..body.len() {
            let _ = (read_video(&body[..length]), read_audio(&body[..length]));
        }
    }
}
