//! Reads a fragmented MP4 from a pipe as it comes: the track's header once, then access units.
//!
//! FFmpeg with `frag_every_frame` writes a `moof` and an `mdat` for each access unit; fragments with more are read alike.
//! What is neither `moov`, `moof` nor `mdat` (`ftyp`, `styp`, `sidx`, `free`, `mfra`) is skipped without being kept.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use mp4_atom::Trex;

use super::boxes::{Header, Whole};
use super::run::{self, Announced};
use super::{BoxType, TrackHeader, header};

/// Largest `moov` in bytes; FFmpeg's has about 800.
pub const MAX_MOOV_BYTES: usize = 1 << 20;
/// Largest `moof` in bytes; with `frag_every_frame` it has about 110.
pub const MAX_MOOF_BYTES: usize = 1 << 20;
/// Largest `mdat` in bytes.
pub const MAX_MDAT_BYTES: usize = 64 << 20;
/// Most access units in a `moof`. It bounds what a `moof` of a few bytes can make us keep.
pub const MAX_ACCESS_UNITS: usize = 4096;

/// Why a stream could not be read. Offsets are in bytes from the stream's start, to the box that is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A box is smaller than its own header, or its size is "to the end of the file".
    #[error("box {kind} at byte {offset} has an impossible size of {size} bytes")]
    Size {
        /// Its type.
        kind: BoxType,
        /// Where it begins.
        offset: u64,
        /// The size that it gives.
        size: u64,
    },
    /// A box is larger than what is taken.
    #[error("box {kind} at byte {offset} has {size} bytes, at most {limit} are taken")]
    TooLarge {
        /// Its type.
        kind: BoxType,
        /// Where it begins.
        offset: u64,
        /// The size that it gives.
        size: u64,
        /// The bound.
        limit: usize,
    },
    /// A box ends after the one that it is in.
    #[error("the box at byte {offset} does not fit into the one that it is in")]
    CutShort {
        /// Where it begins.
        offset: u64,
    },
    /// A box's fields make no sense.
    #[error("box {kind} at byte {offset}: {detail}")]
    Malformed {
        /// Its type.
        kind: BoxType,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// A box that must be there is not.
    #[error("box {within} at byte {offset} has no {kind}")]
    Missing {
        /// The type that is missing.
        kind: BoxType,
        /// The type of the box that should hold it.
        within: BoxType,
        /// Where that one begins.
        offset: u64,
    },
    /// A box out of order: a second `moov`, a `moof` before it, or not one `mdat` after each `moof`.
    #[error("box {kind} at byte {offset} is out of order")]
    OutOfOrder {
        /// Its type.
        kind: BoxType,
        /// Where it begins.
        offset: u64,
    },
    /// Each pipe has one track.
    #[error("moov at byte {offset} has {count} tracks instead of one")]
    Tracks {
        /// How many there are.
        count: usize,
        /// Where `moov` begins.
        offset: u64,
    },
    /// Times without a unit.
    #[error("mdhd at byte {offset} has a timescale of 0")]
    ZeroTimescale {
        /// Where `mdhd` begins.
        offset: u64,
    },
    /// A sample entry that is not known here.
    #[error("the sample entry at byte {offset} is {codec}, which is not supported")]
    UnsupportedCodec {
        /// Its four characters, and for `mp4a` the object type in hexadecimal.
        codec: String,
        /// Where it begins.
        offset: u64,
    },
    /// More than [`MAX_ACCESS_UNITS`] in one `moof`.
    #[error(
        "with the trun at byte {offset} a moof has {count} access units, at most {MAX_ACCESS_UNITS} are taken"
    )]
    TooManyAccessUnits {
        /// How many there are.
        count: usize,
        /// Where the `trun` begins that has too many.
        offset: u64,
    },
    /// An access unit outside the `mdat` that follows its `moof`.
    #[error("an access unit of {size} bytes at byte {start} is not within the mdat at byte {offset}")]
    OutsideData {
        /// Where it should begin.
        start: u64,
        /// Its size in bytes.
        size: u32,
        /// Where `mdat` begins.
        offset: u64,
    },
}

/// What a [`Reader`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The track's header; comes once, before anything else.
    Header(TrackHeader),
    /// One access unit, in coded order.
    AccessUnit(AccessUnit),
}

/// One access unit with its times in the track's timescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// When it is decoded, as the writer of the stream has it; from FFmpeg this is no position (it differs between
    /// attempts).
    pub decode_time: i64,
    /// When it is shown or heard.
    pub presentation_time: i64,
    /// How long it lasts, where the stream says it.
    pub duration: Option<u32>,
    /// Whether decoding can begin here.
    pub random_access: bool,
    /// The coded bytes: length-prefixed NAL units, or a raw AAC frame. A slice of the read buffer, so one that is kept
    /// for long holds its neighbours, too.
    pub data: Bytes,
}

