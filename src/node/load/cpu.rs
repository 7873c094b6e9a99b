//! CPU: of the machine, or in a container of what its quota allows.

use std::path::{Path, PathBuf};
use std::time::Instant;

use sysinfo::System;

use super::cgroup::{self, Groups, Quota, Version};
use super::files::{Files, keyed};
use super::process::GroupTimes;
use super::rate::{Rate, Smoothed, Width};

/// What this process may use, and how much of it is used.
#[derive(Debug)]
pub(super) struct Cpu {
    files: Files,
    /// CPUs that the scheduler may put us on, by number; empty where that cannot be found out, which means all.
    allowed: Vec<usize>,
    /// Where quotas are.
    groups: Option<Groups>,
    /// Where CPU time is counted, if in another hierarchy than quotas (version 1).
    accounting: Option<Groups>,
    /// CPU time of the group with the quota, for as long as it has one.
    group: Option<GroupUse>,
    machine: Smoothed,
    /// When the machine was last looked at.
    looked: Option<Instant>,
}

/// CPU time of a group, in nanoseconds.
#[derive(Debug)]
struct GroupUse {
    /// The group whose quota it is.
    quota: PathBuf,
    source: Source,
    rate: Rate,
}

/// Who counts a group's CPU time.
#[derive(Debug)]
enum Source {
    /// Version 2: the group's own `cpu.stat`.
    Stat(PathBuf),
    /// Version 1: `cpuacct.usage` of the same group in the hierarchy that counts.
    Accounting(PathBuf),
    /// Version 1, where we are in a group of `cpu` but not in the same one of `cpuacct`: nobody counts for that group, so
    /// the times of its processes are added up. What a process used after its last look is missed when it ends. The
    /// group's throttling, the only other number, says nothing before all is used.
    Processes(PathBuf, Box<GroupTimes>),
}

impl Cpu {
    /// Nothing is measured yet.
    pub(super) fn new(files: &Files) -> Self {
        let status = files.read("/proc/self/status").unwrap_or_default();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Self {
            files: files.clone(),
            allowed: allowed.and_then(cpu_list).unwrap_or_default(),
            groups: Groups::find("cpu", files),
            accounting: Groups::find("cpuacct", files).filter(|groups| groups.version == Version::V1),
            group: None,
            machine: Smoothed::default(),
            looked: None,
        }
    }

    /// Cores that may be used: a quota's fraction of a core is one more.
    pub(super) fn cores(&self) -> u32 {
        let machine = self.allowed_count();
        self.quota().map_or(machine, |quota| whole_cores(quota.cores).min(machine)).max(1)
    }

    /// The share of what may be used that is in use, 0 to 1. Zero before it was looked at twice.
    pub(super) fn measure(&mut self, system: &mut System, now: Instant) -> f64 {
        self.measure_machine(system, now);
        // It may be changed while we run, as by `docker update`.
        let share = match self.quota() {
            Some(quota) => self.measure_group(&quota, now),
            None => {
                self.group = None;
                self.machine.get()
            }
        };
        share.unwrap_or_default().clamp(0.0, 1.0)
    }

    /// Looks at the allowed CPUs, unless that was just done.
    fn measure_machine(&mut self, system: &mut System, now: Instant) {
        let over = self.looked.map(|at| now.saturating_duration_since(at));
        // Looked at again sooner, sysinfo repeats what it said before.
        if over.is_some_and(|over| over < sysinfo::MINIMUM_CPU_UPDATE_INTERVAL) {
            return;
        }
        system.refresh_cpu_usage();
        self.looked = Some(now);
        // The first look has nothing to compare with: it is the mean since the machine was started.
        if let Some(over) = over {
            let used = system.cpus().iter().map(|cpu| (cpu_number(cpu.name()), cpu.usage()));
            self.machine.push(mean_share(used, &self.allowed), over);
        }
    }

    /// The tightest quota, if it allows less than the CPUs that we may run on.
    fn quota(&self) -> Option<Quota> {
        let quota = cgroup::quota(self.groups.as_ref()?, &self.files)?;
        (quota.cores < f64::from(self.allowed_count())).then_some(quota)
    }

