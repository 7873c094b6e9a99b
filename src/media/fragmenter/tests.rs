use proptest::prelude::*;

use super::*;
use crate::media::fmp4::read::{AccessUnit, Event, Reader};
use crate::media::fmp4::{SampleEntry, write};
use crate::media::track::VideoCodec;

/// `avcC` without parameter sets: enough for an init segment.
const CONFIGURATION: &[u8] = &[1, 66, 0, 30, 0xff, 0xe0, 0];
/// Where timelines are: 90 kHz ticks since 1970, in 2026.
const NOW: i64 = 160_000_000_000_000;
/// A picture's duration at 30 frames a second.
const FRAME: i64 = 3000;

/// A picture at this presentation time; its bytes say which.
fn picture(time: i64, random_access: bool) -> Picture {
    Picture {
        presentation_time: Ticks(time),
        random_access: if random_access { RandomAccess::Idr } else { RandomAccess::None },
        data: Bytes::copy_from_slice(&time.to_be_bytes()),
    }
}

/// All fragments that pictures at these times give; random access points are marked.
fn cut(times: &[(i64, bool)]) -> Vec<Fragment> {
    let mut fragmenter = Fragmenter::new(3);
    let mut fragments: Vec<Fragment> = times
        .iter()
        .filter_map(|&(time, random_access)| fragmenter.push(picture(time, random_access)).unwrap())
        .collect();
    fragments.extend(fragmenter.finish());
    assert_eq!(fragmenter.finish(), None);
    fragments
}

/// The access units of a fragment, as a player reads them.
fn read(fragment: &Fragment) -> Vec<AccessUnit> {
    let configuration = Bytes::from_static(CONFIGURATION);
    let entry = SampleEntry::Video {
        codec: VideoCodec::H264,
        width: 64,
        height: 36,
        pixel_aspect: None,
        configuration,
    };
    let mut reader = Reader::new();
    reader.push(&write::init_segment(&entry).unwrap());
    reader.push(&fragment.data);
    let mut units = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let Event::AccessUnit(unit) = event {
            units.push(unit);
        }
    }
    units
}

/// Decode times and durations after `base`, in frames of [`FRAME`].
fn check_schedule(fragment: &Fragment, base: i64, decode_times: &[i64], durations: &[i64]) {
    let units = read(fragment);
    let found: Vec<i64> = units.iter().map(|unit| (unit.decode_time - base) / FRAME).collect();
    assert_eq!(found, decode_times);
    let found: Vec<i64> = units.iter().map(|unit| i64::from(unit.duration.unwrap()) / FRAME).collect();
    assert_eq!(found, durations);
    for unit in &units {
        assert_eq!(unit.data[..], unit.presentation_time.to_be_bytes(), "each keeps its presentation time");
    }
}

/// Frame numbers in coded order from [`NOW`] on, as times.
fn frames(numbers: &[(i64, bool)]) -> Vec<(i64, bool)> {
    numbers.iter().map(|&(number, random_access)| (NOW + number * FRAME, random_access)).collect()
}

#[test]
fn b_frames_get_sorted_decode_times() {
    let times = [(0, true), (3, false), (1, false), (2, false), (4, true), (6, false), (5, false)];
    let fragments = cut(&frames(&times));
    assert_eq!(fragments.len(), 2);
    let first = &fragments[0];
    assert_eq!((first.rendition, first.access_units), (3, 4));
    assert_eq!((first.position, first.end), (Ticks(NOW), Some(Ticks(NOW + 4 * FRAME))));
    assert_eq!((first.first_presentation, first.last_presentation), (Ticks(NOW), Ticks(NOW + 3 * FRAME)));
    check_schedule(first, NOW, &[0, 1, 2, 3], &[1, 1, 1, 1]);
    let last = &fragments[1];
    assert_eq!((last.position, last.end), (Ticks(NOW + 4 * FRAME), None));
    check_schedule(last, NOW, &[4, 5, 6], &[1, 1, 1]);
    assert!(read(first)[0].random_access && !read(first)[1].random_access);
}

#[test]
fn a_variable_frame_rate_is_kept_and_the_last_lasts_until_the_next_position() {
    let times = [(0, true), (7, false), (2, false), (3, false), (12, true), (20, false)];
    let fragments = cut(&frames(&times));
    check_schedule(&fragments[0], NOW, &[0, 2, 3, 7], &[2, 1, 4, 5]);
    check_schedule(&fragments[1], NOW, &[12, 20], &[8, 8]);
}

#[test]
fn one_access_unit_alone_lasts_until_the_next_or_a_thirtieth_of_a_second() {
    let fragments = cut(&frames(&[(0, true), (5, true)]));
    check_schedule(&fragments[0], NOW, &[0], &[5]);
    check_schedule(&fragments[1], NOW, &[5], &[1]);
}

#[test]
fn leading_pictures_of_an_open_gop_come_before_the_position() {
    let fragments = cut(&frames(&[(0, true), (1, false), (4, true), (2, false), (3, false)]));
    let open = &fragments[1];
    assert_eq!(open.position, Ticks(NOW + 4 * FRAME));
    assert_eq!(open.first_presentation, Ticks(NOW + 2 * FRAME));
    check_schedule(open, NOW, &[2, 3, 4], &[1, 1, 1]);
}

