//! What all publishers send, for the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::proxy::api::stats::IngestStats;

/// How often the sums are published.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counters that connections add to. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    publishers: AtomicU64,
    bytes: AtomicU64,
}

/// A publisher that is counted as long as this lives.
#[derive(Debug)]
pub struct Counted(Meter);

impl Meter {
    /// Counts a publisher.
    #[must_use]
    pub fn publisher(&self) -> Counted {
        self.counts.publishers.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// Publishes the sums every second until `stop`.
    #[must_use]
    pub fn start(&self, tasks: &Tasks, stop: CancellationToken) -> watch::Receiver<IngestStats> {
        let (sender, receiver) = watch::channel(IngestStats::default());
        let counts = Arc::clone(&self.counts);
        tasks.spawn(async move {
            let mut before = 0;
            while stop.run_until_cancelled(clock::until(Some(clock::now() + INTERVAL))).await.is_some() {
                let ingest_bytes = counts.bytes.load(Ordering::Relaxed);
                let publishers = counts.publishers.load(Ordering::Relaxed);
                let ingest_bitrate = (ingest_bytes - before) * 8 / INTERVAL.as_secs();
                before = ingest_bytes;
                sender.send_replace(IngestStats { publishers, ingest_bytes, ingest_bitrate });
            }
        });
        receiver
    }
}

impl Counted {
    /// Counts bytes received.
    pub fn count(&self, bytes: usize) {
        self.0.counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.counts.publishers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
