//! Sections: one after the other, bounded, and none holds up the ones behind it for ever.

use super::*;
use crate::base::units::Bitrate;
use crate::ffmpeg::ladder::AudioOutput;
use crate::media::flv::TagKind;
use crate::media::track::Tracks;

/// Each call begins a section, by the other of two configurations.
fn change(scene: &mut Scene, number: u32) {
    let which = usize::from(number % 2 == 1);
    let time = number * 1_000;
    scene.send(1, [video_tag(time, which), audio_tag(time), key(time), picture(time + 500)]);
}

#[test]
fn sections_are_put_out_one_after_the_other_by_an_attempt_each() {
    let mut scene = Scene::live();
    (0..3).for_each(|number| change(&mut scene, number));
    scene.close(1, PublisherEnd::Orderly);
    scene.work();
    assert_eq!(scene.committed(), [(0, 1_000), (1_000, 2_000), (2_000, 3_000)]);
    assert_eq!(scene.specs.iter().map(|spec| spec.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(scene.stream.delivery.undecodable(), 0);
}

#[test]
fn audio_that_runs_ahead_does_not_reach_into_the_next_section() {
    let mut scene = Scene::live();
    scene.send(1, [video_tag(0, 0), audio_tag(0), key(0), sound(0), picture(500), sound(1_400)]);
    scene.send(1, [video_tag(900, 1), key(1_000), picture(1_500)]);
    scene.close(1, PublisherEnd::Orderly);
    scene.work();
    assert_eq!(scene.committed(), [(0, 1_000), (1_000, 2_000)]);
    let ledger = &scene.stream.delivery;
    assert_eq!((ledger.accepted(), ledger.lost(), ledger.undecodable()), (4, 0, 0));
}

#[test]
fn a_publisher_that_changes_its_configuration_too_often_is_closed() {
    let mut scene = Scene::live();
    let most = u32::try_from(MAX_SECTIONS).unwrap();
    (0..most).for_each(|number| change(&mut scene, number));
    assert_eq!(scene.endings(), "");
    change(&mut scene, most);
    assert_eq!(scene.endings(), "close1:limit_exceeded");
    assert_eq!(scene.stream.sections.len(), MAX_SECTIONS);
}

/// Sends a picture with this audio before it, and gives what an attempt is asked to make of the audio.
fn wanted_audio(scene: &mut Scene, audio: [Tag; 1], which: usize) -> AudioOutput {
    scene.send(1, [video_tag(0, which)].into_iter().chain(audio).chain([key(0)]));
    scene.carry_out(false);
    scene.specs.last().expect("an attempt").ladder.audio
}

#[test]
fn audio_that_cannot_be_copied_is_encoded_section_by_section() {
    let mp3 = tag(TagKind::Audio, 0, &b"\x2e\xff\xfb\x90\xc4\0"[..]);
    let encoded = AudioOutput::Aac { bitrate: Bitrate::kilobits(128) };
    assert_eq!(wanted_audio(&mut Scene::live(), [audio_tag(0)], 0), AudioOutput::Copy);
    let mut scene = Scene::live();
    assert_eq!(wanted_audio(&mut scene, [mp3], 0), encoded);
    scene.stream.give_up_refused(Reason::UnsupportedCodec, String::new(), scene.now);
    assert_eq!(scene.publish(1), Ok(()));
    assert_eq!(wanted_audio(&mut scene, [audio_tag(0)], 1), AudioOutput::Copy, "the next section's is AAC");
}

#[test]
fn a_section_that_keeps_failing_is_given_up_for_the_next() {
    let mut scene = Scene::live();
    change(&mut scene, 0);
    change(&mut scene, 1);
    let closed = scene.now;
    for _ in 0..4 {
        scene.fail(Reason::FfmpegExited);
    }
    assert!(scene.stream.delivery.backoff.is_quarantined());
    while scene.now < closed + ENDING_LIMIT {
        let next = scene.stream.next_deadline().expect("it is given up some time");
        assert!(next > scene.now);
        scene.now = next;
        scene.stream.handle_deadline(scene.now);
        if scene.stream.sections.len() == 2 {
            scene.fail(Reason::FfmpegExited);
        }
    }
    assert_eq!((scene.now, scene.stream.sections.len()), (closed + ENDING_LIMIT, 1));
    assert_eq!(scene.stream.delivery.lost(), 2);
    scene.work();
    scene.send(1, [key(2_000)]);
    scene.work();
    assert_eq!(scene.committed(), [(1_000, 2_000)]);
}

#[test]
fn a_section_that_the_log_has_lost_does_not_hold_up_the_next() {
    let mut scene = Scene::with(Takeover::Replace, at(3_000));
    assert_eq!(scene.publish(1), Ok(()));
    change(&mut scene, 0);
    scene.fail(Reason::NoNode);
    change(&mut scene, 1);
    scene.send(1, (2..8).map(|second| key(second * 1_000)));
    scene.wait(Duration::from_secs(1));
    scene.work();
    assert_eq!(scene.stream.sections.len(), 1);
    assert_eq!(scene.stream.delivery.lost(), 2 + 4, "the first section, and what left of the second");
    assert_eq!(scene.committed(), [(4_000, 5_000), (5_000, 6_000), (6_000, 7_000)]);
}

#[test]
fn a_retry_without_anything_to_read_does_not_spin() {
    let mut scene = Scene::with(Takeover::Replace, at(3_000));
    assert_eq!(scene.publish(1), Ok(()));
    scene.send_gops(1, 0..1);
    scene.fail(Reason::NoNode);
    scene.send(1, (1..10).map(|second| picture(second * 1_000)));
    scene.wait(Duration::from_secs(1));
    assert!(scene.stream.next_deadline().is_none_or(|next| next > scene.now), "the only GOP is truncated");
    scene.send(1, [key(10_000)]);
    assert_eq!(scene.stream.delivery.attempts, 2, "the next one is not");
}

/// What is told when no node can read a source.
const DETAIL: &str = "no node can read hevc from FLV: FFmpeg 6.1 or later is needed";

/// No node can read what the last attempt was for.
fn refuse_input(scene: &mut Scene) {
    refuse(scene, Reason::UnsupportedCodec, DETAIL);
}

/// What the last attempt was for is taken nowhere.
fn refuse(scene: &mut Scene, reason: Reason, detail: &str) {
    scene.carry_out(false);
    let attempt = scene.specs.last().expect("an attempt").number;
    let (node, detail) = (None, detail.to_owned());
    scene.stream.handle_failed(AttemptFailure { attempt, node, reason, detail }, scene.now);
}

#[test]
fn a_source_that_no_node_can_read_closes_its_publisher_at_once() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    refuse_input(&mut scene);
    scene.carry_out(false);
    let (publisher, reason) = (PublisherId(1), Reason::UnsupportedCodec);
    assert_eq!(
        scene.commands,
        [
            Command::Commit(Commit::SectionBegins(Tracks::Both)),
            Command::ClosePublisher { publisher, reason, detail: DETAIL.to_owned() },
            Command::Finish { reason },
        ],
        "nothing of the stream was ever seen, so its name is free at once"
    );
    assert_eq!((scene.stream.phase, scene.stream.next_deadline()), (Phase::Over, None));
    assert!(scene.stream.sections.is_empty() && !scene.stream.delivery.backoff.is_quarantined());
    assert_eq!((scene.stream.delivery.accepted(), scene.stream.delivery.lost()), (4, 4));
    let report = scene.stream.report(scene.now);
    assert_eq!(report.last_failure, Some((reason, DETAIL.to_owned())));
}

#[test]
fn a_publisher_that_comes_back_with_something_readable_goes_on() {
    let mut scene = Scene::live();
    change(&mut scene, 0);
    scene.work();
    change(&mut scene, 1);
    refuse_input(&mut scene);
    assert_eq!(scene.endings(), "close1:unsupported_codec");
    assert_eq!(scene.stream.phase, Phase::Reconnecting(scene.now + GRACE));
    assert_eq!(scene.publish(2), Ok(()));
    scene.send_gops(2, 0..2);
    scene.close(2, PublisherEnd::Orderly);
    scene.work();
    assert_eq!(scene.committed().len(), 2);
    assert_eq!((scene.stream.delivery.lost(), scene.stream.phase), (2, Phase::Over));
}

#[test]
fn a_source_that_is_more_than_its_tenant_may_have_closes_its_publisher_and_is_not_tried_again() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..2);
    refuse(&mut scene, Reason::LimitExceeded, "tenant acme has 3 of 3 million pixels a second");
    assert_eq!(scene.endings(), "close1:limit_exceeded finish:limit_exceeded");
    assert_eq!((scene.stream.delivery.attempts, scene.stream.delivery.lost()), (1, 4));
    let mut scene = Scene::live();
    change(&mut scene, 0);
    scene.work();
    change(&mut scene, 1);
    let text = "the pictures have grown";
    refuse(&mut scene, Reason::LimitExceeded, text);
    let report = scene.stream.report(scene.now);
    assert_eq!(report.last_failure, Some((Reason::LimitExceeded, text.to_owned())));
    assert_eq!(scene.endings(), "close1:limit_exceeded");
    assert_eq!(scene.publish(2), Ok(()), "with smaller ones it may come back");
}

