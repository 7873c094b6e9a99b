use proptest::prelude::*;

use super::super::{AudioBody, VideoBody, read_audio, read_video};
use super::*;
use crate::media::track::AudioCodec;

fn track(number: u8, four_cc: &[u8; 4], body: &[u8]) -> TrackBody {
    TrackBody { number, four_cc: *four_cc, body: Bytes::copy_from_slice(body) }
}

fn split(kind: TagKind, body: &[u8]) -> Result<Tracks, FlvError> {
    tracks(kind, &Bytes::copy_from_slice(body))
}

#[track_caller]
fn check(kind: TagKind, body: &[u8], expected: &[TrackBody]) {
    assert_eq!(split(kind, body), Ok(Tracks::Split(expected.to_vec())));
}

#[track_caller]
fn check_plain(kind: TagKind, body: &[u8]) {
    assert_eq!(split(kind, body), Ok(Tracks::Plain), "{}", body.escape_ascii());
}

#[track_caller]
fn check_error(kind: TagKind, body: &[u8], expected: FlvError) {
    assert_eq!(split(kind, body), Err(expected));
}

#[test]
fn a_body_of_one_track_is_left_alone() {
    let video = [
        &b"\x17\0\0\0\0\x01"[..],
        b"\x27\x01\0\0\0\x05",
        b"\x12\0",
        b"\x91hvc1\0\0\0\x01",
        b"\x94av01",
        b"\x90",
        b"",
    ];
    video.iter().for_each(|body| check_plain(TagKind::Video, body));
    let audio =
        [&b"\xaf\x01\xde"[..], b"\x2e\xff", b"\x91Opus\xfc", b"\x94Opus\x01\x02", b"\x90", b"\xc0", b""];
    audio.iter().for_each(|body| check_plain(TagKind::Audio, body));
    // Script data begins with a type, whatever a number there would mean in the other kinds.
    check_plain(TagKind::Script, b"\x96\0avc1");
}

#[test]
fn a_command_frame_has_no_tracks() {
    for body in [b"\xd6\0", b"\xd7\0", b"\xd0\x01", b"\x5c\0"] {
        check_plain(TagKind::Video, body);
        assert_eq!(read_video(body), Ok(VideoBody::Info));
    }
}

#[test]
fn second_tracks_as_ffmpeg_sends_them() {
    // ffmpeg 9.0.2 -f lavfi -i testsrc2=size=64x36:rate=25:duration=0.4 (twice)
    //   -f lavfi -i sine=sample_rate=48000:duration=0.2 (twice) -map 0 -map 1 -map 2 -map 3
    //   -c:v:0 libx264 -c:v:1 libx265 -c:a:0 aac -c:a:1 libopus -preset ultrafast -pix_fmt yuv420p -f flv a.flv,
    // the first bytes of its multitrack tags
    let video = TagKind::Video;
    check(video, b"\x96\0hvc1\x01\x01\x01\x60", &[track(1, b"hvc1", b"\x90hvc1\x01\x01\x60")]);
    let body = b"\x96\x01hvc1\x01\0\0\x50\0\0\x02\x8c";
    check(video, body, &[track(1, b"hvc1", b"\x91hvc1\0\0\x50\0\0\x02\x8c")]);
    let body = b"\xa6\x03hvc1\x01\0\0\0\x0b\0\x01\xe0\x24";
    check(video, body, &[track(1, b"hvc1", b"\xa3hvc1\0\0\0\x0b\0\x01\xe0\x24")]);
    let audio = TagKind::Audio;
    check(audio, b"\x95\0Opus\x01OpusHead", &[track(1, b"Opus", b"\x90OpusOpusHead")]);
    check(audio, b"\x95\x04Opus\x01\x01\x01\0\0\0\x04", &[track(1, b"Opus", b"\x94Opus\x01\x01\0\0\0\x04")]);
    check(audio, b"\x95\x01Opus\x01\xf8\x72", &[track(1, b"Opus", b"\x91Opus\xf8\x72")]);
}

// No encoder at hand sends what follows; written by hand after "Enhanced Audio" and "Enhanced Video".

#[test]
fn many_tracks_lie_behind_their_sizes() {
    let body = b"\x96\x13avc1\0\0\0\x02\xaa\xbb\x01\0\0\0\xff\0\0\x01\xcc";
    let expected = [
        track(0, b"avc1", b"\x17\x01\0\0\0\xaa\xbb"),
        track(1, b"avc1", b"\x17\x01\0\0\0"),
        track(255, b"avc1", b"\x17\x01\0\0\0\xcc"),
    ];
    check(TagKind::Video, body, &expected);
    let body = b"\x95\x21mp4a\0\0\0\x01\xaaOpus\x07\0\0\x01\xbb";
    let expected = [track(0, b"mp4a", b"\xaf\x01\xaa"), track(7, b"Opus", b"\x91Opus\xbb")];
    check(TagKind::Audio, body, &expected);
}

