//! The commit: each position of an output is accepted exactly once, whichever attempt brings it first.
//!
//! Nothing here knows of attempts or nodes. A fragment that begins where the committed output ends continues it; one
//! that begins before is already there and is discarded; one that begins after it leaves a gap, which is accepted
//! because an attempt's output only moves forward: what it skipped it will never bring. The [`Ledger`] says whether that
//! gap is loss, damage, or nothing at all (a gap of the source itself).

use std::collections::VecDeque;

use crate::media::time::Ticks;
use crate::media::track::AudioConfiguration;
use crate::wire::message::Fragment;

/// How far a fragment may begin beside the committed end and still continue it. Positions of one source picture are
/// equal in every attempt; the tolerance is for encoders that round to a millisecond, and under half a frame at 120/s.
pub const TOLERANCE: Ticks = Ticks::from_millis(4);

/// What is committed of one rendition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoCommit {
    end: Option<Ticks>,
    last_presentation: Option<Ticks>,
    frames: u64,
    fragments: u64,
    bytes: u64,
    duplicated: u64,
    /// How far before its section a rendition's first fragment may begin: a frame-rate filter puts the first picture on the
    /// nearest place of its grid, half a picture earlier at most.
    lead: Ticks,
    /// The same, until the section's first fragment is committed.
    lead_left: Ticks,
}

impl VideoCommit {
    /// Nothing is committed yet; a section's first fragment may begin `lead` before it.
    #[must_use]
    pub fn leading(lead: Ticks) -> Self {
        Self { lead, ..Self::default() }
    }

    /// Where the committed output ends; `None` before the first commit.
    #[must_use]
    pub fn end(&self) -> Option<Ticks> {
        self.end
    }

    /// Access units committed.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Fragments committed.
    #[must_use]
    pub fn fragments(&self) -> u64 {
        self.fragments
    }

    /// Bytes committed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Access units committed although their position was committed before: stays 0 unless a node breaks its word.
    #[must_use]
    pub fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// The output goes on at `position`, where a new section of the source begins. It never goes back.
    pub fn begin_section(&mut self, position: Ticks) {
        self.end = self.end.max(Some(position));
        self.lead_left = self.lead;
    }

    /// Whether everything up to `position` is committed.
    #[must_use]
    pub fn covers(&self, position: Ticks) -> bool {
        self.end.is_some_and(|end| end + TOLERANCE >= position)
    }

    /// Commits `fragment`, which ends at `end`, or says with `false` that its position is already there.
    pub fn offer(&mut self, fragment: &Fragment, end: Ticks) -> bool {
        let tolerance = TOLERANCE + self.lead_left;
        let there = |committed: Ticks| fragment.position + tolerance < committed || end <= committed;
        if self.end.is_some_and(there) || end <= fragment.position {
            return false;
        }
        // The grids of two sections may share a place.
        let seam = self.lead_left > Ticks::ZERO;
        if !seam && self.last_presentation.is_some_and(|last| fragment.first_presentation <= last) {
            self.duplicated += u64::from(fragment.access_units);
        }
        self.end = Some(end);
        self.lead_left = Ticks::ZERO;
        self.last_presentation = self.last_presentation.max(Some(fragment.last_presentation));
        self.frames += u64::from(fragment.access_units);
        self.fragments += 1;
        self.bytes += fragment.data.len() as u64;
        true
    }
}

/// What is committed of the audio: a contiguous run of samples, on the timescale of the sample rate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioCommit {
    configuration: Option<AudioConfiguration>,
    end: Option<i64>,
    units: u64,
}

/// Where a committed audio access unit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioPlace {
    /// Its first sample, counted from the timeline's zero.
    pub decode_time: i64,
    /// How many samples it has.
    pub samples: u32,
}

impl AudioCommit {
    /// Access units committed.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }

    /// Takes over `configuration`; the committed end stays where it is in time.
    pub fn configure(&mut self, configuration: &AudioConfiguration) {
        let old_rate = self.configuration.as_ref().map(|old| old.sample_rate);
        if let (Some(end), Some(old_rate)) = (self.end, old_rate)
            && old_rate != configuration.sample_rate
        {
            self.end = Some(Ticks::from_samples(end, old_rate).as_samples(configuration.sample_rate));
        }
        self.configuration = Some(configuration.clone());
    }

    /// Where the committed audio ends; `None` before the first commit.
    #[must_use]
    pub fn end(&self) -> Option<Ticks> {
        Some(Ticks::from_samples(self.end?, self.configuration.as_ref()?.sample_rate))
    }

    /// Whether everything before the access unit that is heard at `time` has been committed: it begins at most half of one
    /// after the end.
    #[must_use]
    pub fn reaches(&self, time: Ticks) -> bool {
        self.lacks_at_most(1, time)
    }

