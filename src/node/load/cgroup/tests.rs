//! Where groups are found, and what they allow.

use super::*;
use crate::node::load::files::tests::Fake;
use proptest::prelude::*;

/// Debian 12 with systemd.
const V2: &str = "\
24 29 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";
/// A small virtual machine without systemd: each controller by itself, and version 2 without any.
const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
/// A container of Docker 20 on a host with version 1, without a namespace of control groups.
const DOCKER: &str = "\
690 688 0:30 /docker/4f1c /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:18 - cgroup cgroup rw,cpu,cpuacct
";

fn check(controller: &str, mounts: &str, own: &str, expected: Option<(Version, &[&str])>) {
    let found = Groups::locate(controller, mounts, own);
    let found = found.map(|groups| (groups.version, groups.folders().collect::<Vec<_>>()));
    let path = |folder: &&str| PathBuf::from(folder.trim_end_matches('/'));
    let trim = |folders: Vec<PathBuf>| {
        folders.iter().map(|folder| folder.components().collect::<PathBuf>()).collect::<Vec<_>>()
    };
    let found = found.map(|(version, folders)| (version, trim(folders)));
    assert_eq!(
        found,
        expected.map(|(version, folders)| (version, folders.iter().map(path).collect())),
        "{own}"
    );
}

#[test]
fn a_controller_is_found_in_either_version() {
    let service = "0::/system.slice/headgate.service\n";
    let folders =
        ["/sys/fs/cgroup/system.slice/headgate.service", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"];
    check("cpu", V2, service, Some((Version::V2, &folders)));
    check("memory", V2, "0::/\n", Some((Version::V2, &["/sys/fs/cgroup"])));
    let own = "4:memory:/a/b\n2:cpuacct:/\n1:cpu:/x\n0::/\n";
    check("cpu", V1, own, Some((Version::V1, &["/sys/fs/cgroup/cpu/x", "/sys/fs/cgroup/cpu"])));
    check("cpuacct", V1, own, Some((Version::V1, &["/sys/fs/cgroup/cpuacct"])));
    let folders = ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory"];
    check("memory", V1, own, Some((Version::V1, &folders)));
    check("cpu", "", own, None);
}

#[test]
fn a_containers_group_is_what_is_mounted_there() {
    let mount = "/sys/fs/cgroup/cpu,cpuacct";
    check("cpu", DOCKER, "3:cpu,cpuacct:/docker/4f1c\n", Some((Version::V1, &[mount])));
    let folders = [&format!("{mount}/inner")[..], mount];
    check("cpuacct", DOCKER, "3:cpu,cpuacct:/docker/4f1c/inner\n", Some((Version::V1, &folders)));
    // Moved out of its namespace, and a line that is not there.
    check("cpu", V2, "0::/../../other\n", Some((Version::V2, &["/sys/fs/cgroup"])));
    check("cpu", V2, "", Some((Version::V2, &["/sys/fs/cgroup"])));
}

#[test]
fn paths_with_blanks_are_read() {
    let check = |path, expected: &str| assert_eq!(unescaped(path), Path::new(expected));
    check("/a\\040b\\134c", "/a b\\c");
    check("/a\\04", "/a\\04");
    check("\\", "\\");
}

fn cores(version: Version, files: &[(&str, &str)]) -> Option<(f64, String)> {
    let fake = Fake::new(files);
    let relative = ["a/b", "a", ""].map(PathBuf::from).to_vec();
    let groups = Groups { version, mount: "/cg".into(), relative };
    let found = quota(&groups, &fake.files());
    found.map(|quota| (quota.cores, quota.folder.to_string_lossy().trim_end_matches('/').to_owned()))
}

#[test]
fn the_tightest_quota_counts() {
    let check = |version, files: &[(&str, &str)], expected: Option<(f64, &str)>| {
        assert_eq!(cores(version, files), expected.map(|(cores, at)| (cores, at.to_owned())), "{files:?}");
    };
    check(Version::V2, &[("/cg/a/b/cpu.max", "150000 100000\n")], Some((1.5, "/cg/a/b")));
    let above = [("/cg/a/b/cpu.max", "max 100000\n"), ("/cg/a/cpu.max", "25000 50000\n")];
    check(Version::V2, &above, Some((0.5, "/cg/a")));
    check(Version::V2, &[("/cg/a/b/cpu.max", "max 100000\n")], None);
    check(Version::V2, &[("/cg/a/b/cpu.max", "0 100000")], None);
    check(Version::V2, &[("/cg/a/b/cpu.max", "100000 0")], None);
    check(Version::V2, &[("/cg/a/b/cpu.max", "1\n")], None);
    let two = [
        ("/cg/a/b/cpu.cfs_quota_us", "-1"),
        ("/cg/a/b/cpu.cfs_period_us", "100000"),
        ("/cg/a/cpu.cfs_quota_us", "300000"),
        ("/cg/a/cpu.cfs_period_us", "100000"),
        ("/cg/cpu.cfs_quota_us", "50000"),
        ("/cg/cpu.cfs_period_us", "20000"),
    ];
    check(Version::V1, &two, Some((2.5, "/cg")));
    check(Version::V1, &two[..2], None);
    check(Version::V1, &[("/cg/a/cpu.cfs_quota_us", "300000")], None);
}

#[test]
fn the_tightest_memory_limit_counts() {
    let check = |version, files: &[(&str, &str)], expected: Option<u64>| {
        let groups = Groups { version, mount: "/cg".into(), relative: vec!["a".into(), "".into()] };
        assert_eq!(
            memory_limit(&groups, &Fake::new(files).files()).map(|limit| limit.bytes),
            expected,
            "{files:?}"
        );
    };
    check(Version::V2, &[("/cg/a/memory.max", "max\n")], None);
    check(Version::V2, &[("/cg/a/memory.max", "1073741824\n"), ("/cg/memory.max", "5\n")], Some(5));
    let unset = "9223372036854771712\n";
    check(Version::V1, &[("/cg/a/memory.limit_in_bytes", unset)], Some(9_223_372_036_854_771_712));
    check(
        Version::V1,
        &[("/cg/a/memory.limit_in_bytes", "77"), ("/cg/memory.limit_in_bytes", unset)],
        Some(77),
    );
}

#[test]
fn one_place_in_two_hierarchies() {
    let place = |own: &str, folder: &str| {
        let [cpu, accounting] = ["cpu", "cpuacct"].map(|it| Groups::locate(it, V1, own).unwrap());
        accounting.same_place(&cpu, Path::new(folder))
    };
    let both = "2:cpuacct:/x/y\n1:cpu:/x/y\n";
    assert_eq!(place(both, "/sys/fs/cgroup/cpu/x/y").unwrap(), Path::new("/sys/fs/cgroup/cpuacct/x/y"));
    assert_eq!(place(both, "/sys/fs/cgroup/cpu/x").unwrap(), Path::new("/sys/fs/cgroup/cpuacct/x"));
    assert_eq!(place("2:cpuacct:/\n1:cpu:/x/y\n", "/sys/fs/cgroup/cpu/x"), None);
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(mounts in "[-/a-z0-9\\\\, \n:é]{0,200}", own in "[/a-z0-9:,.\n]{0,80}", quota in "[ 0-9amx-]{0,20}") {
        let all = format!("1 2 0:1 {mounts} - cgroup2 x rw\n{mounts}");
        let _ = (Groups::locate("cpu", &all, &own), cpu_max(&quota), cfs(&quota, &quota), unescaped(&mounts));
    }
}