#[test]
fn an_unreadable_section_that_is_over_is_given_up_and_nobody_is_closed_for_it() {
    let mut scene = Scene::live();
    change(&mut scene, 0);
    change(&mut scene, 1);
    refuse_input(&mut scene);
    scene.close(1, PublisherEnd::Orderly);
    scene.work();
    assert!(!scene.commands.iter().any(|command| matches!(command, Command::ClosePublisher { .. })));
    assert_eq!(scene.committed(), [(1_000, 2_000)]);
    assert_eq!(scene.stream.delivery.lost(), 2);
}

#[test]
fn a_node_that_says_so_does_not_close_a_publisher() {
    let mut scene = Scene::live();
    scene.send_gops(1, 0..1);
    scene.carry_out(false);
    let (node, reason, detail) = (Some(name("n1")), Reason::UnsupportedCodec, String::new());
    let failures = [(1, reason), (7, reason), (2, Reason::LimitExceeded)];
    for (attempt, reason) in failures {
        let failure = AttemptFailure { attempt, node: node.clone(), reason, detail: detail.clone() };
        scene.stream.handle_failed(failure, scene.now);
    }
    scene.stream.handle_failed(AttemptFailure { attempt: 1, node: None, reason, detail }, scene.now);
    assert_eq!((scene.endings().as_str(), scene.stream.sections.len()), ("", 1));
}

