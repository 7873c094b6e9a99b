//! The GOP log: the last GOPs of a stream, bounded by bytes and duration, with one writer and many readers.
//!
//! A reader holds a [`Cursor`] and never slows the writer: what the bounds force out is gone, and a reader whose cursor
//! points there is told so ([`Read::FellOff`]). The log knows nothing of what was committed; its owner says what may
//! leave ([`GopLog::release_before`]).

use std::collections::VecDeque;

use super::access_unit::AccessUnit;
use super::time::Ticks;
use super::track::TrackKind;

/// What an access unit costs beside its payload, in bytes, rounded up: its entry in a deque that may be half empty, and what
/// the allocator and [`bytes::Bytes`] add to a payload. A sender of pictures of one byte would otherwise have twenty times
/// the bound.
pub const UNIT_BYTES: usize = 128;
/// What a GOP costs beside its access units, likewise.
pub const GOP_BYTES: usize = 384;

/// How much a log may hold. Over either bound the oldest access units leave first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GopLogLimits {
    /// Distance from the first to the last decode time.
    pub max_duration: Ticks,
    /// Memory of all GOPs, in bytes: payloads, with [`UNIT_BYTES`] for each and [`GOP_BYTES`] for each GOP.
    pub max_bytes: usize,
}

/// A stretch of a stream with one codec configuration: FFmpeg is started anew for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId(pub u32);

/// Access units from one random access point up to the next, in the order in which they came.
#[derive(Debug)]
pub struct Gop {
    number: u64,
    section: SectionId,
    position: Ticks,
    units: VecDeque<AccessUnit>,
    /// Units that the bounds forced out of the front: the rest cannot be decoded by a reader that begins here.
    truncated: usize,
    bytes: usize,
    first_audio: Option<Ticks>,
    last_audio: Option<Ticks>,
}

impl Gop {
    /// Its number in the log, counted from 0 and never reused.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The section it belongs to.
    #[must_use]
    pub fn section(&self) -> SectionId {
        self.section
    }

    /// Presentation time of its random access point.
    #[must_use]
    pub fn position(&self) -> Ticks {
        self.position
    }

    /// Presentation time of the first audio access unit that came with it.
    #[must_use]
    pub fn first_audio(&self) -> Option<Ticks> {
        self.first_audio
    }

    /// Presentation time of the last audio access unit that came with it.
    #[must_use]
    pub fn last_audio(&self) -> Option<Ticks> {
        self.last_audio
    }

    /// Its access units, in the order in which they came.
    pub fn units(&self) -> impl DoubleEndedIterator<Item = &AccessUnit> {
        self.units.iter()
    }

    /// The earliest decode or presentation time in it.
    #[must_use]
    pub fn earliest(&self) -> Ticks {
        let times = self.units.iter().map(|unit| unit.decode_time.min(unit.presentation_time));
        times.min().unwrap_or(self.position)
    }

    /// Whether a reader that begins here can decode.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.truncated == 0
    }
}

/// A reader's place in the log: the next access unit to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    gop: u64,
    unit: usize,
}

impl Cursor {
    /// The number of the GOP that it stands in.
    #[must_use]
    pub fn gop_number(self) -> u64 {
        self.gop
    }
}

/// What a reader finds at its cursor.
#[derive(Debug, PartialEq)]
pub enum Read<'a> {
    /// The next access unit; the cursor has moved past it.
    Unit(&'a AccessUnit),
    /// The reader has everything that is there so far.
    CaughtUp,
    /// The next GOP is of another section.
    SectionEnd,
    /// The bounds forced out what the cursor points to.
    FellOff,
}

/// What became of an access unit given to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log.
    Kept,
    /// No random access point of its section has come yet, so nobody could decode it.
    Undecodable,
}

/// The log. See the module's words.
#[derive(Debug)]
pub struct GopLog {
    limits: GopLogLimits,
    gops: VecDeque<Gop>,
    next_number: u64,
    bytes: usize,
    /// Where the GOP that left last ended: a reader that stood there has missed nothing.
    left: Option<(Cursor, SectionId)>,
}

impl GopLog {
    /// An empty log.
    #[must_use]
    pub fn new(limits: GopLogLimits) -> Self {
        Self { limits, gops: VecDeque::new(), next_number: 0, bytes: 0, left: None }
    }

    /// Adds an access unit of `section`; a random access point begins a GOP. Then holds the bounds.
    pub fn append(&mut self, unit: AccessUnit, section: SectionId) -> Appended {
        if unit.random_access {
            self.begin_gop(section, unit.presentation_time);
        }
        let Some(gop) = self.gops.back_mut().filter(|gop| gop.section == section) else {
            return Appended::Undecodable;
        };
        let bytes = cost(&unit);
        gop.bytes += bytes;
        self.bytes += bytes;
        if unit.track == TrackKind::Audio {
            gop.first_audio = gop.first_audio.or(Some(unit.presentation_time));
            gop.last_audio = gop.last_audio.max(Some(unit.presentation_time));
        }
        gop.units.push_back(unit);
        self.hold_bounds();
        Appended::Kept
    }

