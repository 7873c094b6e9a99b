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
    let mut client = Client::new();
    client.connect("demo");
    client.call(1, "publish", 5.0, &[1.0.into()]);
    check_error(&client, &Error::NoStream);
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
    assert!(session.take_output().len() <= limit + 18);
    let taken_each_time = drive(&mut Session::new(Limits::default()), client.bytes.chunks(1000));
    assert_eq!(taken_each_time.error, None);
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
    for start in (0..nested.len()).step_by(60_000) {
        let payload = Bytes::copy_from_slice(&nested[start..nested.len().min(start + 60_000)]);
        client.send(3, &Message::control(COMMAND_AMF0, payload));
    }
    let error = run(&client.bytes).error;
    assert!(matches!(error, Some(Error::Message(message::Error::Amf0(_)))), "{error:?}");
    let mut client = Client::publishing();
    client.send(3, &Message::control(COMMAND_AMF0, Bytes::from_static(b"\x02\x00\x01a\x05\x11\xff")));
    assert_eq!(run_publishing(&client).0, []);
}

/// Memory beyond the limits: the handshake's, and one chunk stream's fields for each that is allowed.
const SLACK_BYTES: usize = 8 * 1024;

fn memory_bytes(session: &Session) -> usize {
    session.reader.assembly_bytes() + session.replies.len()
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
    prop_oneof![2 => call, 1 => message, 2 => media]
}

fn any_conversation() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), prop::collection::vec(any_step(), 0..12)).prop_map(|(publishing, steps)| {
        let start = if publishing { Client::publishing() } else { Client::new() };
        steps.iter().fold(start.bytes.to_vec(), |bytes, step| [&bytes[..], &step.bytes].concat())
    })
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
        let bound = Limits::default().max_message_bytes_unproved + SLACK_BYTES;
        for mut input in [&handshake[..]].into_iter().chain(bytes.chunks(100)) {
            if !matches!(session.handle_input(&mut input), Ok(None)) {
                break;
            }
            prop_assert!(input.is_empty());
            prop_assert!(memory_bytes(&session) <= bound);
            session.take_output();
        }
    }

    #[test]
    fn any_bytes_at_all_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = drive(&mut Session::new(Limits::default()), [&bytes[..]]);
    }
}
