//! The simulated world: publisher, nodes, links and clock around one real [`Stream`], and the model that checks it.

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Buf;

use super::Dice;
use super::source::{Numbers, PICTURE_MS, Shape, Source};
use super::transcoder::Transcoder;
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::base::units::Bitrate;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Output, Rendition, VideoOutput};
use crate::hls::{AudioSample, Window, WindowSettings};
use crate::media::flv::Tag;
use crate::media::gop::GopLogLimits;
use crate::media::time::Ticks;
use crate::stream::command::{AttemptFailure, Commit};
use crate::stream::example::settings;
use crate::stream::life::SILENT_PUBLISHER;
use crate::stream::report::State;
use crate::stream::{Command, PublisherEnd, PublisherId, Stream, StreamSettings, Takeover};
use crate::wire::message::{AttemptEnd, AttemptSpec, Fragment, LeaseInput, LeaseOutput, OutputInit};

/// Pictures of a schedule: 8 s.
const PICTURES: u32 = 200;
/// A schedule that takes more steps than this spins.
const MAX_STEPS: u32 = 100_000;
const NODES: usize = 3;
const RENDITIONS: usize = 2;

/// What goes wrong in a schedule.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub node_deaths: u64,
    pub crashes: u64,
    pub refusals: u64,
    pub reconnects: u64,
    pub takeovers: u64,
    pub parameter_changes: u64,
    /// The encoder vanishes so often and its connection stays open; it comes back on another one.
    pub silences: u64,
    /// A newcomer is refused while a publisher is there.
    pub keeps_publisher: bool,
    /// So many times what is sent is taken nowhere: no node can read it, or it is more than its tenant may have. The encoder
    /// comes back for it.
    pub refused: u64,
    /// No node is there for so long, from the start.
    pub blackout: Option<Duration>,
    pub small_log: bool,
    /// Every attempt ends soon after it began.
    pub poison: bool,
    /// FFmpeg hangs so often at the end of its input, and says nothing more.
    pub hangs_at_end: u64,
    /// The encoder makes no B-frames, so that pictures and sound end side by side.
    pub no_reordering: bool,
    /// Each take has tracks of its own: sound alone, late, or with a pause.
    pub shapes: bool,
}

#[derive(Debug)]
enum Event {
    Picture(PublisherId),
    Reconnect,
    Takeover,
    Silence,
    ParameterChange,
    NodeDies,
    NodeReturns(usize),
    Crash,
    Placed(u32, usize),
    Attached(u32),
    Fed(u32, LeaseInput),
    Written(u32),
    Output(u32, LeaseOutput),
    Failed(u32, Option<Name>, Reason),
}

/// What keeps order on an attempt's link. FFmpeg's pipes do not wait for each other, so audio may come late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Down,
    Video,
    Audio,
}

/// Orders events by time, then by the order in which they were made. A max-heap, so reversed.
#[derive(Debug)]
struct Scheduled(Instant, u64, Event);

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.0, other.1).cmp(&(self.0, self.1))
    }
}

/// What the model has seen committed.
#[derive(Debug, Default)]
struct Committed {
    end: Option<Ticks>,
    pictures: Vec<u32>,
}

pub struct World {
    dice: Dice,
    faults: Faults,
    start: Instant,
    now: Instant,
    queue: BinaryHeap<Scheduled>,
    made: u64,
    stream: Stream,
    source: Option<(PublisherId, Source)>,
    publishers: u64,
    /// How often the answer was that the input is taken nowhere.
    refused_inputs: u64,
    numbers: Numbers,
    alive: [bool; NODES],
    transcoders: BTreeMap<u32, Transcoder>,
    specs: BTreeMap<u32, AttemptSpec>,
    /// When the last message of each lane of an attempt arrives: lanes keep order, each for itself.
    links: BTreeMap<(u32, Lane), Instant>,
    committed: [Committed; RENDITIONS],
    /// What players would get: nothing that is committed may be left out of it.
    window: Window,
    audio: Vec<u32>,
    finished: bool,
}

fn node_name(index: usize) -> Name {
    format!("n{index}").parse().expect("a name")
}

fn window_settings() -> WindowSettings {
    WindowSettings {
        segment_duration: Ticks::from_millis(1_000),
        max_segment_duration: Ticks::from_millis(10_000),
        window: 6,
        first_sequence: 1,
    }
}

