//! When a section begins, and what passes, is held or is passed over until then.

mod timeline;

use bytes::Bytes;

use super::read::four_cc;
use super::*;
use crate::media::flv::TrackBody;
use crate::media::track::AudioCodec;
use crate::stream::example::{at, audio_tag, key, picture, picture_body, sound, tag, video_tag};

/// `onMetaData` without `audiocodecid`.
const SILENT: &[u8] = b"\x02\0\x0aonMetaData\x03\0\0\x09";
/// `onMetaData` with 50 pictures a second and `audiocodecid` 10.
const WITH_SOUND: &[u8] = b"\x02\0\x0aonMetaData\x03\0\x09framerate\0\x40\x49\0\0\0\0\0\0\
    \0\x0caudiocodecid\0\x40\x24\0\0\0\0\0\0\0\0\x09";

fn take() -> Take {
    Take::new(PublisherId(1), Ticks::ZERO)
}

/// `S` a section, `K` a random access point, `P` another picture, `A` audio, `G` audio with which a GOP begins, each with its
/// time in milliseconds; `-` an undecodable picture, `over` the end. A section with audio has a `+`, one of audio alone `!`.
fn show(event: &TakeEvent) -> String {
    match event {
        TakeEvent::SectionBegins(start) => {
            let tracks = match (&start.video, &start.audio) {
                (None, _) => "!",
                (Some(_), Some(_)) => "+",
                (Some(_), None) => "",
            };
            format!("S{}{tracks}", start.position.as_millis())
        }
        TakeEvent::Unit(unit) => {
            let letter = match (unit.track, unit.random_access) {
                (TrackKind::Audio, true) => "G",
                (TrackKind::Audio, false) => "A",
                (TrackKind::Video, true) => "K",
                (TrackKind::Video, false) => "P",
            };
            format!("{letter}{}", unit.decode_time.as_millis())
        }
        TakeEvent::Undecodable => "-".to_owned(),
        TakeEvent::NoRandomAccessPoint => "over".to_owned(),
    }
}

fn drain(take: &mut Take) -> String {
    std::iter::from_fn(|| take.next_event()).map(|event| show(&event)).collect::<Vec<_>>().join(" ")
}

/// Gives the take each tag when its timestamp says, and expects what it finds by then.
#[track_caller]
fn check(steps: &[(Tag, &str)]) {
    let start = crate::base::clock::now();
    let mut take = take();
    for (tag, expected) in steps {
        let now = start + Duration::from_millis(u64::from(tag.timestamp_ms));
        take.handle_deadline(now);
        take.handle_tag(tag, now).expect("a codec that is taken");
        assert_eq!(drain(&mut take), *expected, "after {} ms", tag.timestamp_ms);
    }
}

fn metadata(body: &'static [u8]) -> Tag {
    tag(TagKind::Script, 0, body)
}

fn video_body(body: &'static [u8]) -> Tag {
    tag(TagKind::Video, 0, body)
}

fn audio_body(body: &'static [u8]) -> Tag {
    tag(TagKind::Audio, 0, body)
}

#[test]
fn a_section_begins_when_all_tracks_have_shown() {
    check(&[
        (video_tag(0, 0), ""),
        (audio_tag(0), ""),
        (key(0), "S0+ K0"),
        (sound(0), "A0"),
        (picture(40), "P40"),
        (key(80), "K80"),
    ]);
    check(&[(video_tag(0, 0), ""), (key(0), ""), (picture(40), ""), (audio_tag(50), "S0+ K0 P40")]);
}

#[test]
fn metadata_that_announces_no_audio_is_believed() {
    check(&[(metadata(SILENT), ""), (video_tag(0, 0), ""), (key(0), "S0 K0"), (picture(40), "P40")]);
    check(&[(metadata(WITH_SOUND), ""), (video_tag(0, 0), ""), (key(0), ""), (audio_tag(9), "S0+ K0")]);
}

#[test]
fn a_track_that_does_not_show_is_waited_for_a_second() {
    check(&[
        (video_tag(0, 0), ""),
        (key(0), ""),
        (picture(999), ""),
        (picture(1_000), "S0 K0 P999 P1000"),
        (picture(1_040), "P1040"),
    ]);
}

