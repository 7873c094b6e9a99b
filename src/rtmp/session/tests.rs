use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::media::amf0::Value;
use crate::media::flv::TagKind;
use crate::rtmp::PublishKind;
use crate::rtmp::client::{Client, MESSAGE_STREAM, codes, commands, messages};
use crate::rtmp::message::{ABORT, AGGREGATE, AUDIO, COMMAND_AMF3, DATA_AMF0, DATA_AMF3, VIDEO};

mod encoders;
mod enhanced;
mod hostile;
mod memory;
mod recorded;

/// What became of a session: its events, what it said, and how it failed.
#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<Event>,
    output: Vec<u8>,
    error: Option<Error>,
}

/// Drives a session as the proxy would, accepting every request, over input in pieces.
fn drive<'a>(session: &mut Session, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut outcome = Outcome { events: Vec::new(), output: Vec::new(), error: None };
    for mut input in pieces {
        loop {
            let result = session.handle_input(&mut input);
            outcome.output.extend_from_slice(&session.take_output());
            match result {
                Ok(None) => break,
                Ok(Some(event)) => {
                    if matches!(event, Event::PublishRequested(_)) {
                        session.accept_publish();
                    }
                    outcome.events.push(event);
                }
                Err(error) => {
                    outcome.error.get_or_insert(error);
                    break;
                }
            }
        }
    }
    outcome
}

/// The same at once and byte by byte.
fn run(bytes: &[u8]) -> Outcome {
    let at_once = drive(&mut Session::new(Limits::default()), [bytes]);
    let one_by_one = drive(&mut Session::new(Limits::default()), bytes.chunks(1));
    assert_eq!(at_once, one_by_one);
    at_once
}

/// Runs what a client sent after its publish was accepted; gives the events after the request, and the output.
fn run_publishing(client: &Client) -> (Vec<Event>, Vec<u8>) {
    let mut outcome = run(&client.bytes);
    assert_eq!(outcome.error, None);
    assert!(matches!(outcome.events.remove(0), Event::PublishRequested(_)));
    (outcome.events, outcome.output)
}

fn check_error(client: &Client, expected: &Error) {
    assert_eq!(run(&client.bytes).error.as_ref(), Some(expected));
}

fn media(kind: TagKind, timestamp_ms: u32, payload: &'static [u8]) -> Event {
    Event::Media(Tag { kind, timestamp_ms, payload: Bytes::from_static(payload) })
}

/// Stops at the request.
fn asked(client: &Client) -> Session {
    let mut session = Session::new(Limits::default());
    let event = session.handle_input(&mut &client.bytes[..]);
    assert!(matches!(event, Ok(Some(Event::PublishRequested(_)))), "{event:?}");
    session
}

