//! `headgate up`: proxy and nodes on one machine. One node runs in this process; more than one are child processes, so
//! that one can be killed and the streams are seen to go on. They meet the proxy over the same link as any node.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};
use tracing::{error, info, warn};

use crate::base::clock;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::cli::{self, Exit, Up};
use crate::config::Config;
use crate::node;
use crate::proxy::{Listening, Proxy};

use super::node::WhoseProxy;
use super::role;

/// Before a node that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// How long a node has to stop by itself.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Runs the command.
#[must_use]
pub fn run(arguments: &Up) -> Exit {
    let path = arguments.config.path.clone();
    match cli::load_config(path.as_deref()) {
        Ok(config) => role::run(|stop| serve(config, path, arguments.nodes, stop)),
        Err(exit) => exit,
    }
}

async fn serve(
    config: Config,
    path: Option<PathBuf>,
    nodes: u32,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // An FFmpeg that cannot be used is told before anything listens.
    let mut settings = super::node::settings(&config, WhoseProxy::Own);
    node::check(&settings.ffmpeg).await?;
    let proxy = Proxy::bind(config).await?;
    let listening = proxy.listening()?;
    settings.proxy = listening.fleet.to_string();
    // Nodes stop after the proxy: it still needs them to put out what its streams have.
    let nodes_stop = CancellationToken::new();
    let tasks = Tasks::new();
    if nodes == 1 {
        tasks.spawn(run_node(settings, nodes_stop.clone(), stop.clone()));
    } else {
        for number in 1..=nodes {
            let child = NodeProcess::new(path.as_deref(), &settings.name, number, &listening)?;
            tasks.spawn(child.run(nodes_stop.clone()));
        }
    }
    role::announce(&listening)?;
    let result = proxy.run(stop).await;
    nodes_stop.cancel();
    tasks.finish().await;
    result
}

/// Runs the one node in this process. Without it the proxy is of no use: if it fails, everything stops.
async fn run_node(settings: node::NodeSettings, nodes_stop: CancellationToken, stop: CancellationToken) {
    if let Err(error) = node::run(settings, Tasks::new(), nodes_stop).await {
        error!(error = format!("{error:#}"), "node failed");
        stop.cancel();
    }
}

/// A node as a child process, started again when it ends.
struct NodeProcess {
    program: PathBuf,
    arguments: Vec<String>,
    name: String,
}

impl NodeProcess {
    fn new(
        config: Option<&Path>,
        base: &crate::base::names::Name,
        number: u32,
        listening: &Listening,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program again")?;
        let name = format!("{base}-{number}");
        let mut arguments: Vec<String> =
            ["node", "--own-proxy", "--proxy", &listening.fleet.to_string(), "--name", &name]
                .map(str::to_owned)
                .to_vec();
        if let Some(config) = config {
            arguments.extend(["--config".to_owned(), config.to_string_lossy().into_owned()]);
        }
        Ok(Self { program, arguments, name })
    }

    async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.start() {
                Ok(mut child) => {
                    info!(node = self.name, pid = child.id(), "node process started");
                    if stop.run_until_cancelled(child.wait()).await.is_none() {
                        return end(child).await;
                    }
                    warn!(node = self.name, "node process ended, it is started again");
                }
                Err(error) => warn!(node = self.name, %error, "node process cannot be started"),
            }
            stop.run_until_cancelled(clock::until(Some(clock::now() + RESTART_PAUSE))).await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts nodes as child processes")]
    fn start(&self) -> std::io::Result<Child> {
        let mut command = std::process::Command::new(&self.program);
        // A terminal's Ctrl-C is for the parent, which stops its nodes when the streams are done.
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        node::die_with_us(&mut command);
        Command::from(command).kill_on_drop(true).spawn()
    }
}

/// Asks a node to stop, and makes it.
async fn end(mut child: Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
    }
    if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests;