    fn begin_gop(&mut self, section: SectionId, position: Ticks) {
        let number = self.next_number;
        self.next_number += 1;
        self.gops.push_back(Gop {
            number,
            section,
            position,
            units: VecDeque::new(),
            truncated: 0,
            bytes: GOP_BYTES,
            first_audio: None,
            last_audio: None,
        });
        self.bytes += GOP_BYTES;
    }

    fn hold_bounds(&mut self) {
        while self.bytes > self.limits.max_bytes || self.duration() > self.limits.max_duration {
            if self.gops.len() > 1 {
                self.drop_first();
            } else if !self.truncate_only() {
                return;
            }
        }
    }

    fn drop_first(&mut self) {
        if let Some(gop) = self.gops.pop_front() {
            self.bytes -= gop.bytes;
            let end = Cursor { gop: gop.number, unit: gop.truncated + gop.units.len() };
            self.left = Some((end, gop.section));
        }
    }

    /// Takes the oldest access unit out of a GOP that is longer than the log may be. The newest one always stays.
    fn truncate_only(&mut self) -> bool {
        let Some(gop) = self.gops.front_mut().filter(|gop| gop.units.len() > 1) else { return false };
        if let Some(unit) = gop.units.pop_front() {
            gop.truncated += 1;
            let bytes = cost(&unit);
            gop.bytes -= bytes;
            self.bytes -= bytes;
        }
        true
    }

    /// Reads at `cursor` and moves it on.
    pub fn read(&self, cursor: &mut Cursor) -> Read<'_> {
        loop {
            if self.gops.front().is_none_or(|first| cursor.gop < first.number) {
                return self.read_what_left(cursor);
            }
            let Some(gop) = self.gop(cursor.gop) else { return Read::CaughtUp };
            let Some(index) = cursor.unit.checked_sub(gop.truncated) else { return Read::FellOff };
            if let Some(unit) = gop.units.get(index) {
                cursor.unit += 1;
                return Read::Unit(unit);
            }
            match self.gop(gop.number + 1) {
                None => return Read::CaughtUp,
                Some(next) if next.section != gop.section => return Read::SectionEnd,
                Some(next) => *cursor = self.cursor_at(next.number),
            }
        }
    }

    /// Reads for a cursor before the first GOP: it has missed something, unless it stood just there.
    fn read_what_left(&self, cursor: &mut Cursor) -> Read<'_> {
        let Some(first) = self.gops.front() else { return Read::CaughtUp };
        match self.left {
            Some((end, section)) if end == *cursor && end.gop + 1 == first.number => {
                if section != first.section {
                    return Read::SectionEnd;
                }
                *cursor = Cursor { gop: first.number, unit: 1 };
                first.units.front().filter(|_| first.is_whole()).map_or(Read::FellOff, Read::Unit)
            }
            _ => Read::FellOff,
        }
    }

    /// A cursor at the beginning of a GOP.
    #[must_use]
    pub fn cursor_at(&self, number: u64) -> Cursor {
        Cursor { gop: number, unit: 0 }
    }

    /// The GOP with this number, if it is still there.
    #[must_use]
    pub fn gop(&self, number: u64) -> Option<&Gop> {
        let first = self.gops.front()?.number;
        self.gops.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// All GOPs, oldest first.
    pub fn gops(&self) -> impl DoubleEndedIterator<Item = &Gop> {
        self.gops.iter()
    }

    /// Lets all GOPs before `number` go. The newest one stays, whatever is asked: its publisher is still writing it.
    pub fn release_before(&mut self, number: u64) {
        while self.gops.len() > 1 && self.gops.front().is_some_and(|gop| gop.number < number) {
            self.drop_first();
        }
    }

    /// Number of GOPs held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.gops.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gops.is_empty()
    }

    /// Memory held, in bytes, as [`GopLogLimits::max_bytes`] counts it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Distance from the oldest to the newest decode time held.
    #[must_use]
    pub fn duration(&self) -> Ticks {
        let first = self.gops.front().and_then(|gop| gop.units.front());
        let last = self.gops.back().and_then(|gop| gop.units.back());
        match (first, last) {
            (Some(first), Some(last)) => (last.decode_time - first.decode_time).max(Ticks::ZERO),
            _ => Ticks::ZERO,
        }
    }
}

fn cost(unit: &AccessUnit) -> usize {
    unit.payload.len() + UNIT_BYTES
}

#[cfg(test)]
mod tests;
