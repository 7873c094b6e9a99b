//! The video of a copied rendition, of codecs that the node never encodes.

use super::*;

const HEVC: &[u8] = include_bytes!("../../../../fixtures/fmp4/ffmpeg-9.0-copied-hevc.mp4");
const AV1: &[u8] = include_bytes!("../../../../fixtures/fmp4/ffmpeg-9.0-copied-av1.mp4");
const VP9: &[u8] = include_bytes!("../../../../fixtures/fmp4/ffmpeg-9.0-copied-vp9.mp4");
const COPIED: [&[u8]; 3] = [HEVC, AV1, VP9];

/// The sample entry of a stream whose pictures are 64x36.
fn entry_of(stream: &[u8]) -> (VideoCodec, Option<PixelAspect>, Bytes) {
    let (header, _) = read_all(stream);
    assert_eq!(header.timescale, 90_000);
    let SampleEntry::Video { codec, width, height, pixel_aspect, configuration } = header.entry else {
        panic!("not video: {header:?}")
    };
    assert_eq!((width, height), (64, 36));
    (codec, pixel_aspect, configuration)
}

#[test]
fn sample_entries_of_copied_video_are_read() {
    let square = Some(PixelAspect { horizontal: 1, vertical: 1 });
    let check = |stream, codec, pixel_aspect, start: &[u8]| {
        let (found, aspect, configuration) = entry_of(stream);
        assert_eq!((found, aspect), (codec, pixel_aspect));
        assert!(configuration.starts_with(start), "{codec:?}: {configuration:x?}");
    };
    check(HEVC, VideoCodec::Hevc, square, &[1, 1, 0x60, 0, 0, 0]);
    check(AV1, VideoCodec::Av1, square, &[0x81, 0, 0x0C, 0]);
    check(VP9, VideoCodec::Vp9, None, &[1, 0, 0, 0, 0, 10, 0x82, 2, 2, 0, 0, 0]);
}

/// Times are of the 90 kHz track but have passed through FLV's milliseconds.
#[track_caller]
fn check_pictures(stream: &[u8], leading: usize) {
    let (_, units) = read_all(stream);
    let random_access: Vec<usize> = (0..units.len()).filter(|&at| units[at].random_access).collect();
    let second = 12 - leading;
    assert_eq!(random_access, [0, second]);
    let mut times: Vec<i64> = units.iter().map(|unit| unit.presentation_time).collect();
    let (first_shown, second_shown) = (times[0], times[second]);
    assert_eq!(times[second..].iter().filter(|&&time| time < second_shown).count(), leading);
    times.sort_unstable();
    for (at, time) in times.iter().enumerate() {
        let exact = first_shown + 3000 * i64::try_from(at).unwrap();
        assert!((time - exact).abs() <= 90, "picture {at} at {time}");
    }
    assert!(units.iter().all(|unit| unit.duration.is_some() && !unit.data.is_empty()));
}

#[test]
fn random_access_points_of_copied_video_are_found() {
    // The second one of HEVC is a CRA picture: two that lead it are shown before.
    check_pictures(HEVC, 2);
    check_pictures(AV1, 0);
    check_pictures(VP9, 0);
}

#[test]
fn av1_comes_without_temporal_delimiters() {
    // An MP4 file should have none (AV1 in ISOBMFF §2.4); FLV has them, and FFmpeg takes them off.
    let obu_type = |unit: &AccessUnit| unit.data[0] >> 3 & 0x0F;
    assert!(read_all(AV1).1.iter().all(|unit| obu_type(unit) != 2));
}

/// Expects a record to be written as it was read, but for these bytes.
#[track_caller]
fn check_changed(read: &[u8], written: &[u8], expected: &[(u8, u8)]) {
    assert_eq!(read.len(), written.len());
    let pairs = read.iter().copied().zip(written.iter().copied());
    assert_eq!(pairs.filter(|(was, is)| was != is).collect::<Vec<_>>(), expected);
}

#[test]
fn vp9_is_not_written_as_red_green_and_blue_of_half_size() {
    // FFmpeg says so of the fixture: its matrix is 0.
    let (codec, pixel_aspect, given) = entry_of(VP9);
    let written = |configuration| {
        let entry = SampleEntry::Video { codec, width: 64, height: 36, pixel_aspect, configuration };
        entry_of(&init_segment(&entry).unwrap()).2
    };
    check_changed(&given, &written(given.clone()), &[(0, 2)]);
    // In full size (profile 1, 4:4:4) it is possible.
    let full = Bytes::from_static(&[1, 0, 0, 0, 1, 10, 0x86, 2, 2, 0, 0, 0]);
    check_changed(&full, &written(full.clone()), &[]);
}

#[test]
fn hevc_is_written_with_its_parameter_sets_out_of_band() {
    let (_, _, given) = entry_of(HEVC);
    assert!(HEVC.windows(4).any(|kind| kind == b"hev1"));
    let segment = init_segment(&read_all(HEVC).0.entry).unwrap();
    assert!(segment.windows(4).any(|kind| kind == b"hvc1"));
    assert!(!segment.windows(4).any(|kind| kind == b"hev1"));
    // The record is FFmpeg's, with three arrays that are complete now: their first bytes are 0x20, 0x21 and 0x22.
    check_changed(&given, &entry_of(&segment).2, &[(0x20, 0xA0), (0x21, 0xA1), (0x22, 0xA2)]);
}

#[test]
fn init_segments_of_copied_video_read_back() {
    for (stream, kind) in COPIED.into_iter().zip([b"hvc1", b"av01", b"vp09"]) {
        let (header, _) = read_all(stream);
        let segment = init_segment(&header.entry).unwrap();
        assert!(segment.windows(4).any(|bytes| bytes == kind), "{}", kind.escape_ascii());
        for kind in [b"btrt", b"colr", b"edts"] {
            assert!(!segment.windows(4).any(|bytes| bytes == kind), "{}", kind.escape_ascii());
        }
        // What was written is written again alike.
        let (again, units) = read_all(&segment);
        assert_eq!(init_segment(&again.entry).unwrap(), segment);
        assert_eq!((again.timescale, units.len()), (90_000, 0));
        if kind == b"av01" {
            assert_eq!(again, header);
        }
    }
}

proptest! {
    #[test]
    fn no_damage_panics(
        damage in prop::collection::vec((0..2000_usize, any::<u8>()), 1..8),
        which in 0..COPIED.len(),
    ) {
        let mut stream = COPIED[which].to_vec();
        damage.into_iter().for_each(|(at, byte)| stream[at] = byte);
        read([stream.as_slice()]);
    }

    #[test]
    fn a_damaged_record_is_written_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut: prop::sample::Index,
        which in 0..COPIED.len(),
    ) {
        let (codec, pixel_aspect, configuration) = entry_of(COPIED[which]);
        let mut record = configuration.to_vec();
        damage.into_iter().for_each(|(at, byte)| *at.get_mut(&mut record) = byte);
        record.truncate(cut.index(2 * record.len()));
        let configuration = Bytes::from(record);
        let entry = SampleEntry::Video { codec, width: 64, height: 36, pixel_aspect, configuration };
        if let Ok(segment) = init_segment(&entry) {
            prop_assert_eq!(entry_of(&segment).0, codec);
        }
    }
}
