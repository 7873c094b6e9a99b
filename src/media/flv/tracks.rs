//! The tracks in one body: Enhanced RTMP v2 can put several into a message, and modifiers before them ("Enhanced Audio",
//! "Enhanced Video": `ModEx`, `Multitrack`).
//!
//! FFmpeg before version 8 knows neither, so each track's share is written as a body of its own, in FLV's oldest form that
//! has a name for its codec. A modifier's only use so
//! far, nanoseconds after the message's millisecond, is dropped: FLV tags to FFmpeg have milliseconds.

use bytes::{BufMut, Bytes, BytesMut};

use super::enhanced::{
    AUDIO_EX_HEADER, EX_HEADER_BYTES, FRAME_TYPE_COMMAND, MOD_EX, VIDEO_EX_HEADER, audio_packet, four_cc,
    video_packet,
};
use super::{FlvError, HEVC_CODEC_ID, MAX_PAYLOAD_BYTES, MAX_TRACKS, TagKind};

/// Bytes before the data of a legacy body with H.264's layout: byte 0, packet type, composition time (FLV 10.1 E.4.3.1).
const AVC_HEADER_BYTES: usize = 5;
/// H.264's number in byte 0 of a legacy body (E.4.3.1).
const AVC_CODEC_ID: u8 = 7;
/// Byte 0 of AAC, which always says 44 kHz, 16 bits, stereo: decoders go by the configuration (E.4.2.1).
const AAC_BYTE: u8 = 0xAF;
/// Byte 0 of MP3, likewise: its frames say what they are.
const MP3_BYTE: u8 = 0x2F;

/// `AvMultitrackType`: how the tracks lie in a body.
mod multitrack {
    /// One, to the body's end.
    pub const ONE_TRACK: u8 = 0;
    /// Any number with one FourCC, each behind its number and its size.
    pub const MANY_TRACKS: u8 = 1;
    /// Any number, each behind its FourCC, its number and its size.
    pub const MANY_TRACKS_MANY_CODECS: u8 = 2;
}

/// What one message's body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// The body is as [`super::read_video`] and [`super::read_audio`] want it, of the track with number 0.
    Plain,
    /// Each track's share, in the order sent; at least one, at most [`MAX_TRACKS`].
    Split(Vec<TrackBody>),
}

/// One track's share of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackBody {
    /// The sender's number of the track.
    pub number: u8,
    /// Codec, as four characters.
    pub four_cc: [u8; 4],
    /// A body of its own, as if the track were alone: no multitrack header, no modifiers.
    pub body: Bytes,
}

/// Splits a body into its tracks' shares. The shares together are as long as the body and 5 bytes for each, at most.
///
/// A body of one track is [`Tracks::Plain`] and is not touched, unless some FFmpeg would not understand it and need not be
/// asked to: HEVC under the CDN Union's number or as `hev1` comes as one share with `hvc1`; and H.264, AAC and MP3 that
/// are named by a FourCC, which FFmpeg reads from 8.0 on, come as FLV 10.1 has them.
///
/// # Errors
/// A body that ends inside its headers or its tracks, that has too many tracks, or whose headers are of a reserved kind.
pub fn tracks(kind: TagKind, body: &Bytes) -> Result<Tracks, FlvError> {
    let Some(&first) = body.first() else { return Ok(Tracks::Plain) };
    let frame_type = first >> 4 & 0x07;
    match kind {
        TagKind::Script => Ok(Tracks::Plain),
        TagKind::Audio if first >> 4 == AUDIO_EX_HEADER => split(kind, body, audio_packet::MULTITRACK),
        TagKind::Audio => Ok(Tracks::Plain),
        // A command frame has no tracks, whatever its packet type says.
        TagKind::Video if frame_type == FRAME_TYPE_COMMAND => Ok(Tracks::Plain),
        TagKind::Video if first & VIDEO_EX_HEADER != 0 => split(kind, body, video_packet::MULTITRACK),
        TagKind::Video if first & 0x0F == HEVC_CODEC_ID => hevc_by_number(first, body),
        TagKind::Video => Ok(Tracks::Plain),
    }
}

