//! The node's slots: which leases it runs, and which it refuses. The node is the authority on its own room: it knows its load
//! before any proxy does, and all leases of all proxies.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::ability::Ability;
use super::connection::Proxy;
use super::load::{Gauge, Gauges};
use super::process::{Process, StartError};
use super::slot;
use crate::base::clock;
use crate::base::reason::Reason;
use crate::base::task::Tasks;
use crate::ffmpeg::args;
use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::ladder::MAX_RENDITIONS;
use crate::placement::demand::Replay;
use crate::placement::room::{Room, Shortage};
use crate::wire::message::{LeaseId, LeaseSpec};
use crate::wire::report::{Heartbeat, LeaseLoad};

/// All of a machine.
const WHOLE: f64 = 1.0;
/// The most that a proxy may overcommit a machine.
const MAX_HEADROOM: f64 = 100.0;

/// All leases of this node. They live on when the control connection breaks.
pub(super) struct Slots {
    ffmpeg: PathBuf,
    ability: Ability,
    proxy: Proxy,
    tasks: Tasks,
    gauges: Gauges,
    room: Room,
    /// The share of each dimension that leases may fill. The proxy fills less with new streams, and up to all of it with
    /// those that lost their node; what is refused here would be too much for either.
    limit: f64,
    /// At most the slots of `room`, those included that were told to end and have not yet.
    running: Vec<Running>,
}

/// A lease is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Why.
    pub(super) reason: Reason,
    /// What more there is to say; may be empty.
    pub(super) detail: String,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: String::new() }
    }
}

/// A lease that runs, or ends: as long as its task does, it takes up a slot.
struct Running {
    /// The proxy's number for it; of two with one number the later is meant.
    lease: LeaseId,
    /// Says why the lease shall end; `None` once said.
    stop: Option<oneshot::Sender<Reason>>,
    gauge: Arc<Gauge>,
    task: JoinHandle<()>,
}

impl Running {
    fn stop(&mut self, reason: Reason) {
        if let Some(stop) = self.stop.take() {
            // A lease that has just ended by itself does not listen any more.
            let _ = stop.send(reason);
        }
    }
}

impl Slots {
    /// Free slots in `room` for `ffmpeg`, which can do this.
    pub(super) fn new(ffmpeg: PathBuf, ability: Ability, room: Room, proxy: Proxy, tasks: Tasks) -> Self {
        let (gauges, running) = (Gauges::default(), Vec::new());
        Self { ffmpeg, ability, proxy, tasks, gauges, room, limit: WHOLE, running }
    }

    /// The same, with leases that are measured.
    pub(super) fn gauged(self, gauges: Gauges) -> Self {
        Self { gauges, ..self }
    }

    /// The proxy fills a node that far. If that is more than the node has, it takes it.
    pub(super) fn set_headroom(&mut self, headroom: f64) {
        self.limit = if headroom.is_finite() { headroom.clamp(WHOLE, MAX_HEADROOM) } else { WHOLE };
    }

    /// What this machine measures, as the heartbeat has it.
    pub(super) fn handle_load(&mut self, heartbeat: &Heartbeat, now: Instant) {
        self.room.handle_heartbeat(&heartbeat.load, &heartbeat.leases, now);
    }

    /// Starts a lease.
    ///
    /// # Errors
    /// Why it is refused: no slot is free, a dimension has too little room, or this node cannot run it.
    pub(super) fn take(&mut self, spec: LeaseSpec) -> Result<(), Refusal> {
        let span = tracing::info_span!(
            "lease", lease = spec.lease.0, stream = %spec.stream, attempt = spec.attempt.number
        );
        span.in_scope(|| self.start(spec, span.clone())).inspect_err(|Refusal { reason, detail }| {
            tracing::info!(parent: &span, %reason, detail, "lease refused");
        })
    }

