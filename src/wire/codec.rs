//! Frames: how a [`super::message`] travels once the connection is upgraded.
//!
//! ```text
//! frame  = length: u32 | kind: u8 | body            length counts kind and body; all integers are big-endian
//! body   = JSON                                     control messages, Progress, Ended
//!        | raw bytes                                Media; empty for EndOfInput
//!        | header: u32 | JSON | segment             Init; `header` is the JSON's length
//!        | rendition: u8 | flags: u8 | position, end, first, last: i64 | access_units: u32 | moof+mdat   Fragment
//!        | presentation_time: i64 | coded frame     AudioUnit
//! ```
//!
//! This module moves no bytes: a sender writes [`Frame::pieces`] one after the other (vectored), so that media is never
//! copied into a frame; a receiver appends what it reads to a buffer and calls [`decode`] until it
//! says `None`. A peer may be hostile: the length is checked against the limit of its kind as soon as five bytes are
//! there, so a lying one is an error and never an allocation.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::message::{
    AudioUnit, Fragment, LeaseInput, LeaseOutput, Media, NodeMessage, OutputInit, ProxyMessage,
    TAG_TRAILER_BYTES,
};
use crate::media::time::Ticks;
use crate::media::{flv, fragmenter};

#[cfg(test)]
mod tests;

/// Bytes before a body: the length and the kind.
pub const HEAD_BYTES: usize = 5;
/// The largest body of a control message.
pub const MAX_CONTROL_BYTES: usize = 256 * 1024;
/// The largest body of [`LeaseInput::Media`]. An RTMP message has at most 2^24 - 1 bytes (RTMP 1.0 §5.3.1); an FLV tag
/// of it has 15 more.
pub const MAX_MEDIA_BYTES: usize = (1 << 24) + 64;
/// The largest body of [`LeaseOutput::Fragment`]: what a fragmenter holds at most, and a MiB for its `moof`.
pub const MAX_FRAGMENT_BYTES: usize = fragmenter::MAX_FRAGMENT_BYTES + (1 << 20);
/// The largest body of [`LeaseOutput::AudioUnit`]; an AAC frame has at most 6,144 bits a channel (ISO/IEC 14496-3 §4.5.3.1).
pub const MAX_AUDIO_UNIT_BYTES: usize = 64 * 1024;
/// The largest body of [`LeaseOutput::Init`] and [`LeaseOutput::Ended`].
pub const MAX_SHORT_BYTES: usize = 64 * 1024;
/// The largest body of [`LeaseOutput::Progress`].
const MAX_PROGRESS_BYTES: usize = 256;
/// Bodies up to this size are copied out of the receive buffer: a slice of a few bytes would keep all of it alive.
const COPIED_BYTES: usize = 4 * 1024;

const FRAGMENT_HEADER_BYTES: usize = 1 + 1 + 4 * 8 + 4;
const AUDIO_HEADER_BYTES: usize = 8;
/// Flag of a fragment: the field `end` means something.
const HAS_END: u8 = 1;

mod kind {
    pub(super) const NODE: u8 = 1;
    pub(super) const PROXY: u8 = 2;
    pub(super) const MEDIA: u8 = 16;
    pub(super) const END_OF_INPUT: u8 = 17;
    pub(super) const INIT: u8 = 32;
    pub(super) const FRAGMENT: u8 = 33;
    pub(super) const AUDIO_UNIT: u8 = 34;
    pub(super) const PROGRESS: u8 = 35;
    pub(super) const ENDED: u8 = 36;
}

/// Why bytes are no frame, or a message may not become one. The connection is of no further use then.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A length of 0: not even a kind.
    #[error("a frame without a kind")]
    NoKind,
    /// A kind that this direction of this connection does not have.
    #[error("a frame of kind {0} does not belong here")]
    UnknownKind(u8),
    /// A body over the limit of its kind.
    #[error("a body of {bytes} bytes in a frame of kind {kind}, at most {limit} are allowed")]
    TooLong {
        /// The frame's kind.
        kind: u8,
        /// Bytes that the frame announces, or would need.
        bytes: usize,
        /// Bytes that its kind may have.
        limit: usize,
    },
    /// A body too short for its header.
    #[error("a body of {bytes} bytes in a frame of kind {kind}, its header needs {needed}")]
    TooShort {
        /// The frame's kind.
        kind: u8,
        /// Bytes that the body has.
        bytes: usize,
        /// Bytes that its header says it has.
        needed: usize,
    },
    /// Flags that this version does not know.
    #[error("unknown flags {0:#04x} in a fragment")]
    UnknownFlags(u8),
    /// A body that is not the JSON of its kind.
    #[error("the JSON in a frame of kind {kind}: {error}")]
    Json {
        /// The frame's kind.
        kind: u8,
        /// What is wrong, with line and column.
        error: serde_json::Error,
    },
}

/// One frame in up to three pieces, to be written one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Length, kind and the fixed header or JSON.
    pub head: Bytes,
    /// The media that follows, shared with whoever else holds it; often empty.
    pub body: Bytes,
    /// What follows the media: an FLV tag's trailer.
    pub tail: Option<[u8; TAG_TRAILER_BYTES]>,
}

