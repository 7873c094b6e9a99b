//! The tests' publisher: builds what an encoder sends, and reads what it is told.

use bytes::{Bytes, BytesMut};

use super::chunk::{self, Reader, Writer};
use super::handshake::HANDSHAKE_BYTES;
use super::message::{COMMAND_AMF0, Message, SET_CHUNK_SIZE};
use crate::media::amf0::Value;

/// The message stream that the first `createStream` gives.
pub const MESSAGE_STREAM: u32 = 1;

/// Collects bytes to send.
#[derive(Debug, Default)]
pub struct Client {
    pub bytes: BytesMut,
    writer: Writer,
}

impl Client {
    /// Has sent C0, C1 and C2.
    pub fn new() -> Self {
        let mut client = Self::default();
        client.bytes.extend_from_slice(&[3]);
        client.bytes.resize(1 + 2 * HANDSHAKE_BYTES, 0x42);
        client
    }

    /// Has also sent `connect`, `createStream` and `publish`, as FFmpeg does.
    pub fn publishing() -> Self {
        let mut client = Self::new();
        client.connect("demo");
        client.call(0, "releaseStream", 2.0, &["cam?key=secret".into()]);
        client.call(0, "FCPublish", 3.0, &["cam?key=secret".into()]);
        client.call(0, "createStream", 4.0, &[]);
        client.publish("cam?key=secret");
        client
    }

    pub fn connect(&mut self, app: &str) {
        self.connect_with(app, vec![]);
    }

    /// Announces these too.
    pub fn connect_with(&mut self, app: &str, more: Vec<(String, Value)>) {
        let mut object = vec![
            ("app".to_owned(), app.into()),
            ("flashVer".to_owned(), "FMLE/3.0 (compatible; test)".into()),
            ("tcUrl".to_owned(), format!("rtmp://h/{app}").as_str().into()),
        ];
        object.extend(more);
        self.command(0, &["connect".into(), 1.0.into(), Value::Object(object)]);
    }

    pub fn publish(&mut self, stream: &str) {
        self.call(MESSAGE_STREAM, "publish", 5.0, &[stream.into(), "live".into()]);
    }

    /// A command with a null object.
    pub fn call(&mut self, message_stream: u32, name: &str, transaction: f64, arguments: &[Value]) {
        let mut values = vec![name.into(), transaction.into(), Value::Null];
        values.extend_from_slice(arguments);
        self.command(message_stream, &values);
    }

    pub fn command(&mut self, message_stream: u32, values: &[Value]) {
        self.send(3, &Message::command(message_stream, values));
    }

    pub fn media(&mut self, type_id: u8, timestamp_ms: u32, payload: &[u8]) {
        self.media_on(MESSAGE_STREAM, type_id, timestamp_ms, payload);
    }

    pub fn media_on(&mut self, message_stream: u32, type_id: u8, timestamp_ms: u32, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        self.send(u32::from(type_id), &Message { type_id, timestamp_ms, message_stream, payload });
    }

    pub fn set_chunk_size(&mut self, size: u32) {
        self.send(2, &Message::number(SET_CHUNK_SIZE, size));
        self.writer.set_chunk_size(size);
    }

    pub fn send(&mut self, chunk_stream: u32, message: &Message) {
        self.writer.write(chunk_stream, message, &mut self.bytes);
    }
}

/// What the server sent after its handshake.
pub fn messages(output: &[u8]) -> Vec<Message> {
    let mut input = &output[1 + 2 * HANDSHAKE_BYTES..];
    let mut reader = Reader::new(chunk::Limits { max_chunk_streams: 8, max_unfinished_bytes: 1 << 20 });
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut input).expect("the server's chunks are right") {
        if message.type_id == SET_CHUNK_SIZE {
            let size = message.payload.first_chunk().expect("a size");
            reader.set_chunk_size(u32::from_be_bytes(*size)).expect("a size in range");
        }
        messages.push(message);
    }
    messages
}

/// The commands the server sent, each with the message stream it came on.
pub fn commands(output: &[u8]) -> Vec<(u32, Vec<Value>)> {
    let commands = messages(output).into_iter().filter(|message| message.type_id == COMMAND_AMF0);
    commands.map(|message| (message.message_stream, values(&message.payload))).collect()
}

/// The `code` of each status the server sent.
pub fn codes(output: &[u8]) -> Vec<String> {
    let code = |value: &Value| value.get("code").and_then(Value::as_str).map(str::to_owned);
    commands(output).iter().flat_map(|(_, values)| values).filter_map(code).collect()
}

fn values(payload: &[u8]) -> Vec<Value> {
    Value::decode_all(payload).expect("AMF0")
}
