//! What a connection's bytes amount to: the session, and the input that it could not take yet. No sockets, no clock.
//!
//! Input comes in a buffer that is only lent ([`super::transport`]). What a session leaves of it, because a publish request
//! waits for its answer or because one read holds very many messages, is copied to a buffer of the connection's own, which
//! is freed when it is used up. As nothing is read before that, it is never larger than one read.

use crate::media::flv::Tag;
use crate::rtmp::{Error, Event, PublishRequest, Session};

/// Messages that go to the stream together at most.
pub const MAX_BATCH_TAGS: usize = 64;
/// After so many bytes of messages no further one is added; one alone may be larger.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;

/// What some input amounted to, in the order of its fields. Answers may wait in the session.
#[derive(Debug, Default)]
pub struct Batch {
    /// Messages for the stream.
    pub tags: Vec<Tag>,
    /// What has to be done before [`Intake::go_on`]; `None` when all input is used.
    pub stop: Option<Stop>,
}

/// Why a batch ended before its input did.
#[derive(Debug)]
pub enum Stop {
    /// Someone wants to publish, and is to be answered.
    Asked(Box<PublishRequest>),
    /// It is as large as it may be.
    Full,
    /// The publisher ended in order.
    Ended,
    /// The session cannot go on.
    Failed(Error),
}

/// A session with the input that waits for it.
#[derive(Debug)]
pub struct Intake {
    /// The session. Only its answers and its end are the caller's business.
    pub session: Session,
    held: Vec<u8>,
    /// How much of `held` has been used.
    used: usize,
}

impl Intake {
    /// Before the first byte.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session, held: Vec::new(), used: 0 }
    }

    /// Takes what was read. Nothing may be read after a batch that stopped until [`Intake::go_on`] gave one that did not.
    pub fn take(&mut self, mut input: &[u8]) -> Batch {
        let batch = advance(&mut self.session, &mut input);
        self.held.extend_from_slice(input);
        batch
    }

    /// Goes on with what is held.
    pub fn go_on(&mut self) -> Batch {
        let mut input = self.held.get(self.used..).unwrap_or_default();
        let batch = advance(&mut self.session, &mut input);
        self.used = self.held.len().saturating_sub(input.len());
        if self.used == self.held.len() {
            (self.held, self.used) = (Vec::new(), 0);
        }
        batch
    }

    /// Memory that this connection holds of ours, in bytes, beside the sizes of session and socket.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.session.memory_bytes().saturating_add(self.held.capacity())
    }
}

fn advance(session: &mut Session, input: &mut &[u8]) -> Batch {
    let (mut tags, mut bytes) = (Vec::new(), 0_usize);
    let stop = loop {
        match session.handle_input(input) {
            Ok(None) => break None,
            Ok(Some(Event::Media(tag))) => {
                bytes = bytes.saturating_add(tag.payload.len());
                tags.push(tag);
                if tags.len() >= MAX_BATCH_TAGS || bytes >= MAX_BATCH_BYTES {
                    break Some(Stop::Full);
                }
            }
            Ok(Some(Event::PublishRequested(request))) => break Some(Stop::Asked(Box::new(request))),
            Ok(Some(Event::PublishEnded)) => break Some(Stop::Ended),
            Err(error) => break Some(Stop::Failed(error)),
        }
    };
    Batch { tags, stop }
}

#[cfg(test)]
mod tests;
