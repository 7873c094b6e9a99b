//! The machines: classes of nodes as fleets have them, and a fleet drawn from them.

use headgate::base::names::Name;
use headgate::ffmpeg::capability::Carriage;
use headgate::wire::report::{Capabilities, Capacity, EncoderOn, Gpu};

use super::random::Random;

const GIB: u64 = 1 << 30;
const GBPS: u64 = 1_000_000_000;
/// Leases at once: the product's default.
const SLOTS: u32 = 64;
/// The encoder of GPUs, and that of processors.
pub const HARDWARE: &str = "h264_nvenc";
/// See [`HARDWARE`].
pub const SOFTWARE: &str = "libx264";
/// How many nodes run something else beside.
const SHARED: f64 = 0.15;
/// How much of their cores that takes: at least, and how much more at most.
const FOREIGN: (f64, f64) = (0.1, 0.3);

/// A kind of machine.
#[derive(Debug)]
pub struct Class {
    /// What nodes of it say of themselves.
    pub name: &'static str,
    /// Cores.
    pub cores: u32,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// Network in Gbit/s.
    pub network_gbps: u64,
    /// Core seconds that it takes for what takes a middling machine one. Decoding and scaling scale with it, encoding a bit
    /// more: old processors lack the wide vectors that x264 lives on.
    pub slowness: f64,
    /// Its GPUs.
    pub gpus: u32,
    /// What each can do.
    pub gpu: GpuClass,
    /// How common it is.
    weight: f64,
}

/// A kind of GPU.
#[derive(Debug)]
pub struct GpuClass {
    /// Pixels a second that its encoders make in all.
    pub pixels: f64,
    /// Sessions at once, where the driver limits them.
    pub sessions: Option<u32>,
    /// Memory in GiB.
    pub memory_gib: u64,
}

const NO_GPU: GpuClass = GpuClass { pixels: 0.0, sessions: None, memory_gib: 0 };
const CONSUMER: GpuClass = GpuClass { pixels: 0.9e9, sessions: Some(8), memory_gib: 8 };
const DATACENTER: GpuClass = GpuClass { pixels: 1.6e9, sessions: None, memory_gib: 24 };

/// All classes. Most nodes are small; the few large ones have most of the cores.
pub static CLASSES: [Class; 9] = [
    Class { name: "old-4", gpus: 0, gpu: NO_GPU, ..class(4, 8, 1, (1.7, 15.0)) },
    Class { name: "small-8", gpus: 0, gpu: NO_GPU, ..class(8, 16, 1, (1.2, 25.0)) },
    Class { name: "middle-16", gpus: 0, gpu: NO_GPU, ..class(16, 32, 10, (1.0, 25.0)) },
    Class { name: "big-32", gpus: 0, gpu: NO_GPU, ..class(32, 64, 10, (0.9, 12.0)) },
    Class { name: "huge-64", gpus: 0, gpu: NO_GPU, ..class(64, 128, 25, (0.8, 6.0)) },
    Class { name: "huge-128", gpus: 0, gpu: NO_GPU, ..class(128, 256, 25, (0.65, 2.0)) },
    Class { name: "gamer-8", gpus: 1, gpu: CONSUMER, ..class(8, 32, 1, (1.0, 8.0)) },
    Class { name: "render-16", gpus: 2, gpu: DATACENTER, ..class(16, 64, 10, (1.0, 4.0)) },
    Class { name: "gamer-32", gpus: 4, gpu: CONSUMER, ..class(32, 64, 10, (0.9, 3.0)) },
];

const fn class(cores: u32, memory_gib: u64, network_gbps: u64, (slowness, weight): (f64, f64)) -> Class {
    Class { name: "", cores, memory_gib, network_gbps, slowness, gpus: 0, gpu: NO_GPU, weight }
}

impl Class {
    /// What a node of it has.
    pub fn capacity(&self) -> Capacity {
        Capacity {
            cores: self.cores,
            memory: self.memory_gib * GIB,
            slots: SLOTS,
            network_bps: Some(self.network_gbps * GBPS),
        }
    }

    /// What a node of it can do.
    pub fn capabilities(&self) -> Capabilities {
        let on_gpus = (0..self.gpus).map(|gpu| EncoderOn { encoder: HARDWARE.to_owned(), gpu: Some(gpu) });
        let gpu = |index| Gpu {
            index,
            name: self.name.to_owned(),
            memory: self.gpu.memory_gib * GIB,
            sessions: self.gpu.sessions,
        };
        let carriages = vec![Carriage::H264, Carriage::Aac];
        Capabilities {
            ffmpeg_version: "7.1".to_owned(),
            encoders: on_gpus.chain([EncoderOn::cpu(SOFTWARE), EncoderOn::cpu("aac")]).collect(),
            unusable: Vec::new(),
            reads: carriages.clone(),
            decodes: carriages,
            gpus: (0..self.gpus).map(gpu).collect(),
        }
    }
}

/// A node of a fleet.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// Its name.
    pub name: Name,
    /// Its class, by its place in [`CLASSES`].
    pub class_index: usize,
    /// What other programs on it use of its cores, on average.
    pub foreign_cores: f64,
}

impl Hardware {
    /// What kind of machine it is.
    pub fn class(&self) -> &'static Class {
        &CLASSES[self.class_index]
    }
}

/// So many nodes. The smallest fleets have one of each of three kinds, larger ones are drawn by how common a class is.
pub fn fleet(nodes: usize, seed: u64) -> Vec<Hardware> {
    /// A small machine, a big one, and one with a GPU.
    const FEW: [usize; 3] = [1, 3, 6];
    let mut random = Random::new(seed);
    let mut node = |index: usize| {
        let drawn = random.weighted(CLASSES.iter().map(|class| class.weight));
        let class_index = if nodes <= FEW.len() { FEW[index] } else { drawn };
        let share = FOREIGN.0 + FOREIGN.1 * random.unit();
        let shared = random.unit() < SHARED;
        let foreign_cores = if shared { share * f64::from(CLASSES[class_index].cores) } else { 0.0 };
        let name = format!("node-{index:05}").parse().expect("letters and digits");
        Hardware { name, class_index, foreign_cores }
    };
    (0..nodes).map(&mut node).collect()
}