#[test]
fn leading_pictures_are_not_decoded_before_the_fragment_before_has_ended() {
    // I0 P3 B1 B2, then an open GOP: I6 with the leading B4 and B5, then I9, whose leading pictures come late.
    let coded = [(0, true), (3, false), (1, false), (2, false), (6, true), (4, false), (5, false), (9, true)];
    let mut fragmenter = Fragmenter::new(0);
    let open = |&(number, random_access): &(i64, bool)| {
        let picture = picture(NOW + number * FRAME, random_access);
        match random_access {
            true => {
                Picture { random_access: RandomAccess::RecoveryPoint { recovery_frame_count: 0 }, ..picture }
            }
            false => picture,
        }
    };
    let mut fragments: Vec<Fragment> =
        coded.iter().filter_map(|unit| fragmenter.push(open(unit)).unwrap()).collect();
    fragments.extend(fragmenter.finish());
    check_schedule(&fragments[0], NOW, &[0, 1, 2, 3], &[1, 1, 1, 1]);
    check_schedule(&fragments[1], NOW, &[4, 5, 6], &[1, 1, 1]);
    assert_eq!(
        (fragments[0].end, fragments[1].position),
        (Some(Ticks(NOW + 6 * FRAME)), Ticks(NOW + 6 * FRAME))
    );
    check_schedule(&fragments[2], NOW, &[9], &[1]);

    let mut alone = Fragmenter::new(0);
    assert_eq!(alone.push(open(&(0, true))), Ok(None));
    let fragment = alone.push(open(&(20, true))).unwrap().unwrap();
    check_schedule(&fragment, NOW, &[0], &[1]);
}

#[test]
fn what_comes_before_the_first_random_access_point_is_dropped_and_counted() {
    let mut fragmenter = Fragmenter::new(0);
    for (time, random_access) in [(0, false), (1, false), (2, true), (3, false)] {
        assert_eq!(fragmenter.push(picture(time, random_access)), Ok(None));
    }
    assert_eq!(fragmenter.dropped(), 2);
    let fragment = fragmenter.finish().unwrap();
    assert_eq!((fragment.position, fragment.access_units), (Ticks(2), 2));
}

#[test]
fn nothing_in_nothing_out() {
    assert_eq!(Fragmenter::new(0).finish(), None);
}

#[test]
fn times_that_repeat_still_move_on() {
    let [fragment] = &cut(&[(NOW, true), (NOW, false), (NOW, false)])[..] else { panic!("one fragment") };
    let units = read(fragment);
    assert!(units.iter().all(|unit| unit.duration == Some(1) && unit.presentation_time == NOW));
}

#[test]
fn access_units_are_bounded_in_number_and_bytes() {
    let mut fragmenter = Fragmenter::new(0);
    for number in 0..4096 {
        assert_eq!(fragmenter.push(picture(number, number == 0)), Ok(None));
    }
    assert_eq!(fragmenter.push(picture(4096, false)), Err(Error::TooManyAccessUnits));

    let mut fragmenter = Fragmenter::new(0);
    let data = Bytes::from(vec![0; MAX_FRAGMENT_BYTES / 2]);
    let half = |random_access| Picture { data: data.clone(), ..picture(0, random_access) };
    assert_eq!(fragmenter.push(half(true)), Ok(None));
    assert_eq!(fragmenter.push(half(false)), Ok(None));
    let bytes = MAX_FRAGMENT_BYTES + 8;
    assert_eq!(fragmenter.push(picture(0, false)), Err(Error::TooManyBytes(bytes)));
}

proptest! {
    #[test]
    fn any_times_give_positive_durations(times in prop::collection::vec((any::<i64>(), any::<bool>()), 0..40)) {
        for fragment in cut(&times) {
            prop_assert!(fragment.first_presentation <= fragment.position);
            prop_assert!(fragment.position <= fragment.last_presentation);
            let units = read(&fragment);
            prop_assert_eq!(units.len(), fragment.access_units as usize);
            prop_assert!(units.iter().all(|unit| unit.duration >= Some(1)));
        }
    }

    /// Within hours, every presentation time comes out as it went in, and decode times only grow.
    #[test]
    fn real_times_come_out_as_they_went_in(
        times in prop::collection::vec((NOW..NOW + 100_000_000, prop::bool::weighted(0.1)), 0..60),
    ) {
        let from_first = times.iter().skip_while(|(_, random_access)| !random_access);
        let expected: Vec<i64> = from_first.map(|&(time, _)| time).collect();
        let mut found = Vec::new();
        for fragment in cut(&times) {
            let units = read(&fragment);
            prop_assert_eq!(units[0].decode_time, fragment.first_presentation.0);
            prop_assert_eq!(units[0].presentation_time, fragment.position.0);
            prop_assert!(units.windows(2).all(|pair| pair[0].decode_time < pair[1].decode_time));
            found.extend(units.iter().map(|unit| unit.presentation_time));
        }
        prop_assert_eq!(found, expected);
    }
}
