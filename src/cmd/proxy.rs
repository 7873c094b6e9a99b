//! `headgate proxy`: the proxy role alone.

use crate::base::shutdown::CancellationToken;
use crate::cli::{self, ConfigFile, Exit};
use crate::config::Config;
use crate::proxy::Proxy;

use super::role;

/// Runs the command.
#[must_use]
pub fn run(file: &ConfigFile) -> Exit {
    match cli::load_config(file.path.as_deref()) {
        Ok(config) => role::run(|stop| serve(config, stop)),
        Err(exit) => exit,
    }
}

async fn serve(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let proxy = Proxy::bind(config).await?;
    role::announce(&proxy.listening()?)?;
    proxy.run(stop).await
}
