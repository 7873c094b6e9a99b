//! A stream's leases: a channel of input for each, and the one channel on which their events come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::base::names::StreamName;
use crate::base::reason::Reason;
use crate::config::ProfileTags;
use crate::ffmpeg::ladder::Ladder;
use crate::placement::demand::{Beside, Demand, Replay, Urgency};
use crate::placement::place::decision::Decision;
use crate::placement::work::{SourceMedia, Work};
use crate::proxy::fleet::{FleetHandle, LeaseEvent, LeaseRequest};
use crate::stream::attempt::WINDOW_INPUTS;
use crate::stream::command::{AttemptFailure, Purpose, Standing, Wanted};
use crate::stream::source;
use crate::wire::message::{AttemptSpec, LeaseInput};

/// Room for an attempt's window and the preamble before it. The stream never has more on the way, so a full queue is a
/// fault of ours, and the attempt fails.
const INPUT_CAPACITY: usize = WINDOW_INPUTS + 32;
/// Events that wait for the stream's task. When it is full, reading from the node stops until there is room.
const EVENT_CAPACITY: usize = 128;

/// Less media than this is caught up with while FFmpeg starts, and is no replay.
const REPLAYED_FROM: Duration = Duration::from_secs(1);
/// Bits for each pixel where nobody says how many: 6 Mbit/s of full HD at 30 pictures a second.
const BITS_PER_PIXEL: f64 = 0.1;
/// Bits a second of sound alone where nobody says it.
const SOUND: f64 = 128_000.0;

/// The leases of one stream.
#[derive(Debug)]
pub struct Leases {
    stream: StreamName,
    /// Which nodes its profile is for.
    tags: Arc<ProfileTags>,
    fleet: FleetHandle,
    /// FFmpeg's names of what the last attempt that was placed encodes with, one for each rendition that is encoded.
    encoders: Vec<String>,
    inputs: BTreeMap<u32, mpsc::Sender<LeaseInput>>,
    /// Boxed: a queue holds the room of 32 events from the start, and most streams have had few.
    events: mpsc::Sender<Box<(u32, LeaseEvent)>>,
    inbox: mpsc::Receiver<Box<(u32, LeaseEvent)>>,
}

impl Leases {
    /// No leases yet; those to come go to nodes with these tags.
    #[must_use]
    pub fn new(stream: StreamName, tags: Arc<ProfileTags>, fleet: FleetHandle) -> Self {
        let (events, inbox) = mpsc::channel(EVENT_CAPACITY);
        let (encoders, inputs) = (Vec::new(), BTreeMap::new());
        Self { stream, tags, fleet, encoders, inputs, events, inbox }
    }

    /// Asks for a lease on some node.
    ///
    /// # Errors
    /// When the fleet cannot even be asked.
    pub fn place(&mut self, wanted: Wanted) -> Result<(), AttemptFailure> {
        let attempt = wanted.spec.number;
        let (sender, input) = mpsc::channel(INPUT_CAPACITY);
        self.inputs.insert(attempt, sender);
        let (demand, spec) = self.demand(wanted);
        let (stream, events) = (self.stream.clone(), self.events.clone());
        let request = LeaseRequest { stream, attempt: spec, demand, input, events };
        self.fleet.request(request).map_err(|detail| {
            self.inputs.remove(&attempt);
            AttemptFailure { attempt, node: None, reason: Reason::NoNode, detail: detail.to_owned() }
        })
    }

    /// What a node must have for it.
    fn demand(&self, wanted: Wanted) -> (Demand, AttemptSpec) {
        let Wanted { spec, reads, source, replay, standing, purpose, prefer_not, exclude, only } = wanted;
        let work = Work::of(&spec, known(&source, &spec.ladder));
        let ProfileTags { require, prefer } = ProfileTags::clone(&self.tags);
        let demand = Demand {
            tenant: self.stream.tenant.clone(),
            decodes: work.decodes(),
            work,
            reads,
            require_tags: require,
            prefer_tags: prefer,
            apart_from: if purpose == Purpose::Twin { exclude.clone() } else { Vec::new() },
            beside: match purpose {
                Purpose::Only => Beside::Nothing,
                Purpose::Hedge => Beside::Suspected,
                Purpose::Move => Beside::Moved,
                Purpose::Twin => Beside::Twin,
            },
            exclude,
            only,
            prefer_not,
            prefer_encoders: self.encoders.clone(),
            urgency: match standing {
                Standing::New => Urgency::New,
                Standing::Running => Urgency::Running,
            },
            replay: if replay < REPLAYED_FROM { Replay::None } else { Replay::Media(replay) },
        };
        (demand, spec)
    }

    /// Whether an attempt's lease has neither ended nor been given up.
    #[must_use]
    pub fn holds(&self, attempt: u32) -> bool {
        self.inputs.contains_key(&attempt)
    }

    /// Queues input for an attempt.
    ///
    /// # Errors
    /// When the queue is full. A queue that nobody reads any more is none: the lease's last event says why.
    pub fn feed(&self, attempt: u32, input: LeaseInput) -> Result<(), AttemptFailure> {
        let Some(sender) = self.inputs.get(&attempt) else { return Ok(()) };
        match sender.try_send(input) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                let detail = "the queue to the node is full".to_owned();
                Err(AttemptFailure { attempt, node: None, reason: Reason::Internal, detail })
            }
        }
    }

    /// Gives an attempt's lease up, or forgets one that has ended.
    pub fn drop_lease(&mut self, attempt: u32) {
        self.inputs.remove(&attempt);
    }

    /// Pictures of another encoder look otherwise, so the next attempt had better have the same. Sound alone has none, and
    /// changes nothing.
    fn remember(&mut self, placement: &Decision) {
        let names = placement.encoders().iter().flatten().map(|on| on.encoder.clone());
        let encoders: Vec<String> = names.collect();
        if !encoders.is_empty() {
            self.encoders = encoders;
        }
    }

    /// The next event of any lease. Cancel safe.
    pub async fn next_event(&mut self) -> (u32, LeaseEvent) {
        match self.inbox.recv().await {
            Some(event) => {
                if let (_, LeaseEvent::Placed { placement, .. }) = event.as_ref() {
                    self.remember(placement);
                }
                *event
            }
            // This struct holds a sender, so the channel never closes.
            None => std::future::pending().await,
        }
    }
}

/// What comes in, with something likely where nobody says it: work that is not known cannot be placed.
fn known(source: &source::SourceMedia, ladder: &Ladder) -> SourceMedia {
    let untold = SourceMedia::untold(ladder);
    let (width, height) = match (source.width, source.height) {
        (0, _) | (_, 0) => (untold.width, untold.height),
        size => size,
    };
    let (video, audio, fps) = (source.video, source.audio, source.fps.unwrap_or(untold.fps));
    let likely = SourceMedia { video, audio, width, height, fps, bitrate: 0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of pictures that there are")]
    let guess = video.map_or(SOUND, |_| likely.pixel_rate() * BITS_PER_PIXEL) as u64;
    SourceMedia { bitrate: source.bitrate.map_or(guess, |bitrate| bitrate.0), ..likely }
}

#[cfg(test)]
mod tests;
