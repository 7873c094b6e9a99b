//! What a session says, as chunks in a buffer that waits to be sent.

use bytes::{Bytes, BytesMut};

use super::Limits;
use crate::base::reason::Reason;
use crate::media::amf0::Value;
use crate::rtmp::chunk;
use crate::rtmp::message::{
    ACKNOWLEDGEMENT, Command, Message, SET_CHUNK_SIZE, SET_PEER_BANDWIDTH, WINDOW_ACKNOWLEDGEMENT_SIZE,
};

/// The chunk stream of protocol control messages (§5.4).
const CONTROL_CHUNK_STREAM: u32 = 2;
/// The chunk stream of commands: any other would do, all servers use this one.
const COMMAND_CHUNK_STREAM: u32 = 3;
/// Set Peer Bandwidth's limit type "dynamic" (§5.4.5).
const DYNAMIC: u8 = 2;
/// What FFmpeg, OBS and the rest have always seen; some look whether it begins with `FMS/`.
const SERVER_VERSION: &str = "FMS/3,0,1,123";
/// Bits of a Flash server's abilities; nobody is known to read them, but everybody sends 31.
const CAPABILITIES: f64 = 31.0;

// Enhanced RTMP v2, "Enhancing NetConnection connect Command".
/// Video codecs that we pass on.
const VIDEO_FOURCCS: [&str; 4] = ["avc1", "hvc1", "av01", "vp09"];
/// Audio codecs that we pass on.
const AUDIO_FOURCCS: [&str; 6] = ["mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3"];
/// `FourCcInfoMask.CanForward`: we neither decode nor encode, FFmpeg does.
const CAN_FORWARD: f64 = 4.0;
/// `CapsExMask`: Reconnect 1, Multitrack 2, ModEx 4. A `TimestampNanoOffset` (8) is stepped over and not kept, so its
/// bit is not set.
const EXTENDED_CAPABILITIES: f64 = 7.0;

/// What a publisher showed of itself in `connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// RTMP 1.0.
    Plain,
    /// It announced something of Enhanced RTMP.
    Enhanced,
}

/// Bytes for the peer, in order.
#[derive(Debug, Default)]
pub(super) struct Replies {
    writer: chunk::Writer,
    output: BytesMut,
}

impl Replies {
    /// Hands over what waits.
    pub(super) fn take(&mut self) -> Bytes {
        // The buffer goes with them: most connections are told nothing more for hours.
        std::mem::take(&mut self.output).freeze()
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.output.len()
    }

    /// Memory taken for it.
    pub(super) fn memory_bytes(&self) -> usize {
        self.output.capacity()
    }