#[test]
fn one_track_with_number_zero_is_rewritten() {
    check(TagKind::Video, b"\xa6\x01av01\0\x12", &[track(0, b"av01", b"\xa1av01\x12")]);
}

#[test]
fn modifiers_are_passed_over() {
    // Nanoseconds; then two modifiers; then one whose size has 16 bits.
    let expected = [track(0, b"hvc1", b"\x91hvc1\0\0\0\x01")];
    check(TagKind::Video, b"\x97\x02\x01\x02\x03\x01hvc1\0\0\0\x01", &expected);
    check(TagKind::Video, b"\x97\x02\x01\x02\x03\x07\0\xff\xf1hvc1\0\0\0\x01", &expected);
    let long = [&b"\x97\xff\x01\x00"[..], &[7; 257], b"\x01hvc1\0\0\0\x01"].concat();
    check(TagKind::Video, &long, &expected);
    check(TagKind::Audio, b"\x97\0\xff\x01Opus\xfc", &[track(0, b"Opus", b"\x91Opus\xfc")]);
    let tracks = [track(1, b"Opus", b"\x91Opus\xfc"), track(2, b"Opus", b"\x91Opus")];
    check(TagKind::Audio, b"\x97\0\xff\x05\x11Opus\x01\0\0\x01\xfc\x02\0\0\0", &tracks);
}

#[test]
fn hevc_under_other_names_is_written_as_ffmpeg_reads_it() {
    let video = TagKind::Video;
    check(video, b"\x91hev1\0\0\x50\x01", &[track(0, b"hvc1", b"\x91hvc1\0\0\x50\x01")]);
    check(video, b"\xa6\x03hev1\x02\x01", &[track(2, b"hvc1", b"\xa3hvc1\x01")]);
    check(video, b"\x1c\0\0\0\0\x01\x01\x60", &[track(0, b"hvc1", b"\x90hvc1\x01\x01\x60")]);
    check(video, b"\x2c\x01\0\0\xc8\0\0\0\x32", &[track(0, b"hvc1", b"\xa1hvc1\0\0\xc8\0\0\0\x32")]);
    check(video, b"\x1c\x02", &[track(0, b"hvc1", b"\x92hvc1")]);
    check_error(video, b"\x1c\x03\0\0\0", FlvError::AvcPacketType(3));
    for length in 1..5 {
        check_error(video, &b"\x1c\x01\0\0\0"[..length], FlvError::Truncated { needed: 5, length });
    }
}

#[test]
fn what_flv_has_a_number_for_is_written_so() {
    let video = |body, expected| check(TagKind::Video, body, &[track(0, b"avc1", expected)]);
    video(b"\x90avc1\x01\x64", b"\x17\0\0\0\0\x01\x64");
    video(b"\xa1avc1\xff\xff\xfe\x09", b"\x27\x01\xff\xff\xfe\x09");
    video(b"\xa3avc1\x09", b"\x27\x01\0\0\0\x09");
    video(b"\x92avc1", b"\x17\x02\0\0\0");
    check_plain(TagKind::Video, b"\x94avc1");
    check_plain(TagKind::Video, b"\x95avc1");
    check(TagKind::Audio, b"\x90mp4a\x11\x90", &[track(0, b"mp4a", b"\xaf\0\x11\x90")]);
    check(TagKind::Audio, b"\x91mp4a\xde\x02", &[track(0, b"mp4a", b"\xaf\x01\xde\x02")]);
    check(TagKind::Audio, b"\x91.mp3\xff\xfb", &[track(0, b".mp3", b"\x2f\xff\xfb")]);
    check_plain(TagKind::Audio, b"\x92mp4a");
    check_plain(TagKind::Audio, b"\x90.mp3");
}

#[test]
fn reserved_kinds_are_refused() {
    check_error(TagKind::Video, b"\x96\x31avc1\0", FlvError::MultitrackType(3));
    check_error(TagKind::Video, b"\x96\x06avc1\0", FlvError::EnhancedPacketType(6));
    check_error(TagKind::Audio, b"\x95\x05mp4a\0", FlvError::EnhancedPacketType(5));
    check_error(TagKind::Audio, b"\x95\x07mp4a\0", FlvError::EnhancedPacketType(7));
}

