//! What the end-to-end tests share: the real binary, real publishers, a player as strict as a real one, and the judges of
//! what it saw. Everything waits for a condition with a bound; nothing sleeps for luck.

#![allow(dead_code, reason = "each test target uses its own part of the harness")]
#![allow(
    clippy::disallowed_methods,
    reason = "the harness stands outside the product: it starts processes and threads, and reads the clock itself"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test's output is what a reader has when it fails"
)]

pub mod audio;
pub mod certificate;
pub mod clip;
pub mod ffmpeg;
pub mod fleet;
pub mod flv;
pub mod frames;
pub mod grid;
pub mod host;
pub mod http;
pub mod judge;
pub mod numbered;
pub mod offsets;
pub mod pace;
pub mod pcm;
pub mod player;
pub mod playlist;
pub mod process;
pub mod publisher;
pub mod random;
pub mod reference;
pub mod rtmp;
pub mod server;
pub mod site;
pub mod site_fleet;
pub mod stats;
pub mod takes;
pub mod track;
pub mod wall;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The repository's root folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder that vanishes with the value.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("the system's temporary folder can be written")
}

/// Writes `text` to `folder/name` and gives its path.
pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a temporary folder can be written");
    path
}

/// Writes an executable script, as a stand-in for FFmpeg.
pub fn write_script(folder: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = write(folder, name, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

/// Asks `look` every 20 ms until it finds something, for at most `bound`.
pub fn wait_for<T>(bound: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fails with every finding, one a line, if there is any.
#[track_caller]
pub fn assert_none(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}
