//! Inputs in any order, with attempts that are current, stale or never were: no panic, no spin, nothing after the end.

use proptest::prelude::*;

use super::*;
use crate::ffmpeg::ladder::Output;
use crate::stream::example::{audio, unit, video};
use crate::wire::message::{AttemptEnd, AudioUnit, Fragment, OutputConfiguration, OutputInit};

#[derive(Clone, Debug)]
enum Input {
    Publish,
    Media(u64, u8, u32),
    Closed(u64, bool),
    End,
    Wait(u64),
    ToDeadline,
    Placed(u32),
    Attached(u32),
    Written(u32, usize),
    Failed(u32, Reason),
    Output(u32, u8, i64),
}

/// How far back a publisher or an attempt is: mostly the current one.
fn back() -> impl Strategy<Value = u32> {
    prop_oneof![8 => Just(0u32), 1 => 1u32..4]
}

fn input() -> impl Strategy<Value = Input> {
    let reason = prop::sample::select(Reason::ALL);
    prop_oneof![
        1 => Just(Input::Publish),
        12 => (back(), 0u8..8, 0u32..3_000).prop_map(|(back, which, step)| Input::Media(back.into(), which, step)),
        1 => (back(), any::<bool>()).prop_map(|(back, orderly)| Input::Closed(back.into(), orderly)),
        1 => prop_oneof![30 => Just(Input::ToDeadline), 1 => Just(Input::End)],
        2 => (0u64..5_000).prop_map(Input::Wait),
        3 => Just(Input::ToDeadline),
        4 => back().prop_map(Input::Placed),
        4 => back().prop_map(Input::Attached),
        4 => (back(), 0usize..50).prop_map(|(back, inputs)| Input::Written(back, inputs)),
        2 => (back(), reason).prop_map(|(back, reason)| Input::Failed(back, reason)),
        6 => (back(), 0u8..9, -2_000i64..4_000).prop_map(|(back, which, from)| Input::Output(back, which, from)),
    ]
}

fn media(which: u8, time: u32) -> Tag {
    match which {
        0 | 1 => video_tag(time, usize::from(which)),
        2 => audio_tag(time),
        3 | 4 => key(time),
        5 => sound(time),
        _ => picture(time),
    }
}

/// Something a node may say, right or wrong, at a time beside the end of what was sent.
fn output(which: u8, position: Ticks) -> LeaseOutput {
    let picture = unit(TrackKind::Video, position.as_millis(), true);
    let of = |output, configuration| {
        LeaseOutput::Init(OutputInit { output, configuration, segment: "init".into() })
    };
    match which {
        0 | 1 => of(Output::Rendition(which), OutputConfiguration::Video(video())),
        2 => of(Output::Audio, OutputConfiguration::Audio(audio())),
        3 => LeaseOutput::AudioUnit(AudioUnit { presentation_time: position, data: picture.payload }),
        4 => LeaseOutput::Ended(AttemptEnd { reason: Reason::Completed, detail: String::new() }),
        _ => LeaseOutput::Fragment(Fragment {
            rendition: which % 3,
            position,
            end: (which < 8).then_some(position + at(700)),
            first_presentation: position,
            last_presentation: position + at(600),
            access_units: 3,
            data: picture.payload,
        }),
    }
}

/// A stream under any inputs, with what it is held to after each.
struct Trial {
    scene: Scene,
    publishers: u64,
    time: u32,
    finished: bool,
}

impl Trial {
    fn give(&mut self, input: Input) {
        let now = self.scene.now;
        let (attempts, publishers) = (self.scene.stream.delivery.attempts, self.publishers);
        let attempt = |back: u32| attempts.wrapping_sub(back);
        let publisher = |back: u64| PublisherId(publishers.saturating_sub(back));
        let stream = &mut self.scene.stream;
        match input {
            Input::Publish => {
                self.publishers += 1;
                let answer = stream.handle_publish(PublisherId(self.publishers), now);
                assert!(!self.finished || answer == Err(Reason::Ended));
            }
            Input::Media(back, which, step) => {
                self.time = self.time.wrapping_add(step);
                stream.handle_media(publisher(back), &media(which, self.time), now);
            }
            Input::Closed(back, orderly) => {
                let end = if orderly { PublisherEnd::Orderly } else { PublisherEnd::Broken };
                stream.handle_publisher_closed(publisher(back), end, now);
            }
            Input::End => stream.handle_end(Reason::Ended, now),
            Input::Wait(millis) => self.scene.wait(Duration::from_millis(millis)),
            Input::ToDeadline => {
                let deadline = stream.next_deadline().unwrap_or(now);
                self.scene.wait(deadline.saturating_duration_since(now));
                let next = self.scene.stream.next_deadline();
                let spins = next.is_some_and(|next| next <= self.scene.now);
                assert!(!spins, "it spins: {:?}", self.scene.stream.delivery);
            }
            Input::Placed(back) => stream.handle_placed(attempt(back), name("n1"), now),
            Input::Attached(back) => stream.handle_attached(attempt(back), now),
            Input::Written(back, inputs) => stream.handle_written(attempt(back), inputs, now),
            Input::Failed(back, reason) => {
                // That the input is taken nowhere is not said by a node.
                let refused = matches!(reason, Reason::UnsupportedCodec | Reason::LimitExceeded);
                let node = (!refused).then(|| name("n2"));
                let (attempt, detail) = (attempt(back), String::new());
                stream.handle_failed(AttemptFailure { attempt, node, reason, detail }, now);
            }
            Input::Output(back, which, from) => {
                let position = stream.timeline_end - at(from);
                stream.handle_output(attempt(back), output(which, position), now);
            }
        }
    }

    fn check(&mut self) {
        while let Some(command) = self.scene.stream.next_command() {
            assert!(!self.finished, "nothing comes after the end: {command:?}");
            self.finished = matches!(command, Command::Finish { .. });
        }
        let stream = &self.scene.stream;
        assert_eq!(self.finished, stream.phase == Phase::Over);
        assert!(stream.sections.len() <= MAX_SECTIONS);
        assert!(stream.log.duration() <= at(20_000));
        assert!(stream.sections.iter().rev().skip(1).all(|section| section.closed.is_some()));
        let ledger = &stream.delivery;
        let gone = ledger.lost() + ledger.pending() as u64;
        assert!(gone <= ledger.accepted());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_inputs_keep_the_promises(inputs in prop::collection::vec(input(), 0..200)) {
        let scene = Scene::with(Takeover::Replace, at(20_000));
        let mut trial = Trial { scene, publishers: 0, time: 0, finished: false };
        trial.give(Input::Publish);
        for input in inputs {
            trial.give(input);
            trial.check();
        }
        // Left alone, every stream ends by its deadlines.
        trial.give(Input::End);
        for _ in 0..100 {
            trial.give(Input::ToDeadline);
            trial.check();
        }
        prop_assert!(trial.finished);
    }
}
