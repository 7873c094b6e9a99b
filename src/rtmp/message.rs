//! Messages: what a type and a payload mean (RTMP 1.0 §5.4, §6.2, §7.1).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::aggregate::Aggregate;
use super::amf3;
use crate::media::amf0::{self, Item, Value};
use crate::media::flv::{Tag, TagKind};

// Message types: protocol control §5.4, user control §6.2, commands and media §7.1.
/// Set Chunk Size.
pub const SET_CHUNK_SIZE: u8 = 1;
/// Abort Message.
pub const ABORT: u8 = 2;
/// Acknowledgement.
pub const ACKNOWLEDGEMENT: u8 = 3;
/// User Control.
pub const USER_CONTROL: u8 = 4;
/// Window Acknowledgement Size.
pub const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
/// Set Peer Bandwidth.
pub const SET_PEER_BANDWIDTH: u8 = 6;
/// Audio.
pub const AUDIO: u8 = 8;
/// Video.
pub const VIDEO: u8 = 9;
/// Data in AMF3.
pub const DATA_AMF3: u8 = 15;
/// Command in AMF3.
pub const COMMAND_AMF3: u8 = 17;
/// Data in AMF0.
pub const DATA_AMF0: u8 = 18;
/// Command in AMF0.
pub const COMMAND_AMF0: u8 = 20;
/// Aggregate.
pub const AGGREGATE: u8 = 22;

// User control events, §7.1.7.
const STREAM_BEGIN: u16 = 0;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

/// One message of the chunk stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the payload is; the constants of this module.
    pub type_id: u8,
    /// The sender's clock in milliseconds; wraps at 2^32.
    pub timestamp_ms: u32,
    /// RTMP's message stream: 0 for the connection itself.
    pub message_stream: u32,
    /// The payload, in a buffer of its own.
    pub payload: Bytes,
}

/// What a peer says with a message.
#[derive(Debug)]
pub enum Content {
    /// Something about the connection itself.
    Control(Control),
    /// A command.
    Command(Command),
    /// Audio, video or script data.
    Media(Tag),
    /// Several of those.
    Aggregate(Aggregate),
    /// Nothing that we act on.
    Ignored,
}

/// What a peer says about the connection (§5.4, §7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The peer's chunks have this size from now on.
    SetChunkSize(u32),
    /// Drop the unfinished message of this chunk stream.
    Abort(u32),
    /// Acknowledge whenever that many bytes have come.
    WindowAcknowledgementSize(u32),
    /// Send no more than that many bytes without acknowledgement.
    SetPeerBandwidth(u32),
    /// Asks for the same bytes back.
    PingRequest(u32),
}

/// Bytes of a command's name that are kept; all that we know are shorter.
const MAX_NAME_BYTES: usize = 32;

/// A command's head; its arguments are read when it is one that we know.
#[derive(Debug)]
pub struct Command {
    /// Its name in lower case, `publish` for example: hardware encoders write `FCPublish` and `fcPublish` alike.
    pub name: String,
    /// Number that the answer repeats; 0 asks for none. The peer's, so any f64.
    pub transaction: f64,
    /// The message stream it came on, where its answer belongs.
    pub message_stream: u32,
    payload: Bytes,
    arguments_offset: usize,
}

/// Why a payload is not what its type says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A protocol control message shorter than its field.
    #[error("message of type {type_id} has {length} bytes, too few")]
    TooShort {
        /// The message's type.
        type_id: u8,
        /// Its payload's length.
        length: usize,
    },
    /// A command that does not begin with its name.
    #[error("command without a name")]
    Nameless,
    /// Values that are no AMF0.
    #[error("{0}")]
    Amf0(#[from] amf0::Error),
}

impl Message {
    /// A message of the connection itself, as all of ours but the status of a stream are.
    #[must_use]
    pub fn control(type_id: u8, payload: Bytes) -> Self {
        Self { type_id, timestamp_ms: 0, message_stream: 0, payload }
    }

