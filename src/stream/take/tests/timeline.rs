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

/// What an encoder makes of 40 s: 25 pictures a second and AAC at 44.1 kHz, each with its time in thousandths of a
/// millisecond.
fn encoded() -> Vec<(TrackKind, i64)> {
    let pictures = (0..1_000).map(|number| (Video, number * 40_000));
    let sound = (0..1_700).map(|number| (Audio, number * 1_024_000_000 / 44_100));
    let mut units: Vec<_> = pictures.chain(sound).collect();
    units.sort_by_key(|&(_, time)| time);
    units
}

/// A sender whose clock jumps.
#[derive(Clone, Debug)]
struct Jumping {
    start_ms: u32,
    /// The jump, and after which time.
    jump: (i64, i64),
    /// How long the tracks wait before they are sent, and by how much that varies.
    delays_ms: [i64; 2],
    wavering_ms: Vec<i64>,
    /// Times real time.
    speed: u64,
}

impl Jumping {
    /// What arrives, in order: track, milliseconds of arrival, the sender's clock, and the true time.
    fn messages(&self) -> Vec<(TrackKind, u64, u32, i64)> {
        let mut sent = [0i64; 2];
        let mut wavering = self.wavering_ms.iter().cycle();
        let mut messages: Vec<_> = encoded()
            .into_iter()
            .map(|(track, micros)| {
                let (millis, which) = (micros / 1_000, usize::from(track == Audio));
                let at = millis + self.delays_ms[which] + wavering.next().copied().unwrap_or(0);
                sent[which] = sent[which].max(at);
                let jumped = millis + if micros >= self.jump.1 * 1_000 { self.jump.0 } else { 0 };
                let timestamp_ms =
                    u32::try_from((i64::from(self.start_ms) + jumped).rem_euclid(1 << 32)).unwrap();
                (track, u64::try_from(sent[which]).unwrap() / self.speed, timestamp_ms, micros, sent[which])
            })
            .collect();
        messages.sort_by_key(|&(.., sent)| sent);
        messages.into_iter().map(|(track, arrival, time, micros, _)| (track, arrival, time, micros)).collect()
    }

    /// Expects that no time is missing but a little, and that the tracks are shifted alike, to a millisecond.
    fn check(&self) -> Result<(), TestCaseError> {
        let start = crate::base::clock::now();
        let mut clock = TakeClock::new(at(1_700_000_000_000));
        let mut shifts: [Vec<i64>; 2] = Default::default();
        let mut last: [Option<Ticks>; 2] = [None; 2];
        for (track, arrival, timestamp_ms, micros) in self.messages() {
            let now = start + Duration::from_millis(arrival);
            let time = match track {
                Video => place(&mut clock, Video, timestamp_ms, now),
                Audio => clock.place_audio(timestamp_ms, 1024, 44_100, now),
            };
            let which = usize::from(track == Audio);
            if let Some(last) = last[which].replace(time) {
                prop_assert!(time > last, "{track:?} goes on");
                prop_assert!(time - last < at(400), "{track:?} has no hole: {:?} at {micros}", time - last);
            }
            shifts[which].push(time.0 - micros * 9 / 100);
        }
        for (which, shifts) in shifts.iter().enumerate() {
            let mut changed = shifts.clone();
            changed.dedup_by(|next, last| (*next - *last).abs() <= 90);
            prop_assert!(changed.len() <= 2, "{which} is shifted once: {changed:?}");
        }
        let between = |at: fn(&Vec<i64>) -> i64| at(&shifts[1]) - at(&shifts[0]);
        let (before, after) = (between(|shifts| shifts[0]), between(|shifts| shifts[shifts.len() - 1]));
        prop_assert!((after - before).abs() <= 90 + 9, "{before} before, {after} after");
        Ok(())
    }
}

