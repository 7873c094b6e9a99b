//! An RTMP publisher made by hand: it sends what no encoder at hand would, byte by byte. It shares no code with headgate, so
//! that both cannot be wrong in the same way. Sections are of RTMP 1.0.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::flv::Tag;

/// Message types (§5.4, §7.1).
pub const SET_CHUNK_SIZE: u8 = 1;
pub const ABORT: u8 = 2;
pub const ACKNOWLEDGEMENT: u8 = 3;
pub const USER_CONTROL: u8 = 4;
pub const WINDOW_SIZE: u8 = 5;
pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;
pub const COMMAND: u8 = 20;

/// Chunk streams that this publisher uses.
pub const CONTROL_CHUNKS: u32 = 2;
pub const COMMAND_CHUNKS: u32 = 3;

/// C1 and C2 (§5.2.3).
pub const HANDSHAKE_BYTES: usize = 1536;
/// Until an answer has come, on a machine that may be busy.
const ANSWER_BOUND: Duration = Duration::from_secs(15);
/// A timestamp field that says that the time is in an extended one (§5.3.1.3).
const EXTENDED: u32 = 0xFF_FFFF;

/// An AMF0 value.
#[derive(Clone, Debug)]
pub enum Amf<'a> {
    Number(f64),
    Text(&'a str),
    Null,
    Object(&'a [(&'a str, Amf<'a>)]),
    /// Bytes as they stand.
    Raw(&'a [u8]),
}

/// Values one after the other.
pub fn amf(values: &[Amf]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| value.put(&mut out));
    out
}

impl Amf<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(0);
                out.extend(number.to_be_bytes());
            }
            Self::Text(text) => {
                out.push(2);
                put_text(text, out);
            }
            Self::Null => out.push(5),
            Self::Object(properties) => {
                out.push(3);
                for (name, value) in *properties {
                    put_text(name, out);
                    value.put(out);
                }
                out.extend([0, 0, 9]);
            }
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend(u16::try_from(text.len()).expect("short texts").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// An RTMP message.
#[derive(Clone, Debug)]
pub struct Message {
    pub kind: u8,
    pub stream: u32,
    pub time_ms: u32,
    pub payload: Vec<u8>,
}

impl Message {
    pub fn new(kind: u8, stream: u32, payload: Vec<u8>) -> Self {
        Self { kind, stream, time_ms: 0, payload }
    }

    /// A command on a message stream.
    pub fn command(stream: u32, values: &[Amf]) -> Self {
        Self::new(COMMAND, stream, amf(values))
    }

    /// A protocol control message that is one number.
    pub fn number(kind: u8, number: u32) -> Self {
        Self::new(kind, 0, number.to_be_bytes().to_vec())
    }

    /// A tag of a file, its time moved by `shift_ms` on a clock that wraps.
    pub fn of_tag(tag: &Tag, shift_ms: u32) -> Self {
        Self {
            kind: tag.kind,
            stream: 1,
            time_ms: tag.time_ms.wrapping_add(shift_ms),
            payload: tag.body.clone(),
        }
    }
}

/// Which of the four chunk headers (§5.3.1.2) a message gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    /// Type 0 for all.
    Full,
    /// The shortest that tells all: what FFmpeg does, type 3 for a repeated delta too.
    Shortest,
}

/// Whether continuations repeat an extended timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// As §5.3.1.3 says.
    Repeated,
    /// As senders do that follow the text of 2009.
    LeftOut,
}

/// How messages become chunks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub chunk_size: usize,
    pub headers: Headers,
    pub extended: Extended,
}

impl Default for Style {
    fn default() -> Self {
        Self { chunk_size: 4096, headers: Headers::Full, extended: Extended::Repeated }
    }
}

/// Writes chunks, and remembers what it said on each chunk stream.
pub struct Chunker {
    pub style: Style,
    sent: BTreeMap<u32, Sent>,
}

struct Sent {
    stream: u32,
    time_ms: u32,
    field: u32,
    kind: u8,
    length: usize,
}

impl Chunker {
    pub fn new(style: Style) -> Self {
        Self { style, sent: BTreeMap::new() }
    }

