//! What each tenant's publishers send together. Connections add to an atomic with each read, and take a lock only when they
//! report, about twice a second; what is decided is decided in [`super::tenant_bitrate`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::base::clock;
use crate::base::names::Name;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::base::units::Bitrate;
use crate::config::Config;
use crate::proxy::api::stats::TenantIngest;
use crate::stream::PublisherId;

use super::bitrate::Exceeded;
use super::tenant_bitrate::TenantBitrate;

/// How often the sums are published.
const INTERVAL: Duration = Duration::from_secs(1);

/// The counters of all tenants. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct TenantMeters(Arc<BTreeMap<Name, Arc<TenantMeter>>>);

#[derive(Debug)]
struct TenantMeter {
    tenant: Name,
    max_bitrate: Option<Bitrate>,
    bytes: AtomicU64,
    bitrate: Mutex<TenantBitrate>,
    /// Publishers that were ended for what all of them sent.
    over_bitrate: AtomicU64,
}

/// A publisher that is counted for its tenant as long as this lives.
#[derive(Debug)]
pub struct CountedForTenant {
    publisher: PublisherId,
    meter: Arc<TenantMeter>,
}

/// Why a publisher is ended for what its tenant sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all streams of tenant {tenant} together {exceeded}; this one came last")]
pub struct TenantExceeded {
    /// Whose streams they are.
    pub tenant: Name,
    /// What they sent, and might have.
    pub exceeded: Exceeded,
}

impl TenantMeters {
    /// Nobody sends anything. Of tenants that `config` does not have nothing is counted.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (grace, now) = (config.rtmp.bitrate_grace, clock::now());
        let meters = config.tenants.iter().map(|(name, tenant)| {
            let bitrate = Mutex::new(TenantBitrate::new(tenant.max_bitrate, grace, now));
            let (tenant, max_bitrate) = (name.clone(), tenant.max_bitrate);
            let (bytes, over_bitrate) = (AtomicU64::new(0), AtomicU64::new(0));
            (name.clone(), Arc::new(TenantMeter { tenant, max_bitrate, bytes, bitrate, over_bitrate }))
        });
        Self(Arc::new(meters.collect()))
    }

    /// A publisher of `tenant` begins to send.
    #[must_use]
    pub fn publisher(&self, tenant: &Name, publisher: PublisherId) -> Option<CountedForTenant> {
        let meter = Arc::clone(self.0.get(tenant)?);
        meter.bitrate().enter(publisher, clock::now());
        Some(CountedForTenant { publisher, meter })
    }

    /// Publishes the sums every second until `stop`.
    #[must_use]
    pub fn start(&self, tasks: &Tasks, stop: CancellationToken) -> watch::Receiver<TenantIngests> {
        let (sender, receiver) = watch::channel(self.stats());
        let meters = self.clone();
        tasks.spawn(async move {
            while stop.run_until_cancelled(clock::until(Some(clock::now() + INTERVAL))).await.is_some() {
                sender.send_replace(meters.stats());
            }
        });
        receiver
    }

    fn stats(&self) -> TenantIngests {
        let now = clock::now();
        let stats = |meter: &TenantMeter| TenantIngest {
            bitrate: meter.bitrate().bitrate(now),
            max_bitrate: meter.max_bitrate.map(|most| most.0),
            over_bitrate: meter.over_bitrate.load(Ordering::Relaxed),
        };
        Arc::new(self.0.iter().map(|(name, meter)| (name.clone(), stats(meter))).collect())
    }
}

/// What each tenant sends.
pub type TenantIngests = Arc<BTreeMap<Name, TenantIngest>>;

impl TenantMeter {
    /// Held for a look at it: no connection waits for another here.
    fn bitrate(&self) -> MutexGuard<'_, TenantBitrate> {
        self.bitrate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CountedForTenant {
    /// Counts bytes received.
    pub fn count(&self, bytes: usize) {
        self.meter.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Tells that the publisher still sends.
    ///
    /// # Errors
    /// The tenant has exceeded its bitrate, and this publisher is to end for it.
    pub fn report(&self, now: Instant) -> Result<(), TenantExceeded> {
        let bytes = self.meter.bytes.load(Ordering::Relaxed);
        let reported = self.meter.bitrate().handle_report(self.publisher, bytes, now);
        reported.map_err(|exceeded| {
            self.meter.over_bitrate.fetch_add(1, Ordering::Relaxed);
            TenantExceeded { tenant: self.meter.tenant.clone(), exceeded }
        })
    }
}

impl Drop for CountedForTenant {
    fn drop(&mut self) {
        self.meter.bitrate().leave(self.publisher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_that_end_for_what_all_send_are_counted() {
        let mut config = Config::default();
        config.rtmp.bitrate_grace = Duration::from_secs(1);
        let live: Name = "live".parse().expect("test name");
        config.tenants.get_mut(&live).expect("it is built in").max_bitrate = Some(Bitrate::kilobits(100));
        let meters = TenantMeters::new(&config);
        let counted = meters.publisher(&live, PublisherId(1)).expect("the tenant is configured");
        let begun = clock::now();
        let ended = (1..=60).find_map(|half| {
            counted.count(100_000);
            counted.report(begun + Duration::from_millis(500) * half).err()
        });
        assert_eq!(ended.expect("1.6 Mbit/s are too much").tenant, live);
        assert_eq!(meters.stats()[&live].over_bitrate, 1);
    }
}
