//! Amounts that fade, each from its own instant on.

use std::ops::{AddAssign, Mul};
use std::time::Instant;

use super::{FADE, remaining};

/// Amounts, each with when it began to fade; only what was not gone yet as of the last input.
#[derive(Clone, Debug)]
pub(super) struct Fading<T>(Vec<(T, Instant)>);

/// What is left of all of them goes down along a line until the first of them is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<T> {
    /// What is left where it begins.
    pub(super) left: T,
    /// How much that loses in each second.
    pub(super) per_second: T,
    /// Where it ends.
    pub(super) until: Instant,
}

impl<T> Default for Fading<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Default + AddAssign + Mul<f64, Output = T>> Fading<T> {
    /// As of `now` these amounts fade, each since its instant.
    pub(super) fn renew(&mut self, amounts: impl Iterator<Item = (T, Instant)>, now: Instant) {
        self.0.clear();
        self.0.extend(amounts.filter(|(_, since)| remaining(*since, now) > 0.0));
    }

    /// What is left of all of them.
    pub(super) fn left(&self, now: Instant) -> T {
        let mut sum = T::default();
        for (amount, since) in &self.0 {
            sum += *amount * remaining(*since, now);
        }
        sum
    }

    /// How they fade from `now` on, where anything does. Where one has yet to begin, the line has no length.
    pub(super) fn line(&self, now: Instant) -> Option<Line<T>> {
        let first = self.0.iter().map(|(_, since)| *since).min()?;
        let has_begun = self.0.iter().all(|(_, since)| *since <= now);
        let mut per_second = T::default();
        for (amount, _) in &self.0 {
            per_second += *amount * (1.0 / FADE.as_secs_f64());
        }
        Some(Line { left: self.left(now), per_second, until: if has_begun { first + FADE } else { now } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;
    use crate::wire::cost::Resources;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// Times in milliseconds after the first instant; some begin to fade after it was asked.
        #[test]
        fn the_line_is_the_sum(
            terms in prop::collection::vec((0.0..100.0, 0u64..20_000), 0..8), renewed in 0u64..25_000, asked in 0u64..30_000,
        ) {
            let start = clock::now();
            let at = |millis| start + Duration::from_millis(millis);
            let terms = terms.into_iter().map(|(cpu, since)| (Resources { cpu, ..Resources::default() }, at(since)));
            let mut fading = Fading::default();
            fading.renew(terms, at(renewed));
            let Some(line) = fading.line(at(renewed)) else { return Ok(()) };
            if renewed <= asked && at(asked) < line.until {
                let seconds = Duration::from_millis(asked - renewed).as_secs_f64();
                let (left, sum) = (line.left.cpu - line.per_second.cpu * seconds, fading.left(at(asked)).cpu);
                prop_assert!((left - sum).abs() < 1e-9, "{left} is not {sum}");
            }
        }
    }
}
