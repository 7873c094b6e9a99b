//! A proxy and the nodes that dial it, each a process of its own, so that one node can be killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::server::Server;
use super::stats::Stats;
use super::wait_for;

/// Until a node carries a stream, or carries it again, on a machine that may be busy with other tests.
const ATTACH_BOUND: Duration = Duration::from_secs(15);

/// A proxy and its nodes, by name.
pub struct Fleet {
    nodes: BTreeMap<String, Server>,
    config: String,
    fleet_address: String,
    /// The proxy's stats.
    pub stats: Stats,
    /// The proxy.
    pub proxy: Server,
}

/// A node that was killed while it carried a stream.
pub struct Killed {
    /// Its name.
    pub node: String,
    /// When.
    pub at: Instant,
    /// Attempts that the stream had had by then.
    pub attempts: u64,
}

impl Fleet {
    /// Starts a proxy and nodes of these names, and waits until all are alive.
    #[track_caller]
    pub fn start(nodes: &[&str], config: &str) -> Self {
        let proxy = Server::start(&["proxy"], config);
        let (fleet_address, stats) = (proxy.address("fleet"), Stats::of(&proxy));
        let mut fleet =
            Self { nodes: BTreeMap::new(), config: config.to_owned(), fleet_address, stats, proxy };
        nodes.iter().for_each(|name| fleet.start_node(name));
        fleet.stats.wait_for_nodes(nodes.len() as u64);
        fleet
    }

    /// Starts a node, and does not wait for it.
    pub fn start_node(&mut self, name: &str) {
        let node = Server::spawn(&["node", "--proxy", &self.fleet_address, "--name", name], &self.config);
        self.nodes.insert(name.to_owned(), node);
    }

    /// Kills the node that carries `stream` with SIGKILL.
    #[track_caller]
    pub fn kill_carrier(&mut self, stream: &str) -> Killed {
        let carried = || Some((self.attempts(stream)?, self.stats.carrier(stream)?));
        let (attempts, name) = wait_for(ATTACH_BOUND, carried).expect("a node carries the stream");
        let node = self.nodes.remove(&name).expect("it is one of ours");
        let at = Instant::now();
        node.kill();
        Killed { node: name, at, attempts }
    }

    /// Waits until `stream` has an attempt that it had not when a node was killed; gives how long it was without one.
    #[track_caller]
    pub fn wait_for_next_attempt(&self, stream: &str, killed: &Killed) -> Duration {
        let next = || self.attempts(stream).filter(|&attempts| attempts > killed.attempts);
        let attached = wait_for(ATTACH_BOUND, next);
        let entry = self.stats.stream(stream);
        assert!(attached.is_some(), "{} was killed and no new attempt began: {entry:?}", killed.node);
        killed.at.elapsed()
    }

    /// Ends the proxy and the nodes that are left, and fails unless all end well.
    #[track_caller]
    pub fn stop(self) {
        self.nodes.into_values().for_each(Server::stop);
        self.proxy.stop();
    }

    /// How many attempts the stream has had, if it is carried now.
    fn attempts(&self, stream: &str) -> Option<u64> {
        let entry = self.stats.stream(stream)?;
        entry["node"].as_str()?;
        entry["attempts"].as_u64()
    }
}
