//! The fleet: nodes on hosts of their own, joined to the proxy by TLS, and each stream on the least-loaded node that can
//! do it. A host is a network namespace with a control group, so that one can be made busy and the others stay idle.

mod harness;

use std::time::Duration;

use harness::ffmpeg::Ffmpeg;
use harness::site_fleet::{self, NodeSpec, SiteFleet};
use harness::{folder, wait_for, write_script};

/// Until something that takes a heartbeat or two has happened, on a machine that is busy with other tests.
const BOUND: Duration = Duration::from_secs(20);

#[test]
fn streams_spread_over_the_hosts() {
    let fleet = SiteFleet::start(&["n1", "n2", "n3"].map(NodeSpec::plain), &[]);
    let publishers: Vec<_> = ["live/a", "live/b", "live/c"].map(|stream| fleet.publish(stream)).into();
    let mut carriers: Vec<_> = ["live/a", "live/b", "live/c"].map(|stream| fleet.carrier(stream)).into();
    carriers.sort();
    assert_eq!(carriers, ["n1", "n2", "n3"], "what was just placed counts at once");
    let explained = fleet.api("/api/v1/streams/live/c")["placement"].clone();
    let feasible = explained["feasible"].as_array().expect("the nodes that would do").len();
    assert_eq!(feasible, 3, "{explained:#}");
    drop(publishers);
    fleet.stop();
}

#[test]
fn a_node_made_busy_by_a_stranger_gets_none() {
    let fleet =
        SiteFleet::start(&["n1", "n2", "n3"].map(NodeSpec::plain), &[("placement", "headroom = 0.85")]);
    if !fleet.hosts_have_shares() {
        // All hosts are the same processor then: one cannot be busy while the others are not.
        return fleet.stop();
    }
    let _burners = [fleet.burn("n1"), fleet.burn("n1")];
    // With what a stream needs, that is over the headroom.
    let busy = || (fleet.node("n1")?["load"]["cpu"].as_f64()? > 0.7).then_some(());
    assert!(wait_for(BOUND, busy).is_some(), "n1 should say that it is busy: {:?}", fleet.node("n1"));
    let publishers: Vec<_> = ["live/a", "live/b"].map(|stream| fleet.publish(stream)).into();
    for stream in ["live/a", "live/b"] {
        assert_ne!(fleet.carrier(stream), "n1");
    }
    let explained = fleet.api("/api/v1/streams/live/b")["placement"]["left_out"].to_string();
    assert!(explained.contains("n1") && explained.contains("cpu"), "{explained}");
    drop(publishers);
    fleet.stop();
}

#[test]
fn tags_and_encoders_are_kept() {
    let sections = [
        ("tenants.gold", "profile = \"test\"\ntags = [\"gold\"]"),
        ("tenants.other", "profile = \"other\""),
        ("tenants.none", "profile = \"none\""),
        ("profiles.other", &rendition("[\"libopenh264\"]")),
        ("profiles.none", &rendition("[\"h264_nvenc\"]")),
    ];
    let current = Ffmpeg::Current.path();
    let nodes = [
        NodeSpec::plain("n1"),
        NodeSpec::plain("n2").with_ffmpeg(&current),
        NodeSpec::plain("n3").tagged("gold"),
    ];
    let fleet = SiteFleet::start(&nodes, &sections);
    let gold: Vec<_> = ["gold/a", "gold/b"].map(|stream| fleet.publish(stream)).into();
    assert_eq!(["gold/a", "gold/b"].map(|stream| fleet.carrier(stream)), ["n3", "n3"]);
    let other = fleet.publish("other/a");
    assert_eq!(fleet.carrier("other/a"), "n2", "only the current FFmpeg has libopenh264");
    let mut none = fleet.publish("none/a");
    none.wait_for_refusal(BOUND);
    let log = fleet.proxy_log();
    assert!(log.contains("h264_nvenc"), "{log}");
    drop((gold, other));
    fleet.stop();
}

fn rendition(encoders: &str) -> String {
    format!(
        "renditions = [{{ name = \"180p\", height = 180, video_bitrate = \"300k\", encoder = {encoders}, preset = \"ultrafast\" }}]"
    )
}

