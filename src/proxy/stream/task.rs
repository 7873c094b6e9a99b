//! The loop around one [`Stream`]: carry out its commands; wait for a publisher, a lease, a deadline or the order to
//! stop; make one call of `handle_*`. What is decided is decided there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use crate::base::clock;
use crate::base::names::{Name, StreamName};
use crate::base::reason::Reason;
use crate::base::shutdown::CancellationToken;
use crate::hls::View;
use crate::hls::window::{AudioSample, Window, WindowSettings};
use crate::media::flv::Tag;
use crate::placement::place::decision::Decision;
use crate::proxy::api::stats::StreamStats;
use crate::proxy::fleet::LeaseEvent;
use crate::stream::command::{AttemptFailure, Commit, Purpose};
use crate::stream::report::{Report, State};
use crate::stream::{Command, PublisherEnd, PublisherId, Stream};
use crate::wire::message::{AttemptSpec, LeaseOutput, OutputConfiguration};

use super::leases::Leases;
use super::snapshot::{Snapshot, SourceMeter};

/// How often stats are published at most, while something happens.
const STATS_INTERVAL: Duration = Duration::from_millis(100);
/// How often they are published while nothing does.
const QUIET_STATS_INTERVAL: Duration = Duration::from_secs(1);

/// What a publisher's connection tells its stream.
#[derive(Debug)]
pub enum PublisherInput {
    /// It has proved its key and wants to publish.
    Publish {
        /// Its connection.
        publisher: PublisherId,
        /// Told when the stream closes it.
        close: oneshot::Sender<PublisherClosed>,
        /// Whether it may.
        answer: oneshot::Sender<Result<(), Reason>>,
    },
    /// It sent media.
    Media {
        /// Its connection.
        publisher: PublisherId,
        /// What it sent, in order: the messages of one read.
        tags: Vec<Tag>,
    },
    /// Its connection is over.
    Closed {
        /// Its connection.
        publisher: PublisherId,
        /// How.
        end: PublisherEnd,
    },
}

/// Why a stream closes a publisher's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherClosed {
    /// The class of it.
    pub reason: Reason,
    /// What more is known.
    pub detail: String,
}

/// What a stream's task is made of.
#[derive(Debug)]
pub struct StreamTask {
    /// The stream's name.
    pub name: StreamName,
    /// Names of the ladder's renditions.
    pub renditions: Vec<Name>,
    /// What decides.
    pub stream: Stream,
    /// How its output is cut.
    pub window: WindowSettings,
    /// What publishers say. They wait while it is full: their TCP connections do.
    pub inbox: mpsc::Receiver<PublisherInput>,
    /// Its leases.
    pub leases: Leases,
    /// What players read.
    pub view: watch::Sender<Arc<View>>,
    /// What the API tells.
    pub stats: watch::Sender<Arc<StreamStats>>,
}

/// The state of the loop.
struct Running {
    task: StreamTask,
    window: Window,
    /// How much of the window players have been shown.
    shown: (u64, bool),
    /// What the window had left out when that was last told.
    left_out: u64,
    publishers: BTreeMap<PublisherId, oneshot::Sender<PublisherClosed>>,
    configurations: BTreeMap<crate::ffmpeg::ladder::Output, OutputConfiguration>,
    meter: SourceMeter,
    started: Instant,
    published: Option<Instant>,
    finished: Option<Reason>,
    /// What was last told of its state.
    told: Told,
    /// How many failovers were told.
    taken_over: u32,
    /// The last decision about its node.
    placement: Option<Arc<Decision>>,
}

impl StreamTask {
    /// Runs the stream to its end and says why it ended. `stop` ends it in order.
    ///
    /// No `async fn`: its future would hold the task twice, as it was given and as it runs.
    pub fn run(self, stop: CancellationToken) -> impl Future<Output = Reason> + Send {
        let window = Window::new(self.window, self.renditions.clone());
        let running = Running {
            window,
            shown: (0, false),
            left_out: 0,
            publishers: BTreeMap::new(),
            configurations: BTreeMap::new(),
            meter: SourceMeter::default(),
            started: clock::now(),
            published: None,
            finished: None,
            told: Told { state: State::Waiting, reason: None },
            taken_over: 0,
            placement: None,
            task: self,
        };
        running.run_to_its_end(stop)
    }
}

