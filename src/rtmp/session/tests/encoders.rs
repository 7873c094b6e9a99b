//! What encoders do differently, each a trap that ended or mixed up streams somewhere.

use super::*;
use crate::rtmp::message::COMMAND_AMF0;

/// Connected, with nothing said of a stream.
fn connected() -> Client {
    let mut client = Client::new();
    client.connect("demo");
    client
}

fn request(client: &Client) -> PublishRequest {
    let outcome = run(&client.bytes);
    assert_eq!(outcome.error, None);
    let request = outcome.events.into_iter().next();
    if let Some(Event::PublishRequested(request)) = request { request } else { panic!("{request:?}") }
}

#[test]
fn publish_without_a_type_is_live() {
    let mut client = connected();
    client.call(1, "publish", 5.0, &["cam".into()]);
    assert_eq!(request(&client).kind, PublishKind::Live);
}

#[test]
fn names_and_types_may_be_in_upper_case() {
    let mut client = connected();
    client.call(0, "RELEASESTREAM", 2.0, &["cam".into()]);
    client.call(0, "CREATESTREAM", 4.0, &[]);
    client.call(1, "PUBLISH", 5.0, &["cam".into(), "APPEND".into()]);
    let found = request(&client);
    assert_eq!((found.stream.as_str(), found.kind), ("cam", PublishKind::Append));
}

#[test]
fn publish_without_a_stream_is_answered_and_may_be_repeated() {
    for arguments in [vec![], vec![1.0.into()], vec![Value::Null, Value::Boolean(true)]] {
        let mut client = connected();
        client.call(1, "publish", 5.0, &arguments);
        client.call(1, "publish", 6.0, &["cam".into()]);
        assert_eq!(request(&client).stream, "cam");
        assert_eq!(codes(&run(&client.bytes).output)[1], "NetStream.Publish.Rejected");
    }
}

#[test]
fn arguments_of_any_type_end_no_session() {
    let odd =
        [Value::Null, Value::Undefined, Value::Boolean(true), f64::NAN.into(), "x".into(), Value::object([])];
    for name in
        ["releaseStream", "FCPublish", "createStream", "_checkbw", "getStreamLength", "play", "onStatus"]
    {
        for value in &odd {
            let mut client = connected();
            client.command(0, &[name.into(), value.clone(), value.clone(), value.clone()]);
            client.command(0, &[name.into()]);
            client.call(1, "publish", 5.0, &["cam".into()]);
            assert_eq!(request(&client).stream, "cam", "{name} {value:?}");
        }
    }
}

#[test]
fn connect_without_an_object_is_answered() {
    for values in [vec![], vec![Value::Null], vec!["demo".into()], vec![Value::StrictArray(vec![])]] {
        let mut client = Client::new();
        client.command(0, &[&["connect".into(), 1.0.into()], &values[..]].concat());
        client.call(1, "publish", 5.0, &["cam".into()]);
        assert_eq!(request(&client).app, "", "{values:?}");
    }
    let mut client = Client::new();
    let object = Value::object([("app", 1.0.into()), ("tcUrl", Value::Null), ("capsEx", "7".into())]);
    client.command(0, &["connect".into(), 1.0.into(), object]);
    client.call(1, "publish", 5.0, &["cam".into()]);
    assert_eq!(
        (request(&client).app, request(&client).capabilities),
        (String::new(), Capabilities::default())
    );
}

#[test]
fn delete_stream_may_quote_its_number_or_leave_it_out() {
    for (arguments, ends) in [
        (vec!["1".into()], true),
        (vec!["cam".into()], true),
        (vec![], true),
        (vec![Value::Null], true),
        (vec![1.0.into()], true),
        (vec!["2".into()], false),
        (vec![2.0.into()], false),
    ] {
        let mut client = Client::publishing();
        client.call(0, "deleteStream", 7.0, &arguments);
        client.media(AUDIO, 0, b"a");
        let expected = if ends { Event::PublishEnded } else { media(TagKind::Audio, 0, b"a") };
        assert_eq!(run_publishing(&client).0, [expected], "{arguments:?}");
    }
}

#[test]
fn an_end_on_another_message_stream_is_not_ours() {
    for name in ["closeStream", "FCUnpublish", "deleteStream"] {
        let mut client = Client::publishing();
        client.call(2, name, 0.0, &[]);
        client.media(AUDIO, 0, b"a");
        assert_eq!(run_publishing(&client).0, [media(TagKind::Audio, 0, b"a")], "{name}");
    }
}

#[test]
fn a_second_stream_is_refused_on_its_own_message_stream() {
    let mut client = Client::publishing();
    client.call(0, "createStream", 6.0, &[]);
    client.call(2, "publish", 7.0, &["other".into(), "live".into()]);
    client.media_on(2, VIDEO, 0, b"other");
    client.media_on(0, VIDEO, 0, b"nowhere");
    client.media_on(2, AGGREGATE, 0, b"\x08\0\0\x01\0\0\0\0\0\0\0x\0\0\0\x0c");
    client.call(0, "deleteStream", 8.0, &[2.0.into()]);
    client.media(VIDEO, 40, b"ours");
    let (events, output) = run_publishing(&client);
    assert_eq!(events, [media(TagKind::Video, 40, b"ours")]);
    let (message_stream, values) = commands(&output).pop().expect("an answer");
    assert_eq!((message_stream, values[0].as_str()), (2, Some("onStatus")));
    assert_eq!(values[3].get("level").and_then(Value::as_str), Some("error"));
}

