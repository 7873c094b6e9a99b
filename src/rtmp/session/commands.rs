//! What each command does (RTMP 1.0 §7.2).
//!
//! Encoders differ in case, in what they leave out and in types. A command that cannot be understood is passed over where
//! the stream can go on without it; only `connect` must be whole, and `publish` readable up to its stream.

use super::reply::Dialect;
use super::{Connection, Error, Event, Session, Stage};
use crate::base::reason::Reason;
use crate::media::amf0::{Item, Value};
use crate::rtmp::message::{self, Command};
use crate::rtmp::request::{Capabilities, PublishKind, PublishRequest};

/// Bytes of `app`, `tcUrl` and a stream's text each. Signed tokens in a query have several hundred.
pub(super) const MAX_TEXT_BYTES: usize = 2048;
/// Characters of `flashVer` that are kept; it ends in logs.
const MAX_ENCODER_CHARS: usize = 128;
/// `CapsExMask.Reconnect` (Enhanced RTMP v2, "Enhancing NetConnection connect Command").
const RECONNECT: u32 = 1;

impl Session {
    pub(super) fn handle_command(&mut self, command: &Command) -> Result<Option<Event>, Error> {
        match (command.name.as_str(), &self.stage) {
            ("connect", Stage::Unconnected) => self.connect(command)?,
            ("connect", _) => return Err(Error::ConnectedTwice),
            (_, Stage::Unconnected) => return Err(Error::NotConnected),
            ("createstream", _) => self.create_stream(command)?,
            ("publish", _) => return self.publish(command),
            ("fcunpublish" | "closestream" | "deletestream", _) => return Ok(self.end(command)),
            ("play" | "play2", _) => self.replies.play_refused(command.message_stream),
            // Answers to what we never ask.
            ("_result" | "_error" | "onstatus", _) => {}
            // releaseStream, FCPublish, _checkbw, getStreamLength and what else there may be: an encoder that waits for
            // an answer gets an empty one and goes on.
            _ => self.answer_empty(command),
        }
        Ok(None)
    }

    fn answer_empty(&mut self, command: &Command) {
        if command.transaction != 0.0 {
            self.replies.result(command, Value::Undefined);
        }
    }

    fn connect(&mut self, command: &Command) -> Result<(), Error> {
        let mut connection = Connection::default();
        let mut dialect = Dialect::Plain;
        let mut arguments = command.arguments();
        let object = arguments.enter().map_err(message::Error::from)?;
        let holds_properties = matches!(object, Some(Item::Object | Item::EcmaArray));
        while holds_properties
            && let Some((name, value)) = arguments.property().map_err(message::Error::from)?
        {
            match (name, value) {
                (b"app", Item::Text(app)) => connection.app = text("app", app)?,
                (b"tcUrl", Item::Text(url)) => connection.tc_url = text("tcUrl", url)?,
                (b"flashVer", Item::Text(version)) => connection.encoder = printable(version),
                (b"capsEx", Item::Number(bits)) => {
                    dialect = Dialect::Enhanced;
                    self.capabilities = capabilities(bits);
                }
                (b"fourCcList" | b"videoFourCcInfoMap" | b"audioFourCcInfoMap", _) => {
                    dialect = Dialect::Enhanced
                }
                _ => {}
            }
        }
        self.replies.connected(command.transaction, dialect, &self.limits);
        self.stage = Stage::Connected(connection);
        Ok(())
    }

    fn create_stream(&mut self, command: &Command) -> Result<(), Error> {
        if self.message_streams == self.limits.max_message_streams {
            return Err(Error::TooManyMessageStreams(self.limits.max_message_streams));
        }
        self.message_streams += 1;
        self.replies.result(command, f64::from(self.message_streams).into());
        Ok(())
    }

    /// The stream's text is the first one: some encoders leave out the null before it, others the type after it.
    fn publish(&mut self, command: &Command) -> Result<Option<Event>, Error> {
        let message_stream = command.message_stream;
        let Stage::Connected(connection) = &mut self.stage else {
            let text =
                "This connection has published already; a second stream needs a connection of its own.";
            self.replies.publish_refused(message_stream, Reason::AlreadyPublishing, text);
            return Ok(None);
        };
        let [Some(stream), kind] = command.texts()? else {
            self.replies.publish_refused(message_stream, Reason::BadName, "A stream's name is missing.");
            return Ok(None);
        };
        let stream = text("stream", stream)?;
        let kind =
            kind.map(|kind| PublishKind::from_text(&String::from_utf8_lossy(kind))).unwrap_or_default();
        let Connection { app, tc_url, encoder } = std::mem::take(connection);
        self.stage = Stage::Asked { message_stream };
        let capabilities = self.capabilities;
        let request = PublishRequest { app, stream, tc_url, encoder, kind, capabilities };
        Ok(Some(Event::PublishRequested(request)))
    }

    /// An encoder that ends sends one or several of these; the first one counts.
    fn end(&mut self, command: &Command) -> Option<Event> {
        if command.name == "fcunpublish" {
            self.answer_empty(command);
        }
        let Stage::Publishing { message_stream } = self.stage else { return None };
        if ends_another(command, message_stream) {
            return None;
        }
        self.replies.unpublished(message_stream);
        self.stage = Stage::Ended;
        Some(Event::PublishEnded)
    }
}

/// Whether a command ends another message stream: by the number that `deleteStream` names (§7.2.2.3), else by the one it
/// came on. The connection's own, 0, is every stream's.
fn ends_another(command: &Command, message_stream: u32) -> bool {
    let named = if command.name == "deletestream" { command.number() } else { None };
    #[expect(clippy::float_cmp, reason = "identifiers, sent as whole numbers")]
    let other = |number: f64| number != f64::from(message_stream);
    match named {
        Some(number) => other(number),
        None => {
            command.message_stream != 0 && message_stream != 0 && command.message_stream != message_stream
        }
    }
}

/// A text of bounded length, with replacement characters for what is no UTF-8. The length is that after replacing: one
/// byte can become three.
fn text(name: &'static str, bytes: &[u8]) -> Result<String, Error> {
    let too_long = |length| Err(Error::TextTooLong { name, length });
    if bytes.len() > MAX_TEXT_BYTES {
        return too_long(bytes.len());
    }
    let text = String::from_utf8_lossy(bytes);
    if text.len() > MAX_TEXT_BYTES { too_long(text.len()) } else { Ok(text.into_owned()) }
}

fn printable(bytes: &[u8]) -> String {
    let kept = &bytes[..bytes.len().min(4 * MAX_ENCODER_CHARS)];
    String::from_utf8_lossy(kept).chars().take(MAX_ENCODER_CHARS).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and NaN becomes 0")]
fn capabilities(bits: f64) -> Capabilities {
    Capabilities { reconnect: bits as u32 & RECONNECT != 0 }
}