#[test]
fn what_is_held_is_bounded_by_count_and_bytes() {
    let mut take = take();
    let now = crate::base::clock::now();
    take.handle_tag(&video_tag(0, 0), now).unwrap();
    take.handle_tag(&key(0), now).unwrap();
    for _ in 2..MAX_HELD {
        take.handle_tag(&picture(1), now).unwrap();
    }
    assert_eq!(take.next_event(), None);
    take.handle_tag(&picture(1), now).unwrap();
    assert_eq!(std::iter::from_fn(|| take.next_event()).count(), 1 + MAX_HELD);

    let huge = tag(TagKind::Video, 0, picture_body(0, &vec![0x65; MAX_HELD_BYTES]));
    check(&[(video_tag(0, 0), ""), (huge, "S0 K0"), (picture(40), "P40")]);
}

#[test]
fn early_audio_is_kept_behind_the_random_access_point() {
    check(&[
        (video_tag(0, 0), ""),
        (audio_tag(0), ""),
        (sound(0), ""),
        (picture(20), "-"),
        (sound(21), ""),
        (key(40), "S40+ K40 A0 A21"),
        (sound(42), "A42"),
    ]);
}

#[test]
fn what_each_section_keeps_is_short() {
    let mut take = take();
    let now = crate::base::clock::now();
    let longer = |tag: &Tag, length: usize| Tag {
        payload: [&tag.payload[..], &vec![0; length - tag.payload.len()][..]].concat().into(),
        ..tag.clone()
    };
    take.handle_tag(&longer(&metadata(SILENT), MAX_PREAMBLE_BYTES + 1), now).unwrap();
    assert_eq!(take.preamble.metadata, None);
    take.handle_tag(&longer(&metadata(SILENT), MAX_PREAMBLE_BYTES), now).unwrap();
    assert_eq!(take.preamble.metadata.as_ref().map(Bytes::len), Some(MAX_PREAMBLE_BYTES));
    for configuration in [video_tag(0, 0), audio_tag(0)] {
        let length = MAX_PREAMBLE_BYTES + 1;
        let refused = take.handle_tag(&longer(&configuration, length), now);
        assert_eq!(refused, Err(TakeError::LongConfiguration(length)));
    }
    assert_eq!((&take.preamble.video, &take.preamble.audio), (&None, &None));
}

#[test]
fn a_changed_configuration_waits_for_the_next_random_access_point() {
    check(&[
        (video_tag(0, 0), ""),
        (audio_tag(0), ""),
        (key(0), "S0+ K0"),
        (video_tag(40, 1), ""),
        (picture(40), "P40"),
        (sound(50), "A50"),
        (key(80), "S80+ K80 A50"),
        (sound(90), "A90"),
        (key(120), "K120"),
    ]);
}

#[test]
fn the_same_configuration_again_changes_nothing() {
    check(&[
        (video_tag(0, 0), ""),
        (audio_tag(0), ""),
        (key(0), "S0+ K0"),
        (video_tag(40, 0), ""),
        (audio_tag(40), ""),
        (sound(40), "A40"),
        (key(80), "K80"),
    ]);
}

#[test]
fn late_audio_begins_a_section_of_its_own() {
    check(&[
        (video_tag(0, 0), ""),
        (key(0), ""),
        (picture(1_000), "S0 K0 P1000"),
        (audio_tag(1_100), ""),
        (sound(1_110), ""),
        (picture(1_120), "P1120"),
        (key(1_160), "S1160+ K1160 A1110"),
    ]);
}

#[test]
fn mp3_has_no_configuration_but_its_own_header() {
    let mp3 = || tag(TagKind::Audio, 10, &b"\x2e\xff\xfb\x90\xc4\0"[..]);
    check(&[(video_tag(0, 0), ""), (key(0), ""), (mp3(), "S0+ K0 A10")]);
    let unreadable = tag(TagKind::Audio, 10, &b"\x2eID3\x04"[..]);
    check(&[(video_tag(0, 0), ""), (key(0), ""), (unreadable, ""), (mp3(), "S0+ K0 A10")]);
}

#[test]
fn mp3_that_changes_begins_a_section_of_its_own() {
    // MPEG-1 layer III at 128 kbit/s: 44.1 kHz stereo, the same at another bit rate, and 48 kHz.
    let mp3 = |timestamp_ms, rates: u8| {
        let body = vec![0x2e, 0xff, 0xfb, rates, 0xc4, 0];
        tag(TagKind::Audio, timestamp_ms, body)
    };
    check(&[
        (video_tag(0, 0), ""),
        (key(0), ""),
        (mp3(10, 0x90), "S0+ K0 A10"),
        (mp3(36, 0xa0), "A36"),
        (mp3(62, 0x94), ""),
        (picture(80), "P80"),
        (key(120), "S120+ K120 A62"),
        (mp3(130, 0x94), "A86"),
    ]);
}

