//! What attempts bring, what of it is committed, and what fails them.

mod commit;
mod failover;
mod hedge;

use proptest::prelude::*;

use super::wanted::{AAC_RATE, AAC_SAMPLES};
use super::*;
use crate::ffmpeg::ladder::AudioOutput;
use crate::stream::command::{AttemptFailure, Purpose, Redundancy, Standing, Wanted};
use crate::stream::example::{append_gop, at, audio, ladder, log, name, section, settings, video};
use crate::stream::source::SourceMedia;
use crate::wire::message::{
    AttemptEnd, AudioUnit, Fragment, LeaseOutput, OutputConfiguration, OutputInit, Progress,
};

const LONGEST_WAIT: Duration = Duration::from_secs(5);

fn delivery(ladder: Arc<Ladder>, redundancy: Redundancy) -> Delivery {
    Delivery::new(ladder, &StreamSettings { redundancy, ..settings() }, LONGEST_WAIT)
}

/// A delivery with a section of three GOPs of a second each.
struct Scene {
    delivery: Delivery,
    log: GopLog,
    section: Section,
    now: Instant,
}

impl Scene {
    /// Nothing has been asked for.
    fn new() -> Self {
        Self::with(Redundancy::One)
    }

    fn with(redundancy: Redundancy) -> Self {
        let mut log = log();
        (0..3).for_each(|gop| append_gop(&mut log, 1, gop * 1_000, gop * 1_000 + 1_000));
        let mut delivery = delivery(ladder(), redundancy);
        let section = section(1, 3_000);
        delivery.begin_section(&section);
        assert_eq!(show(&std::iter::from_fn(|| delivery.next_command()).collect::<Vec<_>>()), "begin:Both");
        Self { delivery, log, section, now: crate::base::clock::now() }
    }

    /// Attempt 1 runs on node `n1`, and the commands so far are forgotten.
    fn running() -> Self {
        let mut scene = Self::new();
        scene.run("n1");
        scene
    }

    fn advance(&mut self) {
        self.delivery.advance(&self.log, &self.section, self.now);
    }

    /// Places and attaches the next attempt.
    fn run(&mut self, node: &str) {
        self.advance();
        let number = self.delivery.attempts;
        self.delivery.handle_placed(number, name(node), self.now);
        self.delivery.handle_attached(number, &self.section, self.now);
        self.advance();
        self.commands();
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.delivery.next_command()).collect()
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// The attempt with the last number says this.
    fn output(&mut self, output: LeaseOutput) -> Outcome {
        self.output_of(self.delivery.attempts, output)
    }

    fn output_of(&mut self, number: u32, output: LeaseOutput) -> Outcome {
        self.delivery.handle_output(number, output, &self.section, self.now)
    }

    /// The attempt brings configuration and fragment of each rendition, from `from` to `to`.
    fn bring(&mut self, from: i64, to: i64) {
        self.bring_of(self.delivery.attempts, from, to);
    }

    fn bring_of(&mut self, number: u32, from: i64, to: i64) {
        for rendition in 0..2 {
            self.output_of(number, init(Output::Rendition(rendition), "video"));
            self.output_of(number, LeaseOutput::Fragment(fragment(rendition, from, Some(to))));
        }
    }

    fn fail(&mut self, node: Option<&str>, reason: Reason) {
        self.fail_attempt(self.delivery.attempts, node, reason);
    }

    fn fail_attempt(&mut self, attempt: u32, node: Option<&str>, reason: Reason) {
        let failure = AttemptFailure { attempt, node: node.map(name), reason, detail: "why".into() };
        self.delivery.handle_failed(failure, self.now);
    }

    fn close(&mut self) {
        self.section.closed = Some(self.now);
        self.advance();
    }
}

fn init(output: Output, segment: &'static str) -> LeaseOutput {
    let configuration = match output {
        Output::Rendition(_) => OutputConfiguration::Video(video()),
        Output::Audio => OutputConfiguration::Audio(audio()),
    };
    LeaseOutput::Init(OutputInit { output, configuration, segment: segment.into() })
}

/// Ten pictures.
fn fragment(rendition: u8, from: i64, to: Option<i64>) -> Fragment {
    Fragment {
        rendition,
        position: at(from),
        end: to.map(at),
        first_presentation: at(from),
        last_presentation: at(to.unwrap_or(from + 1_000) - 100),
        access_units: 10,
        data: Bytes::from_static(b"moof"),
    }
}

