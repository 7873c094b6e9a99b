//! Real publishers: `ffmpeg -re -i CLIP -c copy -f flv rtmp://...`, as the README tells a new user, and GStreamer's two.

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

/// One of GStreamer's elements that publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GstSink {
    /// `rtmp2sink`, its own RTMP.
    Rtmp2,
    /// `rtmpsink`, rtmpdump's librtmp, which many encoders carry.
    Librtmp,
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
        let repeat: &[&str] = match repeat {
            Repeat::Once => &["-re"],
            Repeat::Forever => &["-re", "-stream_loop", "-1"],
        };
        Self::start_with(ffmpeg, repeat, clip, &["-c", "copy"], url)
    }

    /// Starts `ffmpeg BEFORE -i CLIP AFTER -f flv URL`.
    pub fn start_with(
        ffmpeg: Ffmpeg,
        before: &[&str],
        clip: &std::path::Path,
        after: &[&str],
        url: &str,
    ) -> Self {
        let mut command = Command::new(ffmpeg.path());
        command.args(["-nostdin", "-hide_banner", "-loglevel", "warning"]).args(before);
        command.arg("-i").arg(clip).args(after).args(["-f", "flv", url]);
        Self::spawn(command, url)
    }

    /// Starts GStreamer with an FLV `clip` of H.264 and AAC, in real time and without encoding anew.
    pub fn start_gstreamer(sink: GstSink, clip: &std::path::Path, url: &str) -> Self {
        let mut command = Command::new("gst-launch-1.0");
        command.arg("-q").arg("filesrc").arg(format!("location={}", clip.display()));
        command.args("! flvdemux name=in  flvmux name=out streamable=true".split_whitespace());
        command.args(
            "in.video ! queue ! h264parse ! out.  in.audio ! queue ! aacparse ! out.".split_whitespace(),
        );
        let (element, location) = match sink {
            GstSink::Rtmp2 => ("rtmp2sink", url.to_owned()),
            GstSink::Librtmp => ("rtmpsink", format!("{url} live=1")),
        };
        command.args(["out.", "!", element, "sync=true"]).arg(format!("location={location}"));
        Self::spawn(command, url)
    }

    fn spawn(mut command: Command, url: &str) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("ingest-tests/install-peers puts FFmpeg and GStreamer there");
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

    /// Ends it as a machine's fault would: nothing is said any more.
    pub fn stop_without_a_word(&mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
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
