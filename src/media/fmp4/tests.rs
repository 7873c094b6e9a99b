use bytes::Bytes;
use proptest::prelude::*;

use super::read::{AccessUnit, Error, Event, MAX_ACCESS_UNITS, MAX_MOOV_BYTES, Reader};
use super::write::{Sample, fragment, init_segment};
use super::{BoxType, PixelAspect, SampleEntry, TrackHeader};
use crate::media::track::{TrackKind, VideoCodec};

mod copied;

const VIDEO: [&[u8]; 2] = [
    include_bytes!("../../../fixtures/fmp4/ffmpeg-5.1-b-frames-vfr.mp4"),
    include_bytes!("../../../fixtures/fmp4/ffmpeg-9.0-b-frames-vfr.mp4"),
];
const AUDIO: [&[u8]; 2] = [
    include_bytes!("../../../fixtures/fmp4/ffmpeg-5.1-aac-priming.mp4"),
    include_bytes!("../../../fixtures/fmp4/ffmpeg-9.0-aac-priming.mp4"),
];

/// Everything that pieces of a stream give, and the error that ended it.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<Error>) {
    let (mut reader, mut events) = (Reader::new(), Vec::new());
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.next_event(), Err(error.clone()), "an error stays");
                    return (events, Some(error));
                }
            }
        }
    }
    (events, None)
}

/// The header and access units of a stream that is right as a whole.
fn read_all(stream: &[u8]) -> (TrackHeader, Vec<AccessUnit>) {
    let (events, error) = read([stream]);
    assert_eq!(error, None);
    let mut events = events.into_iter();
    let Some(Event::Header(header)) = events.next() else { panic!("no header first") };
    let unit = |event| match event {
        Event::AccessUnit(unit) => unit,
        Event::Header(_) => panic!("a second header"),
    };
    (header, events.map(unit).collect())
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, body].concat()
}

/// FFmpeg's `ftyp` and `moov`.
fn header_of(stream: &[u8]) -> &[u8] {
    let moof = stream.windows(4).position(|kind| kind == b"moof").unwrap();
    &stream[..moof - 4]
}

#[test]
fn video_times_are_those_of_the_source() {
    let expected: Vec<i64> = (0..72).filter(|n| n % 7 != 0).map(|n| 900_000 + 3000 * n).collect();
    for stream in VIDEO {
        let (header, units) = read_all(stream);
        assert_eq!(header.timescale, 90_000);
        let mut times: Vec<i64> = units.iter().map(|unit| unit.presentation_time).collect();
        assert_eq!(times[..4], [903_000, 912_000, 906_000, 909_000], "coded order");
        times.sort_unstable();
        assert_eq!(times, expected);
        let random_access: Vec<usize> = (0..units.len()).filter(|&at| units[at].random_access).collect();
        assert_eq!(random_access, [0, 24, 48]);
        assert!(units.iter().all(|unit| unit.duration.is_some() && !unit.data.is_empty()));
    }
}

#[test]
fn a_video_header_has_the_sample_entry() {
    for stream in VIDEO {
        let (header, _) = read_all(stream);
        let SampleEntry::Video { codec, width, height, pixel_aspect, configuration } = header.entry else {
            panic!("not video: {header:?}")
        };
        assert_eq!(codec, VideoCodec::H264);
        assert_eq!((width, height), (64, 36));
        assert_eq!(pixel_aspect, Some(PixelAspect { horizontal: 1, vertical: 1 }));
        assert_eq!(configuration[..2], [1, 100], "version 1, High profile");
    }
}

#[test]
fn audio_begins_before_zero_with_the_priming() {
    for stream in AUDIO {
        let (header, units) = read_all(stream);
        let configuration = Bytes::from_static(&[0x11, 0x90, 0x56, 0xe5, 0x00]);
        let entry = SampleEntry::Aac { sample_rate: 48_000, channels: 2, configuration };
        assert_eq!(header, TrackHeader { timescale: 48_000, entry });
        let times: Vec<i64> = units.iter().map(|unit| unit.presentation_time).collect();
        assert_eq!(times, (-1..24).map(|n| 1024 * n).collect::<Vec<_>>());
        assert!(units.iter().all(|unit| unit.random_access && unit.decode_time == unit.presentation_time));
    }
}

