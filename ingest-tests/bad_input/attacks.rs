//! What a stranger can send at each stage of a connection, one attack after the other. None may crash or stall the server;
//! those that break the protocol or a bound must end their connection at once.

use std::time::Duration;

use crate::harness::random::Random;
use crate::harness::rtmp::{
    ABORT, ACKNOWLEDGEMENT, AUDIO, Amf, COMMAND, COMMAND_CHUNKS, CONTROL_CHUNKS, Chunker, Client, Message,
    SET_CHUNK_SIZE, Style, USER_CONTROL, VIDEO, WINDOW_SIZE, asking, first_header, stranger,
};

/// Until a connection that broke the protocol is closed: less than the handshake's timeout, which would close it anyway.
const CLOSED_BOUND: Duration = Duration::from_secs(8);
/// Messages in a flood.
const FLOOD: usize = 50_000;
/// Message types that are none, or belong to shared objects and aggregates.
const ODD_TYPES: [u8; 6] = [0, 7, 16, 19, 22, 255];

/// How far a connection has come when the attack begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    Silent,
    /// The handshake is over.
    Shaken,
    /// `connect` was sent.
    Connected,
    /// Publishing is accepted.
    Publishing,
}

/// What must become of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The server closes it.
    Closed,
    /// It may go on until the stranger leaves.
    Borne,
}

struct Attack {
    name: &'static str,
    stage: Stage,
    end: End,
    bytes: Vec<u8>,
}

fn attack(name: &'static str, stage: Stage, end: End, bytes: Vec<u8>) -> Attack {
    Attack { name, stage, end, bytes }
}

/// Carries out all attacks, each on a connection of its own, four at once. Gives what went wrong.
pub fn run(address: &str) -> Vec<String> {
    let attacks: Vec<Attack> =
        [noise(), lengths(), values(), commands(), floods(), media()].into_iter().flatten().collect();
    let carry_out = |group: usize| {
        let mine = attacks.iter().enumerate().skip(group).step_by(4);
        mine.filter_map(|(index, attack)| carry_out(address, index, attack)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|group| scope.spawn(move || carry_out(group)));
        threads.into_iter().flat_map(|thread| thread.join().expect("an attacker does not panic")).collect()
    })
}

fn carry_out(address: &str, index: usize, attack: &Attack) -> Option<String> {
    let &Attack { name, stage, end, ref bytes } = attack;
    let Ok(mut client) = reach(address, index, name, stage) else {
        return Some(format!("{name}: {stage:?} is not reached"));
    };
    // The server may close before it has read everything; that is an answer too.
    let _ = client.send_raw(bytes);
    if end == End::Borne {
        client.shut();
    }
    let closed = client.is_closed_within(CLOSED_BOUND);
    (!closed).then(|| format!("{name}: the connection is still open"))
}

fn reach(address: &str, index: usize, name: &str, stage: Stage) -> std::io::Result<Client> {
    let source = stranger(index);
    if stage == Stage::Silent {
        return Client::raw_from(source, address);
    }
    let mut client = Client::open_from(source, address, Style::default())?;
    match stage {
        Stage::Silent | Stage::Shaken => {}
        Stage::Connected => client.send(COMMAND_CHUNKS, &asking("cheap", name)[0])?,
        Stage::Publishing => {
            client.ask("cheap", name)?;
            if !client.hears("NetStream.Publish.Start") {
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            }
        }
    }
    Ok(client)
}

/// Messages as chunks of 4096 bytes, each with a whole header.
fn chunks(chunk_stream: u32, messages: &[Message]) -> Vec<u8> {
    let mut chunker = Chunker::new(Style::default());
    messages.iter().flat_map(|message| chunker.chunks(chunk_stream, message).1).collect()
}

/// A command with these values after its name and a transaction.
fn command(stream: u32, name: &str, values: &[Amf]) -> Vec<u8> {
    let start = [Amf::Text(name), Amf::Number(1.0)];
    chunks(COMMAND_CHUNKS, &[Message::command(stream, &[&start[..], values].concat())])
}

/// The first chunk of a message that announces `length` bytes.
fn announcement(chunk_stream: u32, kind: u8, length: usize) -> Vec<u8> {
    let message = Message::new(kind, 1, vec![0; length]);
    let header = first_header(chunk_stream, 0, &message, 0);
    [header, vec![0; length.min(Style::default().chunk_size)]].concat()
}

