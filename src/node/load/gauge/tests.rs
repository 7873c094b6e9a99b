//! Gauges of leases whose FFmpeg is a process of the test's own.

use std::process::{Child, Stdio};
use std::time::Duration;

use super::*;
use crate::base::clock;
use crate::media::flv::{self, TagKind};
use crate::node::tests::until;

const OUTPUTS: [Output; 2] = [Output::Rendition(0), Output::Audio];
const BASE: Ticks = Ticks(90_000_000);

fn tag(kind: TagKind, time: u32) -> Vec<u8> {
    [&flv::tag_header(kind, 3, time).unwrap()[..], b"abc", &flv::tag_trailer(3)].concat()
}

#[test]
fn a_gauge_tells_lag_by_the_times_that_it_sees() {
    let (gauge, now) = (Gauges::default().open(BASE, &OUTPUTS, None), clock::now());
    assert_eq!(
        gauge.load(LeaseId(7), now),
        LeaseLoad { lease: LeaseId(7), cpu: None, memory: 0, speed: None, lag_ms: None }
    );
    gauge.input(now);
    gauge.given(&flv::file_header(true, true));
    gauge.given(&[tag(TagKind::Video, 100), tag(TagKind::Audio, 90), tag(TagKind::Video, 1600)].concat());
    gauge.waiting(now);
    gauge.made(Output::Rendition(0), BASE + Ticks(1100 * 90));
    gauge.made(Output::Audio, BASE + Ticks(90 * 90));
    assert_eq!(gauge.load(LeaseId(7), now).lag_ms, Some(500));
}

#[test]
fn a_gauge_tells_speed_by_ffmpegs_reports() {
    let (gauge, start) = (Gauges::default().open(BASE, &OUTPUTS, None), clock::now());
    let report = |out_time_us| Report { out_time_us, ..Report::default() };
    gauge.report(&report(None), start);
    for second in 0..3 {
        gauge.report(
            &report(Some(i64::from(second) * 2_000_000)),
            start + Duration::from_secs(u64::from(second as u32)),
        );
    }
    assert_eq!(gauge.load(LeaseId(1), start + Duration::from_secs(2)).speed, Some(2.0));
}

#[test]
fn leases_whose_output_waits_are_counted_for_as_long_as_they_are_held() {
    let (gauges, now) = (Gauges::default(), clock::now());
    let (one, two) = (gauges.open(BASE, &OUTPUTS, None), gauges.open(BASE, &OUTPUTS, None));
    assert_eq!(gauges.queue_length(now), 2);
    one.made(Output::Rendition(0), BASE);
    assert_eq!(gauges.queue_length(now), 1);
    drop(two);
    assert_eq!(gauges.queue_length(now), 0);
    drop(one);
    (0..1000).for_each(|_| drop(gauges.open(BASE, &OUTPUTS, None)));
    assert!(locked(&gauges.list).len() <= 1);
}

/// A process that works without end; killed with the test.
struct Busy(Child);

impl Busy {
    #[expect(clippy::disallowed_methods, reason = "a test's own child in FFmpeg's place")]
    fn start() -> Self {
        let mut shell = std::process::Command::new("sh");
        crate::node::die_with_us(&mut shell);
        Self(shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_process_that_works_is_seen_to_work() {
    let busy = Busy::start();
    let (gauges, mut processes) = (Gauges::default(), Processes::new().unwrap());
    let gauge = gauges.open(BASE, &OUTPUTS, Some(busy.0.id()));
    let idle = gauges.open(BASE, &OUTPUTS, None);
    let load = |gauge: &Gauge| gauge.load(LeaseId(1), clock::now());
    until("a tenth of a core is seen in use", || {
        gauges.measure(&mut processes, clock::now());
        load(&gauge).cpu.is_some_and(|cores| cores > 0.1)
    })
    .await;
    assert!(load(&gauge).memory > 1 << 12, "{:?}", load(&gauge));
    assert_eq!((load(&idle).cpu, load(&idle).memory), (None, 0));
    drop(busy);
    gauge.ended();
    gauges.measure(&mut processes, clock::now());
    assert_eq!((load(&gauge).cpu, load(&gauge).memory), (None, 0));
}