#[test]
fn a_stream_cut_anywhere_gives_what_is_whole() {
    for stream in [VIDEO[0], AUDIO[1]] {
        let (all, _) = read([stream]);
        for end in 0..stream.len() {
            let (events, error) = read([&stream[..end]]);
            assert_eq!(error, None, "cut at {end}");
            assert!(all.starts_with(&events), "cut at {end}");
        }
    }
}

#[test]
fn boxes_that_are_not_known_are_skipped_and_not_kept() {
    let free = boxed(b"free", &[7; 100_000]);
    let large = [&[0, 0, 0, 1][..], b"wide", &24_u64.to_be_bytes(), &[0; 8]].concat();
    let (all, _) = read([VIDEO[1]]);
    // The `trun` of FFmpeg's first `moof` counts from that `moof`, so boxes before it do not matter.
    let header = header_of(VIDEO[1]);
    let stream = [header, &free, &large, &VIDEO[1][header.len()..]].concat();
    assert_eq!(read([stream.as_slice()]), (all, None));

    let mut reader = Reader::new();
    for piece in boxed(b"mfra", &[0; 50_000]).chunks(100) {
        reader.push(piece);
        assert_eq!(reader.next_event(), Ok(None));
        assert_eq!(reader.buffered(), 0);
    }
}

fn check_error(stream: &[u8], expected: Error) {
    assert_eq!(read([stream]).1, Some(expected));
}

#[test]
fn errors_point_to_the_box() {
    let kind = BoxType;
    let header = header_of(AUDIO[0]);
    let after = |rest: &[u8]| [header, rest].concat();
    let offset = header.len() as u64;
    check_error(&boxed(b"moof", &[]), Error::OutOfOrder { kind: kind(*b"moof"), offset: 0 });
    check_error(&after(header), Error::OutOfOrder { kind: kind(*b"moov"), offset: offset + 24 });
    check_error(&after(&boxed(b"mdat", &[1])), Error::OutOfOrder { kind: kind(*b"mdat"), offset });
    check_error(
        &[0, 0, 0, 0, b'm', b'd', b'a', b't'],
        Error::Size { kind: kind(*b"mdat"), offset: 0, size: 0 },
    );
    let limit = MAX_MOOV_BYTES;
    let too_large = Error::TooLarge { kind: kind(*b"moov"), offset: 0, size: 1 << 28, limit };
    check_error(&[0x10, 0, 0, 0, b'm', b'o', b'o', b'v'], too_large);
    let missing = Error::Missing { kind: kind(*b"traf"), within: kind(*b"moof"), offset };
    check_error(&after(&boxed(b"moof", &[])), missing);
    check_error(&after(&boxed(b"moof", &[0, 0, 0, 9, b'a', b'b'])), Error::CutShort { offset: offset + 8 });
    let inner = boxed(b"moof", &boxed(b"traf", &boxed(b"tfhd", &[])));
    let found = read([after(&inner).as_slice()]).1;
    assert!(matches!(found, Some(Error::Malformed { offset: at, .. }) if at == offset + 16), "{found:?}");
}

#[test]
fn codecs_that_are_not_known_are_named() {
    let replace = |stream: &[u8], from: &[u8], to: &[u8]| {
        let at = stream.windows(from.len()).position(|bytes| bytes == from).unwrap();
        let mut stream = header_of(stream).to_vec();
        stream[at..at + to.len()].copy_from_slice(to);
        read([stream.as_slice()]).1.unwrap().to_string()
    };
    assert!(replace(VIDEO[0], b"avc1", b"vp08").contains("is vp08, which"));
    assert!(replace(VIDEO[0], b"avc1", b"\x1b\n\xff\0").contains(r"is \x1b\n\xff\x00, which"));
    // The object type follows the length of DecoderConfigDescriptor: 0x6b is MPEG-1 audio, MP3.
    assert!(replace(AUDIO[0], &[0x80, 0x17, 0x40], &[0x80, 0x17, 0x6b]).contains("is mp4a.6b, which"));
}