/// What is no RTMP at all.
fn noise() -> Vec<Attack> {
    use {End::Closed, Stage::Silent};
    let mut random = Random::seeded();
    let mut bytes = |count| -> Vec<u8> { (0..count).map(|_| random.below(256).to_be_bytes()[7]).collect() };
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &bytes(500)].concat();
    vec![
        attack("http", Silent, Closed, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        attack("tls", Silent, Closed, hello),
        attack("rtmpe", Silent, Closed, [vec![6], bytes(3_072)].concat()),
        attack("zeroes", Silent, Closed, vec![0; 100_000]),
        attack("ones", Silent, Closed, vec![0xFF; 100_000]),
        attack("random-after-3", Silent, Closed, [vec![3], bytes(500_000)].concat()),
        attack("random-chunks", Stage::Shaken, Closed, bytes(500_000)),
        attack("random-when-connected", Stage::Connected, Closed, bytes(500_000)),
        attack("random-when-publishing", Stage::Publishing, Closed, bytes(500_000)),
    ]
}

/// Lengths, counts and chunk sizes over every bound.
fn lengths() -> Vec<Attack> {
    use {End::Closed, Stage::Publishing, Stage::Shaken};
    let most = 0xFF_FFFF;
    let streams: Vec<u8> = (3..63).flat_map(|id| announcement(id, VIDEO, 5_000)).collect();
    let together: Vec<u8> = (3..12).flat_map(|id| announcement(id, COMMAND, 60_000)).collect();
    let sizes = |size| chunks(CONTROL_CHUNKS, &[Message::number(SET_CHUNK_SIZE, size)]);
    vec![
        attack("length-16M", Shaken, Closed, announcement(3, COMMAND, most)),
        attack(
            "length-16M-together",
            Publishing,
            Closed,
            [announcement(6, VIDEO, most), announcement(7, VIDEO, most)].concat(),
        ),
        attack("lengths-together", Shaken, Closed, together),
        attack("chunk-streams", Publishing, Closed, streams),
        attack("chunk-size-0", Shaken, Closed, sizes(0)),
        attack("chunk-size-4G", Shaken, Closed, sizes(u32::MAX)),
        attack(
            "chunk-size-2G",
            Shaken,
            Closed,
            [sizes(0x7FFF_FFFF), announcement(3, COMMAND, most)].concat(),
        ),
    ]
}

/// AMF0 that nests, announces or ends as no value should.
fn values() -> Vec<Attack> {
    use {End::Closed, Stage::Shaken};
    let nested = |open: &[u8]| open.repeat(60_000 / open.len());
    let object = |bytes: &[u8]| command(0, "connect", &[Amf::Raw(bytes)]);
    let array = |marker: u8| [&[marker][..], &u32::MAX.to_be_bytes(), &[5; 1_000]].concat();
    vec![
        attack("nested-objects", Shaken, Closed, object(&nested(&[3, 0, 1, b'a']))),
        attack("nested-arrays", Shaken, Closed, object(&nested(&[10, 0, 0, 0, 1]))),
        attack("nested-ecma-arrays", Shaken, Closed, object(&nested(&[8, 0, 0, 0, 1, 0, 1, b'a']))),
        attack("count-4G", Shaken, End::Borne, object(&array(10))),
        attack("unknown-marker", Shaken, Closed, object(&[0x7F])),
        attack("nothing-but-markers", Shaken, Closed, object(&[5; 60_000])),
        attack("command-of-nothing", Shaken, Closed, chunks(3, &[Message::new(COMMAND, 0, vec![0])])),
        attack("text-cut-short", Shaken, End::Borne, object(&[2, 0xFF, 0xFF, b'a'])),
    ]
}

