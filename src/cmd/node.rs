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
    let config::NodeSettings { name, tags, slots, ffmpeg, proxy } = config.node.clone();
    let token: Option<Secret> = config.fleet.token.clone();
    NodeSettings { name, tags, slots, ffmpeg, proxy: proxy.as_str().to_owned(), token }
}