    /// The type of the first chunk's header, and the message as chunks.
    pub fn chunks(&mut self, chunk_stream: u32, message: &Message) -> (u8, Vec<u8>) {
        let (header, field) = self.choose(chunk_stream, message);
        let Message { kind, stream, time_ms, ref payload } = *message;
        let sent = Sent { stream, time_ms, field, kind, length: payload.len() };
        self.sent.insert(chunk_stream, sent);
        let extended = (field >= EXTENDED).then(|| field.to_be_bytes());
        let mut out = first_header(chunk_stream, header, message, field.min(EXTENDED));
        out.extend(extended.iter().flatten());
        for (index, part) in message.payload.chunks(self.style.chunk_size).enumerate() {
            if index > 0 {
                out.push(0xC0 | basic(chunk_stream));
                if self.style.extended == Extended::Repeated {
                    out.extend(extended.iter().flatten());
                }
            }
            out.extend_from_slice(part);
        }
        (header, out)
    }

    /// The type of header, and the time or delta that it carries.
    fn choose(&self, chunk_stream: u32, message: &Message) -> (u8, u32) {
        let shortest =
            |sent: &&Sent| self.style.headers == Headers::Shortest && sent.stream == message.stream;
        let Some(sent) = self.sent.get(&chunk_stream).filter(shortest) else { return (0, message.time_ms) };
        let delta = message.time_ms.wrapping_sub(sent.time_ms);
        let alike = sent.kind == message.kind && sent.length == message.payload.len();
        match (alike, delta == sent.field) {
            (true, true) => (3, delta),
            (true, false) => (2, delta),
            (false, _) => (1, delta),
        }
    }
}

/// A chunk's header without its extended timestamp.
pub fn first_header(chunk_stream: u32, header: u8, message: &Message, field: u32) -> Vec<u8> {
    let mut out = vec![header << 6 | basic(chunk_stream)];
    if header <= 2 {
        out.extend(&field.to_be_bytes()[1..]);
    }
    if header <= 1 {
        let length = u32::try_from(message.payload.len()).expect("short messages");
        out.extend(&length.to_be_bytes()[1..]);
        out.push(message.kind);
    }
    if header == 0 {
        out.extend(message.stream.to_le_bytes());
    }
    out
}

fn basic(chunk_stream: u32) -> u8 {
    u8::try_from(chunk_stream).ok().filter(|id| (2..64).contains(id)).expect("one byte is enough for ours")
}

/// C0, C1 and C2 at once: C2 may be anything (§5.2.4), so nothing need be waited for.
pub fn handshake() -> Vec<u8> {
    let mut out = vec![3];
    out.resize(1 + 2 * HANDSHAKE_BYTES, 0);
    out
}

/// A connection to headgate's RTMP port.
pub struct Client {
    socket: TcpStream,
    chunker: Chunker,
    heard: Vec<u8>,
}

impl Client {
    /// Connects and shakes hands.
    pub fn open(address: &str, style: Style) -> Self {
        Self::open_from(Ipv4Addr::LOCALHOST, address, style).expect("the port is open")
    }

    /// The same from an address of this machine, 127.x.y.z.
    pub fn open_from(source: Ipv4Addr, address: &str, style: Style) -> io::Result<Self> {
        let mut client = Self::raw_from(source, address)?;
        client.send_raw(&handshake())?;
        client.chunker.style = Style { chunk_size: 128, ..style };
        if style.chunk_size != 128 {
            let size = u32::try_from(style.chunk_size).expect("chunk sizes are small");
            client.send(CONTROL_CHUNKS, &Message::number(SET_CHUNK_SIZE, size))?;
            client.chunker.style = style;
        }
        Ok(client)
    }

    /// Connects, and says nothing yet; messages are cut into chunks of 128 bytes until [`Client::set_style`].
    pub fn raw(address: &str) -> Self {
        Self::raw_from(Ipv4Addr::LOCALHOST, address).expect("the port is open")
    }

    /// The same from an address of this machine.
    pub fn raw_from(source: Ipv4Addr, address: &str) -> io::Result<Self> {
        let socket = connect_from(source, address)?;
        socket.set_write_timeout(Some(ANSWER_BOUND))?;
        let chunker = Chunker::new(Style { chunk_size: 128, ..Style::default() });
        Ok(Self { socket, chunker, heard: Vec::new() })
    }

    /// Changes how messages are sent from now on, and tells nobody.
    pub fn set_style(&mut self, style: Style) {
        self.chunker.style = style;
    }

