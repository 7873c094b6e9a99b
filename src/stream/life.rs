//! The life of one live stream as a state machine: publishers come and go, their takes become sections, sections are put
//! out one after the other, and the stream ends.
//!
//! All state is a value; `now` is an argument; what is to be done comes out as [`Command`]s, and its failures come back
//! as inputs. States ([`Phase`]): *live* while a publisher is there, *reconnecting* until the grace time is over, *ending*
//! while what is there is put out, *over*. Bounds: the GOP log's, [`MAX_SECTIONS`], [`ENDING_LIMIT`], those of
//! [`super::take`], [`super::attempt`], [`super::backoff`] and [`super::commit`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::Ladder;
use crate::media::access_unit::AccessUnit;
use crate::media::flv::Tag;
use crate::media::gop::{GopLog, GopLogLimits, SectionId};
use crate::media::time::Ticks;
use crate::media::track::TrackKind;
use crate::wire::message::LeaseOutput;

use super::command::{AttemptFailure, Command, PublisherEnd, PublisherId, StreamSettings, Takeover};
use super::delivery::{Delivery, Outcome};
use super::section::{AudioAhead, Section};
use super::take::{SectionStart, Take, TakeEvent};

/// The most sections waiting to be put out. A publisher that changes its configuration faster than that is closed.
pub const MAX_SECTIONS: usize = 16;
/// How long an ending stream waits for what has not been put out yet, and a closed section whose attempts keep failing
/// holds up the next one; then it counts as lost.
pub const ENDING_LIMIT: Duration = Duration::from_secs(15);
/// The same for an end that was ordered, by the API or because the proxy stops.
pub const ORDERED_END_LIMIT: Duration = Duration::from_secs(5);
/// Bounds of how long a failing stream's attempts may be held back.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(500);
/// See [`SHORTEST_PATIENCE`].
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// How long a new stream waits for the publisher that it was opened for.
pub const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// After a takeover the next one is refused for this long; the time doubles with each takeover ...
const TAKEOVER_PAUSE: Duration = Duration::from_secs(1);
/// ... up to this, and is forgotten after as long without one.
const LONGEST_TAKEOVER_PAUSE: Duration = Duration::from_secs(60);

/// A publisher that has sent nothing for this long is taken for gone when another one comes, whatever `takeover` says: an
/// encoder that lost its network leaves a connection behind that nobody closes. Encoders send audio every 21 ms or
/// pictures every 40; a network that holds them up for 3 s is rarer than one that has gone.
pub const SILENT_PUBLISHER: Duration = Duration::from_secs(3);

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody has published yet; somebody is about to, until then.
    Opening(Instant),
    /// A publisher is there.
    Live,
    /// The publisher is gone and may come back until then.
    Reconnecting(Instant),
    /// No publisher will come; what is there is put out, until then.
    Ending(Reason, Instant),
    /// Finished. Inputs change nothing any more.
    Over,
}

/// One live stream.
#[derive(Debug)]
pub struct Stream {
    settings: StreamSettings,
    pub(super) log: GopLog,
    pub(super) delivery: Delivery,
    /// The front is being put out; the back is being written while a take is there.
    pub(super) sections: VecDeque<Section>,
    next_section: u32,
    pub(super) take: Option<Take>,
    /// When the publisher that is there was last heard, its publishing included.
    last_heard: Instant,
    pub(super) phase: Phase,
    /// Where the timeline goes on with the next take.
    pub(super) timeline_end: Ticks,
    takeovers: Takeovers,
    commands: VecDeque<Command>,
}

