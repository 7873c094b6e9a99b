//! `moof`: where its access units lie, and when they are decoded and shown (ISO/IEC 14496-12 §8.8).
//!
//! Times and offsets saturate: no value that a box can hold makes them overflow, and none that makes sense comes near.

use mp4_atom::{Tfdt, Tfhd, Trex, Trun, TrunEntry};

use super::FLAG_NON_SYNC;
use super::boxes::Whole;
use super::read::{Error, MAX_ACCESS_UNITS};

/// An access unit that a `moof` announces: everything but its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub decode_time: i64,
    pub presentation_time: i64,
    pub duration: Option<u32>,
    pub random_access: bool,
    /// Where its bytes begin, from the start of the stream.
    pub offset: u64,
    pub size: u32,
}

/// The values that an access unit has where its run says nothing: those of `tfhd`, else those of `trex` (§8.8.7).
struct Defaults {
    duration: Option<u32>,
    size: u32,
    flags: u32,
}

impl Defaults {
    fn new(tfhd: &Tfhd, trex: &Trex) -> Self {
        let of_track = Some(trex.default_sample_duration).filter(|&duration| duration != 0);
        Self {
            duration: tfhd.default_sample_duration.or(of_track),
            size: tfhd.default_sample_size.unwrap_or(trex.default_sample_size),
            flags: tfhd.default_sample_flags.unwrap_or(trex.default_sample_flags),
        }
    }
}

/// All access units that a `moof` announces, in coded order; at most [`MAX_ACCESS_UNITS`].
pub(super) fn read(moof: &Whole<'_>, trex: &Trex) -> Result<Vec<Announced>, Error> {
    let traf = moof.child(*b"traf")?;
    let tfhd: Tfhd = traf.child(*b"tfhd")?.decode()?;
    let tfdt: Tfdt = traf.child(*b"tfdt")?.decode()?;
    // Without a base offset data counts from the `moof`; that is the rule for the first `traf` in any case (§8.8.7.1).
    let base = tfhd.base_data_offset.unwrap_or(moof.offset);
    let mut cursor = Cursor {
        base,
        offset: base,
        // The field is unsigned in the standard, but FFmpeg writes the AAC priming before zero as a negative number.
        decode_time: tfdt.base_media_decode_time.cast_signed(),
        defaults: Defaults::new(&tfhd, trex),
    };
    let mut units = Vec::new();
    for child in traf.children(0) {
        let child = child?;
        if child.kind.0 == *b"trun" {
            cursor.append_run(&child, &mut units)?;
        }
    }
    Ok(units)
}

/// Where the next access unit begins, in the stream and in time. Runs follow one another in both (§8.8.8.1).
struct Cursor {
    /// What data offsets count from.
    base: u64,
    /// Where the next one's bytes begin, from the start of the stream.
    offset: u64,
    decode_time: i64,
    defaults: Defaults,
}

impl Cursor {
    /// All access units of a `trun`; a run without a data offset goes on where the last one ended.
    fn append_run(&mut self, trun: &Whole<'_>, units: &mut Vec<Announced>) -> Result<(), Error> {
        let run: Trun = trun.decode()?;
        let count = units.len().saturating_add(run.samples.len());
        if count > MAX_ACCESS_UNITS {
            return Err(Error::TooManyAccessUnits { count, offset: trun.offset });
        }
        if let Some(distance) = run.data_offset {
            self.offset = self.base.saturating_add_signed(distance.into());
        }
        units.extend(run.samples.iter().map(|sample| self.advance(sample)));
        Ok(())
    }

    /// The next access unit; each field is its own, else the first one's exception, else the default.
    fn advance(&mut self, sample: TrunEntry) -> Announced {
        let duration = sample.duration.or(self.defaults.duration);
        let flags = sample.flags.unwrap_or(self.defaults.flags);
        let unit = Announced {
            decode_time: self.decode_time,
            presentation_time: self.decode_time.saturating_add(sample.cts.unwrap_or(0)),
            duration,
            random_access: flags & FLAG_NON_SYNC == 0,
            offset: self.offset,
            size: sample.size.unwrap_or(self.defaults.size),
        };
        self.decode_time = self.decode_time.saturating_add(duration.unwrap_or(0).into());
        self.offset = self.offset.saturating_add(unit.size.into());
        unit
    }
}
