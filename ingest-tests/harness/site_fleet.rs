//! A proxy and nodes on hosts of their own, with TLS between them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::certificate::Certificate;
use super::clip::Clip;
use super::ffmpeg::Ffmpeg;
use super::host::{Burner, Host, Site};
use super::http::Client;
use super::publisher::{Publisher, Repeat};
use super::server::{FLEET_TOKEN, Server, config_with};
use super::stats::Stats;
use super::{folder, wait_for};

/// What nodes present.
pub const TOKEN: &str = FLEET_TOKEN;
/// Until a stream is carried.
const ATTACH_BOUND: Duration = Duration::from_secs(20);
/// What a host may use of the processor: with one core each, a stream of the tests is a small part of it.
const CORES: f64 = 1.0;

/// A node to be started.
#[derive(Clone)]
pub struct NodeSpec {
    name: String,
    tags: Vec<String>,
    ffmpeg: PathBuf,
}

impl NodeSpec {
    /// One with Debian's FFmpeg and no tags.
    pub fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), tags: Vec::new(), ffmpeg: Ffmpeg::Debian.path() }
    }

    pub fn with_ffmpeg(self, ffmpeg: &Path) -> Self {
        Self { ffmpeg: ffmpeg.to_owned(), ..self }
    }

    pub fn tagged(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }
}

/// The fleet. Nodes end before their hosts.
pub struct SiteFleet {
    nodes: BTreeMap<String, Server>,
    hosts: BTreeMap<String, Host>,
    proxy: Option<Server>,
    sections: Vec<(String, String)>,
    /// Where nodes dial; the same after a restart.
    fleet_address: String,
    site: Site,
    clip: Clip,
    specs: BTreeMap<String, NodeSpec>,
    spare: RefCell<Vec<Host>>,
    _files: TempDir,
    certificate: Certificate,
}

impl SiteFleet {
    /// Starts a proxy with these sections and a host for each node, and waits until all are alive.
    #[track_caller]
    pub fn start(nodes: &[NodeSpec], sections: &[(&str, &str)]) -> Self {
        Self::start_with(nodes, sections, 4)
    }

    /// The same, with a clip of so many GOPs to publish.
    #[track_caller]
    pub fn start_with(nodes: &[NodeSpec], sections: &[(&str, &str)], gops: usize) -> Self {
        Self::start_on(nodes, sections, |folder| Clip::beginning(gops, folder), CORES)
    }

    /// The same, with hosts that may use so many cores.
    #[track_caller]
    pub fn start_on(
        nodes: &[NodeSpec],
        sections: &[(&str, &str)],
        clip: impl FnOnce(&Path) -> Clip,
        cores: f64,
    ) -> Self {
        let (site, files) = (Site::new(), folder());
        let certificate = Certificate::make_for(files.path(), site.address);
        let clip = clip(files.path());
        let sections = sections.iter().map(|&(name, lines)| (name.to_owned(), lines.to_owned())).collect();
        let fleet_address = format!("{}:0", site.address);
        let (hosts, spare) = (BTreeMap::new(), RefCell::default());
        let mut fleet = Self {
            nodes: BTreeMap::new(),
            hosts,
            proxy: None,
            sections,
            fleet_address,
            site,
            clip,
            specs: BTreeMap::new(),
            spare,
            _files: files,
            certificate,
        };
        let proxy = Server::start(&["proxy"], &fleet.config(&Ffmpeg::Debian.path()));
        fleet.fleet_address = proxy.address("fleet");
        fleet.proxy = Some(proxy);
        for spec in nodes {
            fleet.hosts.insert(spec.name.clone(), fleet.site.host(cores));
            fleet.specs.insert(spec.name.clone(), spec.clone());
            fleet.start_node(&spec.name);
        }
        fleet.stats().wait_for_nodes(nodes.len() as u64);
        fleet
    }

    /// Starts a node of the fleet on its host, and does not wait for it.
    pub fn start_node(&mut self, name: &str) {
        let spec = self.specs[name].clone();
        let config = self.config(&spec.ffmpeg);
        let node = Server::spawn_on(&self.hosts[name], &self.arguments(&spec), &config);
        self.nodes.insert(name.to_owned(), node);
    }

    /// Kills a node with SIGKILL.
    #[track_caller]
    pub fn kill_node(&mut self, name: &str) {
        self.nodes.remove(name).expect("it runs").kill();
    }

    /// The process of a node that runs.
    pub fn pid(&self, name: &str) -> i32 {
        self.nodes[name].pid()
    }

    /// The host of a node.
    pub fn host(&self, name: &str) -> &Host {
        &self.hosts[name]
    }

    /// What hosts reach the proxy by.
    pub fn address(&self) -> std::net::Ipv4Addr {
        self.site.address
    }

    /// What is published.
    pub fn clip(&self) -> &Clip {
        &self.clip
    }

