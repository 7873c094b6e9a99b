//! The session: one publisher's connection from the first byte to the last (RTMP 1.0 §7).
//!
//! ```text
//! handshake ─► connect ─► createStream ─► publish ─► (asked) ─► accepted ─► media ─► ended
//!                                                          └──► refused
//! ```
//!
//! Everything may come in one segment; the order is all that counts. Time-outs are the caller's.

mod commands;
mod reply;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::reply::Replies;
use super::aggregate::{self, Aggregate};
use super::chunk;
use super::handshake::{self, Handshake, Progress};
use super::message::{self, Content, Control, Message, WINDOW_ACKNOWLEDGEMENT_SIZE};
use super::request::{Capabilities, PublishRequest};
use crate::base::reason::Reason;
use crate::media::flv::Tag;

/// Smallest window that is kept: a peer that wants every byte acknowledged would get 16 bytes for each.
const MIN_WINDOW_BYTES: u32 = 16 * 1024;

/// Bounds of a session.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Announced lengths of all unfinished messages together, thus of each one, once publishing is accepted.
    pub max_message_bytes: usize,
    /// The same before: what a stranger can make us keep.
    pub max_message_bytes_unproved: usize,
    /// Chunk streams at once. Encoders use up to eight.
    pub max_chunk_streams: usize,
    /// Message streams that `createStream` gives out. Encoders ask for one.
    pub max_message_streams: u32,
    /// The chunk size that we announce and use, in bytes.
    pub chunk_size: u32,
    /// The window that we announce: how much may be on its way without an acknowledgement, in bytes.
    pub window_bytes: u32,
    /// Bytes of output that may wait, at least 8 KiB; the handshake needs 3. What needs more ends the session: see
    /// [`Session::take_output`].
    pub max_output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 16 * 1024 * 1024,
            max_message_bytes_unproved: UNPROVED_BYTES,
            max_chunk_streams: CHUNK_STREAMS,
            max_message_streams: 16,
            chunk_size: 4096,
            window_bytes: 2_500_000,
            max_output_bytes: OUTPUT_BYTES,
        }
    }
}

// Defaults that bound what a stranger costs.
const UNPROVED_BYTES: usize = 12 * 1024;
const OUTPUT_BYTES: usize = 8 * 1024;
const CHUNK_STREAMS: usize = 32;

/// What a stranger can make a connection hold, whatever it sends, is below 64 KiB: the messages it has begun, one of them
/// rewritten from AMF3, what `connect` and `publish` said, and answers, the last of them up to 1 KiB beyond the bound, in a
/// buffer that is being doubled.
const _: () = {
    let chunk_streams = CHUNK_STREAMS * 64;
    let texts = 4 * commands::MAX_TEXT_BYTES;
    let answers = 3 * (OUTPUT_BYTES + 1024);
    assert!(UNPROVED_BYTES + chunk_streams + super::amf3::MAX_BYTES + texts + answers < 64 * 1024);
};

/// What happened.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Someone wants to publish. Nothing more is read until [`Session::accept_publish`] or
    /// [`Session::refuse_publish`].
    PublishRequested(PublishRequest),
    /// A message of the accepted publisher. Script data has lost its `@setDataFrame`; a body is never empty.
    Media(Tag),
    /// The publisher ended in order: `FCUnpublish`, `closeStream` or `deleteStream`. Comes at most once; nothing follows.
    PublishEnded,
}

/// Why a session cannot go on. [`Error::reason`] is the class of it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No RTMP at all.
    #[error("handshake: {0}")]
    Handshake(#[from] handshake::Error),
    /// No chunk stream, or one beyond the limits.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// A message that is not what its type says.
    #[error(transparent)]
    Message(#[from] message::Error),
    /// An aggregate message that is none.
    #[error(transparent)]
    Aggregate(#[from] aggregate::Error),
    /// A command before `connect`.
    #[error("a command before connect")]
    NotConnected,
    /// A second `connect`.
    #[error("a second connect")]
    ConnectedTwice,
    /// A text of `connect` or `publish` that is longer than any address.
    #[error("{name} has {length} bytes, more than {}", commands::MAX_TEXT_BYTES)]
    TextTooLong {
        /// Which text.
        name: &'static str,
        /// Its length, decoded.
        length: usize,
    },
    /// Media before publishing was accepted.
    #[error("media before publish")]
    MediaBeforePublish,
    /// More `createStream` than allowed.
    #[error("more than {0} message streams")]
    TooManyMessageStreams(u32),
    /// The peer asks for more answers than may wait.
    #[error("more than {0} bytes of answers wait")]
    TooMuchOutput(usize),
}

impl Error {
    /// The reason for log, metric and API.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Chunk(chunk::Error::TooManyChunkStreams { .. } | chunk::Error::TooLong { .. })
            | Self::TextTooLong { .. }
            | Self::TooManyMessageStreams(_)
            | Self::TooMuchOutput(_) => Reason::LimitExceeded,
            Self::Handshake(_)
            | Self::Chunk(_)
            | Self::Message(_)
            | Self::Aggregate(_)
            | Self::NotConnected
            | Self::ConnectedTwice
            | Self::MediaBeforePublish => Reason::ProtocolViolation,
        }
    }
}