impl Frame {
    /// Bytes of the whole frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces().map(<[u8]>::len).iter().sum()
    }

    /// The pieces in order; the last two may be empty.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 3] {
        [&self.head, &self.body, self.tail.as_ref().map_or(&[], |tail| tail)]
    }

    /// Whether there is nothing to write; no frame that this module makes is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A message that travels as one frame, in one direction of one kind of connection.
pub trait Message: Sized {
    /// The frame of this message.
    ///
    /// # Errors
    /// [`WireError::TooLong`] where the other side would refuse it.
    fn encode(&self) -> Result<Frame, WireError>;

    /// The most bytes that a body of `kind` may have; `None` for a kind that this direction does not have.
    fn limit(kind: u8) -> Option<usize>;

    /// The message of a body whose kind and size are allowed.
    ///
    /// # Errors
    /// When the body is not one of its kind.
    fn decode_body(kind: u8, body: Bytes) -> Result<Self, WireError>;
}

/// Takes the next message off the front of `buffer`; `None` when more bytes are needed.
///
/// # Errors
/// When the bytes are no frame of this direction; the connection cannot be read any further.
pub fn decode<M: Message>(buffer: &mut BytesMut) -> Result<Option<M>, WireError> {
    let Some((head, rest)) = buffer.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let [length @ .., kind] = *head;
    let length = u32::from_be_bytes(length) as usize;
    let bytes = length.checked_sub(1).ok_or(WireError::NoKind)?;
    let limit = M::limit(kind).ok_or(WireError::UnknownKind(kind))?;
    if bytes > limit {
        return Err(WireError::TooLong { kind, bytes, limit });
    }
    if rest.len() < bytes {
        return Ok(None);
    }
    buffer.advance(HEAD_BYTES);
    let body = if bytes <= COPIED_BYTES {
        let copy = Bytes::copy_from_slice(&buffer[..bytes]);
        buffer.advance(bytes);
        copy
    } else {
        buffer.split_to(bytes).freeze()
    };
    M::decode_body(kind, body).map(Some)
}

impl Message for NodeMessage {
    fn encode(&self) -> Result<Frame, WireError> {
        json_frame::<Self>(kind::NODE, self)
    }

    fn limit(kind: u8) -> Option<usize> {
        (kind == kind::NODE).then_some(MAX_CONTROL_BYTES)
    }

    fn decode_body(kind: u8, body: Bytes) -> Result<Self, WireError> {
        from_json(kind, &body)
    }
}

impl Message for ProxyMessage {
    fn encode(&self) -> Result<Frame, WireError> {
        json_frame::<Self>(kind::PROXY, self)
    }

    fn limit(kind: u8) -> Option<usize> {
        (kind == kind::PROXY).then_some(MAX_CONTROL_BYTES)
    }

    fn decode_body(kind: u8, body: Bytes) -> Result<Self, WireError> {
        from_json(kind, &body)
    }
}

impl Message for LeaseInput {
    fn encode(&self) -> Result<Frame, WireError> {
        match self {
            Self::Media(Media::Bytes(bytes)) => frame::<Self>(kind::MEDIA, &[], bytes.clone()),
            Self::Media(Media::Tag { header, payload }) => {
                let trailer = flv::tag_trailer(payload.len());
                frame_with_tail::<Self>(kind::MEDIA, header, payload.clone(), Some(trailer))
            }
            Self::EndOfInput => frame::<Self>(kind::END_OF_INPUT, &[], Bytes::new()),
        }
    }

    fn limit(kind: u8) -> Option<usize> {
        match kind {
            kind::MEDIA => Some(MAX_MEDIA_BYTES),
            kind::END_OF_INPUT => Some(0),
            _ => None,
        }
    }

    fn decode_body(kind: u8, body: Bytes) -> Result<Self, WireError> {
        match kind {
            kind::MEDIA => Ok(Self::Media(body.into())),
            kind::END_OF_INPUT => Ok(Self::EndOfInput),
            _ => Err(WireError::UnknownKind(kind)),
        }
    }
}

impl Message for LeaseOutput {
    fn encode(&self) -> Result<Frame, WireError> {
        match self {
            Self::Init(init) => encode_init(init),
            Self::Fragment(fragment) => encode_fragment(fragment),
            Self::AudioUnit(unit) => {
                let header = unit.presentation_time.0.to_be_bytes();
                frame::<Self>(kind::AUDIO_UNIT, &header, unit.data.clone())
            }
            Self::Progress(progress) => json_frame::<Self>(kind::PROGRESS, progress),
            Self::Ended(end) => json_frame::<Self>(kind::ENDED, end),
        }
    }

    fn limit(kind: u8) -> Option<usize> {
        match kind {
            kind::FRAGMENT => Some(MAX_FRAGMENT_BYTES),
            kind::AUDIO_UNIT => Some(MAX_AUDIO_UNIT_BYTES),
            kind::PROGRESS => Some(MAX_PROGRESS_BYTES),
            kind::INIT | kind::ENDED => Some(MAX_SHORT_BYTES),
            _ => None,
        }
    }

