//! Log output: one line an event, fields after a constant message, on stderr.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// The environment variable that filters the log, as `tracing` directives; `info` without it.
pub const FILTER_VARIABLE: &str = "HEADGATE_LOG";

/// Lines that wait for stderr to take them. Beyond that lines are dropped: a log collector that stalls or dies costs its
/// lines, never a stream.
const MAX_WAITING_LINES: usize = 8192;

/// Writes what is still waiting when it is dropped, for a moment.
#[derive(Debug)]
pub struct Log {
    _writer: WorkerGuard,
}

/// Starts logging to stderr; stdout is left to the `listening:` line and the tables of commands. Writing happens on a
/// thread of its own, behind a bounded queue.
#[must_use]
pub fn start() -> Log {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    let builder = NonBlockingBuilder::default().buffered_lines_limit(MAX_WAITING_LINES).lossy(true);
    let (stderr, writer) = builder.finish(std::io::stderr());
    // A second start is a test's; the first one keeps the log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        // It would complain on stderr that stderr cannot be written, and panic.
        .log_internal_errors(false)
        .with_writer(stderr)
        .try_init();
    Log { _writer: writer }
}

#[cfg(test)]
pub(crate) mod captured;
