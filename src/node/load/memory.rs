//! Memory: of the machine, or in a container of its limit.

use std::path::Path;

use sysinfo::System;

use super::cgroup::{self, Groups, Limit, Version};
use super::files::{Files, keyed};

/// What may be used, and how much of it is.
#[derive(Debug)]
pub(super) struct Memory {
    files: Files,
    groups: Option<Groups>,
}

impl Memory {
    pub(super) fn new(files: &Files) -> Self {
        Self { files: files.clone(), groups: Groups::find("memory", files) }
    }

    /// Bytes in all and bytes in use, without what the kernel only keeps for the case that it is read again.
    pub(super) fn measure(&self, system: &mut System) -> (u64, u64) {
        system.refresh_memory();
        let (total, used) = (system.total_memory(), system.used_memory());
        self.limited(total).unwrap_or((total, used))
    }

    /// The group's limit and use; `None` where it is not limited to less than the machine's `total`.
    fn limited(&self, total: u64) -> Option<(u64, u64)> {
        let groups = self.groups.as_ref()?;
        let Limit { bytes, folder } = cgroup::memory_limit(groups, &self.files)?;
        // A group without any limit has the largest number, and one may be set beyond the machine.
        (bytes < total).then_some(())?;
        Some((bytes, self.used(groups.version, &folder)?))
    }

    /// What the group was charged with, less the pages of files: those leave when room is needed. What lies in `tmpfs`
    /// does not, and is not in those lists.
    fn used(&self, version: Version, folder: &Path) -> Option<u64> {
        let (usage, lists) = match version {
            Version::V1 => ("memory.usage_in_bytes", ["total_active_file", "total_inactive_file"]),
            Version::V2 => ("memory.current", ["active_file", "inactive_file"]),
        };
        let stat = self.files.read(folder.join("memory.stat")).unwrap_or_default();
        let cached = lists.iter().filter_map(|list| keyed(&stat, list)).fold(0, u64::saturating_add);
        Some(self.files.number(folder.join(usage))?.saturating_sub(cached))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::load::files::tests::Fake;

    const TOTAL: u64 = 1000;

    fn check(files: &[(&str, &str)], expected: Option<(u64, u64)>) {
        let fake = Fake::new(files);
        assert_eq!(Memory::new(&fake.files()).limited(TOTAL), expected, "{files:?}");
    }

    #[test]
    fn of_a_container_its_limit_and_its_own_use_count() {
        let mount = ("/proc/self/mountinfo", "35 24 0:30 / /cg rw - cgroup2 cgroup2 rw\n");
        let own = ("/proc/self/cgroup", "0::/a\n");
        let stat = ("/cg/a/memory.stat", "anon 5\nfile 99\ninactive_file 100\nactive_file 50\n");
        let current = ("/cg/a/memory.current", "400\n");
        check(&[mount, own, stat, current, ("/cg/a/memory.max", "800\n")], Some((800, 250)));
        check(&[mount, own, current, ("/cg/a/memory.max", "800\n")], Some((800, 400)));
        check(&[mount, own, stat, current, ("/cg/a/memory.max", "max\n")], None);
        check(&[mount, own, stat, current, ("/cg/a/memory.max", "1000\n")], None);
        check(&[mount, own, ("/cg/a/memory.max", "800\n")], None);
        check(&[], None);
    }

    #[test]
    fn version_1_has_other_names() {
        let files = [
            ("/proc/self/mountinfo", "35 31 0:32 / /cg rw - cgroup cgroup rw,memory\n"),
            ("/proc/self/cgroup", "4:memory:/a/b\n"),
            ("/cg/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/cg/a/memory.limit_in_bytes", "600\n"),
            ("/cg/a/memory.usage_in_bytes", "500\n"),
            ("/cg/a/memory.stat", "inactive_file 1\ntotal_inactive_file 150\ntotal_active_file 450\n"),
        ];
        check(&files, Some((600, 0)));
        check(&files[..3], None);
    }

    #[test]
    fn the_machine_has_memory_and_uses_some() {
        let (total, used) = Memory::new(&Files::system()).measure(&mut System::new().unwrap());
        assert!(total > 1 << 20 && (1..=total).contains(&used), "{used} of {total}");
    }
}
