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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_ends_it_before_anything_runs() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut config = Config::default();
        config.rtmp.listen = Some(taken.local_addr().expect("it is bound"));
        let error = serve(config, CancellationToken::new()).await.expect_err("it is taken");
        assert!(error.to_string().contains("[rtmp] listen"), "{error}");
    }
}
