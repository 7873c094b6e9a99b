//! How an attempt is fed: order, window, and the end of input.

use proptest::prelude::*;

use super::*;
use crate::media::gop::GopLogLimits;
use crate::media::track::TrackKind;
use crate::stream::example::{append_gop, at, log, name, section, unit};

/// Inputs of the preamble of a section with both tracks: the file header and two tags.
const PREAMBLE: usize = 3;

struct Scene {
    attempt: Attempt,
    log: GopLog,
    section: Section,
    commands: VecDeque<Command>,
}

impl Scene {
    /// An attempt at the beginning of `log`.
    fn new(log: GopLog) -> Self {
        let cursor = log.cursor_at(0);
        let start = Start { cursor, position: at(0), base: at(-1_000), earliest: at(0), first_audio: None };
        let attempt =
            Attempt::new(3, SectionId(1), start, vec![Output::Rendition(0)], crate::base::clock::now());
        Self { attempt, log, section: section(1, 60_000), commands: VecDeque::new() }
    }

    fn attached(log: GopLog) -> Self {
        let mut scene = Self::new(log);
        let now = crate::base::clock::now();
        scene.attempt.attach(&scene.section, &Unheard::default(), &mut scene.commands, now);
        scene
    }

    fn feed(&mut self) -> Fed {
        self.attempt.feed(&self.log, &self.section, &mut self.commands, crate::base::clock::now())
    }

    /// Everything sent since the last call.
    fn sent(&mut self) -> Vec<LeaseInput> {
        let input = |command| {
            let Command::Feed { attempt: 3, input } = command else { panic!("an attempt only feeds") };
            input
        };
        self.commands.drain(..).map(input).collect()
    }
}

fn long_log() -> GopLog {
    let mut log = log();
    append_gop(&mut log, 1, 0, 50_000);
    log
}

#[test]
fn what_is_unheard_goes_before_the_log() {
    let mut scene = Scene::new(long_log());
    let mut sounding = log();
    append_gop(&mut sounding, 1, -900, 0);
    sounding.append(unit(TrackKind::Audio, -500, false), SectionId(1));
    append_gop(&mut sounding, 1, 0, 1_000);
    let mut unheard = Unheard::default();
    unheard.handle_release(&sounding, SectionId(1), 1, &Default::default());
    scene.attempt.attach(&scene.section, &unheard, &mut scene.commands, crate::base::clock::now());
    scene.feed();
    let expected = Section::tag(&unit(TrackKind::Audio, -500, false), at(-1_000)).map(LeaseInput::Media);
    assert_eq!(scene.sent().get(PREAMBLE), expected.as_ref());
}

#[test]
fn nothing_is_sent_before_the_connection_stands() {
    let mut scene = Scene::new(long_log());
    for stage in [Stage::Requested, Stage::Placed] {
        scene.attempt.stage = stage;
        assert_eq!((scene.feed(), scene.sent()), (Fed::Enough, vec![]));
    }
}

#[test]
fn the_preamble_goes_first_and_times_are_relative_to_the_base() {
    let mut log = log();
    append_gop(&mut log, 1, 0, 200);
    let mut scene = Scene::attached(log);
    scene.feed();
    let base = at(-1_000);
    let tags = [(0, true), (100, false)]
        .into_iter()
        .filter_map(|(at, key)| Section::tag(&unit(TrackKind::Video, at, key), base));
    let expected: Vec<_> = scene.section.preamble().into_iter().chain(tags).map(LeaseInput::Media).collect();
    assert_eq!((expected.len(), scene.sent()), (PREAMBLE + 2, expected));
    assert_eq!((scene.feed(), scene.sent().len()), (Fed::Enough, 0), "it has caught up");
}

#[test]
fn the_window_bounds_inputs_and_what_was_written_opens_it() {
    let mut scene = Scene::attached(long_log());
    scene.feed();
    assert_eq!(scene.sent().len(), WINDOW_INPUTS);
    for written in [0, 1, 2, 1, 6] {
        scene.attempt.handle_written(written);
        scene.feed();
        assert_eq!(scene.sent().len(), written, "one for each that was written");
    }
}

