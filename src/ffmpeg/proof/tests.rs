//! The judge, on answers that are made by hand. What real encoders answer is judged in `node::ability`.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::media::fmp4::write::{self, Sample};
use crate::media::track::TrackKind;

fn check_attempt(latency: Latency) {
    let attempt = attempt(Encoder::Libx264, latency);
    let rendition = &attempt.ladder.renditions[0];
    assert_eq!(
        attempt.max_gop_access_units(rendition),
        40,
        "which is why it shows from where they are counted"
    );
}

#[test]
fn a_long_gop_would_be_cut_after_40_pictures() {
    check_attempt(Latency::Normal);
    check_attempt(Latency::Low);
}

/// A picture of a hand-made answer.
#[derive(Clone, Copy)]
struct Made {
    time: i64,
    /// Header of its only NAL unit (ISO/IEC 14496-10 §7.3.1): 0x65 of an IDR picture, 0x41 of another.
    nal: u8,
}

const IDR: u8 = 0x65;
const OTHER: u8 = 0x41;

/// What a perfect encoder answers.
fn perfect() -> Vec<Made> {
    let made = |picture| Made { time: time(picture), nal: if KEYS.contains(&picture) { IDR } else { OTHER } };
    (0..PICTURES).map(made).collect()
}

/// A fragmented MP4 with these pictures in this order.
fn written(pictures: &[Made]) -> Vec<u8> {
    // ffmpeg 5.1 -f lavfi -i testsrc=s=1920x1080 -t 0.3 -c:v libx264 -preset veryfast -pix_fmt yuv420p a.flv: its record.
    let configuration = Bytes::from_static(
        b"\x01\x64\x00\x28\xff\xe1\x00\x19\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\
        \x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58\x01\x00\x04\x68\xef\x8f\xcb\xfd\xf8\xf8\x00",
    );
    let (codec, width, height) = (VideoCodec::H264, 1920, 1080);
    let entry = SampleEntry::Video { codec, width, height, pixel_aspect: None, configuration };
    let mut bytes = write::init_segment(&entry).expect("a legal entry").to_vec();
    for (number, picture) in (1..).zip(pictures) {
        let data = Bytes::from(vec![0, 0, 0, 2, picture.nal, 0x88]);
        let sample = Sample { duration: 3600, composition_offset: 0, random_access: false, data };
        let fragment = write::fragment(TrackKind::Video, number, picture.time, &[sample]);
        bytes.extend_from_slice(&fragment.expect("a small fragment"));
    }
    bytes
}

#[track_caller]
fn check(change: impl FnOnce(&mut Vec<Made>), expected: Result<(), Flaw>) {
    let mut pictures = perfect();
    change(&mut pictures);
    assert_eq!(judge(Encoder::Libx264, &written(&pictures)), expected);
}

#[test]
fn a_perfect_answer_is_accepted_in_any_coded_order() {
    check(|_| {}, Ok(()));
    check(|pictures| (1..29).step_by(3).for_each(|at| pictures.swap(at, at + 1)), Ok(()));
}

#[test]
fn each_flaw_is_told() {
    check(|pictures| pictures.retain(|picture| picture.time != time(7)), Err(Flaw::Count { made: 89 }));
    check(|pictures| pictures.push(pictures[89]), Err(Flaw::Count { made: 91 }));
    check(|pictures| pictures.clear(), Err(Flaw::Count { made: 0 }));
    check(|pictures| pictures[30].nal = OTHER, Err(Flaw::NoKey { picture: 30 }));
    check(|pictures| pictures[40].nal = IDR, Err(Flaw::ExtraKey { picture: 40 }));
    check(|pictures| pictures[50].nal = IDR, Err(Flaw::ExtraKey { picture: 50 }));
    let shifted = Flaw::Time { picture: 8, found: time(8) + 1, expected: time(8) };
    check(|pictures| pictures[8].time += 1, Err(shifted));
    let doubled = Flaw::Time { picture: 8, found: time(7), expected: time(8) };
    check(|pictures| pictures[8].time = time(7), Err(doubled));
}

#[test]
fn a_gop_at_a_scene_cut_is_forgiven_where_nothing_can_stop_it() {
    let check = |picture: usize, expected| {
        let mut pictures = perfect();
        pictures[picture].nal = IDR;
        assert_eq!(judge(Encoder::Libopenh264, &written(&pictures)), expected);
    };
    check(50, Ok(()));
    check(51, Err(Flaw::ExtraKey { picture: 51 }));
}

#[test]
fn what_is_no_answer_is_told() {
    let whole = written(&perfect());
    assert_eq!(judge(Encoder::Libx264, b""), Err(Flaw::Cut));
    assert_eq!(judge(Encoder::Libx264, &whole[..whole.len() - 1]), Err(Flaw::Cut));
    let flaw = judge(Encoder::Libx264, b"not an MP4 at all").expect_err("it is none");
    assert!(matches!(flaw, Flaw::Container(_) | Flaw::Cut), "{flaw}");
}

#[test]
fn the_input_has_the_pictures_that_are_expected() {
    let (mut times, mut keys, mut rest) = (Vec::new(), Vec::new(), &INPUT[13..]);
    // Tags (FLV 10.1 E.4.1): type, size, time, stream, body, size again.
    while let [kind, a, b, c, d, e, f, g, ..] = *rest {
        let (size, time) = (u32::from_be_bytes([0, a, b, c]) as usize, u32::from_be_bytes([g, d, e, f]));
        let body = &rest[11..11 + size];
        // Video with a coded picture (E.4.3.1): the low half of its first byte is AVC, the second says NAL units.
        if kind == 9 && body[1] == 1 {
            times.push(i64::from(time) * 90);
            keys.push(body[0] == 0x17);
        }
        rest = &rest[11 + size + 4..];
    }
    assert_eq!(times, (0..PICTURES).map(time).collect::<Vec<_>>());
    assert_eq!(keys, (0..PICTURES).map(|picture| KEYS.contains(&picture)).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = judge(Encoder::Libx264, &bytes);
    }

    #[test]
    fn no_damage_panics(at in 0usize..4000, byte in any::<u8>()) {
        let mut bytes = written(&perfect());
        bytes[at] = byte;
        let _ = judge(Encoder::Libx264, &bytes);
    }
}
