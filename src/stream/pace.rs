//! Whether an attempt keeps up with its source: one that falls behind and does not catch up is moved to another node.

use std::time::{Duration, Instant};

use crate::media::time::Ticks;

/// An attempt that is less behind than this is well: look-ahead, threads and reordering take up to 2 s.
pub const BEHIND: Ticks = Ticks::from_millis(3_000);
/// One that is more behind must come nearer by a step within this time.
pub const CATCH_UP: Duration = Duration::from_secs(4);
/// See [`CATCH_UP`].
const STEP: Ticks = Ticks::from_millis(500);

/// How far an attempt has been behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// When it was that far behind, if it has been behind since then and has come no step nearer.
    behind: Option<(Instant, Ticks)>,
}

impl Pace {
    /// Its last access unit is `behind` the end of its source.
    pub fn handle(&mut self, behind: Ticks, now: Instant) {
        self.behind = match self.behind {
            _ if behind < BEHIND => None,
            Some((_, before)) if behind <= before - STEP => Some((now, behind)),
            None => Some((now, behind)),
            known @ Some(_) => known,
        };
    }

    /// From when on it counts as too slow, unless it comes nearer; `None` while it is well.
    #[must_use]
    pub fn too_slow_at(&self) -> Option<Instant> {
        self.behind.map(|(since, _)| since + CATCH_UP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an attempt is too slow that is so many milliseconds behind, told every second.
    fn check(behind: &[i64], expected: bool) {
        let begun = crate::base::clock::now();
        let mut pace = Pace::default();
        let mut now = begun;
        for &millis in behind {
            now += Duration::from_secs(1);
            pace.handle(Ticks::from_millis(millis), now);
        }
        assert_eq!(pace.too_slow_at().is_some_and(|at| at <= now), expected, "{behind:?}");
    }

    #[test]
    fn one_that_keeps_up_is_well() {
        check(&[1_700; 60], false);
    }

    #[test]
    fn one_that_is_behind_and_stays_there_is_too_slow() {
        check(&[3_500; 4], false);
        check(&[3_500; 5], true);
        check(&[3_000, 3_300, 3_600, 3_900, 4_200], true);
    }

    #[test]
    fn one_that_catches_up_is_well() {
        check(&[9_000, 8_900, 8_500, 8_400, 8_300, 7_900, 7_700], false);
        check(&[9_000, 9_000, 9_000, 9_000, 2_000, 9_000], false);
    }
}
