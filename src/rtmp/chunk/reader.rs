//! Chunks in, messages out.
//!
//! Four points on which senders differ, and what is done here:
//!
//! * **A type 3 chunk that begins a message** repeats the last delta; after a type 0 chunk, whose field is a time, it
//!   takes that time as the delta (§5.3.1.2.4). Odd as it reads, FFmpeg and GStreamer choose type 3 by exactly this
//!   rule when they send, so reading it as "no time has passed" (nginx-rtmp) would shift their audio. librtmp (OBS)
//!   sends type 3 for "the same time as before", and only if size and type are the same too: never with one track a type.
//! * **Extended timestamps on type 3 chunks** are repeated by FFmpeg, librtmp and GStreamer, as §5.3.1.3 says, and left
//!   out by senders that follow the 2009 text. The first one with four bytes of payload decides for the connection: the
//!   bytes are the field if they equal the time sent before.
//! * **A first chunk of type 1** is taken as if its time began at 0: librtmp begins chunk stream 2 so.
//! * **A header of type 0 to 2 within a message** repeats what is known, from senders that put a header before every
//!   chunk: if length, type and message stream are the same (a type 2 header has none of them), the message goes on and
//!   keeps its time. nginx-rtmp, SRS and FFmpeg go on there too. If not, the sender has given that message up without an
//!   Abort: it is dropped, and the new one begins. SRS and FFmpeg end the connection then, and nginx-rtmp would mix the
//!   two; dropping is safe, as the new header says all that is needed and the chunks stay in step.

use bytes::Bytes;

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, Error, MAX_CHUNK_SIZE, MESSAGE_HEADER_BYTES};
use crate::rtmp::message::Message;

/// Basic, message and extended header at their longest.
const MAX_HEADER_BYTES: usize = 3 + 11 + 4;
/// Memory taken for a message ahead of its bytes: what is announced costs nothing until it comes. Nearly all messages of
/// a 5 Mbit/s stream are shorter, and are never moved.
const RESERVE_STEP: usize = 64 * 1024;

/// Bounds of a [`Reader`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Chunk streams at once; one costs less than 64 bytes. More are an error.
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
    /// The chunk stream of the last chunk: mostly that of the next one too.
    current: usize,
    header: Header,
    /// Payload that is still to come of the current chunk. `None` before the end of its header.
    left: Option<usize>,
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
    length: u32,
    /// Whether that field needed its extended form.
    extended: bool,
    type_id: u8,
    /// The one byte that a type 3 header is, where it is only one.
    continuation: Option<u8>,
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
            current: 0,
            header: Header::default(),
            left: None,
            unfinished_bytes: 0,
            repeats: Repeats::Unknown,
            position: 0,
        }
    }

    /// Consumes from the front of `input` until a message is complete. `None`: all is consumed.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let Some(left) = self.left else {
                if !self.continue_current(input) {
                    if !self.read_header(input) {
                        return Ok(None);
                    }
                    self.begin_chunk()?;
                }
                continue;
            };
            if left > 0 && input.is_empty() {
                return Ok(None);
            }
            if let Some(message) = self.read_payload(left, input) {
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
        if let Some(index) = self.find(chunk_stream) {
            self.drop_unfinished(index);
        }
    }

    /// Chunk streams that there have been.
    #[must_use]
    pub fn chunk_streams(&self) -> usize {
        self.streams.len()
    }

    /// Memory that it holds: unfinished messages, and what is remembered of each chunk stream.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.assembly_bytes() + self.streams.capacity() * size_of::<ChunkStream>()
    }

    /// Memory that unfinished messages take.
    fn assembly_bytes(&self) -> usize {
        self.streams.iter().filter_map(|stream| stream.body.as_ref()).map(Vec::capacity).sum()
    }

    fn drop_unfinished(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        if stream.body.take().is_some() {
            self.unfinished_bytes -= stream.length as usize;
        }
    }

    /// The usual chunk, without the detours of the others: one byte that says that the current message goes on.
    fn continue_current(&mut self, input: &mut &[u8]) -> bool {
        let (Some((&first, rest)), Some(stream)) = (input.split_first(), self.streams.get(self.current))
        else {
            return false;
        };
        let Some(body) = &stream.body else { return false };
        let expected = stream.continuation == Some(first) && self.header.have == 0;
        if !expected || (stream.extended && self.repeats != Repeats::No) {
            return false;
        }
        self.left = Some((stream.length as usize - body.len()).min(self.chunk_size));
        self.position += 1;
        *input = rest;
        true
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
                    && self.find(self.header.chunk_stream()).is_some_and(|index| self.streams[index].extended)
            }
            _ => self.header.timestamp_field() == EXTENDED,
        };
        if extended { plain + 4 } else { plain }
    }

    /// The index of a chunk stream that has been opened.
    fn find(&self, id: u32) -> Option<usize> {
        let is = |stream: &ChunkStream| stream.id == id;
        if self.streams.get(self.current).is_some_and(is) {
            return Some(self.current);
        }
        self.streams.iter().position(is)
    }

    /// Acts on a complete header.
    fn begin_chunk(&mut self) -> Result<(), Error> {
        let header = std::mem::take(&mut self.header);
        self.current = self.open(header.chunk_stream(), header.kind())?;
        let stream = &self.streams[self.current];
        if stream.body.is_none() {
            return self.begin_message(&header);
        }
        if stream.repeated_by(&header) {
            self.continue_message(&header);
            return Ok(());
        }
        self.drop_unfinished(self.current);
        self.begin_message(&header)
    }

    /// The index of a chunk stream, which its first chunk opens.
    fn open(&mut self, id: u32, kind: usize) -> Result<usize, Error> {
        if let Some(index) = self.find(id) {
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
        let continuation = u8::try_from(id).ok().filter(|id| (2..64).contains(id)).map(|id| 0xC0 | id);
        self.streams.push(ChunkStream { id, continuation, ..ChunkStream::default() });
        Ok(self.streams.len() - 1)
    }

    fn begin_message(&mut self, header: &Header) -> Result<(), Error> {
        let stream = &mut self.streams[self.current];
        let misread = self.repeats.judge(header, stream, self.chunk_size);
        stream.apply(header, misread);
        let announced = stream.length as usize;
        let limit = self.limits.max_unfinished_bytes;
        // Both terms are below 2^32: a length has 24 bits, and the sum was within the limit before.
        if self.unfinished_bytes + announced > limit {
            return Err(Error::TooLong { announced, limit, at: self.position });
        }
        self.unfinished_bytes += announced;
        stream.body = Some(Vec::new());
        self.begin_payload(misread);
        Ok(())
    }

    fn continue_message(&mut self, header: &Header) {
        let misread = self.repeats.judge(header, &self.streams[self.current], self.chunk_size);
        self.begin_payload(misread);
    }

    /// Expects the payload of a chunk, of which some may have been read as a header's last field.
    fn begin_payload(&mut self, misread: Option<u32>) {
        let stream = &mut self.streams[self.current];
        let mut left = stream.missing().min(self.chunk_size);
        if let Some(field) = misread {
            // At least so much is left, or it would not have been judged.
            stream.append(&field.to_be_bytes());
            left -= 4;
        }
        self.left = Some(left);
    }

    /// Takes what there is of a chunk's payload; gives the message if that was the last of it.
    fn read_payload(&mut self, left: usize, input: &mut &[u8]) -> Option<Message> {
        let stream = &mut self.streams[self.current];
        let taken = take(input, left, &mut self.position);
        let have = stream.append(taken);
        let left = left - taken.len();
        self.left = (left > 0).then_some(left);
        if have < stream.length as usize {
            return None;
        }
        self.unfinished_bytes -= stream.length as usize;
        Some(stream.finish())
    }
}

