//! What the machine and each lease are doing: measured beside the heartbeats, never within one.
//!
//! * `cpu`, `memory`, `disk`, `network`: the machine, or the container that this is; `cgroup`: what that may use.
//! * `gauge`: what slots, the measuring and the heartbeats share of a lease; `flow`: how well it keeps up; `input`: the times
//!   of what it is given; `process`: what its FFmpeg uses.
//! * `gpu`: NVIDIA's GPUs, if there are any.
//! * `rate`: the arithmetic of all of them; `files`: `/proc` and `/sys`.

mod cgroup;
mod cpu;
mod disk;
mod files;
mod flow;
mod gauge;
mod gpu;
mod input;
mod memory;
mod network;
mod process;
mod rate;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sysinfo::System;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::base::clock;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::placement::load::{MAX_TEXT_BYTES, printable};
use crate::wire::report::{Capacity, Gpu, Load};
use cpu::Cpu;
use disk::Disk;
use files::Files;
pub(super) use gauge::{Gauge, Gauges};
use gpu::Gpus;
use memory::Memory;
use network::Network;
use process::Processes;

/// How often load is measured: as often as a heartbeat leaves, by default.
const INTERVAL: Duration = Duration::from_millis(250);

/// What is measured. Clones show the same.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    load: watch::Receiver<Load>,
    gpus: watch::Receiver<Vec<Gpu>>,
    gauges: Gauges,
}

impl Measured {
    /// The machine's load when it was last measured.
    pub(super) fn load(&self) -> Load {
        self.load.borrow().clone()
    }

    /// The GPUs that answer. It changes when one is lost or comes back: what was proved of encoders is of no use then.
    pub(super) fn gpus(&self) -> watch::Receiver<Vec<Gpu>> {
        self.gpus.clone()
    }

    /// Where leases are gauged.
    pub(super) fn gauges(&self) -> Gauges {
        self.gauges.clone()
    }
}

/// Looks for GPUs, with the driver's library `nvml` if it shall, and then measures until `stop`.
///
/// GPUs that do not answer within ten seconds are looked for on: they come with [`Measured::gpus`].
pub(super) async fn start(nvml: Option<PathBuf>, tasks: &Tasks, stop: CancellationToken) -> Measured {
    let gpus = match nvml {
        Some(library) => Gpus::find(library).await,
        None => Gpus::none(),
    };
    let (latest, load) = watch::channel(Load::default());
    let measured = Measured { load, gpus: gpus.watch(), gauges: Gauges::default() };
    tasks.spawn(measure(gpus, measured.gauges(), latest, tasks.clone(), stop));
    measured
}

/// Measures until `stop`. The system's files are read on a thread for work that may block: some of them take the kernel
/// milliseconds.
async fn measure(
    mut gpus: Gpus,
    gauges: Gauges,
    latest: watch::Sender<Load>,
    tasks: Tasks,
    stop: CancellationToken,
) {
    let Some(mut machine) = Machine::new(&Files::system(), gauges) else {
        return tracing::warn!(
            os = std::env::consts::OS,
            "load cannot be measured here; heartbeats say zero"
        );
    };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let measuring = tasks.spawn_blocking(move || {
            let load = machine.measure(clock::now());
            (machine, load)
        });
        let load;
        (machine, load) = match measuring.await {
            Ok(measured) => measured,
            Err(error) => {
                return tracing::error!(%error, "measuring panicked; heartbeats say what was last measured");
            }
        };
        latest.send_replace(Load { gpus: gpus.measure(clock::now()), ..load });
    }
}

/// Everything that is measured but the GPUs.
#[derive(Debug)]
struct Machine {
    system: System,
    cpu: Cpu,
    memory: Memory,
    disk: Disk,
    network: Network,
    processes: Processes,
    gauges: Gauges,
}

impl Machine {
    /// `None` on a system that sysinfo does not know.
    fn new(files: &Files, gauges: Gauges) -> Option<Self> {
        Some(Self {
            system: System::new().ok()?,
            cpu: Cpu::new(files),
            memory: Memory::new(files),
            disk: Disk::new(files),
            network: Network::new(files),
            processes: Processes::new()?,
            gauges,
        })
    }

    /// Everything, now. What has nothing to compare with yet is zero.
    fn measure(&mut self, now: Instant) -> Load {
        let cpu = self.cpu.measure(&mut self.system, now);
        let (_, memory) = self.memory.measure(&mut self.system);
        let disk = self.disk.measure(now);
        let (net_rx_bps, net_tx_bps) = self.network.measure(now);
        self.gauges.measure(&mut self.processes, now);
        Load {
            cpu,
            memory,
            disk_read_bps: disk.read_bps,
            disk_write_bps: disk.write_bps,
            disk_busy: disk.busy,
            disk_latency_ms: disk.latency_ms,
            net_rx_bps,
            net_tx_bps,
            queue_length: self.gauges.queue_length(now),
            gpus: Vec::new(),
        }
    }
}

/// What the machine has, or the container that this is; `slots` are configured.
pub(super) fn capacity(slots: u32) -> Capacity {
    let files = Files::system();
    let memory = System::new().map_or(0, |mut system| Memory::new(&files).measure(&mut system).0);
    let network_bps = Network::new(&files).capacity();
    Capacity { cores: Cpu::new(&files).cores(), memory, slots, network_bps }
}

/// The kind of machine: its processor and its kinds of GPUs, by the names that they give themselves.
pub(super) fn class(gpus: &[Gpu]) -> String {
    let brand = System::new().map_or_else(|_| String::new(), |mut system| cpu::brand(&mut system));
    class_of(&brand, gpus)
}

/// As long a text as a proxy takes. A processor without a name is called by its architecture.
fn class_of(brand: &str, gpus: &[Gpu]) -> String {
    let processor = if brand.is_empty() { std::env::consts::ARCH } else { brand };
    let mut names: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let all = [&[processor], names.as_slice()].concat().join(" + ");
    printable(&all, MAX_TEXT_BYTES)
}

#[cfg(test)]
mod tests;
