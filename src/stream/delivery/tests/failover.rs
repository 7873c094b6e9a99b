//! The record of a failover, and which nodes the next attempt had better avoid.

use super::*;

/// A scene whose attempt on `n1` was last heard of, then lost 300 ms later.
fn lost() -> Scene {
    let mut scene = Scene::running();
    scene.bring(0, 1_000);
    scene.wait(300);
    scene.fail(None, Reason::NodeLost);
    scene.commands();
    scene
}

/// Expects the next attempt to be asked for, with these nodes avoided.
#[track_caller]
fn check_avoided(scene: &mut Scene, nodes: &[&str]) {
    scene.advance();
    let [Command::Place(wanted)] = &scene.commands()[..] else { panic!("no attempt") };
    assert_eq!(wanted.prefer_not, nodes.iter().map(|node| name(node)).collect::<Vec<_>>());
}

#[test]
fn a_failover_is_recorded_from_the_loss_to_the_next_commit() {
    let mut scene = lost();
    let noticed = scene.now;
    let mut expected = Failover {
        from: Some(name("n1")),
        to: None,
        cause: Reason::NodeLost,
        noticed,
        detection: Duration::from_millis(300),
        recovery: None,
    };
    assert_eq!(scene.delivery.failovers.shown(), Some(&expected));
    scene.wait(20);
    scene.run("n2");
    assert_eq!(scene.delivery.failovers.shown(), Some(&expected));
    scene.wait(500);
    scene.bring(1_000, 2_000);
    assert_eq!(scene.delivery.failovers.taken_over(), 1);
    expected.to = Some(name("n2"));
    expected.recovery = Some(Duration::from_millis(520));
    scene.wait(500);
    scene.bring(2_000, 3_000);
    assert_eq!(scene.delivery.failovers.shown(), Some(&expected), "later commits change nothing");
}

#[test]
fn a_second_loss_before_the_next_commit_is_the_same_failover() {
    let mut scene = lost();
    scene.run("n2");
    scene.wait(100);
    scene.fail(None, Reason::FfmpegCrashed);
    scene.run("n3");
    let failover = scene.delivery.failovers.shown().cloned().expect("recorded");
    assert_eq!((failover.from, failover.cause), (Some(name("n1")), Reason::NodeLost));
    scene.bring(1_000, 2_000);
    let failover = scene.delivery.failovers.shown().cloned().expect("recorded");
    assert_eq!((failover.from, failover.to), (Some(name("n1")), Some(name("n3"))));
    scene.fail(None, Reason::FfmpegCrashed);
    let next = scene.delivery.failovers.shown().cloned().expect("recorded");
    assert_eq!((next.from, next.cause), (Some(name("n3")), Reason::FfmpegCrashed));
}

#[test]
fn an_attempt_that_never_was_attached_is_no_failover() {
    let mut scene = Scene::new();
    scene.advance();
    scene.delivery.handle_placed(1, name("n1"), scene.now);
    scene.fail(None, Reason::HandshakeTimeout);
    assert_eq!((scene.delivery.failovers.shown(), scene.delivery.failovers.taken_over()), (None, 0));
}

#[test]
fn the_next_attempt_avoids_the_node_that_was_lost_or_refused() {
    let mut scene = lost();
    check_avoided(&mut scene, &["n1"]);
    scene.fail(Some("n2"), Reason::NoSlot);
    check_avoided(&mut scene, &["n1", "n2"]);
}

#[test]
fn a_commit_forgets_failures_and_so_does_a_new_section() {
    let mut scene = lost();
    scene.run("n2");
    assert!(scene.delivery.backoff.last_failure().is_some());
    scene.bring(1_000, 2_000);
    assert!(scene.delivery.backoff.last_failure().is_none());
    scene.fail(None, Reason::NodeLost);
    scene.delivery.begin_section(&scene.section);
    assert!(scene.delivery.backoff.last_failure().is_none());
}

#[test]
fn attempts_that_are_held_back_start_when_they_may() {
    let mut scene = Scene::new();
    scene.advance();
    scene.fail(None, Reason::NoNode);
    scene.advance();
    assert_eq!(show(&scene.commands()), "place1");
    scene.wait(249);
    scene.advance();
    assert_eq!(show(&scene.commands()), "");
    scene.wait(1);
    scene.advance();
    assert_eq!(show(&scene.commands()), "place2");
}
