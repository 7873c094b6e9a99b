//! Chunks in, messages out.
//!
//! Three points on which senders differ, and what is done here:
//!
//! * **A type 3 chunk that begins a message** repeats the last delta; after a type 0 chunk, whose field is a time, it
//!   takes that time as the delta (§5.3.1.2.4). Odd as it reads, FFmpeg and GStreamer choose type 3 by exactly this
//!   rule when they send, so reading it as "no time has passed" (nginx-rtmp) would shift their audio. librtmp (OBS)
//!   sends type 3 for "the same time as before", and only if size and type are the same too: never with one track a type.
//! * **Extended timestamps on type 3 chunks** are repeated by FFmpeg, librtmp and GStreamer, as §5.3.1.3 says, and left
//!   out by senders that follow the 2009 text. The first continuation with four bytes of payload decides for the
//!   connection: the bytes are the field if they equal the time sent before.
//! * **A first chunk of type 1** is taken as if its time began at 0: librtmp begins chunk stream 2 so.

use bytes::Bytes;

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, Error, MAX_CHUNK_SIZE, MESSAGE_HEADER_BYTES};
use crate::rtmp::message::Message;

/// Basic, message and extended header at their longest.
const MAX_HEADER_BYTES: usize = 3 + 11 + 4;
/// Memory taken for a message ahead of its bytes: what is announced costs nothing until it comes.
const RESERVE_STEP: usize = 256 * 1024;

/// Bounds of a [`Reader`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Chunk streams at once; one costs about 80 bytes. More are an error.
    pub max_chunk_streams: usize,
    /// Announced lengths of all unfinished messages together. More is an error.
    pub max_unfinished_bytes: usize,
}

/// Assembles messages. Between calls it holds a partial header and, per chunk stream, the header fields to repeat and
/// the payload of an unfinished message.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    chunk_size: usize,
    /// In order of first appearance: few, so a search is shorter than a hash.
    streams: Vec<ChunkStream>,
    header: Header,
    payload: Option<Payload>,
    /// Announced lengths of unfinished messages.
    unfinished_bytes: usize,
    repeats: Repeats,
    position: u64,
}

/// What a chunk stream remembers for the chunks after.
#[derive(Debug, Default)]
struct ChunkStream {
    id: u32,
    /// The last message's time.
    timestamp_ms: u32,
    /// The last timestamp field, a time after type 0 and a delta after types 1 and 2.
    field: u32,
    /// Whether that field needed its extended form.
    extended: bool,
    length: usize,
    type_id: u8,
    message_stream: u32,
    /// `Some` from a message's header to its last byte.
    body: Option<Vec<u8>>,
}

/// A header as far as it has come.
#[derive(Debug, Default)]
struct Header {
    bytes: [u8; MAX_HEADER_BYTES],
    have: usize,
}

/// The payload of the current chunk.
#[derive(Clone, Copy, Debug)]
struct Payload {
    stream: usize,
    left: usize,
}

/// Whether this peer repeats extended timestamps on type 3 chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeats {
    Unknown,
    Yes,
    No,
}