impl Stream {
    /// A stream whose timeline begins at `start` (wall clock, a whole millisecond).
    #[must_use]
    pub fn new(
        settings: StreamSettings,
        ladder: Arc<Ladder>,
        log: GopLogLimits,
        start: Ticks,
        now: Instant,
    ) -> Self {
        // Several attempts fit into what the log holds.
        let longest_wait = (duration_of(log.max_duration) / 6).clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE);
        Self {
            delivery: Delivery::new(ladder, &settings, longest_wait),
            log: GopLog::new(log),
            sections: VecDeque::new(),
            next_section: 0,
            take: None,
            last_heard: now,
            phase: Phase::Opening(now + OPENING_TIMEOUT),
            timeline_end: start,
            takeovers: Takeovers::default(),
            commands: VecDeque::new(),
            settings,
        }
    }

    /// What is to be done next; call until `None` after each input.
    pub fn next_command(&mut self) -> Option<Command> {
        self.delivery.next_command().or_else(|| self.commands.pop_front())
    }

    /// When [`Stream::handle_deadline`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Live => None,
            Phase::Opening(until) | Phase::Reconnecting(until) | Phase::Ending(_, until) => Some(until),
            Phase::Over => return None,
        };
        let delivery = self.delivery.next_deadline().filter(|_| !self.sections.is_empty());
        let take = self.take.as_ref().and_then(Take::next_deadline);
        [phase, delivery, take, self.hopeless_at()].into_iter().flatten().min()
    }

    /// A publisher has proved its key and wants to publish.
    ///
    /// # Errors
    /// [`Reason::AlreadyPublishing`] where the publisher that is there keeps the stream, which it does as long as it is not
    /// silent for [`SILENT_PUBLISHER`]; [`Reason::Ended`] when it is over,
    /// and the reason for which it is being ended if that was ordered. One that ends because its publisher went may be
    /// taken up again.
    pub fn handle_publish(&mut self, publisher: PublisherId, now: Instant) -> Result<(), Reason> {
        match self.phase {
            Phase::Over => return Err(Reason::Ended),
            Phase::Ending(reason, _) if matches!(reason, Reason::Ended | Reason::Shutdown) => {
                return Err(reason);
            }
            Phase::Opening(_) | Phase::Live | Phase::Reconnecting(_) | Phase::Ending(..) => {}
        }
        if self.take.is_some() {
            // An encoder that left without a word takes nothing over from itself, so that does not count.
            let silent = now.saturating_duration_since(self.last_heard) >= SILENT_PUBLISHER;
            if !silent && (self.settings.takeover == Takeover::Refuse || !self.takeovers.allow(now)) {
                return Err(Reason::AlreadyPublishing);
            }
            let detail = "another encoder has taken over this stream";
            self.close_publisher(Reason::TakenOver, detail.to_owned(), now);
        }
        self.last_heard = now;
        self.take = Some(Take::new(publisher, round_up_to_millis(self.timeline_end)));
        self.phase = Phase::Live;
        self.advance(now);
        Ok(())
    }

    /// A publisher sent media. That of one that was replaced is ignored.
    pub fn handle_media(&mut self, publisher: PublisherId, tag: &Tag, now: Instant) {
        let Some(take) = self.take.as_mut().filter(|take| take.publisher() == publisher) else { return };
        self.last_heard = now;
        if let Err(error) = take.handle_tag(tag, now) {
            self.drop_publisher(error.reason(), error.to_string(), now);
        }
        self.handle_take_events(now);
        self.advance(now);
    }

    /// A publisher's connection is over.
    pub fn handle_publisher_closed(&mut self, publisher: PublisherId, end: PublisherEnd, now: Instant) {
        if self.take.as_ref().is_none_or(|take| take.publisher() != publisher) {
            return;
        }
        self.end_take(now);
        self.phase = match end {
            PublisherEnd::Orderly => Phase::Ending(Reason::Unpublished, now + ENDING_LIMIT),
            PublisherEnd::Broken => self.without_publisher(Reason::ConnectionLost, now),
        };
        self.advance(now);
    }

    /// The stream is to end: by the API, or because the proxy stops.
    pub fn handle_end(&mut self, reason: Reason, now: Instant) {
        let detail = if reason == Reason::Shutdown {
            "the server is stopping"
        } else {
            "the stream was ended by whoever runs the server"
        };
        self.close_publisher(reason, detail.to_owned(), now);
        let limit = now + ORDERED_END_LIMIT;
        self.phase = match self.phase {
            Phase::Over => Phase::Over,
            Phase::Ending(ordered @ (Reason::Ended | Reason::Shutdown), until) => {
                Phase::Ending(ordered, until)
            }
            // Ordered while it ends anyway: no later for that, and nobody may take it up again.
            Phase::Ending(_, until) => Phase::Ending(reason, until.min(limit)),
            Phase::Opening(_) | Phase::Live | Phase::Reconnecting(_) => Phase::Ending(reason, limit),
        };
        self.advance(now);
    }

    /// Time has passed.
    pub fn handle_deadline(&mut self, now: Instant) {
        if let Some(take) = &mut self.take {
            take.handle_deadline(now);
            self.handle_take_events(now);
        }
        match self.phase {
            Phase::Opening(until) | Phase::Reconnecting(until) if until <= now => {
                self.phase = Phase::Ending(Reason::GraceExpired, now + ENDING_LIMIT);
            }
            Phase::Ending(reason, until) if until <= now => self.finish(reason),
            Phase::Opening(_) | Phase::Live | Phase::Reconnecting(_) | Phase::Ending(..) | Phase::Over => {}
        }
        self.delivery.handle_deadline(now);
        let undecodable =
            self.sections.front().is_some_and(|section| self.delivery.take_undecodable(section, now));
        if undecodable {
            let detail = "for 12 s nothing of the video could be decoded: is it damaged on its way?";
            self.drop_publisher(Reason::NoRandomAccessPoint, detail.to_owned(), now);
        }
        if self.delivery.take_starved(now) {
            let detail = "for 60 s no key frame has come at which another node could begin: \
                 let the encoder send one every few seconds";
            self.drop_publisher(Reason::NoRandomAccessPoint, detail.to_owned(), now);
        }
        self.advance(now);
    }

    /// A node has the lease of `attempt`.
    pub fn handle_placed(&mut self, attempt: u32, node: Name, now: Instant) {
        self.delivery.handle_placed(attempt, node, now);
    }

    /// The connection of `attempt` stands.
    pub fn handle_attached(&mut self, attempt: u32, now: Instant) {
        if let Some(section) = self.sections.front() {
            self.delivery.handle_attached(attempt, section, now);
        }
        self.advance(now);
    }

    /// The link of `attempt` has taken so many `inputs`.
    pub fn handle_written(&mut self, attempt: u32, inputs: usize, now: Instant) {
        self.delivery.handle_written(attempt, inputs);
        self.advance(now);
    }

    /// Something came from `attempt`.
    pub fn handle_output(&mut self, attempt: u32, output: LeaseOutput, now: Instant) {
        let Some(section) = self.sections.front() else { return };
        match self.delivery.handle_output(attempt, output, section, now) {
            Outcome::Continue => self.delivery.release(&mut self.log, section),
            Outcome::SectionDone => self.next_section(),
        }
        self.advance(now);
    }

    /// The fleet wants `attempt` off its node, for this cause. It stays until another is level.
    pub fn handle_leave(&mut self, attempt: u32, cause: Reason, now: Instant) {
        self.delivery.leave(attempt, cause, None, now);
        self.advance(now);
    }

    /// An operator wants the stream on another node, `to` if that is said. Whether there is an attempt to be moved.
    pub fn handle_move(&mut self, to: Option<Name>, now: Instant) -> bool {
        let Some(number) = self.delivery.leading().map(|attempt| attempt.number) else { return false };
        self.delivery.leave(number, Reason::Moved, to, now);
        self.advance(now);
        true
    }

    /// An operator lets a stream go on whose attempts are held back because they keep failing.
    pub fn handle_release(&mut self, now: Instant) {
        self.delivery.backoff.release();
        self.advance(now);
    }

    /// An attempt is over without having said so itself.
    pub fn handle_failed(&mut self, failure: AttemptFailure, now: Instant) {
        if failure.is_refusal() && self.delivery.is_only(failure.attempt) {
            self.give_up_refused(failure.reason, failure.detail, now);
        } else {
            self.delivery.handle_failed(failure, now);
        }
        self.advance(now);
    }

    fn handle_take_events(&mut self, now: Instant) {
        let Some(mut take) = self.take.take() else { return };
        let taken = self.take_in(&mut take, now);
        if let Some(section) = self.sections.back_mut().filter(|_| take.holds_audio()) {
            section.audio_ahead = AudioAhead::InNextSection;
        }
        self.take = Some(take);
        if let Err((reason, detail)) = taken {
            // What follows was coded for a section that is not there.
            if let Some(take) = &mut self.take {
                take.discard();
            }
            self.drop_publisher(reason, detail.to_owned(), now);
        }
    }

    /// Takes in what `take` has found. An error says why its publisher is to be closed.
    fn take_in(&mut self, take: &mut Take, now: Instant) -> Result<(), (Reason, &'static str)> {
        while let Some(event) = take.next_event() {
            match event {
                TakeEvent::SectionBegins(start) => self.open_section(start, now)?,
                TakeEvent::Unit(unit) => self.append(unit, take),
                TakeEvent::Undecodable => self.delivery.refuse(),
                TakeEvent::NoRandomAccessPoint => {
                    let detail = if take.has_video() {
                        "for 12 s no key frame has come at which decoding can begin: \
                         let the encoder send one every few seconds"
                    } else {
                        "for 12 s nothing has come that says how the video or the audio is coded"
                    };
                    return Err((Reason::NoRandomAccessPoint, detail));
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, unit: AccessUnit, take: &Take) {
        let Some(section) = self.sections.back_mut() else { return };
        match unit.track {
            TrackKind::Video => self.delivery.accept(unit.presentation_time),
            TrackKind::Audio => section.last_audio = section.last_audio.max(Some(unit.presentation_time)),
        }
        section.source_end = section.source_end.max(take.end());
        self.timeline_end = self.timeline_end.max(take.end());
        self.log.append(unit, section.id);
    }

    fn open_section(&mut self, start: SectionStart, now: Instant) -> Result<(), (Reason, &'static str)> {
        if self.sections.len() == MAX_SECTIONS {
            let detail = "the encoder changes its codec configuration faster than the stream can be put out";
            return Err((Reason::LimitExceeded, detail));
        }
        self.close_section(now);
        // Audio alone may go on beside the last pictures.
        if let Some(before) = self.sections.back_mut().filter(|_| start.video.is_some()) {
            before.source_end = before.source_end.min(start.position);
        }
        self.delivery.note_source(start.since.unwrap_or(now));
        self.next_section += 1;
        let section = Section {
            id: SectionId(self.next_section),
            preamble: start.preamble,
            video: start.video,
            audio: start.audio,
            reads: start.reads,
            frame_rate: start.frame_rate,
            position: start.position,
            source_end: start.position,
            last_audio: None,
            audio_ahead: AudioAhead::default(),
            closed: None,
        };
        if self.sections.is_empty() {
            self.delivery.begin_section(&section);
        }
        self.sections.push_back(section);
        Ok(())
    }

    fn close_section(&mut self, now: Instant) {
        if let Some(section) = self.sections.back_mut() {
            section.closed.get_or_insert(now);
        }
    }

    fn end_take(&mut self, now: Instant) {
        if let Some(mut take) = self.take.take() {
            take.handle_end();
            // Its last words are put out with it; whatever is wrong with them closes nobody any more.
            let _ = self.take_in(&mut take, now);
        }
        self.close_section(now);
    }

    /// Closes the publisher for what it sent: it may come back within the grace time.
    fn drop_publisher(&mut self, reason: Reason, detail: String, now: Instant) {
        if self.take.is_some() {
            self.close_publisher(reason, detail, now);
            self.phase = self.without_publisher(reason, now);
        }
    }

    /// What follows when a publisher has gone for `reason`: it may come back, if there is something to come back to.
    fn without_publisher(&self, reason: Reason, now: Instant) -> Phase {
        if self.next_section == 0 {
            return Phase::Ending(reason, now + ENDING_LIMIT);
        }
        Phase::Reconnecting(now + self.settings.reconnect_grace)
    }

    fn close_publisher(&mut self, reason: Reason, detail: String, now: Instant) {
        if let Some(take) = &self.take {
            let publisher = take.publisher();
            self.commands.push_back(Command::ClosePublisher { publisher, reason, detail });
            self.end_take(now);
        }
    }

    /// The section at the front has been put out, or given up: on with the next one.
    fn next_section(&mut self) {
        self.sections.pop_front();
        self.delivery.end_section();
        if let Some(section) = self.sections.front() {
            self.delivery.begin_section(section);
            self.delivery.release(&mut self.log, section);
        }
    }

    fn advance(&mut self, now: Instant) {
        if self.phase == Phase::Over {
            return;
        }
        self.give_up_hopeless(now);
        self.give_up_vanished();
        if let Some(section) = self.sections.front() {
            self.delivery.advance(&self.log, section, now);
        } else if let Phase::Ending(reason, _) = self.phase {
            self.finish(reason);
        }
    }

    /// A section whose attempts keep failing must not hold up the ones behind it for ever.
    fn give_up_hopeless(&mut self, now: Instant) {
        while self.hopeless_at().is_some_and(|at| at <= now)
            && let Some(section) = self.sections.front()
        {
            self.delivery.stop(Reason::Superseded);
            self.delivery.give_up(section.source_end);
            self.next_section();
        }
    }

    /// A closed section of which the log has no whole GOP any more can never be put out.
    fn give_up_vanished(&mut self) {
        while self.delivery.running.is_empty()
            && let Some(section) = self.sections.front().filter(|section| section.closed.is_some())
            && !self.log.gops().any(|gop| gop.section() == section.id && gop.is_whole())
        {
            self.delivery.give_up(section.source_end);
            self.next_section();
        }
    }

    /// The section in front is taken nowhere. If it is the one that is being sent, its publisher is told so and closed; it
    /// may come back within the grace time and send something else. A stream of which nothing ever ran ends with it.
    fn give_up_refused(&mut self, reason: Reason, detail: String, now: Instant) {
        let Some(section) = self.sections.front() else { return };
        let being_sent = section.closed.is_none();
        let id = section.id;
        if being_sent {
            self.drop_publisher(reason, detail.clone(), now);
        }
        if let Some(section) = self.sections.front().filter(|section| section.id == id) {
            self.delivery.give_up_refused(section, reason, detail);
            self.next_section();
        }
        if being_sent && self.delivery.runs == 0 && self.sections.is_empty() {
            self.phase = Phase::Ending(reason, now + ENDING_LIMIT);
        }
    }

    /// When the section in front is given up for the one behind it.
    fn hopeless_at(&self) -> Option<Instant> {
        let section = self.sections.front().filter(|_| self.sections.len() > 1)?;
        let held_back = self.delivery.backoff.is_quarantined();
        section.closed.filter(|_| held_back).map(|closed| closed + ENDING_LIMIT)
    }

    fn finish(&mut self, reason: Reason) {
        self.delivery.stop(reason);
        self.delivery.give_up(Ticks(i64::MAX));
        self.sections.clear();
        self.phase = Phase::Over;
        self.commands.push_back(Command::Finish { reason });
    }
}

fn duration_of(ticks: Ticks) -> Duration {
    Duration::from_millis(u64::try_from(ticks.as_millis()).unwrap_or(0))
}

fn round_up_to_millis(time: Ticks) -> Ticks {
    Ticks::from_millis((time + Ticks(89)).as_millis())
}

/// Takeovers of late, so that two encoders cannot replace each other for ever.
#[derive(Debug, Default)]
struct Takeovers {
    last: Option<(Instant, Duration)>,
}

impl Takeovers {
    /// Whether a takeover is allowed at `now`; remembers it if so.
    fn allow(&mut self, now: Instant) -> bool {
        let pause = match self.last {
            Some((at, pause)) if now < at + pause => return false,
            Some((at, pause)) if now < at + LONGEST_TAKEOVER_PAUSE => (pause * 2).min(LONGEST_TAKEOVER_PAUSE),
            Some(_) | None => TAKEOVER_PAUSE,
        };
        self.last = Some((now, pause));
        true
    }
}

#[cfg(test)]
mod tests;