    pub fn send(&mut self, chunk_stream: u32, message: &Message) -> io::Result<()> {
        let (_, bytes) = self.chunker.chunks(chunk_stream, message);
        self.send_raw(&bytes)
    }

    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// `connect`, `createStream` and `publish`, without waiting for an answer.
    pub fn ask(&mut self, app: &str, stream: &str) -> io::Result<()> {
        asking(app, stream).iter().try_for_each(|message| self.send(COMMAND_CHUNKS, message))
    }

    /// The same; fails unless publishing is accepted.
    #[track_caller]
    pub fn publish(&mut self, app: &str, stream: &str) {
        self.ask(app, stream).expect("commands are read");
        assert!(self.hears("NetStream.Publish.Start"), "publishing {app}/{stream} is not accepted");
    }

    /// Sends tags as they come in the file, on a chunk stream for each kind.
    pub fn send_tags(&mut self, tags: &[Tag], shift_ms: u32) -> io::Result<()> {
        tags.iter().try_for_each(|tag| self.send(chunks_of(tag), &Message::of_tag(tag, shift_ms)))
    }

    /// Ends in order, as FFmpeg does, and waits for the other side to close.
    pub fn finish(mut self) {
        let end = [Amf::Text("deleteStream"), Amf::Number(9.0), Amf::Null, Amf::Number(1.0)];
        // The connection may have ended already; what came out is judged elsewhere.
        let _ = self.send(COMMAND_CHUNKS, &Message::command(0, &end));
        self.is_closed();
    }

    /// Waits until `text` has come.
    pub fn hears(&mut self, text: &str) -> bool {
        self.hears_first(&[text]).is_some()
    }

    /// Waits until one of `texts` has come, and says which.
    pub fn hears_first(&mut self, texts: &[&str]) -> Option<usize> {
        let deadline = Instant::now() + ANSWER_BOUND;
        loop {
            let heard = |text: &&str| self.heard.windows(text.len()).any(|window| window == text.as_bytes());
            let found = texts.iter().position(heard);
            if found.is_some() || !self.listen(deadline) {
                return found;
            }
        }
    }

    /// Whether the other side closes the connection in good time.
    pub fn is_closed(&mut self) -> bool {
        self.is_closed_within(ANSWER_BOUND)
    }

    pub fn is_closed_within(&mut self, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        while self.listen(deadline) {}
        Instant::now() < deadline
    }

    /// Breaks the connection: the other side sees it reset.
    pub fn reset(self) {
        let lingering = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        lingering.expect("the socket is open");
    }

    /// Says that nothing more will be sent.
    pub fn shut(&self) {
        // An error means that it is shut already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Whether something came before `deadline` and before the end.
    fn listen(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut buffer = [0; 4096];
        if left.is_zero() || self.socket.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        let count = self.socket.read(&mut buffer).unwrap_or(0);
        self.heard.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

/// `connect`, `createStream` and `publish`, which may all be sent before the first answer.
pub fn asking(app: &str, stream: &str) -> [Message; 3] {
    let url = format!("rtmp://127.0.0.1/{app}");
    let object = [("app", Amf::Text(app)), ("type", Amf::Text("nonprivate")), ("tcUrl", Amf::Text(&url))];
    let (one, two, three) = (Amf::Number(1.0), Amf::Number(2.0), Amf::Number(3.0));
    [
        Message::command(0, &[Amf::Text("connect"), one, Amf::Object(&object)]),
        Message::command(0, &[Amf::Text("createStream"), two, Amf::Null]),
        Message::command(1, &[Amf::Text("publish"), three, Amf::Null, Amf::Text(stream), Amf::Text("live")]),
    ]
}

/// The chunk stream that carries a kind of tag here.
pub fn chunks_of(tag: &Tag) -> u32 {
    if tag.kind == AUDIO { 4 } else { 6 }
}

/// A connection from one of loopback's many addresses.
pub fn connect_from(source: Ipv4Addr, address: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = address.parse().expect("headgate says where it listens");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect_timeout(&address.into(), ANSWER_BOUND)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The address of the `index`-th stranger: four connections come from each.
pub fn stranger(index: usize) -> Ipv4Addr {
    let [.., high, low] = (index / 4).to_be_bytes();
    Ipv4Addr::new(127, 1 + high / 200, high % 200, low)
}
