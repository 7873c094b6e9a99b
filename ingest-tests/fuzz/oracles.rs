//! What must hold for every input that a stranger can send: one function a fuzz target.
//!
//! `ingest-tests/fuzz` runs them under libFuzzer, `ingest-tests/corpus_test.rs` on each file of `fixtures/fuzz/`. A
//! function panics when its claim does not hold. No claim is only "does not crash": what is decoded can be encoded and
//! is then the same, how the input is cut makes no difference, and memory and answers stay in proportion to the input.

use bytes::{Bytes, BytesMut};
use headgate::base::reason::Reason;
use headgate::base::units::Bitrate;
use headgate::media::amf0::{self, Item, MAX_DEPTH, Value};
use headgate::media::flv::{self, AudioBody, TagKind, Tracks, VideoBody};
use headgate::media::track::{AudioConfiguration, VideoConfiguration};
use headgate::media::video::RandomAccess;
use headgate::media::{audio, video};
use headgate::rtmp::amf3;
use headgate::rtmp::chunk::{self, Reader, Writer};
use headgate::rtmp::handshake::HANDSHAKE_BYTES;
use headgate::rtmp::message::{ABORT, Message, SET_CHUNK_SIZE};
use headgate::rtmp::{Error, Event, Limits, Session};

/// What a stranger may make a session keep (see [`Session::memory_bytes`]).
const MAX_UNPROVED_BYTES: usize = 64 * 1024;
/// Bytes of answers that one byte of input may cause: eight bytes ask to play, and are told in 200 why not.
const MAX_ANSWER_RATIO: usize = 64;
/// A key has at most 65,535 bytes, and a byte that is no UTF-8 becomes three: below a third of it no key is cut.
const MAX_AMF0_INPUT: usize = 20_000;

/// The head of an input steers the run: how the rest is cut, and what else varies.
struct Plan<'a> {
    mode: u8,
    /// Lengths of the pieces, in turn; see [`Plan::pieces`].
    lengths: [u8; 7],
    input: &'a [u8],
}