/// A `moof` with the given `trun` body, after FFmpeg's video header.
fn with_run(trun: &[u8]) -> Vec<u8> {
    let tfhd = boxed(b"tfhd", &[0, 2, 0, 0, 0, 0, 0, 1]);
    let traf = [tfhd, boxed(b"tfdt", &[0; 8]), boxed(b"trun", trun)].concat();
    let moof = boxed(b"moof", &boxed(b"traf", &traf));
    [header_of(VIDEO[0]), &moof, &boxed(b"mdat", &[1, 2, 3])].concat()
}

#[test]
fn a_small_moof_cannot_announce_much() {
    let offset = header_of(VIDEO[0]).len() as u64 + 8 + 8 + 16 + 16;
    // No field for each access unit, but 2^32 - 1 of them.
    let error = Error::TooManyAccessUnits { count: u32::MAX as usize, offset };
    check_error(&with_run(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), error);
    // As many sizes of 1 as are taken at most, but three bytes.
    let count = u32::try_from(MAX_ACCESS_UNITS).unwrap().to_be_bytes();
    let trun = [&[0, 0, 2, 0][..], &count, &[0, 0, 0, 1].repeat(MAX_ACCESS_UNITS)].concat();
    let found = read([with_run(&trun).as_slice()]).1;
    assert!(matches!(found, Some(Error::OutsideData { size: 1, .. })), "{found:?}");
}

#[test]
fn offsets_are_signed_in_version_1_only() {
    let run = |version: u8| {
        // data_offset, sample_size, sample_composition_time_offset; the `moof` has 76 bytes.
        let trun =
            [&[version, 0, 0x0a, 1][..], &[0, 0, 0, 1, 0, 0, 0, 84], &[0, 0, 0, 3], &[0xff; 4]].concat();
        let (_, units) = read_all(&with_run(&trun));
        assert_eq!(units[0].data[..], [1, 2, 3]);
        units[0].presentation_time
    };
    assert_eq!(run(0), i64::from(u32::MAX));
    assert_eq!(run(1), -1);
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let nested = |kind: &[u8; 4], depth: usize| {
        let sizes = (1..=depth).rev().map(|level| u32::try_from(level * 8).unwrap().to_be_bytes());
        sizes.flat_map(|size| size.into_iter().chain(*kind)).collect::<Vec<u8>>()
    };
    let moof = [header_of(VIDEO[0]), &boxed(b"moof", &nested(b"traf", 100_000))].concat();
    assert!(matches!(read([moof.as_slice()]).1, Some(Error::Missing { .. })));
    assert!(matches!(read([nested(b"moov", 100_000).as_slice()]).1, Some(Error::Missing { .. })));
}

#[test]
fn an_esds_may_not_be_larger_than_is_safe_to_follow() {
    let fields = [&[0; 6][..], &[0, 1], &[0; 8], &[0, 2, 0, 16, 0, 0, 0, 0], &[0xbb, 0x80, 0, 0]].concat();
    let moov = |esds: &[u8]| {
        let entry = boxed(b"mp4a", &[&fields[..], &boxed(b"esds", esds)].concat());
        let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &entry].concat());
        let mdhd = boxed(b"mdhd", &[&[0; 14][..], &[0xbb, 0x80], &[0; 8]].concat());
        let minf = boxed(b"minf", &boxed(b"stbl", &stsd));
        boxed(b"moov", &boxed(b"trak", &boxed(b"mdia", &[mdhd, minf].concat())))
    };
    // ES descriptors within ES descriptors, as many as fit.
    let nested = |count: u8| (0..count).rev().flat_map(|level| [3, 5 * level + 3, 0, 1, 0]);
    let shallow: Vec<u8> = [0; 4].into_iter().chain(nested(24)).collect();
    let found = read([moov(&shallow).as_slice()]).1;
    assert!(matches!(found, Some(Error::Malformed { .. })), "{found:?}");
    let found = read([moov(&[0; 257]).as_slice()]).1;
    assert!(matches!(found, Some(Error::TooLarge { size: 257, .. })), "{found:?}");
}

#[test]
fn two_tracks_are_one_too_many() {
    let moov = boxed(b"moov", &boxed(b"trak", &[]).repeat(2));
    check_error(&moov, Error::Tracks { count: 2, offset: 0 });
}

