//! The chunk stream (RTMP 1.0 §5.3): messages from chunks and back.
//!
//! ```text
//! chunk = basic header (1-3 bytes) · message header (11, 7, 3 or 0) · extended timestamp (0 or 4) · payload
//! ```

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Limits, Reader};
pub use writer::Writer;

/// Payload bytes of a chunk until a Set Chunk Size says otherwise (§5.4.1).
pub const DEFAULT_CHUNK_SIZE: u32 = 128;
/// The largest size a Set Chunk Size may say: its top bit must be zero (§5.4.1).
pub const MAX_CHUNK_SIZE: u32 = 0x7FFF_FFFF;
/// The value of a timestamp field that says that four more bytes hold it (§5.3.1.3).
const EXTENDED: u32 = 0x00FF_FFFF;
/// Bytes of the message header by chunk type (§5.3.1.2).
const MESSAGE_HEADER_BYTES: [usize; 4] = [11, 7, 3, 0];

/// Why bytes are no chunk stream; `at` counts bytes since the handshake's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A chunk stream's first chunk leaves out what nothing came before to repeat.
    #[error("first chunk of chunk stream {chunk_stream} is of type {kind} (byte {at})")]
    NoHeaderToRepeat {
        /// Chunk stream.
        chunk_stream: u32,
        /// Chunk type, 2 or 3.
        kind: u8,
        /// Position.
        at: u64,
    },
    /// More chunk streams than allowed.
    #[error("more than {limit} chunk streams (byte {at})")]
    TooManyChunkStreams {
        /// How many are allowed.
        limit: usize,
        /// Position.
        at: u64,
    },
    /// The announced lengths of unfinished messages exceed the limit.
    #[error(
        "a message of {announced} bytes exceeds the limit of {limit} for all unfinished messages (byte {at})"
    )]
    TooLong {
        /// The last message's length.
        announced: usize,
        /// The limit for all together.
        limit: usize,
        /// Position.
        at: u64,
    },
    /// Set Chunk Size with 0, or with its top bit set.
    #[error("chunk size {size} is not between 1 and {MAX_CHUNK_SIZE} (byte {at})")]
    ChunkSize {
        /// What was sent.
        size: u32,
        /// Position.
        at: u64,
    },
}
