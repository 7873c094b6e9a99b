//! headgate itself as a process: started with every port 0, its output kept, and ended with all its children.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::host::Host;
use super::process::{self, Identity};
use super::{folder, wait_for, write};

/// A start proves encoders by encoding, on a machine that may be busy with other tests.
const START_BOUND: Duration = Duration::from_secs(30);
/// From SIGTERM to the end.
const STOP_BOUND: Duration = Duration::from_secs(10);
/// Children die with their parent at once; this is for a busy machine.
const CHILDREN_BOUND: Duration = Duration::from_secs(3);
/// Lines of output that are kept.
const MAX_LOG_LINES: usize = 4_000;

/// The last lines of a process's output. Cheap to clone.
#[derive(Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Log {
    /// Reads `pipe` to its end in a thread of its own.
    pub fn collect(pipe: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let lines = Arc::clone(&log.lines);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push_back(String::from_utf8_lossy(&line).into_owned());
                let surplus = lines.len().saturating_sub(MAX_LOG_LINES);
                lines.drain(..surplus);
            }
        });
        log
    }

    /// All lines kept.
    pub fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The first line kept that begins with `prefix`, without it.
    pub fn find(&self, prefix: &str) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find_map(|line| Some(line.strip_prefix(prefix)?.to_owned()))
    }
}

/// A running `headgate`.
pub struct Server {
    child: Child,
    name: String,
    listening: serde_json::Value,
    /// Standard output.
    pub stdout: Log,
    /// Standard error.
    pub stderr: Log,
    children: BTreeSet<Identity>,
    _folder: TempDir,
}

impl Server {
    /// Starts `headgate ROLE... --config FILE` with `config` in the file. Does not wait for anything.
    pub fn spawn(role: &[&str], config: &str) -> Self {
        Self::spawn_by(Command::new(env!("CARGO_BIN_EXE_headgate")), role, config)
    }

    /// The same on a host of the test's own.
    pub fn spawn_on(host: &Host, role: &[&str], config: &str) -> Self {
        Self::spawn_by(host.command(Path::new(env!("CARGO_BIN_EXE_headgate"))), role, config)
    }

    fn spawn_by(mut command: Command, role: &[&str], config: &str) -> Self {
        let folder = folder();
        let file = write(folder.path(), "config.toml", config);
        command.args(role).arg("--config").arg(file);
        // What it learns stays with this test.
        command.env("STATE_DIRECTORY", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built for this test");
        let stdout = Log::collect(child.stdout.take().expect("it was piped"));
        let stderr = Log::collect(child.stderr.take().expect("it was piped"));
        let (name, listening) = (role.join(" "), serde_json::Value::Null);
        Self { child, name, listening, stdout, stderr, children: BTreeSet::new(), _folder: folder }
    }

    /// Starts a role that listens and waits until it says where.
    #[track_caller]
    pub fn start(role: &[&str], config: &str) -> Self {
        let mut server = Self::spawn(role, config);
        let line = wait_for(START_BOUND, || {
            let line = server.stdout.find("listening: ");
            (line.is_some() || server.has_ended().is_some()).then_some(line)
        });
        let Some(line) = line.flatten() else { panic!("headgate {} never listened", server.name) };
        server.listening = serde_json::from_str(&line).expect("`listening:` is followed by JSON");
        server
    }

    /// Where it listens: `rtmp`, `http` or `fleet`.
    #[track_caller]
    pub fn address(&self, port: &str) -> String {
        let address = self.listening.get(port).and_then(|value| value.as_str());
        address.unwrap_or_else(|| panic!("{port} is not in {}", self.listening)).to_owned()
    }

    /// Where to publish: `stream` is `TENANT/STREAM`, with a key where one is needed.
    pub fn publish_url(&self, stream: &str) -> String {
        format!("rtmp://{}/{stream}", self.address("rtmp"))
    }

    /// The multivariant playlist of `TENANT/STREAM`.
    pub fn play_url(&self, stream: &str) -> String {
        self.http_url(&format!("/hls/{stream}/index.m3u8"))
    }

    /// An address on the HTTP port.
    pub fn http_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("http"))
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child")
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self, bound: Duration) -> Option<ExitStatus> {
        wait_for(bound, || self.has_ended())
    }

    /// SIGKILL, as a machine's fault would be; fails if any FFmpeg of it lives on.
    #[track_caller]
    pub fn kill(mut self) {
        self.children.extend(process::descendants(self.pid()));
        self.signal(Signal::SIGKILL);
        let ended = self.wait(STOP_BOUND);
        assert!(ended.is_some(), "{} outlives SIGKILL", self.name);
        self.assert_no_children();
    }

    /// SIGTERM; fails unless it ends with 0 in good time and leaves nothing behind.
    #[track_caller]
    pub fn stop(mut self) {
        let status = self.terminate();
        assert!(
            status.is_some_and(|status| status.success()),
            "{} ended with {status:?} on SIGTERM",
            self.name
        );
        self.assert_no_children();
    }

    /// The process number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process numbers are small")
    }

    fn terminate(&mut self) -> Option<ExitStatus> {
        if self.has_ended().is_none() {
            self.children.extend(process::descendants(self.pid()));
            self.signal(Signal::SIGTERM);
        }
        self.wait(STOP_BOUND)
    }

    fn signal(&self, signal: Signal) {
        // An error means that it has ended already.
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    fn survivors(&self) -> Vec<Identity> {
        self.children.iter().copied().filter(|&child| process::is_running(child)).collect()
    }

    #[track_caller]
    fn assert_no_children(&self) {
        let gone = wait_for(CHILDREN_BOUND, || self.survivors().is_empty().then_some(()));
        assert!(gone.is_some(), "{} left {:?} running", self.name, self.survivors());
    }
}

