//! The known traps of RTMP, each against the running binary: what encoders really send, or are allowed to, and what other
//! servers stumble over. A publisher made by hand sends the clip with the trap in it; every frame and audio unit must
//! come out once, at its time, or the connection must end and no other notice. Sections are of RTMP 1.0.

mod harness;

use std::time::Duration;

use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::flv::{Tag, tags};
use harness::player::Player;
use harness::publisher::{Publisher, Repeat};
use harness::rtmp::{
    ABORT, AUDIO, Amf, COMMAND_CHUNKS, CONTROL_CHUNKS, Chunker, Client, Extended, Headers, Message,
    SET_CHUNK_SIZE, Style, VIDEO, WINDOW_SIZE, asking, chunks_of, connect_from, first_header, handshake,
    stranger,
};
use harness::server::{Server, config_with};
use harness::stats::{Stats, Watch, judge_counters};
use harness::{assert_none, wait_for};

/// GOPs that are published: 4 s, sent as fast as they are read.
const GOPS: usize = 2;
/// From the first byte to ENDLIST, with a dozen streams at once on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
/// AMF0's marker of an ECMA array, and its end.
const ECMA_ARRAY: u8 = 8;
const STRICT_ARRAY: u8 = 10;
const OBJECT_END: [u8; 3] = [0, 0, 9];

/// A server with one cheap rendition and room for all traps of a test.
fn start() -> Server {
    let rendition =
        "renditions = [{ name = \"180p\", height = 180, video_bitrate = \"400k\", preset = \"ultrafast\" }]";
    let more = [
        ("profiles.one", rendition),
        ("tenants.cheap", "profile = \"one\""),
        ("tenants.club", "profile = \"one\"\nkeys = [\"open-sesame\", \"a/b/c\"]"),
        ("node", "slots = 32"),
    ];
    let server = Server::start(&["up"], &config_with(&more, &Ffmpeg::Debian.path()));
    Stats::of(&server).wait_for_nodes(1);
    server
}

/// What a trap publishes with.
struct Bait<'a> {
    server: &'a Server,
    name: &'static str,
    clip: &'a Clip,
    tags: &'a [Tag],
}

impl Bait<'_> {
    /// A connection that publishes under the trap's name.
    fn client(&self, style: Style) -> Client {
        let mut client = Client::open(&self.server.address("rtmp"), style);
        client.publish("cheap", self.name);
        client
    }

    /// Publishes the whole clip in a style.
    fn send_all(&self, style: Style, shift_ms: u32) {
        let mut client = self.client(style);
        client.send_tags(self.tags, shift_ms).expect("it is read");
        client.finish();
    }

    /// The tags before the second GOP, and from there on.
    fn halves(&self) -> (&[Tag], &[Tag]) {
        let mut keys = self.tags.iter().enumerate().filter(|(_, tag)| tag.is_key_frame());
        let (second, _) = keys.nth(1).expect("the clip has two GOPs");
        self.tags.split_at(second)
    }
}

/// A trap's name, which is its stream's too, and how it publishes.
type Trap = (&'static str, fn(&Bait));

/// Publishes `clip` through all traps at once, and judges all outputs.
#[track_caller]
fn check(server: &Server, clip: &Clip, traps: &[Trap]) {
    let tags = &tags(&clip.path);
    let run = |&(name, publish): &Trap| {
        let (stream, folder) = (format!("cheap/{name}"), harness::folder());
        let watch = Watch::start(Stats::of(server), &stream);
        let player = Player::start(server.play_url(&stream), folder.path().to_owned(), BOUND);
        publish(&Bait { server, name, clip, tags });
        let mut findings = player.finish().judge(clip, 1);
        findings.extend(judge_counters(watch.last().as_ref()));
        findings.into_iter().map(|finding| format!("{name}: {finding}")).collect::<Vec<_>>()
    };
    let findings: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = traps.iter().map(|trap| scope.spawn(move || run(trap))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a trap's publisher is let in")).collect()
    });
    assert_none("the traps", &findings);
}

const FULL: Style = Style { chunk_size: 4096, headers: Headers::Full, extended: Extended::Repeated };
const SHORTEST: Style = Style { headers: Headers::Shortest, ..FULL };

