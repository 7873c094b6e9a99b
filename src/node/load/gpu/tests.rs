//! The real wrapper against a library of the test's own, `stub.c`, whose GPUs are what a file says.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use super::*;
use crate::base::log::captured::Captured;
use crate::node::tests::until;

/// A driver of a test's own.
struct Stub {
    folder: TempDir,
}

const TWO: &str = "count 2\n0.gpu 40\n0.encoder 25\n0.decoder 10\n0.memory 1024\n0.milliwatts 71500\n0.sessions 3\n1.gpu 0\n";

impl Stub {
    #[expect(
        clippy::disallowed_methods,
        reason = "the stub is compiled where it is used, by the compiler that ring needs"
    )]
    fn new(state: &str) -> Self {
        let stub = Self { folder: tempfile::tempdir().unwrap() };
        stub.set(state);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node/load/gpu/stub.c");
        let defined = format!("-DSTATE=\"{}\"", stub.folder.path().join("state").display());
        let mut compiler = std::process::Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-Wall", "-Werror", &defined, "-o"])
            .arg(stub.library())
            .arg(source);
        let compiled = compiler.stdin(Stdio::null()).output().unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        stub
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// What the driver says from now on. At once and whole: the library may be reading.
    fn set(&self, state: &str) {
        let path = self.folder.path();
        std::fs::write(path.join("new"), state).unwrap();
        std::fs::rename(path.join("new"), path.join("state")).unwrap();
    }

    fn driver(&self) -> Driver {
        Driver::new(self.library())
    }
}

fn indexes(devices: &[Device]) -> Vec<(u32, &str)> {
    devices.iter().map(|device| (device.gpu.index, device.id.as_str())).collect()
}

#[test]
fn what_the_driver_says_is_measured() {
    let devices = Stub::new(TWO).driver().devices(clock::now());
    let busy = GpuLoad {
        index: 0,
        name: "Stub GPU A".to_owned(),
        utilization: 0.4,
        encoder: 0.25,
        decoder: 0.1,
        memory_used: 1 << 30,
        memory_total: 24 << 30,
        power_w: Some(71.5),
        sessions: 3,
    };
    // It tells of nothing but its utilisation, and a GPU that does not tell its memory is one all the same.
    let silent = GpuLoad { index: 1, name: "Stub GPU B".to_owned(), ..GpuLoad::default() };
    assert_eq!(devices.iter().map(|device| device.load.clone()).collect::<Vec<_>>(), [busy, silent]);
    let gpu = Gpu { index: 0, name: "Stub GPU A".to_owned(), memory: 24 << 30, sessions: None };
    assert_eq!((&devices[0].gpu, devices[0].id.as_str()), (&gpu, "GPU-0000"));
}

#[test]
fn sessions_are_counted_where_there_is_only_a_list_of_them() {
    let devices = Stub::new("count 1\n0.listed 5\n").driver().devices(clock::now());
    assert_eq!(devices[0].load.sessions, 5);
}

#[test]
fn a_gpu_that_is_lost_leaves_the_others() {
    let stub = Stub::new(TWO);
    let (mut driver, now) = (stub.driver(), clock::now());
    assert_eq!(indexes(&driver.devices(now)), [(0, "GPU-0000"), (1, "GPU-0001")]);
    stub.set(&format!("{TWO}0.lost 1\n"));
    assert_eq!(indexes(&driver.devices(now)), [(1, "GPU-0001")]);
    stub.set(TWO);
    assert_eq!(indexes(&driver.devices(now)), [(0, "GPU-0000"), (1, "GPU-0001")]);
}

#[test]
fn a_driver_that_was_unloaded_is_opened_again_after_a_while() {
    let stub = Stub::new(TWO);
    let (mut driver, now) = (stub.driver(), clock::now());
    assert_eq!(driver.devices(now).len(), 2);
    stub.set("driver 0\n");
    assert_eq!(driver.devices(now), []);
    stub.set(TWO);
    assert_eq!(driver.devices(now + Duration::from_secs(4)), []);
    assert_eq!(driver.devices(now + Duration::from_secs(5)).len(), 2);
}

#[test]
fn a_machine_with_a_driver_and_no_gpu_has_none() {
    assert_eq!(Stub::new("count 0\n").driver().devices(clock::now()), []);
    assert_eq!(Stub::new("driver 0\n").driver().devices(clock::now()), []);
}

/// Measures until `wanted` GPUs answer; what they were doing then.
async fn measured(gpus: &mut Gpus, wanted: usize) -> Vec<GpuLoad> {
    let mut loads = Vec::new();
    until("the GPUs are as many as they should", || {
        loads = gpus.measure(clock::now());
        loads.len() == wanted
    })
    .await;
    loads
}