impl Drop for Server {
    /// Ends what is left, without a judgement, and shows the log of a test that failed.
    fn drop(&mut self) {
        if self.terminate().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let clean = wait_for(CHILDREN_BOUND, || self.survivors().is_empty().then_some(()));
        for child in self.survivors() {
            let _ = kill(Pid::from_raw(child.pid), Signal::SIGKILL);
        }
        if std::thread::panicking() {
            eprintln!("----- headgate {} -----\n{}{}", self.name, self.stdout.text(), self.stderr.text());
        } else {
            assert!(clean.is_some(), "headgate {} left children running", self.name);
        }
    }
}

/// The token that tests' nodes know.
pub const FLEET_TOKEN: &str = "fleet-token-of-the-tests";

/// A configuration for tests: every port 0, two cheap renditions, audio copied, and `ffmpeg` on the node.
pub fn config(ffmpeg: &Path) -> String {
    config_with(&[], ffmpeg)
}

/// The same, with more keys: each is a section and lines for it.
pub fn config_with(more: &[(&str, &str)], ffmpeg: &Path) -> String {
    let ffmpeg = format!("ffmpeg = {:?}", ffmpeg.display().to_string());
    let token = format!("listen = \"127.0.0.1:0\"\ntoken = \"{FLEET_TOKEN}\"");
    let renditions = "renditions = [
        { name = \"360p\", height = 360, video_bitrate = \"800k\", encoder = \"libx264\", preset = \"ultrafast\" },
        { name = \"180p\", height = 180, video_bitrate = \"400k\", encoder = \"libx264\", preset = \"ultrafast\" },
    ]\naudio = \"copy\"";
    let mut sections = vec![
        ("http", "listen = \"127.0.0.1:0\"".to_owned()),
        ("rtmp", "listen = \"127.0.0.1:0\"".to_owned()),
        ("fleet", token),
        ("node", ffmpeg),
        ("profiles.test", renditions.to_owned()),
        ("tenants.live", "profile = \"test\"".to_owned()),
    ];
    if more.iter().all(|(name, _)| *name != "placement") {
        // Machines that run tests are busy.
        sections.push(("placement", "headroom = 100".to_owned()));
    }
    for &(name, lines) in more {
        match sections.iter_mut().find(|(known, _)| *known == name) {
            Some((_, text)) => *text = format!("{text}\n{lines}"),
            None => sections.push((name, lines.to_owned())),
        }
    }
    sections.iter().map(|(name, lines)| format!("[{name}]\n{lines}\n\n")).collect()
}

/// How a command that should end by itself did.
pub struct Ended {
    /// Its exit code; `None` if a signal ended it, or if it went on and had to be ended.
    pub code: Option<i32>,
    /// Standard output and standard error.
    pub output: String,
}

/// Runs `headgate` with `arguments` to its end, for at most 20 s.
pub fn run(arguments: &[&str], config: Option<&PathBuf>) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let mut child = command.spawn().expect("the binary was built for this test");
    let stdout = Log::collect(child.stdout.take().expect("it was piped"));
    let stderr = Log::collect(child.stderr.take().expect("it was piped"));
    let status = wait_for(Duration::from_secs(20), || child.try_wait().expect("our own child"));
    let _ = child.kill();
    let _ = child.wait();
    // The readers may be a moment behind the end.
    let _ = wait_for(Duration::from_millis(200), || (!stderr.text().is_empty()).then_some(()));
    Ended { code: status.and_then(|status| status.code()), output: stdout.text() + &stderr.text() }
}