    /// How many CPUs the scheduler may use for us.
    fn allowed_count(&self) -> u32 {
        let known = u32::try_from(self.allowed.len()).unwrap_or(u32::MAX);
        let all = || std::thread::available_parallelism().map_or(1, |count| whole_cores_of(count.get()));
        if known == 0 { all() } else { known }
    }

    /// The group's use as a share of its quota.
    fn measure_group(&mut self, quota: &Quota, now: Instant) -> Option<f64> {
        let known = self.group.take().filter(|group| group.quota == quota.folder);
        let mut group = match known {
            Some(group) => group,
            None => GroupUse {
                quota: quota.folder.clone(),
                source: self.source(&quota.folder)?,
                rate: Rate::new(Width::Bits64),
            },
        };
        if let Some(nanoseconds) = group.source.count(&self.files) {
            group.rate.push(nanoseconds, now);
        }
        let cores = group.rate.per_second().map(|rate| rate / 1e9);
        self.group = Some(group);
        Some(cores? / quota.cores)
    }

    /// Who counts the CPU time of the group at `folder`.
    fn source(&self, folder: &Path) -> Option<Source> {
        let groups = self.groups.as_ref()?;
        match groups.version {
            Version::V2 => Some(Source::Stat(folder.join("cpu.stat"))),
            Version::V1 => {
                let counted = self.accounting.as_ref().and_then(|it| it.same_place(groups, folder));
                let usage = counted.map(|folder| folder.join("cpuacct.usage"));
                Some(match usage.filter(|usage| self.files.number(usage).is_some()) {
                    Some(usage) => Source::Accounting(usage),
                    None => Source::Processes(self.files.at(folder), Box::new(GroupTimes::new()?)),
                })
            }
        }
    }
}

impl Source {
    /// Nanoseconds of CPU time so far.
    fn count(&mut self, files: &Files) -> Option<u64> {
        match self {
            Self::Stat(file) => keyed(&files.read(file)?, "usage_usec")?.checked_mul(1000),
            Self::Accounting(file) => files.number(file),
            Self::Processes(folder, times) => times.count(folder).checked_mul(1_000_000),
        }
    }
}

/// The mean use of the CPUs that are allowed, 0 to 1, from percents; of all, if none of them is known.
fn mean_share(used: impl Iterator<Item = (Option<usize>, f32)> + Clone, allowed: &[usize]) -> f64 {
    let mean = |used: &mut dyn Iterator<Item = f32>| {
        let (sum, count) =
            used.fold((0.0, 0_u32), |(sum, count), percent| (sum + f64::from(percent), count + 1));
        (count > 0).then(|| sum / f64::from(count) / 100.0)
    };
    let ours = |number: Option<usize>| number.is_some_and(|number| allowed.binary_search(&number).is_ok());
    mean(&mut used.clone().filter(|&(number, _)| ours(number)).map(|(_, percent)| percent))
        .or_else(|| mean(&mut used.map(|(_, percent)| percent)))
        .unwrap_or_default()
}

/// `cpu12` is 12.
fn cpu_number(name: &str) -> Option<usize> {
    name.strip_prefix("cpu")?.parse().ok()
}

/// The numbers of a list as the kernel writes it, for example `0-3,8`, in order; `None` if it is none, or has more CPUs than
/// the kernel can (8192).
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    const MAX_CPUS: usize = 8192;
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if last >= MAX_CPUS {
            return None;
        }
        numbers.extend(first..=last);
    }
    numbers.sort_unstable();
    numbers.dedup();
    (!numbers.is_empty()).then_some(numbers)
}

/// Cores that a quota amounts to, a fraction counted as one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and NaN is zero"
)]
fn whole_cores(quota: f64) -> u32 {
    quota.ceil() as u32
}

fn whole_cores_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The processor's name, as it names itself; empty where it does not.
pub(super) fn brand(system: &mut System) -> String {
    system.refresh_cpu_usage();
    system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