#[tokio::test]
async fn the_set_of_gpus_is_told_when_it_changes_and_only_then() {
    let stub = Stub::new(TWO);
    let mut gpus = Gpus::find(stub.library()).await;
    let mut set = gpus.watch();
    let names =
        |set: &watch::Receiver<Vec<Gpu>>| -> Vec<u32> { set.borrow().iter().map(|gpu| gpu.index).collect() };
    assert_eq!(names(&set), [0, 1]);
    stub.set(&TWO.replace("0.sessions 3", "0.sessions 9"));
    let mut sessions = 0;
    until("the sessions are seen", || {
        sessions = gpus.measure(clock::now())[0].sessions;
        sessions == 9
    })
    .await;
    assert!(!set.has_changed().unwrap());
    stub.set(&format!("{TWO}1.lost 1\n"));
    measured(&mut gpus, 1).await;
    assert!(set.has_changed().unwrap());
    assert_eq!(names(&set), [0]);
    set.mark_unchanged();
    stub.set(TWO);
    assert_eq!(measured(&mut gpus, 2).await[0].sessions, 3);
    assert!(set.has_changed().unwrap());
}

#[tokio::test]
async fn a_gpu_is_told_once_when_it_goes_and_once_when_it_is_back() {
    let log = Captured::start();
    let stub = Stub::new(TWO);
    let mut gpus = Gpus::find(stub.library()).await;
    stub.set(&format!("{TWO}1.lost 1\n"));
    measured(&mut gpus, 1).await;
    for _ in 0..20 {
        measured(&mut gpus, 1).await;
    }
    stub.set(TWO);
    measured(&mut gpus, 2).await;
    // No library, no driver and no GPU are no news.
    for library in
        ["/nonexistent".into(), Stub::new("driver 0\n").library(), Stub::new("count 0\n").library()]
    {
        assert_eq!(Driver::new(library).devices(clock::now()), []);
    }
    let text = log.text();
    // Level and message of `TIME LEVEL TARGET: MESSAGE`.
    let told = text.lines().filter_map(|line| {
        let (head, message) = line.split_once(": ")?;
        Some(format!("{} {message}", head.split_whitespace().nth(1)?))
    });
    let told: Vec<String> = told.collect();
    let expected = [
        "INFO a GPU was found index=0 name=\"Stub GPU A\"",
        "INFO a GPU was found index=1 name=\"Stub GPU B\"",
        "WARN a GPU does not answer any more index=1 name=\"Stub GPU B\"",
        "INFO a GPU answers again index=1 name=\"Stub GPU B\"",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_driver_that_hangs_is_not_waited_for() {
    let stub = Stub::new(TWO);
    let mut gpus = Gpus::find(stub.library()).await;
    assert_eq!(gpus.latest.len(), 2);
    stub.set(&format!("{TWO}hang 1\n"));
    // Until a question hangs; one was perhaps answered before.
    let hangs = |gpus: &mut Gpus| {
        gpus.measure(clock::now());
        gpus.pending.is_some()
    };
    until("a question is asked", || hangs(&mut gpus)).await;
    let now = clock::now();
    assert_eq!(gpus.measure(now).len(), 2, "not for longer than usual yet");
    let late = now + CALL_TIMEOUT;
    assert_eq!(gpus.measure(late), []);
    assert!(gpus.watch().borrow().is_empty());
    let asked = gpus.pending.as_ref().map(|&(at, _)| at);
    assert_eq!(gpus.measure(late + CALL_TIMEOUT), []);
    assert_eq!(gpus.pending.as_ref().map(|&(at, _)| at), asked, "nothing is asked meanwhile");
    stub.set(TWO);
    measured(&mut gpus, 2).await;
    assert_eq!(gpus.watch().borrow().len(), 2);
}

#[tokio::test]
async fn without_a_library_there_are_no_gpus() {
    let mut gpus = Gpus::find("/nonexistent/libnvidia-ml.so.1".into()).await;
    assert_eq!((gpus.measure(clock::now()), gpus.watch().borrow().len()), (vec![], 0));
    // A library, but not this one.
    let mut gpus = Gpus::find("libc.so.6".into()).await;
    assert_eq!(gpus.measure(clock::now()), []);
    assert_eq!(Gpus::none().measure(clock::now()), []);
}

#[tokio::test]
async fn a_thread_that_ended_is_asked_no_more() {
    let mut gpus = Gpus::none();
    let (thread, asks) = sync_channel(1);
    gpus.thread = Some(thread);
    gpus.ask(clock::now());
    drop(asks);
    assert_eq!(gpus.measure(clock::now()), []);
    assert!(gpus.thread.is_none());
}
