//! Cuts a rendition's access units into fragments at random access points, with decode times made anew.
//!
//! A fragment's position is the presentation time of its first access unit. FFmpeg's decode times are not used: with
//! B-frames and a variable frame rate they differ between attempts, presentation times do not. Access unit *i* of a
//! fragment, in coded order, gets the *i*-th smallest presentation time as its decode time, so `tfdt` is the smallest
//! presentation time, as CMAF wants it for signed composition offsets (ISO/IEC 23000-19 §7.5.17).
//!
//! Browsers add the signed offset and show each picture at its time. FFmpeg as a player (5.1 and 9.0) adds the largest
//! negative offset to all of a track's presentation times: two B-frames show 66 ms late at 30 frames a second. It does so
//! with its own files, too.

use bytes::Bytes;

use super::fmp4::write::{self, Sample};
use super::fragment::Fragment;
use super::time::{TICKS_PER_SECOND, Ticks};
use super::track::TrackKind;
use super::video::RandomAccess;

/// Most bytes of access units in a fragment: ten seconds at 25 Mbit/s.
pub const MAX_FRAGMENT_BYTES: usize = 32 << 20;
/// Most access units in a fragment: 34 s at 120 frames a second.
pub const MAX_FRAGMENT_ACCESS_UNITS: usize = 4096;
/// How long an access unit lasts when nothing else tells it: 1/30 s.
const ASSUMED_DURATION: i64 = TICKS_PER_SECOND / 30;

/// Why no fragment can be made. The attempt is over, what was held is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No random access point for too many bytes.
    #[error("a fragment would have {0} bytes, at most {MAX_FRAGMENT_BYTES} are taken")]
    TooManyBytes(usize),
    /// No random access point for too many access units.
    #[error("a fragment would have more than {MAX_FRAGMENT_ACCESS_UNITS} access units")]
    TooManyAccessUnits,
}

/// One coded picture of a rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// When it is shown, on the stream's timeline.
    pub presentation_time: Ticks,
    /// Whether decoding can begin here. After anything but an IDR picture leading pictures may follow, which are shown
    /// before it.
    pub random_access: RandomAccess,
    /// The coded bytes.
    pub data: Bytes,
}

/// Access units of one rendition in, fragments out. Holds at most one fragment.
///
/// Invariant: `pending` is empty or begins with a random access point.
#[derive(Debug)]
pub struct Fragmenter {
    rendition: u8,
    sequence_number: u32,
    pending: Vec<Picture>,
    pending_bytes: usize,
    dropped: u64,
}

impl Fragmenter {
    /// A fragmenter for the ladder's rendition at this index.
    #[must_use]
    pub fn new(rendition: u8) -> Self {
        Self { rendition, sequence_number: 0, pending: Vec::new(), pending_bytes: 0, dropped: 0 }
    }

    /// Takes the next access unit in coded order. At a random access point it gives what came before as a fragment.
    /// What comes before the first random access point is dropped and counted.
    pub fn push(&mut self, picture: Picture) -> Result<Option<Fragment>, Error> {
        if self.pending.is_empty() && picture.random_access == RandomAccess::None {
            self.dropped += 1;
            return Ok(None);
        }
        let position = picture.presentation_time;
        let fragment = match picture.random_access {
            RandomAccess::Idr => self.cut(End::Closed(position)),
            RandomAccess::RecoveryPoint { .. } => self.cut(End::Open(position)),
            RandomAccess::None => None,
        };
        self.append(picture)?;
        Ok(fragment)
    }

    /// The last fragment, when the output has ended in order: `None` when nothing is held.
    pub fn finish(&mut self) -> Option<Fragment> {
        self.cut(End::Unknown)
    }

