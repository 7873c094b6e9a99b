use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::writer::basic_header;
use super::*;
use crate::rtmp::message::{AUDIO, Message, VIDEO};

const LIMITS: Limits = Limits { max_chunk_streams: 8, max_unfinished_bytes: 100_000 };

/// Builds chunks by hand, of any type.
#[derive(Default)]
struct Chunks(BytesMut);

impl Chunks {
    fn basic(mut self, kind: u8, chunk_stream: u32) -> Self {
        basic_header(kind, chunk_stream, &mut self.0);
        self
    }

    fn u24(mut self, value: u32) -> Self {
        self.0.put_uint(value.into(), 3);
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.put_u32(value);
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.put_slice(bytes);
        self
    }

    /// Type 0 on chunk stream 4, audio.
    fn full(self, timestamp: u32, length: u32) -> Self {
        self.basic(0, 4).u24(timestamp).u24(length).bytes(&[AUDIO, 1, 0, 0, 0])
    }
}

fn read_all(reader: &mut Reader, mut input: &[u8]) -> Result<Vec<Message>, Error> {
    std::iter::from_fn(|| reader.read(&mut input).transpose()).collect()
}

/// The same messages whether the bytes come at once or one by one.
fn read(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    let at_once = read_all(&mut Reader::new(LIMITS), bytes);
    let mut reader = Reader::new(LIMITS);
    let one_by_one = bytes.chunks(1).map(|byte| read_all(&mut reader, byte)).collect::<Result<Vec<_>, _>>();
    assert_eq!(at_once, one_by_one.map(|messages| messages.concat()));
    at_once
}

/// Reads one audio message per expected time.
fn check_times(chunks: &Chunks, expected: &[u32]) {
    let messages = read(&chunks.0).expect("right chunks");
    let times: Vec<_> = messages.iter().map(|message| message.timestamp_ms).collect();
    assert_eq!(times, expected);
    assert!(messages.iter().all(|m| m.type_id == AUDIO && m.message_stream == 1 && &m.payload[..] == b"ab"));
}

#[test]
fn each_chunk_type_repeats_what_it_leaves_out() {
    let chunks = Chunks::default().full(1000, 2).bytes(b"ab");
    let chunks = chunks.basic(1, 4).u24(23).u24(2).bytes(&[AUDIO]).bytes(b"ab");
    let chunks = chunks.basic(2, 4).u24(24).bytes(b"ab").basic(3, 4).bytes(b"ab").basic(3, 4).bytes(b"ab");
    check_times(&chunks, &[1000, 1023, 1047, 1071, 1095]);
}

#[test]
fn type_3_after_type_0_takes_the_time_as_delta() {
    check_times(&Chunks::default().full(23, 2).bytes(b"ab").basic(3, 4).bytes(b"ab"), &[23, 46]);
    check_times(&Chunks::default().full(0, 2).bytes(b"ab").basic(3, 4).bytes(b"ab"), &[0, 0]);
}

#[test]
fn a_negative_delta_wraps() {
    let chunks =
        Chunks::default().full(10, 2).bytes(b"ab").basic(2, 4).u24(EXTENDED).u32(u32::MAX).bytes(b"ab");
    check_times(&chunks, &[10, 9]);
}

#[test]
fn a_first_chunk_of_type_1_counts_from_0() {
    let chunks = Chunks::default().basic(1, 2).u24(7).u24(1).bytes(&[4, 9]);
    let messages = read(&chunks.0).expect("right chunks");
    assert_eq!((messages[0].timestamp_ms, messages[0].message_stream), (7, 0));
}

/// 300 bytes at a time that needs the extended form, with or without its repetition.
fn extended(time: u32, payload: &[u8], repeats: bool) -> Chunks {
    let mut chunks = Chunks::default().full(EXTENDED, 300).u32(time);
    for (at, piece) in payload.chunks(128).enumerate() {
        if at > 0 {
            chunks = chunks.basic(3, 4);
            chunks = if repeats { chunks.u32(time) } else { chunks };
        }
        chunks = chunks.bytes(piece);
    }
    chunks
}

#[test]
fn extended_timestamps_may_be_repeated_or_not() {
    for time in [0x00FF_FFFF, 0x0100_0000, u32::MAX] {
        for repeats in [true, false] {
            let payload: Vec<u8> = (0..150u8).chain(0..150).collect();
            let bytes =
                [&extended(time, &payload, repeats).0[..], &extended(time, &payload, repeats).0].concat();
            let messages = read(&bytes).expect("right chunks");
            assert_eq!(messages.len(), 2, "{time:#x} {repeats}");
            assert!(
                messages.iter().all(|m| m.timestamp_ms == time && m.payload == payload),
                "{time:#x} {repeats}"
            );
        }
    }
}

