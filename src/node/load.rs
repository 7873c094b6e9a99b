//! What the machine is doing: CPU and memory, measured beside the heartbeats and never within one.

use std::time::Duration;

use sysinfo::System;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::base::shutdown::CancellationToken;
use crate::wire::report::{Capacity, Load};

/// How often load is measured. CPU use is the mean over this time.
const INTERVAL: Duration = Duration::from_millis(500);

/// What the machine has; `slots` are configured.
pub(super) fn capacity(slots: u32) -> Capacity {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = System::new().map_or(0, |mut system| {
        system.refresh_memory();
        system.total_memory()
    });
    Capacity { cores: u32::try_from(cores).unwrap_or(u32::MAX), memory, slots, network_bps: None }
}

/// Measures until `stop`, for whoever looks at the other end of `latest`.
pub(super) async fn measure(latest: watch::Sender<Load>, stop: CancellationToken) {
    let mut system = match System::new() {
        Ok(system) => system,
        Err(error) => return tracing::warn!(%error, "load cannot be measured; heartbeats will say zero"),
    };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        system.refresh_cpu_usage();
        system.refresh_memory();
        latest.send_replace(load(system.global_cpu_usage(), system.used_memory()));
    }
}

/// `percent` is of all cores. The first measurement has no time to compare with; JSON has no number for what it gives.
fn load(percent: f32, memory: u64) -> Load {
    let share = f64::from(percent) / 100.0;
    Load { cpu: if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }, memory, ..Load::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_between_zero_and_one() {
        assert_eq!(load(50.0, 7), Load { cpu: 0.5, memory: 7, ..Load::default() });
        assert_eq!(load(f32::NAN, 7), Load { cpu: 0.0, memory: 7, ..Load::default() });
        assert_eq!(load(131.0, 7), Load { cpu: 1.0, memory: 7, ..Load::default() });
    }

    #[test]
    fn the_machine_has_cores_and_memory() {
        let capacity = capacity(3);
        assert!(capacity.cores >= 1 && capacity.memory > 1 << 20 && capacity.slots == 3);
    }

    #[tokio::test]
    async fn load_is_measured_until_told_to_stop() {
        let (sender, mut latest) = watch::channel(Load::default());
        let stop = CancellationToken::new();
        let measuring = measure(sender, stop.clone());
        let seen = async {
            latest.changed().await.unwrap();
            assert!(latest.borrow().memory > 0);
            stop.cancel();
        };
        tokio::join!(measuring, seen);
    }
}
