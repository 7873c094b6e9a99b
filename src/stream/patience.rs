//! How long an answer may take before whoever owes it is suspected.
//!
//! The estimator is that of TCP's retransmission timer (RFC 6298 §2): the mean of what answers took, and four times their mean
//! deviation. So a stream whose answers come regularly is suspected soon, and one on a busy machine is given its usual time.
//! It has a floor, so that no hiccup of a scheduler counts, and a ceiling ([`LONGEST`]).

use std::time::Duration;

/// Nobody is waited for longer than this.
pub const LONGEST: Duration = Duration::from_secs(10);

/// What answers of one kind took of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    floor: Duration,
    /// What is granted before the first answer.
    initial: Duration,
    /// Mean and mean deviation.
    learned: Option<(Duration, Duration)>,
}

impl Patience {
    /// At least `floor`, and `initial` as long as no answer has come.
    #[must_use]
    pub fn new(floor: Duration, initial: Duration) -> Self {
        Self { floor, initial, learned: None }
    }

    /// An answer came after `took`.
    pub fn learn(&mut self, took: Duration) {
        self.learned = Some(match self.learned {
            None => (took, took / 2),
            Some((mean, deviation)) => (mean * 7 / 8 + took / 8, deviation * 3 / 4 + mean.abs_diff(took) / 4),
        });
    }

    /// How long the next answer may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        let usual = self.learned.map_or(self.initial, |(mean, deviation)| mean + deviation * 4);
        usual.max(self.floor).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Duration = Duration::from_millis(750);

    /// The limit in milliseconds after answers that took so many.
    fn check(answers: &[u64], expected: u128) {
        let mut patience = Patience::new(FLOOR, Duration::from_secs(3));
        answers.iter().for_each(|&millis| patience.learn(Duration::from_millis(millis)));
        assert_eq!(patience.limit().as_millis(), expected, "{answers:?}");
    }

    #[test]
    fn before_the_first_answer_the_initial_limit_holds_and_then_what_was_measured() {
        check(&[], 3_000);
        check(&[40], 750);
        check(&[400], 1_200);
        check(&[1_000; 20], 1_008);
    }

    #[test]
    fn one_late_answer_widens_the_limit_and_regular_ones_narrow_it_again() {
        let late = [&[40_u64; 20][..], &[1_040]].concat();
        check(&late, 1_165);
        check(&[&late[..], &[40; 6]].concat(), 750);
    }

    #[test]
    fn nothing_takes_longer_than_the_ceiling() {
        check(&[60_000], 10_000);
        check(&[u64::from(u32::MAX); 3], 10_000);
    }
}
