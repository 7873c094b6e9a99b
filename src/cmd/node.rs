//! `headgate node`: the node role alone.

use crate::base::secret::Secret;
use crate::base::task::Tasks;
use crate::cli::{self, Exit};
use crate::config::{self, Config};
use crate::node::{self, NodeSettings};

use super::role;

/// Runs the command.
#[must_use]
pub fn run(arguments: &cli::Node) -> Exit {
    match cli::load_config(arguments.config.path.as_deref()) {
        Ok(mut config) => {
            arguments.apply(&mut config.node);
            let settings = settings(&config);
            role::run(|stop| node::run(settings, Tasks::new(), stop))
        }
        Err(exit) => exit,
    }
}

/// What the node role must know, from the whole configuration.
#[must_use]
pub fn settings(config: &Config) -> NodeSettings {
    let config::NodeSettings { name, tags, slots, ffmpeg, nvml, proxy } = config.node.clone();
    let nvml = match nvml {
        config::Nvml::Off => None,
        config::Nvml::Library(library) => Some(library),
    };
    let token: Option<Secret> = config.fleet.token.clone();
    NodeSettings { name, tags, slots, ffmpeg, nvml, proxy: proxy.as_str().to_owned(), token }
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
            [node]
            name = "n1"
            tags = ["gpu"]
            slots = 3
            ffmpeg = "/opt/ffmpeg"
            nvml = "/opt/nvml.so"
            proxy = "proxy.example:7070"
        "#;
        let settings = settings(&Config::parse(text, &System).expect("it is legal"));
        assert_eq!((settings.name.as_str(), settings.tags[0].as_str(), settings.slots), ("n1", "gpu", 3));
        assert_eq!(settings.ffmpeg, std::path::Path::new("/opt/ffmpeg"));
        assert_eq!(settings.nvml.as_deref(), Some(std::path::Path::new("/opt/nvml.so")));
        assert_eq!(settings.proxy, "proxy.example:7070");
        assert!(settings.token.is_some_and(|token| token.matches(b"hunter2")));
    }
}
