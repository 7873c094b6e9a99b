//! A take: one publisher connection's share of a stream. It turns FLV tags into access units on the stream's timeline
//! and says where a section begins.
//!
//! A section begins at a random access point, when all tracks have shown or a second has passed; a changed or late codec
//! configuration makes the next random access point begin another. Until then what arrives is held, within bounds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::base::reason::Reason;
use crate::media::access_unit::AccessUnit;
use crate::media::audio::{self, AudioError};
use crate::media::flv::{self, AudioBody, FlvError, Tag, TagKind, VideoBody};
use crate::media::time::{MillisUnwrapper, Ticks};
use crate::media::track::{AudioCodec, AudioConfiguration, TrackKind, VideoConfiguration};
use crate::media::video::{self, RandomAccess, VideoError};

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
/// A longer step forward of a track's clock is a jump of the sender's clock, not time that passed.
const MAX_STEP: Ticks = Ticks::from_millis(10_000);
/// A longer step back is one too. A shorter one is a sender's rounding: the time stands still for it.
const MAX_STEP_BACK: Ticks = Ticks::from_millis(100);
/// A picture shown outside of this, counted from its decoding, is damaged: H.264 reorders at most 16 pictures.
const COMPOSITION_OFFSETS_MS: std::ops::RangeInclusive<i32> = -1_000..=10_000;
/// Where the length of an access unit is not known: a picture at 30 a second, in whole milliseconds.
const DEFAULT_STEP: Ticks = Ticks::from_millis(33);

