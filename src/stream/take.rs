//! A take: one publisher connection's share of a stream. It turns FLV tags into access units on the stream's timeline
//! and says where a section begins.
//!
//! A take follows one video and one audio track, the first of each that shows ([`selection`]), in whatever codec they are.
//!
//! A section begins at a random access point, when all tracks have shown or a second has passed; a changed or late codec
//! configuration makes the next random access point begin another. Until then what arrives is held, within bounds.
//!
//! Where only audio comes, a section without video begins after a second, or at once where metadata announces no video;
//! video that shows later begins a section of its own.

mod clock;
mod early;
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
use self::early::EarlyAudio;
pub use self::selection::OtherTrack;
use self::selection::Selection;
use super::command::PublisherId;
use super::section::Preamble;

/// How long a section waits for a track that has not shown.
pub const TRACK_WAIT: Duration = Duration::from_secs(1);
/// How long audio alone waits for the first picture of a video track that has said how it is coded: an encoder may look
/// ahead by a second or two.
pub const PICTURE_WAIT: Duration = Duration::from_secs(3);
/// How long a take may go without its first random access point.
pub const RANDOM_ACCESS_WAIT: Duration = Duration::from_secs(12);
/// The most access units held before a section begins; then it begins with the tracks that are there.
pub const MAX_HELD: usize = 1024;
/// The most payload bytes held before a section begins; likewise.
pub const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;
/// How long a GOP of a section without video is. Any access unit of audio could begin one; a second is what an attempt
/// reads again as warm-up.
pub const AUDIO_GOP: Ticks = Ticks::from_millis(1_000);
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
    /// The video track, unless only audio comes.
    pub video: Option<VideoConfiguration>,
    /// The audio track, if one has shown.
    pub audio: Option<AudioConfiguration>,
    /// What a node's FFmpeg must read from FLV.
    pub reads: Vec<Carriage>,
    /// Pictures per second, where metadata or configuration say it.
    pub frame_rate: Option<f64>,
    /// Presentation time of the random access point.
    pub position: Ticks,
    /// When its first access unit came.
    pub since: Option<Instant>,
}

/// What of the open section's configuration has changed: the next random access point begins another section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stale {
    /// Nothing.
    Fresh,
    /// That of the video, or video has shown: audio still belongs to the open section.
    Video,
    /// That of the audio: what comes of it belongs to the next section.
    Audio,
}

