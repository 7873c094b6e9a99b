//! A stream as stats show it, on its way from the first publisher to the last commit.

use super::*;
use crate::media::flv::Tag;
use crate::media::gop::GopLogLimits;
use crate::stream::command::AttemptFailure;
use crate::stream::example::{
    at, audio, audio_tag, key, ladder, name, picture, settings, sound, video, video_tag,
};
use crate::stream::{Command, PublisherEnd, PublisherId};

/// A stream that has not been published.
fn stream(start: Ticks, now: Instant) -> Stream {
    let log = GopLogLimits { max_duration: at(60_000), max_bytes: 1 << 20 };
    Stream::new(settings(), ladder(), log, start, now)
}

struct Scene {
    stream: Stream,
    now: Instant,
}

impl Scene {
    /// Publisher 1 has sent GOPs from 0 and 2000 ms, with a picture at 500 and audio at 0 ms.
    fn new() -> Self {
        let now = crate::base::clock::now();
        let mut scene = Self { stream: stream(Ticks::ZERO, now), now };
        scene.stream.handle_publish(PublisherId(1), now).expect("the first one");
        scene.send(&[video_tag(0, 0), picture(0), audio_tag(0), key(0), sound(0), picture(500), key(2_000)]);
        scene
    }

    fn send(&mut self, tags: &[Tag]) {
        tags.iter().for_each(|tag| self.stream.handle_media(PublisherId(1), tag, self.now));
    }

    fn report(&self) -> Report {
        self.stream.report(self.now)
    }

    fn fail(&mut self, reason: Reason) {
        let attempt = self.stream.delivery.attempts;
        let failure = AttemptFailure { attempt, node: None, reason, detail: "why".into() };
        self.stream.handle_failed(failure, self.now);
    }

    fn place(&mut self, node: &str) {
        self.stream.handle_placed(self.stream.delivery.attempts, name(node), self.now);
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    #[track_caller]
    fn check_state(&self, expected: State) {
        assert_eq!(self.report().state, expected);
    }
}

#[test]
fn the_state_is_one_word() {
    let mut scene = Scene::new();
    scene.check_state(State::Waiting);
    scene.place("n1");
    scene.check_state(State::Live);
    scene.fail(Reason::NoNode);
    scene.check_state(State::Waiting);
    scene.wait(250);
    scene.stream.handle_deadline(scene.now);
    for _ in 0..4 {
        scene.fail(Reason::FfmpegExited);
    }
    scene.check_state(State::Quarantined);
    scene.stream.handle_publisher_closed(PublisherId(1), PublisherEnd::Broken, scene.now);
    scene.check_state(State::Reconnecting);
}

#[test]
fn the_source_is_what_the_section_and_the_log_say() {
    let report = Scene::new().report();
    assert_eq!((report.video, report.audio, report.frame_rate), (Some(video()), Some(audio()), Some(25.0)));
    assert_eq!(report.gop, Some(Duration::from_secs(2)));
    assert_eq!((report.source_frames, report.frames_undecodable), (4, 1), "one came before the first IDR");
    assert_eq!((report.frames_lost, report.frames_duplicated), (0, 0));
    assert_eq!(report.source_end, at(3_000), "a long step is not believed beyond a second");
    assert_eq!((report.log_gops, report.log_duration), (2, at(2_000)));
    assert!(report.log_bytes > 0);
    assert_eq!((report.committed_end, report.renditions.len()), (Some(Ticks::ZERO), 2));
}

#[test]
fn a_stream_without_media_has_nothing_to_show() {
    let now = crate::base::clock::now();
    let report = stream(at(5_000), now).report(now);
    assert_eq!((report.state, report.video, report.gop), (State::Waiting, None, None));
    assert_eq!((report.node, report.attempts, report.committed_end), (None, 0, None));
    assert_eq!((report.source_end, report.failover), (at(5_000), None));
}

#[test]
fn attempts_and_their_last_failure_are_shown() {
    let mut scene = Scene::new();
    scene.place("n1");
    assert_eq!((scene.report().node, scene.report().attempts), (Some(name("n1")), 1));
    scene.fail(Reason::FfmpegCrashed);
    let report = scene.report();
    assert_eq!((report.node, report.attempts), (None, 1), "the next has no node yet");
    assert_eq!(report.last_failure, Some((Reason::FfmpegCrashed, "why".to_owned())));
}

#[test]
fn a_failover_is_shown_in_durations() {
    let mut scene = Scene::new();
    scene.place("n1");
    scene.stream.handle_attached(1, scene.now);
    while let Some(command) = scene.stream.next_command() {
        assert!(matches!(command, Command::Place(_) | Command::Feed { .. } | Command::Commit(_)));
    }
    scene.wait(700);
    scene.fail(Reason::NodeLost);
    scene.wait(300);
    scene.place("n2");
    scene.stream.handle_attached(2, scene.now);
    let report = scene.report();
    assert_eq!(report.reattachments, 0, "nothing of it was committed yet");
    let expected = FailoverReport {
        from: Some(name("n1")),
        to: None,
        cause: Reason::NodeLost,
        detected: Duration::from_millis(700),
        recovered: None,
        ago: Duration::from_millis(300),
    };
    assert_eq!(report.failover, Some(expected));
}
