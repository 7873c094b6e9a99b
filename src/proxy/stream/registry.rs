//! The registry: finds a stream for a publisher, or books its room and starts it, and publishes the directory that
//! players and the API read. A stream that has ended stays in the directory as long as its segments shall be fetched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{Instrument, info_span};

use crate::base::clock;
use crate::base::names::StreamName;
use crate::base::reason::Reason;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::config::{Config, Tenant};
use crate::hls::{View, WindowSettings};
use crate::media::gop::GopLogLimits;
use crate::media::time::Ticks;
use crate::proxy::fleet::{Booking, FleetHandle, Refused};
use crate::proxy::origin::{StreamDirectory, StreamHandle};
use crate::stream::command::Redundancy;
use crate::stream::{PublisherId, Stream, StreamSettings, Takeover};

use super::leases::Leases;
use super::snapshot;
use super::task::{PublisherClosed, PublisherInput, StreamTask};

/// Messages of publishers that wait for a stream's task, each of them what one read brought. While it is full, the
/// publisher's connection is not read.
const INBOX_CAPACITY: usize = 64;
/// How often a publisher is sent to a stream that ends just then, before it is refused.
const PUBLISH_TRIES: usize = 4;

/// How all streams behave.
#[derive(Clone, Copy, Debug)]
struct Settings {
    stream: StreamSettings,
    log: GopLogLimits,
    window: WindowSettings,
    /// How long the end of a stream can be fetched: RFC 8216bis §6.2.2 asks for the playlist's duration at least.
    retention: Duration,
}

/// All streams of a proxy. Cheap to clone; all clones are one registry.
#[derive(Clone, Debug)]
pub struct Registry {
    settings: Settings,
    fleet: FleetHandle,
    tasks: Tasks,
    stop: CancellationToken,
    entries: Arc<Mutex<BTreeMap<StreamName, Entry>>>,
    directory: watch::Sender<Arc<BTreeMap<StreamName, StreamHandle>>>,
}

#[derive(Debug)]
struct Entry {
    /// Closed when the stream has ended.
    inbox: mpsc::Sender<PublisherInput>,
    handle: StreamHandle,
    /// Tells this stream from a later one of the same name.
    generation: u64,
}

/// A stream that has taken a publisher.
#[derive(Debug)]
pub struct Published {
    /// Where its media goes.
    pub inbox: mpsc::Sender<PublisherInput>,
    /// Comes when the stream closes the publisher.
    pub close: oneshot::Receiver<PublisherClosed>,
}

impl Registry {
    /// No streams yet. They end when `stop` comes, and run in `tasks`.
    #[must_use]
    pub fn new(config: &Config, fleet: FleetHandle, tasks: Tasks, stop: CancellationToken) -> Self {
        let origin = &config.origin;
        let settings = Settings {
            stream: StreamSettings {
                reconnect_grace: config.stream.reconnect_grace,
                takeover: match config.stream.takeover {
                    crate::config::Takeover::Replace => Takeover::Replace,
                    crate::config::Takeover::Refuse => Takeover::Refuse,
                },
                max_segment_duration: origin.max_segment_duration,
                suspect_after: config.fleet.suspect_after,
                redundancy: Redundancy::One,
            },
            log: GopLogLimits {
                max_duration: Ticks::from_duration(config.gop_log.max_duration),
                max_bytes: config.gop_log.max_bytes.as_usize(),
            },
            window: WindowSettings {
                segment_duration: Ticks::from_duration(origin.segment_duration),
                max_segment_duration: Ticks::from_duration(origin.max_segment_duration),
                window: origin.window,
                first_sequence: 0,
            },
            retention: origin.max_segment_duration * u32::try_from(origin.window).unwrap_or(1_000),
        };
        let directory = watch::Sender::new(Arc::default());
        Self { settings, fleet, tasks, stop, entries: Arc::default(), directory }
    }

    /// The read side.
    #[must_use]
    pub fn directory(&self) -> StreamDirectory {
        self.directory.subscribe()
    }

    /// Brings a publisher, who has proved the tenant's key, to its stream.
    ///
    /// # Errors
    /// What [`FleetHandle::admit`] says of a new stream; [`Reason::Shutdown`] when the proxy stops; and what the stream
    /// says: [`Reason::AlreadyPublishing`].
    pub async fn publish(
        &self,
        name: &StreamName,
        tenant: &Tenant,
        publisher: PublisherId,
    ) -> Result<Published, Refused> {
        for _ in 0..PUBLISH_TRIES {
            let inbox = match self.find(name) {
                Some(inbox) => inbox,
                None => self.open(name, tenant).await?,
            };
            let (close_sender, close) = oneshot::channel();
            let (answer, answered) = oneshot::channel();
            let input = PublisherInput::Publish { publisher, close: close_sender, answer };
            if inbox.send(input).await.is_err() {
                continue;
            }
            match answered.await {
                Ok(Ok(())) => return Ok(Published { inbox, close }),
                // It ended between being found and being asked: a new one takes its place.
                Ok(Err(Reason::Ended)) | Err(_) => tokio::task::yield_now().await,
                Ok(Err(reason)) => return Err(refused(reason)),
            }
        }
        Err(refused(Reason::AlreadyPublishing))
    }

