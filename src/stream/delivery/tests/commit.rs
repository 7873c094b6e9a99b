//! What is committed of an attempt's output, and what is not believed.

use super::*;

#[test]
fn an_init_segment_is_announced_with_the_first_fragment_and_when_it_changes() {
    let mut scene = Scene::running();
    let video = |segment| init(Output::Rendition(0), segment);
    scene.output(video("one"));
    assert_eq!(show(&scene.commands()), "", "nothing was committed with it yet");
    scene.output(LeaseOutput::Fragment(fragment(0, 0, Some(1_000))));
    assert_eq!(show(&scene.commands()), "init0 0@0-1000");
    scene.fail(None, Reason::NodeLost);
    scene.run("n2");
    scene.output(video("one"));
    scene.output(LeaseOutput::Fragment(fragment(0, 1_000, Some(2_000))));
    assert_eq!(show(&scene.commands()), "0@1000-2000", "another attempt, the same configuration");
    scene.output(video("two"));
    scene.output(LeaseOutput::Fragment(fragment(0, 2_000, Some(2_500))));
    assert_eq!(show(&scene.commands()), "init0 0@2000-2500");
}

#[test]
fn what_is_committed_already_is_dropped_without_a_word() {
    let mut scene = Scene::running();
    scene.bring(0, 1_000);
    scene.commands();
    scene.bring(0, 1_000);
    assert_eq!(show(&scene.commands()), "");
    assert!(!scene.delivery.running.is_empty());
}

#[test]
fn audio_is_committed_behind_its_configuration() {
    let mut scene = Scene::running();
    scene.output(init(Output::Audio, "aac"));
    scene.output(sound(0));
    scene.output(sound(21));
    scene.output(sound(21));
    assert_eq!(show(&scene.commands()), "init-audio audio@0 audio@1024");
}

#[test]
fn the_last_fragment_ends_where_its_source_ends() {
    let mut scene = Scene::running();
    scene.output(init(Output::Rendition(0), "video"));
    scene.close();
    scene.commands();
    scene.output(LeaseOutput::Fragment(fragment(0, 2_000, None)));
    assert_eq!(show(&scene.commands()), "init0 0@2000-3000");
}

/// Expects this output of attempt 1 to fail it, with this detail.
#[track_caller]
fn check_fails(outputs: impl IntoIterator<Item = LeaseOutput>, detail: &str) {
    let mut scene = Scene::running();
    outputs.into_iter().for_each(|output| assert_eq!(scene.output(output), Outcome::Continue));
    assert_eq!(show(&scene.commands()), "cancel1:output_unreadable", "{detail}");
    assert!(scene.delivery.running.is_empty());
    let expected = (Reason::OutputUnreadable, detail.to_owned());
    assert_eq!(scene.delivery.backoff.last_failure(), Some(&expected));
}

#[test]
fn output_that_cannot_be_right_fails_its_attempt() {
    let video_init = || init(Output::Rendition(0), "video");
    let cut = |rendition, from, to| LeaseOutput::Fragment(fragment(rendition, from, to));
    check_fails(
        [init(Output::Rendition(2), "x"), cut(2, 0, Some(1_000))],
        "fragment of an unknown rendition",
    );
    check_fails([cut(0, 0, Some(1_000))], "fragment before its init segment");
    check_fails([video_init(), cut(1, 0, Some(1_000))], "fragment before its init segment");
    check_fails([video_init(), cut(0, 0, None)], "last fragment before the end of input");
    check_fails([video_init(), cut(0, 2_000, Some(4_001))], "fragment ends after its source");
    check_fails([sound(0)], "audio before its init segment");
    let LeaseOutput::Init(mut wrong) = init(Output::Audio, "x") else { panic!("an init segment") };
    wrong.configuration = OutputConfiguration::Video(video());
    check_fails([LeaseOutput::Init(wrong), sound(0)], "audio with a video configuration");
}

