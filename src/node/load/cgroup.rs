//! Control groups: which of them this process is in, and what they allow it. Of both versions, because a host may have each
//! controller in either: the kernel's `cgroup-v1/cgroups.rst` and `cgroup-v2.rst`; `/proc/self/mountinfo` is in proc(5),
//! `/proc/self/cgroup` in cgroups(7).

use std::path::{Component, Path, PathBuf};

use super::files::Files;

/// Groups above each other that are looked at; the kernel allows more, nobody nests them so.
const MAX_DEPTH: usize = 64;

/// Which version of control groups a controller is in; their files have other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// A hierarchy for each controller, or for a few.
    V1,
    /// One for all.
    V2,
}

/// The group of this process for one controller, and those above it, as far as they can be seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Groups {
    /// By which its files are named.
    pub(super) version: Version,
    /// Where the hierarchy is mounted. In a container that is mostly the container's own group.
    mount: PathBuf,
    /// The groups below `mount`, the innermost first; the last is `mount` itself, an empty path.
    relative: Vec<PathBuf>,
}

impl Groups {
    /// Of `controller`, for example `memory`; `None` where no such hierarchy is mounted.
    pub(super) fn find(controller: &str, files: &Files) -> Option<Self> {
        let (mounts, own) = (files.read("/proc/self/mountinfo")?, files.read("/proc/self/cgroup")?);
        Self::locate(controller, &mounts, &own)
    }

    /// A controller is in one hierarchy only: if none of version 1 has it, it is in that of version 2.
    fn locate(controller: &str, mountinfo: &str, own: &str) -> Option<Self> {
        let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::read).collect();
        let has = |mount: &&Mount<'_>| {
            mount.kind == "cgroup" && mount.options.split(',').any(|it| it == controller)
        };
        let (version, mount) = match mounts.iter().find(has) {
            Some(mount) => (Version::V1, mount),
            None => (Version::V2, mounts.iter().find(|mount| mount.kind == "cgroup2")?),
        };
        let wanted = |line: &&str| {
            let listed = line.split(':').nth(1).unwrap_or_default();
            match version {
                Version::V1 => listed.split(',').any(|it| it == controller),
                Version::V2 => line.starts_with("0::"),
            }
        };
        let path = own.lines().find(wanted).and_then(|line| line.splitn(3, ':').nth(2)).unwrap_or("/");
        Some(Self { version, mount: unescaped(mount.point), relative: chain(mount.root, path) })
    }

    /// The folders, the innermost first.
    pub(super) fn folders(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.relative.iter().map(|relative| self.mount.join(relative))
    }

    /// Our group in this hierarchy that is at the same place as the group `folder` in `other`'s: what is counted there is
    /// what `folder` holds. `None` if we are not in it or below it here.
    pub(super) fn same_place(&self, other: &Self, folder: &Path) -> Option<PathBuf> {
        let place = folder.strip_prefix(&other.mount).ok()?;
        self.relative.iter().any(|relative| relative == place).then(|| self.mount.join(place))
    }
}

/// The groups from `path` up to the one that is mounted, relative to the mount. `root` is the mounted group's own path: a
/// container's, where the runtime bound that into the container without a namespace of control groups.
fn chain(root: &str, path: &str) -> Vec<PathBuf> {
    let path = Path::new(path);
    let inside = path.strip_prefix(root).or_else(|_| path.strip_prefix("/")).unwrap_or(Path::new(""));
    // A process that was moved out of its namespace sees its group as `/../..`: then only the mount is known.
    let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
    let inside = if plain { inside } else { Path::new("") };
    inside.ancestors().take(MAX_DEPTH).map(Path::to_path_buf).collect()
}

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mount<'a> {
    /// Its device, as `MAJOR:MINOR`.
    pub(super) device: &'a str,
    /// Which part of the file system is mounted.
    root: &'a str,
    /// Where, with blanks as `\040`.
    pub(super) point: &'a str,
    /// The file system.
    kind: &'a str,
    /// What it is made of: a device's path, or a word.
    pub(super) source: &'a str,
    /// The file system's own options.
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// A field of any number of tags ends with a single `-`.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let (fields, rest) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(2);
        let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        let mut rest = rest.split(' ');
        let (kind, source, options) = (rest.next()?, rest.next()?, rest.next().unwrap_or_default());
        Some(Self { device, root, point, kind, source, options })
    }
}

/// The kernel writes blanks, tabs, line ends and backslashes of paths as `\` and three octal digits.
pub(super) fn unescaped(path: &str) -> PathBuf {
    let (mut plain, mut rest) = (String::new(), path);
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        (plain, rest) = match code {
            Some(code) => (plain + &char::from(code).to_string(), &after[3..]),
            None => (plain + "\\", after),
        };
    }
    (plain + rest).into()
}

/// Cores of CPU time that a group allows, and which group that is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quota {
    /// Cores, fractions included; more than 0.
    pub(super) cores: f64,
    /// The group that has it: ours or one above.
    pub(super) folder: PathBuf,
}

/// The tightest quota on CPU time; `None` where no group has one.
pub(super) fn quota(groups: &Groups, files: &Files) -> Option<Quota> {
    let quotas = groups.folders().filter_map(|folder| {
        let cores = match groups.version {
            Version::V1 => cfs(
                &files.read(folder.join("cpu.cfs_quota_us"))?,
                &files.read(folder.join("cpu.cfs_period_us"))?,
            ),
            Version::V2 => cpu_max(&files.read(folder.join("cpu.max"))?),
        };
        Some(Quota { cores: cores?, folder })
    });
    quotas.min_by(|one, other| one.cores.total_cmp(&other.cores))
}

/// Version 2: `QUOTA PERIOD` in microseconds; `max` is none.
fn cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    cfs(quota, period)
}

/// Version 1 has them in two files; -1 is none.
fn cfs(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u32, u32) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (quota > 0 && period > 0).then(|| f64::from(quota) / f64::from(period))
}

/// Bytes of memory that a group allows, and which group that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// Bytes.
    pub(super) bytes: u64,
    /// The group that has it: ours or one above.
    pub(super) folder: PathBuf,
}

/// The tightest limit on memory; `None` where no group has one. Version 1 has a limit in every group, which is about 2^63
/// where nobody set one: callers compare with the machine's memory.
pub(super) fn memory_limit(groups: &Groups, files: &Files) -> Option<Limit> {
    let name = match groups.version {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    let limit = |folder: PathBuf| Some(Limit { bytes: files.number(folder.join(name))?, folder });
    groups.folders().filter_map(limit).min_by_key(|limit| limit.bytes)
}

#[cfg(test)]
mod tests;
