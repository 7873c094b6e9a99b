//! Audio from before a section's random access point: held for the section that will begin, within bounds.

use std::collections::VecDeque;
use std::time::Instant;

use crate::media::access_unit::AccessUnit;

/// The most audio access units kept; the oldest leave first. 20 s of AAC: audio whose configuration changes in the middle
/// of a GOP waits for the next one.
pub const MAX_EARLY_AUDIO: usize = 1024;
/// The most payload bytes of these, unless a single one is longer; likewise. It is 128 access units of lossless stereo.
pub const MAX_EARLY_AUDIO_BYTES: usize = 4 * 1024 * 1024;
/// Access units that a section hears before its own, where audio goes on unchanged: decoders and encoders of AAC need one,
/// a resampler less, and the grid of encoded audio may begin one earlier.
pub const LEAD_IN_UNITS: usize = 8;

/// The audio kept. Holds at most [`MAX_EARLY_AUDIO`] access units and [`MAX_EARLY_AUDIO_BYTES`].
#[derive(Debug, Default)]
pub(super) struct EarlyAudio {
    units: VecDeque<AccessUnit>,
    bytes: usize,
    since: Option<Instant>,
}

impl EarlyAudio {
    /// Keeps one more.
    pub(super) fn keep(&mut self, unit: AccessUnit, now: Instant) {
        self.since.get_or_insert(now);
        self.bytes += unit.payload.len();
        self.units.push_back(unit);
        while self.units.len() > MAX_EARLY_AUDIO || self.bytes > MAX_EARLY_AUDIO_BYTES {
            if self.units.len() == 1 {
                return;
            }
            self.drop_oldest();
        }
    }

    /// Keeps one that is put out already, and no more than [`LEAD_IN_UNITS`] of them.
    pub(super) fn lead_in(&mut self, unit: AccessUnit, now: Instant) {
        self.keep(unit, now);
        while self.units.len() > LEAD_IN_UNITS {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self.units.pop_front();
        self.bytes -= oldest.map_or(0, |oldest| oldest.payload.len());
    }

    /// When the first one came of those that have not been taken.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether none is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Takes all of them, oldest first.
    pub(super) fn drain(&mut self) -> std::collections::vec_deque::IntoIter<AccessUnit> {
        (self.bytes, self.since) = (0, None);
        std::mem::take(&mut self.units).into_iter()
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.drain();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &AccessUnit> {
        self.units.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut AccessUnit> {
        self.units.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::now;
    use crate::media::track::TrackKind;
    use crate::stream::example::unit;

    fn audio(millis: i64, bytes: usize) -> AccessUnit {
        AccessUnit { payload: vec![0; bytes].into(), ..unit(TrackKind::Audio, millis, false) }
    }

    /// Expects so many access units and bytes.
    #[track_caller]
    fn check(early: &EarlyAudio, units: usize, bytes: usize) {
        assert_eq!(early.iter().map(|unit| unit.payload.len()).sum::<usize>(), early.bytes);
        assert_eq!((early.units.len(), early.bytes), (units, bytes));
    }

    #[test]
    fn it_is_bounded_by_count_and_bytes() {
        let mut early = EarlyAudio::default();
        (0..2_000).for_each(|millis| early.keep(audio(millis, 1), now()));
        check(&early, MAX_EARLY_AUDIO, MAX_EARLY_AUDIO);
        assert_eq!(early.drain().next(), Some(audio(2_000 - 1024, 1)), "the oldest have left");
        (0..20).for_each(|millis| early.keep(audio(millis, 1 << 20), now()));
        check(&early, 4, MAX_EARLY_AUDIO_BYTES);
        early.keep(audio(20, 9 << 20), now());
        check(&early, 1, 9 << 20);
        early.keep(audio(21, 7), now());
        check(&early, 1, 7);
    }

    #[test]
    fn a_lead_in_is_short() {
        let mut early = EarlyAudio::default();
        (0..20).for_each(|millis| early.lead_in(audio(millis, 10), now()));
        check(&early, LEAD_IN_UNITS, 10 * LEAD_IN_UNITS);
        assert_eq!(early.drain().next(), Some(audio(12, 10)));
    }

    #[test]
    fn it_says_since_when_and_forgets() {
        let (mut early, first) = (EarlyAudio::default(), now());
        assert_eq!((early.since(), early.is_empty()), (None, true));
        early.keep(audio(0, 1), first);
        early.keep(audio(1, 1), first + std::time::Duration::from_secs(1));
        assert_eq!((early.since(), early.is_empty()), (Some(first), false));
        early.clear();
        check(&early, 0, 0);
        assert_eq!(early.since(), None);
    }
}