fn ladder() -> Arc<Ladder> {
    let rendition = |name: &str, height| Rendition {
        name: name.parse().expect("a name"),
        height,
        video_bitrate: Bitrate::kilobits(100),
        fps: None,
        threads: None,
        video: VideoOutput::H264 { encoders: vec!["libx264".into()], preset: "ultrafast".into() },
    };
    let renditions = vec![rendition("a", 36), rendition("b", 18)];
    Arc::new(Ladder {
        renditions,
        audio: AudioOutput::Copy,
        latency: Latency::Normal,
        deinterlace: Deinterlace::Off,
    })
}

impl World {
    pub fn new(dice: Dice, faults: Faults) -> Self {
        let settings = StreamSettings {
            reconnect_grace: Duration::from_secs(5),
            takeover: if faults.keeps_publisher { Takeover::Refuse } else { Takeover::Replace },
            ..settings()
        };
        let log_millis = if faults.small_log { 2_000 } else { 60_000 };
        let log = GopLogLimits { max_duration: Ticks::from_millis(log_millis), max_bytes: 1 << 20 };
        let now = crate::base::clock::now();
        let start = Ticks::from_millis(1_700_000_000_000);
        let mut world = Self {
            dice,
            start: now,
            now,
            queue: BinaryHeap::new(),
            made: 0,
            stream: Stream::new(settings, ladder(), log, start, now),
            source: None,
            publishers: 0,
            refused_inputs: 0,
            numbers: Numbers::default(),
            alive: [faults.blackout.is_none(); NODES],
            transcoders: BTreeMap::new(),
            specs: BTreeMap::new(),
            links: BTreeMap::new(),
            committed: Default::default(),
            window: Window::new(window_settings(), vec![node_name(0), node_name(1)]),
            audio: Vec::new(),
            finished: false,
            faults,
        };
        world.plan_faults();
        world.publish();
        world
    }

    fn plan_faults(&mut self) {
        let Faults {
            node_deaths, crashes, reconnects, takeovers, silences, parameter_changes, blackout, ..
        } = self.faults;
        let mut plan = |count: u64, make: fn() -> Event| {
            for _ in 0..count {
                let at = self.dice.millis(100, 9_000);
                self.made += 1;
                self.queue.push(Scheduled(self.now + at, self.made, make()));
            }
        };
        plan(node_deaths, || Event::NodeDies);
        plan(crashes, || Event::Crash);
        plan(reconnects, || Event::Reconnect);
        plan(takeovers, || Event::Takeover);
        plan(silences, || Event::Silence);
        plan(parameter_changes, || Event::ParameterChange);
        if let Some(blackout) = blackout {
            (0..NODES).for_each(|node| self.after(blackout, Event::NodeReturns(node)));
        }
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.made += 1;
        self.queue.push(Scheduled(self.now + delay, self.made, event));
    }

    /// Sends over an attempt's link, after what was sent before.
    fn over_link(&mut self, attempt: u32, lane: Lane, delay: Duration, event: Event) {
        let link = self.links.entry((attempt, lane)).or_insert(self.now);
        *link = (*link).max(self.now + delay);
        let delay = *link - self.now;
        self.after(delay, event);
    }

    /// Sends the last that is heard of an attempt: after everything else.
    fn last_over_link(&mut self, attempt: u32, delay: Duration, event: Event) {
        let audio =
            self.links.get(&(attempt, Lane::Audio)).map_or(Duration::ZERO, |&at| at - self.now.min(at));
        self.over_link(attempt, Lane::Video, delay.max(audio), event);
    }