#[test]
fn type_3_that_begins_a_message_repeats_an_extended_delta() {
    let chunks =
        Chunks::default().full(5, 2).bytes(b"ab").basic(2, 4).u24(EXTENDED).u32(0x0100_0000).bytes(b"ab");
    check_times(&chunks.basic(3, 4).u32(0x0100_0000).bytes(b"ab"), &[5, 0x0100_0005, 0x0200_0005]);
}

/// Two messages, of which each begins before the other ends.
fn check_interleaved(video_on: u32, audio_on: u32) {
    let (video, audio) = (vec![9; 200], vec![8; 130]);
    let head = |chunks: Chunks, id, time, length, kind| {
        chunks.basic(0, id).u24(time).u24(length).bytes(&[kind, 1, 0, 0, 0])
    };
    let chunks = head(Chunks::default(), video_on, 1, 200, VIDEO).bytes(&video[..128]);
    let chunks = head(chunks, audio_on, 2, 130, AUDIO).bytes(&audio[..128]);
    let chunks = chunks.basic(3, video_on).bytes(&video[128..]).basic(3, audio_on).bytes(&audio[128..]);
    check_payloads(&chunks, &[(1, &video), (2, &audio)]);
}

#[test]
fn messages_interleave() {
    let chunk_streams = [2, 6, 63, 64, 100, 319, 320, 65_599];
    for (at, &video_on) in chunk_streams.iter().enumerate() {
        for &audio_on in chunk_streams.iter().cycle().skip(at + 1).take(chunk_streams.len() - 1) {
            check_interleaved(video_on, audio_on);
        }
    }
}

#[test]
fn an_empty_message_needs_no_more_bytes() {
    let messages = read(&Chunks::default().full(1, 0).0).expect("right chunks");
    assert_eq!(messages[0].payload, Bytes::new());
}

#[test]
fn chunk_size_is_checked_and_counts_from_the_next_chunk() {
    let mut reader = Reader::new(LIMITS);
    for size in [0, MAX_CHUNK_SIZE + 1, u32::MAX] {
        assert_eq!(reader.set_chunk_size(size), Err(Error::ChunkSize { size, at: 0 }));
    }
    let payload = [5; 300];
    let head = Chunks::default().full(1, 300).bytes(&payload[..128]);
    assert_eq!(read_all(&mut reader, &head.0), Ok(vec![]));
    reader.set_chunk_size(MAX_CHUNK_SIZE).expect("the largest size");
    let tail = Chunks::default().basic(3, 4).bytes(&payload[128..]);
    assert_eq!(read_all(&mut reader, &tail.0).expect("right chunks")[0].payload, payload[..]);
}

#[test]
fn abort_drops_a_message_and_its_memory() {
    let mut reader = Reader::new(LIMITS);
    assert_eq!(read_all(&mut reader, &Chunks::default().full(7, 300).bytes(&[1; 128]).0), Ok(vec![]));
    reader.abort(4);
    reader.abort(4);
    reader.abort(5);
    assert!(reader.memory_bytes() < 300, "only what is remembered of the chunk stream");
    let messages = read_all(&mut reader, &Chunks::default().full(8, 2).bytes(b"ab").0).expect("right chunks");
    assert_eq!((messages[0].timestamp_ms, &messages[0].payload[..]), (8, &b"ab"[..]));
}

#[test]
fn what_is_wrong_is_named_with_its_position() {
    let error = |chunks: Chunks| read(&chunks.0).expect_err("wrong chunks");
    let expected = Error::NoHeaderToRepeat { chunk_stream: 9, kind: 3, at: 1 };
    assert_eq!(error(Chunks::default().basic(3, 9)), expected);
    let expected = Error::NoHeaderToRepeat { chunk_stream: 9, kind: 2, at: 4 };
    assert_eq!(error(Chunks::default().basic(2, 9).u24(0)), expected);
    let expected = Error::TooLong { announced: 100_001, limit: 100_000, at: 12 };
    assert_eq!(error(Chunks::default().full(0, 100_001)), expected);
    let expected = Error::TooManyChunkStreams { limit: 8, at: 9 * 12 };
    let chunks = (4..13)
        .fold(Chunks::default(), |chunks, id| chunks.basic(0, id).u24(0).u24(0).bytes(&[8, 0, 0, 0, 0]));
    assert_eq!(error(chunks), expected);
}

