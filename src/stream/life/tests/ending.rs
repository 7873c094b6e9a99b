//! Grace time, and the ways in which a stream ends.

use super::*;

#[test]
fn a_stream_that_nobody_publishes_ends_although_it_has_no_grace_time() {
    let mut scene = Scene::new();
    assert_eq!(scene.stream.next_deadline(), Some(scene.now + OPENING_TIMEOUT));
    scene.wait(OPENING_TIMEOUT - Duration::from_millis(1));
    assert_eq!(scene.endings(), "");
    scene.wait(Duration::from_millis(1));
    assert_eq!(scene.endings(), "finish:grace_expired");
    assert_eq!(scene.stream.next_deadline(), None);
}

#[test]
fn a_publisher_that_breaks_off_may_come_back_within_the_grace_time() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    scene.close(1, PublisherEnd::Broken);
    assert_eq!(scene.stream.phase, Phase::Reconnecting(scene.now + GRACE));
    scene.wait(GRACE / 2);
    assert_eq!((scene.publish(2), scene.stream.phase), (Ok(()), Phase::Live));
    scene.work();
    scene.close(2, PublisherEnd::Broken);
    scene.wait(GRACE);
    assert_eq!(scene.endings(), "finish:grace_expired");
}

#[test]
fn an_orderly_end_puts_out_what_is_there_and_then_finishes() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    scene.close(1, PublisherEnd::Orderly);
    assert!(matches!(scene.stream.phase, Phase::Ending(Reason::Unpublished, _)));
    scene.fail(Reason::NoNode);
    assert_eq!(scene.endings(), "");
    scene.wait(Duration::from_secs(1));
    scene.work();
    let last = scene.commands.last().cloned();
    assert_eq!(last, Some(Command::Finish { reason: Reason::Unpublished }));
    assert_eq!(scene.committed(), [(0, 1_000), (1_000, 2_000)]);
    let ledger = &scene.stream.delivery;
    assert_eq!((ledger.accepted(), ledger.lost(), ledger.undecodable()), (4, 0, 0));
}

#[test]
fn what_is_not_out_when_the_limit_is_over_counts_as_lost() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    scene.close(1, PublisherEnd::Orderly);
    scene.wait(ENDING_LIMIT);
    assert_eq!(scene.endings(), "finish:unpublished");
    let ledger = &scene.stream.delivery;
    assert_eq!((ledger.lost(), ledger.pending()), (4, 0));
}

#[test]
fn a_stream_without_media_ends_at_once() {
    let mut scene = Scene::live();
    scene.close(1, PublisherEnd::Orderly);
    assert_eq!(scene.endings(), "finish:unpublished");
    let mut scene = Scene::live();
    scene.stream.handle_end(Reason::Ended, scene.now);
    assert_eq!(scene.endings(), "close1:ended finish:ended");
    let mut scene = Scene::new();
    scene.stream.handle_end(Reason::Shutdown, scene.now);
    assert_eq!(scene.endings(), "finish:shutdown");
}

/// Expects the publisher to be told this, when `end` has closed it.
#[track_caller]
fn check_told(end: impl FnOnce(&mut Scene), expected: &str) {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..1);
    end(&mut scene);
    scene.carry_out(false);
    let told = scene.commands.into_iter().find_map(|command| match command {
        Command::ClosePublisher { detail, .. } => Some(detail),
        Command::Place(_)
        | Command::Feed { .. }
        | Command::Cancel { .. }
        | Command::Commit(_)
        | Command::Finish { .. } => None,
    });
    assert_eq!(told.as_deref(), Some(expected));
}

#[test]
fn a_publisher_is_told_in_a_sentence_why_it_is_closed() {
    let end = |reason| move |scene: &mut Scene| scene.stream.handle_end(reason, scene.now);
    check_told(end(Reason::Ended), "the stream was ended by whoever runs the server");
    check_told(end(Reason::Shutdown), "the server is stopping");
    let taken_over = |scene: &mut Scene| assert_eq!(scene.publish(2), Ok(()));
    check_told(taken_over, "another encoder has taken over this stream");
    let record =
        |scene: &mut Scene| scene.send(1, [tag(crate::media::flv::TagKind::Audio, 0, &b"\xaf\0\x11"[..])]);
    let expected = "the audio configuration cannot be read: \
                    the AudioSpecificConfig ends inside samplingFrequencyIndex, which begins at byte 0";
    check_told(record, expected);
}

#[test]
fn the_first_reason_to_end_is_the_one_that_is_told() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    scene.stream.handle_end(Reason::Ended, scene.now);
    let limit = scene.stream.phase;
    scene.now += Duration::from_secs(1);
    scene.stream.handle_end(Reason::Shutdown, scene.now);
    assert_eq!(scene.stream.phase, limit, "and the time does not begin anew");
    scene.wait(ENDING_LIMIT);
    assert_eq!(scene.endings(), "close1:ended finish:ended");
}

#[test]
fn a_publisher_that_comes_while_the_stream_ends_revives_it() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    scene.close(1, PublisherEnd::Orderly);
    assert_eq!(scene.publish(2), Ok(()));
    assert_eq!(scene.stream.phase, Phase::Live);
    scene.send_gops(2, 0..1);
    scene.work();
    assert_eq!(scene.committed(), [(0, 1_000), (1_000, 2_000)]);
    scene.wait(ENDING_LIMIT);
    assert_eq!(scene.endings(), "");
}

