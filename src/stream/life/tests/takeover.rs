//! A second publisher.

use super::*;

#[test]
fn a_newcomer_replaces_the_publisher_and_its_media_is_ignored() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..1);
    assert_eq!(scene.publish(2), Ok(()));
    assert_eq!(scene.endings(), "close1:taken_over");
    let accepted = scene.stream.delivery.accepted();
    scene.send_gops(1, 1..2);
    scene.close(1, PublisherEnd::Orderly);
    assert_eq!(scene.stream.delivery.accepted(), accepted);
    assert_eq!(scene.stream.phase, Phase::Live);
}

#[test]
fn a_publisher_that_keeps_the_stream_refuses_the_newcomer() {
    let mut scene = Scene::with(Takeover::Refuse, at(60_000));
    assert_eq!(scene.publish(1), Ok(()));
    assert_eq!(scene.publish(2), Err(Reason::AlreadyPublishing));
    assert_eq!(scene.endings(), "");
    scene.send_gops(1, 0..1);
    scene.close(1, PublisherEnd::Broken);
    assert_eq!(scene.publish(2), Ok(()), "nobody is there any more");
}

/// Opens a scene of which the publisher has sent a second of media and is silent since, for `silence`.
fn silent(takeover: Takeover, silence: Duration) -> Scene {
    let mut scene = Scene::with(takeover, at(60_000));
    assert_eq!(scene.publish(1), Ok(()));
    scene.now += Duration::from_secs(60);
    scene.send_gops(1, 0..1);
    scene.wait(silence);
    scene
}

const BRIEF: Duration = Duration::from_millis(1);

#[test]
fn a_publisher_that_left_without_a_word_does_not_keep_the_stream() {
    let mut scene = silent(Takeover::Refuse, SILENT_PUBLISHER - BRIEF);
    assert_eq!(scene.publish(2), Err(Reason::AlreadyPublishing), "it may still be there");
    scene.wait(BRIEF);
    assert_eq!(scene.publish(2), Ok(()));
    assert_eq!(scene.endings(), "close1:taken_over");
    assert_eq!(scene.publish(3), Err(Reason::AlreadyPublishing), "the newcomer has its own time");
    scene.now += SILENT_PUBLISHER;
    scene.send_gops(2, 0..1);
    assert_eq!(scene.publish(3), Err(Reason::AlreadyPublishing), "and is heard");
    scene.close(1, PublisherEnd::Broken);
    assert_eq!(scene.stream.phase, Phase::Live, "the old connection breaks at last, and means nothing");
}

#[test]
fn one_that_has_only_opened_its_connection_is_silent_too() {
    let mut scene = Scene::with(Takeover::Refuse, at(60_000));
    assert_eq!(scene.publish(1), Ok(()));
    scene.wait(SILENT_PUBLISHER);
    assert_eq!(scene.publish(2), Ok(()));
    assert_eq!(scene.endings(), "close1:taken_over");
}

#[test]
fn to_replace_a_silent_publisher_neither_counts_nor_waits() {
    let mut scene = silent(Takeover::Replace, BRIEF);
    // The pause after these is 8 s.
    for (publisher, pause) in [(2, 0), (3, 1), (4, 2), (5, 4)] {
        scene.now += Duration::from_secs(pause);
        scene.stream.last_heard = scene.now;
        assert_eq!(scene.publish(publisher), Ok(()));
    }
    assert_eq!(scene.publish(6), Err(Reason::AlreadyPublishing));
    scene.wait(SILENT_PUBLISHER);
    assert_eq!(scene.publish(6), Ok(()), "5 s before the pause is over");
    scene.now += Duration::from_secs(5);
    scene.stream.last_heard = scene.now;
    assert_eq!(scene.publish(7), Ok(()), "which has not become longer by it");
}

#[test]
fn an_encoder_whose_connection_broke_comes_back_within_the_pause() {
    let mut scene = silent(Takeover::Replace, BRIEF);
    assert_eq!(scene.publish(2), Ok(()));
    scene.send_gops(2, 0..1);
    assert_eq!(scene.publish(3), Err(Reason::AlreadyPublishing), "the pause runs");
    scene.close(2, PublisherEnd::Broken);
    assert_eq!(scene.publish(3), Ok(()), "but nothing is taken over");
    assert_eq!(scene.endings(), "close1:taken_over");
}

/// Offers takeovers after these pauses in seconds, and expects which are allowed.
#[track_caller]
fn check_pauses(pauses: &[(u64, bool)]) {
    let mut takeovers = Takeovers::default();
    let mut now = crate::base::clock::now();
    for (index, &(pause, expected)) in pauses.iter().enumerate() {
        now += Duration::from_secs(pause);
        assert_eq!(takeovers.allow(now), expected, "the one at index {index}");
    }
}

#[test]
fn takeovers_back_off_twice_as_long_each_time() {
    check_pauses(&[
        (0, true),
        (0, false),
        (1, true),
        (1, false),
        (1, true),
        (3, false),
        (1, true),
        (8, true),
    ]);
}

#[test]
fn the_longest_pause_is_a_minute_and_a_quiet_minute_forgets() {
    let doubled = [(0, true), (1, true), (2, true), (4, true), (8, true), (16, true), (32, true)];
    check_pauses(&[&doubled[..], &[(59, false), (1, true), (1, true)]].concat());
    check_pauses(&[&doubled[..4], &[(60, true), (1, true), (1, false)]].concat());
}

#[test]
fn a_takeover_too_soon_is_refused_and_the_publisher_stays() {
    let mut scene = Scene::live();
    assert_eq!(scene.publish(2), Ok(()));
    assert_eq!(scene.publish(1), Err(Reason::AlreadyPublishing));
    assert_eq!(scene.endings(), "close1:taken_over");
    scene.now += TAKEOVER_PAUSE;
    assert_eq!(scene.publish(3), Ok(()));
    assert_eq!(scene.endings(), "close2:taken_over");
}

#[test]
fn the_timeline_goes_on_where_the_old_publisher_ended() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    let end = scene.stream.timeline_end;
    assert_eq!(scene.publish(2), Ok(()));
    scene.send_gops(2, 0..1);
    let position = scene.stream.sections.back().map(|section| section.position);
    assert_eq!(position, Some(round_up_to_millis(end)));
    assert_eq!(scene.stream.sections.len(), 2);
    assert!(scene.stream.sections[0].closed.is_some() && scene.stream.sections[1].closed.is_none());
}

#[test]
fn an_anchor_is_the_next_whole_millisecond() {
    for (ticks, expected) in [(0, 0), (1, 90), (89, 90), (90, 90), (91, 180)] {
        assert_eq!(round_up_to_millis(Ticks(ticks)), Ticks(expected));
    }
}