#[test]
fn one_that_publishes_on_message_stream_0_is_heard_on_any() {
    let mut client = connected();
    client.call(0, "publish", 5.0, &["cam".into()]);
    client.media_on(1, AUDIO, 0, b"a");
    client.media_on(0, AUDIO, 1, b"b");
    let expected = [media(TagKind::Audio, 0, b"a"), media(TagKind::Audio, 1, b"b")];
    assert_eq!(run_publishing(&client).0, expected);
}

#[test]
fn each_command_is_answered_on_the_message_stream_it_came_on() {
    let mut client = connected();
    client.call(0, "createStream", 4.0, &[]);
    client.call(3, "_checkbw", 5.0, &[]);
    client.call(2, "play", 6.0, &["cam".into()]);
    let answered: Vec<_> = commands(&run(&client.bytes).output).into_iter().map(|(on, _)| on).collect();
    assert_eq!(answered, [0, 0, 3, 2]);
}

#[test]
fn metadata_keeps_fields_that_nobody_knows() {
    let fields = b"\x08\0\0\0\x02\x00\x05width\x00\x40\x94\0\0\0\0\0\0\x00\x07x-bogus\x0a\0\0\0\x01\x0b\0\0\0\0\0\0\0\0\0\0\0\0\x09";
    let bare = [&b"\x02\x00\x0aonMetaData"[..], fields].concat();
    let mut client = Client::publishing();
    client.media(DATA_AMF0, 0, &[b"\x02\x00\x0d@setDataFrame", &bare[..]].concat());
    client.media(DATA_AMF0, 1, &bare);
    let tag = |timestamp_ms| {
        Event::Media(Tag { kind: TagKind::Script, timestamp_ms, payload: bare.clone().into() })
    };
    assert_eq!(run_publishing(&client).0, [tag(0), tag(1)]);
}

/// `@setDataFrame` and `onMetaData` with an AMF3 object of width 640 and a field that nobody knows.
#[test]
fn metadata_in_amf3_reaches_the_tag_in_amf0() {
    let amf3 = b"\x11\x0a\x0b\x01\x0bwidth\x04\x85\x00\x0fx-bogus\x06\x07odd\x01";
    let mut client = Client::publishing();
    let (set, name) = (&b"\x02\x00\x0d@setDataFrame"[..], &b"\x02\x00\x0aonMetaData"[..]);
    let (set_amf3, name_amf3) = (&b"\x11\x06\x1b@setDataFrame"[..], &b"\x11\x06\x15onMetaData"[..]);
    for (set, name) in [(set, name), (set, name_amf3), (set_amf3, name_amf3)] {
        client.media(DATA_AMF3, 0, &[b"\x00", set, name, amf3].concat());
    }
    let (events, _) = run_publishing(&client);
    let expected = b"\x02\x00\x0aonMetaData\x03\x00\x05width\x00\x40\x84\0\0\0\0\0\0\x00\x07x-bogus\x02\x00\x03odd\0\0\x09";
    assert_eq!(events, [0; 3].map(|time| media(TagKind::Script, time, expected)));
    let Event::Media(tag) = &events[0] else { panic!() };
    let metadata = crate::media::flv::read_metadata(&tag.payload).expect("metadata");
    assert_eq!(metadata.width, Some(640));
}

#[test]
fn metadata_in_broken_amf3_is_dropped_and_the_stream_goes_on() {
    let mut client = Client::publishing();
    client.media(DATA_AMF3, 0, b"\x00\x02\x00\x0aonMetaData\x11\x0a\x07\x03C");
    client.media(VIDEO, 0, b"v");
    assert_eq!(run_publishing(&client).0, [media(TagKind::Video, 0, b"v")]);
}

#[test]
fn flash_connects_and_publishes_in_amf3() {
    let mut client = Client::new();
    let amf3 = |client: &mut Client, message_stream, payload: &'static [u8]| {
        let message =
            Message { message_stream, ..Message::control(COMMAND_AMF3, Bytes::from_static(payload)) };
        client.send(3, &message);
    };
    amf3(&mut client, 0, b"\x00\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0\x11\x0a\x0b\x01\x07app\x06\x09demo\x0dcapsEx\x04\x01\x01");
    amf3(&mut client, 1, b"\x00\x02\x00\x07publish\x11\x04\x05\x11\x01\x11\x06\x07cam\x11\x06\x0drecord");
    let found = request(&client);
    assert_eq!((found.app.as_str(), found.stream.as_str(), found.kind), ("demo", "cam", PublishKind::Record));
    assert!(found.capabilities.reconnect);
}

#[test]
fn an_end_is_told_in_both_ways() {
    let mut client = Client::publishing();
    client.call(0, "FCUnpublish", 6.0, &["cam".into()]);
    let output = run_publishing(&client).1;
    let names: Vec<_> =
        commands(&output).iter().map(|(_, values)| values[0].as_str().map(str::to_owned)).collect();
    let told = ["_result", "onFCUnpublish", "onStatus"].map(|name| Some(name.to_owned()));
    assert_eq!(names[names.len() - 3..], told);
}

#[test]
fn commands_longer_than_a_chunk_may_be_interleaved_with_control_messages() {
    let stream = format!("cam?key={}", "k".repeat(500));
    let mut long = Client::default();
    long.publish(&stream);
    let mut client = connected();
    client.bytes.extend_from_slice(&long.bytes[..12 + 128]);
    client.send(2, &Message::control(message::USER_CONTROL, Bytes::from_static(b"\0\x06\0\0\0\x07")));
    client.send(5, &Message::command(0, &["_checkbw".into(), 9.0.into(), Value::Null]));
    client.bytes.extend_from_slice(&long.bytes[12 + 128..]);
    assert_eq!(request(&client).stream, stream);
    assert_eq!(messages(&run(&client.bytes).output).iter().filter(|m| m.type_id == COMMAND_AMF0).count(), 4);
}
