//! The times of pictures: decode times increase, presentation times are unique.
//!
//! x264 and the MP4 muxer drop or move pictures with equal times, and a position is a presentation time. FFmpeg reads the
//! presentation time as the tag's time plus the composition offset in its body, which is carried untouched: so a picture is
//! moved on as a whole, by whole milliseconds as FLV has them. Pictures with correct times are never moved.
//!
//! What is kept is bounded: a presentation time can collide unseen with one of more than [`RECENT`] pictures ago.

use std::collections::VecDeque;

use crate::media::time::Ticks;

/// Presentation times that are remembered: twice what H.264 and HEVC can reorder (H.264 §A.3.1: 16 pictures).
const RECENT: usize = 32;
/// FLV's step.
const MILLISECOND: Ticks = Ticks::from_millis(1);
/// A picture that would be shown this much before the pictures of the GOP before is moved after them; one that is further off
/// has a damaged offset, and moving all that follows along would spoil more.
const MAX_MOVED: Ticks = Ticks::from_millis(100);

/// See the module's words.
#[derive(Debug, Default)]
pub(super) struct PictureClock {
    decoded: Option<Ticks>,
    /// The latest presentation time.
    last_shown: Option<Ticks>,
    /// The latest presentation time of what came before the last random access point. Its leading pictures may be shown
    /// before it, but not before that (ISO/IEC 23008-2 §3.76 for HEVC; open GOPs of H.264 alike).
    barrier: Option<Ticks>,
    recent: VecDeque<Ticks>,
}

impl PictureClock {
    /// How far a random access point at `time`, shown `offset` later, is from being shown after all that came before;
    /// `None` if it is.
    pub(super) fn overlap(&self, time: Ticks, offset: Ticks) -> Option<Ticks> {
        let shown = self.earliest(time) + offset;
        self.last_shown.map(|last| last - shown).filter(|&by| by >= Ticks::ZERO)
    }

    /// Decode and presentation time of a picture that stands at `time` and is shown `offset` later.
    pub(super) fn place(&mut self, time: Ticks, offset: Ticks, random_access: bool) -> (Ticks, Ticks) {
        if random_access {
            self.barrier = self.last_shown;
        }
        let mut decoded = self.earliest(time);
        let behind = self.barrier.map_or(Ticks::ZERO, |barrier| barrier + MILLISECOND - (decoded + offset));
        if behind > Ticks::ZERO && behind <= MAX_MOVED {
            decoded = decoded + behind;
        }
        // Each of the recent ones collides at most once.
        while self.recent.contains(&(decoded + offset)) {
            decoded = decoded + MILLISECOND;
        }
        let shown = decoded + offset;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(shown);
        self.decoded = Some(decoded);
        self.last_shown = self.last_shown.max(Some(shown));
        (decoded, shown)
    }

    fn earliest(&self, time: Ticks) -> Ticks {
        self.decoded.map_or(time, |decoded| time.max(decoded + MILLISECOND))
    }

    /// What came so far is never shown: nothing need come after it.
    pub(super) fn forget_shown(&mut self) {
        (self.last_shown, self.barrier) = (None, None);
        self.recent.clear();
    }

    /// Everything that has been placed moves on.
    pub(super) fn move_all(&mut self, by: Ticks) {
        let marks = [&mut self.decoded, &mut self.last_shown, &mut self.barrier];
        marks.into_iter().flatten().chain(&mut self.recent).for_each(|time| *time = *time + by);
    }
}
