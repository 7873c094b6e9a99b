//! `headgate node`: the node role alone.

use std::io::{self, Write as _};

use crate::base::task::Tasks;
use crate::cli::{self, Exit};
use crate::config::{self, Config};
use crate::node::{self, NodeSettings, Trust};

use super::role;

/// Runs the command.
#[must_use]
pub fn run(arguments: &cli::Node) -> Exit {
    let mut config = match cli::load_config(arguments.config.path.as_deref()) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    arguments.apply(&mut config.node);
    let proxy = if arguments.own_proxy { WhoseProxy::Own } else { WhoseProxy::Configured };
    if let (Err(problem), WhoseProxy::Configured) = (config.fleet.check_dial(&config.node.proxy), proxy) {
        // The file alone was found good, so it is the command line's address.
        let _ = writeln!(io::stderr().lock(), "--proxy {}: {problem}", config.node.proxy);
        return Exit::Usage;
    }
    let settings = settings(&config, proxy);
    role::run(|stop| node::run(settings, Tasks::new(), stop))
}

/// Which proxy a node dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhoseProxy {
    /// The one that is configured: a certificate for its address, from one that is trusted, proves it.
    Configured,
    /// The one that `headgate up` runs beside it, from the same configuration: it shows the very certificate that is
    /// configured, whatever names are in that.
    Own,
}

/// What the node role must know, from the whole configuration.
#[must_use]
pub fn settings(config: &Config, whose: WhoseProxy) -> NodeSettings {
    let node = config.node.clone();
    let trust = match whose {
        WhoseProxy::Configured => config.fleet.tls_ca.clone().map(Trust::IssuedBy),
        WhoseProxy::Own => config.fleet.certificate.clone().map(|files| Trust::Exactly(files.cert)),
    };
    NodeSettings {
        name: node.name,
        tags: node.tags,
        slots: node.slots,
        ffmpeg: node.ffmpeg,
        nvml: match node.nvml {
            config::Nvml::Off => None,
            config::Nvml::Library(library) => Some(library),
        },
        proxy: node.proxy.as_str().to_owned(),
        token: config.fleet.token.clone(),
        trust,
        cost_per_hour: node.cost_per_hour,
        watts: node.watts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::System;

    #[test]
    fn a_node_knows_what_was_configured() {
        let text = r#"
            [fleet]
            token = "hunter2"
            allow_plaintext = true
            [node]
            name = "n1"
            tags = ["gpu"]
            slots = 3
            ffmpeg = "/opt/ffmpeg"
            nvml = "/opt/nvml.so"
            proxy = "proxy.example:7070"
            cost_per_hour = 0.35
            watts = 250
        "#;
        let config = Config::parse(text, &System).expect("it is legal");
        let settings = settings(&config, WhoseProxy::Configured);
        assert_eq!((settings.name.as_str(), settings.tags[0].as_str(), settings.slots), ("n1", "gpu", 3));
        assert_eq!(settings.ffmpeg, std::path::Path::new("/opt/ffmpeg"));
        assert_eq!(settings.nvml.as_deref(), Some(std::path::Path::new("/opt/nvml.so")));
        assert_eq!(settings.proxy, "proxy.example:7070");
        assert_eq!((settings.cost_per_hour, settings.watts), (Some(0.35), Some(250.0)));
        assert!(settings.token.is_some_and(|token| token.matches(b"hunter2")));
    }
}