/// Splits a body of Enhanced RTMP. `multitrack` is the packet type that says so, which differs between audio and video.
fn split(kind: TagKind, body: &[u8], multitrack: u8) -> Result<Tracks, FlvError> {
    let mut fields = Fields { kind, body, offset: 0 };
    let first = fields.u8()?;
    let packet_type = fields.packet_type(first)?;
    if packet_type == multitrack {
        return fields.tracks(first, multitrack).map(Tracks::Split);
    }
    let unmodified = fields.offset == 1;
    // A body that is not as long as its FourCC is read, and refused, as it is.
    let Ok(codec) = fields.four_cc() else {
        return if unmodified { Ok(Tracks::Plain) } else { Err(fields.truncated(4)) };
    };
    let known_as_it_is =
        codec != four_cc::HEVC_IN_BAND && legacy_header(kind, first, packet_type, codec).is_none();
    if unmodified && known_as_it_is {
        return Ok(Tracks::Plain);
    }
    Ok(Tracks::Split(vec![TrackBody::new(kind, first, packet_type, (0, codec), fields.rest())]))
}

/// A body of HEVC under the CDN Union's number: the packet types are those of Enhanced RTMP, and so is the layout but for a
/// composition time in every one of them.
fn hevc_by_number(first: u8, body: &[u8]) -> Result<Tracks, FlvError> {
    let (after_type, after_time) = (body.get(2..), body.get(AVC_HEADER_BYTES..));
    let (packet_type, payload) = match body.get(1) {
        Some(&packet_type @ video_packet::SEQUENCE_START) => (packet_type, after_time),
        Some(&packet_type @ video_packet::CODED_FRAMES) => (packet_type, after_time.and(after_type)),
        // As with H.264, senders differ on whether a composition time follows.
        Some(&packet_type @ video_packet::SEQUENCE_END) => (packet_type, Some(&[][..])),
        Some(&other) => return Err(FlvError::AvcPacketType(other)),
        None => (0, None),
    };
    if body.len() > MAX_PAYLOAD_BYTES - EX_HEADER_BYTES {
        return Err(FlvError::PayloadTooLong(body.len()));
    }
    let truncated = FlvError::Truncated { needed: AVC_HEADER_BYTES, length: body.len() };
    let track = (0, four_cc::HEVC);
    let first = VIDEO_EX_HEADER | first;
    Ok(Tracks::Split(vec![TrackBody::new(
        TagKind::Video,
        first,
        packet_type,
        track,
        payload.ok_or(truncated)?,
    )]))
}

impl TrackBody {
    /// The share of the track with this number and FourCC. `first` is byte 0 of the body that it came in, whose high nibble
    /// stays.
    fn new(
        kind: TagKind,
        first: u8,
        packet_type: u8,
        (number, four_cc): (u8, [u8; 4]),
        payload: &[u8],
    ) -> Self {
        let four_cc = if four_cc == four_cc::HEVC_IN_BAND { four_cc::HEVC } else { four_cc };
        let mut body = BytesMut::with_capacity(EX_HEADER_BYTES + payload.len());
        if let Some((first, rest)) = legacy_header(kind, first, packet_type, four_cc) {
            body.put_u8(first);
            body.put_slice(rest);
        } else {
            body.put_u8(first & 0xF0 | packet_type);
            body.put_slice(&four_cc);
        }
        body.put_slice(payload);
        Self { number, four_cc, body: body.freeze() }
    }
}