#[test]
fn every_way_to_cut_chunks_is_the_same() {
    let folder = harness::folder();
    let (server, clip) = (start(), Clip::beginning(GOPS, folder.path()));
    let traps: [Trap; 6] = [
        ("chunk-size-1", |bait| bait.send_all(Style { chunk_size: 1, ..SHORTEST }, 0)),
        ("chunk-size-128", |bait| bait.send_all(Style { chunk_size: 128, ..SHORTEST }, 0)),
        ("chunk-size-65536", |bait| bait.send_all(Style { chunk_size: 65_536, ..SHORTEST }, 0)),
        ("one-segment", pipelined),
        ("interleaved", interleaved),
        ("aborted", aborted),
    ];
    check(&server, &clip, &traps);
    server.stop();
}

/// Everything from C0 on in one write: no order of answers may be waited for.
fn pipelined(bait: &Bait) {
    let mut chunker = Chunker::new(Style { chunk_size: 128, ..FULL });
    let mut bytes = handshake();
    for message in asking("cheap", bait.name) {
        bytes.extend(chunker.chunks(COMMAND_CHUNKS, &message).1);
    }
    for tag in bait.tags {
        bytes.extend(chunker.chunks(chunks_of(tag), &Message::of_tag(tag, 0)).1);
    }
    let mut client = Client::raw(&bait.server.address("rtmp"));
    client.send_raw(&bytes).expect("it is read");
    assert!(client.hears("NetStream.Publish.Start"), "it is let in");
    client.finish();
}

/// Sound between the chunks of a picture, as §5.3 allows and most encoders do for a long key frame.
fn interleaved(bait: &Bait) {
    let style = Style { chunk_size: 128, ..FULL };
    let (mut client, mut chunker) = (bait.client(style), Chunker::new(style));
    let mut pending: Option<Vec<u8>> = None;
    for tag in bait.tags {
        let (_, bytes) = chunker.chunks(chunks_of(tag), &Message::of_tag(tag, 0));
        let after = pending.take();
        let (now, later) =
            bytes.split_at(if tag.kind == VIDEO && bytes.len() > 400 { 12 + 128 } else { bytes.len() });
        if tag.kind == AUDIO {
            client.send_raw(now).expect("it is read");
            client.send_raw(&after.unwrap_or_default()).expect("it is read");
        } else {
            client.send_raw(&after.unwrap_or_default()).expect("it is read");
            client.send_raw(now).expect("it is read");
            pending = Some(later.to_vec());
        }
    }
    client.send_raw(&pending.unwrap_or_default()).expect("it is read");
    client.finish();
}

/// §5.4.2: a message is given up half-way, and another one begins on its chunk stream.
fn aborted(bait: &Bait) {
    let (mut client, (before, after)) = (bait.client(FULL), bait.halves());
    client.send_tags(before, 0).expect("it is read");
    let lost = Message { time_ms: 1, ..Message::new(VIDEO, 1, vec![0x27; 9_000]) };
    let mut half = first_header(6, 0, &lost, lost.time_ms);
    half.extend(&lost.payload[..4096]);
    client.send_raw(&half).expect("it is read");
    client.send(CONTROL_CHUNKS, &Message::number(ABORT, 6)).expect("it is read");
    client.send_tags(after, 0).expect("it is read");
    client.finish();
}

/// Times for which the wrap at 2^32 ms falls on a message whose header is of the type wanted.
fn wrap_at(bait: &Bait, style: Style, header: u8) {
    let mut chunker = Chunker::new(style);
    let headers =
        bait.tags.iter().map(|tag| (tag, chunker.chunks(chunks_of(tag), &Message::of_tag(tag, 0)).0));
    let later = headers.filter(|(tag, found)| *found == header && tag.time_ms > 1_000);
    let (tag, _) = later.take(1).next().expect("the clip has such headers");
    bait.send_all(style, tag.time_ms.wrapping_neg());
}

