//! What this node's FFmpeg can do: its version, its decoders, and the encoders that prove that they really work
//! ([`crate::ffmpeg::proof`]), each on every device where it might.
//!
//! All is proved at start, when the proxy asks, and when the GPUs change. An encoder that fails under an attempt is proved
//! again, too ([`roster`]). The outcome is there for all to look at; one task keeps it true.

mod devices;
mod roster;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::{mpsc, watch};

use super::process;
use crate::base::clock;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::ffmpeg::args::{self, ArgumentsError, Equipment};
use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::capability::{self, Build, Carriage};
use crate::ffmpeg::diagnosis::{EncoderFault, Exit};
use crate::ffmpeg::encoder::{Device, Encoder, Usable};
use crate::placement::load::{MAX_TEXT_BYTES, printable};
use crate::wire::report::{Capabilities, EncoderOn, Gpu};
use roster::Roster;

/// How long FFmpeg may take to say its version, or to list what it has.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Encoders that are proved at once.
const AT_ONCE: usize = 2;
/// Orders that wait for the prover. One more is dropped: an encoder that failed will fail again, and whoever wants all
/// proved is answered by the proof that is under way.
const ORDERS: usize = 32;

/// What was proved last.
#[derive(Clone, Debug, Default)]
pub(super) struct Proved {
    /// For the proxy.
    pub(super) capabilities: Capabilities,
    /// The encoders in it, with what an attempt must know of them.
    usable: BTreeMap<EncoderOn, Usable>,
    /// Threads that are of use to an encoder.
    cores: u32,
}

/// Why this node cannot run a lease's encoders.
#[derive(Debug, thiserror::Error)]
pub(super) enum EquipError {
    /// The proxy named one that does not work here, or does not any more.
    #[error("{encoder}{} does not work on this node", on_gpu(*gpu))]
    Unproved {
        /// FFmpeg's name of it.
        encoder: String,
        /// On which GPU.
        gpu: Option<u32>,
    },
    /// The proxy named none, and none that would do works here.
    #[error(transparent)]
    None(#[from] ArgumentsError),
}

fn on_gpu(gpu: Option<u32>) -> String {
    gpu.map(|gpu| format!(" on GPU {gpu}")).unwrap_or_default()
}

impl Proved {
    /// What `attempt` is run with, if the proxy chose `wanted` for its renditions. With an empty choice each rendition gets
    /// the first of its encoders that works here.
    ///
    /// # Errors
    /// When one of them does not work here.
    pub(super) fn equip(
        &self,
        attempt: &AttemptSpec,
        wanted: &[Option<EncoderOn>],
    ) -> Result<Equipment, EquipError> {
        let encoders = if wanted.is_empty() {
            let usable: Vec<Usable> = self.usable.values().cloned().collect();
            args::choose(attempt, &usable)?
        } else {
            let proved = |on: &EncoderOn| {
                let unproved = || EquipError::Unproved { encoder: on.encoder.clone(), gpu: on.gpu };
                self.usable.get(on).cloned().ok_or_else(unproved)
            };
            wanted.iter().map(|on| on.as_ref().map(proved).transpose()).collect::<Result<_, _>>()?
        };
        Ok(Equipment { encoders, cores: self.cores })
    }
}

/// How an encoder is named to the proxy.
pub(super) fn on(usable: &Usable) -> EncoderOn {
    let gpu = match usable.device {
        Device::Nvidia(index) => index,
        // No GPU of the list: one of them is used, and who asks for the encoder means it.
        Device::Cpu | Device::RenderNode(_) => None,
    };
    EncoderOn { encoder: usable.encoder.name().to_owned(), gpu }
}

/// An encoder that failed under an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Which, and where.
    pub(super) on: EncoderOn,
    /// What FFmpeg said.
    pub(super) detail: String,
    /// Whose fault it is.
    pub(super) fault: EncoderFault,
}

enum Order {
    Prove,
    Failed(Failure),
}

/// What can be done here, and how to have it proved anew. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Ability {
    proved: watch::Receiver<Arc<Proved>>,
    orders: mpsc::Sender<Order>,
}

impl Ability {
    /// What was proved last.
    pub(super) fn current(&self) -> Arc<Proved> {
        Arc::clone(&self.proved.borrow())
    }

