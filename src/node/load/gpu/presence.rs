//! Which GPUs are there, and what is worth telling of that: each once when it goes, and once when it comes back.

use std::collections::{BTreeMap, BTreeSet};

use super::Device;
use crate::wire::report::Gpu;

/// GPUs that went and are remembered; of more the rest is told as new when it comes back.
const MAX_GONE: usize = 64;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It was there.
    Gone(Gpu),
    /// It was there before, and had gone.
    Back(Gpu),
    /// It was never seen before.
    New(Gpu),
}

/// GPUs by what they are known by, not by their index: when one goes another may get its index.
#[derive(Debug, Default)]
pub(super) struct Presence {
    here: BTreeMap<String, Gpu>,
    gone: BTreeSet<String>,
}

impl Presence {
    /// These answer, and no others.
    pub(super) fn handle(&mut self, devices: &[Device]) -> Vec<Change> {
        let answering = devices.iter().map(|device| (device.id.clone(), device.gpu.clone())).collect();
        let before = std::mem::replace(&mut self.here, answering);
        let mut changes = Vec::new();
        for (id, gpu) in &before {
            if !self.here.contains_key(id) {
                changes.push(Change::Gone(gpu.clone()));
                if self.gone.len() < MAX_GONE {
                    self.gone.insert(id.clone());
                }
            }
        }
        for (id, gpu) in self.here.iter().filter(|(id, _)| !before.contains_key(*id)) {
            let back = self.gone.remove(id);
            changes.push(if back { Change::Back(gpu.clone()) } else { Change::New(gpu.clone()) });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::report::GpuLoad;

    fn gpu(index: u32, id: &str) -> Gpu {
        Gpu { index, name: id.to_owned(), memory: 1, sessions: None }
    }

    fn device((index, id): (u32, &str)) -> Device {
        Device { id: id.to_owned(), gpu: gpu(index, id), load: GpuLoad::default() }
    }

    #[test]
    fn each_is_told_once_when_it_goes_and_once_when_it_is_back() {
        let mut presence = Presence::default();
        let mut check = |there: &[(u32, &str)], expected: &[Change]| {
            let devices: Vec<Device> = there.iter().copied().map(device).collect();
            assert_eq!(presence.handle(&devices), expected, "{there:?}");
        };
        check(&[], &[]);
        check(&[(0, "a"), (1, "b")], &[Change::New(gpu(0, "a")), Change::New(gpu(1, "b"))]);
        check(&[(0, "a"), (1, "b")], &[]);
        check(&[(1, "b")], &[Change::Gone(gpu(0, "a"))]);
        // The other one gets its index: that is no news of either.
        check(&[(0, "b")], &[]);
        check(&[(0, "a"), (1, "b")], &[Change::Back(gpu(0, "a"))]);
        check(&[], &[Change::Gone(gpu(0, "a")), Change::Gone(gpu(1, "b"))]);
        check(&[(0, "b")], &[Change::Back(gpu(0, "b"))]);
    }

    #[test]
    fn what_went_is_remembered_within_a_bound() {
        let mut presence = Presence::default();
        for index in 0..1000 {
            presence.handle(&[device((index, &format!("g{index}")))]);
        }
        assert_eq!(presence.gone.len(), MAX_GONE);
    }
}