/// Why a take cannot go on. The publisher is closed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TakeError {
    /// A codec that is not taken.
    #[error(transparent)]
    Codec(FlvError),
    /// The video configuration is malformed.
    #[error("video configuration: {0}")]
    Video(#[from] VideoError),
    /// The audio configuration is malformed.
    #[error("audio configuration: {0}")]
    Audio(#[from] AudioError),
}

impl TakeError {
    /// The class of it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Codec(_) => Reason::UnsupportedCodec,
            Self::Video(_) | Self::Audio(_) => Reason::InputUnreadable,
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
    video: Option<VideoConfiguration>,
    audio: Option<AudioConfiguration>,
    metadata: flv::Metadata,
    gate: Gate,
    held: Vec<AccessUnit>,
    held_bytes: usize,
    early_audio: VecDeque<AccessUnit>,
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
            video: None,
            audio: None,
            metadata: flv::Metadata::default(),
            gate: Gate::Closed { since: None },
            held: Vec::new(),
            held_bytes: 0,
            early_audio: VecDeque::new(),
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
                if let Some(metadata) = flv::read_metadata(&tag.payload) {
                    self.metadata = metadata;
                    self.preamble.metadata = Some(tag.payload.clone());
                }
                Ok(())
            }
            TagKind::Video => self.handle_video(tag, now),
            TagKind::Audio => self.handle_audio(tag),
        }
    }

    fn handle_video(&mut self, tag: &Tag, now: Instant) -> Result<(), TakeError> {
        match tolerate(flv::read_video(&tag.payload))? {
            Some(VideoBody::Configuration { codec, record }) => {
                if self.preamble.video.as_ref() != Some(&tag.payload) {
                    let video = video::read_configuration(codec, record)?;
                    self.begin_what_is_held();
                    self.video = Some(video);
                    self.preamble.video = Some(tag.payload.clone());
                    self.mark_stale();
                }
            }
            Some(VideoBody::AccessUnit { composition_offset_ms, data, .. }) => {
                let Some(video) = &self.video else {
                    self.events.push_back(TakeEvent::Undecodable);
                    return Ok(());
                };
                let random_access = match video::random_access(video, data) {
                    RandomAccess::Idr | RandomAccess::RecoveryPoint { recovery_frame_count: 0 } => true,
                    RandomAccess::RecoveryPoint { .. } | RandomAccess::None => false,
                };
                if !COMPOSITION_OFFSETS_MS.contains(&composition_offset_ms) {
                    self.events.push_back(TakeEvent::Undecodable);
                    return Ok(());
                }
                let offset = Ticks::from_millis(i64::from(composition_offset_ms));
                let (decode_time, presentation_time) =
                    self.clock.place_video(tag.timestamp_ms, offset, random_access);
                let payload = tag.payload.clone();
                let track = TrackKind::Video;
                let unit = AccessUnit { track, decode_time, presentation_time, random_access, payload };
                self.pass_video(unit, now);
            }
            None => self.events.push_back(TakeEvent::Undecodable),
            Some(VideoBody::EndOfSequence | VideoBody::Info | VideoBody::Empty) => {}
        }
        Ok(())
    }

    fn handle_audio(&mut self, tag: &Tag) -> Result<(), TakeError> {
        match tolerate(flv::read_audio(&tag.payload))? {
            Some(AudioBody::Configuration { codec, record }) => {
                if self.preamble.audio.as_ref() != Some(&tag.payload) {
                    let audio = audio::read_configuration(codec, record)?;
                    if self.audio.is_some() {
                        self.begin_what_is_held();
                    }
                    self.audio = Some(audio);
                    self.preamble.audio = Some(tag.payload.clone());
                    self.mark_stale();
                }
            }
            Some(AudioBody::AccessUnit { codec, data }) => {
                if codec == AudioCodec::Mp3 && self.audio.as_ref().is_none_or(|audio| audio.codec != codec) {
                    self.begin_mp3(data);
                }
                // AAC cannot be taken before its configuration, nor after MP3 without a new one.
                let Some(audio) = self.audio.as_ref().filter(|audio| audio.codec == codec) else {
                    return Ok(());
                };
                let time = self.clock.place_audio(tag.timestamp_ms);
                let samples = i64::from(audio.samples_per_access_unit);
                self.clock.extend(time + Ticks::from_samples(samples, audio.sample_rate));
                let unit = AccessUnit {
                    track: TrackKind::Audio,
                    decode_time: time,
                    presentation_time: time,
                    random_access: true,
                    payload: tag.payload.clone(),
                };
                self.pass_audio(unit);
            }
            Some(AudioBody::Empty) | None => {}
        }
        Ok(())
    }

    /// MP3 has no configuration of its own: its first access unit tells.
    fn begin_mp3(&mut self, access_unit: &[u8]) {
        if let Some(audio) = audio::read_access_unit(AudioCodec::Mp3, access_unit) {
            if self.audio.is_some() {
                self.begin_what_is_held();
            }
            self.audio = Some(audio);
            self.preamble.audio = None;
            self.mark_stale();
        }
    }

    /// Forgets what has been found: its publisher is closed for it.
    pub fn discard(&mut self) {
        self.events.clear();
        self.held.clear();
        self.early_audio.clear();
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

    /// Audio is there, or the sender's metadata says that there will be none.
    fn all_tracks_shown(&self) -> bool {
        self.audio.is_some() || (self.preamble.metadata.is_some() && !self.metadata.announces_audio)
    }

    fn pass_video(&mut self, unit: AccessUnit, now: Instant) {
        match self.gate {
            Gate::Open { stale: false } => self.events.push_back(TakeEvent::Unit(unit)),
            Gate::Open { stale: true } if !unit.random_access => self.events.push_back(TakeEvent::Unit(unit)),
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
            Gate::Closed { .. } | Gate::Open { stale: true } => {
                if self.early_audio.len() == MAX_EARLY_AUDIO {
                    self.early_audio.pop_front();
                }
                self.early_audio.push_back(unit);
            }
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
        let start = SectionStart { preamble, video, audio, frame_rate, position };
        self.events.push_back(TakeEvent::SectionBegins(start));
        let mut held = std::mem::take(&mut self.held).into_iter();
        self.events.extend(held.next().map(TakeEvent::Unit));
        self.events.extend(self.early_audio.drain(..).map(TakeEvent::Unit));
        self.events.extend(held.map(TakeEvent::Unit));
        self.held_bytes = 0;
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

/// Maps the sender's clock to the timeline. Both tracks share one shift, so they move together.
#[derive(Debug)]
struct TakeClock {
    unwrapper: MillisUnwrapper,
    /// Timeline minus sender's clock; unknown before the first access unit.
    shift: Option<Ticks>,
    anchor: Ticks,
    /// Whether nothing may be moved any more, because a section has begun.
    settled: bool,
    last_video: Option<Ticks>,
    last_audio: Option<Ticks>,
    video_step: Ticks,
    /// The latest presentation time of a picture.
    last_shown: Option<Ticks>,
    /// Where the last access unit ends.
    end: Ticks,
}

impl TakeClock {
    fn new(anchor: Ticks) -> Self {
        Self {
            unwrapper: MillisUnwrapper::default(),
            shift: None,
            anchor,
            settled: false,
            last_video: None,
            last_audio: None,
            video_step: DEFAULT_STEP,
            last_shown: None,
            end: anchor,
        }
    }

    /// Decode and presentation time of a picture, which is shown `offset` after it is decoded.
    fn place_video(&mut self, timestamp_ms: u32, offset: Ticks, random_access: bool) -> (Ticks, Ticks) {
        let mut time = self.place(timestamp_ms, self.last_video, self.video_step);
        // What comes at a random access point is shown after all that came before, or its position would go back.
        let overlap = self
            .last_shown
            .map(|last| last - (time + offset))
            .filter(|&by| random_access && by >= Ticks::ZERO);
        if let Some(by) = overlap {
            let by = by + self.video_step;
            time = time + by;
            self.shift = self.shift.map(|shift| shift + by);
        }
        if let Some(last) = self.last_video.filter(|&last| last < time) {
            self.video_step = (time - last).min(Ticks::from_millis(1000));
        }
        self.last_video = Some(time);
        let shown = time + offset;
        self.last_shown = self.last_shown.max(Some(shown));
        self.extend(shown + self.video_step);
        (time, shown)
    }

    fn place_audio(&mut self, timestamp_ms: u32) -> Ticks {
        let time = self.place(timestamp_ms, self.last_audio, Ticks::from_millis(21));
        self.last_audio = Some(time);
        time
    }

    /// The timeline's time of `timestamp_ms`, never before the track's `last` time. A jump of the sender's clock moves the
    /// shift, so that the take goes on one `step` later.
    fn place(&mut self, timestamp_ms: u32, last: Option<Ticks>, step: Ticks) -> Ticks {
        let raw = Ticks::from_millis(self.unwrapper.unwrap(timestamp_ms));
        let shift = *self.shift.get_or_insert(self.anchor - raw);
        let time = raw + shift;
        let Some(latest) = self.last_video.max(self.last_audio) else { return time };
        // A track may pause, or begin late: what counts as a jump forward is judged by the take as a whole.
        let (jumps_ahead, jumps_back) = match last {
            Some(last) => (time - latest > MAX_STEP, last - time > MAX_STEP_BACK),
            None => (time - latest > MAX_STEP, latest - time > MAX_STEP),
        };
        let goes_on_from =
            if jumps_ahead { Some(latest) } else { last.or(Some(latest)).filter(|_| jumps_back) };
        match goes_on_from {
            Some(from) => {
                self.shift = Some(from + step - raw);
                from + step
            }
            None => last.map_or(time, |last| time.max(last)),
        }
    }

    fn extend(&mut self, end: Ticks) {
        self.end = self.end.max(end);
    }

    /// Moves the take so that its `earliest` time is not before the anchor, and says by how much; only before the first
    /// section.
    fn settle_anchor(&mut self, earliest: Ticks) -> Option<Ticks> {
        let missing = self.anchor - earliest;
        if std::mem::replace(&mut self.settled, true) || missing <= Ticks::ZERO {
            return None;
        }
        self.shift = self.shift.map(|shift| shift + missing);
        let moved = [&mut self.last_video, &mut self.last_audio, &mut self.last_shown];
        moved.into_iter().flatten().for_each(|time| *time = *time + missing);
        self.end = self.end + missing;
        Some(missing)
    }
}

#[cfg(test)]
mod tests;
