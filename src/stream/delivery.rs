//! Delivery: the attempts of the section that is being put out, and the commit of what they bring. [`attempts`] says which
//! run, [`output`] what is taken of what they bring, [`wanted`] what one is asked for.

mod attempts;
mod failover;
mod output;
mod wanted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use self::attempts::{FINISH_TIMEOUT, GIVEN_UP_AFTER, MOVE_PAUSE, MOVE_TIMEOUT, STALLED_AFTER};
pub use self::failover::{Failover, Failovers};
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::{Ladder, Output, Rendition};
use crate::media::gop::{Gop, GopLog};
use crate::media::time::Ticks;
use crate::media::track::Tracks;

use super::attempt::{Attempt, Fed, Stage};
use super::backoff::Backoff;
use super::command::{Command, Commit, Redundancy, StreamSettings};
use super::commit::{AudioCommit, Ledger, VideoCommit};
use super::patience::Patience;
use super::resume::{AudioFlow, Committed, Start};
use super::section::{AudioAhead, Section};
use super::unheard::Unheard;

/// How long a source whose last GOP is longer than the log may go without another random access point, once its attempt is
/// lost: nothing can be decoded of it meanwhile. Twice as long as most encoders' longest GOP at 30 pictures a second.
pub const STARVED_WAIT: Duration = Duration::from_secs(60);
/// How far the pictures of a new section go on before an attempt begins without an access unit of its audio.
const SOUND_WAIT: Ticks = Ticks::from_millis(500);
/// How far the source goes on without audio before that counts as silence: audio may come later than its pictures.
const SILENCE_AFTER: Ticks = Ticks::from_millis(3_000);
/// How often a second attempt is asked for again that no node could take.
const SECOND_AGAIN: Duration = Duration::from_millis(250);
/// The same for the second of two at all times, which nobody waits for.
const TWIN_AGAIN: Duration = Duration::from_secs(2);
/// How long an attempt may take to its first answer before any was measured: to start FFmpeg on a machine that is busy.
const FIRST_START: Duration = Duration::from_secs(3);
/// The least that is granted to a start.
const SHORTEST_START: Duration = Duration::from_secs(1);
/// How long attempts may be fed pictures without giving one: as long as a take may go without a random access point.
pub const UNDECODABLE_AFTER: Duration = super::take::RANDOM_ACCESS_WAIT;
/// The fewest pictures that one must have been fed meanwhile: twice what any encoder holds back.
pub const UNDECODABLE_PICTURES: u32 = 120;
/// For so long it must have been fed itself, when others before it gave nothing.
const UNDECODABLE_EACH: Duration = Duration::from_secs(3);

/// What an input led to, for the stream to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Go on.
    Continue,
    /// All of the section has been put out.
    SectionDone,
}

/// The output side of a stream.
#[derive(Debug)]
pub struct Delivery {
    ladder: Arc<Ladder>,
    max_segment_duration: Duration,
    redundancy: Redundancy,
    pub(super) renditions: Vec<VideoCommit>,
    pub(super) audio: AudioCommit,
    unheard: Unheard,
    /// What the section in front has.
    tracks: Tracks,
    /// One for each rendition: a picture is lost as soon as one of them lacks it.
    ledgers: Vec<Ledger>,
    undecodable_at_once: u64,
    inits: BTreeMap<Output, Bytes>,
    commands: VecDeque<Command>,
    /// Attempts of the section in front, by age: at most one more than `redundancy` says.
    pub(super) running: Vec<Attempt>,
    /// The one that committed last.
    pub(super) leader: Option<u32>,
    /// The one whose audio is taken.
    sound_from: Option<u32>,
    /// How long answers take, and first answers.
    answers: Patience,
    starts: Patience,
    /// When a second attempt may be asked for again.
    second_not_before: Option<Instant>,
    /// When an attempt last was to leave.
    moved: Option<Instant>,
    /// Since when pictures are fed to attempts and none has come out of any.
    undecoded: Option<Instant>,
    /// Attempts asked for; the last one's number.
    pub(super) attempts: u32,
    /// Attempts that a node took.
    pub(super) runs: u32,
    pub(super) backoff: Backoff,
    pub(super) failovers: Failovers,
    /// When the stream's first access unit came, and how long after that FFmpeg had begun every output.
    source_since: Option<Instant>,
    pub(super) startup: Option<Duration>,
    /// Since when an attempt could begin, if the log had a random access point for it.
    starved: Option<Instant>,
}

