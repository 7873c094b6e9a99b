//! One attempt: an FFmpeg run on some node for one section, and how far it has been fed.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::base::names::Name;
use crate::ffmpeg::ladder::Output;
use crate::media::gop::{Cursor, GopLog, Read, SectionId};
use crate::media::time::Ticks;
use crate::media::track::TrackKind;
use crate::wire::message::{LeaseInput, OutputInit};

use super::command::Command;
use super::resume::Start;
use super::section::Section;
use super::unheard::Unheard;

/// The most inputs on their way to a node at once: one for each access unit, so a second or two. More is not needed on a
/// link that keeps up, and what a slow link has not taken stays in the GOP log.
pub const WINDOW_INPUTS: usize = 128;
/// The most bytes on their way to a node at once, unless a single access unit is larger.
pub const WINDOW_BYTES: usize = 2 * 1024 * 1024;

/// How long an attempt may be fed pictures without giving one: as long as a take may go without a random access point.
pub const UNDECODABLE_AFTER: Duration = super::take::RANDOM_ACCESS_WAIT;
/// The fewest pictures that must have been fed meanwhile: twice what any encoder holds back.
pub const UNDECODABLE_PICTURES: u32 = 120;

/// How far an attempt is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A node is being looked for.
    Requested,
    /// A node has the lease and connects.
    Placed,
    /// Media flows.
    Attached,
    /// All media has been sent; FFmpeg finishes.
    Finishing,
}

/// One attempt.
#[derive(Debug)]
pub struct Attempt {
    /// Its number within the stream, from 1.
    pub number: u32,
    /// The section it transcodes.
    pub section: SectionId,
    /// How far it is.
    pub stage: Stage,
    /// Where it runs.
    pub node: Option<Name>,
    /// Timeline position of its input's time zero.
    pub base: Ticks,
    /// Position of the first GOP it reads: the warm-up's, if there is one.
    pub input_start: Ticks,
    /// When it was last heard of.
    pub last_heard: Instant,
    /// Pictures sent since FFmpeg last gave one, and since when there are any.
    unanswered: u32,
    unanswered_since: Option<Instant>,
    cursor: Cursor,
    /// Whether it has read a picture.
    begun: bool,
    /// Sizes of the inputs on their way, oldest first.
    sizes: VecDeque<usize>,
    in_flight_bytes: usize,
    inits: BTreeMap<Output, OutputInit>,
}

/// What feeding found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// Everything that may be sent now has been sent.
    Enough,
    /// The log no longer has what the attempt needs next.
    FellOff,
}

impl Attempt {
    /// An attempt that will read from `start`.
    #[must_use]
    pub fn new(number: u32, section: SectionId, start: Start, now: Instant) -> Self {
        Self {
            number,
            section,
            stage: Stage::Requested,
            node: None,
            base: start.base,
            input_start: start.position,
            last_heard: now,
            unanswered: 0,
            unanswered_since: None,
            cursor: start.cursor,
            begun: false,
            in_flight_bytes: 0,
            sizes: VecDeque::new(),
            inits: BTreeMap::new(),
        }
    }

    /// Remembers an output's configuration until a fragment of it is committed.
    pub fn keep_init(&mut self, init: OutputInit) {
        self.inits.insert(init.output, init);
    }

    /// FFmpeg has given a picture.
    pub fn answer(&mut self) {
        (self.unanswered, self.unanswered_since) = (0, None);
    }

    /// What there is to be sent has been sent.
    pub fn note_fed(&mut self, now: Instant) {
        if self.unanswered > 0 {
            self.unanswered_since.get_or_insert(now);
        }
    }

    /// When it counts as unable to decode anything: [`UNDECODABLE_AFTER`] after the first picture that it has not answered, once
    /// there are [`UNDECODABLE_PICTURES`] of them; `None` until then.
    #[must_use]
    pub fn undecodable_at(&self) -> Option<Instant> {
        let fed = self.stage == Stage::Attached && self.unanswered >= UNDECODABLE_PICTURES;
        self.unanswered_since.filter(|_| fed).map(|since| since + UNDECODABLE_AFTER)
    }

    /// Whether every output has begun, of a ladder with so many renditions.
    #[must_use]
    pub fn has_begun(&self, section: &Section, renditions: usize) -> bool {
        let renditions = section.video.as_ref().map_or(0, |_| renditions);
        self.inits.len() == renditions + usize::from(section.audio.is_some())
    }

    /// The configuration of `output`, if the attempt has sent it.
    #[must_use]
    pub fn init(&self, output: Output) -> Option<&OutputInit> {
        self.inits.get(&output)
    }

    /// The link has taken so many inputs.
    pub fn handle_written(&mut self, inputs: usize) {
        for _ in 0..inputs {
            let Some(size) = self.sizes.pop_front() else { return };
            self.in_flight_bytes -= size;
        }
    }

    /// The attempt's connection stands: the preamble goes first, then what is not in the log any more.
    pub fn attach(&mut self, section: &Section, unheard: &Unheard, commands: &mut VecDeque<Command>) {
        self.stage = Stage::Attached;
        let base = self.base;
        let unheard = unheard.units().filter_map(|unit| Section::tag(unit, base));
        for media in section.preamble().into_iter().chain(unheard) {
            self.send(LeaseInput::Media(media), commands);
        }
    }

    /// Sends what the log has and the window allows; at the section's end, the end of input.
    pub fn feed(&mut self, log: &GopLog, section: &Section, commands: &mut VecDeque<Command>) -> Fed {
        while self.stage == Stage::Attached && self.has_room() {
            match log.read(&mut self.cursor) {
                Read::Unit(unit) => {
                    self.unanswered =
                        self.unanswered.saturating_add(u32::from(unit.track == TrackKind::Video));
                    let is_first =
                        unit.track == TrackKind::Video && !std::mem::replace(&mut self.begun, true);
                    let unit = if is_first { unit.clone() } else { section.warm(unit) };
                    if let Some(media) = Section::tag(&unit, self.base) {
                        self.send(LeaseInput::Media(media), commands);
                    }
                }
                Read::CaughtUp if section.closed.is_none() => break,
                Read::CaughtUp | Read::SectionEnd => {
                    self.stage = Stage::Finishing;
                    self.send(LeaseInput::EndOfInput, commands);
                }
                Read::FellOff => return Fed::FellOff,
            }
        }
        Fed::Enough
    }

    fn has_room(&self) -> bool {
        self.sizes.len() < WINDOW_INPUTS && self.in_flight_bytes < WINDOW_BYTES
    }

    fn send(&mut self, input: LeaseInput, commands: &mut VecDeque<Command>) {
        let size = match &input {
            LeaseInput::Media(media) => media.len(),
            LeaseInput::EndOfInput => 0,
        };
        self.sizes.push_back(size);
        self.in_flight_bytes += size;
        commands.push_back(Command::Feed { attempt: self.number, input });
    }
}

#[cfg(test)]
mod tests;