#[test]
fn audio_of_another_codec_begins_a_section_of_its_own() {
    let mp3 = |timestamp_ms| tag(TagKind::Audio, timestamp_ms, &b"\x2e\xff\xfb\x90\xc4\0"[..]);
    let steps = [
        (video_tag(0, 0), ""),
        (audio_tag(0), ""),
        (key(0), "S0+ K0"),
        (sound(10), "A10"),
        (mp3(30), ""),
        (key(40), "S40+ K40 A30"),
        (sound(50), ""),
        (audio_tag(60), ""),
        (sound(70), ""),
        (key(80), "S80+ K80 A70"),
    ];
    check(&steps);
}

#[test]
fn an_access_unit_of_audio_lasts_as_long_as_its_codec_says() {
    let now = crate::base::clock::now();
    let mut take = take();
    let mp3 = tag(TagKind::Audio, 100, &b"\x2e\xff\xfb\x94\xc4\0"[..]);
    take.handle_tag(&mp3, now).unwrap();
    assert_eq!(take.end(), Ticks::from_samples(1152, 48_000));
}

#[test]
fn a_section_says_what_a_node_must_read() {
    let now = crate::base::clock::now();
    let reads = |tags: &[Tag]| {
        let mut take = take();
        tags.iter().for_each(|tag| take.handle_tag(tag, now).unwrap());
        take.handle_deadline(now + TRACK_WAIT);
        let Some(TakeEvent::SectionBegins(start)) = take.next_event() else { panic!("no section") };
        start.reads
    };
    let mp3 = tag(TagKind::Audio, 0, &b"\x2e\xff\xfb\x90\xc4\0"[..]);
    assert_eq!(reads(&[video_tag(0, 0), audio_tag(0), key(0)]), [Carriage::H264, Carriage::Aac]);
    assert_eq!(reads(&[video_tag(0, 0), mp3, key(0)]), [Carriage::H264, Carriage::Mp3]);
    assert_eq!(reads(&[video_tag(0, 0), key(0)]), [Carriage::H264]);
    let enhanced = [video_tag(0, 0), audio_tag(0), enhanced(&sound(0)), enhanced(&key(0))];
    assert_eq!(reads(&enhanced), [Carriage::H264, Carriage::Aac], "they are written as FLV 10.1 has them");
}

/// The same picture or sound in a body of Enhanced RTMP.
fn enhanced(tag: &Tag) -> Tag {
    let (name, first) = match tag.kind {
        TagKind::Video => (b"avc1", tag.payload[0] & 0x70 | 0x81),
        TagKind::Audio | TagKind::Script => (b"mp4a", 0x91),
    };
    Tag { payload: [&[first], &name[..], &tag.payload[2..]].concat().into(), ..tag.clone() }
}

#[test]
fn bodies_that_become_enhanced_go_on_in_their_section() {
    check(&[
        (video_tag(0, 0), ""),
        (audio_tag(0), ""),
        (key(0), "S0+ K0"),
        (enhanced(&picture(40)), "P40"),
        (enhanced(&sound(50)), "A50"),
        (enhanced(&key(80)), "K80"),
    ]);
}

#[test]
fn a_plain_body_says_its_codec_in_four_characters() {
    let video = video_tag(0, 0).payload;
    assert_eq!(four_cc(TrackKind::Video, &video), Some(*b"avc1"));
    assert_eq!(four_cc(TrackKind::Audio, &sound(0).payload), Some(*b"mp4a"));
    assert_eq!(four_cc(TrackKind::Audio, b"\x2e\xff\xfb\x90\xc4\0"), Some(*b".mp3"));
    assert_eq!((four_cc(TrackKind::Video, b"\x17\x02\0\0\0"), four_cc(TrackKind::Audio, b"")), (None, None));
}

#[test]
fn a_plain_track_is_passed_over_where_another_is_followed() {
    let now = crate::base::clock::now();
    let mut take = take();
    take.selection.follow(TrackKind::Audio, 1);
    [video_tag(0, 0), audio_tag(0), key(0), sound(0), audio_body(b"")]
        .iter()
        .for_each(|tag| take.handle_tag(tag, now).unwrap());
    assert_eq!(drain(&mut take), "", "no audio has shown of the track that is followed");
    let other = OtherTrack { kind: TrackKind::Audio, number: 0, four_cc: *b"mp4a" };
    assert_eq!(take.other_tracks(), (&[other][..], 0));
}

