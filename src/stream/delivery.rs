//! Delivery: the attempts of the section that is being put out, and the commit of what they bring. [`wanted`] says what an
//! attempt is asked for.

mod wanted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::{Ladder, Output, Rendition};
use crate::media::fragmenter::MAX_FRAGMENT_ACCESS_UNITS;
use crate::media::gop::{Gop, GopLog};
use crate::media::time::Ticks;
use crate::media::track::Tracks;
use crate::wire::message::{AttemptEnd, AudioUnit, Fragment, LeaseOutput, OutputConfiguration, OutputInit};

use super::attempt::{Attempt, Fed, Stage};
use super::backoff::Backoff;
use super::command::{AttemptFailure, Command, Commit};
use super::commit::{AudioCommit, Ledger, VideoCommit};
use super::resume::{AudioFlow, Committed, Start};
use super::section::{AudioAhead, Section};
use super::unheard::Unheard;

/// How far past the end of the source a fragment may claim to end; beyond it the node is not believed.
const MAX_CLAIM: Ticks = Ticks::from_millis(1_000);
/// How long FFmpeg may say nothing after it has had all its input.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a source whose last GOP is longer than the log may go without another random access point, once its attempt is
/// lost: nothing can be decoded of it meanwhile. Twice as long as most encoders' longest GOP at 30 pictures a second.
pub const STARVED_WAIT: Duration = Duration::from_secs(60);
/// How far the pictures of a new section go on before an attempt begins without an access unit of its audio.
const SOUND_WAIT: Ticks = Ticks::from_millis(500);
/// How far the source goes on without audio before that counts as silence: audio may come later than its pictures.
const SILENCE_AFTER: Ticks = Ticks::from_millis(3_000);

/// The last failover, for stats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// Where the stream was.
    pub from: Option<Name>,
    /// Where it went; unknown until it is placed.
    pub to: Option<Name>,
    /// Why.
    pub cause: Reason,
    /// When the fault was noticed.
    pub noticed: Instant,
    /// How long before that the attempt was last heard of.
    pub detection: Duration,
    /// From there to the next commit; unknown until then.
    pub recovery: Option<Duration>,
}

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
    pub(super) attempt: Option<Attempt>,
    /// Attempts asked for; the last one's number.
    pub(super) attempts: u32,
    /// Attempts that a node took.
    pub(super) runs: u32,
    pub(super) reattachments: u32,
    pub(super) backoff: Backoff,
    pub(super) failover: Option<Failover>,
    /// When the stream's first access unit came, and how long after that FFmpeg had begun every output.
    source_since: Option<Instant>,
    pub(super) startup: Option<Duration>,
    /// Since when an attempt could begin, if the log had a random access point for it.
    starved: Option<Instant>,
}