impl Delivery {
    /// Nothing is committed yet. After failures an attempt is held back for at most `longest_wait`.
    #[must_use]
    pub fn new(ladder: Arc<Ladder>, settings: &StreamSettings, longest_wait: Duration) -> Self {
        let ledger = |rendition| match ladder.is_one_to_one(rendition) {
            true => Ledger::default(),
            false => Ledger::resampled(),
        };
        Self {
            renditions: ladder
                .renditions
                .iter()
                .map(|rendition| VideoCommit::leading(lead(rendition)))
                .collect(),
            ledgers: ladder.renditions.iter().map(ledger).collect(),
            // A frame-rate filter may leave the time of two of its pictures without one.
            answers: Patience::new(settings.suspect_after.max(slowest(&ladder) * 2), settings.suspect_after),
            starts: Patience::new(SHORTEST_START.max(settings.suspect_after), FIRST_START),
            redundancy: settings.redundancy,
            ladder,
            max_segment_duration: settings.max_segment_duration,
            audio: AudioCommit::default(),
            unheard: Unheard::default(),
            tracks: Tracks::Both,
            undecodable_at_once: 0,
            inits: BTreeMap::new(),
            commands: VecDeque::new(),
            running: Vec::new(),
            leader: None,
            sound_from: None,
            second_not_before: None,
            moved: None,
            undecoded: None,
            attempts: 0,
            runs: 0,
            backoff: Backoff::new(longest_wait),
            failovers: Failovers::default(),
            source_since: None,
            startup: None,
            starved: None,
        }
    }

    /// What is to be done next; call until `None`.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The output goes on with `section`.
    pub fn begin_section(&mut self, section: &Section) {
        if section.video.is_some() {
            self.renditions.iter_mut().for_each(|rendition| rendition.begin_section(section.position));
        }
        self.backoff.begin_section();
        self.tracks = section.tracks();
        self.starved = None;
        self.undecoded = None;
        self.unheard.clear();
        self.commands.push_back(Command::Commit(Commit::SectionBegins(self.tracks)));
    }

