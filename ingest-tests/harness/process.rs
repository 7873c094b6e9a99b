//! Looks at processes through `/proc`: who descends from whom, and whether they still run.

use std::collections::BTreeSet;
use std::fs;

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