/// One connection. The read buffer is the caller's; between calls the session keeps what is unfinished: a partial
/// header, and one message per chunk stream.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    stage: Stage,
    reader: chunk::Reader,
    replies: Replies,
    /// Tags of an aggregate message that are not handed out yet.
    aggregate: Option<Aggregate>,
    message_streams: u32,
    acknowledgements: Acknowledgements,
    capabilities: Capabilities,
}

#[derive(Debug)]
enum Stage {
    Handshake(Handshake),
    /// Waits for `connect`.
    Unconnected,
    /// Waits for `publish`.
    Connected(Connection),
    /// Waits for the caller's answer.
    Asked {
        message_stream: u32,
    },
    Publishing {
        message_stream: u32,
    },
    /// The publisher ended in order; what it still sends of media is dropped.
    Ended,
    /// Refused or failed; everything is dropped.
    Over,
}

/// What `connect` said.
#[derive(Debug, Default)]
struct Connection {
    app: String,
    tc_url: String,
    encoder: String,
}

/// When to acknowledge, and the window we last told the peer.
#[derive(Debug)]
struct Acknowledgements {
    window_bytes: u32,
    acknowledged: u64,
    announced_window_bytes: u32,
}

impl Session {
    /// Before the first byte.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            stage: Stage::Handshake(Handshake::default()),
            reader: chunk::Reader::new(chunk::Limits {
                max_chunk_streams: limits.max_chunk_streams,
                max_unfinished_bytes: limits.max_message_bytes_unproved,
            }),
            replies: Replies::default(),
            aggregate: None,
            message_streams: 0,
            acknowledgements: Acknowledgements {
                window_bytes: limits.window_bytes.max(MIN_WINDOW_BYTES),
                acknowledged: 0,
                announced_window_bytes: limits.window_bytes,
            },
            capabilities: Capabilities::default(),
        }
    }

    /// Consumes from the front of `input` until something happened. Call it until it gives `None`, even with an empty
    /// `input`: one message may hold many tags.
    ///
    /// `None`: all is consumed and more bytes are needed; or, while a request waits for its answer, nothing is consumed
    /// and nothing is read until it is given. After a refusal or an error all input is dropped.
    pub fn handle_input(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Error> {
        let result = self.advance(input);
        if result.is_err() {
            self.stage = Stage::Over;
            self.aggregate = None;
        }
        result
    }

    /// Bytes for the peer, in order; empty when there are none. Take them after every `handle_input`, and write them
    /// before reading on: a peer that does not read what it is told is then not read from, and one that asks for more
    /// than [`Limits::max_output_bytes`] within one read ends with [`Error::TooMuchOutput`].
    pub fn take_output(&mut self) -> Bytes {
        self.replies.take()
    }

    /// Accepts the request that waits; without one it does nothing. From now on messages may be long.
    pub fn accept_publish(&mut self) {
        if let Stage::Asked { message_stream } = self.stage {
            self.replies.publish_started(message_stream);
            self.reader.set_max_unfinished_bytes(self.limits.max_message_bytes);
            self.stage = Stage::Publishing { message_stream };
        }
    }

    /// Refuses the request that waits; without one it does nothing. `text` is what OBS shows its user and FFmpeg logs.
    /// The session is over: send what waits, then close.
    pub fn refuse_publish(&mut self, reason: Reason, text: &str) {
        if let Stage::Asked { message_stream } = self.stage {
            self.replies.publish_refused(message_stream, reason, text);
            self.stage = Stage::Over;
        }
    }

    /// Ends publishing that was accepted, and says why: `text` as in [`Session::refuse_publish`]. Without a publisher it
    /// does nothing. The session is over: send what waits, then close.
    pub fn end_publish(&mut self, reason: Reason, text: &str) {
        if let Stage::Publishing { message_stream } = self.stage {
            self.replies.publish_refused(message_stream, reason, text);
            self.stage = Stage::Over;
        }
    }

    /// Asks a publisher to connect anew, because it must move; `text` says why. Does nothing unless it announced that
    /// it understands ([`Capabilities::reconnect`]), and at most once. The session goes on: the publisher leaves at a
    /// moment of its choice.
    pub fn request_reconnect(&mut self, text: &str) {
        if matches!(self.stage, Stage::Publishing { .. }) && std::mem::take(&mut self.capabilities.reconnect)
        {
            self.replies.reconnect_requested(text);
        }
    }

    /// Whether the handshake is over.
    #[must_use]
    pub fn has_shaken_hands(&self) -> bool {
        !matches!(self.stage, Stage::Handshake(_))
    }

    /// Chunk streams that the peer has used so far; see [`Limits::max_chunk_streams`].
    #[must_use]
    pub fn chunk_streams(&self) -> usize {
        self.reader.chunk_streams()
    }

    /// Memory that this connection holds beyond the session's own size, in bytes: unfinished messages, what is remembered
    /// of each chunk stream, and answers that wait. Before publishing is accepted it stays below 64 KiB, also while a
    /// message is being read; after, and with no message under way, below 2 KiB.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let stage = match &self.stage {
            Stage::Handshake(handshake) => handshake.memory_bytes(),
            Stage::Connected(Connection { app, tc_url, encoder }) => {
                app.capacity() + tc_url.capacity() + encoder.capacity()
            }
            Stage::Unconnected
            | Stage::Asked { .. }
            | Stage::Publishing { .. }
            | Stage::Ended
            | Stage::Over => 0,
        };
        let aggregate = self.aggregate.as_ref().map_or(0, Aggregate::memory_bytes);
        stage + aggregate + self.reader.memory_bytes() + self.replies.memory_bytes()
    }

    /// Bytes of input since the handshake, chunk headers included, for a count of what came in.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.reader.position()
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Error> {
        loop {
            match &mut self.stage {
                Stage::Asked { .. } => return Ok(None),
                Stage::Over => {
                    *input = &[];
                    return Ok(None);
                }
                Stage::Handshake(handshake) => match handshake.read(input, self.replies.raw())? {
                    Progress::Pending => return Ok(None),
                    Progress::Done => self.stage = Stage::Unconnected,
                },
                Stage::Unconnected | Stage::Connected(_) | Stage::Publishing { .. } | Stage::Ended => {
                    if let Some(tag) = self.next_of_aggregate()? {
                        return Ok(Some(Event::Media(tag)));
                    }
                    let Some(message) = self.next_message(input)? else { return Ok(None) };
                    if let Some(event) = self.handle_message(message)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    fn next_of_aggregate(&mut self) -> Result<Option<Tag>, Error> {
        let Some(aggregate) = &mut self.aggregate else { return Ok(None) };
        let tag = aggregate.next_tag()?;
        if tag.is_none() {
            self.aggregate = None;
        }
        Ok(tag)
    }

    /// The next message. What its bytes make us acknowledge is said before it is acted on, so that the order of what
    /// we say does not depend on how the input was cut.
    fn next_message(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let message = self.reader.read(input);
        let position = self.reader.position();
        while let Some(sequence) = self.acknowledgements.next(position) {
            self.replies.acknowledgement(sequence);
            self.check_output()?;
        }
        Ok(message?)
    }

    fn handle_message(&mut self, message: Message) -> Result<Option<Event>, Error> {
        let message_stream = message.message_stream;
        let event = match message.interpret()? {
            Content::Command(command) => self.handle_command(&command)?,
            Content::Media(tag) => self.takes_media(message_stream)?.then_some(Event::Media(tag)),
            Content::Aggregate(aggregate) => {
                self.aggregate = self.takes_media(message_stream)?.then_some(aggregate);
                None
            }
            Content::Control(control) => {
                self.handle_control(control)?;
                None
            }
            Content::Ignored => None,
        };
        self.check_output()?;
        Ok(event)
    }

    fn handle_control(&mut self, control: Control) -> Result<(), Error> {
        match control {
            Control::SetChunkSize(size) => self.reader.set_chunk_size(size)?,
            Control::Abort(chunk_stream) => self.reader.abort(chunk_stream),
            Control::PingRequest(echo) => self.replies.control(&Message::ping_response(echo)),
            // No window can be 0 bytes: the one that was stays.
            Control::WindowAcknowledgementSize(0) | Control::SetPeerBandwidth(0) => {}
            Control::WindowAcknowledgementSize(bytes) => {
                self.acknowledgements.window_bytes = bytes.max(MIN_WINDOW_BYTES);
            }
            Control::SetPeerBandwidth(bytes) => self.announce_window(bytes),
        }
        Ok(())
    }

    /// §5.4.5: who is given another window says so.
    fn announce_window(&mut self, bytes: u32) {
        if self.acknowledgements.announced_window_bytes != bytes {
            self.acknowledgements.announced_window_bytes = bytes;
            self.replies.control(&Message::number(WINDOW_ACKNOWLEDGEMENT_SIZE, bytes));
        }
    }

    fn check_output(&self) -> Result<(), Error> {
        if self.replies.len() > self.limits.max_output_bytes {
            return Err(Error::TooMuchOutput(self.limits.max_output_bytes));
        }
        Ok(())
    }

    /// Whether media on this message stream is wanted: not before publishing is accepted, no more once it has ended, and
    /// of another message stream never, as it is of another publish. One that published on message stream 0, where no
    /// media can be (§7.2.2), is taken at any.
    fn takes_media(&self, on: u32) -> Result<bool, Error> {
        match self.stage {
            Stage::Publishing { message_stream } => Ok(message_stream == on || message_stream == 0),
            Stage::Ended => Ok(false),
            Stage::Handshake(_)
            | Stage::Unconnected
            | Stage::Connected(_)
            | Stage::Asked { .. }
            | Stage::Over => Err(Error::MediaBeforePublish),
        }
    }
}

impl Acknowledgements {
    /// The next sequence number that is due, in whole windows: so the numbers do not depend on how input was cut.
    fn next(&mut self, received: u64) -> Option<u64> {
        let due = self.acknowledged + u64::from(self.window_bytes);
        (received >= due).then(|| {
            self.acknowledged = due;
            due
        })
    }
}
