//! A stream's leases: a channel of input for each, and the one channel on which their events come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::base::names::StreamName;
use crate::base::reason::Reason;
use crate::config::ProfileTags;
use crate::placement::demand::Demand;
use crate::proxy::fleet::{FleetHandle, LeaseEvent, LeaseRequest};
use crate::stream::attempt::WINDOW_INPUTS;
use crate::stream::command::{AttemptFailure, Wanted};
use crate::wire::message::LeaseInput;

/// Room for an attempt's window and the preamble before it. The stream never has more on the way, so a full queue is a
/// fault of ours, and the attempt fails.
const INPUT_CAPACITY: usize = WINDOW_INPUTS + 32;
/// Events that wait for the stream's task. When it is full, reading from the node stops until there is room.
const EVENT_CAPACITY: usize = 128;

/// The leases of one stream.
#[derive(Debug)]
pub struct Leases {
    stream: StreamName,
    /// Which nodes its profile is for.
    tags: Arc<ProfileTags>,
    fleet: FleetHandle,
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
        Self { stream, tags, fleet, inputs: BTreeMap::new(), events, inbox }
    }

    /// Asks for a lease on some node.
    ///
    /// # Errors
    /// When the fleet cannot even be asked.
    pub fn place(&mut self, wanted: Wanted) -> Result<(), AttemptFailure> {
        let Wanted { spec, reads, prefer_not, .. } = wanted;
        let attempt = spec.number;
        let (sender, input) = mpsc::channel(INPUT_CAPACITY);
        self.inputs.insert(spec.number, sender);
        let ProfileTags { require, prefer } = ProfileTags::clone(&self.tags);
        let tags = Demand { require_tags: require, prefer_tags: prefer, ..Demand::of(&spec) };
        let demand = Demand { reads, prefer_not, ..tags };
        let (stream, events) = (self.stream.clone(), self.events.clone());
        let request = LeaseRequest { stream, attempt: spec, demand, input, events };
        self.fleet.request(request).map_err(|detail| {
            self.inputs.remove(&attempt);
            AttemptFailure { attempt, node: None, reason: Reason::NoNode, detail: detail.to_owned() }
        })
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

    /// The next event of any lease. Cancel safe.
    pub async fn next_event(&mut self) -> (u32, LeaseEvent) {
        match self.inbox.recv().await {
            Some(event) => *event,
            // This struct holds a sender, so the channel never closes.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
