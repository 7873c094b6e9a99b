//! Where access units stand on the timeline.

use proptest::prelude::*;

use super::*;
use crate::stream::take::clock::{MAX_STEP, TakeClock};
use TrackKind::{Audio, Video};

/// An access unit of AAC at 48 kHz, or a picture that is shown as it is decoded.
fn place(clock: &mut TakeClock, track: TrackKind, timestamp_ms: u32, now: Instant) -> Ticks {
    match track {
        Video => clock.place_video(timestamp_ms, Ticks::ZERO, false, now).0,
        Audio => clock.place_audio(timestamp_ms, 1024, 48_000, now),
    }
}

/// Places times of the sender's clock on a timeline that is at 1000 ms, each as so many milliseconds of arrival have
/// passed, and expects them there, in milliseconds.
#[track_caller]
fn check_arrivals(steps: &[(u64, TrackKind, u32, i64)]) {
    let start = crate::base::clock::now();
    let mut clock = TakeClock::new(at(1_000));
    for &(arrival_ms, track, timestamp_ms, expected) in steps {
        let time = place(&mut clock, track, timestamp_ms, start + Duration::from_millis(arrival_ms));
        assert_eq!(time.as_millis(), expected, "{track:?} {timestamp_ms}");
    }
}

/// The same, all arriving at once.
#[track_caller]
fn check_places(steps: &[(TrackKind, u32, i64)]) {
    check_arrivals(
        &steps.iter().map(|&(track, time, expected)| (0, track, time, expected)).collect::<Vec<_>>(),
    );
}

#[test]
fn the_first_access_unit_of_either_track_is_the_anchor() {
    check_places(&[(Video, 7_000, 1_000), (Audio, 7_021, 1_021), (Video, 7_040, 1_040)]);
    check_places(&[(Audio, 7_000, 1_000), (Video, 6_990, 990)]);
}

#[test]
fn a_wrap_of_the_senders_clock_is_no_jump() {
    check_places(&[(Video, u32::MAX - 19, 1_000), (Audio, u32::MAX, 1_019), (Video, 20, 1_040)]);
}

#[test]
fn a_jump_forward_goes_on_one_step_later_and_takes_both_tracks_along() {
    check_places(&[
        (Video, 0, 1_000),
        (Audio, 0, 1_000),
        (Video, 40, 1_040),
        (Video, 3_600_000, 1_080),
        (Audio, 3_600_000, 1_080),
        (Video, 3_600_040, 1_120),
    ]);
    check_places(&[(Audio, 0, 1_000), (Video, 0, 1_000), (Audio, 50_000, 1_021), (Video, 50_000, 1_021)]);
}

#[test]
fn a_jump_back_goes_on_one_step_later_too() {
    check_places(&[
        (Video, 500_000, 1_000),
        (Audio, 500_010, 1_010),
        (Video, 500_040, 1_040),
        (Video, 0, 1_080),
        (Audio, 0, 1_080),
    ]);
}

#[test]
fn only_a_step_beyond_the_bounds_is_a_jump() {
    check_arrivals(&[(0, Video, 5_000, 1_000), (9_000, Video, 15_000, 11_000)]);
    check_arrivals(&[(0, Video, 5_000, 1_000), (9_000, Video, 15_001, 1_033)]);
    check_places(&[(Video, 5_000, 1_000), (Video, 6_000, 2_000)]);
    check_places(&[(Video, 5_000, 1_000), (Video, 6_001, 1_033)]);
    // A short step back is rounding: the timeline waits for it. It never goes back.
    check_places(&[(Video, 5_000, 1_000), (Video, 4_900, 1_001), (Video, 5_040, 1_040)]);
    check_places(&[(Video, 5_000, 1_000), (Video, 4_899, 1_033), (Video, 4_939, 1_073)]);
}

