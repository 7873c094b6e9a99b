//! Sources and FFmpegs of a test's own, on a clock that it moves.

use super::*;
use crate::base::clock;
use proptest::prelude::*;

const OUTPUTS: [Output; 3] = [Output::Rendition(0), Output::Rendition(1), Output::Audio];

/// What happens to a lease, in order.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Milliseconds pass.
    Pass(u64),
    Waiting,
    Input,
    Picture(i64),
    Sound(i64),
    Made(Output, i64),
    /// Microseconds.
    Report(i64),
}

use Event::{Input, Made as Out, Pass, Picture, Report, Sound, Waiting};

/// The lease after these events, and the time then.
fn after(events: &[Event]) -> (Flow, Instant) {
    let (mut flow, mut now) = (Flow::new(&OUTPUTS), clock::now());
    for &event in events {
        match event {
            Pass(millis) => now += Duration::from_millis(millis),
            Waiting => flow.handle_waiting(now),
            Input => flow.handle_input(now),
            Picture(time) => flow.handle_given(TagKind::Video, time),
            Sound(time) => flow.handle_given(TagKind::Audio, time),
            Out(output, end) => flow.handle_made(output, end),
            Report(micros) => flow.handle_report(micros, now),
        }
    }
    (flow, now)
}

const A: Output = Output::Rendition(0);
const B: Output = Output::Rendition(1);

#[test]
fn lag_is_that_of_the_output_that_is_furthest_behind() {
    let check = |events: &[Event], expected| {
        let (flow, now) = after(events);
        assert_eq!(flow.lag_ms(now), expected, "{events:?}");
    };
    check(&[], None);
    check(&[Picture(0), Sound(0)], None);
    let both =
        [Picture(0), Sound(0), Picture(900), Sound(880), Out(A, 700), Out(B, 500), Out(Output::Audio, 850)];
    check(&both, Some(400));
    // An output that has not begun is behind by all there is.
    check(&both[..5], Some(900));
    // A picture that comes before an earlier one, and one beyond what was given in decoding order.
    check(&[&both[..], &[Out(B, 950), Out(A, 950), Out(A, 910)]].concat(), Some(30));
    check(&[&both[..], &[Out(B, 990), Out(A, 990), Out(Output::Audio, 990)]].concat(), Some(0));
}

#[test]
fn sound_that_pauses_does_not_lag_behind_pictures() {
    let (flow, now) =
        after(&[Sound(0), Picture(0), Out(Output::Audio, 0), Out(A, 0), Out(B, 0), Picture(9000)]);
    assert_eq!(flow.lag_ms(now), Some(9000));
    let (flow, now) = after(&[Sound(0), Picture(9000), Out(Output::Audio, 0), Out(A, 9000), Out(B, 9000)]);
    assert_eq!(flow.lag_ms(now), Some(0));
    // Announced, and never heard.
    let (flow, now) = after(&[Picture(0), Picture(500), Out(A, 400), Out(B, 400)]);
    assert_eq!(flow.lag_ms(now), Some(100));
}

#[test]
fn input_that_ffmpeg_does_not_take_counts() {
    let begun = [Waiting, Input, Picture(0), Out(A, 0), Out(B, 0), Waiting, Pass(40), Input, Picture(40)];
    let check = |more: &[Event], expected| {
        let (flow, now) = after(&[&begun[..], more].concat());
        assert_eq!(flow.lag_ms(now), Some(expected), "{more:?}");
    };
    // Live, each picture as it comes.
    check(&[Out(A, 40), Out(B, 40), Waiting], 0);
    // Half as fast as the source for ten seconds: five of them wait.
    check(&[Pass(10_000), Picture(5040), Out(A, 5040), Out(B, 5040)], 4960);
    // It catches up.
    let caught = [Pass(10_000), Picture(10_040), Out(A, 10_040), Out(B, 10_040), Waiting];
    check(&caught, 0);
    // The source pauses then.
    check(&[&caught[..], &[Pass(60_000)]].concat(), 0);
    check(&[&caught[..], &[Pass(60_000), Input]].concat(), 0);
    // A replay is given faster than time passes.
    check(&[Pass(1000), Picture(20_000), Out(A, 19_000), Out(B, 18_500)], 1500);
}