    fn find(&self, name: &StreamName) -> Option<mpsc::Sender<PublisherInput>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(name).filter(|entry| !entry.inbox.is_closed()).map(|entry| entry.inbox.clone())
    }

    /// Starts a stream that is not there, if its tenant may have it. One that another publisher has started meanwhile has a
    /// booking of its own.
    async fn open(
        &self,
        name: &StreamName,
        tenant: &Tenant,
    ) -> Result<mpsc::Sender<PublisherInput>, Refused> {
        if self.stop.is_cancelled() {
            return Err(refused(Reason::Shutdown));
        }
        let booking = self.fleet.admit(name).await?;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(name).filter(|entry| !entry.inbox.is_closed()) {
            return Ok(entry.inbox.clone());
        }
        let before = entries.get(name).map(|entry| (entry.handle.view.borrow().clone(), entry.generation));
        let entry = self.start(name, tenant, before, booking);
        let inbox = entry.inbox.clone();
        entries.insert(name.clone(), entry);
        self.publish_directory(&entries);
        Ok(inbox)
    }

    /// Starts a stream after the one `before`, of that generation.
    fn start(
        &self,
        name: &StreamName,
        tenant: &Tenant,
        before: Option<(Arc<View>, u64)>,
        booking: Booking,
    ) -> Entry {
        let now = clock::now();
        let settings = self.settings;
        let generation = before.as_ref().map_or(0, |(_, generation)| generation + 1);
        let before = before.as_ref().map(|(view, _)| view.as_ref());
        let (start, first_sequence) = beginning(clock::unix_now(), settings.window.segment_duration, before);
        let window = WindowSettings { first_sequence, ..settings.window };
        let ladder = Arc::clone(&tenant.ladder);
        let renditions: Vec<_> = ladder.renditions.iter().map(|rendition| rendition.name.clone()).collect();
        let (sender, inbox) = mpsc::channel(INBOX_CAPACITY);
        let (view, view_reader) = watch::channel(Arc::default());
        let stream = Stream::new(settings.stream, ladder, settings.log, start, now);
        let (stats, stats_reader) =
            watch::channel(Arc::new(snapshot::first_stats(name, &renditions, &stream, now)));
        let leases = Leases::new(name.clone(), Arc::new(tenant.node_tags()), self.fleet.clone());
        let task = StreamTask { name: name.clone(), renditions, stream, window, inbox, leases, view, stats };
        let (registry, owned_name, stop) = (self.clone(), name.clone(), self.stop.clone());
        // Its own root: the publisher that happened to open it may leave long before it ends.
        let shown = view_reader.clone();
        let span = info_span!(parent: None, "stream", stream = %name);
        self.tasks.spawn(
            async move {
                task.run(stop.clone()).await;
                drop(booking);
                // A stream that showed nothing has nothing that could still be fetched.
                let retention = if shown.borrow().outputs().any(|output| !output.segments.is_empty()) {
                    registry.settings.retention
                } else {
                    Duration::ZERO
                };
                let kept = stop.run_until_cancelled(clock::until(Some(clock::now() + retention))).await;
                // While the proxy stops, players shall still find the end of the playlist.
                if kept.is_some() || retention.is_zero() {
                    registry.forget(&owned_name, generation);
                }
            }
            .instrument(span),
        );
        let handle = StreamHandle { view: view_reader, stats: stats_reader };
        Entry { inbox: sender, handle, generation }
    }

    fn forget(&self, name: &StreamName, generation: u64) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.get(name).is_some_and(|entry| entry.generation == generation) {
            entries.remove(name);
            self.publish_directory(&entries);
        }
    }

    fn publish_directory(&self, entries: &BTreeMap<StreamName, Entry>) {
        let directory = entries.iter().map(|(name, entry)| (name.clone(), entry.handle.clone())).collect();
        self.directory.send_replace(Arc::new(directory));
    }
}

/// Why a stream does not take a publisher, for its user.
fn refused(reason: Reason) -> Refused {
    let text = if reason == Reason::AlreadyPublishing {
        "the stream has a publisher"
    } else if reason == Reason::Shutdown {
        "the server is stopping"
    } else {
        "the stream cannot be published now"
    };
    Refused::new(reason, text)
}

/// Where a stream's timeline and media sequence begin: at the wall clock, so that neither goes back when the proxy
/// restarts, and in any case after what the last stream of this name has shown.
fn beginning(unix_now: Duration, segment: Ticks, before: Option<&View>) -> (Ticks, u64) {
    let millis = i64::try_from(unix_now.as_millis()).unwrap_or(i64::MAX / 90);
    let start = Ticks::from_millis(millis);
    let sequence = u64::try_from(start.0 / segment.0.max(1)).unwrap_or(0);
    let last = before.into_iter().flat_map(View::outputs).filter_map(|output| output.segments.last());
    let (shown, listed) = last.fold((start, sequence), |(shown, listed), segment| {
        (shown.max(segment.end), listed.max(segment.sequence + 1))
    });
    (Ticks::from_millis((shown + Ticks(89)).as_millis()), listed)
}

#[cfg(test)]
mod tests;
