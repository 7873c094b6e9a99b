use proptest::prelude::*;

use super::*;
use crate::rtmp::Limits;
use crate::rtmp::client::{Client, codes};

/// Asks to publish and sends media without waiting, all in one piece.
fn pipelined(tags: u32) -> Vec<u8> {
    let mut client = Client::publishing();
    for number in 0..tags {
        client.media(8, number, &[0xAF, 1, 2, 3]);
    }
    client.bytes.to_vec()
}

fn intake() -> Intake {
    Intake::new(Session::new(Limits::default()))
}

/// Times of the messages that come out when `pieces` are read one after the other and every request is accepted.
fn run(intake: &mut Intake, pieces: &[&[u8]]) -> Vec<u32> {
    let mut times = Vec::new();
    for piece in pieces {
        let mut batch = intake.take(piece);
        loop {
            assert!(batch.tags.len() <= MAX_BATCH_TAGS);
            times.extend(batch.tags.iter().map(|tag| tag.timestamp_ms));
            match batch.stop {
                None => break,
                Some(Stop::Asked(_)) => intake.session.accept_publish(),
                Some(Stop::Full) => {}
                Some(stop @ (Stop::Ended | Stop::Failed(_))) => panic!("{stop:?}"),
            }
            batch = intake.go_on();
        }
        intake.session.take_output();
    }
    times
}

#[test]
fn what_follows_a_request_waits_for_its_answer_and_is_freed_then() {
    let (mut intake, input) = (intake(), pipelined(3));
    let batch = intake.take(&input);
    assert!(matches!(batch.stop, Some(Stop::Asked(_))) && batch.tags.is_empty());
    assert!(!intake.held.is_empty() && intake.memory_bytes() >= intake.held.len());
    // Nothing moves before the answer.
    assert!(intake.go_on().tags.is_empty());
    intake.session.accept_publish();
    assert_eq!(intake.go_on().tags.len(), 3);
    assert_eq!(intake.held.capacity(), 0);
}

#[test]
fn very_many_messages_come_in_batches() {
    let count = 10 * u32::try_from(MAX_BATCH_TAGS).expect("few");
    let (mut intake, input) = (intake(), pipelined(count));
    assert_eq!(run(&mut intake, &[&input]), (0..count).collect::<Vec<_>>());
    assert_eq!(intake.held.capacity(), 0);
}

#[test]
fn large_messages_fill_a_batch_by_their_bytes() {
    let mut client = Client::publishing();
    for number in 0..8 {
        client.media(9, number, &vec![0x17; MAX_BATCH_BYTES / 2]);
    }
    let mut intake = intake();
    intake.take(&client.bytes);
    intake.session.accept_publish();
    assert_eq!(intake.go_on().tags.len(), 2);
}

#[test]
fn what_cannot_go_on_is_told_behind_what_came_before_it() {
    let mut input = pipelined(2);
    // A chunk that repeats a header that never was (RTMP 1.0 §5.3.1.2.4).
    input.push(0xC0 | 40);
    let mut intake = intake();
    intake.take(&input);
    intake.session.accept_publish();
    let batch = intake.go_on();
    assert!(matches!(batch.stop, Some(Stop::Failed(_))), "{batch:?}");
    assert_eq!(batch.tags.len(), 2);
    assert_eq!(
        codes(&intake.session.take_output()).last().map(String::as_str),
        Some("NetStream.Publish.Start")
    );
}

#[test]
fn two_thousand_who_say_half_of_something_cost_little() {
    let whole = pipelined(0);
    let halves = (0..2000).map(|number| {
        let mut intake = intake();
        let end = number % (whole.len() - 1);
        assert!(intake.take(&whole[..end]).stop.is_none());
        intake.session.take_output();
        (intake.memory_bytes(), intake.held.capacity())
    });
    for (memory, held) in halves {
        assert!(memory < 4 * 1024 && held == 0, "{memory}");
    }
    assert!(size_of::<Intake>() < 2 * 1024, "{}", size_of::<Intake>());
}

proptest! {
    #[test]
    fn where_the_input_is_cut_makes_no_difference(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let input = pipelined(150);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        ends.push(input.len());
        ends.sort_unstable();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let pieces: Vec<&[u8]> = starts.zip(&ends).map(|(start, &end)| &input[start..end]).collect();
        prop_assert_eq!(run(&mut intake(), &pieces), (0..150).collect::<Vec<_>>());
    }
}
