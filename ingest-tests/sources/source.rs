//! A row's source as a value: what is made, how it is sent, what must come out.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::clip::Sound;
use crate::harness::ffmpeg::Ffmpeg;
use crate::harness::flv::{Tag, tags};
use crate::harness::judge::Tolerance;
use crate::harness::pace::{End, Take, Timed};
use crate::harness::pcm::{FLV_SLACK, Pcm};
use crate::harness::player::Gaps;
use crate::harness::reference::{Content, Loss, Pictures, Reference};
use crate::harness::rtmp::AUDIO;
use crate::harness::server::config_with;
use crate::harness::{audio, frames};

/// Two renditions of the source's size and of half of it, as cheap as can be.
const RENDITIONS: &str = "renditions = [
    { name = \"180p\", height = 180, video_bitrate = \"400k\", encoder = \"libx264\", preset = \"ultrafast\" },
    { name = \"90p\", height = 90, video_bitrate = \"200k\", encoder = \"libx264\", preset = \"ultrafast\" },
]";

/// Frames keep their time to a millisecond, which is what RTMP carries.
const FRAME_TOLERANCE: Tolerance = 1_000;

/// A time on the sender's clock, in milliseconds, for a kind of tag and its time in the file.
pub type Stamp = fn(u8, i64) -> i64;
/// Whether a tag of a kind and a time in the file is sent.
pub type Keep = fn(u8, i64) -> bool;

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// FFmpeg.
    Encoder(Ffmpeg),
    /// The harness, tag by tag.
    Hand,
}

/// A file that is published, and the one that its content is read from.
#[derive(Clone, Debug)]
pub struct Piece {
    /// FLV.
    pub file: PathBuf,
    /// The same pictures and sound in a file that every FFmpeg reads.
    pub content: PathBuf,
    /// How much later than in the file it is sent, in milliseconds.
    pub shift_ms: i64,
    /// Which of its tags are sent.
    pub keep: Keep,
    /// Whether it is published on a connection of its own, and how the one before ends.
    pub after: Option<End>,
    /// Whether it has pictures.
    pub pictures: bool,
}

impl Piece {
    /// All of a file, from the beginning.
    pub fn whole(file: PathBuf) -> Self {
        Self { content: file.clone(), file, shift_ms: 0, keep: |_, _| true, after: None, pictures: true }
    }

    /// All of a file, so much later.
    pub fn later(file: PathBuf, shift_ms: i64) -> Self {
        Self { shift_ms, ..Self::whole(file) }
    }
}

/// A source.
pub struct Source {
    pub pieces: Vec<Piece>,
    pub via: Via,
    /// How many times as fast as real time.
    pub speed: u32,
    /// What the sender's clock says.
    pub stamp: Stamp,
    /// When it is sent.
    pub arrival: Stamp,
    /// Lines of the profile.
    pub renditions: String,
    pub audio: &'static str,
    /// More sections of the configuration, with their lines.
    pub sections: Vec<(&'static str, &'static str)>,
    /// The FFmpegs that nodes run.
    pub nodes: Vec<Ffmpeg>,
    /// What `streams[].source` must say.
    pub fields: Vec<(&'static str, Value)>,
    pub pictures: Pictures,
    pub sound: Option<Sound>,
    pub discontinuities: usize,
    /// How far sound begins beside the picture, in milliseconds.
    pub uneven_ms: i64,
    pub gaps: Gaps,
    /// What may be lost when a node is killed.
    pub loss_by_kill: Loss,
    pub tolerance: Tolerance,
}

impl Source {
    /// A file that FFmpeg publishes in real time, and that comes out whole.
    pub fn new(file: PathBuf) -> Self {
        Self {
            pieces: vec![Piece::whole(file)],
            via: Via::Encoder(Ffmpeg::Debian),
            speed: 1,
            stamp: |_, time| time,
            arrival: |_, time| time,
            renditions: RENDITIONS.to_owned(),
            audio: "audio = \"copy\"",
            sections: vec![("origin", "window = 100")],
            nodes: vec![Ffmpeg::Debian, Ffmpeg::Current],
            fields: Vec::new(),
            pictures: Pictures::Each,
            sound: Some(Sound::Distinct),
            discontinuities: 0,
            uneven_ms: 0,
            gaps: Gaps::None,
            loss_by_kill: Loss::Nothing,
            tolerance: FRAME_TOLERANCE,
        }
    }

    /// The same file, published tag by tag.
    pub fn by_hand(file: PathBuf) -> Self {
        Self { via: Via::Hand, ..Self::new(file) }
    }