    /// As [`Slots::take`]; within the lease's span.
    fn start(&mut self, spec: LeaseSpec, span: tracing::Span) -> Result<(), Refusal> {
        // A proxy that started anew counts its leases from the beginning; what an earlier one had here is over.
        self.stop(spec.lease, Reason::Superseded);
        self.forget_ended();
        let (now, proved) = (clock::now(), self.ability.current());
        // GPUs may have been lost or found since the node started.
        self.room.handle_gpus(&proved.capabilities.gpus, now);
        self.check_room(&spec, now)?;
        check(&spec.attempt)?;
        let equipment = proved.equip(&spec.attempt, &spec.encoders);
        let equipment = equipment.map_err(|error| {
            tracing::info!(%error, "a lease cannot be run here");
            Reason::EncoderUnusable
        })?;
        let process = Process::start(&self.ffmpeg, &spec.attempt, &equipment).map_err(refusal)?;
        tracing::info!(process = process.id(), "lease taken");
        let (stop, stopped) = oneshot::channel();
        let lease = spec.lease;
        // A replay's factor is the proxy's to reckon with: it knows how much waits.
        self.room.reserve(lease, spec.cost.clone(), Replay::None, now);
        let gauge = self.gauges.open(spec.attempt.base, &args::outputs(&spec.attempt), process.id());
        let around =
            slot::Around { proxy: self.proxy.clone(), tasks: self.tasks.clone(), gauge: Arc::clone(&gauge) };
        let run = slot::run(spec, process, around, stopped);
        let ability = self.ability.clone();
        let run = async move { run.await.into_iter().for_each(|failure| ability.failed(failure)) };
        let task = self.tasks.spawn(run.instrument(span));
        self.running.push(Running { lease, stop: Some(stop), gauge, task });
        Ok(())
    }

    /// Whether a slot is free, and room in every dimension of which the lease needs something.
    fn check_room(&self, spec: &LeaseSpec, now: Instant) -> Result<(), Refusal> {
        let slots = self.room.capacity().slots;
        if u32::try_from(self.running.len()).is_ok_and(|running| running < slots) {
            let fit = self.room.fit(&spec.cost, self.limit, now);
            let detail =
                |shortage: Shortage| Refusal { reason: Reason::NoRoom, detail: shortage.to_string() };
            return fit.map(drop).map_err(detail);
        }
        Err(Refusal { reason: Reason::NoSlot, detail: format!("has all {slots} slots taken") })
    }

    /// Ends a lease, if it runs. Its slot is free once FFmpeg is gone.
    pub(super) fn stop(&mut self, lease: LeaseId, reason: Reason) {
        self.running
            .iter_mut()
            .filter(|running| running.lease == lease)
            .for_each(|running| running.stop(reason));
    }

    /// The leases that run, those included that were told to end and have not yet, and what they use.
    pub(super) fn held(&mut self) -> Vec<LeaseLoad> {
        self.forget_ended();
        let now = clock::now();
        // A lease that a new one with the same number has superseded is the node's own affair.
        let later = |at: usize, lease| self.running[at + 1..].iter().any(|running| running.lease == lease);
        let running = self.running.iter().enumerate().filter(|(at, running)| !later(*at, running.lease));
        running.map(|(_, running)| running.gauge.load(running.lease, now)).collect()
    }

    /// Ends all leases and waits until nothing is left of them.
    pub(super) async fn finish(mut self, reason: Reason) {
        self.running.iter_mut().for_each(|running| running.stop(reason));
        for running in self.running {
            if let Err(error) = running.task.await {
                tracing::error!(%error, "a lease's task panicked");
            }
        }
    }

    /// Frees the slots and the room of leases whose tasks are done.
    fn forget_ended(&mut self) {
        let now = clock::now();
        let (ended, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|running| running.task.is_finished());
        self.running = running;
        for Running { lease, .. } in ended {
            // What is reserved under its number is the one's that has superseded it, if one has.
            if !self.running.iter().any(|running| running.lease == lease) {
                self.room.release(lease, now);
            }
        }
    }
}

/// Whether there is something to make of the input, and not too much.
fn check(attempt: &AttemptSpec) -> Result<(), Reason> {
    if attempt.ladder.renditions.len() > MAX_RENDITIONS {
        return Err(Reason::LimitExceeded);
    }
    if args::outputs(attempt).is_empty() { Err(Reason::Unsupported) } else { Ok(()) }
}

/// An FFmpeg that cannot be started, as a reason for the proxy to try another node.
fn refusal(error: StartError) -> Reason {
    match error {
        StartError::Arguments(error) => {
            tracing::info!(%error, "a lease cannot be run here");
            Reason::EncoderUnusable
        }
        StartError::System(error) => {
            tracing::warn!(%error, "FFmpeg could not be started");
            Reason::FfmpegUnusable
        }
    }
}

#[cfg(test)]
mod tests;
