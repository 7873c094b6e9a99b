//! A simulated node: what its leases really do, what it measures of that, and what it refuses.

use std::f64::consts::TAU;
use std::time::Instant;

use headgate::placement::demand::Replay;
use headgate::placement::room::Room;
use headgate::wire::cost::{Cost, GpuResources, Resources};
use headgate::wire::message::LeaseId;
use headgate::wire::report::{Capabilities, Capacity, EncoderOn, GpuLoad, Heartbeat, LeaseLoad, Load};

use super::arrivals::Stream;
use super::hardware::Hardware;
use super::random::{hash, unit};
use super::truth::float;

/// The most GPUs a simulated node has.
const MAX_GPUS: usize = 4;
/// FFmpeg needs its full CPU after so many seconds at least, and so many more at most.
const WARM_UP: (f64, f64) = (2.0, 4.0);
/// Its first output comes after so many seconds.
const FIRST_OUTPUT: f64 = 1.0;
/// How far its output is behind when all is well, in seconds.
const USUAL_LAG: f64 = 0.6;
/// It catches up at most so many times faster than live.
const CATCH_UP: f64 = 1.5;
/// How far the cost of pictures goes up and down with what they show, and how long that takes: at least, and more at most.
const SWING: f64 = 0.12;
/// See [`SWING`], in seconds.
const PERIOD: (f64, f64) = (20.0, 70.0);
/// Nodes average their CPU over about so many seconds.
const AVERAGED: f64 = 2.0;
/// What the system itself takes of a node: bytes.
const SYSTEM: f64 = 1.2e9;
/// Measurements of CPU are off by as much.
const GAUGE_ERROR: f64 = 0.02;

/// By what a node refuses leases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refuses {
    /// By its own room, up to this share, and by slots and sessions.
    Room(f64),
    /// By slots and encoder sessions alone.
    Slots,
    /// Nothing: who places knows better.
    Nothing,
}

/// A lease that runs on a node.
#[derive(Clone, Debug)]
struct Running {
    lease: LeaseId,
    since: f64,
    /// What it takes on average when it is warm.
    cost: Cost,
    salt: u64,
    /// Seconds that its output is behind, beyond what is usual.
    lag: f64,
    /// As last measured.
    cpu: Option<f64>,
    speed: f64,
}

/// What a node's leases and other programs want at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    machine: Resources,
    gpus: [GpuResources; MAX_GPUS],
}

/// A node.
#[derive(Debug)]
pub struct Machine {
    hardware: Hardware,
    capacity: Capacity,
    capabilities: Capabilities,
    /// What it believes itself.
    room: Room,
    running: Vec<Running>,
    measured_at: f64,
    /// Share of the cores in use, averaged.
    cpu: f64,
    salt: u64,
}

impl Machine {
    /// An idle one.
    pub fn new(hardware: Hardware, salt: u64) -> Self {
        let (capacity, capabilities) = (hardware.class().capacity(), hardware.class().capabilities());
        let room = Room::new(capacity, &capabilities.gpus);
        let cpu = hardware.foreign_cores / f64::from(capacity.cores);
        Self { hardware, capacity, capabilities, room, running: Vec::new(), measured_at: 0.0, cpu, salt }
    }

    /// What it is.
    pub fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// How many leases run.
    pub fn leases(&self) -> usize {
        self.running.len()
    }

    /// Whether it takes a lease that its proxy believes to cost `cost`.
    pub fn takes(&self, cost: &Cost, by: Refuses, now: Instant) -> bool {
        if by == Refuses::Nothing {
            return true;
        }
        let slots = usize::try_from(self.capacity.slots).unwrap_or(usize::MAX);
        let fits = match by {
            Refuses::Room(limit) => self.room.fit(cost, limit, now).is_ok(),
            Refuses::Slots | Refuses::Nothing => true,
        };
        self.running.len() < slots && self.lacks_sessions(cost).is_none() && fits
    }