#[test]
fn all_unfinished_messages_count_together() {
    let begin =
        |chunks: Chunks, id| chunks.basic(0, id).u24(0).u24(60_000).bytes(&[9, 0, 0, 0, 0]).bytes(&[0; 128]);
    let result = read(&begin(begin(Chunks::default(), 4), 5).0[..2 * 140]);
    assert_eq!(result, Err(Error::TooLong { announced: 60_000, limit: 100_000, at: 152 }));
}

#[test]
fn announcing_costs_nothing_and_the_buffer_fits_exactly() {
    let length = 0x00FF_FFFF;
    let mut reader = Reader::new(Limits { max_unfinished_bytes: 1 << 24, ..LIMITS });
    reader.set_chunk_size(MAX_CHUNK_SIZE).expect("the largest size");
    assert_eq!(read_all(&mut reader, &Chunks::default().full(0, length).0), Ok(vec![]));
    let idle = reader.memory_bytes();
    assert!(idle <= 256, "{idle}");
    assert_eq!(read_all(&mut reader, &[0; 1000]), Ok(vec![]));
    assert_eq!(reader.memory_bytes() - idle, 64 * 1024);
    let mut largest = 0;
    let mut input = &vec![0; length as usize - 1001][..];
    while let Some((piece, rest)) = input.split_at_checked(100_000) {
        assert_eq!(read_all(&mut reader, piece), Ok(vec![]));
        largest = largest.max(reader.memory_bytes() - idle);
        input = rest;
    }
    assert!(largest <= length as usize, "{largest}");
    assert_eq!(read_all(&mut reader, input), Ok(vec![]));
    assert_eq!(read_all(&mut reader, &[0]).expect("right chunks")[0].payload.len(), length as usize);
    assert_eq!(reader.memory_bytes(), idle);
}

/// Audio of 300 bytes, of which a first chunk was sent.
fn begun(time: u32) -> Chunks {
    Chunks::default().full(time, 300).bytes(&[5; 128])
}