    /// Whether all but so many access units up to the one that is heard at `time` have been committed, that one included.
    #[must_use]
    pub fn lacks_at_most(&self, units: u32, time: Ticks) -> bool {
        let (Some(configuration), Some(end)) = (&self.configuration, self.end) else { return false };
        let samples = i64::from(configuration.samples_per_access_unit);
        let lacking = i64::from(units).saturating_mul(samples);
        time.as_samples(configuration.sample_rate) <= end.saturating_add(lacking - samples + samples / 2)
    }

    /// Whether the place of the access unit heard at `time` is taken.
    #[must_use]
    pub fn has(&self, time: Ticks) -> bool {
        let (Some(configuration), Some(end)) = (&self.configuration, self.end) else { return false };
        let half = i64::from(configuration.samples_per_access_unit / 2);
        time.as_samples(configuration.sample_rate).saturating_add(half) < end
    }

    /// Commits the access unit heard at `time`, or says with `None` that its place is taken.
    ///
    /// Within half an access unit of the committed end it is set to that end exactly: RTMP's milliseconds round each
    /// time, the samples themselves have no gap. Further on the source itself has a gap, and it keeps its own time.
    pub fn offer(&mut self, time: Ticks) -> Option<AudioPlace> {
        let configuration = self.configuration.as_ref()?;
        let samples = configuration.samples_per_access_unit;
        let at = time.as_samples(configuration.sample_rate);
        let half = i64::from(samples / 2);
        let decode_time = match self.end {
            Some(end) if at.saturating_add(half) < end => return None,
            Some(end) if at <= end.saturating_add(half) => end,
            Some(_) | None => at,
        };
        self.end = Some(decode_time.saturating_add(i64::from(samples)));
        self.units += 1;
        Some(AudioPlace { decode_time, samples })
    }
}

/// The most accepted pictures that the ledger follows at once; beyond it the oldest count as lost. At 30 a second it is
/// half an hour without any output.
pub const MAX_PENDING: usize = 65_536;

/// How many pictures of later presentation come before one, mostly: H.264 and HEVC reorder no more.
const MAX_REORDERED: usize = 16;
/// Capacity that a ledger keeps however little is pending: some half a minute.
const KEPT_CAPACITY: usize = 1024;

/// Which accepted pictures have not come out yet, and what became of those that never will.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Presentation times, ascending. They come nearly so: pictures are reordered by a few places only.
    pending: VecDeque<Ticks>,
    accepted: u64,
    lost: u64,
    undecodable: u64,
    resampled: bool,
}

impl Ledger {
    /// A ledger for a rendition that is not one-to-one: how many pictures come out of a committed span says nothing of what
    /// went in, so none in it counts as undecodable.
    #[must_use]
    pub fn resampled() -> Self {
        Self { resampled: true, ..Self::default() }
    }

    /// A picture was accepted from the publisher.
    pub fn accept(&mut self, presentation_time: Ticks) {
        self.accepted += 1;
        let mut newest = self.pending.iter().rev().take(MAX_REORDERED + 1);
        let at = match newest.position(|&time| time <= presentation_time) {
            Some(later) => self.pending.len() - later,
            None => self.pending.partition_point(|&time| time <= presentation_time),
        };
        self.pending.insert(at, presentation_time);
        if self.pending.len() > MAX_PENDING {
            self.pending.pop_front();
            self.lost += 1;
        }
    }

    /// `fragment` was committed, which ends at `end`, of an attempt whose input began at `input_start`.
    ///
    /// What counts is which pictures are in it, not from where to where it goes: leading pictures of an open GOP are shown
    /// before its position and before the end of the fragment before. What is shown after its last picture is left to the
    /// next fragment.
    pub fn settle(&mut self, fragment: &Fragment, end: Ticks, input_start: Ticks) {
        let first = fragment.position.min(fragment.first_presentation) - TOLERANCE;
        let last = (fragment.last_presentation + TOLERANCE).min(end - TOLERANCE);
        self.lost += self.take_before(input_start.min(first));
        let before = self.take_before(first);
        let missing = self.take_before(last).saturating_sub(u64::from(fragment.access_units));
        if !self.resampled {
            self.undecodable += before + missing;
        }
    }

    /// A section ended at `end` with all its input transcoded: what is still pending before it gave no output.
    pub fn settle_section(&mut self, end: Ticks) {
        self.undecodable += self.take_before(end);
    }

    /// Nothing more will be committed before `end`.
    pub fn give_up(&mut self, end: Ticks) {
        self.lost += self.take_before(end);
    }

    /// Forgets what is before `end`, and says how many pictures that were. Mostly there is nothing: it is called with each
    /// access unit.
    fn take_before(&mut self, end: Ticks) -> u64 {
        if self.pending.front().is_none_or(|&first| first >= end) {
            return 0;
        }
        let count = self.pending.partition_point(|&time| time < end);
        self.pending.drain(..count);
        if self.pending.capacity() > KEPT_CAPACITY.max(4 * self.pending.len()) {
            self.pending.shrink_to(KEPT_CAPACITY);
        }
        count as u64
    }

    /// Pictures accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Pictures accepted and never committed, for reasons of ours.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Pictures that gave no output in a committed span.
    #[must_use]
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Pictures that have not come out yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests;