fn sound(millis: i64) -> LeaseOutput {
    LeaseOutput::AudioUnit(AudioUnit { presentation_time: at(millis), data: Bytes::from_static(b"aac") })
}

fn ended(reason: Reason) -> LeaseOutput {
    LeaseOutput::Ended(AttemptEnd { reason, detail: "words".into() })
}

/// The commands in one word each.
fn show(commands: &[Command]) -> String {
    let word = |command: &Command| match command {
        Command::Place(wanted) => format!("place{}", wanted.spec.number),
        Command::Feed { .. } => "feed".to_owned(),
        Command::Cancel { attempt, reason } => format!("cancel{attempt}:{reason}"),
        Command::Commit(Commit::SectionBegins(tracks)) => format!("begin:{tracks:?}"),
        Command::Commit(Commit::AudioSilent { until }) => format!("silent@{}", until.as_millis()),
        Command::Commit(Commit::Init(init)) => match init.output {
            Output::Rendition(rendition) => format!("init{rendition}"),
            Output::Audio => "init-audio".to_owned(),
        },
        Command::Commit(Commit::Fragment { fragment, end }) => {
            format!("{}@{}-{}", fragment.rendition, fragment.position.as_millis(), end.as_millis())
        }
        Command::Commit(Commit::Audio { place, .. }) => format!("audio@{}", place.decode_time),
        Command::ClosePublisher { .. } => "close".to_owned(),
        Command::Finish { .. } => "finish".to_owned(),
    };
    commands.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn encoded_audio_is_waited_for_because_its_grid_must_be_known() {
    let asked = |audio: AudioOutput, source_end: i64, last_audio: Option<i64>, closed: bool| {
        let mut scene = Scene::new();
        let ladder = Ladder { audio, ..(*ladder()).clone() };
        scene.delivery = delivery(Arc::new(ladder), Redundancy::One);
        scene.section.source_end = at(source_end);
        scene.section.last_audio = last_audio.map(at);
        scene.section.closed = closed.then_some(scene.now);
        scene.advance();
        !scene.delivery.running.is_empty()
    };
    let aac = AudioOutput::Aac { bitrate: crate::base::units::Bitrate::kilobits(128) };
    assert!(!asked(aac, 499, None, false));
    assert!(asked(aac, 500, None, false) && asked(aac, 499, Some(0), false) && asked(aac, 499, None, true));
    assert!(asked(AudioOutput::Copy, 40, None, false));
}

#[test]
fn an_attempt_is_asked_for_once_and_only_with_something_to_read() {
    let mut scene = Scene::new();
    scene.advance();
    scene.advance();
    assert_eq!(show(&scene.commands()), "place1");
    let mut empty = Scene { log: log(), ..Scene::new() };
    empty.advance();
    assert_eq!(show(&empty.commands()), "");
}

#[test]
fn a_spec_says_what_is_in_the_section() {
    let mut scene = Scene::new();
    scene.section.audio = None;
    scene.advance();
    let [Command::Place(wanted)] = &scene.commands()[..] else { panic!("no attempt") };
    let Wanted { spec, reads, prefer_not, .. } = wanted.as_ref();
    assert_eq!((spec.number, spec.has_video, spec.has_audio, spec.base), (1, true, false, at(-1_001_000)));
    assert_eq!((&spec.ladder, prefer_not.len()), (ladder().as_ref(), 0));
    assert_eq!(*reads, scene.section.reads);
}

/// Expects the next attempt to be asked for with so much to replay.
#[track_caller]
fn check_wanted(scene: &mut Scene, standing: Standing, replay_ms: u64) {
    scene.advance();
    let commands = scene.commands();
    let wanted = commands.iter().find_map(|command| match command {
        Command::Place(wanted) => Some(wanted),
        Command::Feed { .. }
        | Command::Cancel { .. }
        | Command::Commit(_)
        | Command::ClosePublisher { .. }
        | Command::Finish { .. } => None,
    });
    let wanted = wanted.expect("an attempt is asked for");
    assert_eq!((wanted.standing, wanted.replay), (standing, Duration::from_millis(replay_ms)));
    assert_eq!(wanted.source, SourceMedia::of(&scene.section, &scene.log));
}

#[test]
fn what_waits_for_an_attempt_and_whether_anyone_misses_it_is_told() {
    let mut scene = Scene::new();
    check_wanted(&mut scene, Standing::New, 3_000);
    scene.fail(None, Reason::NoNode);
    scene.wait(10_000);
    check_wanted(&mut scene, Standing::New, 3_000);
    let mut scene = Scene::running();
    scene.section.audio = None;
    scene.bring(0, 1_000);
    scene.bring(1_000, 2_000);
    scene.fail(None, Reason::NodeLost);
    // The GOP at 2,000 is open, and the one before it is the warm-up.
    check_wanted(&mut scene, Standing::Running, 2_000);
}

#[track_caller]
fn check_max_gop(frame_rate: Option<f64>, seconds: u64, expected: u32) {
    let mut scene = Scene::new();
    let max_segment_duration = Duration::from_secs(seconds);
    let settings = StreamSettings { max_segment_duration, ..settings() };
    scene.delivery = Delivery::new(ladder(), &settings, LONGEST_WAIT);
    scene.section.frame_rate = frame_rate;
    let start = scene.delivery.committed(&scene.section).start(&scene.log, &scene.section).unwrap();
    let spec = scene.delivery.spec(&scene.section, &start);
    assert_eq!(spec.max_gop_access_units(&spec.ladder.renditions[0]), expected);
}

#[test]
fn long_gops_are_cut_by_the_pictures_in_the_longest_segment() {
    check_max_gop(Some(25.0), 10, 250);
    check_max_gop(Some(29.97), 10, 299);
    check_max_gop(None, 10, 100);
    check_max_gop(Some(0.01), 10, 1);
    check_max_gop(Some(1_000.0), 1_000, 100_000);
}

proptest! {
    /// Encoded audio begins on one grid, wherever an attempt begins: at most one access unit before its input.
    #[test]
    fn encoded_audio_begins_on_the_streams_grid(
        earliest in -1_000_000i64..200_000_000_000_000,
        audio_after in proptest::option::of(0i64..200_000),
        last_audio in proptest::option::of(0i64..200_000),
    ) {
        let (position, earliest) = (Ticks(earliest), Ticks(earliest));
        let base = super::super::resume::base_before(earliest);
        prop_assert_eq!(base.0 % (1001 * 90_000), 0);
        prop_assert!(earliest - base >= super::super::resume::LEAD && earliest - base < Ticks::from_millis(1_002_000));
        let cursor = log().cursor_at(0);
        let first_audio = audio_after.map(|after| earliest + Ticks(after));
        let start = Start { cursor, position, base, earliest, first_audio };
        let mut scene = Scene::new();
        scene.section.last_audio = last_audio.map(|after| earliest + Ticks(after));
        let audio = scene.delivery.spec(&scene.section, &start).audio_start;
        let sample = audio.first_sample + base.as_samples(AAC_RATE);
        prop_assert_eq!(sample.rem_euclid(AAC_SAMPLES), 0);
        let before = first_audio.unwrap_or(earliest).as_samples(AAC_RATE) - sample;
        prop_assert!((0..AAC_SAMPLES).contains(&before));
        prop_assert!(audio.first_sample >= 0, "within the lead");
        // A unit's place is the same sample, whatever base it is told from.
        let unit = first_audio.or(scene.section.last_audio).map(|unit| unit.as_samples(48_000));
        let told = audio.source.map(|source| source.first + base.as_samples(source.rate));
        prop_assert_eq!(told, unit);
        prop_assert!(audio.source.is_none_or(|source| (source.rate, source.access_unit) == (48_000, 1024)));
    }
}

#[test]
fn an_attempt_that_stops_is_cancelled_and_nothing_of_it_counts() {
    let mut scene = Scene::running();
    scene.delivery.stop(Reason::Ended);
    scene.delivery.stop(Reason::Ended);
    assert_eq!(show(&scene.commands()), "cancel1:ended");
    scene.bring(0, 1_000);
    assert_eq!(show(&scene.commands()), "");
    assert_eq!(scene.delivery.failovers.shown(), None);
}

#[test]
fn what_is_committed_leaves_the_log_but_for_the_warm_up() {
    let mut scene = Scene::running();
    scene.section.audio = None;
    scene.bring(0, 1_000);
    scene.bring(1_000, 2_000);
    let Scene { delivery, log, section, .. } = &mut scene;
    delivery.release(log, section);
    assert_eq!(log.gops().map(crate::media::gop::Gop::number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(delivery.committed_end(), Some(at(2_000)));
}