/// Commands out of order, or with missing or wrong arguments.
fn commands() -> Vec<Attack> {
    use {End::Borne, End::Closed, Stage::Connected, Stage::Publishing, Stage::Shaken};
    let connect = || chunks(COMMAND_CHUNKS, &asking("cheap", "x")[..1]);
    let video = chunks(6, &[Message::new(VIDEO, 1, vec![0x17, 0, 0, 0, 0])]);
    vec![
        attack("create-first", Shaken, Closed, command(0, "createStream", &[Amf::Null])),
        attack("connect-twice", Connected, Closed, connect()),
        attack("connect-alone", Shaken, Borne, command(0, "connect", &[])),
        attack("connect-number", Shaken, Borne, command(0, "connect", &[Amf::Number(f64::NAN)])),
        attack("publish-nothing", Connected, Borne, command(1, "publish", &[Amf::Null])),
        attack("publish-number", Connected, Borne, command(1, "publish", &[Amf::Null, Amf::Number(1.0)])),
        attack(
            "publish-bad-name",
            Connected,
            Closed,
            command(1, "publish", &[Amf::Null, Amf::Text("../../etc")]),
        ),
        attack(
            "publish-long-name",
            Connected,
            Closed,
            command(1, "publish", &[Amf::Null, Amf::Text(&"x".repeat(60_000))]),
        ),
        attack(
            "delete-first",
            Connected,
            Borne,
            command(0, "deleteStream", &[Amf::Null, Amf::Number(f64::INFINITY)]),
        ),
        attack("media-first", Shaken, Closed, video.clone()),
        attack("media-before-publish", Connected, Closed, video),
        attack(
            "delete-negative",
            Publishing,
            Borne,
            command(0, "deleteStream", &[Amf::Null, Amf::Number(-1.0)]),
        ),
        attack("unknown-commands", Connected, Borne, command(0, "\u{0}\u{7}%s%n", &[Amf::Null])),
    ]
}

/// Much of what costs little to send.
fn floods() -> Vec<Attack> {
    use {End::Borne, End::Closed, Stage::Connected, Stage::Publishing};
    let many = |message: Message| chunks(CONTROL_CHUNKS, &vec![message; FLOOD]);
    let commands = |name: &str| command(0, name, &[Amf::Null]).repeat(FLOOD);
    let event = |event: u8| many(Message::new(USER_CONTROL, 0, vec![0, event, 0, 0, 0, 1]));
    vec![
        attack("create-stream-flood", Connected, Closed, commands("createStream")),
        attack("release-stream-flood", Connected, Borne, commands("releaseStream")),
        attack("acknowledgement-flood", Publishing, Borne, many(Message::number(ACKNOWLEDGEMENT, u32::MAX))),
        attack("window-flood", Publishing, Borne, many(Message::number(WINDOW_SIZE, 1))),
        attack("bandwidth-flood", Connected, Borne, many(Message::new(6, 0, vec![0, 0, 0, 1, 2]))),
        attack("abort-flood", Publishing, Borne, many(Message::number(ABORT, 6))),
        attack("ping-flood", Connected, Borne, event(6)),
        attack("event-flood", Publishing, Borne, event(3)),
        attack("play-flood", Connected, Borne, commands("play")),
        attack("empty-flood", Publishing, Borne, many(Message::new(VIDEO, 1, Vec::new()))),
    ]
}

/// What an accepted publisher can send. Its own stream may end as it likes.
fn media() -> Vec<Attack> {
    use {End::Borne, Stage::Publishing};
    let configuration = vec![0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1E, 0xFF, 0xE1, 0xFF, 0xFF, 0x67];
    let odd = ODD_TYPES.map(|kind| Message::new(kind, 1, vec![0xFF; 300]));
    let backwards: Vec<Message> = (0..2_000)
        .map(|index| Message {
            time_ms: 0_u32.wrapping_sub(index * 1_000_000),
            ..Message::new(AUDIO, 1, vec![0xAF, 1, 0x21])
        })
        .collect();
    let script = |payload: &[u8]| chunks(4, &[Message::new(18, 1, payload.to_vec())]);
    vec![
        attack("odd-types", Publishing, Borne, chunks(5, &odd)),
        attack("configuration-cut", Publishing, Borne, chunks(6, &[Message::new(VIDEO, 1, configuration)])),
        attack("times-backwards", Publishing, Borne, chunks(4, &backwards)),
        attack("script-nested", Publishing, Borne, script(&[3, 0, 1, b'a'].repeat(15_000))),
        attack("script-cut", Publishing, Borne, script(&[2, 0, 10, b'o', b'n'])),
    ]
}
