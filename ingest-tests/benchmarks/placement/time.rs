//! Simulated time: seconds since the start, and the instants that placement is given.

use std::time::{Duration, Instant};

/// Turns simulated seconds into instants. The origin is the only real time that is ever read; nothing depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    origin: Instant,
}

impl Time {
    /// A start.
    #[expect(
        clippy::disallowed_methods,
        reason = "an origin to count from; an Instant cannot be made otherwise"
    )]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// The instant this many seconds after the start.
    pub fn at(&self, seconds: f64) -> Instant {
        self.origin + Duration::from_secs_f64(seconds.max(0.0))
    }
}
