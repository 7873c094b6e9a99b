//! Where segments begin: decided once for the stream, then followed by every output, so that media sequence numbers are
//! equal across variants and audio (RFC 8216bis §6.2.4).

use std::collections::VecDeque;

use crate::media::time::Ticks;

/// How far an output's cut may be beside the stream's boundary and still be the same cut. A frame-rate filter puts a
/// fragment up to one output frame beside the others'; 50 ms is a frame at 20 Hz.
pub(super) const CUT_TOLERANCE: Ticks = Ticks::from_millis(50);

/// The most segments of full length that one hole in the timeline is divided into, near its end; what lies before is one
/// long gap. Far more than any window keeps, so the long one is gone before a playlist can list it.
const MAX_SEGMENTS_A_HOLE: i64 = 1024;

/// Boundaries kept that every output has passed: sound that shows late, and was held back until a picture came with which it
/// could begin, is put where it belongs.
const KEPT_BEHIND: u64 = 8;

/// The decided boundaries, and the media sequence numbers at which the stream is discontinuous.
///
/// Positions only grow. Those that every output has passed are forgotten, but for the last [`KEPT_BEHIND`], so their number is
/// bounded by how far the slowest output may stay behind.
#[derive(Debug)]
pub(super) struct Boundaries {
    segment_duration: Ticks,
    max_segment_duration: Ticks,
    /// Media sequence number of the segment that begins at the first of `positions`.
    first: u64,
    positions: VecDeque<Ticks>,
    /// Sequence numbers with a discontinuity, ascending; those that all outputs have listed are only counted.
    discontinuities: VecDeque<u64>,
    discontinuities_forgotten: u64,
}

impl Boundaries {
    pub(super) fn new(first: u64, segment_duration: Ticks, max_segment_duration: Ticks) -> Self {
        Self {
            segment_duration,
            max_segment_duration,
            first,
            positions: VecDeque::new(),
            discontinuities: VecDeque::new(),
            discontinuities_forgotten: 0,
        }
    }

    /// The last boundary decided; `None` before the first fragment.
    pub(super) fn newest(&self) -> Option<Ticks> {
        self.positions.back().copied()
    }

    /// The newest segment, whose end is not decided: its sequence number, where it begins, and how many discontinuities
    /// came before it. `None` before the first fragment.
    pub(super) fn open(&self) -> Option<(u64, Ticks, u64)> {
        let sequence = self.first + u64::try_from(self.positions.len().checked_sub(1)?).ok()?;
        let before = self.discontinuities.iter().filter(|&&at| at < sequence).count();
        Some((sequence, self.newest()?, self.discontinuities_forgotten + before as u64))
    }

    /// The segment that `time` is in, as [`Self::open`] tells it, if that is known and not after the open one's begin.
    pub(super) fn segment_at(&self, time: Ticks) -> Option<(u64, Ticks, u64)> {
        let index = self.positions.partition_point(|&start| start <= time).checked_sub(1)?;
        let sequence = self.first + index as u64;
        let before = self.discontinuities.iter().filter(|&&at| at < sequence).count();
        Some((sequence, self.positions[index], self.discontinuities_forgotten + before as u64))
    }

    /// Where segment `sequence` ends, if that is decided.
    pub(super) fn end_of(&self, sequence: u64) -> Option<Ticks> {
        self.start_of(sequence.checked_add(1)?)
    }

