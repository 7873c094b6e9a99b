//! A take: one publisher connection's share of a stream. It turns FLV tags into access units on the stream's timeline
//! and says where a section begins.
//!
//! A take follows one video and one audio track, the first of each that shows ([`selection`]), in whatever codec they are.
//!
//! A section begins at a random access point, when all tracks have shown or a second has passed; a changed or late codec
//! configuration makes the next random access point begin another. Until then what arrives is held, within bounds.

mod clock;
mod selection;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::reason::Reason;
use crate::ffmpeg::capability::{Carriage, Form};
use crate::media::access_unit::AccessUnit;
use crate::media::audio::{self, AudioError};
use crate::media::flv::{self, AudioBody, FlvError, Tag, TagKind, TrackBody, Tracks, VideoBody};
use crate::media::time::Ticks;
use crate::media::track::{AudioCodec, AudioConfiguration, TrackKind, VideoCodec, VideoConfiguration};
use crate::media::video::{self, RandomAccess, VideoError};

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

/// What came of one track, in one message.
#[derive(Clone, Copy, Debug)]
struct Arrival<'a> {
    /// The sender's number of the track.
    number: u8,
    /// A body of the track's own.
    body: &'a Bytes,
    /// The sender's clock.
    timestamp_ms: u32,
    now: Instant,
}

/// Whose bodies these are: Enhanced RTMP v2 sets the top bit of a video body, and an audio body's sound format to 9.
fn form(kind: TrackKind, body: &[u8]) -> Form {
    let enhanced = body.first().is_some_and(|first| match kind {
        TrackKind::Video => first & 0x80 != 0,
        TrackKind::Audio => first >> 4 == 9,
    });
    if enhanced { Form::Enhanced } else { Form::Plain }
}

/// The codec of a body that has a track to itself, as Enhanced RTMP v2 writes it; `None` where nothing is coded in it.
fn four_cc(kind: TrackKind, body: &[u8]) -> Option<[u8; 4]> {
    match kind {
        TrackKind::Video => match flv::read_video(body).ok()? {
            VideoBody::Configuration { codec, .. } | VideoBody::AccessUnit { codec, .. } => {
                Some(*match codec {
                    VideoCodec::H264 => b"avc1",
                    VideoCodec::Hevc => b"hvc1",
                    VideoCodec::Av1 => b"av01",
                    VideoCodec::Vp9 => b"vp09",
                })
            }
            VideoBody::EndOfSequence | VideoBody::Info | VideoBody::Empty => None,
        },
        TrackKind::Audio => match flv::read_audio(body).ok()? {
            AudioBody::Configuration { codec, .. } | AudioBody::AccessUnit { codec, .. } => {
                Some(*match codec {
                    AudioCodec::Aac => b"mp4a",
                    AudioCodec::Mp3 => b".mp3",
                    AudioCodec::Opus => b"Opus",
                    AudioCodec::Flac => b"fLaC",
                    AudioCodec::Ac3 => b"ac-3",
                    AudioCodec::Eac3 => b"ec-3",
                })
            }
            AudioBody::Empty => None,
        },
    }
}