    /// Tells of each change from now on, and of each proof that was asked for.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<Proved>> {
        let mut changes = self.proved.clone();
        changes.mark_unchanged();
        changes
    }

    /// Has everything proved again.
    pub(super) fn prove(&self) {
        self.order(Order::Prove);
    }

    /// Says that an encoder failed.
    pub(super) fn failed(&self, failure: Failure) {
        self.order(Order::Failed(failure));
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            tracing::debug!("the prover is busy or gone; an order is dropped");
        }
    }
}

#[cfg(test)]
impl Ability {
    /// One by which these encoders work on the CPU, and which has what the sender says else.
    pub(super) fn of(encoders: &[Encoder]) -> (watch::Sender<Arc<Proved>>, Self) {
        let usable = encoders.iter().map(|&encoder| Usable::software(encoder));
        let usable: BTreeMap<_, _> = usable.map(|usable| (on(&usable), usable)).collect();
        let encoders = usable.keys().cloned().collect();
        let capabilities = Capabilities { encoders, ..Capabilities::default() };
        let (publisher, proved) = watch::channel(Arc::new(Proved { capabilities, usable, cores: 2 }));
        (publisher, Self { proved, orders: mpsc::channel(1).0 })
    }
}

/// What an ability is made of.
pub(super) struct Means {
    /// The program.
    pub(super) ffmpeg: PathBuf,
    /// The machine's cores.
    pub(super) cores: u32,
    /// Its NVIDIA GPUs.
    pub(super) gpus: watch::Receiver<Vec<Gpu>>,
}

/// Asks FFmpeg and has its encoders prove themselves. From then on until `stop`, a task keeps the outcome true.
///
/// # Errors
/// When it cannot be started, is no FFmpeg, or is too old.
pub(super) async fn probe(means: Means, tasks: &Tasks, stop: CancellationToken) -> anyhow::Result<Ability> {
    let said = ask(&means.ffmpeg).await?;
    let (orders, inbox) = mpsc::channel(ORDERS);
    // Each trial sends once, and there are no more than so many.
    let (sender, results) = mpsc::channel(AT_ONCE);
    let (publisher, mut proved) = watch::channel(Arc::default());
    let prover = Prover {
        means,
        said,
        roster: Roster::default(),
        running: 0,
        // Nothing is told before everything was tried once.
        asked: true,
        begun: false,
        inbox,
        results,
        sender,
        publisher,
        tasks: tasks.clone(),
        stop: stop.clone(),
    };
    tasks.spawn(async move { stop.run_until_cancelled_owned(prover.run()).await });
    proved.changed().await.context("told to stop while encoders were proved")?;
    Ok(Ability { proved, orders })
}

/// Asks `ffmpeg` what it is.
///
/// # Errors
/// When it cannot be started, is no FFmpeg, or is too old.
pub(super) async fn build(ffmpeg: &Path) -> anyhow::Result<Build> {
    let shown = ffmpeg.display();
    let (exit, answer) = process::answer(ffmpeg, &["-version".to_owned()], ANSWER_TIMEOUT)
        .await
        .with_context(|| format!("FFmpeg ({shown}) cannot be started"))?;
    if exit != Exit::Code(0) {
        bail!("FFmpeg ({shown}) does not say its version: {exit:?}");
    }
    capability::read(&String::from_utf8_lossy(&answer))
        .with_context(|| format!("FFmpeg ({shown}) cannot be used"))
}

/// What FFmpeg says of itself.
#[derive(Default)]
struct Said {
    version: String,
    reads: Vec<Carriage>,
    decodes: Vec<Carriage>,
    encoders: Vec<Encoder>,
}

async fn ask(ffmpeg: &Path) -> anyhow::Result<Said> {
    let Build { version, reads } = build(ffmpeg).await?;
    let encoders = capability::listed_encoders(&list(ffmpeg, "-encoders").await?);
    let decodes = capability::listed_decoders(&list(ffmpeg, "-decoders").await?);
    Ok(Said { version, reads, decodes, encoders })
}

