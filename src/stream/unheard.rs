//! Audio that left the log with its GOP and was not committed yet. FFmpeg holds the last access units back until more
//! come; where audio pauses, the next attempt must be given them again, or a failover in the pause would lose them.

use std::collections::VecDeque;

use crate::media::access_unit::AccessUnit;
use crate::media::gop::{Gop, GopLog, SectionId};
use crate::media::time::Ticks;
use crate::media::track::TrackKind;

use super::commit::AudioCommit;
use super::resume::HELD_BACK;

/// The access units, oldest first. Holds at most [`HELD_BACK`]: more are not held back, so the oldest are committed.
#[derive(Debug, Default)]
pub struct Unheard {
    units: VecDeque<AccessUnit>,
}

impl Unheard {
    /// The GOPs of `log` before `number` are about to leave it, or to be passed over by an attempt; those of `section` may
    /// have what is not committed.
    pub fn handle_release(&mut self, log: &GopLog, section: SectionId, number: u64, audio: &AudioCommit) {
        let leaving = log.gops().take_while(|gop| gop.number() < number);
        let leaving = leaving.filter(|gop| gop.section() == section);
        let units = leaving.flat_map(Gop::units).filter(|unit| unit.track == TrackKind::Audio);
        let last = self.units.back().map(|unit| unit.presentation_time);
        let units = units.filter(|unit| last.is_none_or(|last| unit.presentation_time > last));
        self.units.extend(units.filter(|unit| !audio.lacks_at_most(0, unit.presentation_time)).cloned());
        while self.units.len() > HELD_BACK as usize {
            self.units.pop_front();
        }
    }

    /// Forgets what has been committed.
    pub fn handle_commit(&mut self, audio: &AudioCommit) {
        let heard = |unit: &&AccessUnit| audio.lacks_at_most(0, unit.presentation_time);
        while self.units.front().filter(heard).is_some() {
            self.units.pop_front();
        }
    }

    /// Another section begins: what is left of the one before is over.
    pub fn clear(&mut self) {
        self.units.clear();
    }

    /// When the first one is heard.
    #[must_use]
    pub fn first(&self) -> Option<Ticks> {
        self.units.front().map(|unit| unit.presentation_time)
    }

    /// All of them, oldest first.
    pub fn units(&self) -> impl Iterator<Item = &AccessUnit> {
        self.units.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::example::{append_gop, at, audio, log, unit};

    /// GOPs of a second, with sound each 20 ms in the first `seconds`.
    fn sounding(seconds: i64) -> GopLog {
        let mut log = log();
        for second in 0..4 {
            append_gop(&mut log, 1, second * 1_000, second * 1_000 + 1_000);
            for millis in (0..1_000).step_by(20).filter(|_| second < seconds) {
                log.append(unit(TrackKind::Audio, second * 1_000 + millis, false), SectionId(1));
            }
        }
        log
    }

    fn committed_to(millis: i64) -> AudioCommit {
        let mut commit = AudioCommit::default();
        commit.configure(&audio());
        commit.offer(at(millis) - Ticks::from_samples(1024, 48_000));
        commit
    }

    /// Expects these to be kept, in milliseconds.
    #[track_caller]
    fn check(unheard: &Unheard, expected: &[i64]) {
        let kept: Vec<i64> = unheard.units().map(|unit| unit.presentation_time.as_millis()).collect();
        assert_eq!(kept, expected);
        assert_eq!(unheard.first(), expected.first().map(|&millis| at(millis)));
    }

    #[test]
    fn what_is_not_committed_is_kept_until_it_is() {
        let mut unheard = Unheard::default();
        unheard.handle_release(&sounding(2), SectionId(1), 3, &committed_to(1_960));
        check(&unheard, &[1_960, 1_980]);
        unheard.handle_release(&sounding(2), SectionId(1), 3, &committed_to(1_960));
        check(&unheard, &[1_960, 1_980]);
        unheard.handle_commit(&committed_to(1_961));
        check(&unheard, &[1_960, 1_980]);
        unheard.handle_commit(&committed_to(1_981));
        check(&unheard, &[1_980]);
        unheard.handle_commit(&committed_to(5_000));
        check(&unheard, &[]);
    }

    #[test]
    fn it_is_bounded_and_of_one_section() {
        let mut unheard = Unheard::default();
        unheard.handle_release(&sounding(2), SectionId(1), 2, &AudioCommit::default());
        check(&unheard, &[1_920, 1_940, 1_960, 1_980]);
        unheard.clear();
        check(&unheard, &[]);
        unheard.handle_release(&sounding(2), SectionId(2), 2, &AudioCommit::default());
        check(&unheard, &[]);
        unheard.handle_release(&sounding(2), SectionId(1), 0, &AudioCommit::default());
        check(&unheard, &[]);
    }
}
