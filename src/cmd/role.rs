//! Running until a signal: the runtime, the log, the `listening:` line, and the order to stop.

use std::future::Future;
use std::io::Write;

use anyhow::Context;
use tracing::{error, info};

use crate::base::shutdown::{CancellationToken, signalled};
use crate::cli::Exit;
use crate::proxy::Listening;

/// Runs `role` on a runtime of its own until it ends or a signal comes; a second signal ends the process at once.
pub fn run<F, R>(role: F) -> Exit
where
    F: FnOnce(CancellationToken) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let _log = crate::base::log::start();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(until_signalled(role)));
    match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            error!(error = format!("{error:#}"), "headgate failed");
            Exit::Failed
        }
    }
}

async fn until_signalled<F, R>(role: F) -> anyhow::Result<()>
where
    F: FnOnce(CancellationToken) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let stop = CancellationToken::new();
    let role = role(stop.clone());
    tokio::pin!(role);
    tokio::select! {
        result = &mut role => return result,
        signal = signalled() => info!(signal = signal.context("cannot wait for signals")?, "stopping"),
    }
    stop.cancel();
    tokio::select! {
        result = &mut role => result,
        signal = signalled() => {
            info!(signal = signal.context("cannot wait for signals")?, "stopping at once");
            Ok(())
        }
    }
}

/// Tells on stdout what was bound, in one line that scripts read.
///
/// # Errors
/// When stdout is closed.
pub fn announce(listening: &Listening) -> anyhow::Result<()> {
    let ports = serde_json::to_string(listening).context("addresses are always JSON")?;
    info!(version = env!("CARGO_PKG_VERSION"), %ports, "listening");
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening: {ports}").and_then(|()| stdout.flush()).context("cannot write to stdout")
}

#[cfg(test)]
mod tests;
