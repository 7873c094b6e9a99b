//! The node's slots: which leases it runs, and which it refuses. The node is the authority on its own room.

use std::path::PathBuf;
use std::sync::Arc;

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
use crate::wire::message::{LeaseId, LeaseSpec};
use crate::wire::report::LeaseLoad;

/// All leases of this node. They live on when the control connection breaks.
pub(super) struct Slots {
    ffmpeg: PathBuf,
    ability: Ability,
    capacity: usize,
    proxy: Proxy,
    tasks: Tasks,
    gauges: Gauges,
    /// At most `capacity`, those included that were told to end and have not yet.
    running: Vec<Running>,
}

struct Running {
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
    /// `count` free slots for `ffmpeg`, which can do this.
    pub(super) fn new(ffmpeg: PathBuf, ability: Ability, count: u32, proxy: Proxy, tasks: Tasks) -> Self {
        let capacity = usize::try_from(count).unwrap_or(usize::MAX);
        Self { ffmpeg, ability, capacity, proxy, tasks, gauges: Gauges::default(), running: Vec::new() }
    }

    /// The same, with leases that are measured.
    pub(super) fn gauged(self, gauges: Gauges) -> Self {
        Self { gauges, ..self }
    }

    /// Starts a lease.
    ///
    /// # Errors
    /// The reason for which it is refused: no slot is free, or this node cannot run it.
    pub(super) fn take(&mut self, spec: LeaseSpec) -> Result<(), Reason> {
        let span = tracing::info_span!(
            "lease", lease = spec.lease.0, stream = %spec.stream, attempt = spec.attempt.number
        );
        span.in_scope(|| self.start(spec, span.clone())).inspect_err(|reason| {
            tracing::info!(parent: &span, %reason, "lease refused");
        })
    }

    fn start(&mut self, spec: LeaseSpec, span: tracing::Span) -> Result<(), Reason> {
        // A proxy that started anew counts its leases from the beginning; what an earlier one had here is over.
        self.stop(spec.lease, Reason::Superseded);
        self.forget_ended();
        if self.running.len() >= self.capacity {
            return Err(Reason::NoSlot);
        }
        check(&spec.attempt)?;
        let equipment = self.ability.current().equip(&spec.attempt, &spec.encoders);
        let equipment = equipment.map_err(|error| {
            tracing::info!(%error, "a lease cannot be run here");
            Reason::EncoderUnusable
        })?;
        let process = Process::start(&self.ffmpeg, &spec.attempt, &equipment).map_err(refusal)?;
        tracing::info!(process = process.id(), "lease taken");
        let (stop, stopped) = oneshot::channel();
        let lease = spec.lease;
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

    fn forget_ended(&mut self) {
        self.running.retain(|running| !running.task.is_finished());
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