fn check_payloads(chunks: &Chunks, expected: &[(u32, &[u8])]) {
    let messages = read(&chunks.0).expect("right chunks");
    let found: Vec<_> = messages.iter().map(|m| (m.timestamp_ms, &m.payload[..])).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_message_that_is_given_up_makes_way_for_the_next() {
    check_payloads(&begun(7).full(8, 2).bytes(b"ab"), &[(8, b"ab")]);
    check_payloads(&begun(7).basic(1, 4).u24(3).u24(2).bytes(&[AUDIO]).bytes(b"ab"), &[(10, b"ab")]);
    let video = begun(7).basic(0, 4).u24(9).u24(300).bytes(&[VIDEO, 1, 0, 0, 0]).bytes(&[6; 128]);
    let video = video.basic(3, 4).bytes(&[6; 128]).basic(3, 4).bytes(&[6; 44]);
    check_payloads(&video, &[(9, &[6; 300])]);
    let other_stream = begun(7).basic(0, 4).u24(9).u24(1).bytes(&[AUDIO, 2, 0, 0, 0]).bytes(b"x");
    check_payloads(&other_stream, &[(9, b"x")]);
    // Of the same shape, but on another message stream.
    let other_stream = begun(7).basic(0, 4).u24(9).u24(300).bytes(&[AUDIO, 2, 0, 0, 0]).bytes(&[6; 128]);
    let other_stream = other_stream.basic(3, 4).bytes(&[6; 128]).basic(3, 4).bytes(&[6; 44]);
    check_payloads(&other_stream, &[(9, &[6; 300])]);
}

#[test]
fn what_is_given_up_again_and_again_counts_once() {
    let mut chunks = Chunks::default();
    for length in (0..1000).map(|n| 60_000 + n) {
        chunks = chunks.full(0, length).bytes(&[0; 128]);
    }
    assert_eq!(read(&chunks.0), Ok(vec![]));
}

#[test]
fn a_header_before_every_chunk_repeats_the_message_and_keeps_its_time() {
    let full = begun(7).full(7, 300).bytes(&[5; 128]).full(7, 300).bytes(&[5; 44]);
    check_payloads(&full, &[(7, &[5; 300])]);
    let short = |chunks: Chunks| chunks.basic(1, 4).u24(23).u24(300).bytes(&[AUDIO]);
    let type_1 = short(short(begun(7)).bytes(&[5; 128])).bytes(&[5; 44]);
    check_payloads(&type_1, &[(7, &[5; 300])]);
    let type_2 = begun(7).basic(2, 4).u24(23).bytes(&[5; 128]).basic(2, 4).u24(23).bytes(&[5; 44]);
    check_payloads(&type_2, &[(7, &[5; 300])]);
}

#[test]
fn the_clock_wraps_on_every_chunk_type() {
    let near = || Chunks::default().full(EXTENDED, 2).u32(u32::MAX - 9).bytes(b"ab");
    check_times(&near().full(5, 2).bytes(b"ab"), &[u32::MAX - 9, 5]);
    check_times(&near().basic(1, 4).u24(15).u24(2).bytes(&[AUDIO]).bytes(b"ab"), &[u32::MAX - 9, 5]);
    let after_type_2 = near().basic(2, 4).u24(15).bytes(b"ab");
    check_times(&after_type_2.basic(3, 4).bytes(b"ab"), &[u32::MAX - 9, 5, 20]);
    let type_3 = near().basic(2, 4).u24(5).bytes(b"ab").basic(3, 4).bytes(b"ab");
    check_times(&type_3, &[u32::MAX - 9, u32::MAX - 4, 0]);
}

#[test]
fn an_extended_field_left_out_where_type_3_begins_a_message_is_payload() {
    let first =
        || Chunks::default().full(1, 4).bytes(b"abcd").basic(2, 4).u24(EXTENDED).u32(1 << 24).bytes(b"efgh");
    let (one, two, three) = (1, (1 << 24) + 1, (1 << 25) + 1);
    let left_out = first().basic(3, 4).bytes(b"ijkl");
    check_payloads(&left_out, &[(one, b"abcd"), (two, b"efgh"), (three, b"ijkl")]);
    let repeated = first().basic(3, 4).u32(1 << 24).bytes(b"ijkl");
    check_payloads(&repeated, &[(one, b"abcd"), (two, b"efgh"), (three, b"ijkl")]);
}

#[test]
fn one_byte_chunks_are_read() {
    let (mut writer, mut bytes) = (Writer::default(), BytesMut::new());
    writer.set_chunk_size(1);
    let message =
        Message { type_id: VIDEO, timestamp_ms: 1 << 24, message_stream: 1, payload: vec![9; 1000].into() };
    [64, 3].iter().for_each(|&chunk_stream| writer.write(chunk_stream, &message, &mut bytes));
    let mut reader = Reader::new(LIMITS);
    reader.set_chunk_size(1).expect("the smallest size");
    assert_eq!(read_all(&mut reader, &bytes), Ok(vec![message.clone(), message]));
}

fn any_message() -> impl Strategy<Value = (u32, Message)> {
    let chunk_stream = prop_oneof![2u32..6, Just(63), Just(64), Just(319), Just(320), Just(65_599)];
    let time = prop_oneof![any::<u32>(), 0u32..10, 0x00FF_FFFEu32..0x0100_0001];
    let payload = prop::collection::vec(any::<u8>(), 0..600).prop_map(Bytes::from);
    (chunk_stream, any::<u8>(), time, any::<u32>(), payload).prop_map(
        |(chunk_stream, type_id, timestamp_ms, message_stream, payload)| {
            (chunk_stream, Message { type_id, timestamp_ms, message_stream, payload })
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec(any_message(), 0..8),
        chunk_size in 1u32..700,
        cuts in prop::collection::vec(1usize..300, 1..20),
    ) {
        let (mut writer, mut bytes) = (Writer::default(), BytesMut::new());
        writer.set_chunk_size(chunk_size);
        for (chunk_stream, message) in &messages {
            writer.write(*chunk_stream, message, &mut bytes);
        }
        let mut reader = Reader::new(Limits { max_chunk_streams: 16, ..LIMITS });
        reader.set_chunk_size(chunk_size).expect("in range");
        let (mut read, mut rest) = (Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            read.extend(read_all(&mut reader, piece).expect("right chunks"));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(reader.position(), bytes.len() as u64);
        prop_assert_eq!(read, messages.into_iter().map(|(_, message)| message).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_harmless_and_cost_no_more_than_the_limit(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(vec![0u8, 3, 4, 0x43, 0xC3, 0xFF])], 0..3000),
    ) {
        let mut reader = Reader::new(LIMITS);
        let mut input = &bytes[..];
        while let Ok(Some(_)) = reader.read(&mut input) {
            prop_assert!(reader.memory_bytes() <= LIMITS.max_unfinished_bytes + 8 * 64);
        }
        prop_assert!(reader.memory_bytes() <= LIMITS.max_unfinished_bytes + 8 * 64);
    }
}