#[test]
fn a_publisher_is_asked_for_answered_and_heard() {
    let mut client = Client::publishing();
    client.set_chunk_size(60_000);
    client.media(DATA_AMF0, 0, b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x05");
    client.media(VIDEO, 0, b"\x17\x00");
    client.media(AUDIO, 0x0100_0000, b"\xaf\x01");
    client.call(0, "FCUnpublish", 6.0, &["cam".into()]);
    client.call(0, "deleteStream", 7.0, &[1.0.into()]);
    client.media(VIDEO, 40, b"late");
    let outcome = run(&client.bytes);
    let request = PublishRequest {
        app: "demo".into(),
        stream: "cam?key=secret".into(),
        tc_url: "rtmp://h/demo".into(),
        encoder: "FMLE/3.0 (compatible; test)".into(),
        kind: PublishKind::Live,
        capabilities: Capabilities::default(),
    };
    let events = vec![
        Event::PublishRequested(request),
        media(TagKind::Script, 0, b"\x02\x00\x0aonMetaData\x05"),
        media(TagKind::Video, 0, b"\x17\x00"),
        media(TagKind::Audio, 0x0100_0000, b"\xaf\x01"),
        Event::PublishEnded,
    ];
    assert_eq!((outcome.events, outcome.error), (events, None));
    let told = ["NetConnection.Connect.Success", "NetStream.Publish.Start", "NetStream.Publish.Start"];
    assert_eq!(codes(&outcome.output), [&told[..], &["NetStream.Unpublish.Success"; 2]].concat());
}

#[test]
fn the_answers_are_those_encoders_expect() {
    let (_, output) = run_publishing(&Client::publishing());
    let mut text = String::new();
    for message in messages(&output).iter().filter(|message| message.type_id < 20) {
        writeln!(text, "{} {:02x?}", message.type_id, &message.payload[..]).expect("a String takes all");
    }
    for (message_stream, values) in commands(&output) {
        writeln!(text, "{message_stream} {values:?}").expect("a String takes all");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_is_read_while_a_request_waits() {
    let mut session = asked(&Client::publishing());
    let mut later = Client::default();
    later.media(VIDEO, 0, b"v");
    let bytes = later.bytes.freeze();
    let mut input = &bytes[..];
    assert_eq!(session.handle_input(&mut input), Ok(None));
    assert_eq!(input.len(), bytes.len(), "nothing is consumed");
    session.accept_publish();
    assert_eq!(session.handle_input(&mut input), Ok(Some(media(TagKind::Video, 0, b"v"))));
    assert_eq!(session.handle_input(&mut input), Ok(None));
}

#[test]
fn a_refusal_says_why_and_ends_the_session() {
    for (reason, code) in [
        (Reason::WrongKey, "NetStream.Publish.Denied"),
        (Reason::UnknownTenant, "NetStream.Publish.Denied"),
        (Reason::BadName, "NetStream.Publish.Rejected"),
        (Reason::AlreadyPublishing, "NetStream.Publish.Rejected"),
    ] {
        let mut session = asked(&Client::publishing());
        session.refuse_publish(reason, "the text");
        session.accept_publish();
        let output = session.take_output();
        assert_eq!(codes(&output).last().map(String::as_str), Some(code));
        let (message_stream, values) = commands(&output).pop().expect("a status");
        assert_eq!((message_stream, values[0].as_str()), (MESSAGE_STREAM, Some("onStatus")));
        assert_eq!(values[3].get("level").and_then(Value::as_str), Some("error"));
        assert_eq!(values[3].get("description").and_then(Value::as_str), Some("the text"));
        let mut input = &b"whatever comes"[..];
        assert_eq!(session.handle_input(&mut input), Ok(None));
        assert!(input.is_empty());
        assert!(session.take_output().is_empty());
    }
}

#[test]
fn a_second_publish_is_refused_and_the_first_goes_on() {
    let mut client = Client::publishing();
    client.publish("other");
    client.media(VIDEO, 0, b"v");
    let (events, output) = run_publishing(&client);
    assert_eq!(events, [media(TagKind::Video, 0, b"v")]);
    assert_eq!(codes(&output).last().map(String::as_str), Some("NetStream.Publish.Rejected"));
}

#[test]
fn publish_is_understood_in_its_variants() {
    let variants: [(&[Value], PublishKind); 4] = [
        (&["Publish".into(), 5.0.into(), Value::Null, "cam".into()], PublishKind::Live),
        (&["PUBLISH".into(), 5.0.into(), Value::Null, "cam".into(), "LIVE".into()], PublishKind::Live),
        (&["publish".into(), f64::NAN.into(), "cam".into(), "record".into()], PublishKind::Record),
        (&["publish".into(), Value::Null, Value::Null, "cam".into(), 1e300.into()], PublishKind::Live),
    ];
    for (values, kind) in variants {
        let mut client = Client::new();
        client.connect("demo");
        client.command(MESSAGE_STREAM, values);
        let events = drive(&mut Session::new(Limits::default()), [&client.bytes[..]]).events;
        let [Event::PublishRequested(request)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((request.stream.as_str(), request.kind), ("cam", kind));
    }
}

#[test]
fn any_of_three_commands_ends_the_publish_once() {
    for (name, arguments) in
        [("FCUnpublish", vec![]), ("closeStream", vec![]), ("deleteStream", vec![1.0.into()])]
    {
        let mut client = Client::publishing();
        client.call(MESSAGE_STREAM, name, 0.0, &arguments);
        client.call(MESSAGE_STREAM, "deleteStream", 0.0, &[f64::NAN.into()]);
        assert_eq!(run_publishing(&client).0, [Event::PublishEnded], "{name}");
    }
}

#[test]
fn another_message_stream_may_be_deleted() {
    let mut client = Client::publishing();
    client.call(0, "deleteStream", 0.0, &[2.0.into()]);
    client.media(AUDIO, 0, b"a");
    assert_eq!(run_publishing(&client).0, [media(TagKind::Audio, 0, b"a")]);
}

#[test]
fn a_player_is_refused_and_unknown_calls_get_an_empty_answer() {
    let mut client = Client::new();
    client.connect("demo");
    client.call(1, "play", 0.0, &["cam".into()]);
    client.call(0, "_checkbw", 8.0, &[]);
    client.call(0, "unheardOf", 0.0, &[]);
    client.call(0, "_result", 9.0, &[]);
    let outcome = run(&client.bytes);
    assert_eq!(codes(&outcome.output), ["NetConnection.Connect.Success", "NetStream.Play.Failed"]);
    let answer = vec!["_result".into(), 8.0.into(), Value::Null, Value::Undefined];
    assert_eq!(commands(&outcome.output).last(), Some(&(0, answer)));
}

#[test]
fn amf3_messages_hold_amf0_after_a_byte() {
    let mut client = Client::new();
    client.connect("demo");
    let mut publish = Message::command(1, &["publish".into(), 5.0.into(), Value::Null, "cam".into()]);
    publish.type_id = COMMAND_AMF3;
    publish.payload = [&[0][..], &publish.payload].concat().into();
    client.send(3, &publish);
    client.media(DATA_AMF3, 7, b"\x00\x02\x00\x0d@setDataFrame\x02\x00\x01a");
    assert_eq!(run_publishing(&client).0, [media(TagKind::Script, 7, b"\x02\x00\x01a")]);
}

#[test]
fn an_aggregate_gives_its_tags_one_by_one() {
    let mut client = Client::publishing();
    let tag = |kind: u8, time: u8| [&[kind, 0, 0, 1, 0, 0, time, 0, 0, 0, 0, b'x'][..], &[0; 4]].concat();
    client.media(AGGREGATE, 1000, &[tag(AUDIO, 10), tag(VIDEO, 33)].concat());
    client.media(VIDEO, 2000, b"v");
    let aggregate = [media(TagKind::Audio, 1000, b"x"), media(TagKind::Video, 1023, b"x")];
    let events = run_publishing(&client).0;
    assert_eq!(events[..2], aggregate);
    assert_eq!(events[2..], [media(TagKind::Video, 2000, b"v")]);
}

#[test]
fn a_ping_is_answered_and_an_abort_obeyed() {
    let mut client = Client::publishing();
    client.send(2, &Message::control(message::USER_CONTROL, Bytes::from_static(b"\0\x06\0\0\x12\x34")));
    let mut cut = Client::default();
    cut.media(VIDEO, 0, &[0; 300]);
    client.bytes.extend_from_slice(&cut.bytes[..12 + 128]);
    client.send(2, &Message::number(ABORT, u32::from(VIDEO)));
    client.media(VIDEO, 40, b"v");
    let (events, output) = run_publishing(&client);
    assert_eq!(events, [media(TagKind::Video, 40, b"v")]);
    let last = messages(&output).pop().expect("a message");
    assert_eq!(last, Message::control(message::USER_CONTROL, Bytes::from_static(b"\0\x07\0\0\x12\x34")));
}

#[test]
fn what_came_is_acknowledged_by_the_window() {
    let mut client = Client::publishing();
    client.send(2, &Message::number(message::WINDOW_ACKNOWLEDGEMENT_SIZE, 20_000));
    client.set_chunk_size(10_000);
    for time in 0..5 {
        client.media(VIDEO, time, &[1; 10_000]);
    }
    client.send(2, &Message::number(message::SET_PEER_BANDWIDTH, 5_000));
    let (_, output) = run_publishing(&client);
    let all = messages(&output);
    let numbers = |type_id| all.iter().filter(move |m| m.type_id == type_id).map(|m| m.payload.to_vec());
    let expected = [20_000u32, 40_000].map(|bytes| bytes.to_be_bytes().to_vec());
    assert!(numbers(message::ACKNOWLEDGEMENT).eq(expected));
    let windows = [2_500_000u32, 5_000].map(|bytes| bytes.to_be_bytes().to_vec());
    assert!(
        numbers(message::WINDOW_ACKNOWLEDGEMENT_SIZE).eq(windows),
        "a new bandwidth is answered with its window"
    );
}

#[test]
fn an_acknowledgement_wraps() {
    let mut acknowledgements = Acknowledgements {
        window_bytes: 100,
        acknowledged: u64::from(u32::MAX) - 50,
        announced_window_bytes: 0,
    };
    assert_eq!(acknowledgements.next(u64::from(u32::MAX) + 49), None);
    let due = acknowledgements.next(u64::from(u32::MAX) + 50).expect("a window is full");
    let mut replies = Replies::default();
    replies.acknowledgement(due);
    assert_eq!(replies.take()[12..], 49u32.to_be_bytes());
}
