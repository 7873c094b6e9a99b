//! A real publisher: `ffmpeg -re -i CLIP -c copy -f flv rtmp://...`, as the README tells a new user.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::ffmpeg::Ffmpeg;
use super::server::Log;
use super::wait_for;

/// How often it publishes the clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Once; then it ends in order.
    Once,
    /// Until it is stopped.
    Forever,
}

/// A publishing process; ended with the value.
pub struct Publisher {
    child: Child,
    url: String,
    log: Log,
    /// When it was started.
    pub started_at: Instant,
}

impl Publisher {
    /// Starts `ffmpeg` with `clip` towards `url`.
    pub fn start(ffmpeg: Ffmpeg, clip: &std::path::Path, url: &str, repeat: Repeat) -> Self {
        let mut command = Command::new(ffmpeg.path());
        command.args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-re"]);
        if repeat == Repeat::Forever {
            command.args(["-stream_loop", "-1"]);
        }
        command.arg("-i").arg(clip).args(["-c", "copy", "-f", "flv", url]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("ffmpeg starts");
        let log = Log::collect(child.stderr.take().expect("it was piped"));
        Self { child, url: url.to_owned(), log, started_at: Instant::now() }
    }

    /// Waits for its end; `None` if it still publishes after `bound`.
    pub fn wait(&mut self, bound: Duration) -> Option<ExitStatus> {
        wait_for(bound, || self.child.try_wait().expect("our own child"))
    }

    /// Waits for its end and fails unless all went well.
    #[track_caller]
    pub fn wait_for_success(&mut self, bound: Duration) {
        let status = self.wait(bound);
        assert!(
            status.is_some_and(|status| status.success()),
            "publisher to {}: {status:?}\n{}",
            self.url,
            self.log.text()
        );
    }

    /// Waits for it to give up, as one who is refused does; fails if it goes on or ends well.
    #[track_caller]
    pub fn wait_for_refusal(&mut self, bound: Duration) {
        let status = self.wait(bound);
        assert!(
            status.is_some_and(|status| !status.success()),
            "publisher to {}: {status:?}\n{}",
            self.url,
            self.log.text()
        );
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.log.text()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
