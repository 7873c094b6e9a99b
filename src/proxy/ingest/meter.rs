//! What all publishers send and which connections there are, for the API and for the doors.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::base::clock;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::proxy::api::stats::IngestStats;
use crate::stream::PublisherId;

use super::admission::{Admission, Use};
use super::limits::{Bounds, Limit, Phase};

/// How often the sums are published.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counters that connections add to. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Meter {
    counts: Arc<Counts>,
    admission: Arc<Mutex<Admission>>,
}

#[derive(Debug, Default)]
struct Counts {
    publishers: AtomicU64,
    bytes: AtomicU64,
}

/// A connection that was let in, until this is dropped.
#[derive(Debug)]
pub struct Seat {
    id: PublisherId,
    meter: Meter,
}

/// A publisher that is counted as long as this lives.
#[derive(Debug)]
pub struct Counted(Meter);

impl Meter {
    /// Nobody is there.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { counts: Arc::default(), admission: Arc::new(Mutex::new(Admission::new(bounds))) }
    }

    /// Lets a connection in.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub fn admit(&self, id: PublisherId, address: IpAddr) -> Result<Seat, Limit> {
        self.admission().admit(id, address, clock::now())?;
        Ok(Seat { id, meter: self.clone() })
    }

    /// Publishes the sums every second until `stop`.
    #[must_use]
    pub fn start(&self, tasks: &Tasks, stop: CancellationToken) -> watch::Receiver<IngestStats> {
        let (sender, receiver) = watch::channel(self.stats(0));
        let meter = self.clone();
        tasks.spawn(async move {
            let mut before = 0;
            while stop.run_until_cancelled(clock::until(Some(clock::now() + INTERVAL))).await.is_some() {
                let stats = meter.stats(before);
                before = stats.ingest_bytes;
                sender.send_replace(stats);
            }
        });
        receiver
    }

    /// The sums, where `before` is what they were an interval ago.
    pub(in crate::proxy) fn stats(&self, before: u64) -> IngestStats {
        let ingest_bytes = self.counts.bytes.load(Ordering::Relaxed);
        IngestStats {
            publishers: self.counts.publishers.load(Ordering::Relaxed),
            ingest_bytes,
            ingest_bitrate: ingest_bytes.saturating_sub(before).saturating_mul(8) / INTERVAL.as_secs(),
            rtmp: self.admission().stats(clock::now()),
        }
    }

    /// Held for a look at one entry, or once a second for all: no connection waits for another here.
    fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Which connection it is.
    #[must_use]
    pub fn id(&self) -> PublisherId {
        self.id
    }

    /// It has come as far as `phase`.
    pub fn enter(&self, phase: Phase) {
        self.meter.admission().enter(self.id, phase, clock::now());
    }

    /// What it uses, and when its last media came.
    pub fn report(&self, used: Use, last_media: Option<Instant>) {
        self.meter.admission().report(self.id, used, last_media);
    }

    /// It ended by a limit.
    pub fn hit(&self, limit: Limit) {
        self.meter.admission().hit(limit);
    }

    /// Its publish was refused.
    pub fn count_refused_publish(&self) {
        self.meter.admission().count_refused_publish();
    }

    /// It publishes.
    #[must_use]
    pub fn publisher(&self) -> Counted {
        self.meter.counts.publishers.fetch_add(1, Ordering::Relaxed);
        Counted(self.meter.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.meter.admission().leave(self.id, clock::now());
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
