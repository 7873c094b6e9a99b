//! A take: one publisher connection's share of a stream. It turns FLV tags into access units on the stream's timeline
//! and says where a section begins.
//!
//! A take follows one video and one audio track, the first of each that shows ([`selection`]), in whatever codec they are.
//!
//! A section begins at a random access point, when all tracks have shown or a second has passed; a changed or late codec
//! configuration makes the next random access point begin another. Until then what arrives is held, within bounds.

mod clock;
mod read;
mod selection;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::base::reason::Reason;
use crate::ffmpeg::capability::Carriage;
use crate::media::access_unit::AccessUnit;
use crate::media::audio::AudioError;
use crate::media::flv::{self, FlvError, Tag, TagKind};
use crate::media::time::Ticks;
use crate::media::track::{AudioConfiguration, TrackKind, VideoConfiguration};
use crate::media::video::VideoError;

use self::clock::TakeClock;
pub use self::selection::OtherTrack;
use self::selection::Selection;
use super::command::PublisherId;
use super::section::Preamble;

/// How long a section waits for a track that has not shown.
pub const TRACK_WAIT: Duration = Duration::from_secs(1);
/// How long a take may go without its first random access point.
pub const RANDOM_ACCESS_WAIT: Duration = Duration::from_secs(12);
/// The most access units held before a section begins; then it begins with the tracks that are there.
pub const MAX_HELD: usize = 1024;
/// The most payload bytes held before a section begins; likewise.
pub const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;
/// The most audio access units kept from before a section's random access point; the oldest leave first.
pub const MAX_EARLY_AUDIO: usize = 128;
/// The most payload bytes of these, unless a single one is longer; likewise. It is 128 access units of lossless stereo.
pub const MAX_EARLY_AUDIO_BYTES: usize = 4 * 1024 * 1024;
/// The longest metadata or decoder configuration. Each section keeps its own, and encoders send under 2 KiB.
pub const MAX_PREAMBLE_BYTES: usize = 64 * 1024;
/// A picture shown outside of this, counted from its decoding, is damaged: H.264 reorders at most 16 pictures.
const COMPOSITION_OFFSETS_MS: std::ops::RangeInclusive<i32> = -1_000..=10_000;

/// Why a take cannot go on. The publisher is closed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TakeError {
    /// A codec that is not taken.
    #[error(transparent)]
    Codec(FlvError),
    /// The video configuration is malformed.
    #[error("the video configuration cannot be read: {0}")]
    Video(#[from] VideoError),
    /// The audio configuration is malformed.
    #[error("the audio configuration cannot be read: {0}")]
    Audio(#[from] AudioError),
    /// A configuration of either that is longer than any.
    #[error("a codec configuration has {0} bytes, more than {MAX_PREAMBLE_BYTES}")]
    LongConfiguration(usize),
}

impl TakeError {
    /// The class of it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Codec(_) => Reason::UnsupportedCodec,
            Self::Video(_) | Self::Audio(_) | Self::LongConfiguration(_) => Reason::InputUnreadable,
        }
    }
}

/// A codec that is not taken ends the take; a single damaged tag does not, it is passed over (`None`).
fn tolerate<T>(read: Result<T, FlvError>) -> Result<Option<T>, TakeError> {
    match read {
        Ok(body) => Ok(Some(body)),
        Err(
            error @ (FlvError::VideoCodec { .. }
            | FlvError::AudioCodec { .. }
            | FlvError::FourCc(_)
            | FlvError::EnhancedPacketType(_)
            | FlvError::Mpeg2Ts(_)
            | FlvError::MultitrackType(_)),
        ) => Err(TakeError::Codec(error)),
        Err(
            FlvError::PayloadTooLong(_)
            | FlvError::Truncated { .. }
            | FlvError::TooManyTracks { .. }
            | FlvError::AvcPacketType(_)
            | FlvError::AacPacketType(_),
        ) => Ok(None),
    }
}

/// What a take found.
#[derive(Clone, Debug, PartialEq)]
pub enum TakeEvent {
    /// A section begins with the access units that follow; the first is its random access point.
    SectionBegins(SectionStart),
    /// The next access unit.
    Unit(AccessUnit),
    /// A picture came before any random access point, or damaged.
    Undecodable,
    /// Media has been coming for [`RANDOM_ACCESS_WAIT`] without a random access point: the take is over.
    NoRandomAccessPoint,
}

/// What is known of a section when it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionStart {
    /// What FFmpeg reads first.
    pub preamble: Preamble,
    /// The video track.
    pub video: VideoConfiguration,
    /// The audio track, if one has shown.
    pub audio: Option<AudioConfiguration>,
    /// What a node's FFmpeg must read from FLV.
    pub reads: Vec<Carriage>,
    /// Pictures per second, where metadata or configuration say it.
    pub frame_rate: Option<f64>,
    /// Presentation time of the random access point.
    pub position: Ticks,
}

