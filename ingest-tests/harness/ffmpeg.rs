//! The FFmpegs on this machine: Debian's, and the current one that `ingest-tests/install-peers` fetches.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::root;

/// One of the two FFmpegs that headgate is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ffmpeg {
    /// The distribution's: 5.1 on Debian 12, 7.1 on Debian 13.
    Debian,
    /// The newest release, from PyPI's `imageio-ffmpeg`.
    Current,
}

impl Ffmpeg {
    /// The program to start.
    pub fn path(self) -> PathBuf {
        match self {
            Self::Debian => which("ffmpeg"),
            Self::Current => root().join(".peers/ffmpeg-current"),
        }
    }

    /// Whether it is there. A missing one fails the test in CI and is said loudly elsewhere.
    #[must_use]
    pub fn is_installed(self) -> bool {
        let installed = self.path().exists();
        if !installed {
            let message = format!("{self:?} FFmpeg is not installed: run `ingest-tests/install-peers test`");
            assert!(std::env::var_os("CI").is_none(), "{message}");
            eprintln!("\n*** NOT TESTED: {message} ***\n");
        }
        installed
    }

    /// Whether its version begins so.
    pub fn is_version(self, prefix: &str) -> bool {
        let said = Command::new(self.path()).arg("-version").output().expect("it is installed").stdout;
        String::from_utf8_lossy(&said).starts_with(&format!("ffmpeg version {prefix}"))
    }
}

/// Runs Debian's FFmpeg to its end, as the tool that the judges read with. Its output is small by construction.
///
/// A part that begins with `-` is a run of options, split at spaces; any other part is one argument as it stands.
pub fn run(parts: &[&str]) -> Output {
    run_with(Ffmpeg::Debian, parts)
}

/// The same with either.
pub fn run_with(ffmpeg: Ffmpeg, parts: &[&str]) -> Output {
    let split = |part: &&str| match part.strip_prefix('-') {
        Some(_) => part.split(' ').map(str::to_owned).collect(),
        None => vec![(*part).to_owned()],
    };
    Command::new(ffmpeg.path())
        .args(["-nostdin", "-hide_banner"])
        .args(parts.iter().flat_map(split))
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg starts: ingest-tests/install-peers puts it there")
}

/// The same, where only success counts.
#[track_caller]
pub fn run_ok(parts: &[&str]) {
    run_ok_with(Ffmpeg::Debian, parts);
}

/// The same with either.
#[track_caller]
pub fn run_ok_with(ffmpeg: Ffmpeg, parts: &[&str]) {
    let output = run_with(ffmpeg, parts);
    assert!(output.status.success(), "ffmpeg {parts:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Where the shell would find `program`.
fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.exists())
        .unwrap_or_else(|| PathBuf::from(program))
}