impl<'a> Plan<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let ([mode, lengths @ ..], input) = data.split_first_chunk::<8>()?;
        Some(Self { mode: *mode, lengths: *lengths, input })
    }

    /// The input in pieces of 1 to 200 bytes, or of 64 to 3,520.
    fn pieces<'b>(&self, input: &'b [u8]) -> Vec<&'b [u8]> {
        let length = |&byte: &u8| match usize::from(byte) {
            small @ 0..200 => small + 1,
            large => (large - 199) * 64,
        };
        let mut rest = input;
        let mut pieces = Vec::new();
        for length in self.lengths.iter().map(length).cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(length.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// A connection from its first byte, or from the end of its handshake: the same events and answers however the input is
/// cut, and all of it within bounds.
pub fn session(data: &[u8]) {
    let Some(plan) = Plan::read(data) else { return };
    let mut input = Vec::new();
    if plan.mode & 1 == 0 {
        input.push(3);
        input.resize(1 + 2 * HANDSHAKE_BYTES, 0);
    }
    input.extend_from_slice(plan.input);
    let at_once = Publisher::run(plan.mode, &[&input]);
    let in_pieces = Publisher::run(plan.mode, &plan.pieces(&input));
    at_once.check_bounds(input.len());
    in_pieces.check_bounds(input.len());
    at_once.check_same(&in_pieces);
}

/// A session as its caller drives it, and what came of it.
struct Publisher {
    session: Session,
    mode: u8,
    accepted: bool,
    events: Vec<Event>,
    output: Vec<u8>,
    error: Option<Error>,
}

impl Publisher {
    fn run(mode: u8, pieces: &[&[u8]]) -> Self {
        let session = Session::new(if mode & 2 == 0 { Limits::default() } else { tight_limits() });
        let mut publisher =
            Self { session, mode, accepted: false, events: Vec::new(), output: Vec::new(), error: None };
        for piece in pieces {
            publisher.read(piece);
        }
        publisher
    }

    fn read(&mut self, mut piece: &[u8]) {
        loop {
            let result = self.session.handle_input(&mut piece);
            self.output.extend_from_slice(&self.session.take_output());
            match result {
                Ok(Some(event)) => self.take(event, piece),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(self.error, None, "a session fails once");
                    self.error = Some(error);
                }
            }
            if !self.accepted {
                assert!(self.session.memory_bytes() < MAX_UNPROVED_BYTES, "{}", self.session.memory_bytes());
            }
        }
        assert!(piece.is_empty(), "all is consumed");
    }

    /// What the caller does depends on the events alone, never on where the input is cut.
    fn take(&mut self, event: Event, piece: &[u8]) {
        if matches!(event, Event::PublishRequested(_)) {
            let mut unread = piece;
            assert_eq!(self.session.handle_input(&mut unread), Ok(None), "nothing is read before the answer");
            assert_eq!(unread.len(), piece.len());
            if self.mode & 12 == 4 {
                self.session.refuse_publish(Reason::WrongKey, "no");
            } else {
                self.session.accept_publish();
                self.accepted = true;
            }
        }
        self.events.push(event);
        match (self.mode & 12, self.events.len()) {
            (8, 4) => self.session.end_publish(Reason::LimitExceeded, "enough"),
            (12, 3) => self.session.request_reconnect("please"),
            (_, _) => {}
        }
    }

    fn check_bounds(&self, input: usize) {
        let payload = |event: &Event| match event {
            Event::Media(tag) => tag.payload.len(),
            Event::PublishRequested(_) | Event::PublishEnded => 0,
        };
        let media: usize = self.events.iter().map(payload).sum();
        assert!(media <= input, "{media} bytes of media from {input}");
        assert!(self.events.len() <= input, "{} events from {input} bytes", self.events.len());
        let empty = |event: &Event| matches!(event, Event::Media(tag) if tag.payload.is_empty());
        assert!(!self.events.iter().any(empty), "a body is never empty");
        let answers = self.output.len();
        assert!(answers <= 8192 + MAX_ANSWER_RATIO * input, "{answers} bytes of answers to {input}");
        assert!(self.session.bytes_received() <= input as u64);
        let requests = self.events.iter().filter(|event| matches!(event, Event::PublishRequested(_)));
        assert!(requests.count() <= 1, "one publish a connection");
    }

    /// Too many answers *at once* depends on how much is read at once; until then all is the same.
    fn check_same(&self, other: &Self) {
        let (at_once, pieces) = (&self.events, &other.events);
        if matches!(self.error, Some(Error::TooMuchOutput(_))) && other.error != self.error {
            assert!(pieces.starts_with(at_once) && at_once.len() <= pieces.len());
            return;
        }
        assert_eq!(at_once, pieces);
        assert_eq!(self.error, other.error);
        assert!(self.output == other.output, "answers depend on how the input is cut");
    }
}

/// Limits that small inputs reach.
fn tight_limits() -> Limits {
    Limits {
        max_message_bytes: 512,
        max_message_bytes_unproved: 384,
        max_chunk_streams: 4,
        max_message_streams: 2,
        chunk_size: 128,
        window_bytes: 2_500_000,
        max_output_bytes: 8 * 1024,
    }
}

/// A chunk stream: the same messages however it is cut, and each message that comes out can be sent again.
pub fn chunk(data: &[u8]) {
    let Some(plan) = Plan::read(data) else { return };
    let at_once = Chunks::run(&[plan.input]);
    let in_pieces = Chunks::run(&plan.pieces(plan.input));
    assert_eq!((&at_once.messages, &at_once.error), (&in_pieces.messages, &in_pieces.error));
    let payload: usize = at_once.messages.iter().map(|message| message.payload.len()).sum();
    assert!(payload <= plan.input.len(), "{payload} bytes from {}", plan.input.len());
    if at_once.error.is_none() {
        assert_eq!(at_once.reader.position(), plan.input.len() as u64);
    }
    send_again(&plan, &at_once.messages);
}