/// Clips of 40 s with a jump in the middle, at any speed and however the tracks are interleaved.
fn jumping() -> impl Strategy<Value = Jumping> {
    let jump = prop_oneof![1_000i64..5_000, 5_000i64..3_600_000, -5_000i64..-1_000, -3_600_000i64..-5_000];
    let speed = prop::sample::select(vec![1, 8, 1_000]);
    let wavering = prop::collection::vec(0i64..80, 1..50);
    (any::<u32>(), jump, 15_000i64..16_000, 0i64..100, any::<bool>(), wavering, speed).prop_map(
        |(start_ms, jump, at, delay, sound_first, wavering_ms, speed)| Jumping {
            start_ms,
            jump: (jump, at),
            delays_ms: if sound_first { [delay, 0] } else { [0, delay] },
            wavering_ms,
            speed,
        },
    )
}

#[test]
fn a_wrap_or_a_high_start_is_seen_by_nobody() {
    let now = crate::base::clock::now();
    for start in [0, 7, 1 << 31, (1 << 31) - 700, u32::MAX - 699, u32::MAX] {
        let mut take = Take::new(PublisherId(1), at(5_000));
        take.handle_tag(&video_tag(start, 0), now).unwrap();
        take.handle_tag(&audio_tag(start), now).unwrap();
        let mut sounds = (0..).map(|number| number * 64 / 3).peekable();
        for number in 0..50u32 {
            let time = start.wrapping_add(number * 40);
            take.handle_tag(&if number.is_multiple_of(25) { key(time) } else { picture(time) }, now).unwrap();
            // Sound comes 80 ms later, so it passes the wrap at another message.
            while let Some(stamp) = sounds.next_if(|&stamp| stamp + 80 < (number + 1) * 40) {
                take.handle_tag(&sound(start.wrapping_add(stamp)), now).unwrap();
            }
        }
        let mut expected = [(0..50).map(|number| at(5_000 + number * 40)).collect::<Vec<_>>(), Vec::new()];
        expected[1] = (0..90).map(|number| at(5_000) + Ticks::from_samples(number * 1024, 48_000)).collect();
        let mut found: [Vec<Ticks>; 2] = Default::default();
        while let Some(event) = take.next_event() {
            if let TakeEvent::Unit(unit) = event {
                found[usize::from(unit.track == Audio)].push(unit.decode_time);
            }
        }
        assert_eq!(found[0], expected[0], "from {start}");
        assert_eq!(found[1], expected[1][..found[1].len()], "from {start}");
        assert!(found[1].len() > 85);
    }
}

#[test]
fn what_lies_before_the_anchor_moves_after_it_on_the_same_grids() {
    let now = crate::base::clock::now();
    let mut take = Take::new(PublisherId(1), at(5_000));
    // AAC-LC at 44.1 kHz; the picture comes first, and 110 ms of sound from before it.
    let configuration = tag(TagKind::Audio, 0, &b"\xaf\0\x12\x10"[..]);
    [video_tag(500, 0), key(500)].iter().for_each(|tag| take.handle_tag(tag, now).unwrap());
    take.handle_tag(&configuration, now).unwrap();
    assert!(drain(&mut take).starts_with("S5000+ K5000"), "the configuration is all that was waited for");

    let mut take = Take::new(PublisherId(1), at(5_000));
    take.handle_tag(&video_tag(500, 0), now).unwrap();
    take.handle_tag(&picture(500), now).unwrap();
    take.handle_tag(&configuration, now).unwrap();
    (0..5).for_each(|unit| take.handle_tag(&sound(389 + unit * 1024 * 10 / 441), now).unwrap());
    take.handle_tag(&key(540), now).unwrap();
    let units: Vec<AccessUnit> = std::iter::from_fn(|| take.next_event())
        .filter_map(|event| if let TakeEvent::Unit(unit) = event { Some(unit) } else { None })
        .collect();
    assert_eq!(units[0].decode_time, at(5_151));
    let first = at(5_000).as_samples_up(44_100);
    for (number, unit) in (0i64..).zip(&units[1..]) {
        let sample = unit.decode_time.as_samples(44_100);
        assert!(
            (sample - first - number * 1024 - 44).abs() <= 45,
            "moved with the picture, not before the anchor"
        );
        assert_eq!(sample - units[1].decode_time.as_samples(44_100), number * 1024, "contiguous");
    }
    assert_eq!(units.len(), 6);
}

proptest! {
    /// Whichever message jumps first.
    #[test]
    fn a_jump_shifts_both_tracks_alike_and_leaves_no_hole(sender in jumping()) {
        sender.check()?;
    }

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
