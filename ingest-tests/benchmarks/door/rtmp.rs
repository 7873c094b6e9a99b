//! The publisher's side of RTMP, and the session alone: all that the benchmark uses of the RTMP room.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headgate::media::amf0::Value;
use headgate::rtmp::chunk::Writer;
use headgate::rtmp::handshake::HANDSHAKE_BYTES;
use headgate::rtmp::message::{Message, SET_CHUNK_SIZE};
use headgate::rtmp::{Event, Limits, Session};

/// The longest a server may take to answer; core 0 is shared with 99 other publishers' handshakes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The message stream that the first `createStream` gives.
const MESSAGE_STREAM: u32 = 1;

/// Set Chunk Size.
pub fn set_chunk_size(size: usize) -> Vec<u8> {
    let size = u32::try_from(size).expect("a chunk size");
    written(2, &[Message::number(SET_CHUNK_SIZE, size)])
}

/// A track's first message, with a header of type 0 at time 0, on the chunk stream that [`delta_message`] goes on with.
pub fn first_message(type_id: u8, payload: &[u8], chunk_size: usize) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(payload);
    let message = Message { type_id, timestamp_ms: 0, message_stream: MESSAGE_STREAM, payload };
    let mut writer = Writer::default();
    writer.set_chunk_size(u32::try_from(chunk_size).expect("a chunk size"));
    let mut bytes = BytesMut::new();
    writer.write(type_id.into(), &message, &mut bytes);
    bytes.to_vec()
}

/// Appends a message with a header of type 1, as encoders send (RTMP 1.0 §5.3.1.2.2): its time is a delta.
pub fn delta_message(type_id: u8, delta_ms: u32, payload: &[u8], chunk_size: usize, output: &mut Vec<u8>) {
    let be24 = |number: u32| [(number >> 16) as u8, (number >> 8) as u8, number as u8];
    output.push(1 << 6 | type_id);
    output.extend(be24(delta_ms));
    output.extend(be24(u32::try_from(payload.len()).expect("below 16 MiB")));
    output.push(type_id);
    for (at, piece) in payload.chunks(chunk_size).enumerate() {
        if at > 0 {
            output.push(3 << 6 | type_id);
        }
        output.extend_from_slice(piece);
    }
}

/// Publishes `app/stream` and waits until the server has agreed.
pub fn publish(server: SocketAddr, app: &str, stream: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server).expect("the server listens");
    socket.set_nodelay(true).expect("a socket of ours");
    socket.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("a socket of ours");
    socket.write_all(&hello()).expect("the server reads");
    let mut answers = Vec::new();
    read_until(&mut socket, &mut answers, |answers| answers.len() > 2 * HANDSHAKE_BYTES);
    socket.write_all(&[0; HANDSHAKE_BYTES]).expect("the server reads");
    socket
        .write_all(&written(3, &[connect(app), call(0, "createStream", 2.0, &[])]))
        .expect("the server reads");
    read_until(&mut socket, &mut answers, |answers| {
        answers.windows(7).filter(|at| at == b"_result").count() == 2
    });
    let publish = call(MESSAGE_STREAM, "publish", 3.0, &[stream.into(), "live".into()]);
    socket.write_all(&written(3, &[publish])).expect("the server reads");
    let started = b"NetStream.Publish.Start";
    read_until(&mut socket, &mut answers, |answers| answers.windows(started.len()).any(|at| at == started));
    socket
}

/// A session whose publisher was accepted.
pub fn accepted_session() -> Session {
    let mut session = Session::new(Limits::default());
    let mut bytes = hello();
    bytes.resize(bytes.len() + HANDSHAKE_BYTES, 0);
    let publish = call(MESSAGE_STREAM, "publish", 3.0, &["alone".into(), "live".into()]);
    bytes.extend(written(3, &[connect("live"), call(0, "createStream", 2.0, &[]), publish]));
    let event = session.handle_input(&mut &bytes[..]);
    assert!(matches!(event, Ok(Some(Event::PublishRequested(_)))), "{event:?}");
    session.accept_publish();
    session
}

/// Reads `piece` as the proxy does, drops what comes out, and gives its length.
pub fn feed(session: &mut Session, piece: &[u8]) -> u64 {
    let mut rest = piece;
    while session.handle_input(&mut rest).expect("a sound clip").is_some() {}
    session.take_output();
    piece.len() as u64
}

/// C0 and C1.
fn hello() -> Vec<u8> {
    let mut hello = vec![3];
    hello.resize(1 + HANDSHAKE_BYTES, 0);
    hello
}

fn connect(app: &str) -> Message {
    let url = format!("rtmp://127.0.0.1/{app}");
    let object = Value::object([
        ("app", app.into()),
        ("flashVer", "FMLE/3.0 (compatible; bench)".into()),
        ("tcUrl", url.as_str().into()),
    ]);
    Message::command(0, &["connect".into(), 1.0.into(), object])
}

fn call(message_stream: u32, name: &str, transaction: f64, arguments: &[Value]) -> Message {
    let mut values = vec![name.into(), transaction.into(), Value::Null];
    values.extend_from_slice(arguments);
    Message::command(message_stream, &values)
}

fn written(chunk_stream: u32, messages: &[Message]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    messages.iter().for_each(|message| Writer::default().write(chunk_stream, message, &mut bytes));
    bytes.to_vec()
}

/// Reads until `done`, within [`ANSWER_TIMEOUT`] for each read.
fn read_until(socket: &mut TcpStream, answers: &mut Vec<u8>, done: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 8192];
    while !done(answers) {
        let read = socket.read(&mut buffer).expect("the server answers in time");
        assert!(read > 0, "the server closed the connection: {:?}", String::from_utf8_lossy(answers));
        answers.extend_from_slice(&buffer[..read]);
    }
}
