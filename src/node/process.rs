//! The only place that starts FFmpeg. A process never outlives this one: it has a process group of its own, it is killed
//! by the kernel when we die, and it is always reaped.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use command_fds::CommandFdExt;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpid, getppid};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStderr, ChildStdin};

use crate::ffmpeg::args::{self, ArgumentsError, Equipment, Pipes};
use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::diagnosis::Exit;
use crate::ffmpeg::encoder::Usable;
use crate::ffmpeg::ladder::Output;

#[cfg(test)]
mod tests;

/// The variable by which CUDA hides GPUs.
pub(super) const VISIBLE_GPUS: &str = "CUDA_VISIBLE_DEVICES";
/// How long FFmpeg has to end after SIGTERM before it is killed.
const TERMINATION_GRACE: Duration = Duration::from_secs(1);

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// There are no arguments for this attempt.
    #[error(transparent)]
    Arguments(#[from] ArgumentsError),
    /// The system refused a pipe or the program.
    #[error("FFmpeg could not be started: {0}")]
    System(#[from] io::Error),
}

/// A running FFmpeg and our ends of its pipes, which whoever moves the bytes takes out.
pub(super) struct Process {
    child: Child,
    /// Its input; `None` once taken.
    pub(super) input: Option<ChildStdin>,
    /// Its outputs; all must be read at all times, because one that is not stops the others.
    pub(super) outputs: Vec<(Output, Receiver)>,
    /// Its `-progress` reports; `None` once taken.
    pub(super) progress: Option<Receiver>,
    /// What it says; `None` once taken.
    pub(super) words: Option<ChildStderr>,
    /// The encoders that it was started with.
    pub(super) encoders: Vec<Usable>,
}

impl Process {
    /// Starts `ffmpeg` for an attempt.
    ///
    /// Must run on a thread that lives as long as the process shall (see [`die_with_us`]): in async code, not in
    /// `spawn_blocking`.
    pub(super) fn start(
        ffmpeg: &Path,
        attempt: &AttemptSpec,
        equipment: &Equipment,
    ) -> Result<Self, StartError> {
        let (progress, progress_end) = pipe()?;
        let mut pipes = Pipes { progress: progress_end.as_raw_fd(), outputs: Vec::new() };
        let (mut outputs, mut their_ends) = (Vec::new(), vec![progress_end]);
        for output in args::outputs(attempt) {
            let (ours, theirs) = pipe()?;
            pipes.outputs.push((output, theirs.as_raw_fd()));
            outputs.push((output, ours));
            their_ends.push(theirs);
        }
        let mut command = command(ffmpeg, &args::arguments(attempt, equipment, &pipes)?);
        // FFmpeg gets the descriptors under the numbers that they have here, which its arguments name. Giving them new,
        // lower ones could hit the one over which a failed start is reported.
        command.preserved_fds(their_ends);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
        let (input, words) = (child.stdin.take(), child.stderr.take());
        let encoders = equipment.encoders.iter().flatten().cloned().collect();
        Ok(Self { child, input, outputs, progress: Some(progress), words, encoders })
    }

    /// Waits until it has ended by itself, and reaps it. Cancel-safe.
    pub(super) async fn ended(&mut self) -> io::Result<Exit> {
        self.child.wait().await.map(exit)
    }

    /// Ends it if it runs: end of input, SIGTERM, then SIGKILL to its group. It is gone and reaped when this returns.
    pub(super) async fn end(&mut self) {
        // FFmpeg looks for a signal between two reads and two writes: it may not wait in either.
        self.input = None;
        self.outputs.clear();
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(TERMINATION_GRACE, self.child.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
            if let Err(error) = self.child.wait().await {
                tracing::warn!(%error, "FFmpeg could not be reaped");
            }
        }
    }

    /// Its process identifier; `None` once it is reaped.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The identifier is known as long as the process is not reaped, so no stranger's group is meant.
    fn signal(&self, signal: Signal) {
        let Some(id) = self.id().and_then(|id| i32::try_from(id).ok()) else { return };
        if let Err(error) = killpg(Pid::from_raw(id), signal) {
            tracing::debug!(%error, %signal, "FFmpeg's group could not be signalled");
        }
    }
}

/// Runs `ffmpeg` to its end and returns how it ended and what it wrote to its standard output.
///
/// # Errors
/// When it could not be started, or has not ended after `timeout`; it is killed then.
pub(super) async fn answer(
    ffmpeg: &Path,
    arguments: &[String],
    timeout: Duration,
) -> io::Result<(Exit, Vec<u8>)> {
    let mut command = command(ffmpeg, arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(timeout, output).await??;
    Ok((exit(output.status), output.stdout))
}

/// `ffmpeg` with `arguments`, in a process group of its own that dies with us.
#[expect(clippy::disallowed_methods, reason = "this is the one home of FFmpeg's processes")]
fn command(ffmpeg: &Path, arguments: &[String]) -> std::process::Command {
    let mut command = std::process::Command::new(ffmpeg);
    // FFREPORT would make FFmpeg write a file; the other one would colour what diagnosis reads.
    command.args(arguments).env_remove("FFREPORT").env_remove("AV_LOG_FORCE_COLOR").process_group(0);
    // CUDA would count GPUs by their speed, NVML counts them by their place on the bus, and an index must mean one GPU.
    command.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    if std::env::var(VISIBLE_GPUS).is_ok_and(|variable| cuda_indices(&variable).is_some()) {
        command.env_remove(VISIBLE_GPUS);
    }
    die_with_us(&mut command);
    command
}

/// The GPUs that [`VISIBLE_GPUS`] names, if it does so by indices.
pub(super) fn cuda_indices(variable: &str) -> Option<Vec<u32>> {
    variable.split(',').map(|index| index.trim().parse().ok()).collect()
}

/// Has the kernel kill the child when we die, SIGKILL included (`PR_SET_PDEATHSIG`, prctl(2)).
///
/// "Parent" there means the *thread* that forked. Processes are started by tasks, and a task runs on a worker of the
/// runtime or on the thread that drives it, both of which live until the runtime ends; only the threads of
/// `spawn_blocking` end while it runs, which is why [`Process::start`] may not be called there.
#[expect(
    unsafe_code,
    reason = "code between fork and exec: both calls are plain system calls, nothing is allocated"
)]
pub(super) fn die_with_us(command: &mut std::process::Command) {
    let us = getpid();
    // SAFETY: the closure makes two async-signal-safe system calls and builds its errors without allocating.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Signal::SIGKILL)?;
            // If we died between fork and the line above, no signal will come: the child has another parent by now.
            if getppid() == us { Ok(()) } else { Err(io::Error::from_raw_os_error(nix::libc::ESRCH)) }
        });
    }
}

/// A pipe whose reading end is ours, for the runtime, and whose writing end is FFmpeg's. Neither is inherited by chance.
fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((Receiver::from_owned_fd(reader.into())?, writer.into()))
}

fn exit(status: ExitStatus) -> Exit {
    match status.code() {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.signal().unwrap_or_default()),
    }
}