    fn committed<'a>(&'a self, section: &Section) -> Committed<'a> {
        let renditions = section.video.as_ref().map_or(&[][..], |_| &self.renditions);
        let silent = section.last_audio.is_some_and(|last| last < section.source_end - SILENCE_AFTER);
        let flow = if silent { AudioFlow::Pauses } else { AudioFlow::Flows };
        let audio = section.audio.as_ref().map(|_| &self.audio);
        Committed { renditions, audio, flow, unheard: self.unheard.first() }
    }

    /// Where the committed output of all renditions ends, or of the audio where there is no video.
    #[must_use]
    pub fn committed_end(&self) -> Option<Ticks> {
        match self.tracks {
            Tracks::Audio => self.audio.end(),
            Tracks::Video | Tracks::Both => self.renditions.iter().map(VideoCommit::end).min().flatten(),
        }
    }

    /// Asks for the attempts that are wanted and not there, and feeds those that are.
    pub fn advance(&mut self, log: &GopLog, section: &Section, now: Instant) {
        self.take_sound(now);
        self.start_attempts(log, section, now);
        while let Some(number) = self.feed(log, section, now) {
            self.fail(number, Reason::FellBehind, "", now);
            self.start_attempts(log, section, now);
        }
        if self.running.is_empty() {
            // Nobody has been given what has left the log, so nobody will bring it.
            let whole = log.gops().find(|gop| gop.is_whole());
            self.give_up(whole.map_or(section.source_end, Gop::position));
        }
    }

    /// Feeds every attempt. The first that fell off the log, if one did.
    fn feed(&mut self, log: &GopLog, section: &Section, now: Instant) -> Option<u32> {
        let Self { running, commands, .. } = self;
        let mut fell_off = None;
        for attempt in running {
            if attempt.feed(log, section, commands, now) == Fed::FellOff {
                fell_off = fell_off.or(Some(attempt.number));
            }
            if attempt.stage == Stage::Attached && attempt.pulse.unanswered() > 0 && section.video.is_some() {
                self.undecoded.get_or_insert(now);
            }
        }
        fell_off
    }

    /// The attempt that committed last, or the oldest one.
    #[must_use]
    pub fn leading(&self) -> Option<&Attempt> {
        let leader = self.running.iter().find(|attempt| Some(attempt.number) == self.leader);
        leader.or(self.running.first())
    }

    /// A section of the source began at `since`; the first one's start-up is measured.
    pub fn note_source(&mut self, since: Instant) {
        self.source_since.get_or_insert(since);
    }

    /// A picture was accepted from the publisher.
    pub fn accept(&mut self, presentation_time: Ticks) {
        self.ledgers.iter_mut().for_each(|ledger| ledger.accept(presentation_time));
    }

    /// A picture was accepted that nobody can decode.
    pub fn refuse(&mut self) {
        self.undecodable_at_once += 1;
    }

    /// What has not come out before `end` never will.
    pub fn give_up(&mut self, end: Ticks) {
        self.ledgers.iter_mut().for_each(|ledger| ledger.give_up(end));
    }

    /// Pictures accepted from publishers.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.ledgers.first().map_or(0, Ledger::accepted) + self.undecodable_at_once
    }

    /// Pictures accepted and never committed in some rendition, for reasons of ours.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.ledgers.iter().map(Ledger::lost).max().unwrap_or(0)
    }

    /// Pictures that gave no output in a committed span of some rendition.
    #[must_use]
    pub fn undecodable(&self) -> u64 {
        self.ledgers.iter().map(Ledger::undecodable).max().unwrap_or(0) + self.undecodable_at_once
    }

    /// Pictures that have not come out yet of some rendition.
    #[cfg(test)]
    pub fn pending(&self) -> usize {
        self.ledgers.iter().map(Ledger::pending).max().unwrap_or(0)
    }

    /// When [`Delivery::handle_deadline`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let starved = self.starved.filter(|_| self.running.is_empty()).map(|since| since + STARVED_WAIT);
        // A second attempt may be held back for longer than that.
        let start = self.backoff.not_before().filter(|_| self.is_short());
        let start = start.map(|at| at.max(self.second_not_before.unwrap_or(at)));
        let deadlines = [self.attempts_deadline(), self.undecodable_at(), start, starved];
        deadlines.into_iter().flatten().min()
    }

    /// When the source counts as one that cannot be decoded: [`UNDECODABLE_AFTER`] after the first picture that nobody has
    /// answered, if an attempt has [`UNDECODABLE_PICTURES`] of them.
    fn undecodable_at(&self) -> Option<Instant> {
        let fed = |attempt: &&Attempt| {
            attempt.stage == Stage::Attached && attempt.pulse.unanswered() >= UNDECODABLE_PICTURES
        };
        let attached = self.running.iter().filter(fed).filter_map(|attempt| attempt.attached).min()?;
        Some((self.undecoded? + UNDECODABLE_AFTER).max(attached + UNDECODABLE_EACH))
    }

    /// Whether FFmpeg takes the pictures of `section`, which is being sent, and can decode none of them; said once.
    pub fn take_undecodable(&mut self, section: &Section, now: Instant) -> bool {
        let over = section.closed.is_none() && self.undecodable_at().is_some_and(|at| at <= now);
        if over {
            self.undecoded = Some(now);
        }
        over
    }

    /// The section that was put out is over: nothing is waited for in it any more.
    pub fn end_section(&mut self) {
        self.starved = None;
    }

    /// Whether the log has had nothing to begin with for [`STARVED_WAIT`]; said once each time.
    pub fn take_starved(&mut self, now: Instant) -> bool {
        let over = |since: &mut Instant| now.saturating_duration_since(*since) >= STARVED_WAIT;
        self.starved.take_if(over).is_some()
    }

    /// Time has passed.
    pub fn handle_deadline(&mut self, now: Instant) {
        self.judge_attempts(now);
    }

    /// Whether the first access unit of audio must come first: encoded audio lies on the grid of its samples, and an attempt
    /// that does not know it would be off by what milliseconds hide.
    fn waits_for_sound(&self, section: &Section, start: &Start) -> bool {
        let Some(audio) = section.audio.as_ref().filter(|_| section.closed.is_none()) else { return false };
        let known = start.first_audio.or(section.last_audio).is_some();
        let young = section.source_end - section.position < SOUND_WAIT;
        !known && young && self.ladder.encodes_audio(audio.codec)
    }

    /// The attempt's connection stands.
    pub fn handle_attached(&mut self, number: u32, section: &Section, now: Instant) {
        let Self { running, unheard, commands, .. } = self;
        if let Some(attempt) = running.iter_mut().find(|attempt| attempt.number == number) {
            attempt.attach(section, unheard, commands, now);
        }
    }

    /// The link has taken so many `inputs`.
    pub fn handle_written(&mut self, number: u32, inputs: usize) {
        if let Some(attempt) = self.attempt(number) {
            attempt.handle_written(inputs);
        }
    }

    /// Up to where the source has no more audio than what is committed; `None` while it has.
    fn silence(&self, section: &Section) -> Option<Ticks> {
        section.audio.as_ref()?;
        let patience = match section.audio_ahead {
            AudioAhead::Unknown => SILENCE_AFTER,
            AudioAhead::InNextSection => Ticks::from_duration(self.max_segment_duration).max(SILENCE_AFTER),
        };
        let until = section.source_end - patience;
        let silent = match section.last_audio {
            Some(last) => last < until && self.audio.reaches(last),
            None => section.position < until,
        };
        silent.then_some(until)
    }

    /// The section's input is taken nowhere: it is given up at once, because no other attempt would do better.
    pub fn give_up_refused(&mut self, section: &Section, reason: Reason, detail: String) {
        self.running.clear();
        self.give_up(section.source_end);
        self.backoff.remember_refusal(reason, detail);
    }

    /// Gives all attempts up, because the stream or the section is over.
    pub fn stop(&mut self, reason: Reason) {
        let ended = self.running.drain(..).map(|attempt| Command::Cancel { attempt: attempt.number, reason });
        self.commands.extend(ended);
    }

    /// Lets go of what every output has, in the log, and every attempt that is counted on has read.
    pub fn release(&mut self, log: &mut GopLog, section: &Section) {
        if let Some(number) = self.keep_unheard(log, section) {
            let counted = self.running.iter().filter(|attempt| attempt.is_trusted());
            log.release_before(counted.map(Attempt::reads_from).chain([number]).min().unwrap_or(number));
        }
    }

    /// The GOP from which on all are needed; the audio before it that is not committed is kept.
    fn keep_unheard(&mut self, log: &GopLog, section: &Section) -> Option<u64> {
        self.unheard.handle_commit(&self.audio);
        let number = self.committed(section).needed_from(log, section)?;
        if section.audio.is_some() {
            self.unheard.handle_release(log, section.id, number, &self.audio);
        }
        Some(number)
    }
}

/// How far before its section the first picture of `rendition` may be placed: half of one on the grid of its frame rate.
fn lead(rendition: &Rendition) -> Ticks {
    let step = rendition.fps.map(|fps| Duration::from_secs_f64(0.5 / fps.as_f64()));
    step.map_or(Ticks::ZERO, Ticks::from_duration)
}

/// The longest time between two pictures of a rendition whose frame rate is set.
fn slowest(ladder: &Ladder) -> Duration {
    let steps = ladder.renditions.iter().filter_map(|rendition| rendition.fps);
    steps.map(|fps| Duration::from_secs_f64(1.0 / fps.as_f64())).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