    /// Where segment `sequence` begins, if that is decided and not forgotten.
    fn start_of(&self, sequence: u64) -> Option<Ticks> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.positions.get(index).copied()
    }

    /// How many segments from `sequence` on have a decided end.
    pub(super) fn behind(&self, sequence: u64) -> usize {
        let passed = usize::try_from(sequence.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.positions.len().saturating_sub(1).saturating_sub(passed)
    }

    /// Decides a boundary at `position`, whatever the distance from the last one.
    pub(super) fn decide(&mut self, position: Ticks) {
        if self.newest().is_none_or(|newest| position > newest) {
            self.positions.push_back(position);
        }
    }

    /// An output's committed media is cut at `position`: a boundary, if the last one is `segment_duration` away. What
    /// is longer than `max_segment_duration` is divided, because no segment may exceed the target duration
    /// (RFC 8216bis §4.4.3.1).
    pub(super) fn reach(&mut self, position: Ticks) {
        let Some(mut newest) = self.newest() else { return self.decide(position) };
        let step = Ticks(self.max_segment_duration.0.max(1));
        let divided = Ticks(step.0.saturating_mul(MAX_SEGMENTS_A_HOLE));
        if position - newest > divided {
            newest = position - divided;
            self.decide(newest);
        }
        while position - newest > step {
            newest = newest + step;
            self.decide(newest);
        }
        if position - newest >= self.segment_duration {
            self.decide(position);
        }
    }

    /// Decides that a segment ends at `position`, however short it is: an output must begin a new one there. What lies
    /// before is divided as in [`Self::reach`]. Where others are ahead already, the boundary is right behind theirs.
    pub(super) fn cut_at(&mut self, position: Ticks) {
        self.reach(position);
        let newest = self.newest().unwrap_or(position);
        self.decide(position.max(newest + Ticks(1)));
    }

    /// Media ended at `end` and goes on at `position`. A hole that fits into a segment stays inside it; from a longer
    /// one the media before is cut off, so that only segments without media are listed as gaps.
    pub(super) fn bridge(&mut self, end: Ticks, position: Ticks) {
        let too_long = self.newest().is_some_and(|newest| position - newest > self.max_segment_duration);
        if too_long {
            self.decide(end);
        }
        self.reach(position);
    }

    /// The longest that segment `sequence` may be listed as: the target duration, but for the long gap of a long hole.
    pub(super) fn longest(&self, sequence: u64) -> Ticks {
        let decided = self.start_of(sequence).zip(self.end_of(sequence)).map(|(start, end)| end - start);
        decided.map_or(self.max_segment_duration, |decided| decided.max(self.max_segment_duration))
    }

    /// Whether an output that has listed `listed` discontinuities has one at segment `sequence`.
    pub(super) fn is_discontinuous(&self, listed: u64, sequence: u64) -> bool {
        let index = usize::try_from(listed.saturating_sub(self.discontinuities_forgotten)).ok();
        index.and_then(|index| self.discontinuities.get(index)).is_some_and(|&at| at <= sequence)
    }

    /// An output that has listed `listed` discontinuities changes at segment `sequence`: so all are discontinuous
    /// there. One that has closed that segment already is so at its next, and the counts are equal again.
    pub(super) fn break_at(&mut self, listed: u64, sequence: u64) {
        if !self.is_discontinuous(listed, sequence) {
            let index = self.discontinuities.partition_point(|&at| at <= sequence);
            self.discontinuities.insert(index, sequence);
        }
    }

    /// Forgets boundaries long before segment `sequence` and all but the discontinuities from the `listed`-th on: every
    /// output has passed them.
    pub(super) fn forget_before(&mut self, sequence: u64, listed: u64) {
        while self.first.saturating_add(KEPT_BEHIND) < sequence && self.positions.len() > 1 {
            self.positions.pop_front();
            self.first += 1;
        }
        while self.discontinuities_forgotten < listed && self.discontinuities.pop_front().is_some() {
            self.discontinuities_forgotten += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 90_000;

    fn boundaries() -> Boundaries {
        let mut boundaries = Boundaries::new(7, Ticks(2 * SECOND), Ticks(10 * SECOND));
        boundaries.decide(Ticks::ZERO);
        boundaries
    }

    fn check(boundaries: &Boundaries, seconds: &[i64]) {
        let found: Vec<i64> = boundaries.positions.iter().map(|at| at.0 / SECOND).collect();
        assert_eq!(found, seconds);
    }

    #[test]
    fn a_boundary_is_the_first_cut_after_the_duration() {
        let mut boundaries = boundaries();
        for second in [1, 2, 3, 5, 6] {
            boundaries.reach(Ticks(second * SECOND));
        }
        check(&boundaries, &[0, 2, 5]);
        assert_eq!(boundaries.end_of(7), Some(Ticks(2 * SECOND)));
        assert_eq!((boundaries.end_of(9), boundaries.end_of(5)), (None, None));
        assert_eq!((boundaries.behind(7), boundaries.behind(9), boundaries.behind(100)), (2, 0, 0));
    }

    #[test]
    fn a_long_hole_is_divided_and_a_short_one_is_not() {
        let mut boundaries = boundaries();
        boundaries.bridge(Ticks(SECOND), Ticks(9 * SECOND));
        check(&boundaries, &[0, 9]);
        boundaries.bridge(Ticks(10 * SECOND), Ticks(33 * SECOND));
        check(&boundaries, &[0, 9, 10, 20, 30, 33]);
    }

    #[test]
    fn an_absurd_hole_costs_a_bounded_number_of_boundaries() {
        let mut boundaries = boundaries();
        boundaries.bridge(Ticks(SECOND), Ticks(i64::MAX));
        assert!(boundaries.positions.len() < 1100, "{}", boundaries.positions.len());
        let left = Ticks(i64::MAX) - boundaries.newest().expect("decided");
        assert!(left < Ticks(2 * SECOND), "{left:?}");
    }

    #[test]
    fn what_all_have_passed_is_forgotten() {
        let mut boundaries = boundaries();
        boundaries.reach(Ticks(2 * SECOND));
        boundaries.reach(Ticks(4 * SECOND));
        boundaries.break_at(0, 8);
        boundaries.forget_before(8 + KEPT_BEHIND, 0);
        check(&boundaries, &[2, 4]);
        assert!(boundaries.is_discontinuous(0, 8) && !boundaries.is_discontinuous(0, 7));
        boundaries.forget_before(100, 1);
        check(&boundaries, &[4]);
        assert!(!boundaries.is_discontinuous(1, 100));
    }

    #[test]
    fn a_time_is_in_the_segment_that_began_last() {
        let mut boundaries = boundaries();
        boundaries.reach(Ticks(2 * SECOND));
        boundaries.break_at(0, 8);
        boundaries.reach(Ticks(4 * SECOND));
        assert_eq!(boundaries.segment_at(Ticks(-1)), None);
        assert_eq!(boundaries.segment_at(Ticks(2 * SECOND - 1)), Some((7, Ticks::ZERO, 0)));
        assert_eq!(boundaries.segment_at(Ticks(2 * SECOND)), Some((8, Ticks(2 * SECOND), 0)));
        assert_eq!(boundaries.segment_at(Ticks(60 * SECOND)), Some((9, Ticks(4 * SECOND), 1)));
    }

    #[test]
    fn changes_of_several_outputs_at_one_segment_are_one_discontinuity() {
        let mut boundaries = boundaries();
        boundaries.break_at(0, 9);
        boundaries.break_at(0, 9);
        boundaries.break_at(0, 10);
        assert!(boundaries.is_discontinuous(0, 9));
        assert!(!boundaries.is_discontinuous(1, 11));
        // A slower output's earlier change goes before it, and counts for everyone.
        boundaries.break_at(0, 8);
        assert!(boundaries.is_discontinuous(0, 8) && boundaries.is_discontinuous(1, 9));
    }
}