    /// The GPU that would have more encoder sessions than it allows.
    pub fn lacks_sessions(&self, cost: &Cost) -> Option<u32> {
        let open = |gpu: u32| -> f64 { self.running.iter().map(|lease| lease.cost.gpu(gpu).sessions).sum() };
        let lacks = |gpu: u32, limit: u32| open(gpu) + cost.gpu(gpu).sessions > f64::from(limit);
        let gpus = self.capabilities.gpus.iter().filter(|gpu| cost.gpu(gpu.index).sessions > 0.0);
        gpus.filter_map(|gpu| Some((gpu.index, gpu.sessions?)))
            .find(|&(gpu, limit)| lacks(gpu, limit))
            .map(|(gpu, _)| gpu)
    }

    /// Whether it has all of these encoders, each where it is said to be.
    pub fn can_encode(&self, encoders: &[Option<EncoderOn>]) -> bool {
        encoders.iter().flatten().all(|on| self.capabilities.encoders.contains(on))
    }

    /// Starts a lease; what is believed of its cost, and what is true.
    pub fn start(
        &mut self,
        lease: LeaseId,
        (believed, true_cost): (Cost, Cost),
        stream: &Stream,
        at: (f64, Instant),
    ) {
        self.room.reserve(lease, believed, Replay::None, at.1);
        let salt = stream.salt;
        let running = Running { lease, since: at.0, cost: true_cost, salt, lag: 0.0, cpu: None, speed: 1.0 };
        self.running.push(running);
    }

    /// Ends a lease.
    pub fn end(&mut self, lease: LeaseId, now: Instant) {
        self.room.release(lease, now);
        self.running.retain(|running| running.lease != lease);
    }

    /// What all on it wants at `at`, whether there is as much or not.
    pub fn wanted(&self, at: f64) -> Wanted {
        let mut wanted = Wanted::default();
        wanted.machine.cpu = self.foreign(at);
        wanted.machine.memory = SYSTEM;
        for running in &self.running {
            let factor = running.factor(at);
            let machine = &running.cost.machine;
            wanted.machine += Resources { cpu: machine.cpu * factor, ..*machine };
            for (gpu, needed) in &running.cost.gpus {
                if let Some(of_gpu) = usize::try_from(*gpu).ok().and_then(|gpu| wanted.gpus.get_mut(gpu)) {
                    *of_gpu += GpuResources { encoder: needed.encoder * factor, ..*needed };
                }
            }
        }
        wanted
    }

    /// The highest utilisation of any dimension; over 1 where more is wanted than there is.
    pub fn utilization(&self, wanted: &Wanted) -> f64 {
        let network = self.capacity.network_bps.map_or(0.0, |bps| wanted.machine.network / float(bps));
        let machine = [
            wanted.machine.cpu / f64::from(self.capacity.cores),
            wanted.machine.memory / float(self.capacity.memory),
            network,
        ];
        let highest = machine.into_iter().fold(0.0, f64::max);
        let gpus = self.capabilities.gpus.iter().zip(&wanted.gpus);
        gpus.fold(highest, |highest, (gpu, used)| {
            highest.max(used.encoder).max(used.decoder).max(used.memory / float(gpu.memory))
        })
    }

    /// Measures since the last time, and says so.
    pub fn measure(&mut self, at: f64, number: u64, now: Instant) -> Heartbeat {
        let wanted = self.wanted(at);
        let passed = (at - self.measured_at).max(0.0);
        self.measured_at = at;
        let cores = f64::from(self.capacity.cores);
        let spare = cores / wanted.machine.cpu.max(f64::MIN_POSITIVE);
        let mut used = self.foreign(at) * spare.min(1.0);
        for running in &mut self.running {
            let gpus =
                running.cost.gpus.iter().filter_map(|(gpu, _)| wanted.gpus.get(usize::try_from(*gpu).ok()?));
            let gpu = gpus.map(|gpu| 1.0 / gpu.encoder.max(f64::MIN_POSITIVE)).fold(f64::INFINITY, f64::min);
            running.run(at, passed, spare.min(gpu));
            used += running.cpu.unwrap_or(0.0);
        }
        let gauge = (used / cores).min(1.0) * self.error(number, 0);
        self.cpu += (gauge - self.cpu) * (1.0 - (-passed / AVERAGED).exp());
        let leases =
            self.running.iter().map(|running| running.report(at, self.error(number, running.lease.0)));
        let heartbeat = Heartbeat { leases: leases.collect(), load: self.load(&wanted) };
        self.room.handle_heartbeat(&heartbeat.load, &heartbeat.leases, now);
        heartbeat
    }