/// A share of a message, in a body that a track of its own would have.
fn share(number: u8, four_cc: &[u8; 4], body: &Bytes) -> TrackBody {
    TrackBody { number, four_cc: *four_cc, body: body.clone() }
}

#[test]
fn of_several_tracks_the_first_is_followed() {
    let now = crate::base::clock::now();
    let mut take = take();
    let mut give = |kind, shares: [TrackBody; 2]| take.handle_shares(kind, shares.into(), 0, now).unwrap();
    let (small, large, picture) = (video_tag(0, 0).payload, video_tag(0, 1).payload, key(0).payload);
    let other = picture_body(0, b"\x65other");
    give(TrackKind::Video, [share(2, b"avc1", &small), share(0, b"avc1", &large)]);
    give(TrackKind::Audio, [share(0, b"mp4a", &audio_tag(0).payload), share(1, b"Opus", &small)]);
    give(TrackKind::Video, [share(0, b"avc1", &other), share(2, b"avc1", &picture)]);
    let Some(TakeEvent::SectionBegins(start)) = take.next_event() else { panic!("no section") };
    assert_eq!((start.video.map(|video| video.width), start.preamble.video), (Some(64), Some(small)));
    let Some(TakeEvent::Unit(unit)) = take.next_event() else { panic!("no picture") };
    assert_eq!((unit.payload, take.next_event()), (picture, None));
    let others = [(TrackKind::Video, 0, *b"avc1"), (TrackKind::Audio, 1, *b"Opus")]
        .map(|(kind, number, four_cc)| OtherTrack { kind, number, four_cc });
    assert_eq!(take.other_tracks(), (&others[..], 0));
}

#[test]
fn a_track_beside_the_main_one_that_cannot_be_read_is_passed_over() {
    let now = crate::base::clock::now();
    let mut take = take();
    let unreadable = Bytes::from_static(b"\x12\0\0");
    let shares = vec![share(1, b"vvc1", &unreadable), share(0, b"avc1", &video_tag(0, 0).payload)];
    take.handle_shares(TrackKind::Video, shares, 0, now).unwrap();
    [audio_tag(0), key(0)].iter().for_each(|tag| take.handle_tag(tag, now).unwrap());
    assert_eq!(drain(&mut take), "S0+ K0");
    assert_eq!(take.other_tracks().0.len(), 1);
    let main = vec![share(0, b"vvc1", &unreadable)];
    assert!(take.handle_shares(TrackKind::Video, main, 0, now).is_err());
}

#[test]
fn a_followed_track_that_cannot_be_read_any_more_ends_the_take_whatever_its_number() {
    let now = crate::base::clock::now();
    let mut take = take();
    let mut give = |body: &Bytes| take.handle_shares(TrackKind::Video, vec![share(2, b"avc1", body)], 0, now);
    assert_eq!(give(&video_tag(0, 0).payload), Ok(()));
    assert!(give(&Bytes::from_static(b"\x12\0\0")).is_err());
}

#[test]
fn a_picture_shown_far_from_its_decoding_is_damaged() {
    let shown_after = |offset| tag(TagKind::Video, 40, picture_body(offset, b"\x41"));
    let damaged = [(shown_after(10_001), "-"), (shown_after(-1_001), "-"), (shown_after(10_000), "P40")];
    check(&[[(video_tag(0, 0), ""), (audio_tag(0), ""), (key(0), "S0+ K0")], damaged].concat());
}

#[test]
fn media_before_its_configuration_cannot_be_decoded() {
    check(&[(key(0), "-"), (sound(0), ""), (video_tag(0, 0), ""), (audio_tag(0), ""), (key(40), "S0+ K0")]);
}

#[test]
fn a_damaged_tag_is_passed_over_and_an_empty_one_is_nothing() {
    check(&[
        (video_tag(0, 0), ""),
        (audio_tag(0), ""),
        (key(0), "S0+ K0"),
        (video_body(b"\x17"), "-"),
        (video_body(b"\x17\x03\0\0\0"), "-"),
        (audio_body(b"\xaf\x07\x01"), ""),
        (video_body(b""), ""),
        (video_body(b"\x57\0"), ""),
        (video_body(b"\x17\x02\0\0\0"), ""),
        (audio_body(b"\xaf"), ""),
        (metadata(b"\x02\0\x03xyz"), ""),
        (picture(40), "P40"),
    ]);
}

