mod tracks;

use proptest::prelude::*;

use super::*;
use crate::hls::view::OutputView;
use crate::hls::{multivariant, playlist};
use crate::media::track::{AudioCodec, AudioConfiguration, VideoCodec, VideoConfiguration};

/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600 * 90_000;
const RATE: u32 = 48_000;

fn at(millis: i64) -> Ticks {
    Ticks(EPOCH) + Ticks::from_millis(millis)
}

fn settings() -> WindowSettings {
    WindowSettings {
        segment_duration: Ticks::from_millis(2000),
        max_segment_duration: Ticks::from_millis(10_000),
        window: 3,
        first_sequence: 100,
    }
}

fn video_init(rendition: u8, bytes: &'static [u8]) -> OutputInit {
    let height = 720 >> rendition;
    OutputInit {
        output: OutputId::Rendition(rendition),
        configuration: OutputConfiguration::Video(VideoConfiguration {
            codec: VideoCodec::H264,
            codecs: "avc1.64001f".to_owned(),
            width: height * 16 / 9,
            height,
            frame_rate: None,
            nal_length_bytes: 4,
        }),
        segment: Bytes::from_static(bytes),
    }
}

fn audio_init(bytes: &'static [u8]) -> OutputInit {
    OutputInit {
        output: OutputId::Audio,
        configuration: OutputConfiguration::Audio(AudioConfiguration {
            codec: AudioCodec::Aac,
            codecs: "mp4a.40.2".to_owned(),
            sample_rate: RATE,
            channels: 2,
            samples_per_access_unit: 1024,
        }),
        segment: Bytes::from_static(bytes),
    }
}

/// A window with `renditions` renditions, and audio or not, whose init segments have come.
fn window(renditions: u8, has_audio: bool) -> Window {
    let names = (0..renditions).map(|index| format!("r{index}").parse().expect("a name")).collect();
    let mut window = Window::new(settings(), names);
    (0..renditions).for_each(|index| window.handle_init(video_init(index, b"init")));
    if has_audio {
        window.begin_section(Tracks::Both);
        window.handle_init(audio_init(b"init"));
    }
    window
}

/// A fragment from `from` to `to` milliseconds, 30 pictures a second, of 1000 bytes a second.
fn fragment(window: &mut Window, rendition: u8, (from, to): (i64, i64)) {
    let length = usize::try_from(to - from).expect("fragments go forward");
    let fragment = Fragment {
        rendition,
        position: at(from),
        end: None,
        first_presentation: at(from),
        last_presentation: at(to - 33),
        access_units: u32::try_from(length * 30 / 1000).expect("small"),
        data: Bytes::from(vec![rendition; length]),
    };
    window.handle_fragment(fragment, at(to));
}

/// Audio from `from` to at least `to` milliseconds, on the grid of 1024 samples.
fn audio(window: &mut Window, (from, to): (i64, i64)) {
    let first = (at(from).as_samples(RATE) + 1023).div_euclid(1024);
    let last = (at(to).as_samples(RATE) + 1023).div_euclid(1024);
    for unit in first..last {
        let sample =
            AudioSample { decode_time: unit * 1024, samples: 1024, data: Bytes::from_static(b"aac") };
        window.handle_audio(sample);
    }
}

/// Segments of an output as `sequence: from-to` in milliseconds, with `gap` and `break` where they are.
fn listed(output: &OutputView) -> Vec<String> {
    let line = |segment: &Arc<crate::hls::Segment>| {
        let (from, to) = ((segment.start - at(0)).as_millis(), (segment.end - at(0)).as_millis());
        let gap = if segment.data.is_none() { " gap" } else { "" };
        let discontinuity = if segment.discontinuity { " break" } else { "" };
        format!("{}: {from}-{to}{gap}{discontinuity}", segment.sequence)
    };
    output.segments.iter().map(line).collect()
}

fn check(window: &Window, expected: &[&[&str]]) {
    let view = window.view();
    let found: Vec<Vec<String>> = view.outputs().map(listed).collect();
    assert_eq!(found, expected);
}

#[test]
fn renditions_and_audio_are_cut_alike() {
    let mut window = window(2, true);
    // Sound from up to a second before the first picture belongs to it, earlier sound to nothing.
    audio(&mut window, (-1500, -1300));
    audio(&mut window, (-100, 6100));
    for second in 0..5 {
        fragment(&mut window, 0, (second * 1000, second * 1000 + 1000));
        fragment(&mut window, 1, (second * 1000, second * 1000 + 1000));
    }
    let video: &[&str] = &["100: 0-2000", "101: 2000-4000"];
    check(&window, &[video, video, &["100: -86-2005", "101: 2005-4010"]]);
    let view = window.view();
    assert!(view.is_ready() && !view.ended);
    let bytes = view.renditions[1].segment(101).expect("kept");
    assert_eq!(bytes.len(), 2000);
    assert!(view.renditions[0].segment(99).is_none() && view.renditions[0].segment(102).is_none());
}

