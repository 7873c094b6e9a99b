//! `headgate drain NODE` and `headgate undrain NODE`: a node gets no new lease, and one waits until it has none left.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Context;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::api::{Api, ApiError};
use crate::base::clock;
use crate::base::names::Name;
use crate::cli::{self, Drain, Exit, Undrain};

/// How often the node is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What of a node matters here, as the API shows it.
#[derive(Clone, Debug, Deserialize)]
struct Shown {
    state: State,
    /// Its leases; what they are is of no interest.
    leases: Vec<serde::de::IgnoredAny>,
    /// FFmpegs that run there, some of which may be ending.
    leases_reported: usize,
    drained: bool,
}

/// How it stands. What a later version may add is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Alive,
    #[serde(other)]
    Other,
}

/// Runs `headgate drain`.
#[must_use]
pub fn run(arguments: &Drain) -> Exit {
    let Drain { node, api, no_wait, config } = arguments;
    with_api(config, api.as_ref(), async |api| {
        order(&api, Method::POST, node).await?;
        if *no_wait {
            return say(&format!("{node} gets no new leases"));
        }
        wait_until_empty(&api, node, say).await
    })
}

/// Runs `headgate undrain`.
#[must_use]
pub fn run_undrain(arguments: &Undrain) -> Exit {
    let Undrain { node, api, config } = arguments;
    with_api(config, api.as_ref(), async |api| {
        order(&api, Method::DELETE, node).await?;
        say(&format!("{node} gets leases again"))
    })
}

/// Finds the API and runs `command` with it; what goes wrong is told on stderr.
fn with_api<F>(config: &cli::ConfigFile, url: Option<&cli::ApiUrl>, command: F) -> Exit
where
    F: AsyncFnOnce(Api) -> anyhow::Result<()>,
{
    let tell = |problem: &dyn std::fmt::Display| {
        // With its terminal gone there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "{problem}");
    };
    let config = match cli::load_config(config.path.as_deref()) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let api = match Api::new(url.cloned(), &config) {
        Ok(api) => api,
        Err(problem) => {
            tell(&problem);
            return Exit::Usage;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result =
        runtime.context("cannot start the runtime").and_then(|runtime| runtime.block_on(command(api)));
    match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            tell(&format!("{error:#}"));
            Exit::Failed
        }
    }
}

async fn order(api: &Api, method: Method, node: &Name) -> Result<(), ApiError> {
    api.ask(method, &format!("/api/v1/nodes/{node}/drain")).await.map(drop)
}

/// Tells how many leases are left as they go, until there is none. A node that the proxy has forgotten has none either.
///
/// # Errors
/// When the proxy cannot be asked any more, or somebody gives the node leases again.
async fn wait_until_empty(
    api: &Api,
    node: &Name,
    mut say: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // The first answers may be from before the drain: the proxy shows it a moment later.
    let (mut told, mut draining) = (None, false);
    loop {
        let shown: Shown = match api.get(&format!("/api/v1/nodes/{node}")).await {
            Ok(shown) => shown,
            Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => break,
            Err(error) => {
                let holds = format!("{node} stays drained until the proxy starts anew");
                return Err(anyhow::Error::from(error).context(holds));
            }
        };
        if shown.drained {
            break;
        }
        if draining && shown.state == State::Alive {
            anyhow::bail!("{node} was undrained meanwhile");
        }
        draining = shown.state != State::Alive;
        let left = shown.leases.len().max(shown.leases_reported);
        if told != Some(left) {
            told = Some(left);
            say(&format!("{node} has {left} {} left", if left == 1 { "lease" } else { "leases" }))?;
        }
        clock::until(Some(clock::now() + LOOK_INTERVAL)).await;
    }
    say(&format!("{node} is empty"))
}

/// One line on stdout, which scripts may read as it comes.
fn say(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("cannot write to stdout")
}

#[cfg(test)]
mod tests;