#[test]
fn a_fragment_may_end_a_little_after_its_source() {
    let mut scene = Scene::running();
    scene.output(init(Output::Rendition(0), "video"));
    scene.output(LeaseOutput::Fragment(fragment(0, 2_000, Some(4_000))));
    assert_eq!(show(&scene.commands()), "init0 0@2000-4000");
}

#[test]
fn pictures_are_settled_for_each_rendition() {
    let mut scene = Scene::running();
    (0..30).for_each(|picture| scene.delivery.accept(at(picture * 100)));
    scene.bring(0, 1_000);
    let ledger = &scene.delivery;
    assert_eq!((ledger.pending(), ledger.lost(), ledger.undecodable()), (20, 0, 0));
    let frames: Vec<u64> = scene.delivery.renditions.iter().map(VideoCommit::frames).collect();
    assert_eq!(frames, [10, 10]);
}

#[test]
fn a_section_is_done_when_its_attempt_completes_after_the_end_of_input() {
    let mut scene = Scene::running();
    (0..30).for_each(|picture| scene.delivery.accept(at(picture * 100)));
    scene.close();
    assert_eq!(scene.output(ended(Reason::Completed)), Outcome::SectionDone);
    assert!(scene.delivery.running.is_empty() && scene.delivery.backoff.last_failure().is_none());
    assert_eq!(scene.delivery.undecodable(), 30, "all input was transcoded, and gave nothing");
}

#[test]
fn ffmpeg_that_completes_in_the_middle_has_failed() {
    let mut scene = Scene::running();
    assert_eq!(scene.output(ended(Reason::Completed)), Outcome::Continue);
    assert_eq!(scene.delivery.backoff.last_failure(), Some(&(Reason::FfmpegExited, "words".to_owned())));
    assert_eq!(show(&scene.commands()), "", "it has ended, so there is nothing to cancel");
}

#[test]
fn what_comes_from_an_attempt_that_was_given_up_is_ignored() {
    let mut scene = Scene::running();
    scene.fail(None, Reason::NodeLost);
    scene.run("n2");
    let before = scene.delivery.running[0].pulse.last_answer();
    scene.wait(500);
    let video_init = init(Output::Rendition(0), "video");
    let cut = LeaseOutput::Fragment(fragment(0, 0, Some(1_000)));
    for output in [video_init, cut, sound(0), ended(Reason::FfmpegCrashed)] {
        let outcome = scene.delivery.handle_output(1, output, &scene.section, scene.now);
        assert_eq!(outcome, Outcome::Continue);
    }
    scene.delivery.handle_placed(1, name("n1"), scene.now);
    scene.delivery.handle_attached(1, &scene.section, scene.now);
    scene.delivery.handle_written(1, 100);
    scene.fail_attempt(1, None, Reason::NodeLost);
    assert_eq!(show(&scene.commands()), "");
    let [attempt] = &scene.delivery.running[..] else { panic!("the second one runs on") };
    assert_eq!((attempt.number, attempt.node.clone()), (2, Some(name("n2"))));
    assert_eq!(attempt.pulse.last_answer(), before, "and was not heard of");
}

#[test]
fn progress_only_says_that_the_attempt_lives() {
    let mut scene = Scene::running();
    scene.wait(500);
    let (output, position) = (Output::Rendition(0), at(100));
    scene.output(LeaseOutput::Progress(crate::wire::message::Progress { output, position }));
    assert_eq!(show(&scene.commands()), "");
    assert_eq!(scene.delivery.running[0].pulse.last_answer(), scene.now);
}

#[test]
fn an_attempt_that_falls_off_the_log_is_replaced() {
    let mut scene = Scene::new();
    scene.advance();
    scene.delivery.handle_placed(1, name("n1"), scene.now);
    scene.delivery.handle_attached(1, &scene.section, scene.now);
    scene.log.release_before(2);
    scene.advance();
    let commands = show(&scene.commands());
    assert!(commands.ends_with(" cancel1:fell_behind place2"), "at once: {commands}");
}