    /// Access units that came before the first random access point.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn append(&mut self, picture: Picture) -> Result<(), Error> {
        if self.pending.len() == MAX_FRAGMENT_ACCESS_UNITS {
            return Err(Error::TooManyAccessUnits);
        }
        let bytes = self.pending_bytes.saturating_add(picture.data.len());
        if bytes > MAX_FRAGMENT_BYTES {
            return Err(Error::TooManyBytes(bytes));
        }
        self.pending_bytes = bytes;
        self.pending.push(picture);
        Ok(())
    }

    fn cut(&mut self, end: End) -> Option<Fragment> {
        let position = self.pending.first()?.presentation_time;
        let pictures = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let schedule = Schedule::new(&pictures, end);
        let (first_presentation, last_presentation) = (schedule.first, schedule.last);
        let access_units = u32::try_from(pictures.len()).expect("at most MAX_FRAGMENT_ACCESS_UNITS are held");
        let data = write::fragment(
            TrackKind::Video,
            self.sequence_number,
            first_presentation.0,
            &schedule.samples(pictures),
        )
        .expect("MAX_FRAGMENT_BYTES is far below the 4 GiB that a box may have");
        Some(Fragment {
            rendition: self.rendition,
            position,
            end: end.position(),
            first_presentation,
            last_presentation,
            access_units,
            data,
        })
    }
}

/// Where a fragment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At an IDR picture: nothing that comes later is shown before it.
    Closed(Ticks),
    /// At a random access point that leading pictures may follow: they are shown, and so decoded, before it.
    Open(Ticks),
    /// Nothing follows.
    Unknown,
}

impl End {
    fn position(self) -> Option<Ticks> {
        match self {
            Self::Closed(position) | Self::Open(position) => Some(position),
            Self::Unknown => None,
        }
    }
}

/// Decode times and durations of a fragment's access units.
#[derive(Debug)]
struct Schedule {
    /// Smallest presentation time: the first decode time.
    first: Ticks,
    /// Largest presentation time.
    last: Ticks,
    /// Durations in coded order, each at least a tick.
    durations: Vec<u32>,
}

impl Schedule {
    /// Decode times are the presentation times, sorted. Those that repeat are moved on by a tick each, because two access
    /// units may not be decoded at once (ISO/IEC 14496-12 §8.6.1.2). The last one lasts until a closed end, and without an
    /// end as long as the one before it. Until an open end it lasts as the shortest does, because leading pictures follow
    /// before, of which nothing is known yet: decode times of two fragments may not overlap, and may have a gap.
    fn new(pictures: &[Picture], end: End) -> Self {
        let mut times: Vec<Ticks> = pictures.iter().map(|picture| picture.presentation_time).collect();
        times.sort_unstable();
        let first = times.first().copied().unwrap_or_default();
        let last = times.last().copied().unwrap_or_default();
        let mut durations = Vec::with_capacity(times.len());
        let mut decode_time = first;
        for &next in times.iter().skip(1) {
            let duration = duration_until(next - decode_time);
            durations.push(duration);
            decode_time = decode_time + Ticks(duration.into());
        }
        let assumed = duration_until(Ticks(ASSUMED_DURATION));
        durations.push(match end {
            End::Closed(end) => duration_until(end - decode_time),
            End::Open(end) => {
                let shortest = durations.iter().min().copied().unwrap_or(assumed);
                shortest.min(duration_until(end - decode_time))
            }
            End::Unknown => durations.last().copied().unwrap_or(assumed),
        });
        Self { first, last, durations }
    }

    /// The access units as they are written. Decode times are what their durations add up to, so that a reader who adds
    /// them finds each presentation time again.
    fn samples(&self, pictures: Vec<Picture>) -> Vec<Sample> {
        let mut decode_time = self.first;
        let timed = pictures.into_iter().zip(&self.durations);
        timed
            .map(|(picture, &duration)| {
                let offset = picture.presentation_time - decode_time;
                decode_time = decode_time + Ticks(duration.into());
                Sample {
                    duration,
                    composition_offset: saturate(offset),
                    random_access: picture.random_access != RandomAccess::None,
                    data: picture.data,
                }
            })
            .collect()
    }
}

/// A distance as a duration of at least one tick; 13 hours, the field's end, are taken for anything longer.
fn duration_until(distance: Ticks) -> u32 {
    u32::try_from(distance.0.max(1)).unwrap_or(u32::MAX)
}

/// A distance as a composition offset; what is beyond 6 hours is no time of a real stream and is bounded there.
fn saturate(distance: Ticks) -> i32 {
    i32::try_from(distance.0).unwrap_or(if distance.0 < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests;