    /// Runs the schedule to its end and gives the number of reattachments.
    pub fn run(mut self) -> u32 {
        for _ in 0..MAX_STEPS {
            self.carry_out();
            if self.finished {
                return self.check_end();
            }
            let deadline = self.stream.next_deadline();
            let next = self.queue.peek().map(|event| event.0);
            let deadline_first = deadline.is_some_and(|at| next.is_none_or(|next| at < next));
            if deadline_first {
                self.now = self.now.max(deadline.expect("just seen"));
                self.stream.handle_deadline(self.now);
            } else {
                let Scheduled(at, _, event) =
                    self.queue.pop().expect("a stream that is not over waits for something");
                self.now = self.now.max(at);
                self.handle(event);
            }
            self.check_bounds();
        }
        panic!("the stream spins: {:?}", self.stream.next_deadline().map(|at| at - self.now));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Picture(publisher) => self.send_picture(publisher),
            Event::Reconnect => self.reconnect(),
            Event::Takeover => self.publish(),
            Event::Silence => self.fall_silent(),
            Event::ParameterChange => {
                if let Some((_, source)) = &mut self.source {
                    source.change_parameters();
                }
            }
            Event::NodeDies => self.kill_node(),
            Event::NodeReturns(node) => self.alive[node] = true,
            Event::Crash => {
                if let Some(&attempt) = self.transcoders.keys().next() {
                    self.transcoders.remove(&attempt);
                    let end = AttemptEnd { reason: Reason::FfmpegCrashed, detail: String::new() };
                    self.last_over_link(
                        attempt,
                        Duration::ZERO,
                        Event::Output(attempt, LeaseOutput::Ended(end)),
                    );
                }
            }
            Event::Placed(attempt, node) => self.place(attempt, node),
            Event::Attached(attempt) if self.transcoders.contains_key(&attempt) => {
                self.stream.handle_attached(attempt, self.now);
            }
            Event::Fed(attempt, input) => self.transcode(attempt, input),
            Event::Written(attempt) => self.stream.handle_written(attempt, 1, self.now),
            Event::Output(attempt, output) => self.stream.handle_output(attempt, output, self.now),
            Event::Failed(attempt, node, reason) => {
                let failure = AttemptFailure { attempt, node, reason, detail: String::new() };
                self.stream.handle_failed(failure, self.now);
            }
            Event::Attached(_) => {}
        }
    }

    fn publish(&mut self) {
        self.publishers += 1;
        let publisher = PublisherId(self.publishers);
        if self.stream.handle_publish(publisher, self.now).is_err() {
            return;
        }
        let left = PICTURES.saturating_sub(self.numbers.picture).max(1);
        let source = Source::new(left, self.faults.no_reordering, self.shape());
        for tag in source.configuration() {
            self.stream.handle_media(publisher, &tag, self.now);
        }
        self.source = Some((publisher, source));
        self.after(Duration::ZERO, Event::Picture(publisher));
    }

    fn shape(&mut self) -> Shape {
        let picture = |dice: &mut Dice| u32::try_from(dice.below(100)).expect("small");
        match self.dice.below(if self.faults.shapes { 4 } else { 1 }) {
            0 => Shape::Whole,
            1 => Shape::SoundAlone,
            2 => Shape::LateSound(picture(&mut self.dice)),
            _ => {
                let from = picture(&mut self.dice);
                Shape::Pause(from, from + picture(&mut self.dice))
            }
        }
    }

    fn send_picture(&mut self, publisher: PublisherId) {
        let Some((_, source)) = self.source.as_mut().filter(|(current, _)| *current == publisher) else {
            return;
        };
        match source.next_tags(&mut self.numbers) {
            Some(tags) => {
                tags.iter().for_each(|tag: &Tag| self.stream.handle_media(publisher, tag, self.now));
                let jitter = self.dice.millis(0, 10);
                self.after(
                    Duration::from_millis(u64::from(PICTURE_MS) - 5) + jitter,
                    Event::Picture(publisher),
                );
            }
            None => {
                self.source = None;
                self.stream.handle_publisher_closed(publisher, PublisherEnd::Orderly, self.now);
            }
        }
    }

    fn reconnect(&mut self) {
        let Some((publisher, _)) = self.source.take() else { return };
        self.stream.handle_publisher_closed(publisher, PublisherEnd::Broken, self.now);
        let pause = self.dice.millis(1, 3_000);
        self.after(pause, Event::Takeover);
    }

    /// The stream is not told: it only hears nothing more.
    fn fall_silent(&mut self) {
        if self.source.take().is_some() {
            let pause = SILENT_PUBLISHER + self.dice.millis(0, 1_000);
            self.after(pause, Event::Takeover);
        }
    }

    fn kill_node(&mut self) {
        let busy = self.transcoders.values().map(|transcoder| transcoder.node.clone()).next();
        let node = (0..NODES).find(|&node| busy == Some(node_name(node))).unwrap_or(0);
        self.alive[node] = false;
        let name = node_name(node);
        let dead: Vec<u32> =
            self.transcoders.iter().filter(|(_, running)| running.node == name).map(|(id, _)| *id).collect();
        for attempt in dead {
            self.transcoders.remove(&attempt);
            // What is on the wire may still arrive or not; then the connection breaks.
            if self.dice.one_in(2) {
                self.queue = std::mem::take(&mut self.queue)
                    .into_iter()
                    .filter(|event| !matches!(&event.2, Event::Output(id, _) if *id == attempt))
                    .collect();
            }
            let delay = self.dice.millis(0, 800);
            self.last_over_link(attempt, delay, Event::Failed(attempt, Some(name.clone()), Reason::NodeLost));
        }
        let absence = self.dice.millis(100, 2_000);
        self.after(absence, Event::NodeReturns(node));
    }

    fn place(&mut self, attempt: u32, node: usize) {
        if !self.alive[node] {
            return self
                .after(Duration::ZERO, Event::Failed(attempt, Some(node_name(node)), Reason::NodeLost));
        }
        let Some(spec) = self.specs.remove(&attempt) else { return };
        self.transcoders.insert(attempt, Transcoder::new(node_name(node), spec));
        self.stream.handle_placed(attempt, node_name(node), self.now);
        let delay = self.dice.millis(1, 20);
        self.after(delay, Event::Attached(attempt));
    }

    fn transcode(&mut self, attempt: u32, input: LeaseInput) {
        let Some(transcoder) = self.transcoders.get_mut(&attempt) else { return };
        if input == LeaseInput::EndOfInput && self.faults.hangs_at_end > 0 {
            self.faults.hangs_at_end -= 1;
            return;
        }
        let outputs = transcoder.feed(input);
        let ack = self.dice.millis(0, 30);
        self.over_link(attempt, Lane::Video, Duration::ZERO, Event::Written(attempt));
        if self.faults.poison {
            self.transcoders.remove(&attempt);
            let end = AttemptEnd { reason: Reason::FfmpegExited, detail: "poison".into() };
            return self.last_over_link(attempt, ack, Event::Output(attempt, LeaseOutput::Ended(end)));
        }
        for output in outputs {
            let event = |output| Event::Output(attempt, output);
            match output {
                LeaseOutput::Ended(_) => {
                    let delay = self.dice.millis(5, 120);
                    self.last_over_link(attempt, delay, event(output));
                }
                LeaseOutput::AudioUnit(_) => {
                    let delay = self.dice.millis(5, 1_500);
                    self.over_link(attempt, Lane::Audio, delay, event(output));
                }
                LeaseOutput::Init(OutputInit { output: Output::Audio, .. }) => {
                    self.over_link(attempt, Lane::Audio, Duration::ZERO, event(output));
                }
                LeaseOutput::Init(_) | LeaseOutput::Fragment(_) | LeaseOutput::Progress(_) => {
                    let delay = self.dice.millis(5, 120);
                    self.over_link(attempt, Lane::Video, delay, event(output));
                }
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.stream.next_command() {
            assert!(!self.finished, "nothing comes after the end: {command:?}");
            match command {
                Command::Place(wanted) => self.find_node(wanted.spec, &wanted.prefer_not),
                Command::Feed { attempt, input } => {
                    let delay = self.dice.millis(0, 15);
                    self.over_link(attempt, Lane::Down, delay, Event::Fed(attempt, input));
                }
                Command::Cancel { attempt, .. } => {
                    self.transcoders.remove(&attempt);
                    self.specs.remove(&attempt);
                }
                Command::Commit(Commit::SectionBegins(tracks)) => self.window.begin_section(tracks),
                Command::Commit(Commit::AudioSilent { until }) => self.window.handle_silence(until),
                Command::Commit(Commit::Init(init)) => self.window.handle_init(init),
                Command::Commit(Commit::Fragment { fragment, end }) => {
                    self.check_fragment(&fragment, end);
                    self.window.handle_fragment(fragment, end);
                }
                Command::Commit(Commit::Audio { place, data }) => {
                    let number = data.clone().get_u32();
                    assert!(
                        self.audio.last().is_none_or(|&last| last < number),
                        "audio {number} twice or late"
                    );
                    self.audio.push(number);
                    let (decode_time, samples) = (place.decode_time, place.samples);
                    self.window.handle_audio(AudioSample { decode_time, samples, data });
                }
                Command::ClosePublisher { publisher, reason, .. } => {
                    self.source = self.source.take().filter(|(current, _)| *current != publisher);
                    if matches!(reason, Reason::UnsupportedCodec | Reason::LimitExceeded) {
                        let pause = self.dice.millis(1, 3_000);
                        self.after(pause, Event::Takeover);
                    }
                }
                Command::Finish { .. } => self.finished = true,
            }
        }
    }

    fn find_node(&mut self, spec: AttemptSpec, prefer_not: &[Name]) {
        let attempt = spec.number;
        let alive = || (0..NODES).filter(|&node| self.alive[node]);
        let chosen = alive().find(|&node| !prefer_not.contains(&node_name(node))).or_else(|| alive().next());
        let delay = self.dice.millis(0, 5);
        match chosen {
            // A stream of which nothing ever ran would end with it.
            _ if self.faults.refused > self.refused_inputs && self.stream.delivery.runs > 0 => {
                self.refused_inputs += 1;
                let reasons = [Reason::UnsupportedCodec, Reason::LimitExceeded];
                let reason = reasons[usize::from(self.dice.one_in(2))];
                self.after(delay, Event::Failed(attempt, None, reason));
            }
            None => self.after(delay, Event::Failed(attempt, None, Reason::NoNode)),
            Some(node) if self.faults.refusals > 0 => {
                self.faults.refusals -= 1;
                self.after(delay, Event::Failed(attempt, Some(node_name(node)), Reason::NoSlot));
            }
            Some(node) => {
                self.specs.insert(attempt, spec);
                self.after(delay, Event::Placed(attempt, node));
            }
        }
    }

    fn check_fragment(&mut self, fragment: &Fragment, end: Ticks) {
        let committed = &mut self.committed[usize::from(fragment.rendition)];
        assert!(
            committed.end.is_none_or(|end| fragment.position >= end),
            "position committed twice: {fragment:?}"
        );
        assert!(end > fragment.position, "empty span: {fragment:?}");
        committed.end = Some(end);
        let mut data = fragment.data.clone();
        while data.has_remaining() {
            committed.pictures.push(data.get_u32());
        }
    }

    fn check_bounds(&self) {
        let report = self.stream.report(self.now);
        assert_eq!(report.frames_duplicated, 0);
        let limit = if self.faults.small_log { 2_000 } else { 60_000 };
        assert!(report.log_duration <= Ticks::from_millis(limit), "the log is over its bound");
        assert!(self.now - self.start < Duration::from_secs(60), "the stream does not end");
    }

    fn check_end(&self) -> u32 {
        let report = self.stream.report(self.now);
        // Beside a section that was given up there is a hole, and sound at its edge may come after its segment was closed.
        if self.faults.blackout.is_none() && self.faults.refused == 0 {
            // FFmpeg holds the last sound before a pause back until its end, when the segment has been closed for its silence.
            let held_back = if self.faults.shapes { self.publishers } else { 0 };
            assert!(self.window.left_out() <= held_back, "what is committed can be listed");
        }
        let accepted = u64::from(self.numbers.picture);
        assert_eq!(report.source_frames, accepted);
        for committed in &self.committed {
            let mut pictures = committed.pictures.clone();
            pictures.sort_unstable();
            let count = pictures.len() as u64;
            pictures.dedup();
            assert_eq!(pictures.len() as u64, count, "a picture was committed twice");
        }
        // A picture is lost as soon as one rendition lacks it.
        let complete = self.committed.iter().map(|committed| committed.pictures.len()).min();
        let missing = accepted - complete.unwrap_or(0) as u64;
        assert_eq!(missing, report.frames_lost + report.frames_undecodable, "what is missing is counted");
        if self.faults.poison {
            assert_eq!((missing, report.frames_lost), (accepted, accepted));
            assert!(report.attempts <= 12, "{} attempts", report.attempts);
        } else if self.faults.blackout.is_none() && self.faults.refused == 0 {
            assert_eq!(missing, 0, "lost {}, undecodable {}", report.frames_lost, report.frames_undecodable);
            assert_eq!(self.committed[1].pictures.len(), self.committed[0].pictures.len());
            let missing: Vec<u32> =
                (0..self.numbers.audio).filter(|unit| !self.audio.contains(unit)).collect();
            assert_eq!(missing, [0; 0], "every audio access unit comes out");
        } else {
            assert!(missing < accepted, "what the log held came out");
            let refused = self.faults.refused == 0 || self.refused_inputs > 0;
            assert!(refused || missing == 0, "{missing} are missing");
            assert_ne!(report.state, State::Quarantined);
        }
        report.reattachments
    }
}
