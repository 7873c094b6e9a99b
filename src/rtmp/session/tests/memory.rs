//! What a connection holds.

use super::*;
use crate::rtmp::handshake::HANDSHAKE_BYTES;
use crate::rtmp::message::COMMAND_AMF0;

/// Feeds input piece by piece, nothing taken of the output, and gives the most that was held.
fn most_held(bytes: &[u8]) -> usize {
    let mut session = Session::new(Limits::default());
    let mut most = 0;
    for mut input in bytes.chunks(61) {
        let result = session.handle_input(&mut input);
        most = most.max(session.memory_bytes());
        if !matches!(result, Ok(None)) {
            break;
        }
    }
    most
}

fn check_stranger(client: &Client) {
    let most = most_held(&client.bytes);
    assert!((HANDSHAKE_BYTES..64 * 1024).contains(&most), "{most}");
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 512, "{}", size_of::<Session>());
    assert_eq!(Session::new(Limits::default()).memory_bytes(), 0);
}

#[test]
fn a_stranger_costs_less_than_64_kib_whatever_it_sends() {
    // Many unfinished messages.
    let mut client = Client::new();
    for chunk_stream in 3..40 {
        let mut message = Client::default();
        message.send(chunk_stream, &Message::control(VIDEO, vec![0; 360].into()));
        client.bytes.extend_from_slice(&message.bytes[..12 + 128]);
    }
    check_stranger(&client);
    // The longest connect, in texts, in values and in AMF3.
    for value in [Value::StrictArray(vec![Value::Null; 11_000]), "\u{e4}".repeat(5_000).as_str().into()] {
        let mut client = Client::new();
        client.connect_with(&"a".repeat(2000), vec![("x".to_owned(), value)]);
        client.publish("cam");
        check_stranger(&client);
    }
    let mut client = Client::new();
    let payload = [&b"\x00\x02\x00\x07connect\x11\x04\x01\x11\x09\xbf\x01\x01"[..], &[1; 9_000]].concat();
    client.send(3, &Message::control(COMMAND_AMF3, payload.into()));
    check_stranger(&client);
    // Answers that nobody takes.
    let mut client = Client::new();
    client.connect("demo");
    (0..1000).for_each(|_| client.call(0, "x", 1.0, &[]));
    check_stranger(&client);
    // A message within the bound, then one more.
    let mut client = Client::new();
    (0..3).for_each(|_| {
        client.send(3, &Message::control(COMMAND_AMF0, [&b"\x02\x00\x01x"[..], &[5; 12_000]].concat().into()))
    });
    check_stranger(&client);
}

#[test]
fn an_idle_publisher_costs_less_than_2_kib() {
    let mut client = Client::publishing();
    client.set_chunk_size(4096);
    for message_stream in 40..60 {
        client.send(message_stream, &Message::number(message::ACKNOWLEDGEMENT, 0));
    }
    for time in 0..50 {
        client.media(VIDEO, time, &[1; 100_000]);
        client.media(AUDIO, time, &[1; 500]);
    }
    let mut session = Session::new(Limits::default());
    assert_eq!(drive(&mut session, [&client.bytes[..]]).error, None);
    let idle = session.memory_bytes();
    assert!(idle < 2048, "{idle}");
    let mut begun = Client::default();
    begun.media(VIDEO, 60, &[1; 100_000]);
    assert_eq!(drive(&mut session, [&begun.bytes[..1000]]).error, None);
    assert_eq!(
        session.memory_bytes(),
        idle + 64 * 1024,
        "a message under way, ahead of its bytes by one step"
    );
}

#[test]
fn an_aggregate_counts_until_its_last_tag_is_out() {
    let mut session = asked(&Client::publishing());
    session.accept_publish();
    session.take_output();
    let idle = session.memory_bytes();
    let tag = [&b"\x08\0\0\x01\0\0\0\0\0\0\0x"[..], &[0; 4]].concat();
    let mut client = Client::default();
    client.media(AGGREGATE, 0, &tag.repeat(2));
    let mut input = &client.bytes[..];
    for held in [32, 32] {
        assert!(matches!(session.handle_input(&mut input), Ok(Some(Event::Media(_)))));
        assert!(session.memory_bytes() >= idle + held);
    }
    assert_eq!(session.handle_input(&mut input), Ok(None));
    assert!(session.memory_bytes() < idle + 512);
}