#[test]
fn a_slower_rendition_cuts_at_the_nearest_fragment() {
    let mut window = window(2, false);
    for (from, to) in [(0, 2000), (2000, 4000), (4000, 6000)] {
        fragment(&mut window, 0, (from, to));
    }
    for (from, to) in [(7, 1100), (1100, 1960), (1960, 3400), (3400, 4500), (4500, 6000)] {
        fragment(&mut window, 1, (from, to));
    }
    check(
        &window,
        &[
            &["100: 0-2000", "101: 2000-4000", "102: 4000-6000"],
            &["100: 7-1960", "101: 1960-4500", "102: 4500-6000"],
        ],
    );
}

#[test]
fn a_fragment_over_several_boundaries_is_one_segment_and_gaps() {
    let mut window = window(2, false);
    for (from, to) in [(0, 2000), (2000, 4000), (4000, 6000)] {
        fragment(&mut window, 0, (from, to));
    }
    fragment(&mut window, 1, (0, 6000));
    let gaps: &[&str] = &["100: 0-2000", "101: 2000-4000 gap", "102: 4000-6000 gap"];
    assert_eq!(listed(&window.view().renditions[1]), gaps);
    assert_eq!(window.left_out(), 0);
}

#[test]
fn a_long_fragment_is_its_own_segment_up_to_the_target_duration() {
    let mut window = window(1, false);
    fragment(&mut window, 0, (0, 7000));
    fragment(&mut window, 0, (7000, 18_500));
    check(&window, &[&["100: 0-7000", "101: 7000-17000"]]);
    fragment(&mut window, 0, (18_500, 20_500));
    check(&window, &[&["100: 0-7000", "101: 7000-17000", "102: 17000-20500"]]);
}

#[test]
fn a_hole_is_listed_as_gaps() {
    let mut window = window(1, true);
    fragment(&mut window, 0, (0, 3000));
    fragment(&mut window, 0, (3000, 4000));
    audio(&mut window, (0, 4000));
    fragment(&mut window, 0, (25_000, 27_000));
    audio(&mut window, (25_000, 27_000));
    check(
        &window,
        &[
            &[
                "100: 0-3000",
                "101: 3000-4000",
                "102: 4000-14000 gap",
                "103: 14000-24000 gap",
                "104: 24000-27000",
            ],
            &[
                "100: 0-3008",
                "101: 3008-4010",
                "102: 4010-14000 gap",
                "103: 14000-24000 gap",
                "104: 24000-27008",
            ],
        ],
    );
}

#[test]
fn audio_after_a_hole_in_its_segment_keeps_its_own_time() {
    let mut window = window(1, true);
    audio(&mut window, (0, 500));
    audio(&mut window, (1000, 2100));
    fragment(&mut window, 0, (0, 2000));
    let view = window.view();
    let segment = view.audio.as_ref().and_then(|output| output.segment(100)).expect("closed");
    let times: Vec<i64> = segment
        .windows(16)
        .filter(|bytes| bytes[..4] == *b"tfdt")
        // ISO/IEC 14496-12 §8.8.12: version 1, 64 bits.
        .map(|bytes| i64::from_be_bytes(bytes[8..].try_into().expect("8 bytes")))
        .collect();
    let on_grid = |millis| (at(millis).as_samples(RATE) + 1023).div_euclid(1024) * 1024;
    assert_eq!(times, [on_grid(0), on_grid(1000)]);
    assert_eq!(&segment[4..8], b"moof");
}

#[test]
fn after_a_day_without_media_all_outputs_meet_again() {
    const DAY: i64 = 86_400_000;
    let mut window = window(2, true);
    audio(&mut window, (0, 2000));
    for (from, to) in [(0, 2000), (DAY, DAY + 2000), (DAY + 2000, DAY + 4000)] {
        fragment(&mut window, 0, (from, to));
        fragment(&mut window, 1, (from, to));
    }
    audio(&mut window, (DAY, DAY + 4000));
    let view = window.view();
    let last = |output: &OutputView| output.segments.last().map(|segment| (segment.sequence, segment.start));
    assert_eq!(last(&view.renditions[0]), last(&view.renditions[1]));
    assert_eq!(last(&view.renditions[0]).map(|(_, start)| start), Some(at(DAY + 2000)));
    let listed = view.outputs().flat_map(|output| &output.segments);
    assert!(listed.map(|segment| segment.duration()).max() <= Some(Ticks::from_millis(10_000)));
}