#[test]
fn a_step_that_arrival_explains_by_half_is_a_pause() {
    check_arrivals(&[(0, Video, 0, 1_000), (2_500, Video, 5_000, 6_000), (2_540, Video, 5_040, 6_040)]);
    check_arrivals(&[(0, Video, 0, 1_000), (2_499, Video, 5_000, 1_033), (2_540, Video, 5_040, 1_073)]);
    // What paused for both tracks has passed for the second one, too.
    check_arrivals(&[
        (0, Video, 0, 1_000),
        (0, Audio, 0, 1_000),
        (5_000, Video, 5_000, 6_000),
        (5_000, Audio, 5_000, 6_000),
        (5_000, Audio, 5_021, 6_021),
    ]);
    // After a stall everything comes at once, and a hole with it.
    check_arrivals(&[
        (0, Video, 0, 1_000),
        (5_000, Video, 40, 1_040),
        (5_000, Video, 80, 1_080),
        (5_000, Video, 5_000, 6_000),
    ]);
}

#[test]
fn slow_pictures_are_no_jumps_however_fast_they_come() {
    for (step_ms, speed) in [(1_000, 1), (1_000, 8), (5_000, 1)] {
        let picture =
            |n: u32| (u64::from(n * step_ms / speed), Video, n * step_ms, i64::from(1_000 + n * step_ms));
        check_arrivals(&(0..20).map(picture).collect::<Vec<_>>());
    }
    // One step of two seconds cannot be told from a jump at eight times the speed. The same again can.
    let steps = [(0, 1_000), (2_000, 1_033), (4_000, 3_033), (6_000, 5_033), (8_000, 7_033)];
    check_arrivals(&steps.map(|(time, expected)| (u64::from(time) / 8, Video, time, expected)));
}

#[test]
fn a_track_that_pauses_or_begins_late_keeps_its_time() {
    let now = crate::base::clock::now();
    let mut clock = TakeClock::new(at(1_000));
    assert_eq!(place(&mut clock, Audio, 0, now), at(1_000));
    for time in (0..=12_000).step_by(40) {
        assert_eq!(place(&mut clock, Video, time, now), at(1_000 + i64::from(time)));
    }
    assert_eq!(place(&mut clock, Audio, 12_000, now), at(13_000), "it paused for longer than a jump");
    check_arrivals(&[
        (0, Video, 0, 1_000),
        (9_000, Video, 9_000, 10_000),
        (9_000, Audio, 9_000, 10_000),
        (9_040, Video, 9_040, 10_040),
    ]);
}

#[test]
fn a_single_wrong_time_moves_nothing_but_itself() {
    check_places(&[
        (Video, 0, 1_000),
        (Audio, 0, 1_000),
        (Video, 40, 1_040),
        (Video, 90_000_000, 1_080),
        (Audio, 21, 1_021),
        (Video, 120, 1_120),
        (Audio, 43, 1_042),
    ]);
}

#[test]
fn a_pause_of_one_track_that_was_taken_for_a_jump_is_made_good() {
    let now = crate::base::clock::now();
    let mut clock = TakeClock::new(at(0));
    let mut place = |track, timestamp_ms| place(&mut clock, track, timestamp_ms, now).as_millis();
    assert_eq!((place(Video, 0), place(Audio, 0), place(Video, 40)), (0, 0, 40));
    // The pictures of three seconds are missing, and sound comes only after them.
    assert_eq!((place(Video, 3_080), place(Video, 3_120)), (80, 120));
    for unit in 1..90u32 {
        assert_eq!(place(Audio, unit * 64 / 3), i64::from(unit * 64 / 3));
    }
    assert_eq!(place(Video, 3_160), 160, "sound has gone on for less than two seconds");
    (90..110u32).for_each(|unit| assert_eq!(place(Audio, unit * 64 / 3), i64::from(unit * 64 / 3)));
    assert_eq!((place(Video, 3_200), place(Video, 3_240)), (3_200, 3_240));
}

#[test]
fn a_track_whose_first_time_is_absurd_begins_beside_the_other() {
    check_places(&[(Video, 0, 1_000), (Video, 40, 1_040), (Audio, 86_400_000, 1_061)]);
    check_places(&[(Video, 86_400_000, 1_000), (Video, 86_400_040, 1_040), (Audio, 0, 1_061)]);
}

#[test]
fn after_a_long_step_a_jump_goes_on_a_second_later() {
    check_arrivals(&[(0, Video, 0, 1_000), (9_000, Video, 9_000, 10_000), (9_000, Video, 900_000, 11_000)]);
}

