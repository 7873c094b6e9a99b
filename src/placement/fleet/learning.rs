//! What leases really use is learnt, from those that run as live streams do: warm, at live, neither behind nor catching up.

use std::time::{Duration, Instant};

use super::Fleet;
use crate::base::names::Name;
use crate::placement::cost::Used;

/// How often one lease's use is learnt at most: four heartbeats a second say the same.
pub const LEARN_EVERY: Duration = Duration::from_secs(5);

impl Fleet {
    /// Learns from what a node has just reported.
    pub(super) fn learn(&mut self, node: &Name, now: Instant) {
        let Some(member) = self.members.get(node) else { return };
        for report in member.lease_loads() {
            let Some(lease) = self.leases.get_mut(&report.lease) else { continue };
            let soon = lease.learnt.is_some_and(|at| now.saturating_duration_since(at) < LEARN_EVERY);
            let Some(cpu) = report.cpu.filter(|_| !soon && member.room.is_steady(report.lease, now)) else {
                continue;
            };
            lease.learnt = Some(now);
            let used = Used { cpu, memory: report.memory, gpus: member.room.used_gpus(report.lease) };
            self.costs.learn(&member.hello().class, &lease.work, &lease.encoders, &used);
        }
    }
}