/// What stands before the payload where FLV 10.1 has a number for the codec (E.4.2.1, E.4.3.1); `None` where it has none,
/// or nothing that such a packet could be. It is byte 0 and what follows; no longer than the header of Enhanced RTMP.
fn legacy_header(kind: TagKind, first: u8, packet_type: u8, four_cc: [u8; 4]) -> Option<(u8, &'static [u8])> {
    let avc = first & 0x70 | AVC_CODEC_ID;
    match (kind, four_cc, packet_type) {
        (TagKind::Video, four_cc::AVC, video_packet::SEQUENCE_START) => Some((avc, &[0, 0, 0, 0])),
        // The composition time comes first in the payload.
        (TagKind::Video, four_cc::AVC, video_packet::CODED_FRAMES) => Some((avc, &[1])),
        (TagKind::Video, four_cc::AVC, video_packet::CODED_FRAMES_X) => Some((avc, &[1, 0, 0, 0])),
        (TagKind::Video, four_cc::AVC, video_packet::SEQUENCE_END) => Some((avc, &[2, 0, 0, 0])),
        (TagKind::Audio, four_cc::AAC, audio_packet::SEQUENCE_START) => Some((AAC_BYTE, &[0])),
        (TagKind::Audio, four_cc::AAC, audio_packet::CODED_FRAMES) => Some((AAC_BYTE, &[1])),
        (TagKind::Audio, four_cc::MP3, audio_packet::CODED_FRAMES) => Some((MP3_BYTE, &[])),
        _ => None,
    }
}

/// A cursor over a body.
struct Fields<'a> {
    kind: TagKind,
    body: &'a [u8],
    offset: usize,
}

impl<'a> Fields<'a> {
    fn rest(&self) -> &'a [u8] {
        self.body.get(self.offset..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], FlvError> {
        let taken = self.rest().get(..count).ok_or(self.truncated(count))?;
        self.offset += count;
        Ok(taken)
    }

    /// That `count` more bytes are not there.
    fn truncated(&self, count: usize) -> FlvError {
        FlvError::Truncated { needed: self.offset.saturating_add(count), length: self.body.len() }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FlvError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, FlvError> {
        self.array().map(|[byte]| byte)
    }

    fn four_cc(&mut self) -> Result<[u8; 4], FlvError> {
        self.array()
    }

    /// The packet type in `first`, or the one behind all modifiers. Each of them has at least three bytes, so the body's
    /// length bounds their number.
    fn packet_type(&mut self, first: u8) -> Result<u8, FlvError> {
        let mut packet_type = first & 0x0F;
        while packet_type == MOD_EX {
            let size = match self.u8()? {
                0xFF => usize::from(u16::from_be_bytes(self.array()?)) + 1,
                size => usize::from(size) + 1,
            };
            self.take(size)?;
            // The high nibble is the kind of modifier. One that is not known may be passed over: its size is there for that.
            packet_type = self.u8()? & 0x0F;
        }
        Ok(packet_type)
    }

    /// All tracks of a multitrack body, from `AvMultitrackType` on.
    fn tracks(&mut self, first: u8, multitrack: u8) -> Result<Vec<TrackBody>, FlvError> {
        let types = self.u8()?;
        let (arrangement, packet_type) = (types >> 4, types & 0x0F);
        // "This fetch MUST not result in a VideoPacketType.Multitrack"; a modifier has no place here either.
        if packet_type == multitrack || packet_type == MOD_EX {
            return Err(FlvError::EnhancedPacketType(packet_type));
        }
        let shared = match arrangement {
            multitrack::ONE_TRACK | multitrack::MANY_TRACKS => Some(self.four_cc()?),
            multitrack::MANY_TRACKS_MANY_CODECS => None,
            other => return Err(FlvError::MultitrackType(other)),
        };
        let mut tracks = Vec::new();
        while tracks.is_empty() || !self.rest().is_empty() {
            if tracks.len() == MAX_TRACKS {
                return Err(FlvError::TooManyTracks { offset: self.offset });
            }
            let codec = shared.map_or_else(|| self.four_cc(), Ok)?;
            let number = self.u8()?;
            let size = if arrangement == multitrack::ONE_TRACK { self.rest().len() } else { self.u24()? };
            let payload = self.take(size)?;
            tracks.push(TrackBody::new(self.kind, first, packet_type, (number, codec), payload));
        }
        Ok(tracks)
    }

    fn u24(&mut self) -> Result<usize, FlvError> {
        let [high, mid, low] = self.array()?;
        Ok(usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low))
    }
}

#[cfg(test)]
mod tests;