/// Bytes in, access units out. After an error the stream cannot be read any further: the same error comes again.
///
/// Invariant: `announced` is there exactly between a `moof` and its `mdat`.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    /// Bytes of the stream before `buffer`.
    offset: u64,
    /// Bytes still to come of a box that is not kept.
    skip: u64,
    /// What fragments inherit, from `moov`.
    inherited: Option<Trex>,
    /// What the last `moof` announced.
    announced: Option<Vec<Announced>>,
    /// Access units of the last `mdat`; at most [`MAX_ACCESS_UNITS`].
    ready: VecDeque<AccessUnit>,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the stream's next bytes, cut anywhere. They are copied once. At most a box of the largest size is kept when
    /// [`Self::next_event`] is called until it gives `None` after each push.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event, or `Ok(None)` when more bytes are needed. A stream that ends there may have been cut within a box:
    /// see [`Self::buffered`].
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(unit) = self.ready.pop_front() {
                return Ok(Some(Event::AccessUnit(unit)));
            }
            self.discard_skipped();
            let Some(header) = Header::read(&self.buffer, self.offset)? else { return Ok(None) };
            let limit = match &header.kind.0 {
                b"moov" => MAX_MOOV_BYTES,
                b"moof" => MAX_MOOF_BYTES,
                b"mdat" => MAX_MDAT_BYTES,
                _ => {
                    self.skip = header.size;
                    continue;
                }
            };
            self.check_order(header.kind)?;
            let size = header.bounded(self.offset, limit)?;
            if self.buffer.len() < size {
                return Ok(None);
            }
            if let Some(header) = self.take(header, size)? {
                return Ok(Some(Event::Header(header)));
            }
        }
    }

    /// Bytes that were pushed and wait for the rest of their box. Not zero at the end of the stream: it was cut.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    fn discard_skipped(&mut self) {
        let count = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.buffer.len());
        self.skip -= count as u64;
        self.discard(count);
    }

    fn discard(&mut self, count: usize) {
        self.buffer.advance(count);
        self.offset = self.offset.saturating_add(count as u64);
    }

    /// `moov` once, then `moof` and `mdat` in turn. Told by the header alone, before the box is waited for.
    fn check_order(&self, kind: BoxType) -> Result<(), Error> {
        let in_order = match &kind.0 {
            b"moov" => self.inherited.is_none(),
            b"moof" => self.inherited.is_some() && self.announced.is_none(),
            _ => self.announced.is_some(),
        };
        if in_order { Ok(()) } else { Err(Error::OutOfOrder { kind, offset: self.offset }) }
    }

    /// Reads a box that is there as a whole and takes it off the buffer, unless it is wrong.
    fn take(&mut self, header: Header, size: usize) -> Result<Option<TrackHeader>, Error> {
        let whole = Whole::new(header, self.offset, &self.buffer[..size]);
        match (&self.inherited, &self.announced) {
            (None, _) => {
                let (track, inherited) = header::read(&whole)?;
                self.inherited = Some(inherited);
                self.discard(size);
                Ok(Some(track))
            }
            (Some(inherited), None) => {
                self.announced = Some(run::read(&whole, inherited)?);
                self.discard(size);
                Ok(None)
            }
            (Some(_), Some(announced)) => {
                check_within(announced, &whole)?;
                let start = self.offset;
                let data = self.buffer.split_to(size).freeze();
                self.offset = start.saturating_add(header.size);
                let announced = self.announced.take().unwrap_or_default();
                self.ready.extend(announced.into_iter().map(|unit| unit.cut_from(&data, start)));
                Ok(None)
            }
        }
    }
}

/// All announced access units lie in this `mdat`.
fn check_within(announced: &[Announced], mdat: &Whole<'_>) -> Result<(), Error> {
    let range = mdat.body_range();
    let outside = |unit: &&Announced| {
        unit.offset < range.start || unit.offset.saturating_add(unit.size.into()) > range.end
    };
    match announced.iter().find(outside) {
        Some(unit) => Err(Error::OutsideData { start: unit.offset, size: unit.size, offset: mdat.offset }),
        None => Ok(()),
    }
}

impl Announced {
    /// The access unit, out of an `mdat` that begins at `start` and holds it ([`check_within`]).
    fn cut_from(self, mdat: &Bytes, start: u64) -> AccessUnit {
        let from = usize::try_from(self.offset - start).expect("an offset within a buffer is an index");
        AccessUnit {
            decode_time: self.decode_time,
            presentation_time: self.presentation_time,
            duration: self.duration,
            random_access: self.random_access,
            data: mdat.slice(from..from + self.size as usize),
        }
    }
}
