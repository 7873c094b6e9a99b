//! What the fleet learns of costs: it is measured of a stream that runs, written down, and read again after a restart; a file
//! that is broken is put aside.

mod harness;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::publisher::{Publisher, Repeat};
use harness::server::{Server, config_with};
use harness::stats::Stats;
use harness::{folder, wait_for};

const STREAM: &str = "live/learned";
/// The clip lasts 30 s, of which the first ten are not learnt from.
const BOUND: Duration = Duration::from_secs(70);

/// The entries of one list of the file.
fn entries(file: &Path, list: &str) -> Vec<Value> {
    let text = std::fs::read(file).expect("it was written");
    let costs: Value = serde_json::from_slice(&text).expect("it is JSON");
    costs[list].as_array().expect("a list").clone()
}

#[test]
fn what_a_stream_took_is_written_down_and_read_again() {
    let (clip, folder) = (Clip::whole(), folder());
    let file = folder.path().join("state/costs.json");
    let config = config_with(
        &[("placement", &format!("learned = {:?}\nheadroom = 100", file.display().to_string()))],
        &Ffmpeg::Debian.path(),
    );
    let server = Server::start(&["up"], &config);
    Stats::of(&server).wait_for_nodes(1);
    let mut publisher =
        Publisher::start(Ffmpeg::Debian, &clip.path, &server.publish_url(STREAM), Repeat::Once);
    publisher.wait_for_success(BOUND);
    server.stop();
    let works = entries(&file, "works");
    let [work] = &works[..] else { panic!("one kind of work: {works:?}") };
    let of = work["of"].as_str().unwrap_or_default();
    assert!(of.starts_with("h264 640x360@30 aac > 320x180@30 libx264/ultrafast, 640x360@30"), "{of}");
    let (ratio, samples) = (work["cpu"][0].as_f64(), work["cpu"][1].as_f64());
    assert!(ratio > Some(0.0) && samples >= Some(1.0), "{work}");
    // Nothing is learnt without a stream, so what is read is what stays.
    let server = Server::start(&["up"], &config);
    server.stop();
    assert_eq!(entries(&file, "works"), works);
    std::fs::write(&file, "half a fi").expect("our own folder");
    let server = Server::start(&["up"], &config);
    let told = || server.stderr.text().contains("learned costs cannot be read").then_some(());
    assert!(wait_for(BOUND, told).is_some(), "{}", server.stderr.text());
    server.stop();
    let aside = std::fs::read_to_string(file.with_extension("json.broken")).expect("it is kept");
    assert_eq!(aside, "half a fi");
}