/// `onMetaData` with `audiocodecid` 10 and nothing of video.
const SOUND_ONLY: &[u8] = b"\x02\0\x0aonMetaData\x03\0\x0caudiocodecid\0\x40\x24\0\0\0\0\0\0\0\0\x09";

/// Where committed access units of audio begin, in samples after the start.
fn committed_audio(scene: &mut Scene) -> Vec<i64> {
    let place = |command: Command| {
        let Command::Commit(Commit::Audio { place, .. }) = command else { return None };
        Some(place.decode_time - START * 48)
    };
    scene.commands.drain(..).filter_map(place).collect()
}

#[test]
fn audio_alone_is_put_out_and_outlives_its_node() {
    let mut scene = Scene::live();
    scene.send(1, [tag(crate::media::flv::TagKind::Script, 0, SOUND_ONLY), audio_tag(0)]);
    let sounds = |range: std::ops::Range<u32>| range.map(|unit| sound(unit * 1024 / 48)).collect::<Vec<_>>();
    scene.send(1, sounds(0..100));
    scene.work();
    let spec = &scene.specs[0];
    assert_eq!((spec.has_video, spec.has_audio), (false, true));
    // FFmpeg holds the last one back.
    assert_eq!(committed_audio(&mut scene), (0..99).map(|unit| unit * 1024).collect::<Vec<_>>());
    assert_eq!(scene.stream.log.len(), 2, "a GOP of audio is a second, and one is kept as warm-up");
    scene.fail(Reason::ConnectionLost);
    scene.send(1, sounds(100..150));
    scene.work();
    assert_eq!(committed_audio(&mut scene), (99..149).map(|unit| unit * 1024).collect::<Vec<_>>());
    let failover = scene.stream.delivery.failovers.shown().expect("one attempt was lost");
    assert!(failover.recovery.is_some() && scene.stream.delivery.lost() == 0);
    assert_eq!(scene.stream.delivery.startup, Some(Duration::ZERO), "nodes answer at once here");
    scene.close(1, PublisherEnd::Orderly);
    scene.work();
    assert_eq!(scene.stream.delivery.audio.units(), 150);
    assert_eq!(scene.endings(), "finish:unpublished");
}

#[test]
fn video_that_joins_audio_gets_a_section_of_its_own_and_no_sound_is_lost() {
    let mut scene = Scene::live();
    scene.send(1, [tag(crate::media::flv::TagKind::Script, 0, SOUND_ONLY), audio_tag(0)]);
    for unit in 0..150 {
        let time = unit * 1024 / 48;
        if unit == 60 {
            scene.send(1, [video_tag(time, 0)]);
        }
        if unit >= 70 && unit.is_multiple_of(10) {
            scene.send(1, [key(time)]);
        }
        scene.send(1, [sound(time)]);
        scene.work();
    }
    scene.close(1, PublisherEnd::Orderly);
    scene.work();
    let specs: Vec<_> = scene.specs.iter().map(|spec| (spec.has_video, spec.has_audio)).collect();
    assert_eq!(specs, [(false, true), (true, true)]);
    assert_eq!(committed_audio(&mut scene), (0..150).map(|unit| unit * 1024).collect::<Vec<_>>());
    assert_eq!(scene.stream.delivery.lost() + scene.stream.delivery.undecodable(), 0);
}