#[test]
fn silent_audio_is_closed_with_what_is_there_and_then_as_gaps() {
    let mut window = window(1, true);
    audio(&mut window, (0, 1000));
    for second in [0, 2, 4] {
        fragment(&mut window, 0, (second * 1000, second * 1000 + 2000));
    }
    assert!(listed(window.view().audio.as_ref().expect("has audio")).is_empty());
    fragment(&mut window, 0, (6000, 8000));
    fragment(&mut window, 0, (8000, 10_000));
    assert!(listed(window.view().audio.as_ref().expect("has audio")).is_empty(), "it may still come");
    window.handle_silence(at(5000));
    let view = window.view();
    let audio_view = view.audio.as_ref().expect("has audio");
    assert_eq!(listed(audio_view), ["100: 0-2000", "101: 2000-4000 gap"]);
    assert!(playlist::media(&view, audio_view).contains("#EXT-X-GAP\n#EXTINF:2.000000,\n101.m4s\n"));
    // What belongs into a closed segment comes too late; what comes after is taken.
    audio(&mut window, (1100, 1200));
    assert_eq!(window.left_out(), 5);
    audio(&mut window, (9000, 10_100));
    window.handle_silence(at(8000));
    let expected = ["100: 0-2000", "101: 2000-4000 gap", "102: 4000-6000 gap", "103: 6000-8000 gap"];
    assert_eq!(listed(window.view().audio.as_ref().expect("has audio"))[..4], expected);
}

#[test]
fn a_changed_init_breaks_all_outputs_at_one_segment() {
    let mut window = window(2, true);
    audio(&mut window, (0, 3000));
    for rendition in [0, 1] {
        fragment(&mut window, rendition, (0, 2000));
        fragment(&mut window, rendition, (2000, 3000));
    }
    window.handle_init(audio_init(b"init"));
    for rendition in [0, 1] {
        window.handle_init(video_init(rendition, b"other"));
        fragment(&mut window, rendition, (3000, 5000));
    }
    audio(&mut window, (3000, 5000));
    let video: &[&str] = &["100: 0-2000", "101: 2000-3000", "102: 3000-5000 break"];
    check(&window, &[video, video, &["100: 0-2005", "101: 2005-3008", "102: 3008-5013 break"]]);
    let view = window.view();
    assert_eq!(view.renditions[0].init(100).map(AsRef::as_ref), Some(&b"init"[..]));
    assert_eq!(view.renditions[0].init(102).map(AsRef::as_ref), Some(&b"other"[..]));
    assert!(view.renditions[0].init(101).is_none());
}

#[test]
fn an_output_behind_changes_in_the_segment_that_is_decided() {
    let mut window = window(2, false);
    for (from, to) in [(0, 2000), (2000, 4000), (4000, 5000)] {
        fragment(&mut window, 0, (from, to));
    }
    for (from, to) in [(0, 2000), (2000, 3000)] {
        fragment(&mut window, 1, (from, to));
    }
    window.handle_init(video_init(1, b"other"));
    fragment(&mut window, 1, (3000, 6000));
    fragment(&mut window, 0, (5000, 6000));
    check(
        &window,
        &[
            &["100: 0-2000", "101: 2000-4000", "102: 4000-6000 break"],
            &["100: 0-2000", "101: 2000-3000", "102: 3000-6000 break"],
        ],
    );
}

#[test]
fn old_segments_stay_fetchable_and_then_go() {
    let mut window = window(1, false);
    for second in (0..40).step_by(2) {
        fragment(&mut window, 0, (second * 1000, second * 1000 + 2000));
    }
    let view = window.view();
    let kept: Vec<u64> = view.renditions[0].segments.iter().map(|segment| segment.sequence).collect();
    assert_eq!(kept, (112..120).collect::<Vec<_>>());
    assert!(playlist::media(&view, &view.renditions[0]).contains("#EXT-X-MEDIA-SEQUENCE:117\n"));
}

#[test]
fn the_end_flushes_what_is_open() {
    let mut window = window(1, true);
    audio(&mut window, (0, 2900));
    fragment(&mut window, 0, (0, 2000));
    fragment(&mut window, 0, (2000, 2800));
    window.finish();
    fragment(&mut window, 0, (2800, 5000));
    window.finish();
    check(&window, &[&["100: 0-2000", "101: 2000-2800"], &["100: 0-2005", "101: 2005-2901"]]);
    assert!(window.view().ended);
    assert_eq!(window.left_out(), 1);
}