#[test]
fn an_init_segment_reads_back_and_has_nothing_that_varies() {
    for stream in [VIDEO, AUDIO].concat() {
        let (header, _) = read_all(stream);
        let segment = init_segment(&header.entry).unwrap();
        assert_eq!(read_all(&segment), (header.clone(), vec![]));
        assert_eq!(init_segment(&header.entry).unwrap(), segment);
        assert!(segment.starts_with(b"\0\0\0\x18ftypcmfc\0\0\0\0cmfciso6"));
        for kind in [b"btrt", b"edts", b"udta"] {
            assert!(!segment.windows(4).any(|bytes| bytes == kind), "{}", kind.escape_ascii());
        }
    }
    let audio = |stream| init_segment(&read_all(stream).0.entry).unwrap();
    assert_eq!(audio(AUDIO[0]), audio(AUDIO[1]), "FFmpeg's version does not show");
}

#[test]
fn a_configuration_that_is_none_is_refused() {
    let configuration = Bytes::from_static(&[9, 9, 9]);
    for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9] {
        let configuration = configuration.clone();
        let entry = SampleEntry::Video { codec, width: 2, height: 2, pixel_aspect: None, configuration };
        assert!(init_segment(&entry).is_err(), "{codec:?}");
    }
}

#[test]
fn a_run_leaves_out_what_all_access_units_share() {
    let sample = |random_access| Sample {
        duration: 1024,
        composition_offset: 0,
        random_access,
        data: Bytes::from_static(&[1, 2, 3]),
    };
    // moof 8, mfhd 16, traf 8, tfhd 24, tfdt 20, trun 20, mdat 8.
    let size =
        |kind, samples: &[Sample]| fragment(kind, 1, 0, samples).unwrap().len() - 104 - 3 * samples.len();
    let audio = vec![sample(true); 10];
    assert_eq!(size(TrackKind::Audio, &audio), 10 * 4, "sizes only");
    let video = [vec![sample(true)], vec![sample(false); 9]].concat();
    assert_eq!(size(TrackKind::Video, &video), 4 + 10 * 4, "sizes, and the flags of the first");
    assert_eq!(size(TrackKind::Video, &audio), 10 * 8, "sizes and flags");
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let data = prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let sample = (any::<u32>(), any::<i32>(), any::<bool>(), data);
    let sample = sample.prop_map(|(duration, composition_offset, random_access, data)| Sample {
        duration,
        composition_offset,
        random_access,
        data,
    });
    prop::collection::vec(sample, 1..20)
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        samples in samples(),
        base in -1_000_000_000_000_000_i64..1_000_000_000_000_000,
        is_video: bool,
    ) {
        let kind = if is_video { TrackKind::Video } else { TrackKind::Audio };
        let (header, _) = read_all(if is_video { VIDEO[0] } else { AUDIO[0] });
        let init = init_segment(&header.entry).unwrap();
        let fragment = fragment(kind, 7, base, &samples).unwrap();
        let (read_header, units) = read_all(&[init, fragment.clone(), fragment].concat());
        prop_assert_eq!(read_header, header);
        let mut decode_time = base;
        let expected: Vec<AccessUnit> = samples.into_iter().map(|sample| {
            let unit = AccessUnit {
                decode_time,
                presentation_time: decode_time + i64::from(sample.composition_offset),
                duration: Some(sample.duration),
                random_access: sample.random_access,
                data: sample.data,
            };
            decode_time += i64::from(sample.duration);
            unit
        }).collect();
        prop_assert_eq!(units, [expected.clone(), expected].concat());
    }

    #[test]
    fn a_stream_reads_alike_however_it_is_split(
        cuts in prop::collection::vec(0..VIDEO[1].len(), 0..200),
        is_video: bool,
    ) {
        let stream = if is_video { VIDEO[1] } else { AUDIO[0] };
        let cuts = cuts.into_iter().map(|cut| cut.min(stream.len()));
        let mut cuts: Vec<usize> = cuts.chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(read(pieces), read([stream]));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), with_header: bool) {
        let header = if with_header { header_of(VIDEO[0]) } else { &[] };
        read([header, &bytes]);
    }

    #[test]
    fn no_damage_panics(
        damage in prop::collection::vec((0..2000_usize, any::<u8>()), 1..8),
        which in 0..4_usize,
    ) {
        let mut stream = [VIDEO, AUDIO].concat()[which].to_vec();
        damage.into_iter().for_each(|(at, byte)| stream[at] = byte);
        read([stream.as_slice()]);
    }
}
