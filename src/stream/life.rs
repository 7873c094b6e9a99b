//! The life of one live stream as a state machine: publishers come and go, their takes become sections, sections are put
//! out one after the other, and the stream ends.
//!
//! All state is a value; `now` is an argument; what is to be done comes out as [`Command`]s, and its failures come back
//! as inputs. States ([`Phase`]): *live* while a publisher is there, *reconnecting* until the grace time is over, *ending*
//! while what is there is put out, *over*. Bounds: the GOP log's, [`MAX_SECTIONS`], [`ENDING_LIMIT`], those of
//! [`super::take`], [`super::attempt`], [`super::retry`] and [`super::commit`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::Ladder;
use crate::media::flv::Tag;
use crate::media::gop::{GopLog, GopLogLimits, SectionId};
use crate::media::time::Ticks;
use crate::media::track::{AudioCodec, TrackKind};
use crate::wire::message::LeaseOutput;

use super::command::{AttemptFailure, Command, PublisherEnd, PublisherId, StreamSettings, Takeover};
use super::delivery::{Delivery, Outcome};
use super::section::Section;
use super::take::{SectionStart, Take, TakeEvent};

/// The most sections waiting to be put out. A publisher that changes its configuration faster than that is closed.
pub const MAX_SECTIONS: usize = 16;
/// How long an ending stream waits for what has not been put out yet, and a closed section whose attempts keep failing
/// holds up the next one; then it counts as lost.
pub const ENDING_LIMIT: Duration = Duration::from_secs(10);
/// After a takeover the next one is refused for this long; the time doubles with each takeover ...
const TAKEOVER_PAUSE: Duration = Duration::from_secs(1);
/// ... up to this, and is forgotten after as long without one.
const LONGEST_TAKEOVER_PAUSE: Duration = Duration::from_secs(60);

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
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
    take: Option<Take>,
    pub(super) phase: Phase,
    /// Where the timeline goes on with the next take.
    pub(super) timeline_end: Ticks,
    takeovers: Takeovers,
    commands: VecDeque<Command>,
}

impl Stream {
    /// A stream whose timeline begins at `start` (wall clock, a whole millisecond). It waits for its first publisher as for
    /// one that comes back.
    #[must_use]
    pub fn new(
        settings: StreamSettings,
        ladder: Arc<Ladder>,
        log: GopLogLimits,
        start: Ticks,
        now: Instant,
    ) -> Self {
        Self {
            delivery: Delivery::new(ladder, settings.max_segment_duration),
            log: GopLog::new(log),
            sections: VecDeque::new(),
            next_section: 0,
            take: None,
            phase: Phase::Reconnecting(now + settings.reconnect_grace),
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
            Phase::Reconnecting(until) | Phase::Ending(_, until) => Some(until),
            Phase::Over => return None,
        };
        let retry = match (&self.delivery.attempt, self.sections.is_empty()) {
            (None, false) => self.delivery.retry.not_before(),
            (Some(_), _) | (None, true) => None,
        };
        let take = self.take.as_ref().and_then(Take::next_deadline);
        [phase, retry, take, self.hopeless_at()].into_iter().flatten().min()
    }

    /// A publisher has proved its key and wants to publish.
    ///
    /// # Errors
    /// [`Reason::AlreadyPublishing`] where the publisher that is there keeps the stream; [`Reason::Ended`] when it is over.
    pub fn handle_publish(&mut self, publisher: PublisherId, now: Instant) -> Result<(), Reason> {
        if self.phase == Phase::Over {
            return Err(Reason::Ended);
        }
        if self.take.is_some() {
            if self.settings.takeover == Takeover::Refuse || !self.takeovers.allow(now) {
                return Err(Reason::AlreadyPublishing);
            }
            self.close_publisher(Reason::TakenOver, String::new(), now);
        }
        self.take = Some(Take::new(publisher, round_up_to_millis(self.timeline_end)));
        self.phase = Phase::Live;
        self.advance(now);
        Ok(())
    }