#[test]
fn a_stream_that_ends_before_it_began_has_nothing() {
    let mut window = window(1, true);
    audio(&mut window, (0, 1000));
    window.finish();
    check(&window, &[&[], &[]]);
    assert!(!window.view().is_ready());
}

#[test]
fn audio_alone_is_cut_by_itself() {
    let mut window = window(0, true);
    audio(&mut window, (0, 4500));
    check(&window, &[&["100: 0-2005", "101: 2005-4010"]]);
    audio(&mut window, (20_000, 22_100));
    check(
        &window,
        &[&[
            "100: 0-2005",
            "101: 2005-4010",
            "102: 4010-4501",
            "103: 4501-14501 gap",
            "104: 14501-20010 gap",
            "105: 20010-22016",
        ]],
    );
    let text = multivariant::multivariant(&window.view());
    assert!(
        text.contains("CODECS=\"mp4a.40.2\"\naudio/index.m3u8\n") && !text.contains("EXT-X-MEDIA:"),
        "{text}"
    );
}

#[test]
fn what_does_not_fit_is_left_out_and_counted() {
    let mut window = window(1, true);
    fragment(&mut window, 0, (0, 2000));
    fragment(&mut window, 0, (1000, 3000));
    fragment(&mut window, 7, (2000, 4000));
    window.handle_init(OutputInit { output: OutputId::Rendition(0), ..audio_init(b"wrong") });
    let untimed = AudioSample { decode_time: i64::MAX, samples: 1024, data: Bytes::new() };
    window.handle_audio(untimed);
    assert_eq!(window.left_out(), 4);
    check(&window, &[&["100: 0-2000"], &[]]);
}

#[test]
fn a_rendition_that_falls_silent_costs_bounded_memory() {
    let mut window = window(2, true);
    fragment(&mut window, 1, (0, 1000));
    for second in (0..200).step_by(2) {
        fragment(&mut window, 0, (second * 1000, second * 1000 + 2000));
    }
    let view = window.view();
    assert_eq!(view.renditions[1].segments.len(), settings().kept());
    assert!(view.renditions[1].segments.iter().all(|segment| segment.data.is_none()));
    assert!(window.boundaries.behind(0) <= settings().kept() + 8);
}