/// One publisher connection's share of a stream's timeline.
#[derive(Debug)]
pub struct Take {
    publisher: PublisherId,
    clock: TakeClock,
    preamble: Preamble,
    selection: Selection,
    video: Option<VideoConfiguration>,
    video_form: Form,
    audio: Option<AudioConfiguration>,
    audio_form: Form,
    /// How the video of the section lies that is open.
    open_video: Option<Carriage>,
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
            selection: Selection::default(),
            video: None,
            video_form: Form::Plain,
            audio: None,
            audio_form: Form::Plain,
            open_video: None,
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
                if let Some(metadata) = flv::read_metadata(&tag.payload) {
                    self.metadata = metadata;
                    self.preamble.metadata = Some(tag.payload.clone());
                }
                Ok(())
            }
            TagKind::Video => self.handle_tracks(TrackKind::Video, tag, now),
            TagKind::Audio => self.handle_tracks(TrackKind::Audio, tag, now),
        }
    }

    /// Hands each track's share of a message to its reader. A track that is not followed is passed over.
    fn handle_tracks(&mut self, kind: TrackKind, tag: &Tag, now: Instant) -> Result<(), TakeError> {
        let (timestamp_ms, payload) = (tag.timestamp_ms, &tag.payload);
        let shares = match tolerate(flv::tracks(tag.kind, payload))? {
            Some(Tracks::Plain) if self.selection.admits(kind, 0) => {
                return self.handle_body(kind, &Arrival { number: 0, body: payload, timestamp_ms, now });
            }
            Some(Tracks::Plain) => {
                let other = four_cc(kind, payload).map(|four_cc| OtherTrack { kind, number: 0, four_cc });
                other.into_iter().for_each(|other| self.selection.pass_over(other));
                return Ok(());
            }
            Some(Tracks::Split(shares)) => shares,
            None => {
                self.events.extend((kind == TrackKind::Video).then_some(TakeEvent::Undecodable));
                return Ok(());
            }
        };
        for TrackBody { number, four_cc, body } in shares {
            let other = OtherTrack { kind, number, four_cc };
            if !self.selection.admits(kind, number) {
                self.selection.pass_over(other);
                continue;
            }
            match self.handle_body(kind, &Arrival { number, body: &body, timestamp_ms, now }) {
                // Nothing is lost by a track beside the main one, which the encoder may send for somebody else.
                Err(_) if number != 0 && self.selection.followed(kind).is_none() => {
                    self.selection.pass_over(other);
                }
                read => read?,
            }
        }
        Ok(())
    }

    fn handle_body(&mut self, kind: TrackKind, arrival: &Arrival<'_>) -> Result<(), TakeError> {
        match kind {
            TrackKind::Video => self.handle_video(arrival),
            TrackKind::Audio => self.handle_audio(arrival),
        }
    }

    fn handle_video(&mut self, arrival: &Arrival<'_>) -> Result<(), TakeError> {
        match tolerate(flv::read_video(arrival.body))? {
            Some(VideoBody::Configuration { codec, record }) => {
                if self.preamble.video.as_ref() != Some(arrival.body) {
                    let video = video::read_configuration(codec, record)?;
                    self.selection.follow(TrackKind::Video, arrival.number);
                    self.configure_video(video, arrival.body.clone());
                }
            }
            Some(VideoBody::AccessUnit { codec, composition_offset_ms, data, .. }) => {
                self.selection.follow(TrackKind::Video, arrival.number);
                let unit = self.read_picture(codec, composition_offset_ms, data, arrival);
                match unit {
                    Some(unit) => self.pass_video(unit, arrival.now),
                    None => self.events.push_back(TakeEvent::Undecodable),
                }
            }
            None => self.events.push_back(TakeEvent::Undecodable),
            Some(VideoBody::EndOfSequence | VideoBody::Info | VideoBody::Empty) => {}
        }
        Ok(())
    }

    /// A picture on the timeline; `None` where its codec has no configuration, or its times make no sense.
    fn read_picture(
        &mut self,
        codec: VideoCodec,
        composition_offset_ms: i32,
        data: &[u8],
        arrival: &Arrival<'_>,
    ) -> Option<AccessUnit> {
        let video = self.video.as_ref().filter(|video| video.codec == codec)?;
        if !COMPOSITION_OFFSETS_MS.contains(&composition_offset_ms) {
            return None;
        }
        let random_access = match video::random_access(video, data) {
            RandomAccess::Idr | RandomAccess::RecoveryPoint { recovery_frame_count: 0 } => true,
            RandomAccess::RecoveryPoint { .. } | RandomAccess::None => false,
        };
        if form(TrackKind::Video, arrival.body) == Form::Enhanced && self.video_form == Form::Plain {
            self.video_form = Form::Enhanced;
            self.mark_stale();
        }
        let offset = Ticks::from_millis(i64::from(composition_offset_ms));
        let (decode_time, presentation_time) =
            self.clock.place_video(arrival.timestamp_ms, offset, random_access);
        let (track, payload) = (TrackKind::Video, arrival.body.clone());
        Some(AccessUnit { track, decode_time, presentation_time, random_access, payload })
    }

    /// What comes next is coded so; `record` is the body that said it.
    fn configure_video(&mut self, video: VideoConfiguration, record: Bytes) {
        self.begin_what_is_held();
        self.video = Some(video);
        self.video_form = form(TrackKind::Video, &record);
        self.preamble.video = Some(record);
        self.mark_stale();
    }

    fn handle_audio(&mut self, arrival: &Arrival<'_>) -> Result<(), TakeError> {
        match tolerate(flv::read_audio(arrival.body))? {
            Some(AudioBody::Configuration { codec, record }) => {
                if self.preamble.audio.as_ref() != Some(arrival.body) {
                    let audio = audio::read_configuration(codec, record)?;
                    self.selection.follow(TrackKind::Audio, arrival.number);
                    self.configure_audio(audio, arrival.body, Some(arrival.body.clone()));
                }
            }
            Some(AudioBody::AccessUnit { codec, data }) => {
                self.selection.follow(TrackKind::Audio, arrival.number);
                if let Some(unit) = self.read_sound(codec, data, arrival) {
                    self.pass_audio(unit);
                }
            }
            Some(AudioBody::Empty) | None => {}
        }
        Ok(())
    }

    /// An access unit of audio on the timeline; `None` where its codec has no configuration.
    fn read_sound(&mut self, codec: AudioCodec, data: &[u8], arrival: &Arrival<'_>) -> Option<AccessUnit> {
        // There is no configuration to wait for: each access unit tells, the first one and one that is different.
        if audio::describes_itself(codec)
            && let Some(said) = audio::read_access_unit(codec, data)
            && self.audio.as_ref() != Some(&said)
        {
            self.configure_audio(said, arrival.body, None);
        }
        // AAC cannot be taken before its configuration, nor after MP3 without a new one.
        let audio = self.audio.as_ref().filter(|audio| audio.codec == codec)?;
        let length = Ticks::from_samples(i64::from(audio::samples(audio, data)), audio.sample_rate.max(1));
        if form(TrackKind::Audio, arrival.body) == Form::Enhanced && self.audio_form == Form::Plain {
            self.audio_form = Form::Enhanced;
            self.mark_stale();
        }
        let time = self.clock.place_audio(arrival.timestamp_ms);
        self.clock.extend(time + length);
        Some(AccessUnit {
            track: TrackKind::Audio,
            decode_time: time,
            presentation_time: time,
            random_access: true,
            payload: arrival.body.clone(),
        })
    }

    /// What comes next is coded so, as `body` says; `record` is the same where it is a configuration.
    fn configure_audio(&mut self, audio: AudioConfiguration, body: &[u8], record: Option<Bytes>) {
        if self.audio.is_some() {
            self.begin_what_is_held();
        }
        self.audio = Some(audio);
        self.audio_form = form(TrackKind::Audio, body);
        self.preamble.audio = record;
        self.mark_stale();
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

    fn video_carriage(&self) -> Option<Carriage> {
        self.video.as_ref().map(|video| Carriage::of_video(video.codec, self.video_form))
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
        self.open_video = self.video_carriage();
        let audio_carriage = audio.as_ref().map(|audio| Carriage::of_audio(audio.codec, self.audio_form));
        let reads = self.open_video.into_iter().chain(audio_carriage).collect();
        let start = SectionStart { preamble, video, audio, reads, frame_rate, position };
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

#[cfg(test)]
mod tests;
