//! Which attempts run beside each other: suspicion, moves, and two at all times.

use super::*;
use crate::stream::attempt::{SOUND_AHEAD, Trust};

/// How long the floor of patience is in tests.
const SUSPECT: u64 = 750;

impl Scene {
    /// Attempt `number` says how far its first rendition has come, and its second.
    fn progress(&mut self, number: u32, millis: i64) {
        for rendition in 0..2 {
            let (output, position) = (Output::Rendition(rendition), at(millis));
            self.output_of(number, LeaseOutput::Progress(Progress { output, position }));
        }
    }

    /// The publisher goes on to so many milliseconds, and what there is is fed.
    fn source_to(&mut self, millis: i64) {
        append_gop(&mut self.log, 1, self.section.source_end.as_millis(), millis);
        self.section.source_end = at(millis);
        self.advance();
    }

    /// Time passes up to each deadline on the way.
    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.delivery.next_deadline().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline that has passed is asked for again");
            self.now = at;
            self.delivery.handle_deadline(at);
            self.advance();
            assert_ne!(self.delivery.next_deadline(), Some(at), "it would spin");
        }
        self.now = end;
    }

    /// A node takes attempt `number`.
    fn attach(&mut self, number: u32, node: &str) {
        self.delivery.handle_placed(number, name(node), self.now);
        self.delivery.handle_attached(number, &self.section, self.now);
        self.advance();
    }

    /// The commands, without what is fed and committed.
    fn orders(&mut self) -> String {
        let is_order = |command: &Command| matches!(command, Command::Place(_) | Command::Cancel { .. });
        let orders: Vec<Command> = self.commands().into_iter().filter(is_order).collect();
        show(&orders)
    }

    fn wanted(&mut self) -> Wanted {
        let commands = self.commands();
        let wanted = commands.into_iter().find_map(|command| match command {
            Command::Place(wanted) => Some(*wanted),
            Command::Feed { .. }
            | Command::Cancel { .. }
            | Command::Commit(_)
            | Command::ClosePublisher { .. }
            | Command::Finish { .. } => None,
        });
        wanted.expect("an attempt is asked for")
    }

    /// Attempt 1 runs on `n1`, has brought the first GOP, and answers.
    fn answering() -> Self {
        let mut scene = Self::new();
        scene.section.audio = None;
        scene.run("n1");
        scene.bring(0, 1_000);
        scene.progress(1, 2_900);
        scene.commands();
        scene
    }

    /// The same, and it has said nothing since 1 s more was fed: attempt 2 is asked for.
    fn hedged() -> Self {
        let mut scene = Self::answering();
        scene.source_to(4_000);
        scene.pass(SUSPECT);
        scene
    }
}

#[test]
fn an_attempt_that_owes_an_answer_gets_a_second_one_beside_it() {
    let mut scene = Scene::answering();
    scene.source_to(4_000);
    scene.pass(SUSPECT - 1);
    assert_eq!(scene.orders(), "");
    scene.pass(1);
    let wanted = scene.wanted();
    assert_eq!((wanted.spec.number, wanted.purpose), (2, Purpose::Hedge));
    assert_eq!((wanted.prefer_not, wanted.exclude), (vec![name("n1")], Vec::new()));
    assert_eq!(scene.delivery.running.len(), 2);
    assert_eq!(scene.delivery.failovers.shown(), None, "it may come back");
}

#[test]
fn without_input_nothing_is_owed() {
    let mut scene = Scene::answering();
    scene.pass(60_000);
    assert_eq!(scene.orders(), "");
}

#[test]
fn the_second_attempt_wins_and_the_first_is_ended_once_it_is_level() {
    let mut scene = Scene::hedged();
    scene.attach(2, "n2");
    scene.orders();
    scene.pass(400);
    scene.bring(0, 1_000);
    assert_eq!(scene.orders(), "", "it has brought nothing new");
    scene.output(LeaseOutput::Fragment(fragment(0, 1_000, Some(2_000))));
    assert_eq!(scene.orders(), "cancel1:superseded", "it has all that is committed of the other one too");
    let failover = scene.delivery.failovers.shown().cloned().expect("one was replaced");
    assert_eq!((failover.from, failover.to), (Some(name("n1")), Some(name("n2"))));
    assert_eq!(failover.cause, Reason::Stalled);
    assert_eq!(failover.detection, Duration::from_millis(SUSPECT));
    assert_eq!(failover.recovery, Some(Duration::from_millis(400)));
    assert_eq!(scene.delivery.backoff.avoided(scene.now), [name("n1")]);
}

#[test]
fn a_suspicion_that_was_wrong_ends_the_second_attempt() {
    let mut scene = Scene::hedged();
    scene.attach(2, "n2");
    scene.orders();
    scene.progress(1, 3_900);
    assert_eq!(scene.orders(), "cancel2:superseded");
    assert_eq!((scene.delivery.failovers.shown(), scene.delivery.failovers.taken_over()), (None, 0));
    assert!(scene.delivery.backoff.avoided(scene.now).is_empty());
}