/// §5.3.1.2: times are 32 bits, and a stream may run for longer; §5.3.1.3: those above 2^24 have their own field.
#[test]
fn times_wrap_on_every_type_of_chunk() {
    let folder = harness::folder();
    let (server, clip) = (start(), Clip::silent(GOPS, folder.path()));
    let traps: [Trap; 7] = [
        ("wrap-type-0", |bait| wrap_at(bait, FULL, 0)),
        ("wrap-type-1", |bait| wrap_at(bait, SHORTEST, 1)),
        ("wrap-type-2", |bait| wrap_at(bait, SHORTEST, 2)),
        ("wrap-type-3", |bait| wrap_at(bait, SHORTEST, 3)),
        ("extended", |bait| bait.send_all(Style { chunk_size: 128, ..FULL }, 20_000_000)),
        ("extended-left-out", |bait| {
            bait.send_all(Style { chunk_size: 128, extended: Extended::LeftOut, ..FULL }, 20_000_000);
        }),
        ("extended-begins", |bait| bait.send_all(Style { chunk_size: 128, ..FULL }, 0xFF_FFFF - 1_500)),
    ];
    check(&server, &clip, &traps);
    server.stop();
}

/// §5.3.1.2.4: a type 3 chunk that begins a message repeats the last delta. FFmpeg sends silent AAC so.
#[test]
fn a_header_left_out_repeats_the_last_delta() {
    let folder = harness::folder();
    let (server, clip) = (start(), Clip::silent(GOPS, folder.path()));
    let traps: [Trap; 3] = [
        ("silence", |bait| bait.send_all(SHORTEST, 0)),
        ("silence-ffmpeg-debian", |bait| ffmpeg_publishes(bait, Ffmpeg::Debian)),
        ("silence-ffmpeg-current", |bait| ffmpeg_publishes(bait, Ffmpeg::Current)),
    ];
    check(&server, &clip, &traps);
    server.stop();
}

fn ffmpeg_publishes(bait: &Bait, ffmpeg: Ffmpeg) {
    let url = bait.server.publish_url(&format!("cheap/{}", bait.name));
    Publisher::start(ffmpeg, &bait.clip.path, &url, Repeat::Once).wait_for_success(BOUND);
}

#[test]
fn odd_commands_and_odd_metadata_do_no_harm() {
    let folder = harness::folder();
    let (server, clip) = (start(), Clip::beginning(GOPS, folder.path()));
    let traps: [Trap; 8] = [
        ("control-type-1", control_begins_with_type_1),
        ("delete-by-name", delete_by_name),
        ("counts", |bait| with_metadata(bait, &metadata(ECMA_ARRAY, u32::MAX))),
        ("strict-counts", |bait| with_metadata(bait, &metadata(STRICT_ARRAY, 100_000_000))),
        ("window-0", window_of_nothing),
        ("end-of-sequence", end_of_sequence),
        ("twice-on-one", two_on_one_connection),
        ("plays-too", plays_too),
    ];
    check(&server, &clip, &traps);
    server.stop();
}

/// librtmp begins chunk stream 2 with a type 1 header, which has no message stream to repeat.
fn control_begins_with_type_1(bait: &Bait) {
    let mut client = Client::raw(&bait.server.address("rtmp"));
    client.send_raw(&handshake()).expect("it is read");
    let size = Message::number(SET_CHUNK_SIZE, 4096);
    let mut bytes = first_header(CONTROL_CHUNKS, 1, &size, 0);
    bytes.extend(&size.payload);
    client.send_raw(&bytes).expect("it is read");
    client.set_style(FULL);
    client.publish("cheap", bait.name);
    client.send_tags(bait.tags, 0).expect("it is read");
    client.finish();
}

/// Some encoders end with the stream's name where a number belongs. It must count as an end: the player waits for one.
fn delete_by_name(bait: &Bait) {
    let mut client = bait.client(FULL);
    client.send_tags(bait.tags, 0).expect("it is read");
    let end = [Amf::Text("deleteStream"), Amf::Number(4.0), Amf::Null, Amf::Text(bait.name)];
    client.send(COMMAND_CHUNKS, &Message::command(0, &end)).expect("it is read");
    assert!(client.is_closed(), "deleteStream with a string is no end");
}

