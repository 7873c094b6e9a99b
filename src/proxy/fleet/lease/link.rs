//! The two directions of a lease's connection. Neither knows of the other, so that the task can wait for both.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::Over;
use crate::base::socket::{ReadHalf, WriteHalf};
use crate::proxy::fleet::LeaseEvent;
use crate::proxy::fleet::outbox::Outbox;
use crate::proxy::fleet::output_guard::OutputGuard;
use crate::stream::attempt::{WINDOW_BYTES, WINDOW_INPUTS};
use crate::wire::codec::{self, Message};
use crate::wire::message::{AttemptSpec, LeaseInput, LeaseOutput};

/// Room that is kept free in the receive buffer.
const READ_BYTES: usize = 64 * 1024;
/// So many inputs, or bytes of them, are written before the stream is told: it is woken for it. They are a small part of its
/// window, so it never waits for what has been written and not been told.
const TOLD_INPUTS: usize = WINDOW_INPUTS / 8;
/// See [`TOLD_INPUTS`].
const TOLD_BYTES: usize = WINDOW_BYTES / 8;

/// From the stream to the node.
pub(super) struct Sending {
    /// `None` once writing has failed. Reading goes on: the node's last words may have come before it closed.
    writer: Option<WriteHalf>,
    outbox: Outbox,
    /// Inputs written and not reported yet, and their bytes.
    inputs_written: usize,
    bytes_written: usize,
    /// Whether the end of input was pushed: what is written from then on is told at once, as nothing follows it.
    ended: bool,
}

impl Sending {
    pub(super) fn new(writer: WriteHalf) -> Self {
        Self {
            writer: Some(writer),
            outbox: Outbox::default(),
            inputs_written: 0,
            bytes_written: 0,
            ended: false,
        }
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
        self.ended |= matches!(input, LeaseInput::EndOfInput);
        Ok(())
    }

    /// Whether [`Sending::write`] has something to do.
    pub(super) fn has_work(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Writes once and says how many bytes of whole frames are out by it. Cancel-safe.
    pub(super) async fn write(&mut self) -> u64 {
        let Some(writer) = &mut self.writer else { return 0 };
        let before = self.outbox.bytes();
        match self.outbox.write_to(writer).await {
            Ok(frames) => {
                let bytes = before - self.outbox.bytes();
                self.inputs_written += frames;
                self.bytes_written += bytes;
                bytes as u64
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
        let enough = self.inputs_written >= TOLD_INPUTS || self.bytes_written >= TOLD_BYTES;
        enough || (self.ended && self.inputs_written > 0)
    }

    /// All that was written since the last time, in one event.
    pub(super) fn take_news(&mut self) -> Option<LeaseEvent> {
        if !self.has_news() {
            return None;
        }
        self.bytes_written = 0;
        Some(LeaseEvent::Written { inputs: std::mem::take(&mut self.inputs_written) })
    }
}

/// From the node to the stream.
pub(super) struct Receiving {
    reader: ReadHalf,
    received: BytesMut,
    guard: OutputGuard,
    /// What the node said, until there is room among the events. Nothing is read meanwhile, which the node notices by
    /// its socket.
    said: Option<LeaseOutput>,
}

impl Receiving {
    pub(super) fn new(reader: ReadHalf, received: BytesMut, attempt: &AttemptSpec) -> Self {
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
