//! What a node says of itself: who it is and what it can do when it joins, what it is doing with each heartbeat. The proxy
//! believes none of it beyond bounds ([`crate::placement::load`]).

use serde::{Deserialize, Serialize};

use super::message::LeaseId;
use crate::base::names::Name;
use crate::ffmpeg::capability::Carriage;

/// Who a node is and what it can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeHello {
    /// Its name, unique in the fleet.
    pub name: Name,
    /// Tags for placement.
    pub tags: Vec<Name>,
    /// The kind of machine, such as its processor's name: nodes of one class need as much for the same work.
    pub class: String,
    /// What an hour of it costs, in any one currency; `None` where nobody said.
    pub cost_per_hour: Option<f64>,
    /// What it draws under load, in watts; `None` where nobody said.
    pub watts: Option<f64>,
    /// What it has.
    pub capacity: Capacity,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// What a node can do, as far as it was proved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// FFmpeg's version as it prints it, for example `5.1.9-0+deb12u1`.
    pub ffmpeg_version: String,
    /// Encoders that really encoded pictures as an attempt needs them, each on every device where it did.
    pub encoders: Vec<EncoderOn>,
    /// Encoders that the FFmpeg has and that failed, at their proof or later.
    pub unusable: Vec<UnusableEncoder>,
    /// What its FFmpeg reads from FLV.
    pub reads: Vec<Carriage>,
    /// What its FFmpeg decodes.
    pub decodes: Vec<Carriage>,
    /// Its GPUs, by the index that encoders name them by.
    pub gpus: Vec<Gpu>,
}

/// An encoder and where it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EncoderOn {
    /// FFmpeg's name of it.
    pub encoder: String,
    /// The GPU that it runs on, by [`Gpu::index`]; `None` on the CPU, and on a device that is no GPU of the list.
    pub gpu: Option<u32>,
}

impl EncoderOn {
    /// An encoder that runs on the CPU.
    #[must_use]
    pub fn cpu(encoder: &str) -> Self {
        Self { encoder: encoder.to_owned(), gpu: None }
    }
}

/// An encoder that does not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusableEncoder {
    /// Which, and where.
    #[serde(flatten)]
    pub on: EncoderOn,
    /// What went wrong, in a line.
    pub detail: String,
}

/// A GPU of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its index, as the driver counts.
    pub index: u32,
    /// Its name, as the driver has it.
    pub name: String,
    /// Its memory in bytes.
    pub memory: u64,
    /// Encoder sessions at once, where there is a limit that is known.
    pub sessions: Option<u32>,
}

/// What a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// CPU cores; of a container, what its quota amounts to.
    pub cores: u32,
    /// Memory in bytes; of a container, its limit.
    pub memory: u64,
    /// Leases at once.
    pub slots: u32,
    /// What its network takes in each direction, in bits per second; `None` where the link does not say.
    pub network_bps: Option<u64>,
}

/// A node's sign of life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// What it is doing.
    pub load: Load,
    /// Leases it holds, those included whose FFmpeg is ending.
    pub leases: Vec<LeaseLoad>,
}

/// Measured load of a node. What cannot be measured there is zero, or not listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Share of all cores in use, 0 to 1, over about two seconds; in a container of the cores that its quota allows.
    pub cpu: f64,
    /// Memory in use, in bytes.
    pub memory: u64,
    /// Read from the device of the working folder, in bits per second.
    pub disk_read_bps: u64,
    /// Written to it.
    pub disk_write_bps: u64,
    /// Share of the time in which that device was busy, 0 to 1.
    pub disk_busy: f64,
    /// How long a request to it took, in milliseconds, on average.
    pub disk_latency_ms: f64,
    /// Received on all interfaces but loopback, in bits per second. What goes through a virtual one on its way to a real one
    /// counts once.
    pub net_rx_bps: u64,
    /// Sent on them.
    pub net_tx_bps: u64,
    /// Leases whose output is behind their input by more than a second, or has not begun.
    pub queue_length: u32,
    /// Each GPU that answers.
    pub gpus: Vec<GpuLoad>,
}

/// Measured load of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuLoad {
    /// Which ([`Gpu::index`]).
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Share of the time in which anything ran on it, 0 to 1.
    pub utilization: f64,
    /// Of its encoders.
    pub encoder: f64,
    /// Of its decoders.
    pub decoder: f64,
    /// Bytes of its memory in use.
    pub memory_used: u64,
    /// Bytes of its memory.
    pub memory_total: u64,
    /// Watts drawn; `None` where it does not say.
    pub power_w: Option<f64>,
    /// Encoder sessions open.
    pub sessions: u32,
}

/// What a lease's FFmpeg uses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaseLoad {
    /// Which lease.
    pub lease: LeaseId,
    /// Cores that it used, over about two seconds; `None` before there are two measurements.
    pub cpu: Option<f64>,
    /// Its memory in bytes.
    pub memory: u64,
    /// Seconds of media that it makes in a second, over three seconds, as FFmpeg says; `None` before it says so, and while the
    /// source gives less than it could make.
    pub speed: Option<f64>,
    /// How far its output is behind what it was given, and behind what waits because it takes no more, in milliseconds; `None`
    /// before the first output.
    pub lag_ms: Option<u64>,
}