#[test]
fn whoever_commits_a_position_first_has_it() {
    let mut scene = Scene::hedged();
    scene.attach(2, "n2");
    scene.commands();
    let from =
        |number: u32, rendition| (number, LeaseOutput::Fragment(fragment(rendition, 1_000, Some(2_000))));
    for rendition in 0..2 {
        scene.output_of(2, init(Output::Rendition(rendition), "video"));
    }
    let mut committed = Vec::new();
    for (number, output) in [from(2, 0), from(1, 0), from(1, 1), from(2, 1)] {
        scene.output_of(number, output);
        committed.push(show(&scene.commands()));
    }
    assert_eq!(committed[0], "0@1000-2000");
    assert_eq!(committed[1], "cancel2:superseded", "the first one is back, and level with the other");
    assert_eq!(committed[2..], ["1@1000-2000", ""]);
}

#[test]
fn a_second_attempt_that_cannot_be_had_is_asked_for_again() {
    let mut scene = Scene::hedged();
    scene.orders();
    scene.fail(None, Reason::NoBudget);
    scene.advance();
    assert_eq!(scene.orders(), "");
    scene.pass(250);
    assert_eq!(scene.orders(), "place3");
    assert!(scene.delivery.backoff.last_failure().is_none(), "it is no fault of the stream");
}

#[test]
fn when_both_are_suspected_the_first_makes_room_for_a_third() {
    let mut scene = Scene::hedged();
    scene.attach(2, "n2");
    scene.source_to(9_000);
    scene.orders();
    scene.pass(10_000);
    let orders = scene.orders();
    assert!(orders.starts_with("cancel1:stalled place3"), "{orders}");
}

#[test]
fn alone_it_is_ended_in_the_end_although_there_is_no_other() {
    let mut scene = Scene::hedged();
    for number in 2.. {
        if scene.delivery.running.len() == 1 && scene.delivery.attempts >= number {
            break;
        }
        scene.orders();
        scene.fail(None, Reason::NoRoom);
        scene.pass(250);
        if scene.delivery.running.iter().all(|attempt| attempt.number != 1) {
            break;
        }
        assert!(number < 100, "it is waited for without end");
    }
    let attempt = scene.delivery.running.first();
    assert!(attempt.is_none_or(|attempt| attempt.number != 1), "{attempt:?}");
}

#[test]
fn the_death_of_the_second_one_changes_nothing_for_the_first() {
    let mut scene = Scene::hedged();
    scene.attach(2, "n2");
    scene.fail(None, Reason::NodeLost);
    scene.progress(1, 3_900);
    scene.advance();
    assert_eq!(scene.delivery.running.len(), 1);
    assert!(scene.delivery.running[0].is_trusted() && scene.delivery.failovers.shown().is_none());
}

#[test]
fn a_loss_while_suspected_is_one_failover() {
    let mut scene = Scene::hedged();
    scene.attach(2, "n2");
    scene.pass(100);
    scene.fail_attempt(1, None, Reason::NodeLost);
    let shown = scene.delivery.failovers.shown().cloned().expect("it is lost now");
    assert_eq!((shown.cause, shown.recovery), (Reason::Stalled, None));
    scene.bring(1_000, 2_000);
    let shown = scene.delivery.failovers.shown().cloned().expect("recorded");
    assert_eq!(shown.recovery, Some(Duration::from_millis(100)));
}

/// A scene whose attempt 1 is to leave `n1` for this cause; attempt 2 is asked for.
fn leaving(cause: Reason, to: Option<&str>) -> (Scene, Wanted) {
    let mut scene = Scene::answering();
    scene.delivery.leave(1, cause, to.map(name), scene.now);
    scene.advance();
    let wanted = scene.wanted();
    (scene, wanted)
}

#[test]
fn a_move_makes_before_it_breaks() {
    let (mut scene, wanted) = leaving(Reason::Moved, Some("n3"));
    assert_eq!(
        (wanted.purpose, wanted.exclude, wanted.only),
        (Purpose::Move, vec![name("n1")], Some(name("n3")))
    );
    scene.attach(2, "n3");
    scene.bring_of(1, 1_000, 2_000);
    assert_eq!(scene.orders(), "", "the old one goes on meanwhile");
    scene.bring(0, 1_000);
    scene.bring(1_000, 2_000);
    assert_eq!(scene.orders(), "", "the new one has won nothing yet");
    scene.bring(2_000, 3_000);
    assert_eq!(scene.orders(), "cancel1:superseded");
    let failover = scene.delivery.failovers.shown().cloned().expect("it was moved");
    assert_eq!((failover.cause, failover.to), (Reason::Moved, Some(name("n3"))));
    assert!(scene.delivery.backoff.avoided(scene.now).is_empty(), "nobody was at fault");
}