/// Whether a section is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// No random access point yet. Waiting since the first media message.
    Closed { since: Option<Instant> },
    /// A random access point is held; waiting since then for all tracks to show.
    Probing(Instant),
    /// Access units pass. `stale`: the configuration has changed since.
    Open { stale: bool },
}

/// One publisher connection's share of a stream's timeline.
#[derive(Debug)]
pub struct Take {
    publisher: PublisherId,
    clock: TakeClock,
    preamble: Preamble,
    selection: Selection,
    video: Option<VideoConfiguration>,
    audio: Option<AudioConfiguration>,
    /// How the video of the section lies that is open.
    open_video: Option<Carriage>,
    metadata: flv::Metadata,
    gate: Gate,
    held: Vec<AccessUnit>,
    held_bytes: usize,
    early_audio: VecDeque<AccessUnit>,
    early_audio_bytes: usize,
    events: VecDeque<TakeEvent>,
}

impl Take {
    /// A take whose first access unit is placed at `anchor`, a whole millisecond of the timeline.
    #[must_use]
    pub fn new(publisher: PublisherId, anchor: Ticks) -> Self {
        Self {
            publisher,
            clock: TakeClock::new(anchor),
            preamble: Preamble::default(),
            selection: Selection::default(),
            video: None,
            audio: None,
            open_video: None,
            metadata: flv::Metadata::default(),
            gate: Gate::Closed { since: None },
            held: Vec::new(),
            held_bytes: 0,
            early_audio: VecDeque::new(),
            early_audio_bytes: 0,
            events: VecDeque::new(),
        }
    }

    /// Whose take it is.
    #[must_use]
    pub fn publisher(&self) -> PublisherId {
        self.publisher
    }

    /// Where the last access unit of the take ends; the anchor before the first.
    #[must_use]
    pub fn end(&self) -> Ticks {
        self.clock.end
    }

    /// Whether a video configuration has come.
    #[must_use]
    pub fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// Tracks that are sent and not followed, at most [`selection::MAX_OTHER_TRACKS`], and how many more there are.
    #[must_use]
    pub fn other_tracks(&self) -> (&[OtherTrack], usize) {
        (self.selection.others(), self.selection.more_others())
    }

    /// The publisher has gone: a section that still waits for its tracks begins with what there is.
    pub fn handle_end(&mut self) {
        self.begin_what_is_held();
    }

    /// What the last `handle_` call has found; call until `None`.
    pub fn next_event(&mut self) -> Option<TakeEvent> {
        self.events.pop_front()
    }