    /// Publishes the clip once, or a part of it.
    pub fn publish_once(&self, stream: &str, clip: &Path) -> Publisher {
        Publisher::start(Ffmpeg::Debian, clip, &self.proxy().publish_url(stream), Repeat::Once)
    }

    /// Where players find a stream.
    pub fn play_url(&self, stream: &str) -> String {
        self.proxy().play_url(stream)
    }

    fn config(&self, ffmpeg: &Path) -> String {
        let Certificate { cert, key } = &self.certificate;
        let tls = format!("tls_cert = {cert:?}\ntls_key = {key:?}\ntls_ca = {cert:?}");
        let mut more = vec![("fleet", tls.as_str())];
        more.extend(self.sections.iter().map(|(name, lines)| (name.as_str(), lines.as_str())));
        let listen = format!("listen = \"{}\"\ntoken", self.fleet_address);
        config_with(&more, ffmpeg).replace("listen = \"127.0.0.1:0\"\ntoken", &listen)
    }

    fn arguments<'a>(&'a self, spec: &'a NodeSpec) -> Vec<&'a str> {
        let mut arguments = vec!["node", "--proxy", &self.fleet_address, "--name", &spec.name];
        arguments.extend(spec.tags.iter().flat_map(|tag| ["--tag", tag.as_str()]));
        arguments
    }

    /// Starts one more node, on a host of its own, with something else in its configuration; it is the caller's.
    pub fn spawn_node(&self, spec: &NodeSpec, (from, to): (&str, &str)) -> Server {
        let host = self.site.host(CORES);
        let config = self.config(&spec.ffmpeg);
        let config = if from.is_empty() { config } else { config.replace(from, to) };
        let node = Server::spawn_on(&host, &self.arguments(spec), &config);
        self.spare.borrow_mut().push(host);
        node
    }

    /// `headgate WORDS --api ...`.
    pub fn headgate(&self, words: &[&str]) -> Server {
        let api = self.proxy().http_url("");
        let words: Vec<&str> = words.iter().copied().chain(["--api", api.as_str()]).collect();
        Server::spawn(&words, "")
    }

    /// The path of the certificate that nodes trust.
    pub fn certificate(&self) -> String {
        self.certificate.cert.display().to_string()
    }

    /// Publishes a small clip for ever.
    pub fn publish(&self, stream: &str) -> Publisher {
        Publisher::start(Ffmpeg::Debian, &self.clip.path, &self.proxy().publish_url(stream), Repeat::Forever)
    }

    /// Waits until a node carries the stream, and gives its name.
    #[track_caller]
    pub fn carrier(&self, stream: &str) -> String {
        let stats = self.stats();
        let committed = || (stats.stream(stream)?["committed"]["frames"].as_u64()? > 0).then_some(());
        let carried = wait_for(ATTACH_BOUND, || committed().and_then(|()| stats.carrier(stream)));
        carried.unwrap_or_else(|| panic!("nobody carries {stream}: {:?}", stats.stream(stream)))
    }

    /// What stats say of a node.
    pub fn node(&self, name: &str) -> Option<Value> {
        self.stats().read()?["nodes"].as_array()?.iter().find(|node| node["name"] == name).cloned()
    }

    /// The answer of the API to GET.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let answer = Client::new().get(&self.proxy().http_url(path)).expect("the proxy answers");
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    pub fn stats(&self) -> Stats {
        Stats::of(self.proxy())
    }

    pub fn proxy_log(&self) -> String {
        self.proxy().stderr.text()
    }

    /// Whether one host can be busy while the others are not.
    pub fn hosts_have_shares(&self) -> bool {
        self.hosts.values().all(Host::has_share)
    }

    /// Uses a core of the node's host.
    pub fn burn(&self, node: &str) -> Burner {
        self.hosts[node].burn()
    }

    /// Cuts the host's cable; `false` where it has none.
    pub fn cut(&self, node: &str) -> bool {
        self.hosts[node].is_apart() && self.hosts[node].cut()
    }

    /// Mends it.
    pub fn mend(&self, node: &str) {
        assert!(self.hosts[node].mend(self.site.address), "our own cable");
    }

    /// Ends the proxy as a service manager does, and starts it again on the same fleet port.
    pub fn restart_proxy(&mut self) {
        self.proxy.take().expect("it runs").stop();
        self.proxy = Some(Server::start(&["proxy"], &self.config(&Ffmpeg::Debian.path())));
    }

    /// Ends all, and fails unless all end well.
    #[track_caller]
    pub fn stop(mut self) {
        std::mem::take(&mut self.nodes).into_values().for_each(Server::stop);
        self.proxy.take().expect("it runs").stop();
    }

    fn proxy(&self) -> &Server {
        self.proxy.as_ref().expect("it runs")
    }
}