#[test]
fn the_window_bounds_bytes_unless_one_access_unit_is_larger() {
    let mut log = log();
    for millis in 0..4 {
        let mut large = unit(TrackKind::Video, millis, millis == 0);
        large.payload = vec![0; WINDOW_BYTES + 1].into();
        log.append(large, SectionId(1));
    }
    let mut scene = Scene::attached(log);
    scene.feed();
    assert_eq!(scene.sent().len(), PREAMBLE + 1);
    scene.attempt.handle_written(PREAMBLE);
    scene.feed();
    assert_eq!(scene.sent().len(), 0, "the large one is still on its way");
    scene.attempt.handle_written(1);
    scene.feed();
    assert_eq!(scene.sent().len(), 1);
}

#[test]
fn a_link_that_acknowledges_more_than_was_sent_changes_nothing() {
    let mut scene = Scene::attached(long_log());
    scene.attempt.handle_written(usize::MAX);
    scene.feed();
    assert_eq!(scene.sent().len(), PREAMBLE + WINDOW_INPUTS);
    assert_eq!(scene.attempt.in_flight_bytes, scene.attempt.sizes.iter().sum::<usize>());
}

/// Expects one end of input after everything, and nothing after it.
#[track_caller]
fn check_end(mut scene: Scene) {
    assert_eq!(scene.feed(), Fed::Enough);
    let sent = scene.sent();
    assert_eq!(sent.last(), Some(&LeaseInput::EndOfInput));
    assert_eq!(sent.len(), PREAMBLE + 3 + 1);
    assert_eq!(scene.attempt.stage, Stage::Finishing);
    assert_eq!((scene.feed(), scene.sent()), (Fed::Enough, vec![]), "once");
}

#[test]
fn a_closed_section_ends_the_input_once() {
    let mut log = log();
    append_gop(&mut log, 1, 0, 300);
    let mut scene = Scene::attached(log);
    scene.section.closed = Some(crate::base::clock::now());
    check_end(scene);
}

#[test]
fn the_next_section_in_the_log_ends_the_input_too() {
    let mut log = log();
    append_gop(&mut log, 1, 0, 300);
    append_gop(&mut log, 2, 300, 600);
    check_end(Scene::attached(log));
}

#[test]
fn what_the_log_has_lost_is_told() {
    let mut log = GopLog::new(GopLogLimits { max_duration: at(500), max_bytes: 1 << 20 });
    (0..3).for_each(|gop| append_gop(&mut log, 1, gop * 400, gop * 400 + 400));
    let mut scene = Scene::attached(log);
    assert_eq!(scene.feed(), Fed::FellOff);
    assert_eq!(scene.sent().len(), PREAMBLE);
}

#[test]
fn the_configuration_of_each_output_is_kept_until_the_next() {
    let mut attempt = Scene::new(log()).attempt;
    let init = |output, segment: &'static [u8]| OutputInit {
        output,
        configuration: crate::wire::message::OutputConfiguration::Audio(crate::stream::example::audio()),
        segment: segment.into(),
    };
    attempt.keep_init(init(Output::Rendition(0), b"one"));
    attempt.keep_init(init(Output::Audio, b"two"));
    attempt.keep_init(init(Output::Rendition(0), b"three"));
    let segment = |output| attempt.init(output).map(|init| init.segment.clone());
    assert_eq!(segment(Output::Rendition(0)), Some("three".into()));
    assert_eq!(segment(Output::Audio), Some("two".into()));
    assert_eq!(segment(Output::Rendition(1)), None);
    attempt.node = Some(name("n1"));
}

proptest! {
    /// However the link acknowledges: the window holds, and all access units come in order.
    #[test]
    fn any_acknowledgement_keeps_window_and_order(acknowledged in prop::collection::vec(0usize..80, 0..60)) {
        let mut scene = Scene::attached(long_log());
        let mut sent = Vec::new();
        for written in acknowledged {
            prop_assert_eq!(scene.feed(), Fed::Enough);
            prop_assert!(scene.attempt.sizes.len() <= WINDOW_INPUTS);
            prop_assert_eq!(scene.attempt.in_flight_bytes, scene.attempt.sizes.iter().sum::<usize>());
            sent.extend(scene.sent());
            scene.attempt.handle_written(written);
        }
        for (index, tag) in sent.get(PREAMBLE..).unwrap_or_default().iter().enumerate() {
            let millis = i64::try_from(index).expect("small") * 100;
            let unit = unit(TrackKind::Video, millis, index == 0);
            let expected = Section::tag(&unit, at(-1_000)).map(LeaseInput::Media);
            prop_assert_eq!(Some(tag), expected.as_ref());
        }
    }
}
