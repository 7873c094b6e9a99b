//! Whether a publisher sends more than it may, for longer than it may. A leaky counter; no clock: `now` is an argument.
//!
//! What comes fills a bucket that drains at the allowed bitrate and holds [`BURST`] of it: a key picture or a hiccup of the
//! network fills it for a moment. A publisher is *over* from the time the bucket is full until it is half empty, and has
//! exceeded its bitrate when it was over without a break for the time of grace. What does not fit into the bucket is not
//! remembered, so whoever slows down is within its bitrate again half a [`BURST`] later.
//!
//! Meanwhile it is read as fast as it sends: what that costs is bounded by the GOP log and by the time of grace, and an
//! encoder that is slowed down by us would be late for good without its user seeing why.

use std::time::{Duration, Instant};

use crate::base::units::Bitrate;

/// How much may come at once, as time at the allowed bitrate.
const BURST: Duration = Duration::from_secs(1);
/// Over how long the bitrate is measured that is told.
const WINDOW: Duration = Duration::from_secs(1);

/// What a publisher was ended for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sent {:.1} Mbit/s, and {:.1} Mbit/s is allowed (max_bitrate)", megabits(*.measured), megabits(*.allowed))]
pub struct Exceeded {
    /// What came since it went over.
    pub measured: Bitrate,
    /// What may come.
    pub allowed: Bitrate,
}

#[expect(clippy::cast_precision_loss, reason = "for one decimal place")]
fn megabits(bitrate: Bitrate) -> f64 {
    bitrate.0 as f64 / 1e6
}

/// One publisher's counter.
#[derive(Debug)]
pub struct BitrateMeter {
    allowed: Bitrate,
    grace: Duration,
    /// Bits in the bucket.
    level: u64,
    /// When the bucket was last looked at.
    at: Instant,
    /// Since when it is over, and the bits that have come since.
    over: Option<(Instant, u64)>,
    window: Window,
}

/// The bitrate of the last whole second, for the gauge.
#[derive(Debug)]
struct Window {
    since: Instant,
    bits: u64,
    last: u64,
}

impl BitrateMeter {
    /// Nothing has come.
    #[must_use]
    pub fn new(allowed: Bitrate, grace: Duration, now: Instant) -> Self {
        let window = Window { since: now, bits: 0, last: 0 };
        Self { allowed, grace, level: 0, at: now, over: None, window }
    }

    /// Bits per second, as of the last second in which something came.
    #[must_use]
    pub fn bitrate(&self) -> u64 {
        self.window.last
    }

    /// Counts what came.
    ///
    /// # Errors
    /// More than allowed has come for the time of grace.
    pub fn count(&mut self, bytes: usize, now: Instant) -> Result<(), Exceeded> {
        let bits = (bytes as u64).saturating_mul(8);
        self.window.count(bits, now);
        let drained = bits_in(self.allowed, now.saturating_duration_since(self.at));
        self.at = self.at.max(now);
        let full = bits_in(self.allowed, BURST);
        let before = self.level.saturating_sub(drained);
        if before < full / 2 {
            self.over = None;
        }
        self.level = before.saturating_add(bits).min(full);
        match &mut self.over {
            None if self.level == full => self.over = Some((now, 0)),
            None => {}
            Some((since, came)) => {
                *came = came.saturating_add(bits);
                let lasted = now.saturating_duration_since(*since);
                if lasted >= self.grace {
                    return Err(Exceeded { measured: rate(*came, lasted), allowed: self.allowed });
                }
            }
        }
        Ok(())
    }
}

impl Window {
    fn count(&mut self, bits: u64, now: Instant) {
        let lasted = now.saturating_duration_since(self.since);
        if lasted >= WINDOW {
            self.last = rate(self.bits, lasted).0;
            (self.since, self.bits) = (now, 0);
        }
        self.bits = self.bits.saturating_add(bits);
    }
}

/// Bits that come in `time`.
fn bits_in(bitrate: Bitrate, time: Duration) -> u64 {
    let micros = u128::from(bitrate.0).saturating_mul(time.as_micros());
    u64::try_from(micros / 1_000_000).unwrap_or(u64::MAX)
}

fn rate(bits: u64, time: Duration) -> Bitrate {
    let per_second = u128::from(bits).saturating_mul(1_000_000) / time.as_micros().max(1);
    Bitrate(u64::try_from(per_second).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