/// What may come from a stream, in any order that commits allow.
#[derive(Clone, Debug)]
enum Step {
    Fragment { rendition: u8, hole: i64, length: i64 },
    Audio { hole: i64, units: i64 },
    Init { output: u8, variant: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let hole = prop_oneof![8 => Just(0i64), 1 => 0i64..9000, 1 => 0i64..3_000_000];
    let length = prop_oneof![5 => Just(180_000i64), 5 => 3000i64..400_000, 1 => 1i64..2_000_000];
    prop_oneof![
        6 => (0u8..2, hole.clone(), length)
            .prop_map(|(rendition, hole, length)| Step::Fragment { rendition, hole, length }),
        4 => (hole, 1i64..150).prop_map(|(hole, units)| Step::Audio { hole, units }),
        1 => (0u8..3, any::<bool>()).prop_map(|(output, variant)| Step::Init { output, variant }),
    ]
}

/// What [`run`] leaves behind.
struct Run {
    window: Window,
    /// All segments that were ever listed, an output each.
    seen: Vec<Vec<Arc<crate::hls::Segment>>>,
    /// Positions of the fragments that were taken, a rendition each.
    taken: [Vec<i64>; 2],
}

/// Runs steps, and looks at the view after each.
fn run(steps: Vec<Step>) -> Run {
    let mut window = window(2, true);
    let (mut ends, mut audio_unit) = ([EPOCH; 2], EPOCH / 1920);
    let mut seen = vec![Vec::new(); 3];
    let mut taken = [Vec::new(), Vec::new()];
    for step in steps {
        match step {
            Step::Fragment { rendition, hole, length } => {
                let end = &mut ends[usize::from(rendition)];
                let position = Ticks(*end + hole);
                *end = position.0 + length;
                let fragment = Fragment {
                    rendition,
                    position,
                    end: None,
                    first_presentation: position,
                    last_presentation: position,
                    access_units: 1,
                    data: Bytes::copy_from_slice(&position.0.to_be_bytes()),
                };
                let left_out = window.left_out();
                window.handle_fragment(fragment, Ticks(*end));
                if window.left_out() == left_out {
                    taken[usize::from(rendition)].push(position.0);
                }
            }
            Step::Audio { hole, units } => {
                audio_unit += hole / 1920;
                for unit in audio_unit..audio_unit + units {
                    let data = Bytes::from_static(b"aac");
                    window.handle_audio(AudioSample { decode_time: unit * 1024, samples: 1024, data });
                }
                audio_unit += units;
            }
            Step::Init { output, variant } => {
                let bytes: &[u8] = if variant { b"init" } else { b"other" };
                window.handle_init(if output == 2 { audio_init(bytes) } else { video_init(output, bytes) });
            }
        }
        gather(&window, &mut seen);
    }
    window.finish();
    gather(&window, &mut seen);
    Run { window, seen, taken }
}

fn gather(window: &Window, seen: &mut [Vec<Arc<crate::hls::Segment>>]) {
    for (seen, output) in seen.iter_mut().zip(window.view().outputs()) {
        let last = seen.last().map(|segment| segment.sequence);
        seen.extend(
            output.segments.iter().filter(|new| last.is_none_or(|last| new.sequence > last)).cloned(),
        );
    }
}

proptest! {
    #[test]
    fn sequences_are_equal_and_durations_tile_the_timeline(steps in prop::collection::vec(step(), 1..60)) {
        let inits = steps.iter().filter(|step| matches!(step, Step::Init { .. })).count() as u64;
        let Run { window, seen, .. } = run(steps);
        for output in &seen {
            // A burst longer than what is kept is seen in part only; what is seen is gapless in numbers and time.
            for pair in output.windows(2).filter(|pair| pair[0].sequence + 1 == pair[1].sequence) {
                prop_assert_eq!(pair[0].end, pair[1].start);
                prop_assert_eq!(pair[0].discontinuities_before + u64::from(pair[0].discontinuity), pair[1].discontinuities_before);
            }
            let longest = output.iter().map(|segment| segment.duration()).max();
            prop_assert!(longest <= Some(settings().max_segment_duration), "{:?}", longest);
            let covered: i64 = output.iter().map(|segment| segment.duration().0).sum();
            if let (Some(first), Some(last)) = (output.first(), output.last())
                && last.sequence - first.sequence + 1 == output.len() as u64
            {
                prop_assert_eq!(covered, (last.end - first.start).0);
            }
        }
        // All have the same segments, but that an output without media in the last one does not have it; another init
        // segment closes one too.
        let before = settings().first_sequence - 1;
        let lasts: Vec<_> =
            seen.iter().map(|output| output.last().map_or(before, |segment| segment.sequence)).collect();
        let newest = lasts.iter().copied().max().unwrap_or(before);
        prop_assert!(lasts.iter().all(|last| newest - last <= 1 + inits), "{:?}", lasts);
        let view = window.view();
        prop_assert!(view.outputs().all(|output| output.segments.len() <= settings().kept()));
    }

    #[test]
    fn no_fragment_is_in_two_segments_and_each_taken_one_is_in_one(steps in prop::collection::vec(step(), 1..25)) {
        let Run { seen, taken, .. } = run(steps);
        for (output, taken) in seen.iter().zip(taken) {
            let positions: Vec<i64> = output
                .iter()
                .filter_map(|segment| segment.data.as_ref())
                .flat_map(|data| data.chunks_exact(8))
                .map(|bytes| i64::from_be_bytes(bytes.try_into().expect("8 bytes")))
                .collect();
            prop_assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", positions);
            // A burst longer than what is kept is seen in part only.
            let all_seen = output.first().is_none_or(|first| first.sequence == settings().first_sequence)
                && output.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence);
            if all_seen {
                prop_assert_eq!(positions, taken);
            }
        }
    }

    #[test]
    fn hostile_times_never_panic(times in prop::collection::vec((any::<i64>(), any::<i64>(), 0u8..3), 1..40)) {
        let mut window = window(2, true);
        for (position, end, rendition) in times {
            let ticks = Ticks(position);
            let fragment = Fragment {
                rendition, position: ticks, end: None, first_presentation: ticks, last_presentation: ticks,
                access_units: u32::MAX, data: Bytes::from_static(b"x"),
            };
            window.handle_fragment(fragment, Ticks(end));
            window.handle_audio(AudioSample { decode_time: end, samples: u32::MAX, data: Bytes::new() });
        }
        window.finish();
        let view = window.view();
        for output in view.outputs() {
            prop_assert!(playlist::media(&view, output).ends_with("#EXT-X-ENDLIST\n"));
        }
        prop_assert!(multivariant::multivariant(&view).starts_with("#EXTM3U\n"));
    }
}