#[test]
fn waiting_is_more_than_a_second_behind_or_not_begun() {
    let check = |events: &[Event], expected| {
        let (flow, now) = after(events);
        assert_eq!(flow.is_behind(now), expected, "{events:?}");
    };
    check(&[], true);
    check(&[Picture(0)], true);
    check(&[Picture(0), Out(A, 0), Out(B, 0), Picture(1000)], false);
    check(&[Picture(0), Out(A, 0), Out(B, 0), Picture(1001)], true);
}

/// Reports every 100 ms for `seconds`, of an FFmpeg this fast that began at `from_us`.
fn reports(from_us: i64, seconds: i64, percent: i64) -> Vec<Event> {
    (0..seconds * 10).flat_map(|tick| [Pass(100), Report(from_us + (tick + 1) * 1000 * percent)]).collect()
}

fn check_speed(events: &[Event], expected: Option<f64>) {
    let (flow, now) = after(events);
    let speed = flow.speed(now);
    let near = match (speed, expected) {
        (Some(speed), Some(expected)) => (speed - expected).abs() < 0.02,
        (speed, expected) => speed == expected,
    };
    assert!(near, "{speed:?} {expected:?}");
}

#[test]
fn speed_is_that_of_the_last_seconds() {
    check_speed(&[], None);
    check_speed(&[Input, Report(0), Pass(900), Report(900_000)], None);
    check_speed(&[vec![Input], reports(0, 2, 150)].concat(), Some(1.5));
    check_speed(&[vec![Input], reports(0, 3600, 100), reports(3_600_000_000, 4, 70)].concat(), Some(0.7));
    check_speed(&[vec![Input], reports(0, 10, 90), reports(9_000_000, 4, 800)].concat(), Some(8.0));
}

#[test]
fn an_ffmpeg_that_hangs_has_no_speed() {
    check_speed(&[vec![Input, Picture(0)], reports(0, 10, 100), vec![Pass(60_000)]].concat(), Some(0.05));
    check_speed(&[Input, Report(0), Pass(1000), Report(-5_000_000)], Some(0.0));
}

#[test]
fn a_source_that_pauses_makes_no_ffmpeg_slow() {
    let caught = vec![Picture(0), Out(A, 0), Out(B, 0), Waiting];
    let live = [caught.clone(), reports(0, 10, 100)].concat();
    check_speed(&live, Some(1.0));
    check_speed(&[live.clone(), vec![Pass(2000)]].concat(), None);
    check_speed(&[live.clone(), reports(10_000_000, 4, 50)].concat(), None);
    // It waits for nothing, and gets slower: that is its own doing.
    let pressed = [live.clone(), vec![Input, Pass(1100)], reports(10_000_000, 4, 50)].concat();
    check_speed(&pressed, Some(0.5));
    // Behind by what it holds itself.
    check_speed(&[live, vec![Picture(9000)], reports(10_000_000, 4, 50)].concat(), Some(0.5));
}

fn event() -> impl Strategy<Value = Event> {
    let output = prop::sample::select(OUTPUTS.to_vec());
    prop_oneof![
        (0_u64..5000).prop_map(Pass),
        Just(Waiting),
        Just(Input),
        any::<i64>().prop_map(Picture),
        any::<i64>().prop_map(Sound),
        (output, any::<i64>()).prop_map(|(output, end)| Out(output, end)),
        any::<i64>().prop_map(Report),
    ]
}

proptest! {
    #[test]
    fn any_course_is_told_in_bounds(events in prop::collection::vec(event(), 0..300)) {
        let (flow, now) = after(&events);
        let sane = flow.speed(now).is_none_or(|speed| speed.is_finite() && speed >= 0.0);
        prop_assert!(sane && flow.reports.len() <= MAX_REPORTS + 1);
        let _ = (flow.lag_ms(now), flow.is_behind(now));
    }
}