impl Running {
    async fn run_to_its_end(mut self, stop: CancellationToken) -> Reason {
        info!(renditions = self.task.renditions.len(), "stream opened");
        let reason = self.run(stop).await;
        let report = self.task.stream.report(clock::now());
        info!(
            %reason,
            duration_s = clock::now().saturating_duration_since(self.started).as_secs(),
            bytes = self.meter.bytes(),
            frames = report.source_frames,
            lost = report.frames_lost,
            undecodable = report.frames_undecodable,
            reattachments = report.reattachments,
            "stream ended"
        );
        reason
    }

    async fn run(&mut self, stop: CancellationToken) -> Reason {
        let mut stopping = false;
        // Moved back only when it has run out: deadlines move with nearly every input.
        let mut armed = self.next_deadline();
        let timer = tokio::time::sleep_until(armed.into());
        let stopped = stop.cancelled();
        tokio::pin!(timer, stopped);
        loop {
            self.carry_out();
            self.publish();
            if let Some(reason) = self.finished {
                return reason;
            }
            let deadline = self.next_deadline();
            if deadline < armed || timer.is_elapsed() {
                armed = deadline;
                timer.as_mut().reset(armed.into());
            }
            tokio::select! {
                (attempt, event) = self.task.leases.next_event() => self.handle_lease(attempt, event),
                Some(input) = self.task.inbox.recv() => self.handle_publisher(input),
                () = &mut timer => {
                    let now = clock::now();
                    if now >= deadline {
                        self.task.stream.handle_deadline(now);
                    }
                }
                () = &mut stopped, if !stopping => {
                    stopping = true;
                    self.task.stream.handle_end(Reason::Shutdown, clock::now());
                }
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let quiet = self.published.unwrap_or(self.started) + QUIET_STATS_INTERVAL;
        self.task.stream.next_deadline().map_or(quiet, |deadline| deadline.min(quiet))
    }

    fn handle_publisher(&mut self, input: PublisherInput) {
        let now = clock::now();
        match input {
            PublisherInput::Publish { publisher, close, answer } => {
                let result = self.task.stream.handle_publish(publisher, now);
                if result.is_ok() {
                    self.publishers.insert(publisher, close);
                }
                // A publisher that has gone meanwhile says so with `Closed`.
                let _ = answer.send(result);
            }
            PublisherInput::Media { publisher, tags } => {
                for tag in tags {
                    self.meter.count(tag.payload.len(), now);
                    self.task.stream.handle_media(publisher, &tag, now);
                }
            }
            PublisherInput::Closed { publisher, end } => {
                self.publishers.remove(&publisher);
                self.task.stream.handle_publisher_closed(publisher, end, now);
            }
        }
    }

    fn handle_lease(&mut self, attempt: u32, event: LeaseEvent) {
        let now = clock::now();
        let stream = &mut self.task.stream;
        match event {
            LeaseEvent::Placed { node, placement } => {
                self.placement = Some(placement);
                info!(attempt, %node, "attempt placed");
                stream.handle_placed(attempt, node, now);
            }
            LeaseEvent::Attached => {
                debug!(attempt, "attempt attached");
                stream.handle_attached(attempt, now);
            }
            LeaseEvent::Written { inputs } => stream.handle_written(attempt, inputs, now),
            LeaseEvent::Output(output) => {
                if let LeaseOutput::Ended(end) = &output {
                    info!(attempt, reason = %end.reason, detail = end.detail, "attempt ended");
                    self.task.leases.drop_lease(attempt);
                }
                stream.handle_output(attempt, output, now);
            }
            LeaseEvent::Failed { node, reason, detail, placement } => {
                self.placement = placement.or(self.placement.take());
                // What we gave up ourselves fails too, as the last that is heard of it.
                let refused = node.is_none() && reason == Reason::LimitExceeded;
                if matches!(reason, Reason::NoNode | Reason::NoRoom | Reason::UnsupportedCodec)
                    || refused
                    || !self.task.leases.holds(attempt)
                {
                    debug!(attempt, %reason, detail, "no lease for the attempt");
                } else {
                    warn!(attempt, node = node.as_ref().map(Name::as_str), %reason, detail, "attempt failed");
                }
                self.task.leases.drop_lease(attempt);
                stream.handle_failed(AttemptFailure { attempt, node, reason, detail }, now);
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.task.stream.next_command() {
            match command {
                Command::Place(wanted) => {
                    let AttemptSpec { number, base, .. } = wanted.spec;
                    let purpose = wanted.purpose;
                    if purpose == Purpose::Only {
                        debug!(attempt = number, base = base.0, "attempt wanted");
                    } else {
                        let beside = wanted.prefer_not.iter().chain(&wanted.exclude).map(Name::as_str);
                        let beside = beside.collect::<Vec<_>>().join(" ");
                        debug!(attempt = number, base = base.0, %purpose, beside, "second attempt wanted");
                    }
                    if let Err(failure) = self.task.leases.place(*wanted) {
                        self.task.stream.handle_failed(failure, clock::now());
                    }
                }
                Command::Feed { attempt, input } => {
                    if let Err(failure) = self.task.leases.feed(attempt, input) {
                        self.task.leases.drop_lease(attempt);
                        self.task.stream.handle_failed(failure, clock::now());
                    }
                }
                Command::Cancel { attempt, reason } => {
                    info!(attempt, %reason, "attempt given up");
                    self.task.leases.drop_lease(attempt);
                }
                Command::ClosePublisher { publisher, reason, detail } => {
                    if let Some(close) = self.publishers.remove(&publisher) {
                        // It may have gone by itself.
                        let _ = close.send(PublisherClosed { reason, detail });
                    }
                }
                Command::Finish { reason } => {
                    self.window.finish();
                    self.finished = Some(reason);
                }
                Command::Commit(commit) => self.commit(commit),
            }
        }
    }

    fn commit(&mut self, commit: Commit) {
        match commit {
            Commit::SectionBegins(tracks) => self.window.begin_section(tracks),
            Commit::AudioSilent { until } => self.window.handle_silence(until),
            Commit::Init(init) => {
                self.configurations.insert(init.output, init.configuration.clone());
                self.window.handle_init(init);
            }
            Commit::Fragment { fragment, end } => self.window.handle_fragment(fragment, end),
            Commit::Audio { place, data } => {
                let sample = AudioSample { decode_time: place.decode_time, samples: place.samples, data };
                self.window.handle_audio(sample);
            }
        }
        let left_out = self.window.left_out();
        if left_out > self.left_out {
            warn!(left_out, "committed media could not be listed");
            self.left_out = left_out;
        }
    }

    /// Shows players and the API what has changed.
    fn publish(&mut self) {
        let now = clock::now();
        if self.shown != self.window.progress() {
            self.shown = self.window.progress();
            self.task.view.send_replace(self.window.view());
        }
        let due = self.published.is_none_or(|published| now >= published + STATS_INTERVAL);
        if due || self.finished.is_some() {
            self.published = Some(now);
            let snapshot = Snapshot {
                name: &self.task.name,
                renditions: &self.task.renditions,
                configurations: &self.configurations,
                view: &self.task.view.borrow(),
                meter: &self.meter,
                age: now.saturating_duration_since(self.started),
                left_out: self.left_out,
                placement: self.placement.as_ref(),
                ended: self.finished,
            };
            let report = self.task.stream.report(now);
            let stats = snapshot.stats(&report, now);
            if report.reattachments > self.taken_over {
                self.taken_over = report.reattachments;
                tell_failover(&report);
            }
            if self.finished.is_none() {
                self.told = tell(self.told, &report);
            }
            self.task.stats.send_replace(Arc::new(stats));
        }
    }
}

/// Tells what the last fault cost: nothing is lost by it, and an operator wants to know of it all the same.
fn tell_failover(report: &Report) {
    let Some(failover) = &report.failover else { return };
    warn!(
        from = failover.from.as_ref().map(Name::as_str),
        to = failover.to.as_ref().map(Name::as_str),
        cause = %failover.cause,
        detected_ms = failover.detected.as_millis(),
        recovered_ms = failover.recovered.map(|recovered| recovered.as_millis()),
        lost = report.frames_lost,
        "another attempt has taken over"
    );
}

/// What was last told of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    state: State,
    /// Why, where it is held up.
    reason: Option<Reason>,
}

/// Tells when a stream begins to wait or to be held back, and why, when the reason becomes another, and when it goes on.
fn tell(before: Told, report: &Report) -> Told {
    let state = report.state;
    let held_up = matches!(state, State::Waiting | State::Quarantined);
    let why = report.last_failure.as_ref().filter(|_| held_up);
    let told = Told { state, reason: why.map(|(reason, _)| *reason) };
    match why {
        _ if told == before => {}
        Some((reason, detail)) => {
            warn!(%state, %reason, detail, lost = report.frames_lost, "stream is held up");
        }
        None if state != before.state => {
            info!(%state, node = report.node.as_ref().map(Name::as_str), "stream goes on");
        }
        None => {}
    }
    told
}

#[cfg(test)]
mod tests;
