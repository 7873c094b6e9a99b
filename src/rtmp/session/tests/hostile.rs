//! What strangers may send: nothing panics, loops or costs more than the limits.

use super::*;
use crate::rtmp::handshake::HANDSHAKE_BYTES;
use crate::rtmp::message::COMMAND_AMF0;

#[test]
fn media_before_publish_is_an_error() {
    let mut client = Client::new();
    client.connect("demo");
    for type_id in [AUDIO, VIDEO, DATA_AMF0, AGGREGATE] {
        let mut early = Client::default();
        early.media(type_id, 0, b"\x17\x00");
        early.bytes = [&client.bytes[..], &early.bytes].concat()[..].into();
        check_error(&early, &Error::MediaBeforePublish);
    }
}

#[test]
fn commands_come_in_order() {
    let mut client = Client::new();
    client.call(0, "createStream", 1.0, &[]);
    check_error(&client, &Error::NotConnected);
    let mut client = Client::new();
    client.connect("demo");
    client.connect("demo");
    check_error(&client, &Error::ConnectedTwice);
}

#[test]
fn an_error_ends_the_session_with_its_reason() {
    let mut session = Session::new(Limits::default());
    let error = session.handle_input(&mut &b"GET / HTTP/1.1"[..]).expect_err("no RTMP");
    assert_eq!(error, Error::Handshake(handshake::Error::Version(b'G')));
    assert_eq!(error.reason(), Reason::ProtocolViolation);
    let mut input = &b"more"[..];
    assert_eq!(session.handle_input(&mut input), Ok(None));
    assert!(input.is_empty());
}

#[test]
fn message_streams_are_bounded() {
    let mut client = Client::new();
    client.connect("demo");
    (0..17).for_each(|_| client.call(0, "createStream", 2.0, &[]));
    check_error(&client, &Error::TooManyMessageStreams(16));
    assert_eq!(Error::TooManyMessageStreams(16).reason(), Reason::LimitExceeded);
}

#[test]
fn answers_that_nobody_takes_are_bounded() {
    let mut client = Client::new();
    let ping = Message::control(message::USER_CONTROL, Bytes::from_static(b"\0\x06\0\0\0\0"));
    (0..5000).for_each(|_| client.send(2, &ping));
    let mut session = Session::new(Limits::default());
    let limit = Limits::default().max_output_bytes;
    assert_eq!(session.handle_input(&mut &client.bytes[..]), Err(Error::TooMuchOutput(limit)));
    assert!(session.memory_bytes() < 64 * 1024);
    assert!(session.take_output().len() <= limit + 18);
    let taken_each_time = drive(&mut Session::new(Limits::default()), client.bytes.chunks(1000));
    assert_eq!(taken_each_time.error, None);
}

/// A command of few bytes, which is answered in many.
#[test]
fn a_flood_of_refused_commands_costs_a_stranger_the_connection() {
    for name in ["play", "publish"] {
        let mut client = Client::new();
        client.connect("demo");
        (0..500).for_each(|_| client.command(1, &[name.into()]));
        let mut session = Session::new(Limits::default());
        let limit = Limits::default().max_output_bytes;
        let outcome = drive(&mut session, client.bytes.chunks(4096));
        assert_eq!(outcome.error, Some(Error::TooMuchOutput(limit)), "{name}");
    }
}

#[test]
fn floods_of_acknowledgements_and_player_events_are_told_nothing() {
    let mut client = Client::publishing();
    let buffer_length =
        Message::control(message::USER_CONTROL, Bytes::from_static(b"\0\x03\0\0\0\x01\0\0\x0b\xb8"));
    for number in 0..5000 {
        client.send(2, &Message::number(message::ACKNOWLEDGEMENT, number));
        client.send(2, &buffer_length);
    }
    client.media(AUDIO, 0, b"a");
    let (events, output) = run_publishing(&client);
    assert_eq!(events, [media(TagKind::Audio, 0, b"a")]);
    assert_eq!(output.len(), run_publishing(&Client::publishing()).1.len());
}

#[test]
fn a_window_of_0_changes_nothing() {
    let mut client = Client::publishing();
    client.send(2, &Message::number(message::WINDOW_ACKNOWLEDGEMENT_SIZE, 0));
    client.send(2, &Message::number(message::SET_PEER_BANDWIDTH, 0));
    client.set_chunk_size(60_000);
    (0..5).for_each(|time| client.media(VIDEO, time, &[1; 10_000]));
    let (events, output) = run_publishing(&client);
    assert_eq!((events.len(), output.len()), (5, run_publishing(&Client::publishing()).1.len()));
}

#[test]
fn a_window_of_a_byte_is_kept_at_its_least() {
    let mut client = Client::publishing();
    client.send(2, &Message::number(message::WINDOW_ACKNOWLEDGEMENT_SIZE, 1));
    client.set_chunk_size(60_000);
    (0..5).for_each(|time| client.media(VIDEO, time, &[1; 10_000]));
    let (_, output) = run_publishing(&client);
    let acknowledged = messages(&output).iter().filter(|m| m.type_id == message::ACKNOWLEDGEMENT).count();
    assert_eq!(acknowledged, 50_000 / MIN_WINDOW_BYTES as usize);
}

#[test]
fn a_chunk_size_of_0_ends_the_session() {
    let mut client = Client::publishing();
    client.send(2, &Message::number(message::SET_CHUNK_SIZE, 0));
    let error = run(&client.bytes).error;
    assert!(matches!(error, Some(Error::Chunk(chunk::Error::ChunkSize { size: 0, .. }))), "{error:?}");
}