    /// When [`Take::handle_deadline`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.gate {
            Gate::Closed { since } => since.map(|since| since + RANDOM_ACCESS_WAIT),
            Gate::Probing(since) => Some(since + TRACK_WAIT),
            Gate::Open { .. } => None,
        }
    }

    /// Time has passed: a section that has waited long enough for its tracks begins, and a take that has waited long
    /// enough for a random access point is over.
    pub fn handle_deadline(&mut self, now: Instant) {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.gate {
            Gate::Closed { .. } => {
                self.gate = Gate::Closed { since: None };
                self.events.push_back(TakeEvent::NoRandomAccessPoint);
            }
            Gate::Probing(_) => self.begin_section(),
            Gate::Open { .. } => {}
        }
    }

    /// Takes one media message.
    ///
    /// # Errors
    /// When its codec is not taken, or its configuration cannot be read; nothing of it was kept.
    pub fn handle_tag(&mut self, tag: &Tag, now: Instant) -> Result<(), TakeError> {
        if self.gate == (Gate::Closed { since: None }) {
            self.gate = Gate::Closed { since: Some(now) };
        }
        match tag.kind {
            TagKind::Script => {
                // Nothing depends on it: a section can begin without.
                let bearable = tag.payload.len() <= MAX_PREAMBLE_BYTES;
                if let Some(metadata) = bearable.then(|| flv::read_metadata(&tag.payload)).flatten() {
                    self.metadata = metadata;
                    self.preamble.metadata = Some(tag.payload.clone());
                }
                Ok(())
            }
            TagKind::Video => self.handle_tracks(TrackKind::Video, tag, now),
            TagKind::Audio => self.handle_tracks(TrackKind::Audio, tag, now),
        }
    }

    /// Forgets what has been found: its publisher is closed for it.
    pub fn discard(&mut self) {
        self.events.clear();
        self.held.clear();
        self.early_audio.clear();
        (self.held_bytes, self.early_audio_bytes) = (0, 0);
    }

    /// What is held was coded with the configuration that is there now, before another one comes.
    fn begin_what_is_held(&mut self) {
        if matches!(self.gate, Gate::Probing(_)) {
            self.begin_section();
        }
    }

    fn mark_stale(&mut self) {
        match self.gate {
            Gate::Open { .. } => self.gate = Gate::Open { stale: true },
            Gate::Probing(_) if self.all_tracks_shown() => self.begin_section(),
            Gate::Probing(_) | Gate::Closed { .. } => {}
        }
    }

    fn video_carriage(&self) -> Option<Carriage> {
        self.video.as_ref().map(|video| Carriage::of_video(video.codec))
    }

    /// Audio is there, or the sender's metadata says that there will be none.
    fn all_tracks_shown(&self) -> bool {
        self.audio.is_some() || (self.preamble.metadata.is_some() && !self.metadata.announces_audio)
    }

    fn pass_video(&mut self, unit: AccessUnit, now: Instant) {
        match self.gate {
            Gate::Open { stale: false } => self.events.push_back(TakeEvent::Unit(unit)),
            Gate::Open { stale: true } if !unit.random_access => {
                // A new size is the decoder's affair; a new codec is not for the section that is open.
                let fits = self.open_video == self.video_carriage();
                self.events.push_back(if fits { TakeEvent::Unit(unit) } else { TakeEvent::Undecodable });
            }
            Gate::Open { stale: true } => {
                self.hold(unit);
                self.begin_section();
            }
            Gate::Closed { .. } if !unit.random_access => {
                // It is never shown, so nothing need come after it.
                self.clock.last_shown = None;
                self.events.push_back(TakeEvent::Undecodable);
            }
            Gate::Closed { .. } => {
                self.gate = Gate::Probing(now);
                self.hold(unit);
                if self.all_tracks_shown() {
                    self.begin_section();
                }
            }
            Gate::Probing(_) => self.hold(unit),
        }
    }

    fn pass_audio(&mut self, unit: AccessUnit) {
        match self.gate {
            Gate::Open { stale: false } => self.events.push_back(TakeEvent::Unit(unit)),
            Gate::Probing(_) => self.hold(unit),
            // The configuration may have changed for this very track: it belongs to the next section.
            Gate::Closed { .. } | Gate::Open { stale: true } => self.keep_early(unit),
        }
    }

    fn keep_early(&mut self, unit: AccessUnit) {
        self.early_audio_bytes += unit.payload.len();
        self.early_audio.push_back(unit);
        while self.early_audio.len() > MAX_EARLY_AUDIO
            || (self.early_audio.len() > 1 && self.early_audio_bytes > MAX_EARLY_AUDIO_BYTES)
        {
            let oldest = self.early_audio.pop_front();
            self.early_audio_bytes -= oldest.map_or(0, |oldest| oldest.payload.len());
        }
    }

    fn hold(&mut self, unit: AccessUnit) {
        self.held_bytes += unit.payload.len();
        self.held.push(unit);
        if self.held.len() >= MAX_HELD || self.held_bytes >= MAX_HELD_BYTES {
            self.begin_section();
        }
    }

    fn begin_section(&mut self) {
        self.place_after_anchor();
        let (Some(video), Some(first)) = (self.video.clone(), self.held.first()) else { return };
        let frame_rate = self.metadata.frame_rate.or(video.frame_rate);
        let position = first.presentation_time;
        let (preamble, audio) = (self.preamble.clone(), self.audio.clone());
        self.open_video = self.video_carriage();
        let audio_carriage = audio.as_ref().map(|audio| Carriage::of_audio(audio.codec));
        let reads = self.open_video.into_iter().chain(audio_carriage).collect();
        let start = SectionStart { preamble, video, audio, reads, frame_rate, position };
        self.events.push_back(TakeEvent::SectionBegins(start));
        let mut held = std::mem::take(&mut self.held).into_iter();
        self.events.extend(held.next().map(TakeEvent::Unit));
        self.events.extend(self.early_audio.drain(..).map(TakeEvent::Unit));
        self.events.extend(held.map(TakeEvent::Unit));
        (self.held_bytes, self.early_audio_bytes) = (0, 0);
        self.gate = Gate::Open { stale: false };
    }
}

impl Take {
    /// The take's first message need not be its earliest: audio may come before a picture that is shown first. All that
    /// is held moves on, so that nothing lies before the anchor.
    fn place_after_anchor(&mut self) {
        let units = || self.held.iter().chain(&self.early_audio);
        let earliest = units().map(|unit| unit.decode_time.min(unit.presentation_time)).min();
        let Some(missing) = earliest.and_then(|earliest| self.clock.settle_anchor(earliest)) else { return };
        for unit in self.held.iter_mut().chain(&mut self.early_audio) {
            unit.decode_time = unit.decode_time + missing;
            unit.presentation_time = unit.presentation_time + missing;
        }
    }
}

#[cfg(test)]
mod tests;