async fn list(ffmpeg: &Path, of: &str) -> anyhow::Result<String> {
    let arguments = ["-hide_banner".to_owned(), of.to_owned()];
    let answer = process::answer(ffmpeg, &arguments, ANSWER_TIMEOUT).await;
    let (_, answer) =
        answer.with_context(|| format!("FFmpeg ({}) does not answer {of}", ffmpeg.display()))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The task behind an [`Ability`].
struct Prover {
    means: Means,
    said: Said,
    roster: Roster,
    /// Trials that are under way, at most [`AT_ONCE`].
    running: usize,
    /// Whether somebody waits for the outcome even if it has not changed.
    asked: bool,
    /// Whether everything was tried once.
    begun: bool,
    inbox: mpsc::Receiver<Order>,
    results: mpsc::Receiver<Outcome>,
    sender: mpsc::Sender<Outcome>,
    publisher: watch::Sender<Arc<Proved>>,
    tasks: Tasks,
    stop: CancellationToken,
}

/// How the trial of an encoder ended.
type Outcome = (EncoderOn, Result<Usable, String>);

impl Prover {
    async fn run(mut self) {
        self.look_around();
        loop {
            self.start_trials();
            self.publish();
            let due = self.roster.next_deadline().filter(|_| self.running < AT_ONCE);
            tokio::select! {
                // Orders first: what fails is taken off even while others are tried.
                biased;
                order = self.inbox.recv() => match order {
                    Some(order) => self.handle(order).await,
                    // Nobody can ask any more, so nobody looks.
                    None => return,
                },
                Some((on, result)) = self.results.recv() => {
                    self.running = self.running.saturating_sub(1);
                    self.roster.handle_proof(&on, result, clock::now());
                }
                Ok(()) = self.means.gpus.changed() => self.look_around(),
                () = clock::until(due) => {}
            }
        }
    }

    async fn handle(&mut self, order: Order) {
        match order {
            Order::Failed(failure) => self.roster.handle_failure(&failure, clock::now()),
            Order::Prove => {
                match ask(&self.means.ffmpeg).await {
                    Ok(said) => self.said = said,
                    Err(error) => tracing::warn!(%error, "FFmpeg does not say any more what it can do"),
                }
                self.look_around();
                self.roster.prove_all(clock::now());
                self.asked = true;
            }
        }
    }

    /// Finds out what there is to be proved.
    fn look_around(&mut self) {
        let gpus = self.means.gpus.borrow_and_update().clone();
        let hidden = std::env::var(process::VISIBLE_GPUS).ok();
        let gpus = devices::visible(&gpus, hidden.as_deref());
        let candidates = devices::candidates(&self.said.encoders, &gpus, &devices::render_nodes());
        self.roster.set_candidates(candidates, clock::now());
    }

    fn start_trials(&mut self) {
        while self.running < AT_ONCE {
            let Some((on, candidate)) = self.roster.next_due(clock::now()) else { return };
            self.running += 1;
            let (ffmpeg, cores) = (self.means.ffmpeg.clone(), self.means.cores);
            let sender = self.sender.clone();
            let trial = async move {
                let result = trial::prove(&ffmpeg, cores, &candidate).await;
                // Without a prover nobody wants to know.
                let _ = sender.send((on, result)).await;
            };
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(trial));
        }
    }

    /// Tells what has changed; everything, once all is done that was asked for.
    fn publish(&mut self) {
        let answers = self.asked && self.running == 0;
        if answers {
            (self.asked, self.begun) = (false, true);
        }
        if !self.begun {
            return;
        }
        let capabilities = Capabilities {
            ffmpeg_version: printable(&self.said.version, MAX_TEXT_BYTES),
            encoders: self.roster.usable().map(|(on, _)| on.clone()).collect(),
            unusable: self.roster.unusable().collect(),
            reads: self.said.reads.clone(),
            decodes: self.said.decodes.clone(),
            gpus: self.means.gpus.borrow().clone(),
        };
        let usable = self.roster.usable().map(|(on, usable)| (on.clone(), usable.clone())).collect();
        let proved = Proved { capabilities, usable, cores: self.means.cores };
        self.publisher.send_if_modified(|last| {
            let changed = last.capabilities != proved.capabilities || last.usable != proved.usable;
            *last = Arc::new(proved);
            changed || answers
        });
    }
}