impl Delivery {
    /// Nothing is committed yet. After failures an attempt is held back for at most `longest_wait`.
    #[must_use]
    pub fn new(ladder: Arc<Ladder>, max_segment_duration: Duration, longest_wait: Duration) -> Self {
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
            ladder,
            max_segment_duration,
            audio: AudioCommit::default(),
            unheard: Unheard::default(),
            tracks: Tracks::Both,
            undecodable_at_once: 0,
            inits: BTreeMap::new(),
            commands: VecDeque::new(),
            attempt: None,
            attempts: 0,
            runs: 0,
            reattachments: 0,
            backoff: Backoff::new(longest_wait),
            failover: None,
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

    /// Asks for an attempt where there is none, and feeds the one there is.
    pub fn advance(&mut self, log: &GopLog, section: &Section, now: Instant) {
        self.start_attempt(log, section, now);
        if self.feed(log, section, now) == Fed::FellOff {
            self.fail(Reason::FellBehind, String::new(), now);
            self.start_attempt(log, section, now);
        }
        if self.attempt.is_none() {
            // Nobody has been given what has left the log, so nobody will bring it.
            let whole = log.gops().find(|gop| gop.is_whole());
            self.give_up(whole.map_or(section.source_end, Gop::position));
        }
    }

    fn feed(&mut self, log: &GopLog, section: &Section, now: Instant) -> Fed {
        let Some(attempt) = self.attempt.as_mut() else { return Fed::Enough };
        let fed = attempt.feed(log, section, &mut self.commands);
        attempt.note_fed(now);
        fed
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
        match &self.attempt {
            Some(attempt) if attempt.stage == Stage::Finishing => Some(attempt.last_heard + FINISH_TIMEOUT),
            Some(attempt) => attempt.undecodable_at(),
            None => self.backoff.not_before().or(self.starved.map(|since| since + STARVED_WAIT)),
        }
    }

    /// Whether FFmpeg takes the pictures of `section`, which is being sent, and can decode none of them; said once.
    pub fn take_undecodable(&mut self, section: &Section, now: Instant) -> bool {
        let attempt = self.attempt.as_mut().filter(|_| section.closed.is_none());
        let over = |attempt: &&mut Attempt| attempt.undecodable_at().is_some_and(|at| at <= now);
        attempt.filter(over).map(|attempt| attempt.answer()).is_some()
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

    /// Time has passed: an FFmpeg that has all its input and says nothing more hangs.
    pub fn handle_deadline(&mut self, now: Instant) {
        let finishing = self.attempt.as_ref().is_some_and(|attempt| attempt.stage == Stage::Finishing);
        if finishing && self.next_deadline().is_some_and(|at| at <= now) {
            self.fail(Reason::Stalled, "nothing came after the end of input".to_owned(), now);
        }
    }

    fn start_attempt(&mut self, log: &GopLog, section: &Section, now: Instant) {
        if self.attempt.is_some() || !self.backoff.allow(now) {
            return;
        }
        self.keep_unheard(log, section);
        let Some(start) = self.committed(section).start(log, section) else {
            self.starved.get_or_insert(now);
            return;
        };
        self.starved = None;
        if self.waits_for_sound(section, &start) {
            return;
        }
        self.attempts += 1;
        self.attempt = Some(Attempt::new(self.attempts, section.id, start, now));
        let wanted = self.wanted(log, section, &start, now);
        self.commands.push_back(Command::Place(Box::new(wanted)));
    }

    /// Whether the first access unit of audio must come first: encoded audio lies on the grid of its samples, and an attempt
    /// that does not know it would be off by what milliseconds hide.
    fn waits_for_sound(&self, section: &Section, start: &Start) -> bool {
        let Some(audio) = section.audio.as_ref().filter(|_| section.closed.is_none()) else { return false };
        let known = start.first_audio.or(section.last_audio).is_some();
        let young = section.source_end - section.position < SOUND_WAIT;
        !known && young && self.ladder.encodes_audio(audio.codec)
    }

    /// A node has the lease.
    pub fn handle_placed(&mut self, number: u32, node: Name, now: Instant) {
        let Some(attempt) = self.current(number, now) else { return };
        attempt.stage = Stage::Placed;
        attempt.node = Some(node.clone());
        self.runs += 1;
        if let Some(failover) = &mut self.failover
            && failover.recovery.is_none()
        {
            failover.to = Some(node);
        }
    }

    /// The attempt's connection stands.
    pub fn handle_attached(&mut self, number: u32, section: &Section, now: Instant) {
        if self.current(number, now).is_none() {
            return;
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.attach(section, &self.unheard, &mut self.commands);
        }
        if self.failover.as_ref().is_some_and(|failover| failover.recovery.is_none()) {
            self.reattachments += 1;
        }
    }

    /// The link has taken so many `inputs`.
    pub fn handle_written(&mut self, number: u32, inputs: usize, now: Instant) {
        if let Some(attempt) = self.current(number, now) {
            attempt.handle_written(inputs);
        }
    }

    fn current(&mut self, number: u32, now: Instant) -> Option<&mut Attempt> {
        let attempt = self.attempt.as_mut().filter(|attempt| attempt.number == number)?;
        attempt.last_heard = now;
        Some(attempt)
    }

    /// Something came from an attempt. What comes from one that was given up is ignored.
    pub fn handle_output(
        &mut self,
        number: u32,
        output: LeaseOutput,
        section: &Section,
        now: Instant,
    ) -> Outcome {
        let renditions = self.renditions.len();
        let Some(attempt) = self.current(number, now) else { return Outcome::Continue };
        let is_picture = match &output {
            LeaseOutput::Progress(progress) => matches!(progress.output, Output::Rendition(_)),
            LeaseOutput::Fragment(_) => true,
            LeaseOutput::Init(_) | LeaseOutput::AudioUnit(_) | LeaseOutput::Ended(_) => false,
        };
        if is_picture {
            attempt.answer();
        }
        let taken = match output {
            LeaseOutput::Init(init) => {
                attempt.keep_init(init);
                if attempt.has_begun(section, renditions) {
                    let took = self.source_since.map(|since| now.saturating_duration_since(since));
                    self.startup = self.startup.or(took);
                }
                Ok(())
            }
            LeaseOutput::Progress(_) => Ok(()),
            LeaseOutput::Fragment(fragment) => self.handle_fragment(fragment, section, now),
            LeaseOutput::AudioUnit(unit) => self.handle_audio(unit, section, now),
            LeaseOutput::Ended(end) => return self.handle_ended(end, section, now),
        };
        if let Err(detail) = taken {
            self.fail(Reason::OutputUnreadable, detail.to_owned(), now);
        }
        Outcome::Continue
    }

    fn handle_fragment(
        &mut self,
        fragment: Fragment,
        section: &Section,
        now: Instant,
    ) -> Result<(), &'static str> {
        let attempt = self.attempt.as_ref().ok_or("no attempt")?;
        let index = usize::from(fragment.rendition);
        let rendition = self.renditions.get_mut(index).ok_or("fragment of an unknown rendition")?;
        let init =
            attempt.init(Output::Rendition(fragment.rendition)).ok_or("fragment before its init segment")?;
        let end = match fragment.end {
            Some(end) => end,
            None if attempt.stage == Stage::Finishing => {
                section.source_end.max(fragment.last_presentation + Ticks(1))
            }
            None => return Err("last fragment before the end of input"),
        };
        if end > section.source_end + MAX_CLAIM {
            return Err("fragment ends after its source");
        }
        let (first, last) = (fragment.first_presentation, fragment.last_presentation);
        if first + MAX_CLAIM < fragment.position || last < first || last > end + MAX_CLAIM {
            return Err("pictures of a fragment lie outside of it");
        }
        if fragment.access_units as usize > MAX_FRAGMENT_ACCESS_UNITS {
            return Err("fragment with too many access units");
        }
        let committed_end = rendition.end();
        if !rendition.offer(&fragment, end) {
            return Ok(());
        }
        // Segments follow each other without an overlap, whatever the first picture's place on a grid.
        let position = committed_end.map_or(fragment.position, |end| fragment.position.max(end));
        let fragment = Fragment { position, ..fragment };
        commit_init(&mut self.inits, init, &mut self.commands);
        self.ledgers[index].settle(&fragment, end, attempt.input_start);
        self.commands.push_back(Command::Commit(Commit::Fragment { fragment, end }));
        if let Some(until) = self.silence(section) {
            self.commands.push_back(Command::Commit(Commit::AudioSilent { until }));
        }
        self.note_commit(now);
        Ok(())
    }

    /// Something new has come out: what failed before is over.
    fn note_commit(&mut self, now: Instant) {
        self.backoff.handle_commit();
        if let Some(failover) = self.failover.as_mut().filter(|failover| failover.recovery.is_none()) {
            failover.recovery = Some(now.saturating_duration_since(failover.noticed));
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

    fn handle_audio(&mut self, unit: AudioUnit, section: &Section, now: Instant) -> Result<(), &'static str> {
        // The next section may have cut the pictures short of their sound.
        let source_end = section.source_end.max(section.last_audio.unwrap_or(section.source_end));
        if unit.presentation_time > source_end + MAX_CLAIM {
            return Err("audio after the end of its source");
        }
        let attempt = self.attempt.as_ref().ok_or("no attempt")?;
        let init = attempt.init(Output::Audio).ok_or("audio before its init segment")?;
        let OutputConfiguration::Audio(configuration) = &init.configuration else {
            return Err("audio with a video configuration");
        };
        if configuration.sample_rate == 0 || configuration.samples_per_access_unit == 0 {
            return Err("audio without samples");
        }
        if self.inits.get(&Output::Audio) != Some(&init.segment) {
            self.audio.configure(configuration);
        }
        if let Some(place) = self.audio.offer(unit.presentation_time) {
            commit_init(&mut self.inits, init, &mut self.commands);
            self.commands.push_back(Command::Commit(Commit::Audio { place, data: unit.data }));
            if self.tracks == Tracks::Audio {
                self.note_commit(now);
            }
        }
        Ok(())
    }

    fn handle_ended(&mut self, end: AttemptEnd, section: &Section, now: Instant) -> Outcome {
        let finished = self.attempt.as_ref().is_some_and(|attempt| attempt.stage == Stage::Finishing);
        if end.reason == Reason::Completed && finished {
            self.attempt = None;
            self.ledgers.iter_mut().for_each(|ledger| ledger.settle_section(section.source_end));
            return Outcome::SectionDone;
        }
        // FFmpeg that ends well in the middle of its input has not done what it was asked for.
        let reason = if end.reason == Reason::Completed { Reason::FfmpegExited } else { end.reason };
        self.drop_attempt(reason, end.detail, now);
        Outcome::Continue
    }

    /// An attempt is over without having said so itself: refused, lost, or no node was found.
    pub fn handle_failed(&mut self, failure: AttemptFailure, now: Instant) {
        let mine = |attempt: &&mut Attempt| attempt.number == failure.attempt;
        let Some(attempt) = self.attempt.as_mut().filter(mine) else { return };
        attempt.node = attempt.node.take().or(failure.node);
        self.drop_attempt(failure.reason, failure.detail, now);
    }

    /// Whether this is the attempt that there is.
    #[must_use]
    pub fn is_current(&self, number: u32) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.number == number)
    }