    /// A protocol control message that holds one number.
    #[must_use]
    pub fn number(type_id: u8, number: u32) -> Self {
        Self::control(type_id, Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    /// The answer to a ping.
    #[must_use]
    pub fn ping_response(echo: u32) -> Self {
        Self::user_control(PING_RESPONSE, echo)
    }

    /// Says that a message stream can be used.
    #[must_use]
    pub fn stream_begin(message_stream: u32) -> Self {
        Self::user_control(STREAM_BEGIN, message_stream)
    }

    fn user_control(event: u16, number: u32) -> Self {
        let mut payload = BytesMut::with_capacity(6);
        payload.put_u16(event);
        payload.put_u32(number);
        Self::control(USER_CONTROL, payload.freeze())
    }

    /// A command of these values on a message stream.
    #[must_use]
    pub fn command(message_stream: u32, values: &[Value]) -> Self {
        let mut payload = BytesMut::new();
        values.iter().for_each(|value| value.encode(&mut payload));
        Self { message_stream, ..Self::control(COMMAND_AMF0, payload.freeze()) }
    }

    /// Reads the payload as the type says. Types that nobody needs are [`Content::Ignored`], shared objects for example.
    pub fn interpret(self) -> Result<Content, Error> {
        Ok(match self.type_id {
            SET_CHUNK_SIZE => Content::Control(Control::SetChunkSize(self.leading_number(0)?)),
            ABORT => Content::Control(Control::Abort(self.leading_number(0)?)),
            WINDOW_ACKNOWLEDGEMENT_SIZE => {
                Content::Control(Control::WindowAcknowledgementSize(self.leading_number(0)?))
            }
            SET_PEER_BANDWIDTH => Content::Control(Control::SetPeerBandwidth(self.leading_number(0)?)),
            USER_CONTROL => self.user_control_content()?,
            COMMAND_AMF0 => Content::Command(Command::decode(self.payload, self.message_stream)?),
            COMMAND_AMF3 => {
                Content::Command(Command::decode(without_amf3_byte(self.payload), self.message_stream)?)
            }
            AGGREGATE => Content::Aggregate(Aggregate::new(self.payload, self.timestamp_ms)),
            AUDIO => media(TagKind::Audio, self.timestamp_ms, Some(self.payload)),
            VIDEO => media(TagKind::Video, self.timestamp_ms, Some(self.payload)),
            DATA_AMF0 => media(TagKind::Script, self.timestamp_ms, script_body(self.payload)),
            DATA_AMF3 => {
                media(TagKind::Script, self.timestamp_ms, script_body(without_amf3_byte(self.payload)))
            }
            _ => Content::Ignored,
        })
    }

    fn leading_number(&self, offset: usize) -> Result<u32, Error> {
        let too_short = Error::TooShort { type_id: self.type_id, length: self.payload.len() };
        let field = self.payload.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(too_short)?;
        Ok(u32::from_be_bytes(*field))
    }

    /// Only a ping is of use. Set Buffer Length and the like are a player's.
    fn user_control_content(&self) -> Result<Content, Error> {
        match self.payload.first_chunk() {
            Some(event) if u16::from_be_bytes(*event) == PING_REQUEST => {
                Ok(Content::Control(Control::PingRequest(self.leading_number(2)?)))
            }
            Some(_) => Ok(Content::Ignored),
            None => Err(Error::TooShort { type_id: self.type_id, length: self.payload.len() }),
        }
    }
}

impl Command {
    /// Reads name and transaction. A missing transaction counts as 0: some encoders leave it out of `FCUnpublish`.
    fn decode(payload: Bytes, message_stream: u32) -> Result<Self, Error> {
        // What cannot be rewritten is left for the readers of arguments to refuse, if they come to it.
        let payload = amf3::rewritten(&payload).ok().flatten().unwrap_or(payload);
        let mut reader = amf0::Reader::new(&payload);
        let Some(Item::Text(name)) = reader.value()? else { return Err(Error::Nameless) };
        let name = &name[..name.len().min(MAX_NAME_BYTES)];
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let transaction = match reader.value()? {
            Some(Item::Number(number)) => number,
            Some(_) | None => 0.0,
        };
        let arguments_offset = reader.offset();
        Ok(Self { name, transaction, message_stream, payload, arguments_offset })
    }

    /// The values after the transaction, the command object first.
    #[must_use]
    pub fn arguments(&self) -> amf0::Reader<'_> {
        amf0::Reader::new(&self.payload[self.arguments_offset..])
    }

    /// The first two texts among them: some encoders leave out the null before. Trouble counts only before the first.
    pub fn texts(&self) -> Result<[Option<&[u8]>; 2], Error> {
        let mut reader = self.arguments();
        let Some(first) = next_text(&mut reader)? else { return Ok([None, None]) };
        Ok([Some(first), next_text(&mut reader).unwrap_or(None)])
    }

    /// The first number among the arguments, or text that is one: some encoders quote it. `None` if there is none
    /// before the end or trouble.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        let mut reader = self.arguments();
        while let Ok(Some(item)) = reader.value() {
            match item {
                Item::Number(number) => return Some(number),
                Item::Text(text) => return std::str::from_utf8(text).ok()?.trim().parse().ok(),
                Item::Boolean(_)
                | Item::Null
                | Item::Undefined
                | Item::Date(_)
                | Item::Object
                | Item::EcmaArray
                | Item::StrictArray(_) => {}
            }
        }
        None
    }
}

