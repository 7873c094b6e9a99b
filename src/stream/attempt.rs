//! One attempt: an FFmpeg run on some node for one section, and how far it has been fed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::Output;
use crate::media::gop::{Cursor, GopLog, Read, SectionId};
use crate::media::time::Ticks;
use crate::media::track::TrackKind;
use crate::wire::message::{AudioUnit, LeaseInput, OutputInit};

use super::command::Command;
use super::pace::Pace;
use super::pulse::Pulse;
use super::resume::Start;
use super::section::Section;
use super::unheard::Unheard;

/// The most inputs on their way to a node at once: one for each access unit, so a second or two. More is not needed on a
/// link that keeps up, and what a slow link has not taken stays in the GOP log.
pub const WINDOW_INPUTS: usize = 128;
/// The most bytes on their way to a node at once, unless a single access unit is larger.
pub const WINDOW_BYTES: usize = 2 * 1024 * 1024;

/// The most access units of audio that an attempt keeps ahead of those that another one brings: some 2.7 s of AAC.
pub const SOUND_AHEAD: usize = 128;

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

/// Whether an attempt is counted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It brings what it is fed.
    Trusted,
    /// It owes an answer for too long. What it still brings is taken, and it is trusted again.
    Suspected {
        /// Since when.
        since: Instant,
    },
    /// It is well, and is to be replaced: another attempt takes its place before it ends.
    Leaving {
        /// Since when.
        since: Instant,
        /// Why.
        cause: Reason,
        /// Where it is to go, if that was said.
        to: Option<Name>,
    },
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
    /// When it was asked for.
    pub asked: Instant,
    /// Whether it is counted on.
    pub trust: Trust,
    /// Whether anything of it has been committed.
    pub has_won: bool,
    /// What it owes.
    pub pulse: Pulse,
    /// Whether it keeps up.
    pub pace: Pace,
    /// When its connection stood.
    pub attached: Option<Instant>,
    /// When all input had been sent.
    pub finishing: Option<Instant>,
    /// How far each output has come: where its last fragment ends, when its last access unit of audio is heard.
    pub reached: BTreeMap<Output, Ticks>,
    /// Presentation time of the last access unit of each rendition.
    pub progress: BTreeMap<Output, Ticks>,
    /// Audio that waits for its turn, at most [`SOUND_AHEAD`].
    pub sound: VecDeque<AudioUnit>,
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
    pub fn new(number: u32, section: SectionId, start: Start, outputs: Vec<Output>, now: Instant) -> Self {
        Self {
            number,
            section,
            stage: Stage::Requested,
            node: None,
            base: start.base,
            input_start: start.position,
            asked: now,
            trust: Trust::Trusted,
            has_won: false,
            pulse: Pulse::new(outputs, now),
            pace: Pace::default(),
            attached: None,
            finishing: None,
            reached: BTreeMap::new(),
            progress: BTreeMap::new(),
            sound: VecDeque::new(),
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

    /// Whether it is neither suspected nor about to leave.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.trust == Trust::Trusted
    }

    /// Whether its connection stands.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        matches!(self.stage, Stage::Attached | Stage::Finishing)
    }

    /// The GOP that it reads next.
    #[must_use]
    pub fn reads_from(&self) -> u64 {
        self.cursor.gop_number()
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
    pub fn attach(
        &mut self,
        section: &Section,
        unheard: &Unheard,
        commands: &mut VecDeque<Command>,
        now: Instant,
    ) {
        self.stage = Stage::Attached;
        self.attached = Some(now);
        let base = self.base;
        let unheard = unheard.units().filter_map(|unit| Section::tag(unit, base));
        for media in section.preamble().into_iter().chain(unheard) {
            self.send(LeaseInput::Media(media), commands);
        }
    }

    /// Sends what the log has and the window allows; at the section's end, the end of input.
    pub fn feed(
        &mut self,
        log: &GopLog,
        section: &Section,
        commands: &mut VecDeque<Command>,
        now: Instant,
    ) -> Fed {
        let watched = if section.video.is_some() { TrackKind::Video } else { TrackKind::Audio };
        while self.stage == Stage::Attached && self.has_room() {
            match log.read(&mut self.cursor) {
                Read::Unit(unit) => {
                    if unit.track == watched {
                        self.pulse.handle_input(now);
                    }
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
                    self.finishing = Some(now);
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
