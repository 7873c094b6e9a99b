//! The faults: how each is inflicted on a node, and mended.

use std::fmt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::harness::process::descendants;
use super::harness::site_fleet::SiteFleet;

/// What befalls a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The node's process is killed with SIGKILL.
    Kill,
    /// The node and its FFmpegs are stopped with SIGSTOP.
    Stop,
    /// The host's cable is taken out.
    Cut,
}

impl Fault {
    pub const ALL: [Self; 3] = [Self::Kill, Self::Stop, Self::Cut];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill -9",
            Self::Stop => "SIGSTOP",
            Self::Cut => "network cut",
        })
    }
}

/// A fault that is there until it is mended.
pub struct Inflicted {
    fault: Fault,
    node: String,
    stopped: Vec<i32>,
}

impl Inflicted {
    pub fn on(fleet: &mut SiteFleet, node: &str, fault: Fault) -> Self {
        let mut stopped = Vec::new();
        match fault {
            Fault::Kill => fleet.kill_node(node),
            Fault::Stop => {
                let pid = fleet.pid(node);
                let children = descendants(pid).into_iter().map(|child| child.pid);
                stopped = std::iter::once(pid).chain(children).collect();
                stopped.iter().for_each(|&pid| send(pid, Signal::SIGSTOP));
            }
            Fault::Cut => assert!(fleet.cut(node), "our own cable"),
        }
        Self { fault, node: node.to_owned(), stopped }
    }

    pub fn mend(self, fleet: &mut SiteFleet) {
        match self.fault {
            Fault::Kill => fleet.start_node(&self.node),
            Fault::Stop => self.stopped.iter().for_each(|&pid| send(pid, Signal::SIGCONT)),
            Fault::Cut => fleet.mend(&self.node),
        }
    }
}

/// To a process of ours, which may have ended by itself.
fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}
