//! Messages in, chunks out: a header of type 0 and continuations of type 3.
//!
//! What we send is a few hundred bytes a connection, so headers are not compressed: every message can be understood
//! without the one before.

use bytes::{BufMut, BytesMut};

use super::{DEFAULT_CHUNK_SIZE, EXTENDED};
use crate::rtmp::message::Message;

/// Cuts messages into chunks.
#[derive(Debug)]
pub struct Writer {
    chunk_size: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self { chunk_size: DEFAULT_CHUNK_SIZE as usize }
    }
}

impl Writer {
    /// Cuts larger chunks from now on. The peer must have been sent the Set Chunk Size before.
    pub fn set_chunk_size(&mut self, size: u32) {
        self.chunk_size = size.max(1) as usize;
    }

    /// Appends `message` on a chunk stream between 2 and 65599. A payload above 2^24 - 1 bytes has no header that could
    /// announce it and is cut there; ours are small.
    pub fn write(&self, chunk_stream: u32, message: &Message, output: &mut BytesMut) {
        let payload = &message.payload[..message.payload.len().min(EXTENDED as usize)];
        let field = message.timestamp_ms.min(EXTENDED);
        basic_header(0, chunk_stream, output);
        output.put_uint(field.into(), 3);
        output.put_uint(payload.len() as u64, 3);
        output.put_u8(message.type_id);
        output.put_u32_le(message.message_stream);
        let extended = |output: &mut BytesMut| {
            if field == EXTENDED {
                output.put_u32(message.timestamp_ms);
            }
        };
        extended(output);
        for (at, piece) in payload.chunks(self.chunk_size).enumerate() {
            if at > 0 {
                basic_header(3, chunk_stream, output);
                extended(output);
            }
            output.put_slice(piece);
        }
    }
}

/// §5.3.1.1, in the shortest of its three forms.
#[expect(clippy::cast_possible_truncation, reason = "each form's range is checked")]
pub(super) fn basic_header(kind: u8, chunk_stream: u32, output: &mut BytesMut) {
    let kind = kind << 6;
    match chunk_stream {
        0..64 => output.put_u8(kind | chunk_stream as u8),
        64..320 => output.put_slice(&[kind, (chunk_stream - 64) as u8]),
        320.. => {
            output.put_u8(kind | 1);
            output.put_u16_le((chunk_stream - 64) as u16);
        }
    }
}
