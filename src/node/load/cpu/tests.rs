//! Cores and shares of them, of machines that a test makes up.

use std::time::Duration;

use super::*;
use crate::base::clock;
use crate::node::load::files::tests::Fake;
use proptest::prelude::*;

const V2: (&str, &str) = ("/proc/self/mountinfo", "35 24 0:30 / /cg rw shared:9 - cgroup2 cgroup2 rw\n");
const V1: (&str, &str) = (
    "/proc/self/mountinfo",
    "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n33 31 0:30 / /cg/cpuacct rw - cgroup cgroup rw,cpuacct\n",
);
const EIGHT: (&str, &str) = ("/proc/self/status", "Name:\theadgate\nCpus_allowed_list:\t0-7\n");

fn machine(files: &[(&str, &str)]) -> (Fake, Cpu, System) {
    let fake = Fake::new(files);
    let cpu = Cpu::new(&fake.files());
    (fake, cpu, System::new().unwrap())
}

/// The group's share after `used` more of what `file` counts in each second.
fn share_after_a_second(files: &[(&str, &str)], file: &str, text: impl Fn(u64) -> String) -> f64 {
    let (fake, mut cpu, mut system) = machine(files);
    let start = clock::now();
    fake.write(file, &text(0));
    assert_eq!(cpu.measure(&mut system, start), 0.0, "there is nothing to compare with");
    fake.write(file, &text(1));
    cpu.measure(&mut system, start + Duration::from_secs(1))
}

#[test]
fn cores_are_what_the_quota_amounts_to() {
    let check = |max: &str, expected| {
        let group = ("/proc/self/cgroup", "0::/a\n");
        let (_fake, cpu, _) = machine(&[V2, EIGHT, group, ("/cg/a/cpu.max", max)]);
        assert_eq!(cpu.cores(), expected, "{max}");
    };
    check("max 100000", 8);
    check("150000 100000", 2);
    check("50000 100000", 1);
    check("400000 100000", 4);
    check("9900000 100000", 8);
    let (_fake, cpu, _) = machine(&[]);
    assert!(cpu.cores() >= 1);
}

#[test]
fn of_a_quota_the_groups_own_use_counts() {
    let files = [V2, EIGHT, ("/proc/self/cgroup", "0::/a/b\n"), ("/cg/a/cpu.max", "150000 100000")];
    let stat = |second: u64| format!("usage_usec {}\nuser_usec 1\n", 5_000_000 + second * 750_000);
    assert_eq!(share_after_a_second(&files, "/cg/a/cpu.stat", stat), 0.5);
    let more = |second: u64| format!("usage_usec {}\n", second * 9_000_000);
    assert_eq!(share_after_a_second(&files, "/cg/a/cpu.stat", more), 1.0);
}

#[test]
fn version_1_counts_in_another_hierarchy() {
    let files = [
        V1,
        EIGHT,
        ("/proc/self/cgroup", "2:cpuacct:/a\n1:cpu:/a\n"),
        ("/cg/cpu/a/cpu.cfs_quota_us", "200000"),
        ("/cg/cpu/a/cpu.cfs_period_us", "100000"),
        ("/cg/cpuacct/a/cpuacct.usage", "0"),
    ];
    let usage = |second: u64| format!("{}\n", second * 500_000_000);
    assert_eq!(share_after_a_second(&files, "/cg/cpuacct/a/cpuacct.usage", usage), 0.25);
}

#[test]
fn without_accounting_the_groups_processes_are_added_up() {
    let own = format!("{}\n", std::process::id());
    let files = [
        V1,
        EIGHT,
        ("/proc/self/cgroup", "2:cpuacct:/\n1:cpu:/a\n"),
        ("/cg/cpu/a/cpu.cfs_quota_us", "10000"),
        ("/cg/cpu/a/cpu.cfs_period_us", "100000"),
        ("/cg/cpuacct/cpuacct.usage", "0"),
        ("/cg/cpu/a/cgroup.procs", &own),
    ];
    let (_fake, mut cpu, mut system) = machine(&files);
    let start = clock::now();
    assert_eq!(cpu.measure(&mut system, start), 0.0);
    // This process itself is in the group: it works until a tenth of a core has been seen in use.
    let busy = (1..=1000_u64).any(|millis| {
        let bound = clock::now() + Duration::from_millis(5);
        while clock::now() < bound {}
        cpu.measure(&mut system, start + Duration::from_millis(millis)) > 0.0
    });
    assert!(busy, "five seconds of work are seen");
}

#[test]
fn a_quota_that_comes_and_goes_is_followed() {
    let group = ("/proc/self/cgroup", "0::/a\n");
    let (fake, mut cpu, mut system) = machine(&[V2, EIGHT, group, ("/cg/a/cpu.stat", "usage_usec 0\n")]);
    let at = |second| clock::now() + Duration::from_secs(second);
    cpu.measure(&mut system, at(0));
    assert!(cpu.group.is_none());
    fake.write("/cg/a/cpu.max", "100000 100000");
    cpu.measure(&mut system, at(1));
    fake.write("/cg/a/cpu.stat", "usage_usec 1000000\n");
    assert!(cpu.measure(&mut system, at(2)) > 0.9);
    fake.write("/cg/a/cpu.max", "max 100000");
    cpu.measure(&mut system, at(3));
    assert!(cpu.group.is_none());
}

#[test]
fn only_cpus_that_we_may_run_on_count() {
    let check = |allowed: &[usize], expected: f64| {
        let used = [(Some(0), 100.0), (Some(1), 50.0), (Some(2), 0.0), (None, 10.0)];
        assert_eq!(mean_share(used.into_iter(), allowed), expected, "{allowed:?}");
    };
    check(&[0, 1], 0.75);
    check(&[2], 0.0);
    check(&[], 0.4);
    check(&[9], 0.4);
    assert_eq!(mean_share(std::iter::empty(), &[]), 0.0);
    assert_eq!((cpu_number("cpu12"), cpu_number("x")), (Some(12), None));
}

#[test]
fn lists_of_cpus_are_read() {
    let check = |text, expected: Option<&[usize]>| assert_eq!(cpu_list(text).as_deref(), expected, "{text}");
    check("\t0-3,8\n", Some(&[0, 1, 2, 3, 8]));
    check("5", Some(&[5]));
    check("2,1,1-2", Some(&[1, 2]));
    check("", None);
    check("1-", None);
    check("3-1", None);
    check("0-99999999999", None);
}

#[test]
fn the_machines_share_is_between_zero_and_one() {
    let mut system = System::new().unwrap();
    let mut cpu = Cpu::new(&Files::system());
    let start = clock::now();
    assert_eq!(cpu.measure(&mut system, start), 0.0);
    let share = cpu.measure(&mut system, start + Duration::from_secs(1));
    assert!((0.0..=1.0).contains(&share), "{share}");
    assert!(cpu.cores() >= 1);
}

proptest! {
    #[test]
    fn no_list_makes_reading_panic(text in "[-0-9,]{0,30}") {
        let bounded = cpu_list(&text).is_none_or(|numbers| numbers.len() <= 8192 && numbers.is_sorted());
        prop_assert!(bounded);
    }
}