fn next_text<'a>(reader: &mut amf0::Reader<'a>) -> Result<Option<&'a [u8]>, amf0::Error> {
    while let Some(item) = reader.value()? {
        if let Item::Text(text) = item {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Media without a body means nothing; FFmpeg's flv muxer sends such at the end.
fn media(kind: TagKind, timestamp_ms: u32, body: Option<Bytes>) -> Content {
    match body {
        Some(payload) if !payload.is_empty() => Content::Media(Tag { kind, timestamp_ms, payload }),
        Some(_) | None => Content::Ignored,
    }
}

/// AMF3 messages begin with a format byte, 0 for the AMF0 that every encoder then sends.
fn without_amf3_byte(mut payload: Bytes) -> Bytes {
    if payload.first() == Some(&0) {
        payload.advance(1);
    }
    payload
}

/// The FLV script body of a data message: what follows `@setDataFrame`, which is a word to the server and not part of
/// the file (FLV 10.1 §E.4.4.1). `None` for `@clearDataFrame`.
pub(super) fn script_body(payload: Bytes) -> Option<Bytes> {
    const SET: &[u8] = b"\x02\x00\x0d@setDataFrame";
    const CLEAR: &[u8] = b"\x02\x00\x0f@clearDataFrame";
    // What cannot be put into AMF0 is of no use to those who read the tag.
    let mut payload = amf3::rewritten(&payload).ok()?.unwrap_or(payload);
    if payload.starts_with(CLEAR) {
        return None;
    }
    if payload.starts_with(SET) {
        payload.advance(SET.len());
    }
    Some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpret(type_id: u8, payload: &'static [u8]) -> Result<Content, Error> {
        Message { message_stream: 1, ..Message::control(type_id, Bytes::from_static(payload)) }.interpret()
    }

    fn check_command(type_id: u8, payload: &'static [u8], name: &str, transaction: f64, arguments: &[Value]) {
        let Ok(Content::Command(command)) = interpret(type_id, payload) else {
            panic!("no command: {payload:?}")
        };
        assert_eq!((command.name.as_str(), command.transaction), (name, transaction));
        let found = Value::decode_all(&command.payload[command.arguments_offset..]);
        assert_eq!(found.as_deref(), Ok(arguments));
    }

    fn check_script(type_id: u8, payload: &'static [u8], expected: Option<&[u8]>) {
        match interpret(type_id, payload) {
            Ok(Content::Media(tag)) => {
                assert_eq!((tag.kind, Some(&tag.payload[..])), (TagKind::Script, expected));
            }
            other => assert!(matches!(other, Ok(Content::Ignored)) && expected.is_none(), "{other:?}"),
        }
    }

    #[test]
    fn a_command_may_be_short() {
        check_command(20, b"\x02\x00\x01a", "a", 0.0, &[]);
        check_command(20, b"\x02\x00\x01a\x05", "a", 0.0, &[]);
        check_command(20, b"\x02\x00\x01a\x00\x40\x00\0\0\0\0\0\0\x05", "a", 2.0, &[Value::Null]);
        check_command(17, b"\x00\x02\x00\x01a", "a", 0.0, &[]);
        assert_eq!(interpret(20, b"").err(), Some(Error::Nameless));
        assert_eq!(interpret(17, b"\x00\x05").err(), Some(Error::Nameless));
    }

    #[test]
    fn amf3_in_a_command_is_read_as_amf0() {
        check_command(17, b"\x00\x11\x06\x03a\x11\x04\x02\x11\x06\x09live", "a", 2.0, &["live".into()]);
    }

    #[test]
    fn arguments_that_cannot_be_read_are_trouble_only_before_the_first_text() {
        let texts = |payload| {
            let Ok(Content::Command(command)) = interpret(20, payload) else { panic!("{payload:02x?}") };
            command.texts().map(|texts| texts.map(|text| text.map(<[u8]>::to_vec)))
        };
        let error = amf0::Error::Marker { marker: 0x11, offset: 0 };
        assert_eq!(texts(b"\x02\x00\x01a\x05\x11\xff"), Err(Error::Amf0(error)));
        assert_eq!(texts(b"\x02\x00\x01a\x05\x05\x02\x00\x01b\xff"), Ok([Some(b"b".to_vec()), None]));
        assert_eq!(texts(b"\x02\x00\x01a\x05\x05"), Ok([None, None]));
    }

    #[test]
    fn a_number_may_be_quoted_or_missing() {
        for (arguments, expected) in [
            (&b"\x05\x00\x40\x00\0\0\0\0\0\0"[..], Some(2.0)),
            (b"\x05\x02\x00\x01\x32", Some(2.0)),
            (b"\x05\x02\x00\x03cam", None),
            (b"\x05", None),
            (b"\x05\xff", None),
        ] {
            let payload = [&b"\x02\x00\x01a\x05"[..], arguments].concat();
            let command = Command::decode(payload.into(), 0).expect("a command");
            assert_eq!(command.number(), expected, "{arguments:02x?}");
        }
    }

    #[test]
    fn metadata_loses_the_word_to_the_server() {
        check_script(
            18,
            b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x05",
            Some(b"\x02\x00\x0aonMetaData\x05"),
        );
        check_script(18, b"\x02\x00\x0aonMetaData\x05", Some(b"\x02\x00\x0aonMetaData\x05"));
        check_script(15, b"\x00\x02\x00\x0d@setDataFrame\x02\x00\x01a", Some(b"\x02\x00\x01a"));
        check_script(18, b"\x02\x00\x0d@setDataFrame", None);
        check_script(15, b"\x00\x02\x00\x01a\x11\x03", Some(b"\x02\x00\x01a\x01\x01"));
        check_script(15, b"\x00\x02\x00\x01a\x11\xff", None);
        check_script(18, b"\x02\x00\x01a\x08\0\0\0\x11\0", Some(b"\x02\x00\x01a\x08\0\0\0\x11\0"));
        check_script(18, b"\x02\x00\x0f@clearDataFrame\x02\x00\x0aonMetaData", None);
    }

    fn check_control(type_id: u8, payload: &'static [u8], expected: Control) {
        assert!(matches!(interpret(type_id, payload), Ok(Content::Control(found)) if found == expected));
    }

    #[test]
    fn control_messages_need_their_numbers() {
        check_control(1, b"\0\0\x10\0", Control::SetChunkSize(4096));
        check_control(6, b"\0\0\x10\0\x02", Control::SetPeerBandwidth(4096));
        check_control(4, b"\0\x06\0\0\0\x07", Control::PingRequest(7));
        assert!(matches!(interpret(4, b"\0\x03\0\0\0\x01\0\0\x0b\xb8"), Ok(Content::Ignored)));
        for (type_id, payload) in
            [(1, &b"\0\0\x10"[..]), (2, b""), (5, b"\0"), (4, b"\0"), (4, b"\0\x06\0\0")]
        {
            assert_eq!(
                interpret(type_id, payload).err(),
                Some(Error::TooShort { type_id, length: payload.len() })
            );
        }
    }

    #[test]
    fn empty_media_and_unknown_types_mean_nothing() {
        for type_id in [8, 9, 18, 3, 16, 19, 0, 255] {
            assert!(matches!(interpret(type_id, b""), Ok(Content::Ignored)), "{type_id}");
        }
    }
}
