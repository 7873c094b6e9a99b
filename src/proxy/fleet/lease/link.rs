//! The two directions of a lease's connection. Neither knows of the other, so that the task can wait for both.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Over;
use crate::proxy::fleet::LeaseEvent;
use crate::proxy::fleet::outbox::Outbox;
use crate::proxy::fleet::output_guard::OutputGuard;
use crate::wire::codec::{self, Message};
use crate::wire::message::{AttemptSpec, LeaseInput, LeaseOutput};

/// Room that is kept free in the receive buffer.
const READ_BYTES: usize = 64 * 1024;

/// From the stream to the node.
pub(super) struct Sending {
    /// `None` once writing has failed. Reading goes on: the node's last words may have come before it closed.
    writer: Option<OwnedWriteHalf>,
    outbox: Outbox,
    /// Inputs written and not reported yet.
    inputs_written: usize,
}

impl Sending {
    pub(super) fn new(writer: OwnedWriteHalf) -> Self {
        Self { writer: Some(writer), outbox: Outbox::default(), inputs_written: 0 }
    }

    /// How many inputs may be pushed now.
    pub(super) fn room(&self) -> usize {
        if self.writer.is_some() { self.outbox.room() } else { 0 }
    }

    /// Queues an input.
    ///
    /// # Errors
    /// [`Over::Unwritable`] when the node would refuse it.
    pub(super) fn push(&mut self, input: &LeaseInput) -> Result<(), Over> {
        self.outbox.push(input.encode().map_err(Over::Unwritable)?);
        Ok(())
    }

    pub(super) fn has_work(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Writes once and says how many bytes of whole frames are out by it. Cancel-safe.
    pub(super) async fn write(&mut self) -> u64 {
        let Some(writer) = &mut self.writer else { return 0 };
        let before = self.outbox.bytes();
        match self.outbox.write_to(writer).await {
            Ok(frames) => {
                self.inputs_written += frames;
                (before - self.outbox.bytes()) as u64
            }
            Err(_) => {
                // The read side says more about it, soon.
                self.writer = None;
                self.outbox.clear();
                0
            }
        }
    }

    pub(super) fn has_news(&self) -> bool {
        self.inputs_written > 0
    }

    /// All that was written since the last time, in one event.
    pub(super) fn take_news(&mut self) -> Option<LeaseEvent> {
        let inputs = std::mem::take(&mut self.inputs_written);
        (inputs > 0).then_some(LeaseEvent::Written { inputs })
    }
}

/// From the node to the stream.
pub(super) struct Receiving {
    reader: OwnedReadHalf,
    received: BytesMut,
    guard: OutputGuard,
    /// What the node said, until there is room among the events. Nothing is read meanwhile, which the node notices by
    /// its socket.
    said: Option<LeaseOutput>,
}

impl Receiving {
    pub(super) fn new(reader: OwnedReadHalf, received: BytesMut, attempt: &AttemptSpec) -> Self {
        Self { reader, received, guard: OutputGuard::new(attempt), said: None }
    }

    /// Takes the next message off the receive buffer, if there is one and the last one is out.
    ///
    /// # Errors
    /// [`Over::Ended`] when the node says that the attempt is over, and what is wrong with a message that is wrong.
    pub(super) fn decode(&mut self) -> Result<(), Over> {
        if self.said.is_some() {
            return Ok(());
        }
        let Some(said) = codec::decode::<LeaseOutput>(&mut self.received).map_err(Over::Unreadable)? else {
            return Ok(());
        };
        self.guard.check(&said)?;
        match said {
            LeaseOutput::Ended(end) => Err(Over::Ended(end)),
            LeaseOutput::Init(_)
            | LeaseOutput::Fragment(_)
            | LeaseOutput::AudioUnit(_)
            | LeaseOutput::Progress(_) => {
                self.said = Some(said);
                Ok(())
            }
        }
    }

    /// Reads once and says how many bytes. Cancel-safe. The buffer grows with what was received, up to the largest
    /// frame that the codec allows.
    ///
    /// # Errors
    /// When the connection is at its end, or broken.
    pub(super) async fn read(&mut self) -> Result<u64, Over> {
        self.received.reserve(READ_BYTES);
        match self.reader.read_buf(&mut self.received).await? {
            0 => Err(Over::Eof),
            bytes => Ok(bytes as u64),
        }
    }

    pub(super) fn has_news(&self) -> bool {
        self.said.is_some()
    }

    pub(super) fn take_news(&mut self) -> Option<LeaseEvent> {
        self.said.take().map(LeaseEvent::Output)
    }
}