#[test]
fn a_random_access_point_is_shown_after_all_that_came_before() {
    let now = crate::base::clock::now();
    let mut clock = TakeClock::new(at(1_000));
    let mut shown = |timestamp_ms, offset, random_access| {
        clock.place_video(timestamp_ms, at(offset), random_access, now).1
    };
    assert_eq!(shown(0, 80, false), at(1_080));
    // 40 ms too early, and one picture after that; what follows moves along.
    assert_eq!(shown(40, 0, true), at(1_040 + 40 + 33));
    assert_eq!(shown(80, 0, false), at(1_080 + 40 + 33));
    assert_eq!(shown(120, 0, true), at(1_120 + 40 + 33), "nothing is shown later than that");
}

#[test]
fn a_take_ends_after_its_last_access_unit() {
    let now = crate::base::clock::now();
    let mut take = Take::new(PublisherId(1), at(1_000));
    let mut ends = vec![take.end()];
    let shown_later = tag(TagKind::Video, 40, picture_body(80, b"\x41p"));
    for tag in [video_tag(0, 0), audio_tag(0), key(0), shown_later, picture(80), sound(1_000)] {
        take.handle_tag(&tag, now).unwrap();
        ends.push(take.end());
    }
    let expected = [1_000, 1_000, 1_000, 1_033, 1_160, 1_160].map(at);
    assert_eq!(ends[..6], expected);
    assert_eq!(ends[6], at(2_000) + Ticks(1920), "1024 samples at 48 kHz");
}

proptest! {
    /// Whatever the sender's clock does: pictures at whole milliseconds, sound at whole samples, no track goes back, pictures
    /// go on, and nothing is further ahead of the take than the bound.
    #[test]
    fn any_clock_gives_a_timeline_of_small_steps(
        steps in prop::collection::vec((any::<bool>(), any::<u32>(), 0u64..20_000), 1..100),
    ) {
        let mut now = crate::base::clock::now();
        let mut clock = TakeClock::new(at(1_700_000_000_000));
        let mut last: [Option<Ticks>; 2] = [None; 2];
        for (video, timestamp_ms, waited) in steps {
            now += Duration::from_millis(waited);
            let time = place(&mut clock, if video { Video } else { Audio }, timestamp_ms, now);
            let whole = if video { at(time.as_millis()) } else { Ticks::from_samples(time.as_samples(48_000), 48_000) };
            prop_assert_eq!(time, whole);
            let latest = last.into_iter().flatten().max();
            prop_assert!(latest.is_none_or(|latest| time - latest <= MAX_STEP + MAX_STEP));
            if let Some(last) = last[usize::from(video)].replace(time) {
                let goes_on = time > last || (!video && time == last);
                prop_assert!(goes_on);
            }
        }
    }

    /// Whatever comes, each access unit of a section lies before the take's end, and what is held is bounded.
    #[test]
    fn any_tags_keep_the_bounds(
        tags in prop::collection::vec((0u8..8, any::<u32>(), -5_000i32..5_000), 0..60),
    ) {
        let now = crate::base::clock::now();
        let mut take = take();
        let mut begun = false;
        for (which, timestamp_ms, offset) in tags {
            let tag = match which {
                0 | 1 => video_tag(timestamp_ms, usize::from(which)),
                2 => audio_tag(timestamp_ms),
                3 => sound(timestamp_ms),
                4 => tag(TagKind::Video, timestamp_ms, picture_body(offset, b"\x65")),
                5 => tag(TagKind::Audio, timestamp_ms, &b"\x2e\xff\xfb\x90\xc4\0"[..]),
                6 => metadata(SILENT),
                _ => tag(TagKind::Video, timestamp_ms, picture_body(offset, b"\x41")),
            };
            take.handle_tag(&tag, now).unwrap();
            while let Some(event) = take.next_event() {
                match event {
                    TakeEvent::Unit(unit) => {
                        prop_assert!(begun && unit.presentation_time < take.end());
                    }
                    TakeEvent::SectionBegins(_) => begun = true,
                    TakeEvent::Undecodable | TakeEvent::NoRandomAccessPoint => {}
                }
            }
            prop_assert!(take.early_audio.iter().count() <= super::early::MAX_EARLY_AUDIO && take.held.len() < MAX_HELD);
        }
    }
}