/// Its FFmpeg goes after it has proved itself: the node refuses what it is given.
#[test]
fn a_node_that_refuses_is_passed_over() {
    let folder = folder();
    let real = Ffmpeg::Debian.path();
    let script = format!("#!/bin/sh\nexec {} \"$@\"\n", real.display());
    let vanishing = write_script(folder.path(), "ffmpeg", &script);
    let nodes = [NodeSpec::plain("n1").with_ffmpeg(&vanishing), NodeSpec::plain("n2").tagged("spare")];
    let fleet = SiteFleet::start(&nodes, &[]);
    std::fs::remove_file(&vanishing).expect("our own file");
    let publishers: Vec<_> = ["live/a", "live/b"].map(|stream| fleet.publish(stream)).into();
    assert_eq!(["live/a", "live/b"].map(|stream| fleet.carrier(stream)), ["n2", "n2"]);
    drop(publishers);
    fleet.stop();
}

#[test]
fn a_taken_name_a_wrong_token_and_a_stranger_are_refused() {
    let fleet = SiteFleet::start(&[NodeSpec::plain("n1")], &[]);
    let check = |spec: NodeSpec, change: (&str, &str), said: &str| {
        let node = fleet.spawn_node(&spec, change);
        let told = wait_for(BOUND, || node.stderr.text().contains(said).then_some(()));
        assert!(told.is_some(), "a node should be told {said:?}: {}", node.stderr.text());
        node.stop();
    };
    check(NodeSpec::plain("n1"), ("", ""), "name_taken");
    check(NodeSpec::plain("n2"), (site_fleet::TOKEN, "not-the-token"), "wrong_token");
    let stranger = folder();
    let other = harness::certificate::Certificate::make(stranger.path());
    let (ours, theirs) = (fleet.certificate(), other.cert.display().to_string());
    let trusting = |certificate: &str| format!("tls_ca = {certificate:?}");
    check(NodeSpec::plain("n3"), (&trusting(&ours), &trusting(&theirs)), "certificate");
    for reason in ["name_taken", "wrong_token"] {
        assert!(fleet.proxy_log().contains(reason), "the proxy says {reason} too: {}", fleet.proxy_log());
    }
    assert_eq!(fleet.node("n1").expect("it stays")["state"], "alive");
    fleet.stop();
}

#[test]
fn a_drained_node_gets_no_new_stream_and_says_when_it_is_empty() {
    let fleet = SiteFleet::start(&["n1", "n2"].map(NodeSpec::plain), &[]);
    let first = fleet.publish("live/a");
    let carrier = fleet.carrier("live/a");
    let mut drain = fleet.headgate(&["drain", &carrier]);
    let draining = || (fleet.node(&carrier)?["state"] == "draining").then_some(());
    assert!(wait_for(BOUND, draining).is_some(), "{:?}", fleet.node(&carrier));
    let others: Vec<_> = ["live/b", "live/c"].map(|stream| fleet.publish(stream)).into();
    for stream in ["live/b", "live/c"] {
        assert_ne!(fleet.carrier(stream), carrier);
    }
    assert!(drain.has_ended().is_none(), "the node still carries a stream");
    drop(first);
    let ended = drain.wait(BOUND).expect("the drain ends when the node is empty");
    assert!(ended.success() && drain.stdout.text().contains("is empty"), "{}", drain.stdout.text());
    let mut undrain = fleet.headgate(&["undrain", &carrier]);
    assert!(undrain.wait(BOUND).expect("it answers").success());
    let alive = || (fleet.node(&carrier)?["state"] == "alive").then_some(());
    assert!(wait_for(BOUND, alive).is_some());
    drop(others);
    fleet.stop();
}

#[test]
fn a_proxy_that_starts_again_finds_its_nodes() {
    let mut fleet = SiteFleet::start(&["n1", "n2"].map(NodeSpec::plain), &[]);
    fleet.restart_proxy();
    fleet.stats().wait_for_nodes(2);
    let stream = fleet.publish("live/a");
    assert!(!fleet.carrier("live/a").is_empty());
    drop(stream);
    fleet.stop();
}

/// A host whose network is gone sends no heartbeat and no end of its connection.
#[test]
fn a_host_that_vanishes_is_suspected_and_then_lost() {
    let fleet = SiteFleet::start(&["n1", "n2"].map(NodeSpec::plain), &[]);
    if !fleet.cut("n1") {
        return fleet.stop();
    }
    for state in ["suspect", "lost"] {
        let reached = || (fleet.node("n1")?["state"] == state).then_some(());
        assert!(wait_for(BOUND, reached).is_some(), "n1 should be {state}: {:?}", fleet.node("n1"));
    }
    let stream = fleet.publish("live/a");
    assert_eq!(fleet.carrier("live/a"), "n2");
    fleet.mend("n1");
    fleet.stats().wait_for_nodes(2);
    drop(stream);
    fleet.stop();
}
