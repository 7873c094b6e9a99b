//! Aggregate messages (RTMP 1.0 §7.1.6): a run of FLV tags in one message.

use bytes::Bytes;

use super::message::{self, AUDIO, DATA_AMF0, VIDEO};
use crate::media::flv::{Tag, TagKind};

/// Bytes before a tag's body: type, length, time, extended time, stream (FLV 10.1 §E.4.1).
const TAG_HEADER_BYTES: usize = 11;
/// Bytes after it: the tag's length again, which is not needed here.
const BACK_POINTER_BYTES: usize = 4;

/// What is left of an aggregate message.
#[derive(Debug)]
pub struct Aggregate {
    payload: Bytes,
    offset: usize,
    timestamp_ms: u32,
    /// From the tags' clock to the message's: known once the first tag is read.
    shift_ms: Option<u32>,
}

/// An aggregate's tag is longer than the aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tag of an aggregate message cut short: {needed} bytes needed at byte {offset} of {length}")]
pub struct Error {
    /// Where the tag, or its body, begins.
    pub offset: usize,
    /// How long that is.
    pub needed: usize,
    /// How long the message is.
    pub length: usize,
}

impl Aggregate {
    /// The message's payload, and its time, which is that of the first tag.
    #[must_use]
    pub fn new(payload: Bytes, timestamp_ms: u32) -> Self {
        Self { payload, offset: 0, timestamp_ms, shift_ms: None }
    }

    /// Memory that it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.payload.len()
    }

    /// The next tag of media or script data; others are skipped. `None` at the end.
    pub fn next_tag(&mut self) -> Result<Option<Tag>, Error> {
        while self.offset < self.payload.len() {
            let header = self.take(TAG_HEADER_BYTES)?;
            let length = u32::from_be_bytes([0, header[1], header[2], header[3]]);
            let time_ms = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
            let body = self.take(length as usize)?;
            // Some senders leave out the last back pointer.
            self.offset = self.payload.len().min(self.offset + BACK_POINTER_BYTES);
            let shift_ms = *self.shift_ms.get_or_insert(self.timestamp_ms.wrapping_sub(time_ms));
            let tag = tag(header[0], body).map(|(kind, payload)| Tag {
                kind,
                timestamp_ms: time_ms.wrapping_add(shift_ms),
                payload,
            });
            if tag.is_some() {
                return Ok(tag);
            }
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Error> {
        let offset = self.offset;
        if self.payload.len() - offset < length {
            return Err(Error { offset, needed: length, length: self.payload.len() });
        }
        self.offset += length;
        Ok(self.payload.slice(offset..self.offset))
    }
}

fn tag(type_id: u8, body: Bytes) -> Option<(TagKind, Bytes)> {
    let (kind, body) = match type_id {
        AUDIO => (TagKind::Audio, body),
        VIDEO => (TagKind::Video, body),
        DATA_AMF0 => (TagKind::Script, message::script_body(body)?),
        _ => return None,
    };
    // A copy of its own: a slice would keep the whole aggregate as long as its smallest tag is kept.
    (!body.is_empty()).then(|| (kind, Bytes::copy_from_slice(&body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flv_tag(type_id: u8, time_ms: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("test bodies are small").to_be_bytes();
        let time = time_ms.to_be_bytes();
        let mut bytes =
            vec![type_id, length[1], length[2], length[3], time[1], time[2], time[3], time[0], 0, 0, 0];
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }

    fn tags(payload: Vec<u8>, timestamp_ms: u32) -> Result<Vec<Tag>, Error> {
        let mut aggregate = Aggregate::new(payload.into(), timestamp_ms);
        std::iter::from_fn(|| aggregate.next_tag().transpose()).collect()
    }

    fn expected(kind: TagKind, timestamp_ms: u32, body: &'static [u8]) -> Tag {
        Tag { kind, timestamp_ms, payload: Bytes::from_static(body) }
    }

    #[test]
    fn tags_keep_their_distance_from_the_message_time() {
        let bytes =
            [flv_tag(8, 500, b"a"), flv_tag(99, 510, b"?"), flv_tag(9, 533, b"v"), flv_tag(18, 540, b"s")];
        let read = tags(bytes.concat(), 10_000);
        let (audio, video) = (expected(TagKind::Audio, 10_000, b"a"), expected(TagKind::Video, 10_033, b"v"));
        assert_eq!(read, Ok(vec![audio, video, expected(TagKind::Script, 10_040, b"s")]));
    }

    #[test]
    fn times_wrap_and_the_last_back_pointer_may_be_missing() {
        let mut bytes = [flv_tag(9, u32::MAX, b"v"), flv_tag(9, 9, b"w")].concat();
        bytes.truncate(bytes.len() - 4);
        let (first, second) = (expected(TagKind::Video, 0, b"v"), expected(TagKind::Video, 10, b"w"));
        assert_eq!(tags(bytes, 0), Ok(vec![first, second]));
    }

    #[test]
    fn a_tag_longer_than_its_message_is_an_error() {
        let mut bytes = flv_tag(9, 0, b"video");
        bytes[3] = 200;
        assert_eq!(tags(bytes, 0), Err(Error { offset: 11, needed: 200, length: 20 }));
        assert_eq!(tags(vec![9, 0], 0), Err(Error { offset: 0, needed: 11, length: 2 }));
        assert_eq!(tags(Vec::new(), 0), Ok(Vec::new()));
    }
}