    /// Where the handshake, which comes before chunks, puts its bytes.
    pub(super) fn raw(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// A message of the connection itself.
    pub(super) fn control(&mut self, message: &Message) {
        self.writer.write(CONTROL_CHUNK_STREAM, message, &mut self.output);
    }

    /// How much came, since the handshake, modulo 2^32 (§5.4.3).
    #[expect(clippy::cast_possible_truncation, reason = "the sequence number wraps")]
    pub(super) fn acknowledgement(&mut self, bytes: u64) {
        self.control(&Message::number(ACKNOWLEDGEMENT, bytes as u32));
    }

    /// The answer to `connect` (§7.2.1.1), and what we announce before it.
    ///
    /// Object encoding is 0 whatever was asked for: by that an encoder which could speak AMF3 knows to speak AMF0.
    /// What we can do beyond RTMP 1.0 is told to those who told us: an old device need not read a nested object.
    pub(super) fn connected(&mut self, transaction: f64, dialect: Dialect, limits: &Limits) {
        self.control(&Message::number(WINDOW_ACKNOWLEDGEMENT_SIZE, limits.window_bytes));
        let mut bandwidth = limits.window_bytes.to_be_bytes().to_vec();
        bandwidth.push(DYNAMIC);
        self.control(&Message::control(SET_PEER_BANDWIDTH, bandwidth.into()));
        self.control(&Message::stream_begin(0));
        self.control(&Message::number(SET_CHUNK_SIZE, limits.chunk_size));
        self.writer.set_chunk_size(limits.chunk_size);
        let mut properties = vec![
            ("fmsVer".to_owned(), SERVER_VERSION.into()),
            ("capabilities".to_owned(), CAPABILITIES.into()),
        ];
        if dialect == Dialect::Enhanced {
            properties.extend(enhancements());
        }
        let properties = Value::Object(properties);
        let information = Value::object([
            ("level", "status".into()),
            ("code", "NetConnection.Connect.Success".into()),
            ("description", "Connection succeeded.".into()),
            ("objectEncoding", 0.0.into()),
        ]);
        self.command(0, &["_result".into(), transaction.into(), properties, information]);
    }

    /// The answer to any other command that asks for one, on the message stream it came on.
    pub(super) fn result(&mut self, command: &Command, value: Value) {
        let values = ["_result".into(), command.transaction.into(), Value::Null, value];
        self.command(command.message_stream, &values);
    }

    /// Tells that publishing may begin. Encoders after Adobe's FMLE wait for `onFCPublish`, all for `onStatus`.
    pub(super) fn publish_started(&mut self, message_stream: u32) {
        let information = status("status", "NetStream.Publish.Start", "Publishing has started.");
        self.control(&Message::stream_begin(message_stream));
        self.command(message_stream, &["onFCPublish".into(), 0.0.into(), Value::Null, information.clone()]);
        self.command(message_stream, &["onStatus".into(), 0.0.into(), Value::Null, information]);
    }

    /// Tells that publishing may not begin, and why.
    pub(super) fn publish_refused(&mut self, message_stream: u32, reason: Reason, text: &str) {
        self.status(message_stream, status("error", refusal_code(reason), text));
    }

    /// Tells that publishing has ended. Encoders after Adobe's FMLE wait for `onFCUnpublish` before they close.
    pub(super) fn unpublished(&mut self, message_stream: u32) {
        let information = status("status", "NetStream.Unpublish.Success", "Publishing has ended.");
        self.command(message_stream, &["onFCUnpublish".into(), 0.0.into(), Value::Null, information.clone()]);
        self.status(message_stream, information);
    }

    /// Asks the publisher to connect anew (Enhanced RTMP v2, "Reconnect Request"). Without a `tcUrl` it comes back to
    /// the address that it has.
    pub(super) fn reconnect_requested(&mut self, text: &str) {
        self.status(0, status("status", "NetConnection.Connect.ReconnectRequest", text));
    }

    /// Refuses a player.
    pub(super) fn play_refused(&mut self, message_stream: u32) {
        let text = "This port takes streams in; they are played over HLS.";
        self.status(message_stream, status("error", "NetStream.Play.Failed", text));
    }

    fn status(&mut self, message_stream: u32, information: Value) {
        self.command(message_stream, &["onStatus".into(), 0.0.into(), Value::Null, information]);
    }

    fn command(&mut self, message_stream: u32, values: &[Value]) {
        let message = Message::command(message_stream, values);
        self.writer.write(COMMAND_CHUNK_STREAM, &message, &mut self.output);
    }
}

/// What `connect` is answered beyond RTMP 1.0.
fn enhancements() -> [(String, Value); 4] {
    let all = VIDEO_FOURCCS.iter().chain(&AUDIO_FOURCCS);
    let forward = |fourccs: &[&str]| {
        Value::Object(fourccs.iter().map(|&fourcc| (fourcc.to_owned(), CAN_FORWARD.into())).collect())
    };
    [
        ("fourCcList".to_owned(), Value::StrictArray(all.map(|&fourcc| fourcc.into()).collect())),
        ("videoFourCcInfoMap".to_owned(), forward(&VIDEO_FOURCCS)),
        ("audioFourCcInfoMap".to_owned(), forward(&AUDIO_FOURCCS)),
        ("capsEx".to_owned(), EXTENDED_CAPABILITIES.into()),
    ]
}

fn status(level: &str, code: &str, description: &str) -> Value {
    Value::object([("level", level.into()), ("code", code.into()), ("description", description.into())])
}

/// The code that goes with a reason. OBS ends at once and shows our text on these two only; on the nearer
/// `NetStream.Publish.BadName` it would wait for the connection to break and tell its user nothing. So a publisher that
/// was taken over, or ended through the API, is told `Rejected` too: no other code brings the text before a user, and
/// FFmpeg goes by the level and prints the text whatever the code.
fn refusal_code(reason: Reason) -> &'static str {
    if matches!(reason, Reason::WrongKey | Reason::UnknownTenant) {
        "NetStream.Publish.Denied"
    } else {
        "NetStream.Publish.Rejected"
    }
}
