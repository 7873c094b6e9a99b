//! Enhanced RTMP v2: what is announced, and the request to connect anew.

use super::*;

/// Publishing, after a `connect` that announced these.
fn publishing(announced: Vec<(String, Value)>) -> Client {
    let mut client = Client::new();
    client.connect_with("demo", announced);
    client.call(0, "createStream", 4.0, &[]);
    client.publish("cam");
    client
}

fn caps(bits: f64) -> Vec<(String, Value)> {
    vec![("capsEx".to_owned(), bits.into())]
}

/// The properties object of the answer to `connect`.
fn properties(client: &Client) -> Value {
    let output = drive(&mut Session::new(Limits::default()), [&client.bytes[..]]).output;
    commands(&output).into_iter().next().expect("an answer").1.swap_remove(2)
}

#[test]
fn one_that_announces_nothing_is_told_nothing_new() {
    let Value::Object(properties) = properties(&Client::publishing()) else { panic!() };
    assert_eq!(properties.len(), 2);
}

#[test]
fn one_that_announces_something_is_told_what_we_take() {
    let list = || Value::StrictArray(vec!["hvc1".into()]);
    for (name, value) in [
        ("capsEx", 0.0.into()),
        ("fourCcList", list()),
        ("videoFourCcInfoMap", Value::object([("*", 4.0.into())])),
    ] {
        let properties = properties(&publishing(vec![(name.to_owned(), value)]));
        let Some(Value::StrictArray(list)) = properties.get("fourCcList") else { panic!("{name}") };
        assert_eq!(list.len(), 10);
        assert_eq!(properties.get("videoFourCcInfoMap").and_then(|map| map.get("av01")), Some(&4.0.into()));
        assert_eq!(properties.get("audioFourCcInfoMap").and_then(|map| map.get("Opus")), Some(&4.0.into()));
        assert_eq!(properties.get("capsEx"), Some(&7.0.into()));
    }
}

#[test]
fn reconnect_is_the_lowest_bit_of_caps_ex() {
    for (bits, reconnect) in
        [(1.0, true), (7.0, true), (15.0, true), (6.0, false), (0.0, false), (-1.0, false), (f64::NAN, false)]
    {
        let events = run(&publishing(caps(bits)).bytes).events;
        let [Event::PublishRequested(request)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(request.capabilities, Capabilities { reconnect }, "{bits}");
    }
}

#[test]
fn a_reconnect_is_asked_for_once_and_the_stream_goes_on() {
    let mut session = asked(&publishing(caps(1.0)));
    let before = session.take_output();
    session.request_reconnect("too early");
    assert!(session.take_output().is_empty());
    session.accept_publish();
    let accepted = session.take_output();
    session.request_reconnect("maintenance");
    session.request_reconnect("again");
    let output = session.take_output();
    let (message_stream, values) =
        commands(&[&before[..], &accepted, &output].concat()).pop().expect("a request");
    assert_eq!(
        (message_stream, values[0].as_str(), &values[1], &values[2]),
        (0, Some("onStatus"), &0.0.into(), &Value::Null)
    );
    let text = |name| values[3].get(name).and_then(Value::as_str);
    assert_eq!(text("code"), Some("NetConnection.Connect.ReconnectRequest"));
    assert_eq!((text("level"), text("description")), (Some("status"), Some("maintenance")));
    let mut later = Client::default();
    later.media(VIDEO, 0, b"v");
    assert_eq!(session.handle_input(&mut &later.bytes[..]), Ok(Some(media(TagKind::Video, 0, b"v"))));
}

#[test]
fn who_cannot_reconnect_is_not_asked() {
    let mut session = asked(&Client::publishing());
    session.accept_publish();
    session.take_output();
    session.request_reconnect("maintenance");
    assert!(session.take_output().is_empty());
}

#[test]
fn an_accepted_publisher_is_ended_with_its_reason() {
    let mut session = asked(&Client::publishing());
    let before = session.take_output();
    session.end_publish(Reason::TakenOver, "too early");
    session.accept_publish();
    session.end_publish(Reason::TakenOver, "another encoder took over");
    session.end_publish(Reason::TakenOver, "again");
    let output = [&before[..], &session.take_output()].concat();
    let (message_stream, values) = commands(&output).pop().expect("a status");
    assert_eq!(message_stream, MESSAGE_STREAM);
    assert_eq!(values[3].get("description").and_then(Value::as_str), Some("another encoder took over"));
    assert_eq!(codes(&output).iter().filter(|code| *code == "NetStream.Publish.Rejected").count(), 1);
    let mut input = &b"whatever comes"[..];
    assert_eq!((session.handle_input(&mut input), input.len()), (Ok(None), 0));
}
