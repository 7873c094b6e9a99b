//! The only place that reads time. Deciding modules get `now` as an argument, so that a test can move it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic now, for deadlines and ages.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the monotonic clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Time since the Unix epoch; zero if the system clock stands before it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the wall clock")]
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Sleeps until `deadline`, or for ever where there is none: the timer arm of a loop.
pub async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let times: Vec<Instant> = (0..100).map(|_| now()).collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn the_wall_clock_stands_after_this_was_written() {
        assert!(unix_now() > Duration::from_secs(1_750_000_000));
    }

    #[tokio::test]
    async fn a_deadline_in_the_past_is_over_and_none_never_is() {
        until(Some(now())).await;
        let ended = tokio::select! { biased; () = until(None) => true, () = std::future::ready(()) => false };
        assert!(!ended);
    }
}