    /// Some tags of a file, published by hand.
    pub fn part(file: PathBuf, keep: Keep) -> Self {
        let mut source = Self::by_hand(file);
        source.pieces[0].keep = keep;
        source
    }

    /// Pieces, published by hand.
    pub fn of(pieces: Vec<Piece>) -> Self {
        let first = pieces[0].file.clone();
        Self { pieces, ..Self::by_hand(first) }
    }

    /// The configuration of a fleet whose nodes run `ffmpeg`.
    pub fn config(&self, ffmpeg: Ffmpeg) -> String {
        let profile = format!("{}\n{}", self.renditions, self.audio);
        let mut sections = vec![("profiles.small", profile.as_str())];
        sections.extend(&self.sections);
        config_with(&sections, &ffmpeg.path()).replace("profile = \"test\"", "profile = \"small\"")
    }

    /// How long it takes to send.
    pub fn length(&self) -> Duration {
        let takes = self.takes();
        takes.last().and_then(|take| take.tags.last()).map_or(Duration::ZERO, |last| last.at)
    }

    /// What is sent by hand, connection by connection.
    pub fn takes(&self) -> Vec<Take> {
        let mut takes: Vec<Take> = Vec::new();
        for piece in &self.pieces {
            let tags = tags(&piece.file).into_iter().filter(|tag| (piece.keep)(tag.kind, tag.time_ms.into()));
            let tags: Vec<Timed> = tags.map(|tag| self.timed(tag, piece.shift_ms)).collect();
            match (takes.last_mut(), piece.after) {
                (Some(take), None) => take.tags.extend(tags),
                (before, after) => {
                    if let (Some(take), Some(end)) = (before, after) {
                        take.end = end;
                    }
                    takes.push(Take { tags, end: End::Orderly });
                }
            }
        }
        // What is sent at one time stays in the order of the file.
        takes.iter_mut().for_each(|take| take.tags.sort_by_key(|timed| timed.at));
        takes
    }

    fn timed(&self, tag: Tag, shift_ms: i64) -> Timed {
        let time = i64::from(tag.time_ms) + shift_ms;
        let arrival = u64::try_from((self.arrival)(tag.kind, time)).unwrap_or(0);
        let at = Duration::from_millis(arrival) / self.speed;
        // The clock of RTMP has 32 bits, and wraps.
        let time_ms = (self.stamp)(tag.kind, time).rem_euclid(1 << 32) as u32;
        Timed { at, tag: Tag { time_ms, ..tag } }
    }

    /// What must come out.
    pub fn reference(&self) -> Reference {
        let mut takes: Vec<Content> = Vec::new();
        for piece in &self.pieces {
            if takes.is_empty() || piece.after.is_some() {
                takes.push(Content::default());
            }
            if let Some(take) = takes.last_mut() {
                self.read(piece, take);
            }
        }
        Reference {
            takes,
            pictures: self.pictures,
            sound: self.sound,
            renditions: self.renditions.matches("name =").count(),
            discontinuities: self.discontinuities,
            uneven_us: self.uneven_ms * 1_000,
            gaps: self.gaps,
            loss: Loss::Nothing,
            tolerance: self.tolerance,
        }
    }

    fn read(&self, piece: &Piece, take: &mut Content) {
        let shift_us = piece.shift_ms * 1_000;
        if self.pictures != Pictures::None && piece.pictures {
            let (mut frames, complaints) = frames::read(&piece.content);
            assert!(
                complaints.is_empty() && !frames.is_empty(),
                "{}: {complaints:?}",
                piece.content.display()
            );
            frames.iter_mut().for_each(|frame| frame.at_us += shift_us);
            take.frames.extend(frames);
        }
        let Some(sound) = self.sound else { return };
        let (units, complaints) = audio::read(&piece.content);
        assert!(complaints.is_empty() && !units.is_empty(), "{}: {complaints:?}", piece.content.display());
        for mut unit in units.into_iter().filter(|unit| (piece.keep)(AUDIO, unit.at_us / 1_000)) {
            unit.at_us += shift_us;
            take.units.push(unit);
        }
        if sound == Sound::Encoded {
            let (pcm, complaints) = Pcm::read(&piece.content, FLV_SLACK);
            assert!(complaints.is_empty(), "{}: {complaints:?}", piece.content.display());
            let pcm = pcm.shifted(piece.shift_ms * 48);
            let placed = take.pcm.put(pcm.start, pcm.samples.into_iter());
            placed.expect("pieces come one after the other");
        }
    }
}
