//! Log output: one line an event, fields after a constant message, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The environment variable that filters the log, as `tracing` directives; `info` without it.
pub const FILTER_VARIABLE: &str = "HEADGATE_LOG";

/// Starts logging to stderr; stdout is left to the `listening:` line and the tables of commands.
pub fn start() {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    // A second start is a test's; the first one keeps the log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(std::io::stderr)
        .try_init();
}
