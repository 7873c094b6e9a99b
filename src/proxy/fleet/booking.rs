//! A stream's booking: what [`crate::placement::tenancy`] has granted, for as long as somebody holds it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::base::names::StreamName;
use crate::base::reason::Reason;

/// Why a publisher does not get what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The class of it.
    pub reason: Reason,
    /// For whoever runs the encoder: what there is none of, and what to do.
    pub text: String,
}

impl Refused {
    pub(crate) fn new(reason: Reason, text: impl ToString) -> Self {
        Self { reason, text: text.to_string() }
    }
}

/// A stream's room in the fleet. Dropping it gives the room back, however the stream has ended.
#[derive(Debug)]
pub struct Booking {
    stream: StreamName,
    ended: Arc<Ended>,
}

impl Booking {
    /// One that is told to `ended` when it is dropped.
    pub(super) fn new(stream: StreamName, ended: Arc<Ended>) -> Self {
        Self { stream, ended }
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        self.ended.streams().push(self.stream.clone());
        self.ended.news.notify_one();
    }
}

/// Bookings that are over and not accounted for yet. No queue of inputs, because whoever drops a booking cannot wait for
/// room in one; there are never more of them than there were bookings.
#[derive(Debug, Default)]
pub(super) struct Ended {
    streams: Mutex<Vec<StreamName>>,
    news: Notify,
}

impl Ended {
    /// Those that are over, each once.
    pub(super) fn take(&self) -> Vec<StreamName> {
        std::mem::take(&mut self.streams())
    }

    /// Waits until there may be some. Cancel safe.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<StreamName>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
