//! Waiting for a stream's first segments, so that a player opened right after publish just plays.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::answer::Failure;
use crate::base::clock;
use crate::hls::View;

/// The most players that may wait at once; each holds a connection and a few hundred bytes.
const MAX_WAITERS: usize = 1024;
/// How long one waits: two default segments and the time that FFmpeg takes to start.
const LONGEST_WAIT: Duration = Duration::from_secs(6);

/// A bound on those who wait. When it is reached, the next is told to come again. Cheap to clone; all clones share it.
#[derive(Clone, Debug)]
pub struct Waiters {
    places: Arc<Semaphore>,
    longest: Duration,
}

impl Default for Waiters {
    fn default() -> Self {
        Self::new(MAX_WAITERS, LONGEST_WAIT)
    }
}

impl Waiters {
    /// At most `places` at once, each for at most `longest`.
    #[must_use]
    pub fn new(places: usize, longest: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))), longest }
    }

    /// The view once every output has a segment; at once if it has. A stream that ended without one is not found.
    pub(super) async fn ready(&self, mut view: watch::Receiver<Arc<View>>) -> Result<Arc<View>, Failure> {
        let now = view.borrow_and_update().clone();
        if now.is_ready() {
            return Ok(now);
        }
        let _place = self.places.try_acquire().map_err(|_| Failure::Crowded)?;
        tokio::select! {
            settled = view.wait_for(|view| view.is_ready() || view.ended) => match settled {
                Ok(view) if view.is_ready() => Ok(view.clone()),
                Ok(_) | Err(_) => Err(Failure::NotFound),
            },
            () = clock::until(clock::now().checked_add(self.longest)) => Err(Failure::NotReady),
        }
    }
}