#[test]
fn texts_longer_than_any_address_are_refused() {
    let mut client = Client::new();
    client.connect(&"a".repeat(2049));
    check_error(&client, &Error::TextTooLong { name: "app", length: 2049 });
    let mut client = Client::new();
    client.connect("demo");
    client.publish(&"a".repeat(2049));
    check_error(&client, &Error::TextTooLong { name: "stream", length: 2049 });
    assert_eq!(Error::TextTooLong { name: "stream", length: 2049 }.reason(), Reason::LimitExceeded);
}

#[test]
fn a_long_message_is_for_accepted_publishers() {
    let limits = Limits::default();
    let mut client = Client::new();
    client.connect("demo");
    let mut long = Client::default();
    long.media(VIDEO, 0, &vec![0; limits.max_message_bytes_unproved + 1]);
    let mut stranger = Client::default();
    stranger.bytes = [&client.bytes[..], &long.bytes].concat()[..].into();
    let error = run(&stranger.bytes).error.expect("too long");
    assert_eq!(error.reason(), Reason::LimitExceeded);
    let mut publisher = Client::publishing();
    publisher.bytes.extend_from_slice(&long.bytes);
    assert_eq!(run_publishing(&publisher).0.len(), 1);
}

#[test]
fn deep_or_foreign_values_are_refused_only_where_they_are_read() {
    let nested = [&b"\x02\x00\x07connect\x00\0\0\0\0\0\0\0\0"[..], &b"\x03\x00\x01a".repeat(20_000)].concat();
    let mut client = Client::new();
    for start in (0..nested.len()).step_by(10_000) {
        let payload = Bytes::copy_from_slice(&nested[start..nested.len().min(start + 10_000)]);
        client.send(3, &Message::control(COMMAND_AMF0, payload));
    }
    let error = run(&client.bytes).error;
    assert!(matches!(error, Some(Error::Message(message::Error::Amf0(_)))), "{error:?}");
    let mut client = Client::publishing();
    client.send(3, &Message::control(COMMAND_AMF0, Bytes::from_static(b"\x02\x00\x01a\x05\x11\xff")));
    assert_eq!(run_publishing(&client).0, []);
}

/// Messages as an encoder might send them, and as it should not.
fn any_step() -> impl Strategy<Value = Client> {
    let name = prop::sample::select(vec![
        "connect",
        "createStream",
        "publish",
        "FCUnpublish",
        "deleteStream",
        "play",
        "_checkbw",
        "x",
    ]);
    let number = prop_oneof![Just(1.0), Just(0.0), Just(f64::NAN), Just(f64::INFINITY), any::<f64>()];
    let call = (name, number.clone(), number).prop_map(|(name, transaction, number)| {
        let mut client = Client::default();
        client.call(1, name, transaction, &["cam".into(), number.into()]);
        client
    });
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    let message = (0u8..24, any::<u32>(), payload).prop_map(|(type_id, time, payload)| {
        let mut client = Client::default();
        client.media(type_id, time, &payload);
        client
    });
    let media = (any::<u32>(), 1usize..5000).prop_map(|(time, length)| {
        let mut client = Client::default();
        client.media(VIDEO, time, &vec![0x17; length]);
        client
    });
    let amf3 =
        prop::collection::vec(prop_oneof![any::<u8>(), 0u8..0x12, Just(1u8)], 0..40).prop_flat_map(|bytes| {
            let head = prop::sample::select(vec![
                &b"\x00\x02\x00\x0aonMetaData\x11"[..],
                b"\x00\x02\x00\x07connect\x05\x11",
            ]);
            (prop::sample::select(vec![DATA_AMF3, COMMAND_AMF3]), head).prop_map(move |(type_id, head)| {
                let mut client = Client::default();
                client.media(type_id, 0, &[head, &bytes].concat());
                client
            })
        });
    prop_oneof![2 => call, 1 => message, 2 => media, 1 => amf3]
}

fn any_conversation() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), any::<bool>(), prop::collection::vec(any_step(), 0..12)).prop_map(
        |(publishing, signed, steps)| {
            let mut start = if publishing { Client::publishing() } else { Client::new() };
            if signed {
                start.bytes[..=HANDSHAKE_BYTES].copy_from_slice(&recorded::SIGNED[..=HANDSHAKE_BYTES]);
            }
            steps.iter().fold(start.bytes.to_vec(), |bytes, step| [&bytes[..], &step.bytes].concat())
        },
    )
}

/// `bytes` in pieces of these lengths, again and again.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    lengths.iter().cycle().map_while(move |&length| {
        let (piece, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #[test]
    fn how_input_is_cut_changes_nothing(
        bytes in any_conversation(),
        lengths in prop::collection::vec(1usize..2000, 1..10),
    ) {
        let at_once = drive(&mut Session::new(Limits::default()), [&bytes[..]]);
        let in_pieces = drive(&mut Session::new(Limits::default()), pieces(&bytes, &lengths));
        prop_assert_eq!(at_once, in_pieces);
    }

    #[test]
    fn any_bytes_after_the_handshake_stay_within_the_limits(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(vec![0u8, 2, 3, 0x43, 0xC3, 20])], 0..2000),
    ) {
        let mut session = Session::new(Limits::default());
        let handshake = [&[3][..], &[0; 2 * HANDSHAKE_BYTES]].concat();
        for mut input in [&handshake[..]].into_iter().chain(bytes.chunks(100)) {
            if !matches!(session.handle_input(&mut input), Ok(None)) {
                break;
            }
            prop_assert!(input.is_empty());
            prop_assert!(session.memory_bytes() < 64 * 1024);
            session.take_output();
        }
    }

    #[test]
    fn any_bytes_at_all_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = drive(&mut Session::new(Limits::default()), [&bytes[..]]);
    }
}
