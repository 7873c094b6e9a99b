//! The life of a stream by example, with a plain encoder and nodes that answer at once.

mod ending;
mod inputs;
mod sections;
mod takeover;

use std::collections::BTreeMap;

use super::*;
use crate::stream::command::{AttemptFailure, Commit};
use crate::stream::example::{at, audio_tag, key, ladder, name, picture, settings, sound, tag, video_tag};
use crate::stream::simulation::transcoder::Transcoder;
use crate::wire::message::AttemptSpec;

const GRACE: Duration = Duration::from_secs(15);
const START: i64 = 1_700_000_000_000;

/// A stream, its clock, and what it wanted done.
struct Scene {
    stream: Stream,
    now: Instant,
    specs: Vec<AttemptSpec>,
    transcoders: BTreeMap<u32, Transcoder>,
    /// Everything but `Feed`, since the last look.
    commands: Vec<Command>,
}

impl Scene {
    fn new() -> Self {
        Self::with(Takeover::Replace, at(60_000))
    }

    fn with(takeover: Takeover, log: Ticks) -> Self {
        let now = crate::base::clock::now();
        let settings = StreamSettings { reconnect_grace: GRACE, takeover, ..settings() };
        let log = GopLogLimits { max_duration: log, max_bytes: 1 << 20 };
        let stream = Stream::new(settings, ladder(), log, at(START), now);
        Self { stream, now, specs: Vec::new(), transcoders: BTreeMap::new(), commands: Vec::new() }
    }

    /// A scene with publisher 1.
    fn live() -> Self {
        let mut scene = Self::new();
        assert_eq!(scene.publish(1), Ok(()));
        scene
    }

    fn publish(&mut self, publisher: u64) -> Result<(), Reason> {
        self.stream.handle_publish(PublisherId(publisher), self.now)
    }

    /// The publisher sends these.
    fn send(&mut self, publisher: u64, tags: impl IntoIterator<Item = Tag>) {
        for tag in tags {
            self.stream.handle_media(PublisherId(publisher), &tag, self.now);
        }
    }

    /// The publisher sends both configurations, and GOPs of two pictures and an access unit of audio each second.
    fn send_gops(&mut self, publisher: u64, seconds: std::ops::Range<u32>) {
        self.send(publisher, [video_tag(seconds.start * 1_000, 0), audio_tag(seconds.start * 1_000)]);
        for second in seconds {
            let time = second * 1_000;
            self.send(publisher, [key(time), sound(time), picture(time + 500)]);
        }
    }

    fn close(&mut self, publisher: u64, end: PublisherEnd) {
        self.stream.handle_publisher_closed(PublisherId(publisher), end, self.now);
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.stream.handle_deadline(self.now);
    }

    /// Takes the commands, and answers for nodes where `answer`.
    fn carry_out(&mut self, answer: bool) {
        while let Some(command) = self.stream.next_command() {
            match command {
                Command::Place(wanted) => {
                    let spec = wanted.spec;
                    let number = spec.number;
                    self.specs.push(spec.clone());
                    if answer {
                        self.transcoders.insert(number, Transcoder::new(name("n1"), spec));
                        self.stream.handle_placed(number, name("n1"), self.now);
                        self.stream.handle_attached(number, self.now);
                    }
                }
                Command::Feed { attempt, input } => {
                    let fed = self.transcoders.get_mut(&attempt).map(|transcoder| transcoder.feed(input));
                    for output in fed.unwrap_or_default() {
                        self.stream.handle_output(attempt, output, self.now);
                    }
                    self.stream.handle_written(attempt, 1, self.now);
                }
                command @ (Command::Cancel { .. }
                | Command::Commit(_)
                | Command::ClosePublisher { .. }
                | Command::Finish { .. }) => self.commands.push(command),
            }
        }
    }

    /// A node takes the lease and all that is sent, and FFmpeg gives nothing.
    fn attach_silently(&mut self) {
        while let Some(command) = self.stream.next_command() {
            match command {
                Command::Place(wanted) => {
                    self.stream.handle_placed(wanted.spec.number, name("n1"), self.now);
                    self.stream.handle_attached(wanted.spec.number, self.now);
                }
                Command::Feed { attempt, .. } => self.stream.handle_written(attempt, 1, self.now),
                command @ (Command::Cancel { .. }
                | Command::Commit(_)
                | Command::ClosePublisher { .. }
                | Command::Finish { .. }) => self.commands.push(command),
            }
        }
    }

    /// Nodes answer at once, until there is nothing to be done.
    fn work(&mut self) {
        self.carry_out(true);
    }

    /// The last attempt is over for this reason.
    fn fail(&mut self, reason: Reason) {
        self.carry_out(false);
        let attempt = self.specs.last().map_or(0, |spec| spec.number);
        let detail = String::new();
        self.stream.handle_failed(AttemptFailure { attempt, node: None, reason, detail }, self.now);
    }

    /// Closed publishers and the end, since the last look: `close1:taken_over`, `finish:ended`.
    fn endings(&mut self) -> String {
        self.carry_out(false);
        let word = |command: Command| match command {
            Command::ClosePublisher { publisher, reason, .. } => {
                Some(format!("close{}:{reason}", publisher.0))
            }
            Command::Finish { reason } => Some(format!("finish:{reason}")),
            Command::Place(_) | Command::Feed { .. } | Command::Cancel { .. } | Command::Commit(_) => None,
        };
        self.commands.drain(..).filter_map(word).collect::<Vec<_>>().join(" ")
    }

    /// Spans of the first rendition committed since the last look, in milliseconds after the start.
    fn committed(&mut self) -> Vec<(i64, i64)> {
        let span = |command: Command| {
            let Command::Commit(Commit::Fragment { fragment, end }) = command else { return None };
            let span = (fragment.position.as_millis() - START, end.as_millis() - START);
            (fragment.rendition == 0).then_some(span)
        };
        self.commands.drain(..).filter_map(span).collect()
    }
}