impl Reader {
    /// At the first byte after the handshake.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE as usize,
            streams: Vec::new(),
            header: Header::default(),
            payload: None,
            unfinished_bytes: 0,
            repeats: Repeats::Unknown,
            position: 0,
        }
    }

    /// Consumes from the front of `input` until a message is complete. `None`: all is consumed.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let Some(payload) = self.payload else {
                if !self.read_header(input) {
                    return Ok(None);
                }
                self.begin_chunk()?;
                continue;
            };
            if payload.left > 0 && input.is_empty() {
                return Ok(None);
            }
            if let Some(message) = self.read_payload(payload, input) {
                return Ok(Some(message));
            }
        }
    }

    /// Bytes consumed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Changes the bound on unfinished messages: what a stranger may announce is less than what a publisher may.
    pub fn set_max_unfinished_bytes(&mut self, bytes: usize) {
        self.limits.max_unfinished_bytes = bytes;
    }

    /// Carries out a Set Chunk Size, from the next chunk on (§5.4.1).
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), Error> {
        if !(1..=MAX_CHUNK_SIZE).contains(&size) {
            return Err(Error::ChunkSize { size, at: self.position });
        }
        self.chunk_size = size as usize;
        Ok(())
    }

    /// Carries out an Abort (§5.4.2): drops the unfinished message of a chunk stream, if there is one.
    pub fn abort(&mut self, chunk_stream: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == chunk_stream)
            && stream.body.take().is_some()
        {
            self.unfinished_bytes -= stream.length;
        }
    }

    /// Memory that unfinished messages take.
    #[cfg(test)]
    pub fn assembly_bytes(&self) -> usize {
        self.streams.iter().filter_map(|stream| stream.body.as_ref()).map(Vec::capacity).sum()
    }

    /// Whether the header is complete.
    fn read_header(&mut self, input: &mut &[u8]) -> bool {
        loop {
            let missing = self.header_bytes() - self.header.have;
            if missing == 0 {
                return true;
            }
            let taken = take(input, missing, &mut self.position);
            if taken.is_empty() {
                return false;
            }
            self.header.push(taken);
        }
    }

    /// How long the header is, as far as its first bytes tell.
    fn header_bytes(&self) -> usize {
        if self.header.have < self.header.basic_bytes() {
            return self.header.basic_bytes();
        }
        let plain = self.header.basic_bytes() + MESSAGE_HEADER_BYTES[self.header.kind()];
        if self.header.have < plain {
            return plain;
        }
        let extended = match self.header.kind() {
            3 => {
                self.repeats != Repeats::No
                    && self.find(self.header.chunk_stream()).is_some_and(|s| s.extended)
            }
            _ => self.header.timestamp_field() == EXTENDED,
        };
        if extended { plain + 4 } else { plain }
    }

    fn find(&self, id: u32) -> Option<&ChunkStream> {
        self.streams.iter().find(|stream| stream.id == id)
    }

    /// Acts on a complete header.
    fn begin_chunk(&mut self) -> Result<(), Error> {
        let header = std::mem::take(&mut self.header);
        let (id, kind) = (header.chunk_stream(), header.kind());
        let index = self.open(id, kind)?;
        let stream = &mut self.streams[index];
        match (&stream.body, kind) {
            (Some(_), 3) => self.continue_message(index, &header),
            (Some(_), _) => return Err(Error::MessageWithinMessage { chunk_stream: id, at: self.position }),
            (None, _) => {
                stream.apply(&header);
                self.begin_message(index)?;
            }
        }
        Ok(())
    }

    /// The index of a chunk stream, which its first chunk opens.
    fn open(&mut self, id: u32, kind: usize) -> Result<usize, Error> {
        if let Some(index) = self.streams.iter().position(|stream| stream.id == id) {
            return Ok(index);
        }
        let at = self.position;
        if kind >= 2 {
            let kind = if kind == 2 { 2 } else { 3 };
            return Err(Error::NoHeaderToRepeat { chunk_stream: id, kind, at });
        }
        let limit = self.limits.max_chunk_streams;
        if self.streams.len() >= limit {
            return Err(Error::TooManyChunkStreams { limit, at });
        }
        self.streams.push(ChunkStream { id, ..ChunkStream::default() });
        Ok(self.streams.len() - 1)
    }

    fn begin_message(&mut self, index: usize) -> Result<(), Error> {
        let announced = self.streams[index].length;
        let limit = self.limits.max_unfinished_bytes;
        // Both terms are below 2^32: a length has 24 bits, and the sum was within the limit before.
        if self.unfinished_bytes + announced > limit {
            return Err(Error::TooLong { announced, limit, at: self.position });
        }
        self.unfinished_bytes += announced;
        self.streams[index].body = Some(Vec::new());
        self.payload = Some(Payload { stream: index, left: announced.min(self.chunk_size) });
        Ok(())
    }

    fn continue_message(&mut self, index: usize, header: &Header) {
        let stream = &mut self.streams[index];
        let have = stream.body.as_ref().map_or(0, Vec::len);
        let mut left = (stream.length - have).min(self.chunk_size);
        if let Some(field) = header.extended_field()
            && self.repeats == Repeats::Unknown
            && left >= 4
        {
            if field == stream.field || field == stream.timestamp_ms {
                self.repeats = Repeats::Yes;
            } else {
                self.repeats = Repeats::No;
                stream.append(&field.to_be_bytes());
                left -= 4;
            }
        }
        self.payload = Some(Payload { stream: index, left });
    }

    /// Takes what there is of a chunk's payload; gives the message if that was the last of it.
    fn read_payload(&mut self, payload: Payload, input: &mut &[u8]) -> Option<Message> {
        let stream = &mut self.streams[payload.stream];
        let taken = take(input, payload.left, &mut self.position);
        let have = stream.append(taken);
        let left = payload.left - taken.len();
        self.payload = (left > 0).then_some(Payload { left, ..payload });
        if have < stream.length {
            return None;
        }
        self.unfinished_bytes -= stream.length;
        Some(stream.finish())
    }
}

