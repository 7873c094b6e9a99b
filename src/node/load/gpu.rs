//! NVIDIA's GPUs. Their driver's library is asked on a thread of its own, because a call about a sick GPU may take minutes
//! or never return. A machine without the library, or without a GPU, misses nothing.
//!
//! Other makers' GPUs have no gauges here: their encoders are used, and placement goes by what was reserved on them.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::sync::watch;

use crate::base::{clock, task};
use crate::wire::report::{Gpu, GpuLoad};
use driver::Driver;
use presence::{Change, Presence};

mod driver;
mod presence;

/// How long a call may take. After that its GPUs count as gone, and nothing is asked until it returns.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the first look may take: a driver that nobody uses loads the GPUs' firmware first, for seconds each.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// A GPU that answers.
#[derive(Clone, Debug, PartialEq)]
struct Device {
    /// What it is known by, whatever its index becomes.
    id: String,
    gpu: Gpu,
    load: GpuLoad,
}

/// A question to the thread, by where its answer goes.
type Ask = oneshot::Sender<Vec<Device>>;

/// The GPUs of this machine.
#[derive(Debug)]
pub(super) struct Gpus {
    /// Where the thread is asked; `None` where nobody is.
    thread: Option<SyncSender<Ask>>,
    /// What was asked, and when.
    pending: Option<(Instant, oneshot::Receiver<Vec<Device>>)>,
    presence: Presence,
    latest: Vec<GpuLoad>,
    set: watch::Sender<Vec<Gpu>>,
}

impl Gpus {
    /// None, and nobody looks.
    pub(super) fn none() -> Self {
        let (presence, set) = (Presence::default(), watch::Sender::new(Vec::new()));
        Self { thread: None, pending: None, presence, latest: Vec::new(), set }
    }

    /// Those that the driver's library `nvml` tells of: a path, or a name that the system's loader finds. Waits for the first
    /// look, but not for long.
    pub(super) async fn find(nvml: PathBuf) -> Self {
        let mut gpus = Self::none();
        // One question at a time is asked, so none ever waits here.
        let (thread, asks) = sync_channel(1);
        match task::detach("nvml", move || answer(Driver::new(nvml), &asks)) {
            Ok(()) => gpus.thread = Some(thread),
            Err(error) => tracing::warn!(%error, "there is no thread for GPUs; none is looked for"),
        }
        gpus.ask(clock::now());
        if let Some((at, mut answer)) = gpus.pending.take() {
            match tokio::time::timeout(FIRST_LOOK, &mut answer).await {
                Ok(answer) => gpus.handle_answer(answer.unwrap_or_default()),
                Err(_) => gpus.pending = Some((at, answer)),
            }
        }
        gpus
    }

    /// The GPUs that answer, whenever that changes.
    pub(super) fn watch(&self) -> watch::Receiver<Vec<Gpu>> {
        self.set.subscribe()
    }

    /// What they were doing when they answered last. Asks again, for the next time, and does not wait.
    pub(super) fn measure(&mut self, now: Instant) -> Vec<GpuLoad> {
        match self.pending.take() {
            None => self.ask(now),
            Some((at, mut answer)) => match answer.try_recv() {
                Ok(devices) => {
                    self.handle_answer(devices);
                    self.ask(now);
                }
                Err(TryRecvError::Empty) => {
                    self.pending = Some((at, answer));
                    if now.saturating_duration_since(at) >= CALL_TIMEOUT {
                        self.handle_answer(Vec::new());
                    }
                }
                Err(TryRecvError::Closed) => self.handle_end(),
            },
        }
        self.latest.clone()
    }

    /// Asks the thread; what it answers is taken at a later look.
    fn ask(&mut self, now: Instant) {
        let Some(thread) = &self.thread else { return };
        let (ask, answer) = oneshot::channel();
        match thread.try_send(ask) {
            Ok(()) => self.pending = Some((now, answer)),
            Err(_) => self.handle_end(),
        }
    }

    /// The thread has ended, which it does only if the library made it panic.
    fn handle_end(&mut self) {
        tracing::warn!(
            gpus = self.latest.len(),
            "GPUs are not looked at any more: the driver's library failed"
        );
        self.thread = None;
        self.handle_answer(Vec::new());
    }

    /// These answered: tells of those that came or went, and shows the rest.
    fn handle_answer(&mut self, devices: Vec<Device>) {
        for change in self.presence.handle(&devices) {
            match change {
                Change::Gone(Gpu { index, name, .. }) => {
                    tracing::warn!(index, name, "a GPU does not answer any more")
                }
                Change::Back(Gpu { index, name, .. }) => tracing::info!(index, name, "a GPU answers again"),
                Change::New(Gpu { index, name, .. }) => tracing::info!(index, name, "a GPU was found"),
            }
        }
        let set = devices.iter().map(|device| device.gpu.clone()).collect();
        self.latest = devices.into_iter().map(|device| device.load).collect();
        self.set.send_if_modified(|known| {
            let changed = *known != set;
            *known = set;
            changed
        });
    }
}

/// Answers until nobody asks any more.
fn answer(mut driver: Driver, asks: &Receiver<Ask>) {
    while let Ok(ask) = asks.recv() {
        // Whoever asked may be gone.
        let _ = ask.send(driver.devices(clock::now()));
    }
}

#[cfg(test)]
mod tests;
