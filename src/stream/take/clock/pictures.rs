//! The times of pictures: decode times never go back, presentation times are unique.
//!
//! x264 and the MP4 muxer drop or move pictures with equal times, and a position is a presentation time. FFmpeg reads
//! the presentation time as the tag's time plus the composition offset in its body, which is carried untouched: so a
//! picture is moved on as a whole, by whole milliseconds as FLV has them. Pictures with correct times are never moved;
//! nor are those that are decoded at one time and shown at others, as GStreamer sends the first of a stream with B-frames.
//!
//! What is kept is bounded: a presentation time can collide unseen with one of more than [`RECENT`] pictures ago.

use std::collections::VecDeque;

use crate::media::time::Ticks;

/// Presentation times that are remembered: twice what H.264 and HEVC can reorder (H.264 §A.3.1: 16 pictures).
const RECENT: usize = 32;
/// FLV's step.
const MILLISECOND: Ticks = Ticks::from_millis(1);
/// A picture that would be shown this much before the pictures of the GOP before is moved after them; one that is
/// further off has a damaged offset, and moving all that follows along would spoil more.
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
        self.decoded.map_or(time, |decoded| time.max(decoded))
    }

    /// What came so far is never decoded: nothing need come after it.
    pub(super) fn forget(&mut self) {
        (self.decoded, self.last_shown, self.barrier) = (None, None, None);
        self.recent.clear();
    }

    /// Everything that has been placed moves on.
    pub(super) fn move_all(&mut self, by: Ticks) {
        let marks = [&mut self.decoded, &mut self.last_shown, &mut self.barrier];
        marks.into_iter().flatten().chain(&mut self.recent).for_each(|time| *time = *time + by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Ticks {
        Ticks::from_millis(millis)
    }

    /// Places pictures that stand at these milliseconds, with these offsets, the first at a random access point;
    /// expects decode and presentation times.
    #[track_caller]
    fn check(pictures: &[(i64, i64)], expected: &[(i64, i64)]) {
        let mut clock = PictureClock::default();
        let mut first = true;
        let mut placed = |&(time, offset): &(i64, i64)| {
            let (decoded, shown) = clock.place(at(time), at(offset), std::mem::take(&mut first));
            (decoded.as_millis(), shown.as_millis())
        };
        assert_eq!(pictures.iter().map(&mut placed).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn equal_times_go_on_by_a_millisecond() {
        check(&[(0, 0), (0, 0), (0, 0), (40, 0)], &[(0, 0), (1, 1), (2, 2), (40, 40)]);
        check(&[(0, 0), (40, 0), (10, 0), (80, 0)], &[(0, 0), (40, 40), (41, 41), (80, 80)]);
    }

    #[test]
    fn pictures_shown_at_once_are_moved_apart() {
        check(&[(0, 80), (40, 40), (80, 40)], &[(0, 80), (41, 81), (80, 120)]);
        check(&[(0, 0), (40, 80), (80, 40), (120, 0)], &[(0, 0), (40, 120), (81, 121), (122, 122)]);
    }

    #[test]
    fn pictures_that_are_decoded_at_one_time_and_shown_at_others_stay() {
        let pictures = [(0, 67), (0, 200), (0, 133), (33, 67), (67, 167)];
        let shown = pictures.map(|(time, offset): (i64, i64)| (time, time + offset));
        check(&pictures, &shown);
    }

    #[test]
    fn what_leads_a_random_access_point_comes_after_what_came_before() {
        let mut clock = PictureClock::default();
        let mut shown =
            |time, offset, random_access| clock.place(at(time), at(offset), random_access).1.as_millis();
        assert_eq!((shown(0, 80, true), shown(40, 120, false), shown(80, 40, false)), (80, 160, 120));
        assert_eq!((shown(120, 160, true), shown(160, 40, false), shown(200, 40, false)), (280, 200, 240));
        // Another, with leading pictures that come 80 ms too early, and one that is a second too early.
        assert_eq!((shown(240, 160, true), shown(280, -80, false)), (400, 281));
        assert_eq!(shown(320, -1_000, false), 361 - 1_000);
    }

    /// What x264 makes: a group of B-frames between references, in coded order.
    fn coded_order(group: usize, groups: usize) -> Vec<usize> {
        let mut order = vec![0];
        for first in (0..groups).map(|number| 1 + number * (group + 1)) {
            order.push(first + group);
            // A pyramid: the middle one is a reference of those around it.
            let middle = first + group / 2;
            order.extend((group > 0).then_some(middle));
            order.extend((first..first + group).filter(|&picture| picture != middle));
        }
        order
    }

    proptest! {
        #[test]
        fn pictures_with_correct_times_are_never_moved(
            group in 0usize..8,
            groups in 1usize..12,
            rate in prop::sample::select(vec![24_000.0 / 1001.0, 25.0, 30_000.0 / 1001.0, 50.0, 60.0, 120.0]),
            start in 0i64..1 << 40,
        ) {
            let mut clock = PictureClock::default();
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let millis = |picture: usize| start + (picture as f64 * 1000.0 / rate).round() as i64;
            let order = coded_order(group, groups);
            for gop in 0..2 {
                for (coded, &shown) in order.iter().enumerate() {
                    let before = gop * order.len();
                    let (time, shown) = (at(millis(before + coded)), at(millis(before + shown + 2)));
                    let random_access = coded == 0;
                    prop_assert!(!random_access || clock.overlap(time, shown - time).is_none());
                    prop_assert_eq!(clock.place(time, shown - time, random_access), (time, shown));
                }
            }
        }

        #[test]
        fn decode_times_never_go_back_and_recent_presentation_times_are_unique(
            pictures in prop::collection::vec((-50i64..200, -100i64..200, prop::bool::weighted(0.1)), 1..200),
        ) {
            let mut clock = PictureClock::default();
            let (mut time, mut last, mut shown) = (0, None, Vec::new());
            for (step, offset, random_access) in pictures {
                time += step;
                let place = clock.place(at(time), at(offset), random_access);
                prop_assert!(Some(place.0) >= last, "decode times never go back");
                prop_assert_eq!(place.1 - place.0, at(offset));
                prop_assert!(!shown[shown.len().saturating_sub(RECENT)..].contains(&place.1));
                prop_assert_eq!(place.0, at(place.0.as_millis()));
                last = Some(place.0);
                shown.push(place.1);
            }
        }
    }
}