#[test]
fn every_cut_within_the_headers_is_an_error() {
    let truncated = |needed, length| FlvError::Truncated { needed, length };
    let body = b"\x97\x02\x01\x02\x03\x06\x21avc1\x01\0\0\x02\xaa\xbb";
    let needed = [2, 5, 5, 5, 6, 7, 11, 11, 11, 11, 12, 15, 15, 15, 17, 17];
    for (length, needed) in (1..).zip(needed) {
        check_error(TagKind::Video, &body[..length], truncated(needed, length));
    }
    check(TagKind::Video, body, &[track(1, b"avc1", b"\x17\x01\xaa\xbb")]);
    check_error(TagKind::Video, b"\x96\x11avc1", truncated(7, 6));
    check_error(TagKind::Video, b"\x96\x11avc1\x01\xff\xff\xff", truncated(10 + 0xFF_FFFF, 10));
    check_error(TagKind::Audio, b"\x97\0\xff\x01", truncated(8, 4));
}

#[test]
fn tracks_are_bounded() {
    let mut body = b"\x96\x11avc1".to_vec();
    body.extend([0; 4].repeat(MAX_TRACKS));
    let Ok(Tracks::Split(shares)) = split(TagKind::Video, &body) else { panic!("refused") };
    assert_eq!(shares.len(), MAX_TRACKS);
    let offset = body.len();
    body.extend([0; 4]);
    check_error(TagKind::Video, &body, FlvError::TooManyTracks { offset });
}

proptest! {
    #[test]
    fn what_is_put_together_comes_apart(
        modifiers in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..4),
        payloads in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 1..40)), 1..20),
    ) {
        let mut body = vec![if modifiers.is_empty() { 0x95 } else { 0x97 }];
        for (index, modifier) in modifiers.iter().enumerate() {
            match u8::try_from(modifier.len() - 1) {
                Ok(size) if size < 0xFF => body.push(size),
                _ => {
                    body.push(0xFF);
                    body.extend(u16::try_from(modifier.len() - 1).unwrap().to_be_bytes());
                }
            }
            body.extend(modifier);
            body.push(if index + 1 == modifiers.len() { 5 } else { 7 });
        }
        body.extend(b"\x11Opus");
        for (number, payload) in &payloads {
            body.push(*number);
            body.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
            body.extend(payload);
        }
        let Ok(Tracks::Split(shares)) = split(TagKind::Audio, &body) else { panic!("refused") };
        prop_assert_eq!(shares.len(), payloads.len());
        for (share, (number, data)) in shares.iter().zip(&payloads) {
            prop_assert_eq!(share.number, *number);
            prop_assert_eq!(read_audio(&share.body), Ok(AudioBody::AccessUnit { codec: AudioCodec::Opus, data }));
        }
    }

    #[test]
    fn no_body_panics_or_grows(
        video: bool,
        first in prop::sample::select(vec![0x95, 0x96, 0x97, 0xA7, 0x1C, 0x91]),
        rest in prop::collection::vec(prop_oneof![0..8u8, any::<u8>(), prop::sample::select(b"hev1avc1mp4a".to_vec())], 0..60),
    ) {
        let kind = if video { TagKind::Video } else { TagKind::Audio };
        let body = [&[first][..], &rest].concat();
        if let Ok(Tracks::Split(shares)) = split(kind, &body) {
            prop_assert!(!shares.is_empty() && shares.len() <= MAX_TRACKS);
            let bytes: usize = shares.iter().map(|share| share.body.len()).sum();
            prop_assert!(bytes <= body.len() + EX_HEADER_BYTES * shares.len());
            // A share is whole: it never comes apart again.
            prop_assert!(shares.iter().all(|share| split(kind, &share.body) == Ok(Tracks::Plain)));
        }
    }

    #[test]
    fn what_is_written_anew_means_the_same(
        video: bool,
        head in prop::sample::select(vec![0x90, 0xA0, 0xB0]),
        packet_type in 0..5u8,
        name in prop::sample::select(vec![*b"avc1", *b"mp4a", *b".mp3", *b"hev1"]),
        rest in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let body = [&[head | packet_type][..], &name, &rest].concat();
        let kind = if video { TagKind::Video } else { TagKind::Audio };
        if let Ok(Tracks::Split(shares)) = split(kind, &body) {
            let after = &shares[0].body;
            prop_assert_eq!(split(kind, after), Ok(Tracks::Plain));
            if video {
                prop_assert_eq!(read_video(&body).ok(), read_video(after).ok());
            } else if head == 0x90 {
                prop_assert_eq!(read_audio(&body).ok(), read_audio(after).ok());
            }
        }
    }

    #[test]
    fn hevc_by_number_means_the_same_before_and_after(
        first in prop::sample::select(vec![0x1C, 0x2C]),
        packet_type in 0..3u8,
        rest in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let body = [&[first, packet_type][..], &rest].concat();
        match split(TagKind::Video, &body) {
            Ok(Tracks::Split(shares)) => prop_assert_eq!(read_video(&body), read_video(&shares[0].body)),
            other => prop_assert_eq!(read_video(&body).unwrap_err(), other.unwrap_err()),
        }
    }
}