    /// A publisher sent media. That of one that was replaced is ignored.
    pub fn handle_media(&mut self, publisher: PublisherId, tag: &Tag, now: Instant) {
        let Some(take) = self.take.as_mut().filter(|take| take.publisher() == publisher) else { return };
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
            PublisherEnd::Broken => Phase::Reconnecting(now + self.settings.reconnect_grace),
        };
        self.advance(now);
    }

    /// The stream is to end: by the API, or because the proxy stops.
    pub fn handle_end(&mut self, reason: Reason, now: Instant) {
        self.close_publisher(reason, String::new(), now);
        if !matches!(self.phase, Phase::Ending(..) | Phase::Over) {
            self.phase = Phase::Ending(reason, now + ENDING_LIMIT);
        }
        self.advance(now);
    }

    /// Time has passed.
    pub fn handle_deadline(&mut self, now: Instant) {
        if let Some(take) = &mut self.take {
            take.handle_deadline(now);
            self.handle_take_events(now);
        }
        match self.phase {
            Phase::Reconnecting(until) if until <= now => {
                self.phase = Phase::Ending(Reason::GraceExpired, now + ENDING_LIMIT);
            }
            Phase::Ending(reason, until) if until <= now => self.finish(reason),
            Phase::Live | Phase::Reconnecting(_) | Phase::Ending(..) | Phase::Over => {}
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

    /// The link of `attempt` has taken `inputs` pieces.
    pub fn handle_written(&mut self, attempt: u32, inputs: usize, now: Instant) {
        self.delivery.handle_written(attempt, inputs, now);
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

    /// An attempt is over without having said so itself.
    pub fn handle_failed(&mut self, failure: AttemptFailure, now: Instant) {
        self.delivery.handle_failed(failure, now);
        self.advance(now);
    }

    fn handle_take_events(&mut self, now: Instant) {
        while let Some(event) = self.take.as_mut().and_then(Take::next_event) {
            match event {
                TakeEvent::SectionBegins(start) => self.open_section(start, now),
                TakeEvent::Unit(unit) => {
                    let (Some(take), Some(section)) = (&self.take, self.sections.back_mut()) else { return };
                    if unit.track == TrackKind::Video {
                        self.delivery.ledger.accept(unit.presentation_time);
                    }
                    section.source_end = section.source_end.max(take.end());
                    self.timeline_end = self.timeline_end.max(section.source_end);
                    self.log.append(unit, section.id);
                }
                TakeEvent::Undecodable => self.delivery.ledger.refuse(),
                TakeEvent::NoRandomAccessPoint => {
                    let detail = "12 s of media without a picture at which decoding can begin".to_owned();
                    self.drop_publisher(Reason::NoRandomAccessPoint, detail, now);
                }
            }
        }
    }

    fn open_section(&mut self, start: SectionStart, now: Instant) {
        if self.sections.len() == MAX_SECTIONS {
            let detail = "the codec configuration changes faster than it can be put out".to_owned();
            return self.drop_publisher(Reason::LimitExceeded, detail, now);
        }
        if self.delivery.copies_audio()
            && start.audio.as_ref().is_some_and(|audio| audio.codec == AudioCodec::Mp3)
        {
            let detail =
                "MP3 cannot be copied into HLS segments: use a profile with audio = \"aac:128k\"".to_owned();
            return self.drop_publisher(Reason::UnsupportedCodec, detail, now);
        }
        self.close_section(now);
        if let Some(section) = self.sections.back_mut() {
            // Audio may run ahead of the pictures, but no picture of the next section is one of this.
            section.source_end = section.source_end.min(start.position);
        }
        self.next_section += 1;
        let section = Section {
            id: SectionId(self.next_section),
            preamble: start.preamble,
            video: start.video,
            audio: start.audio,
            frame_rate: start.frame_rate,
            position: start.position,
            source_end: start.position,
            closed: None,
        };
        if self.sections.is_empty() {
            self.delivery.begin_section(&section);
        }
        self.sections.push_back(section);
    }

    fn close_section(&mut self, now: Instant) {
        if let Some(section) = self.sections.back_mut() {
            section.closed.get_or_insert(now);
        }
    }

    fn end_take(&mut self, now: Instant) {
        self.take = None;
        self.close_section(now);
    }

    /// Closes the publisher for what it sent: it may come back within the grace time.
    fn drop_publisher(&mut self, reason: Reason, detail: String, now: Instant) {
        if self.take.is_some() {
            self.close_publisher(reason, detail, now);
            self.phase = Phase::Reconnecting(now + self.settings.reconnect_grace);
        }
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
        if let Some(section) = self.sections.front() {
            self.delivery.advance(&self.log, section, now);
        } else if let Phase::Ending(reason, _) = self.phase {
            self.finish(reason);
        }
    }

    /// A section whose attempts keep failing, or that the log has lost, must not hold up the ones behind it for ever.
    fn give_up_hopeless(&mut self, now: Instant) {
        let lost = |stream: &Self| {
            stream.sections.front().is_some_and(|section| stream.delivery.has_lost(&stream.log, section))
        };
        while (self.hopeless_at().is_some_and(|at| at <= now) || lost(self))
            && let Some(section) = self.sections.front()
        {
            self.delivery.stop(Reason::Superseded);
            self.delivery.ledger.give_up(section.source_end);
            self.next_section();
        }
    }

    /// When the section in front is given up for the one behind it.
    fn hopeless_at(&self) -> Option<Instant> {
        let section = self.sections.front().filter(|_| self.sections.len() > 1)?;
        let held_back = self.delivery.retry.is_quarantined();
        section.closed.filter(|_| held_back).map(|closed| closed + ENDING_LIMIT)
    }

    fn finish(&mut self, reason: Reason) {
        self.delivery.stop(reason);
        self.delivery.ledger.give_up(Ticks(i64::MAX));
        self.sections.clear();
        self.phase = Phase::Over;
        self.commands.push_back(Command::Finish { reason });
    }
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