/// `onMetaData` with an array that announces `count` members and has one.
fn metadata(marker: u8, count: u32) -> Vec<u8> {
    let mut array = vec![marker];
    array.extend(count.to_be_bytes());
    if marker == ECMA_ARRAY {
        array.extend([0, 5]);
        array.extend(b"width");
    }
    array.extend(harness::rtmp::amf(&[Amf::Number(640.0)]));
    if marker == ECMA_ARRAY {
        array.extend(OBJECT_END);
    }
    harness::rtmp::amf(&[Amf::Text("@setDataFrame"), Amf::Text("onMetaData"), Amf::Raw(&array)])
}

fn with_metadata(bait: &Bait, payload: &[u8]) {
    const DATA: u8 = 18;
    let mut client = bait.client(FULL);
    client.send(COMMAND_CHUNKS, &Message::new(DATA, 1, payload.to_vec())).expect("it is read");
    let media: Vec<Tag> = bait.tags.iter().filter(|tag| tag.kind != DATA).cloned().collect();
    client.send_tags(&media, 0).expect("it is read");
    client.finish();
}

/// §5.4.4: taken by the letter, every byte would be acknowledged for ever.
fn window_of_nothing(bait: &Bait) {
    let mut client = bait.client(FULL);
    client.send(CONTROL_CHUNKS, &Message::number(WINDOW_SIZE, 0)).expect("it is read");
    client.send_tags(bait.tags, 0).expect("it is read");
    client.finish();
}

/// FLV 10.1 E.4.3.1: `17 02` says that a sequence ends. The stream goes on after it, with a new configuration or without.
fn end_of_sequence(bait: &Bait) {
    let (mut client, (before, after)) = (bait.client(FULL), bait.halves());
    client.send_tags(before, 0).expect("it is read");
    let end = Tag { kind: VIDEO, time_ms: after[0].time_ms, body: vec![0x17, 2, 0, 0, 0] };
    let configuration = before.iter().find(|tag| tag.kind == VIDEO).expect("it comes first");
    let again = Tag { time_ms: after[0].time_ms, ..configuration.clone() };
    client.send_tags(&[end, again], 0).expect("it is read");
    client.send_tags(after, 0).expect("it is read");
    client.finish();
}

/// A second `publish` on a connection is refused, and the first stream goes on.
fn two_on_one_connection(bait: &Bait) {
    let (mut client, (before, after)) = (bait.client(FULL), bait.halves());
    client.send_tags(before, 0).expect("it is read");
    let [_, create, mut publish] = asking("cheap", "second");
    publish.stream = 2;
    client.send(COMMAND_CHUNKS, &create).expect("it is read");
    client.send(COMMAND_CHUNKS, &publish).expect("it is read");
    assert!(client.hears("NetStream.Publish.Rejected"), "a second stream is not refused");
    assert!(Stats::of(bait.server).stream("cheap/second").is_none(), "a second stream is there");
    client.send_tags(after, 0).expect("it is read");
    client.finish();
}

/// `play` is refused with words, and disturbs nothing.
fn plays_too(bait: &Bait) {
    let play = |stream| {
        Message::command(stream, &[Amf::Text("play"), Amf::Number(5.0), Amf::Null, Amf::Text(bait.name)])
    };
    let mut player = Client::open(&bait.server.address("rtmp"), FULL);
    for message in &asking("cheap", bait.name)[..2] {
        player.send(COMMAND_CHUNKS, message).expect("it is read");
    }
    player.send(COMMAND_CHUNKS, &play(1)).expect("it is read");
    assert!(player.hears("NetStream.Play.Failed"), "a player is told nothing");
    let (mut client, (before, after)) = (bait.client(FULL), bait.halves());
    client.send_tags(before, 0).expect("it is read");
    client.send(COMMAND_CHUNKS, &play(1)).expect("it is read");
    assert!(client.hears("NetStream.Play.Failed"), "a publisher that plays is told nothing");
    client.send_tags(after, 0).expect("it is read");
    client.finish();
}

/// A header with another length within a message: the sender has given that message up. Only the message is lost.
#[test]
fn a_message_whose_length_changes_is_given_up() {
    let folder = harness::folder();
    let (server, clip) = (start(), Clip::beginning(GOPS, folder.path()));
    let traps: [Trap; 1] = [("length-changes", |bait| {
        let (mut client, (before, after)) = (bait.client(FULL), bait.halves());
        client.send_tags(before, 0).expect("it is read");
        let lost = Message::new(VIDEO, 1, vec![0x27; 9_000]);
        client.send_raw(&first_header(6, 0, &lost, after[0].time_ms)).expect("it is read");
        client.send_raw(&lost.payload[..4096]).expect("it is read");
        client.send_tags(after, 0).expect("it is read");
        client.finish();
    })];
    check(&server, &clip, &traps);
    server.stop();
}

