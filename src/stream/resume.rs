//! Where an attempt begins to read, and which GOPs nobody needs any more. Both follow from what is committed.

use crate::ffmpeg::attempt::BASE_SECONDS;
use crate::media::gop::{Cursor, Gop, GopLog};
use crate::media::time::{TICKS_PER_SECOND, Ticks};

use super::commit::{AudioCommit, VideoCommit};
use super::section::Section;

/// Least time of an attempt's input before its first access unit, so that audio that belongs to it but comes a little earlier
/// has no negative time, which FLV cannot carry.
pub const LEAD: Ticks = Ticks::from_millis(1_000);

/// Access units of audio that FFmpeg may hold back until more come: its MP4 muxer keeps one, its AAC encoder and resampler
/// two more.
pub const HELD_BACK: u32 = 4;

/// Where an attempt begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its place in the log.
    pub cursor: Cursor,
    /// Presentation time of the GOP there.
    pub position: Ticks,
    /// Timeline position of its input's time zero: a multiple of [`BASE_SECONDS`], at least [`LEAD`] before `earliest`.
    pub base: Ticks,
    /// The earliest time in the GOP there, and of what is unheard.
    pub earliest: Ticks,
    /// When the first audio access unit of the GOP there is heard, if one has come.
    pub first_audio: Option<Ticks>,
}

/// Whether the source has audio now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFlow {
    /// It has.
    Flows,
    /// Its pictures go on without.
    Pauses,
}

/// What is committed of a section.
#[derive(Clone, Copy, Debug)]
pub struct Committed<'a> {
    /// Each rendition.
    pub renditions: &'a [VideoCommit],
    /// The audio, if the section has it.
    pub audio: Option<&'a AudioCommit>,
    /// Whether more audio comes that makes FFmpeg let go of what it holds back.
    pub flow: AudioFlow,
    /// When the first access unit of audio is heard that has left the log and is not committed.
    pub unheard: Option<Ticks>,
}

impl Committed<'_> {
    /// Whether all of `gop`, which ends at `end`, is committed in every output.
    fn covers(&self, gop: &Gop, end: Ticks) -> bool {
        let audio_done = match (self.audio, gop.last_audio()) {
            // The last access unit may be missing: FFmpeg holds it back until another comes. Where audio pauses none does,
            // and no GOP may be held for it: the few access units themselves are ([`super::unheard`]).
            (Some(audio), Some(last)) => match self.flow {
                AudioFlow::Flows => audio.reaches(last),
                AudioFlow::Pauses => audio.lacks_at_most(HELD_BACK, last),
            },
            (None, _) | (_, None) => true,
        };
        audio_done && self.renditions.iter().all(|rendition| rendition.covers(end))
    }

    /// The first GOP of `section` that is not committed in every output. The last one never is: it has no end yet.
    fn first_open<'a>(&self, log: &'a GopLog, section: &Section) -> Option<&'a Gop> {
        let mine = || log.gops().filter(|gop| gop.section() == section.id);
        let next = mine().skip(1).map(|gop| Some(gop.position())).chain([None]);
        mine().zip(next).find(|(gop, end)| end.is_none_or(|end| !self.covers(gop, end))).map(|(gop, _)| gop)
    }

    /// Where a new attempt begins: one GOP before the first that is open, as warm-up (its output is discarded by
    /// position), so that the encoder's state at the seam is what an undisturbed run has. Without a whole GOP there, at the
    /// next whole one; `None` while there is none.
    #[must_use]
    pub fn start(&self, log: &GopLog, section: &Section) -> Option<Start> {
        let open = self.first_open(log, section)?.number();
        let candidates = log.gops().filter(|gop| gop.section() == section.id && gop.number() + 1 >= open);
        let gop = candidates.into_iter().find(|gop| gop.is_whole())?;
        let earliest = gop.earliest();
        let earliest = self.unheard.map_or(earliest, |unheard| unheard.min(earliest));
        let (cursor, position) = (log.cursor_at(gop.number()), gop.position());
        let first_audio = self.unheard.or(gop.first_audio());
        Some(Start { cursor, position, base: base_before(earliest), earliest, first_audio })
    }

    /// The number before which no GOP is needed: the warm-up GOP's.
    #[must_use]
    pub fn needed_from(&self, log: &GopLog, section: &Section) -> Option<u64> {
        let open = self.first_open(log, section)?.number();
        let before = log.gops().find(|gop| gop.section() == section.id && gop.number() + 1 == open);
        Some(before.map_or(open, Gop::number))
    }
}

/// The latest [`BASE_SECONDS`] that is [`LEAD`] before `earliest`.
pub(super) fn base_before(earliest: Ticks) -> Ticks {
    let step = BASE_SECONDS * TICKS_PER_SECOND;
    Ticks((earliest - LEAD).0.div_euclid(step).saturating_mul(step))
}

#[cfg(test)]
mod tests;