    /// The section's input is taken nowhere: it is given up at once, because no other attempt would do better.
    pub fn give_up_refused(&mut self, section: &Section, reason: Reason, detail: String) {
        self.attempt = None;
        self.give_up(section.source_end);
        self.backoff.remember_refusal(reason, detail);
    }

    /// Ends the attempt from this side, as failed.
    fn fail(&mut self, reason: Reason, detail: String, now: Instant) {
        if let Some(attempt) = &self.attempt {
            self.commands.push_back(Command::Cancel { attempt: attempt.number, reason });
        }
        self.drop_attempt(reason, detail, now);
    }

    fn drop_attempt(&mut self, reason: Reason, detail: String, now: Instant) {
        let Some(attempt) = self.attempt.take() else { return };
        let was_attached = matches!(attempt.stage, Stage::Attached | Stage::Finishing);
        let in_failover = self.failover.as_ref().is_some_and(|failover| failover.recovery.is_none());
        if was_attached && !in_failover {
            self.failover = Some(Failover {
                from: attempt.node.clone(),
                to: None,
                cause: reason,
                noticed: now,
                detection: now.saturating_duration_since(attempt.last_heard),
                recovery: None,
            });
        }
        self.backoff.handle_failure(attempt.node, reason, detail, now);
    }

    /// Gives the attempt up because the stream is over.
    pub fn stop(&mut self, reason: Reason) {
        if let Some(attempt) = self.attempt.take() {
            self.commands.push_back(Command::Cancel { attempt: attempt.number, reason });
        }
    }

    /// Lets go of what every output has, in the log.
    pub fn release(&mut self, log: &mut GopLog, section: &Section) {
        if let Some(number) = self.keep_unheard(log, section) {
            log.release_before(number);
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

/// Announces the configuration of an output if it is not the one that its committed output has.
fn commit_init(inits: &mut BTreeMap<Output, Bytes>, init: &OutputInit, commands: &mut VecDeque<Command>) {
    if inits.get(&init.output) != Some(&init.segment) {
        inits.insert(init.output, init.segment.clone());
        commands.push_back(Command::Commit(Commit::Init(init.clone())));
    }
}

#[cfg(test)]
mod tests;