/// What breaks the protocol for good ends its connection, whoever sends it.
#[test]
fn what_cannot_be_read_on_ends_the_connection() {
    let server = start();
    let address = server.address("rtmp");
    let chunk_size =
        |size: u32| Chunker::new(FULL).chunks(CONTROL_CHUNKS, &Message::number(SET_CHUNK_SIZE, size)).1;
    let cases = [
        ("chunk-size-0", chunk_size(0)),
        ("chunk-size-negative", chunk_size(u32::MAX)),
        ("header-of-nothing", vec![0xC9]),
    ];
    for (name, bytes) in &cases {
        let mut client = Client::open(&address, FULL);
        client.publish("cheap", name);
        client.send_raw(bytes).expect("it is read");
        assert!(client.is_closed(), "{name} is borne");
    }
    // The log is written by a thread of its own, and read by one of ours.
    let said = || server.stdout.text() + &server.stderr.text();
    let all = wait_for(BOUND, || (said().matches("protocol_violation").count() == cases.len()).then_some(()));
    assert!(all.is_some(), "{}", said());
    server.stop();
}

/// Asks to publish with these fields, and expects `stream` to be there; with none, a refusal.
#[track_caller]
fn check_address(server: &Server, app: &str, field: &str, stream: Option<&str>) {
    let mut client = Client::open(&server.address("rtmp"), FULL);
    client.ask(app, field).expect("commands are read");
    let Some(stream) = stream else {
        return assert!(
            client.hears("NetStream.Publish.Denied") && client.is_closed(),
            "{app} {field} is let in"
        );
    };
    assert!(client.hears("NetStream.Publish.Start"), "{app} {field} is refused");
    assert!(Stats::of(server).stream(stream).is_some(), "{app} {field} is not {stream}");
    client.finish();
}

/// Where users put the parts of a URL, and where encoders cut it.
#[test]
fn addresses_are_found_wherever_users_put_them() {
    let server = start();
    check_address(&server, "club", "a1?key=open-sesame", Some("club/a1"));
    check_address(&server, "club?key=open-sesame", "a2", Some("club/a2"));
    check_address(&server, "club", "rtmp://example.com/club/a3?key=open-sesame", Some("club/a3"));
    check_address(&server, "club", "rtmp://me:open-sesame@example.com/club/a4", Some("club/a4"));
    check_address(&server, "club", "a5?key=a/b/c", Some("club/a5"));
    check_address(&server, "club/a6?key=a", "b/c", Some("club/a6"));
    check_address(&server, "club/a7?key=a/b", "c", Some("club/a7"));
    check_address(&server, "club/", "/a8?key=open%2Dsesame", Some("club/a8"));
    check_address(&server, "cheap/b1", "", Some("cheap/b1"));
    check_address(&server, "", "cheap/b2", Some("cheap/b2"));
    check_address(&server, "club", "a9?key=a/b", None);
    check_address(&server, "club", "a10", None);
    server.stop();
}

/// An encoder that leaves at any byte of the handshake leaves nothing behind, and the next one is served.
#[test]
fn the_handshake_may_end_at_any_byte() {
    let server = start();
    let (address, bytes) = (server.address("rtmp"), handshake());
    let before = harness::process::descriptors(server.pid());
    for end in 0..bytes.len() {
        let mut socket = connect_from(stranger(end), &address).expect("the port is open");
        std::io::Write::write_all(&mut socket, &bytes[..end]).expect("it is read");
    }
    let gone = wait_for(Duration::from_secs(15), || {
        (harness::process::descriptors(server.pid()) <= before).then_some(())
    });
    assert!(
        gone.is_some(),
        "{before} descriptors before, {} after",
        harness::process::descriptors(server.pid())
    );
    let mut client = Client::open(&address, FULL);
    client.publish("cheap", "after");
    client.finish();
    server.stop();
}