    fn decode_body(kind: u8, body: Bytes) -> Result<Self, WireError> {
        match kind {
            kind::INIT => decode_init(body).map(Self::Init),
            kind::FRAGMENT => decode_fragment(body).map(Self::Fragment),
            kind::AUDIO_UNIT => decode_audio_unit(body).map(Self::AudioUnit),
            kind::PROGRESS => from_json(kind, &body).map(Self::Progress),
            kind::ENDED => from_json(kind, &body).map(Self::Ended),
            _ => Err(WireError::UnknownKind(kind)),
        }
    }
}

fn encode_init(init: &OutputInit) -> Result<Frame, WireError> {
    let json = to_json(kind::INIT, init)?;
    let mut header = BytesMut::with_capacity(4 + json.len());
    // A JSON whose length does not fit is over the limit of its kind as well, which `frame` then says.
    header.put_u32(u32::try_from(json.len()).unwrap_or(u32::MAX));
    header.put_slice(&json);
    frame::<LeaseOutput>(kind::INIT, &header, init.segment.clone())
}

fn decode_init(mut body: Bytes) -> Result<OutputInit, WireError> {
    let bytes = body.len();
    let short = |needed| WireError::TooShort { kind: kind::INIT, bytes, needed };
    let json_bytes = body.try_get_u32().map_err(|_| short(4))? as usize;
    if json_bytes > body.len() {
        return Err(short(json_bytes.saturating_add(4)));
    }
    let json = body.split_to(json_bytes);
    let init: OutputInit = from_json(kind::INIT, &json)?;
    Ok(OutputInit { segment: body, ..init })
}

fn encode_fragment(fragment: &Fragment) -> Result<Frame, WireError> {
    let mut header = [0; FRAGMENT_HEADER_BYTES];
    let mut out = &mut header[..];
    out.put_u8(fragment.rendition);
    out.put_u8(if fragment.end.is_some() { HAS_END } else { 0 });
    out.put_i64(fragment.position.0);
    out.put_i64(fragment.end.unwrap_or_default().0);
    out.put_i64(fragment.first_presentation.0);
    out.put_i64(fragment.last_presentation.0);
    out.put_u32(fragment.access_units);
    frame::<LeaseOutput>(kind::FRAGMENT, &header, fragment.data.clone())
}

fn decode_fragment(mut body: Bytes) -> Result<Fragment, WireError> {
    require(kind::FRAGMENT, &body, FRAGMENT_HEADER_BYTES)?;
    let rendition = body.get_u8();
    let flags = body.get_u8();
    if flags & !HAS_END != 0 {
        return Err(WireError::UnknownFlags(flags));
    }
    let position = Ticks(body.get_i64());
    let end = Ticks(body.get_i64());
    Ok(Fragment {
        rendition,
        position,
        end: (flags & HAS_END != 0).then_some(end),
        first_presentation: Ticks(body.get_i64()),
        last_presentation: Ticks(body.get_i64()),
        access_units: body.get_u32(),
        data: body,
    })
}

fn decode_audio_unit(mut body: Bytes) -> Result<AudioUnit, WireError> {
    require(kind::AUDIO_UNIT, &body, AUDIO_HEADER_BYTES)?;
    Ok(AudioUnit { presentation_time: Ticks(body.get_i64()), data: body })
}

/// The frame of `kind` whose body is `header` and then `media`, which is not copied.
fn frame<M: Message>(kind: u8, header: &[u8], media: Bytes) -> Result<Frame, WireError> {
    frame_with_tail::<M>(kind, header, media, None)
}

/// The same with a few bytes behind the media.
fn frame_with_tail<M: Message>(
    kind: u8,
    header: &[u8],
    media: Bytes,
    tail: Option<[u8; TAG_TRAILER_BYTES]>,
) -> Result<Frame, WireError> {
    let bytes = header.len() + media.len() + tail.map_or(0, |tail| tail.len());
    let limit = M::limit(kind).ok_or(WireError::UnknownKind(kind))?;
    let length = u32::try_from(bytes + 1).ok().filter(|_| bytes <= limit);
    let length = length.ok_or(WireError::TooLong { kind, bytes, limit })?;
    let mut head = BytesMut::with_capacity(HEAD_BYTES + header.len());
    head.put_u32(length);
    head.put_u8(kind);
    head.put_slice(header);
    Ok(Frame { head: head.freeze(), body: media, tail })
}

fn json_frame<M: Message>(kind: u8, value: &impl Serialize) -> Result<Frame, WireError> {
    frame::<M>(kind, &to_json(kind, value)?, Bytes::new())
}

fn to_json(kind: u8, value: &impl Serialize) -> Result<Vec<u8>, WireError> {
    serde_json::to_vec(value).map_err(|error| WireError::Json { kind, error })
}

fn from_json<T: DeserializeOwned>(kind: u8, body: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|error| WireError::Json { kind, error })
}

fn require(kind: u8, body: &Bytes, needed: usize) -> Result<(), WireError> {
    if body.len() < needed {
        return Err(WireError::TooShort { kind, bytes: body.len(), needed });
    }
    Ok(())
}