#[test]
fn after_the_end_inputs_change_nothing() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    scene.carry_out(false);
    scene.stream.handle_end(Reason::Ended, scene.now);
    scene.wait(ENDING_LIMIT);
    assert_eq!(scene.endings(), "close1:ended finish:ended");
    assert_eq!(scene.publish(2), Err(Reason::Ended));
    scene.send_gops(1, 2..3);
    scene.stream.handle_placed(1, name("n1"), scene.now);
    scene.stream.handle_attached(1, scene.now);
    scene.fail(Reason::NodeLost);
    scene.stream.handle_end(Reason::Shutdown, scene.now);
    scene.wait(GRACE);
    assert_eq!((scene.stream.next_command(), scene.stream.next_deadline()), (None, None));
}

/// Expects a tag to close the publisher, which may come back within the grace time.
#[track_caller]
fn check_closed(tag: Tag, reason: Reason) {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..1);
    scene.send(1, [tag]);
    assert_eq!(scene.endings(), format!("close1:{reason}"));
    assert_eq!(scene.stream.phase, Phase::Reconnecting(scene.now + GRACE));
}

#[test]
fn media_that_cannot_be_taken_closes_the_publisher() {
    use crate::media::flv::TagKind;
    check_closed(tag(TagKind::Video, 0, &b"\x90vp08\x01"[..]), Reason::UnsupportedCodec);
    check_closed(tag(TagKind::Audio, 0, &b"\xaf\0\x11"[..]), Reason::InputUnreadable);
}

#[test]
fn a_publisher_of_nothing_that_can_be_read_is_told_so() {
    let mut scene = Scene::live();
    scene.send(1, [tag(crate::media::flv::TagKind::Audio, 0, &b"\xaf\x01\x21"[..])]);
    scene.wait(crate::stream::take::RANDOM_ACCESS_WAIT);
    scene.carry_out(false);
    let detail = "for 12 s nothing has come that says how the video or the audio is coded".to_owned();
    let (publisher, reason) = (PublisherId(1), Reason::NoRandomAccessPoint);
    assert_eq!(scene.commands.first(), Some(&Command::ClosePublisher { publisher, reason, detail }));
}

#[test]
fn a_publisher_without_a_random_access_point_is_closed() {
    let mut scene = Scene::live();
    scene.send(1, [video_tag(0, 0), picture(0)]);
    scene.wait(crate::stream::take::RANDOM_ACCESS_WAIT);
    assert_eq!(scene.endings(), "close1:no_random_access_point finish:no_random_access_point");
    assert_eq!(scene.stream.delivery.undecodable(), 1);
}

/// A stream whose log holds 3 s, and whose attempt is lost in the middle of a GOP of 5 s.
fn starved() -> Scene {
    let mut scene = Scene::with(Takeover::Replace, at(3_000));
    assert_eq!(scene.publish(1), Ok(()));
    scene.send_gops(1, 0..2);
    scene.work();
    scene.send(1, (4..10).map(|half| picture(1_000 + half * 500)));
    scene.work();
    scene.fail(Reason::NodeLost);
    scene.carry_out(false);
    scene
}

#[test]
fn a_gop_longer_than_the_log_costs_its_node_the_rest_of_it_and_no_more() {
    let mut scene = starved();
    let asked = scene.specs.len();
    scene.wait(crate::stream::delivery::STARVED_WAIT.saturating_sub(Duration::from_millis(1)));
    scene.send(1, [key(6_000), picture(6_500), key(7_000)]);
    scene.work();
    assert_eq!((scene.endings(), scene.specs.len()), (String::new(), asked + 1));
    assert_eq!((scene.stream.delivery.lost(), scene.stream.delivery.undecodable()), (8, 0));
}

#[test]
fn a_source_that_sends_no_random_access_point_any_more_is_closed_once_it_needs_one() {
    let mut scene = starved();
    scene.wait(crate::stream::delivery::STARVED_WAIT);
    assert_eq!(scene.endings(), "close1:no_random_access_point");
    assert_eq!(scene.stream.phase, Phase::Reconnecting(scene.now + GRACE));
    assert_eq!(scene.stream.delivery.lost(), 8, "what the last attempt had not brought");
}

/// Pictures each 100 ms, with a key frame each second, of which FFmpeg gives none; says how the publisher is told.
fn send_undecodable(answered: bool) -> String {
    let mut scene = Scene::live();
    scene.send(1, [video_tag(0, 0), audio_tag(0)]);
    for picture_number in 0..200 {
        let time = picture_number * 100;
        let tag = if picture_number % 10 == 0 { key(time) } else { picture(time) };
        scene.send(1, [tag, sound(time)]);
        if answered {
            scene.work();
        } else {
            scene.attach_silently();
        }
        scene.wait(Duration::from_millis(100));
    }
    scene.endings()
}

#[test]
fn pictures_that_nobody_can_decode_end_their_publisher_after_twelve_seconds() {
    assert_eq!(send_undecodable(true), "");
    assert_eq!(send_undecodable(false), "close1:no_random_access_point");
}