/// A reader, the messages it gave, and how it failed.
struct Chunks {
    reader: Reader,
    messages: Vec<Message>,
    error: Option<chunk::Error>,
}

impl Chunks {
    fn run(pieces: &[&[u8]]) -> Self {
        let limits = chunk::Limits { max_chunk_streams: 8, max_unfinished_bytes: 64 * 1024 };
        let mut chunks = Self { reader: Reader::new(limits), messages: Vec::new(), error: None };
        for piece in pieces {
            chunks.error = chunks.read(piece).err();
            if chunks.error.is_some() {
                break;
            }
        }
        chunks
    }

    fn read(&mut self, mut piece: &[u8]) -> Result<(), chunk::Error> {
        while let Some(message) = self.reader.read(&mut piece)? {
            let number = message.payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
            match (message.type_id, number) {
                (SET_CHUNK_SIZE, Some(size)) => self.reader.set_chunk_size(size)?,
                (ABORT, Some(chunk_stream)) => self.reader.abort(chunk_stream),
                (_, _) => {}
            }
            self.messages.push(message);
        }
        assert!(piece.is_empty(), "all is consumed");
        Ok(())
    }
}

/// decode(encode(x)) = x, with chunks of a size and on a chunk stream that the plan chooses.
fn send_again(plan: &Plan<'_>, messages: &[Message]) {
    let chunk_stream = [2, 63, 64, 319, 320, 65_599][usize::from(plan.mode) % 6];
    let size = 1 + u32::from(plan.mode) * 16;
    let mut bytes = BytesMut::new();
    let mut writer = Writer::default();
    writer.write(2, &Message::number(SET_CHUNK_SIZE, size), &mut bytes);
    writer.set_chunk_size(size);
    for message in messages {
        writer.write(chunk_stream, message, &mut bytes);
    }
    let limits = chunk::Limits { max_chunk_streams: 8, max_unfinished_bytes: 64 * 1024 };
    let mut reader = Reader::new(limits);
    let mut rest = &bytes[..];
    let first = reader.read(&mut rest).expect("our own chunks");
    assert_eq!(first.map(|message| message.type_id), Some(SET_CHUNK_SIZE));
    reader.set_chunk_size(size).expect("at least 1");
    for message in messages {
        assert_eq!(reader.read(&mut rest).expect("our own chunks").as_ref(), Some(message));
    }
    assert_eq!((reader.read(&mut rest).expect("the end"), rest.len()), (None, 0));
}

/// Values: what decodes can be encoded and decodes to the same, and stepping over a value is as long as walking into it.
pub fn amf0(data: &[u8]) {
    if data.len() > MAX_AMF0_INPUT {
        return;
    }
    let values = decode(data);
    let encoded = encode(&values);
    let again = decode(&encoded);
    assert_eq!(values.len(), again.len());
    // By bytes, because a NaN is not equal to itself.
    assert_eq!(encoded, encode(&again));
}