#[test]
fn what_the_newcomer_has_not_read_stays_in_the_log() {
    let (mut scene, _) = leaving(Reason::Moved, None);
    scene.bring_of(1, 1_000, 2_000);
    scene.bring_of(1, 2_000, 3_000);
    let Scene { delivery, log, section, .. } = &mut scene;
    delivery.release(log, section);
    assert_eq!(log.gops().map(crate::media::gop::Gop::number).min(), Some(0), "its warm-up begins there");
    scene.attach(2, "n2");
    let Scene { delivery, log, section, .. } = &mut scene;
    delivery.release(log, section);
    assert!(log.gops().map(crate::media::gop::Gop::number).min() > Some(0));
}

#[test]
fn who_must_leave_and_cannot_is_tried_again_later() {
    let (mut scene, _) = leaving(Reason::Drained, None);
    scene.attach(2, "n2");
    scene.pass(u64::try_from(MOVE_TIMEOUT.as_millis()).expect("small"));
    assert_eq!(scene.orders(), "cancel2:superseded");
    scene.pass(u64::try_from(MOVE_TIMEOUT.as_millis()).expect("small"));
    assert_eq!(scene.orders(), "place3");
}

#[test]
fn who_may_stay_stays_where_no_node_takes_it() {
    let (mut scene, _) = leaving(Reason::Moved, Some("n3"));
    let begun = scene.now;
    while scene.now < begun + MOVE_TIMEOUT {
        scene.fail(None, Reason::NoRoom);
        scene.pass(250);
    }
    assert_eq!((scene.delivery.running.len(), scene.delivery.running[0].is_trusted()), (1, true));
    scene.orders();
    scene.pass(60_000);
    assert_eq!(scene.orders(), "");
}

#[test]
fn one_that_does_not_keep_up_is_moved_and_not_again_soon() {
    let mut scene = Scene::answering();
    for second in 4..12 {
        scene.source_to(second * 1_000);
        scene.pass(100);
        scene.progress(1, 2_900 + second);
        scene.pass(900);
    }
    assert_eq!(scene.orders(), "place2");
    assert!(matches!(scene.delivery.running[0].trust, Trust::Leaving { cause: Reason::TooSlow, .. }));
}

#[test]
fn two_at_all_times_run_apart_and_the_loss_of_one_is_made_good() {
    let mut scene = Scene::with(Redundancy::Two);
    scene.section.audio = None;
    scene.advance();
    scene.attach(1, "n1");
    let wanted = scene.wanted();
    assert_eq!(wanted.purpose, Purpose::Only, "the first");
    assert_eq!(scene.delivery.running.len(), 2);
    scene.attach(2, "n2");
    scene.bring_of(1, 0, 1_000);
    scene.bring_of(2, 0, 1_000);
    assert_eq!(scene.orders(), "", "nobody is ended for being second");
    scene.fail_attempt(1, None, Reason::NodeLost);
    scene.advance();
    let wanted = scene.wanted();
    assert_eq!((wanted.purpose, wanted.exclude), (Purpose::Twin, vec![name("n2")]));
    scene.bring_of(2, 1_000, 2_000);
    let failover = scene.delivery.failovers.shown().cloned().expect("one was lost");
    assert_eq!((failover.from, failover.to), (Some(name("n1")), Some(name("n2"))));
}

#[test]
fn audio_is_taken_from_one_attempt_as_long_as_it_brings_it() {
    let mut scene = Scene::with(Redundancy::Two);
    scene.advance();
    scene.attach(1, "n1");
    scene.attach(2, "n2");
    scene.commands();
    let unit = |number: i64, of: u8| {
        let data = Bytes::copy_from_slice(&[of]);
        LeaseOutput::AudioUnit(AudioUnit {
            presentation_time: Ticks::from_samples(number * 1024, 48_000),
            data,
        })
    };
    let taken = |scene: &mut Scene| -> Vec<u8> {
        let commands = scene.commands().into_iter();
        let audio = commands.filter_map(|command| match command {
            Command::Commit(Commit::Audio { data, .. }) => Some(data[0]),
            Command::Commit(_)
            | Command::Place(_)
            | Command::Feed { .. }
            | Command::Cancel { .. }
            | Command::ClosePublisher { .. }
            | Command::Finish { .. } => None,
        });
        audio.collect()
    };
    for of in [1, 2] {
        scene.output_of(of, init(Output::Audio, "aac"));
    }
    scene.output_of(1, unit(0, 1));
    for number in 0..6 {
        scene.output_of(2, unit(number, 2));
    }
    scene.output_of(1, unit(1, 1));
    scene.output_of(1, unit(2, 1));
    assert_eq!(taken(&mut scene), [1, 1, 1]);
    scene.fail_attempt(1, None, Reason::NodeLost);
    scene.advance();
    assert_eq!(taken(&mut scene), [2, 2, 2], "what the other has beyond");
    let ahead = i64::try_from(SOUND_AHEAD).expect("small");
    scene.attach(3, "n3");
    scene.output_of(3, init(Output::Audio, "aac"));
    for number in 6..6 + ahead {
        scene.output_of(3, unit(number, 3));
    }
    assert_eq!(taken(&mut scene), [0; 0]);
    scene.output_of(3, unit(6 + ahead, 3));
    assert_eq!(taken(&mut scene).len(), SOUND_AHEAD + 1, "the one whose turn it was is too far behind");
}
