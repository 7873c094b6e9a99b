//! Runs a source through its rows, all at once: on nodes of each FFmpeg, left alone and with the node killed in mid-stream.

use std::path::Path;
use std::time::{Duration, Instant};

use headgate::base::clock::now;
use serde_json::Value;

use super::source::{Source, Via};
use crate::harness::ffmpeg::Ffmpeg;
use crate::harness::fleet::{Fleet, Killed};
use crate::harness::pace::{self, Published};
use crate::harness::player::{Player, Recording};
use crate::harness::publisher::Publisher;
use crate::harness::reference::{Loss, Reference, Verdict};
use crate::harness::stats::{Watch, judge_counters};
use crate::harness::{self, assert_none};

const NAME: &str = "row";
const STREAM: &str = "live/row";
const NODES: [&str; 2] = ["n1", "n2"];
/// From the end of what is sent to ENDLIST, and a busy machine's slack.
const SLACK: Duration = Duration::from_secs(60);

/// What happens in mid-stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The node that carries the stream gets SIGKILL.
    Kill,
}

/// A row as it ran.
struct Run<'a> {
    title: String,
    source: &'a Source,
    fault: Fault,
    recording: Recording,
    published: Published,
    watch: Watch,
    without_node: Option<Duration>,
}

/// Runs all rows of the source that `make` makes in a folder. Fails with the names of those that fail.
#[track_caller]
pub fn check(name: &str, make: impl FnOnce(&Path) -> Source) {
    let folder = harness::folder();
    let source = make(folder.path());
    let reference = source.reference();
    let installed = source.nodes.iter().copied().filter(|node| node.is_installed());
    let rows: Vec<(Ffmpeg, Fault)> =
        installed.flat_map(|node| [(node, Fault::None), (node, Fault::Kill)]).collect();
    let (source, reference) = (&source, &reference);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let threads = rows.into_iter().map(|(node, fault)| {
            let title = format!("{name} | {node:?} | {fault:?}");
            let row = title.clone();
            (title, scope.spawn(move || run(row, source, reference, node, fault)))
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().filter_map(|(title, thread)| thread.join().err().map(|_| title)).collect()
    });
    assert_none("rows that failed, which said why above", &failed);
}

fn run(title: String, source: &Source, reference: &Reference, node: Ffmpeg, fault: Fault) {
    let folder = harness::folder();
    let mut fleet = Fleet::start(&NODES, &source.config(node));
    let bound = source.length() + SLACK;
    let player = Player::start(fleet.proxy.play_url(STREAM), folder.path().to_owned(), bound);
    let watch = Watch::start(fleet.stats.clone(), STREAM);
    let started = now();
    let publishing = Publishing::start(source, &fleet);
    let killed = (fault == Fault::Kill).then(|| {
        std::thread::sleep((source.length() / 2).saturating_sub(started.elapsed()));
        fleet.kill_carrier(STREAM)
    });
    let next = |killed: &Killed| fleet.wait_for_next_attempt(STREAM, killed);
    let without_node = killed.as_ref().map(next);
    let published = publishing.finish(bound);
    let recording = player.finish();
    let run = Run { title, source, fault, recording, published, watch, without_node };
    let loss = if fault == Fault::Kill { source.loss_by_kill } else { Loss::Nothing };
    run.judge(&Reference { loss, ..reference.clone() });
    drop(run);
    fleet.stop();
}

/// A publisher at work.
enum Publishing {
    Encoder(Publisher),
    Hand(std::thread::JoinHandle<Published>),
}

impl Publishing {
    fn start(source: &Source, fleet: &Fleet) -> Self {
        match source.via {
            Via::Hand => {
                let address = fleet.proxy.address("rtmp");
                Self::Hand(pace::publish(source.takes(), address, NAME.to_owned()))
            }
            Via::Encoder(ffmpeg) => {
                let (url, file) = (fleet.proxy.publish_url(STREAM), &source.pieces[0].file);
                let speed = source.speed.to_string();
                let pace = ["-readrate", &speed];
                Self::Encoder(Publisher::start_with(ffmpeg, &pace, file, &["-c", "copy"], &url))
            }
        }
    }

    fn finish(self, bound: Duration) -> Published {
        match self {
            Self::Hand(thread) => thread.join().expect("publishing is accepted"),
            Self::Encoder(mut publisher) => {
                publisher.wait_for_success(bound);
                Published { first_key_frame: None, ended_at: now(), findings: Vec::new() }
            }
        }
    }
}

impl Run<'_> {
    /// Prints the row, and fails if anything is wrong with it.
    fn judge(&self, reference: &Reference) {
        let mut verdict = reference.judge(&self.recording);
        verdict.findings.extend(self.published.findings.clone());
        let entry = self.watch.last();
        verdict.findings.extend(self.judge_entry(entry.as_ref(), &verdict, reference.loss));
        let said = if verdict.findings.is_empty() { "ok" } else { "WRONG" };
        println!("row | {} | {} | {said}", self.title, self.figures(&verdict, reference));
        assert_none(&self.title, &verdict.findings);
    }

    fn judge_entry(&self, entry: Option<&Value>, verdict: &Verdict, loss: Loss) -> Vec<String> {
        let mut findings = judge_counters(entry);
        let Some(entry) = entry else { return findings };
        if loss == Loss::Counted {
            findings.retain(|finding| !finding.starts_with("frames_lost"));
            if entry["frames_lost"].as_u64() != Some(verdict.missing as u64) {
                findings.push(format!(
                    "{} frames are missing, frames_lost is {}",
                    verdict.missing, entry["frames_lost"]
                ));
            }
        }
        for (name, expected) in &self.source.fields {
            if !is_said(&entry["source"][*name], expected) {
                findings.push(format!("source.{name} is {}, not {expected}", entry["source"][*name]));
            }
        }
        let moved = entry["reattachments"].as_u64();
        if self.fault == Fault::None && moved != Some(0) {
            findings.push(format!("reattachments is {moved:?}, and nothing was killed"));
        }
        findings
    }

    /// What a reader of the table wants to see.
    fn figures(&self, verdict: &Verdict, reference: &Reference) -> String {
        let frames: usize = reference.takes.iter().map(|take| take.frames.len()).sum();
        let units: usize = reference.takes.iter().map(|take| take.units.len()).sum();
        let lag = verdict.lag.map_or(String::new(), |(least, most)| format!(", lag {least}..{most} samples"));
        let ms =
            |time: Option<Duration>| time.map_or("-".to_owned(), |time| format!("{} ms", time.as_millis()));
        let startup = self.watch.last().and_then(|entry| entry["startup_ms"].as_u64());
        let begun = self.published.first_key_frame.or(self.watch.first_frame());
        let since = |from: Option<Instant>, to: Option<Instant>| Some(to?.saturating_duration_since(from?));
        format!(
            "frames {}/{frames}, units {}/{units}{lag} | start-up {} | first commit {} | end {} | waits {} | without node {}",
            verdict.frames,
            verdict.units,
            ms(startup.map(Duration::from_millis)),
            ms(since(begun, self.watch.first_commit())),
            ms(since(Some(self.published.ended_at), self.recording.ended_at())),
            ms(Some(self.recording.longest_wait())),
            ms(self.without_node),
        )
    }
}

/// Whether stats say what is expected: rates are measured, to half a percent.
fn is_said(said: &Value, expected: &Value) -> bool {
    match (said.as_f64(), expected.as_f64()) {
        (Some(said), Some(expected)) => (said - expected).abs() <= expected / 200.0,
        _ => said == expected,
    }
}