#[test]
fn nal_units_say_where_decoding_can_begin_not_the_flag() {
    let flagged = video_body(b"\x17\x01\0\0\0\0\0\0\x02\x41p");
    // An SEI with a recovery point after 0 or 1 frames, then a slice: an open GOP, and an intra refresh.
    let open_gop = video_body(b"\x27\x01\0\0\0\0\0\0\x04\x06\x06\x01\xc4\0\0\0\x02\x41p");
    let refresh = video_body(b"\x27\x01\0\0\0\0\0\0\x04\x06\x06\x01\x51\0\0\0\x02\x41p");
    // A refresh of 513 frames, longer than any that is waited for.
    let long = video_body(b"\x27\x01\0\0\0\0\0\0\x06\x06\x06\x03\0\x40\x48\0\0\0\x02\x41p");
    for start in [open_gop, refresh] {
        let begin = [(video_tag(0, 0), ""), (audio_tag(0), ""), (flagged.clone(), "-"), (long.clone(), "-")];
        check(&[&begin[..], &[(start, "S0+ K0")]].concat());
    }
}

#[test]
fn a_take_without_a_random_access_point_is_over_after_twelve_seconds() {
    check(&[(video_tag(0, 0), ""), (picture(0), "-"), (picture(11_999), "-"), (picture(12_000), "over -")]);
}

#[test]
fn deadlines_are_those_of_the_gate() {
    let now = crate::base::clock::now();
    let later = now + Duration::from_secs(5);
    let mut take = take();
    assert_eq!(take.next_deadline(), None, "nothing has come yet");
    take.handle_tag(&video_tag(0, 0), now).unwrap();
    assert_eq!(take.next_deadline(), Some(now + RANDOM_ACCESS_WAIT));
    take.handle_tag(&key(0), later).unwrap();
    assert_eq!(take.next_deadline(), Some(later + TRACK_WAIT));
    take.handle_deadline(later + TRACK_WAIT);
    assert_eq!(take.next_deadline(), None);
}

#[test]
fn a_section_says_what_is_known_of_it() {
    let now = crate::base::clock::now();
    let mut take = Take::new(PublisherId(7), at(5_000));
    let tags = [
        metadata(WITH_SOUND),
        video_tag(0, 0),
        audio_tag(0),
        tag(TagKind::Video, 0, picture_body(80, b"\x65")),
    ];
    tags.iter().for_each(|tag| take.handle_tag(tag, now).unwrap());
    let Some(TakeEvent::SectionBegins(start)) = take.next_event() else { panic!("no section") };
    let [metadata, video, audio, _] = tags.map(|tag| Some(tag.payload));
    assert_eq!(start.preamble, Preamble { metadata, video, audio });
    assert_eq!(start.video.map(|video| (video.width, video.height)), Some((64, 36)));
    assert_eq!(start.audio.map(|audio| audio.codec), Some(AudioCodec::Aac));
    assert_eq!((start.frame_rate, start.position), (Some(50.0), at(5_080)));
    assert_eq!(take.publisher(), PublisherId(7));
}

#[test]
fn without_metadata_the_configuration_says_the_frame_rate() {
    let now = crate::base::clock::now();
    let mut take = take();
    [video_tag(0, 0), audio_tag(0), key(0)].iter().for_each(|tag| take.handle_tag(tag, now).unwrap());
    let Some(TakeEvent::SectionBegins(start)) = take.next_event() else { panic!("no section") };
    assert_eq!(start.frame_rate, Some(25.0));
}

/// `onMetaData` with `audiocodecid` 10 and nothing of video.
const SOUND_ONLY: &[u8] = b"\x02\0\x0aonMetaData\x03\0\x0caudiocodecid\0\x40\x24\0\0\0\0\0\0\0\0\x09";

#[test]
fn audio_alone_begins_a_section_after_a_second() {
    check(&[
        (audio_tag(0), ""),
        (sound(10), ""),
        (sound(1_009), ""),
        (sound(1_031), "S0! G0 A999 G1020"),
        (sound(1_052), "A1041"),
        (sound(1_999), "A1988"),
        (sound(2_020), "A2010"),
        (sound(2_041), "G2031"),
    ]);
}

#[test]
fn metadata_that_announces_audio_alone_is_believed() {
    check(&[(metadata(SOUND_ONLY), ""), (audio_tag(0), ""), (sound(0), "S0! G0"), (sound(21), "A21")]);
    check(&[(metadata(WITH_SOUND), ""), (audio_tag(0), ""), (sound(0), ""), (sound(21), "")]);
    check(&[(metadata(SILENT), ""), (audio_tag(0), ""), (sound(0), ""), (sound(21), "")]);
}