    fn load(&self, wanted: &Wanted) -> Load {
        let gpus = self.capabilities.gpus.iter().zip(&wanted.gpus).map(|(gpu, used)| GpuLoad {
            index: gpu.index,
            name: gpu.name.clone(),
            utilization: used.encoder.min(1.0),
            encoder: used.encoder.min(1.0),
            decoder: used.decoder.min(1.0),
            memory_used: whole(used.memory),
            memory_total: gpu.memory,
            power_w: None,
            sessions: u32::try_from(whole(used.sessions)).unwrap_or(u32::MAX),
        });
        let late = self.running.iter().filter(|running| running.lag > 1.0).count();
        Load {
            cpu: self.cpu.clamp(0.0, 1.0),
            memory: whole(wanted.machine.memory).min(self.capacity.memory),
            net_rx_bps: whole(wanted.machine.network / 2.0),
            net_tx_bps: whole(wanted.machine.network),
            queue_length: u32::try_from(late).unwrap_or(u32::MAX),
            gpus: gpus.collect(),
            ..Load::default()
        }
    }

    /// What other programs use: more or less the same all the time.
    fn foreign(&self, at: f64) -> f64 {
        let phase = unit(hash(&[self.salt, 3]));
        self.hardware.foreign_cores * (1.0 + SWING * (TAU * (at / PERIOD.1 + phase)).sin())
    }

    fn error(&self, number: u64, about: u64) -> f64 {
        1.0 + GAUGE_ERROR * (2.0 * unit(hash(&[self.salt, number, about])) - 1.0)
    }
}

impl Running {
    /// How much of its steady use it wants: FFmpeg begins slowly, and pictures differ.
    fn factor(&self, at: f64) -> f64 {
        let warm_up = WARM_UP.0 + WARM_UP.1 * unit(hash(&[self.salt, 4]));
        let period = PERIOD.0 + PERIOD.1 * unit(hash(&[self.salt, 5]));
        let phase = unit(hash(&[self.salt, 6]));
        let swing = 1.0 + SWING * (TAU * (at / period + phase)).sin();
        ((at - self.since) / warm_up).clamp(0.05, 1.0) * swing
    }

    /// Runs for `passed` seconds, at most `spare` times as fast as live. One that is behind uses what is spare.
    fn run(&mut self, at: f64, passed: f64, spare: f64) {
        let wish = if self.lag > 0.0 { CATCH_UP } else { 1.0 };
        self.speed = spare.min(wish);
        self.lag = (self.lag + (1.0 - self.speed) * passed).max(0.0);
        let cpu = self.cost.machine.cpu * self.factor(at) * self.speed;
        self.cpu = (at > self.since + passed).then_some(cpu);
    }

    fn report(&self, at: f64, error: f64) -> LeaseLoad {
        let runs = at - self.since > FIRST_OUTPUT;
        LeaseLoad {
            lease: self.lease,
            cpu: self.cpu.map(|cpu| cpu * error),
            memory: whole(self.cost.machine.memory),
            speed: runs.then_some(self.speed),
            lag_ms: runs.then(|| whole((USUAL_LAG + self.lag) * 1000.0)),
        }
    }
}

/// Amounts are never negative, and far below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an amount, not negative")]
pub fn whole(amount: f64) -> u64 {
    amount.max(0.0) as u64
}