impl Repeats {
    /// Whether the extended field of a type 3 header is none but payload: gives those bytes. As long as that is not
    /// known, the first field with a payload that could hold it decides.
    fn judge(&mut self, header: &Header, stream: &ChunkStream, chunk_size: usize) -> Option<u32> {
        let field = header.extended_field().filter(|_| header.kind() == 3 && *self == Self::Unknown)?;
        if field == stream.field || field == stream.timestamp_ms {
            *self = Self::Yes;
            return None;
        }
        if stream.missing().min(chunk_size) < 4 {
            return None;
        }
        *self = Self::No;
        Some(field)
    }
}

impl ChunkStream {
    /// Whether a header within a message says no other than the message's own.
    fn repeated_by(&self, header: &Header) -> bool {
        let (kind, fields) = (header.kind(), header.fields());
        let same_shape = || be24(&fields[3..]) == self.length && fields[6] == self.type_id;
        let same_stream =
            || u32::from_le_bytes([fields[7], fields[8], fields[9], fields[10]]) == self.message_stream;
        (kind >= 2 || same_shape()) && (kind >= 1 || same_stream())
    }

    /// Payload bytes that are still to come: of the message under way, else of one like the last.
    fn missing(&self) -> usize {
        self.length as usize - self.body.as_ref().map_or(0, Vec::len)
    }

    /// Takes over what a header says and leaves what it does not; `kind` 3 repeats it all. `misread`: its extended field
    /// is none.
    fn apply(&mut self, header: &Header, misread: Option<u32>) {
        let kind = header.kind();
        let fields = header.fields();
        if kind == 0 {
            self.message_stream = u32::from_le_bytes([fields[7], fields[8], fields[9], fields[10]]);
        }
        if kind <= 1 {
            self.length = be24(&fields[3..]);
            self.type_id = fields[6];
        }
        if kind <= 2 {
            self.extended = header.timestamp_field() == EXTENDED;
            self.field = header.timestamp_field();
        }
        if let Some(field) = header.extended_field().filter(|_| misread.is_none()) {
            self.field = field;
        }
        // A clock wraps after 49.7 days (§5.3.1.2.1), and a negative delta comes as its complement.
        self.timestamp_ms = if kind == 0 { self.field } else { self.timestamp_ms.wrapping_add(self.field) };
    }

    /// Appends payload and says how much there is now. Memory grows to the exact length, in steps of what has come.
    fn append(&mut self, bytes: &[u8]) -> usize {
        let length = self.length as usize;
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