#[test]
fn audio_waits_for_video_that_has_shown() {
    check(&[
        (audio_tag(0), ""),
        (sound(0), ""),
        (video_tag(0, 0), ""),
        (sound(1_500), ""),
        (picture(2_000), "-"),
        (key(3_000), "S3000+ K3000 A0 A1500"),
    ]);
    check(&[(metadata(SOUND_ONLY), ""), (audio_tag(0), ""), (picture(0), "-"), (sound(0), "")]);
}

#[test]
fn audio_waits_longer_for_video_that_has_only_said_how_it_is_coded() {
    check(&[
        (audio_tag(0), ""),
        (video_tag(0, 0), ""),
        (sound(10), ""),
        (sound(3_009), ""),
        (sound(3_030), "S0! G0 G2999 A3020"),
        (picture(3_040), "-"),
        (key(3_050), "S3040+ K3040 A3020"),
    ]);
}

#[test]
fn video_that_shows_later_begins_a_section_of_its_own() {
    check(&[
        (metadata(SOUND_ONLY), ""),
        (audio_tag(0), ""),
        (sound(0), "S0! G0"),
        (video_tag(10, 0), ""),
        (picture(10), "-"),
        (sound(21), "A21"),
        (key(40), "S40+ K40 A21"),
        (sound(1_200), "A1200"),
        (picture(1_240), "P1240"),
    ]);
}

#[test]
fn audio_alone_that_changes_begins_a_section_at_once() {
    let mp3 = |timestamp_ms| tag(TagKind::Audio, timestamp_ms, &b"\x2e\xff\xfb\x90\xc4\0"[..]);
    check(&[
        (metadata(SOUND_ONLY), ""),
        (audio_tag(0), ""),
        (sound(0), "S0! G0"),
        (mp3(21), "S21! G21"),
        (mp3(47), "A47"),
    ]);
}

#[test]
fn audio_that_has_changed_is_held_for_the_next_section() {
    let start = crate::base::clock::now();
    let mut take = take();
    let mut give = |tag: &Tag| {
        take.handle_tag(tag, start).expect("a codec that is taken");
        take.holds_audio()
    };
    let mp3 = tag(TagKind::Audio, 53, &b"\x2e\xff\xfb\x90\xc4\0"[..]);
    let begun = [video_tag(0, 0), audio_tag(0), key(0), sound(10), video_tag(20, 1), sound(31)];
    assert!(begun.iter().all(|tag| !give(tag)), "a lead-in is no audio that is held");
    assert!(give(&mp3) && give(&picture(40)));
    assert!(!give(&key(80)));
    assert!(drain(&mut take).ends_with("A10 A31 P40 S80+ K80 A52"), "no sound of another codec leads in");
}

/// Expects the tag to end the take, for this reason, and nothing of it to be kept.
#[track_caller]
fn check_refused(refused: &Tag, expected: Reason) {
    let now = crate::base::clock::now();
    let mut take = take();
    let error = take.handle_tag(refused, now).expect_err("refused");
    assert_eq!(error.reason(), expected, "{error}");
    assert_eq!(take.preamble, Preamble::default());
    [video_tag(0, 0), audio_tag(0), key(0)].iter().for_each(|tag| take.handle_tag(tag, now).unwrap());
    assert_eq!(drain(&mut take), "S0+ K0");
}

#[test]
fn what_cannot_be_taken_ends_the_take_with_the_reason() {
    check_refused(&video_body(b"\x12\0\0"), Reason::UnsupportedCodec);
    check_refused(&video_body(b"\x90vp08\x01"), Reason::UnsupportedCodec);
    check_refused(&video_body(b"\x96\x30avc1\0"), Reason::UnsupportedCodec);
    check_refused(&audio_body(b"\xb2\x01"), Reason::UnsupportedCodec);
    check_refused(&audio_body(b"\x90alaw"), Reason::UnsupportedCodec);
    check_refused(&video_body(b"\x17\0\0\0\0\x02"), Reason::InputUnreadable);
    check_refused(&audio_body(b"\xaf\0\x11"), Reason::InputUnreadable);
}

#[test]
fn a_configuration_that_changes_while_tracks_are_waited_for_leaves_what_is_held_its_own() {
    check(&[
        (video_tag(0, 0), ""),
        (key(0), ""),
        (video_tag(40, 1), "S0 K0"),
        (picture(40), "P40"),
        (audio_tag(50), ""),
        (key(80), "S80+ K80"),
    ]);
}