impl ChunkStream {
    /// Takes over what a header says and leaves what it does not; `kind` 3 repeats it all.
    fn apply(&mut self, header: &Header) {
        let kind = header.kind();
        let fields = header.fields();
        if kind == 0 {
            self.message_stream = u32::from_le_bytes([fields[7], fields[8], fields[9], fields[10]]);
        }
        if kind <= 1 {
            self.length = be24(&fields[3..]) as usize;
            self.type_id = fields[6];
        }
        if kind <= 2 {
            self.extended = header.timestamp_field() == EXTENDED;
            self.field = header.timestamp_field();
        }
        if let Some(field) = header.extended_field() {
            self.field = field;
        }
        // A clock wraps after 49.7 days (§5.3.1.2.1), and a negative delta comes as its complement.
        self.timestamp_ms = if kind == 0 { self.field } else { self.timestamp_ms.wrapping_add(self.field) };
    }

    /// Appends payload and says how much there is now. Memory grows to the exact length, in steps of what has come.
    fn append(&mut self, bytes: &[u8]) -> usize {
        let length = self.length;
        let body = self.body.get_or_insert_default();
        let needed = body.len() + bytes.len();
        if needed > body.capacity() {
            let target = needed.max(2 * body.len()).max(RESERVE_STEP).min(length);
            body.reserve_exact(target - body.len());
        }
        body.extend_from_slice(bytes);
        body.len()
    }

    fn finish(&mut self) -> Message {
        Message {
            type_id: self.type_id,
            timestamp_ms: self.timestamp_ms,
            message_stream: self.message_stream,
            // The buffer is full to its capacity, so this copies nothing.
            payload: Bytes::from(self.body.take().unwrap_or_default()),
        }
    }
}

impl Header {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.have..self.have + bytes.len()].copy_from_slice(bytes);
        self.have += bytes.len();
    }

    /// §5.3.1.1: the low six bits 0 and 1 say that one or two more bytes hold the chunk stream.
    fn basic_bytes(&self) -> usize {
        match (self.have, self.bytes[0] & 0x3F) {
            (1.., 0) => 2,
            (1.., 1) => 3,
            (_, _) => 1,
        }
    }

    /// Chunk type, 0 to 3.
    fn kind(&self) -> usize {
        usize::from(self.bytes[0] >> 6)
    }

    fn chunk_stream(&self) -> u32 {
        match self.bytes[0] & 0x3F {
            0 => 64 + u32::from(self.bytes[1]),
            1 => 64 + u32::from(u16::from_le_bytes([self.bytes[1], self.bytes[2]])),
            id => u32::from(id),
        }
    }

    /// The message header: 11, 7, 3 or 0 bytes, and what follows.
    fn fields(&self) -> &[u8] {
        &self.bytes[self.basic_bytes()..]
    }

    /// Timestamp or delta of types 0 to 2, as it stands in the header.
    fn timestamp_field(&self) -> u32 {
        be24(self.fields())
    }

    /// The four bytes after the message header, if they were read.
    fn extended_field(&self) -> Option<u32> {
        let plain = self.basic_bytes() + MESSAGE_HEADER_BYTES[self.kind()];
        let field = self.bytes[plain..self.have].first_chunk()?;
        Some(u32::from_be_bytes(*field))
    }
}

fn be24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

/// Takes at most `most` bytes from the front of `input` and counts them.
fn take<'a>(input: &mut &'a [u8], most: usize, position: &mut u64) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    *position += taken.len() as u64;
    taken
}