/// Whether a section is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// No random access point yet. Waiting since the first media message.
    Closed { since: Option<Instant> },
    /// A random access point is held; waiting since then for all tracks to show.
    Probing(Instant),
    /// Access units pass.
    Open(Stale),
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
    /// Whether a picture has come, decodable or not.
    picture_shown: bool,
    /// How the video of the section lies that is open; `None` where it has audio only.
    open_video: Option<Carriage>,
    /// Where the last GOP of a section without video began.
    audio_gop: Option<Ticks>,
    metadata: flv::Metadata,
    gate: Gate,
    held: Vec<AccessUnit>,
    held_bytes: usize,
    /// When the first of these came.
    held_since: Option<Instant>,
    early_audio: EarlyAudio,
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
            picture_shown: false,
            open_video: None,
            audio_gop: None,
            metadata: flv::Metadata::default(),
            gate: Gate::Closed { since: None },
            held: Vec::new(),
            held_bytes: 0,
            held_since: None,
            early_audio: EarlyAudio::default(),
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

    /// The publisher has gone: a section that still waits for its tracks begins with what there is, and audio that waits for
    /// a picture without one.
    pub fn handle_end(&mut self) {
        self.begin_what_is_held();
        let waits = match self.gate {
            Gate::Closed { .. } => !self.picture_shown,
            Gate::Open(stale) => stale == Stale::Audio,
            Gate::Probing(_) => false,
        };
        if waits && !self.early_audio.is_empty() {
            self.begin_with_audio();
        }
    }

    /// What the last `handle_` call has found; call until `None`.
    pub fn next_event(&mut self) -> Option<TakeEvent> {
        self.events.pop_front()
    }

    /// When [`Take::handle_deadline`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.gate {
            Gate::Closed { since } => {
                let wait = if self.video.is_some() { PICTURE_WAIT } else { TRACK_WAIT };
                let audio_alone = self.early_audio.since().filter(|_| !self.picture_shown);
                let audio_alone = audio_alone.map(|since| since + wait);
                audio_alone.or(since.map(|since| since + RANDOM_ACCESS_WAIT))
            }
            Gate::Probing(since) => Some(since + TRACK_WAIT),
            Gate::Open(_) => None,
        }
    }

    /// Whether audio is held for the next section, whose random access point has not come: the open section's audio has
    /// not fallen silent then.
    #[must_use]
    pub fn holds_audio(&self) -> bool {
        self.gate == Gate::Open(Stale::Audio) && !self.early_audio.is_empty()
    }

    /// Time has passed: a section that has waited long enough for its tracks begins, with audio alone where no video has
    /// shown; and a take that has waited long enough for a random access point is over.
    pub fn handle_deadline(&mut self, now: Instant) {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.gate {
            Gate::Closed { .. } if !self.picture_shown && !self.early_audio.is_empty() => {
                self.begin_with_audio()
            }
            Gate::Closed { .. } => {
                self.gate = Gate::Closed { since: None };
                self.events.push_back(TakeEvent::NoRandomAccessPoint);
            }
            Gate::Probing(_) => self.begin_section(),
            Gate::Open(_) => {}
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
        self.held_bytes = 0;
    }

    /// What is held was coded with the configuration that is there now, before another one comes.
    fn begin_what_is_held(&mut self) {
        if matches!(self.gate, Gate::Probing(_)) {
            self.begin_section();
        }
    }

    /// The configuration of a track has changed, or has come.
    fn mark_stale(&mut self, kind: TrackKind) {
        match (self.gate, kind) {
            (Gate::Open(_), TrackKind::Audio) => {
                // What was kept of the old one is no beginning for the new one.
                self.early_audio.clear();
                self.gate = Gate::Open(Stale::Audio);
            }
            (Gate::Closed { .. }, TrackKind::Audio) => self.early_audio.clear(),
            (Gate::Open(Stale::Fresh), TrackKind::Video) => self.gate = Gate::Open(Stale::Video),
            (Gate::Probing(_), _) if self.all_tracks_shown() => self.begin_section(),
            (Gate::Open(_) | Gate::Probing(_) | Gate::Closed { .. }, _) => {}
        }
    }

    fn video_carriage(&self) -> Option<Carriage> {
        self.video.as_ref().map(|video| Carriage::of_video(video.codec))
    }

    /// Audio is there, or the sender's metadata says that there will be none.
    fn all_tracks_shown(&self) -> bool {
        self.audio.is_some() || (self.preamble.metadata.is_some() && !self.metadata.announces_audio)
    }

    /// Metadata that tells of tracks, and of none with video.
    fn no_video_announced(&self) -> bool {
        let video_said = self.picture_shown || self.video.is_some() || self.metadata.announces_video;
        self.metadata.announces_audio && !video_said
    }

    fn pass_video(&mut self, unit: AccessUnit, now: Instant) {
        match self.gate {
            Gate::Open(Stale::Fresh) => self.events.push_back(TakeEvent::Unit(unit)),
            Gate::Open(_) if !unit.random_access => {
                // A new size is the decoder's affair; a new codec is not for the section that is open.
                let fits = self.open_video == self.video_carriage();
                self.events.push_back(if fits { TakeEvent::Unit(unit) } else { TakeEvent::Undecodable });
            }
            Gate::Open(_) => {
                self.hold(unit, now);
                self.begin_section();
            }
            Gate::Closed { .. } if !unit.random_access => {
                // It is never shown, so nothing need come after it.
                self.clock.forget_pictures();
                self.events.push_back(TakeEvent::Undecodable);
            }
            Gate::Closed { .. } => {
                self.gate = Gate::Probing(now);
                self.hold(unit, now);
                if self.all_tracks_shown() {
                    self.begin_section();
                }
            }
            Gate::Probing(_) => self.hold(unit, now),
        }
    }

    fn pass_audio(&mut self, unit: AccessUnit, now: Instant) {
        match self.gate {
            Gate::Open(Stale::Fresh) => self.emit_audio(unit),
            Gate::Open(Stale::Video) => {
                // The next section's encoder has heard what comes before its first sound, as an undisturbed one has.
                self.early_audio.lead_in(unit.clone(), now);
                self.emit_audio(unit);
            }
            // Without video there is no random access point to wait for.
            Gate::Open(Stale::Audio) if self.open_video.is_none() => {
                self.hold(unit, now);
                self.begin_section();
            }
            Gate::Probing(_) => self.hold(unit, now),
            Gate::Closed { .. } => {
                self.early_audio.keep(unit, now);
                if self.no_video_announced() {
                    self.begin_with_audio();
                }
            }
            Gate::Open(Stale::Audio) => self.early_audio.keep(unit, now),
        }
    }

    /// In a section without video the audio says where its GOPs begin.
    fn emit_audio(&mut self, mut unit: AccessUnit) {
        if self.open_video.is_none() {
            let time = unit.presentation_time;
            unit.random_access = self.audio_gop.is_none_or(|began| time - began >= AUDIO_GOP);
            if unit.random_access {
                self.audio_gop = Some(time);
            }
        }
        self.events.push_back(TakeEvent::Unit(unit));
    }

    fn hold(&mut self, unit: AccessUnit, now: Instant) {
        self.held_since.get_or_insert(now);
        self.held_bytes += unit.payload.len();
        self.held.push(unit);
        if self.held.len() >= MAX_HELD || self.held_bytes >= MAX_HELD_BYTES {
            self.begin_section();
        }
    }

    /// A section without video begins with the audio that has been kept.
    fn begin_with_audio(&mut self) {
        self.held_since = self.early_audio.since();
        self.held.extend(self.early_audio.drain());
        self.begin_section();
    }

    /// A section begins with the access unit that was held first: a picture, or audio where there is no video.
    fn begin_section(&mut self) {
        self.place_after_anchor();
        let Some(first) = self.held.first() else { return };
        let (position, has_video) = (first.presentation_time, first.track == TrackKind::Video);
        let video = self.video.clone().filter(|_| has_video);
        if has_video && video.is_none() {
            return;
        }
        let frame_rate = self.metadata.frame_rate.or(video.as_ref().and_then(|video| video.frame_rate));
        let frame_rate = frame_rate.filter(|_| has_video);
        let (preamble, audio) = (self.preamble.clone(), self.audio.clone());
        self.open_video = self.video_carriage().filter(|_| has_video);
        self.audio_gop = None;
        let audio_carriage = audio.as_ref().map(|audio| Carriage::of_audio(audio.codec));
        let reads = self.open_video.into_iter().chain(audio_carriage).collect();
        let since = self.held_since.take();
        let start = SectionStart { preamble, video, audio, reads, frame_rate, position, since };
        self.events.push_back(TakeEvent::SectionBegins(start));
        let mut held = std::mem::take(&mut self.held).into_iter();
        let first: Vec<AccessUnit> = held.next().into_iter().chain(self.early_audio.drain()).collect();
        for unit in first.into_iter().chain(held) {
            match unit.track {
                TrackKind::Video => self.events.push_back(TakeEvent::Unit(unit)),
                TrackKind::Audio => self.emit_audio(unit),
            }
        }
        self.held_bytes = 0;
        // Video that has been configured meanwhile waits for its random access point.
        self.gate = Gate::Open(if has_video || self.video.is_none() { Stale::Fresh } else { Stale::Video });
    }
}

impl Take {
    /// The take's first message need not be its earliest: audio may come before a picture that is shown first. All that
    /// is held moves on, so that nothing lies before the anchor.
    fn place_after_anchor(&mut self) {
        let units = || self.held.iter().chain(self.early_audio.iter());
        let earliest = units().map(|unit| unit.decode_time.min(unit.presentation_time)).min();
        let Some(moved) = earliest.and_then(|earliest| self.clock.settle_anchor(earliest)) else { return };
        self.held.iter_mut().chain(self.early_audio.iter_mut()).for_each(|unit| moved.apply(unit));
    }
}

#[cfg(test)]
mod tests;
