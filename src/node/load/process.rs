//! CPU time and memory of single processes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Processes of a group that are looked at; of more the rest is missed.
const MAX_PROCESSES: usize = 4096;
/// Groups within a group that are looked at.
const MAX_GROUPS: usize = 256;

/// Looks at processes by their identifiers.
#[derive(Debug)]
pub(super) struct Processes {
    system: System,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Milliseconds of CPU time since it began, all its threads together.
    pub(super) cpu_ms: u64,
    /// Bytes of memory that it has now.
    pub(super) memory: u64,
}

impl Processes {
    /// `None` on a system that sysinfo does not know.
    pub(super) fn new() -> Option<Self> {
        System::new().ok().map(|system| Self { system })
    }

    /// What these processes have used. One that has ended is not in it. An identifier that has gone to another process is
    /// not mistaken: sysinfo keeps the files of those that it looks at again open.
    pub(super) fn look(&mut self, ids: &[u32]) -> BTreeMap<u32, Seen> {
        let pids: Vec<Pid> = ids.iter().copied().map(Pid::from_u32).collect();
        // Those that nobody asks for any more are looked at as well: only so they are forgotten when they have ended.
        let known = self.system.processes().keys().copied();
        let all: Vec<Pid> = pids.iter().copied().chain(known).collect::<BTreeSet<_>>().into_iter().collect();
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&all), true, kind);
        let seen = |pid: &Pid| {
            let process = self.system.process(*pid)?;
            Some((pid.as_u32(), Seen { cpu_ms: process.accumulated_cpu_time(), memory: process.memory() }))
        };
        pids.iter().filter_map(seen).collect()
    }
}

/// CPU time of all processes of a control group, as a counter that only grows.
#[derive(Debug)]
pub(super) struct GroupTimes {
    processes: Processes,
    /// What each had used at the last look.
    last: BTreeMap<u32, u64>,
    total_ms: u64,
}

impl GroupTimes {
    /// `None` on a system that sysinfo does not know.
    pub(super) fn new() -> Option<Self> {
        Some(Self { processes: Processes::new()?, last: BTreeMap::new(), total_ms: 0 })
    }

    /// Milliseconds that the processes of the group at `folder`, and of those in it, have used since the first look.
    pub(super) fn count(&mut self, folder: &Path) -> u64 {
        let seen = self.processes.look(&members(folder));
        self.add(seen.into_iter().map(|(id, seen)| (id, seen.cpu_ms)).collect())
    }

    /// One that was not there before began since then, so all that it used counts; at the first look nothing does.
    fn add(&mut self, seen: BTreeMap<u32, u64>) -> u64 {
        if !self.last.is_empty() {
            let grown =
                seen.iter().map(|(id, &now)| now.saturating_sub(self.last.get(id).copied().unwrap_or(0)));
            self.total_ms = grown.fold(self.total_ms, u64::saturating_add);
        }
        self.last = seen;
        self.total_ms
    }
}

/// The processes of a group and of those in it.
fn members(folder: &Path) -> Vec<u32> {
    let (mut ids, mut open, mut looked) = (Vec::new(), vec![folder.to_path_buf()], 0);
    while let Some(folder) = open.pop() {
        let listed = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        // A process that this namespace cannot see is listed as 0.
        ids.extend(listed.lines().filter_map(|line| line.parse().ok()).filter(|&id: &u32| id != 0));
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        looked += 1;
        if looked + open.len() < MAX_GROUPS {
            open.extend(groups.map(|entry| entry.path()).take(MAX_GROUPS));
        }
        if ids.len() >= MAX_PROCESSES || looked >= MAX_GROUPS {
            break;
        }
    }
    ids.truncate(MAX_PROCESSES);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something_and_a_missing_one_nothing() {
        let mut processes = Processes::new().unwrap();
        let own = std::process::id();
        let seen = processes.look(&[own, u32::MAX / 2]);
        assert_eq!(seen.keys().collect::<Vec<_>>(), [&own]);
        assert!(seen[&own].memory > 1 << 16, "{seen:?}");
        assert!(processes.look(&[]).is_empty());
    }

    #[test]
    fn a_groups_time_only_grows() {
        let mut times = GroupTimes::new().unwrap();
        let mut check = |seen: &[(u32, u64)], expected| {
            assert_eq!(times.add(seen.iter().copied().collect()), expected, "{seen:?}");
        };
        check(&[(1, 500), (2, 70)], 0);
        check(&[(1, 600), (2, 70)], 100);
        // One ended, one began.
        check(&[(1, 600), (3, 40)], 140);
        // Another process has the number now.
        check(&[(1, 10), (3, 40)], 140);
        check(&[(1, 20), (3, u64::MAX)], u64::MAX);
    }

    #[test]
    fn the_members_of_inner_groups_are_members() {
        let folder = tempfile::tempdir().unwrap();
        let write = |group: &str, text: String| {
            std::fs::create_dir_all(folder.path().join(group)).unwrap();
            std::fs::write(folder.path().join(group).join("cgroup.procs"), text).unwrap();
        };
        write("", "12\n0\nx\n".into());
        write("a/b", "7\n".into());
        let mut found = members(folder.path());
        found.sort_unstable();
        assert_eq!(found, [7, 12]);
        write("a", (1..=10_000).map(|id| format!("{id}\n")).collect());
        assert_eq!(members(folder.path()).len(), MAX_PROCESSES);
        assert!(members(Path::new("/nonexistent")).is_empty());
    }
}
