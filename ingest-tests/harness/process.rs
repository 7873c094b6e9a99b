//! Looks at processes through `/proc`: who descends from whom, and whether they still run.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// A process that cannot be mistaken for a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The process number.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    started: u64,
}

struct Row {
    identity: Identity,
    parent: i32,
    running: bool,
}

/// Everything that descends from `pid` now.
pub fn descendants(pid: i32) -> BTreeSet<Identity> {
    let rows: Vec<Row> = all();
    let mut found = BTreeSet::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for row in rows.iter().filter(|row| row.parent == parent && row.running) {
            found.insert(row.identity);
            parents.push(row.identity.pid);
        }
    }
    found
}

/// Whether it still runs; one that has ended and was not yet waited for does not.
pub fn is_running(identity: Identity) -> bool {
    row(identity.pid).is_some_and(|row| row.identity == identity && row.running)
}

fn all() -> Vec<Row> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| row(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Reads `/proc/PID/stat`, see proc(5). The name in parentheses may hold anything, so fields are counted after it.
fn row(pid: i32) -> Option<Row> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let started = fields.get(19)?.parse().ok()?;
    let running = !matches!(*fields.first()?, "Z" | "X");
    Some(Row { identity: Identity { pid, started }, parent: fields.get(1)?.parse().ok()?, running })
}

/// Open descriptors of a process.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Resident memory of a process, in bytes: `VmRSS` of `/proc/PID/status`.
pub fn resident_bytes(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.expect("a running process has resident memory") * 1024
}

/// Processor time that a process has used in user mode and in the kernel, without its children.
pub fn cpu_time(pid: i32) -> Duration {
    /// Clock ticks in a second: `sysconf(_SC_CLK_TCK)` on every Linux of today.
    const TICKS: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let used = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(used.sum::<u64>() * 1_000 / TICKS)
}
