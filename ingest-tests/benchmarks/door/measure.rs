//! Cores, CPU time and memory, as Linux tells them in `/proc` (proc(5)).

use std::fs;
use std::process::Command;
use std::time::Duration;

/// `sysconf(_SC_CLK_TCK)`, which Linux fixes for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of a process, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub user: f64,
    pub system: f64,
}

impl Usage {
    /// All threads of `pid`, those that have ended too.
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server still runs");
        // The name in parentheses may hold anything, so fields are counted after it.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let seconds = |field: usize| fields[field].parse::<f64>().expect("a number") / TICKS_PER_SECOND;
        Self { user: seconds(11), system: seconds(12) }
    }

    /// CPU time of the calling thread.
    pub fn of_this_thread() -> Duration {
        let schedstat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says it");
        Duration::from_nanos(
            schedstat.split(' ').next().and_then(|first| first.parse().ok()).expect("a number"),
        )
    }
}

/// What a server needed for what it was sent.
pub struct Cost {
    pub gigabytes: f64,
    /// CPU seconds a GB.
    pub user: f64,
    pub system: f64,
}

impl Cost {
    /// From two readings of CPU time and of bytes sent.
    pub fn new(before: (Usage, u64), after: (Usage, u64)) -> Self {
        let gigabytes = gigabytes(after.1 - before.1);
        let a_gigabyte = |seconds: f64| seconds / gigabytes;
        Self {
            gigabytes,
            user: a_gigabyte(after.0.user - before.0.user),
            system: a_gigabyte(after.0.system - before.0.system),
        }
    }

    pub fn total(&self) -> f64 {
        self.user + self.system
    }
}

/// 10^9 bytes.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
pub fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// Resident memory of a process.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server still runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
}

/// Keeps this process, all its threads, and whatever it starts from now on, on one core. Its children stay there.
pub fn use_core(core: u32) {
    let pid = std::process::id().to_string();
    let output = Command::new("taskset").args(["-a", "-c", "-p", &core.to_string(), &pid]).output();
    let done = output.is_ok_and(|output| output.status.success());
    assert!(done, "this needs taskset (util-linux) and at least two cores");
}