/// AMF3 among AMF0: what comes out is AMF0 alone, readable to its end, and within the bound.
pub fn amf3(data: &[u8]) {
    match amf3::rewritten(data) {
        Ok(Some(rewritten)) => {
            assert!(rewritten.len() <= amf3::MAX_BYTES, "{} bytes", rewritten.len());
            assert_eq!(amf3::rewritten(&rewritten), Ok(None), "AMF3 is left in {rewritten:02x?}");
            let mut reader = amf0::Reader::new(&rewritten);
            while reader.value().expect("values that we wrote").is_some() {}
            assert_eq!(reader.offset(), rewritten.len());
        }
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The values before the end or the first error.
fn decode(data: &[u8]) -> Vec<Value> {
    let (mut walking, mut stepping) = (amf0::Reader::new(data), amf0::Reader::new(data));
    let mut values = Vec::new();
    loop {
        let before = stepping.offset();
        match stepping.value() {
            Ok(Some(_)) => values.push(walk(&mut walking, 0).expect("it could be stepped over")),
            Ok(None) => return values,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return values;
            }
        }
        assert_eq!(walking.offset(), stepping.offset());
        assert!((before + 1..=data.len()).contains(&stepping.offset()), "each value moves on");
    }
}

/// The next value with all that is in it.
fn walk(reader: &mut amf0::Reader<'_>, depth: usize) -> Result<Value, amf0::Error> {
    assert!(depth < MAX_DEPTH, "deeper than the reader steps");
    let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let head = reader.enter()?.expect("the end was looked for");
    Ok(match head {
        Item::Number(number) => Value::Number(number),
        Item::Boolean(boolean) => Value::Boolean(boolean),
        Item::Text(bytes) => Value::String(text(bytes)),
        Item::Null => Value::Null,
        Item::Undefined => Value::Undefined,
        Item::Date(milliseconds) => Value::Date(milliseconds),
        Item::Object | Item::EcmaArray => {
            let mut properties = Vec::new();
            while let Some(name) = reader.name()? {
                properties.push((text(name), walk(reader, depth + 1)?));
            }
            if head == Item::Object { Value::Object(properties) } else { Value::EcmaArray(properties) }
        }
        Item::StrictArray(count) => {
            Value::StrictArray((0..count).map(|_| walk(reader, depth + 1)).collect::<Result<_, _>>()?)
        }
    })
}

fn encode(values: &[Value]) -> BytesMut {
    let mut bytes = BytesMut::new();
    values.iter().for_each(|value| value.encode(&mut bytes));
    bytes
}

/// A publisher's tags, each `kind: u8 | length: u16 | body`: tracks, metadata, configurations, random access.
pub fn flv(data: &[u8]) {
    let mut tags = Tags::default();
    let mut rest = data;
    while let Some((&[kind, high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (body, after) = after.split_at(length);
        match kind % 3 {
            0 => tags.read(TagKind::Audio, body),
            1 => tags.read(TagKind::Video, body),
            _ => read_metadata(body),
        }
        rest = after;
    }
}

/// What the configurations so far said: later bodies are read by them.
#[derive(Default)]
struct Tags {
    video: Option<VideoConfiguration>,
    audio: Option<AudioConfiguration>,
}

impl Tags {
    fn read(&mut self, kind: TagKind, body: &[u8]) {
        let body = Bytes::copy_from_slice(body);
        match flv::tracks(kind, &body) {
            Ok(Tracks::Plain) => self.read_plain(kind, &body),
            Ok(Tracks::Split(shares)) => {
                assert!(!shares.is_empty() && shares.len() <= body.len(), "{} shares", shares.len());
                let bytes: usize = shares.iter().map(|share| share.body.len()).sum();
                assert!(bytes <= body.len() + 16 * shares.len(), "{bytes} bytes from {}", body.len());
                for share in shares {
                    assert_eq!(flv::tracks(kind, &share.body), Ok(Tracks::Plain), "{share:?}");
                    self.read_plain(kind, &share.body);
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn read_plain(&mut self, kind: TagKind, body: &[u8]) {
        match kind {
            TagKind::Video => self.read_video(body),
            TagKind::Audio => self.read_audio(body),
            TagKind::Script => read_metadata(body),
        }
    }

    fn read_video(&mut self, body: &[u8]) {
        match flv::read_video(body) {
            Ok(VideoBody::Configuration { codec, record }) => {
                match video::read_configuration(codec, record) {
                    Ok(configuration) => {
                        check_video(&configuration);
                        assert_eq!(configuration.codec, codec);
                        self.video = Some(configuration);
                    }
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
            Ok(VideoBody::AccessUnit { data, .. }) => {
                assert!(!data.is_empty() && data.len() < body.len());
                if let Some(configuration) = &self.video {
                    let random_access = video::random_access(configuration, data) != RandomAccess::None;
                    if let Some(refined) = video::refined(configuration, data) {
                        check_video(&refined);
                        assert!(refined.width > 0, "{refined:?}");
                        self.video = Some(refined);
                    } else {
                        assert!(configuration.width > 0 || !random_access, "begins without a size");
                    }
                }
            }
            Ok(VideoBody::EndOfSequence | VideoBody::Info | VideoBody::Empty) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn read_audio(&mut self, body: &[u8]) {
        match flv::read_audio(body) {
            Ok(AudioBody::Configuration { codec, record }) => {
                match audio::read_configuration(codec, record) {
                    Ok(configuration) => {
                        check_audio(&configuration);
                        assert_eq!(configuration.codec, codec);
                        self.audio = Some(configuration);
                    }
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
            Ok(AudioBody::AccessUnit { codec, data }) => {
                assert!(!data.is_empty() && data.len() < body.len());
                if let Some(configuration) = audio::read_access_unit(codec, data) {
                    assert!(audio::describes_itself(codec), "{codec:?}");
                    check_audio(&configuration);
                    self.audio = Some(configuration);
                }
                if let Some(configuration) = &self.audio {
                    // No codec has longer access units than FLAC, with 65,535 samples (RFC 9639 §9.1.1), or two of it.
                    assert!(audio::samples(configuration, data) <= 1 << 17);
                }
            }
            Ok(AudioBody::Empty) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// What is read off a configuration can be boxed and shown.
fn check_video(configuration: &VideoConfiguration) {
    // Both are zero where only a random access point says them (`video::refined`).
    let sides = [configuration.width, configuration.height];
    assert!(sides == [0, 0] || sides.iter().all(|side| (1..=65_535).contains(side)), "{configuration:?}");
    assert!(matches!(configuration.nal_length_bytes, 0 | 1 | 2 | 4), "{configuration:?}");
    assert!(configuration.frame_rate.is_none_or(|rate| rate.is_finite() && rate > 0.0), "{configuration:?}");
    check_codecs(&configuration.codecs);
}

fn check_audio(configuration: &AudioConfiguration) {
    assert!(configuration.sample_rate > 0 && configuration.channels > 0, "{configuration:?}");
    assert!(configuration.samples_per_access_unit > 0, "{configuration:?}");
    check_codecs(&configuration.codecs);
}

/// It ends in a playlist, between quotes.
fn check_codecs(codecs: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    assert!(!codecs.is_empty() && codecs.len() < 64 && codecs.chars().all(fits), "{codecs:?}");
}

/// Only what can be believed is read, and the word to the server before it changes nothing.
fn read_metadata(body: &[u8]) {
    const WORD: &[u8] = b"\x02\x00\x0d@setDataFrame";
    let metadata = flv::read_metadata(body);
    if !body.starts_with(WORD) {
        assert_eq!(flv::read_metadata(&[WORD, body].concat()), metadata);
    }
    let Some(metadata) = metadata else { return };
    assert!(metadata.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= 1_000.0), "{metadata:?}");
    let side = |side: Option<u32>| side.is_none_or(|side| (1..=65_535).contains(&side));
    assert!(side(metadata.width) && side(metadata.height), "{metadata:?}");
    let bitrate = |bitrate: Option<Bitrate>| bitrate.is_none_or(|Bitrate(bits)| bits > 0);
    assert!(bitrate(metadata.video_bitrate) && bitrate(metadata.audio_bitrate), "{metadata:?}");
    let printable = |name: &String| name.chars().count() <= 64 && !name.chars().any(char::is_control);
    assert!(metadata.encoder.as_ref().is_none_or(printable), "{metadata:?}");
}
