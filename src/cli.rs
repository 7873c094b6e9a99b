//! The command line: its words, its exit codes, and the loading of the configuration that every command begins with.

pub mod api_url;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use self::api_url::ApiUrl;
use crate::base::names::Name;
use crate::config::{Config, NodeSettings, ProxyAddress};

/// The most child processes that `headgate up` starts as nodes.
const MAX_NODES: i64 = 64;

/// How the process ends. The numbers are fixed: scripts read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or stopped as asked.
    Done,
    /// Failed while running.
    Failed,
    /// Bad arguments or configuration, before any port is bound (`EX_USAGE` of BSD's `sysexits.h`).
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 64,
        })
    }
}

/// Live-ingest media proxy and FFmpeg load balancer.
#[derive(Debug, Parser, PartialEq)]
#[command(name = "headgate", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Run proxy and node in one process
    Up(Up),
    /// Run the proxy
    Proxy(ConfigFile),
    /// Run a node
    Node(Node),
    /// Validate the configuration and print what would run
    Check(ConfigFile),
    /// Give a node no new streams, and wait until it has none
    Drain(Drain),
    /// Give a drained node streams again
    Undrain(Undrain),
}

/// Where the configuration is.
#[derive(Args, Debug, PartialEq)]
pub struct ConfigFile {
    /// Configuration file; ./config.toml if it is there
    #[arg(long = "config", value_name = "FILE")]
    pub path: Option<PathBuf>,
}

/// Arguments of `headgate up`.
#[derive(Args, Debug, PartialEq)]
pub struct Up {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Number of nodes; more than one run as child processes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MAX_NODES))]
    pub nodes: u32,
}

/// Arguments of `headgate node`, which go before the configuration's.
#[derive(Args, Debug, PartialEq)]
pub struct Node {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The proxy's fleet port
    #[arg(long, value_name = "HOST:PORT")]
    pub proxy: Option<ProxyAddress>,
    /// Name of this node, unique in the fleet
    #[arg(long)]
    pub name: Option<Name>,
    /// A tag for placement, besides the configured ones; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<Name>,
    /// Set by `headgate up` for its child processes: the proxy is that of the same configuration, on this machine
    #[arg(long, hide = true)]
    pub own_proxy: bool,
}

/// Arguments of `headgate drain`.
#[derive(Args, Debug, PartialEq)]
pub struct Drain {
    /// The node's name
    pub node: Name,
    /// The proxy's API; where http.listen is if not given
    #[arg(long, value_name = "URL")]
    pub api: Option<ApiUrl>,
    /// Do not wait until the node is empty
    #[arg(long)]
    pub no_wait: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `headgate undrain`.
#[derive(Args, Debug, PartialEq)]
pub struct Undrain {
    /// The node's name
    pub node: Name,
    /// The proxy's API; where http.listen is if not given
    #[arg(long, value_name = "URL")]
    pub api: Option<ApiUrl>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
}

impl Node {
    /// Puts what the command line says over what the configuration says. Tags are added.
    pub fn apply(&self, settings: &mut NodeSettings) {
        if let Some(proxy) = &self.proxy {
            settings.proxy = proxy.clone();
        }
        if let Some(name) = &self.name {
            settings.name = name.clone();
        }
        settings.tags.extend(self.tags.iter().cloned());
    }
}

/// Understands this process's arguments. Help, the version and errors are printed here.
///
/// # Errors
/// How to end: [`Exit::Done`] after help or version, else [`Exit::Usage`].
pub fn parse() -> Result<Cli, Exit> {
    parse_from(std::env::args_os()).map_err(|error| {
        // With its terminal gone there is nobody left to tell.
        let _ = error.print();
        exit_for(&error)
    })
}

fn parse_from(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// clap itself would exit with 2.
fn exit_for(error: &clap::Error) -> Exit {
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// Loads the configuration; what is wrong with it is told on stderr, one line a fault.
///
/// # Errors
/// [`Exit::Usage`], with which to end.
pub fn load_config(path: Option<&Path>) -> Result<Config, Exit> {
    Config::load(path).map_err(|errors| {
        // With its terminal gone there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "{errors}");
        Exit::Usage
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse_from(line.split(' ').map(OsString::from))
    }

    fn check(line: &str, expected: Command) {
        let cli = parsed(line).expect("the line is legal");
        assert_eq!(cli.command, expected, "{line}");
    }

    fn check_end(line: &str, expected: Exit) {
        let error = parsed(line).expect_err("the line ends the process");
        assert_eq!(exit_for(&error), expected, "{line}: {error}");
    }

    fn file(path: &str) -> ConfigFile {
        ConfigFile { path: Some(path.into()) }
    }

    #[test]
    fn the_definition_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn every_command_has_its_arguments() {
        let none = || ConfigFile { path: None };
        check("headgate up", Command::Up(Up { config: none(), nodes: 1 }));
        check("headgate up --config a.toml --nodes 3", Command::Up(Up { config: file("a.toml"), nodes: 3 }));
        check("headgate proxy --config a.toml", Command::Proxy(file("a.toml")));
        check("headgate check", Command::Check(none()));
        let tags = ["gpu", "rack-1"].map(|tag| tag.parse().expect("it is a name"));
        let node = Node {
            config: none(),
            proxy: Some("proxy.example:7070".parse().expect("it is an address")),
            name: Some("n1".parse().expect("it is a name")),
            tags: tags.to_vec(),
            own_proxy: false,
        };
        check(
            "headgate node --proxy proxy.example:7070 --name n1 --tag gpu --tag rack-1",
            Command::Node(node),
        );
    }

    #[test]
    fn a_node_is_drained_by_its_name() {
        let (node, config) = (|| "n1".parse().expect("it is a name"), || ConfigFile { path: None });
        check(
            "headgate drain n1",
            Command::Drain(Drain { node: node(), api: None, no_wait: false, config: config() }),
        );
        let api: ApiUrl = "http://proxy:8080".parse().expect("it is an address");
        let drain = Drain { node: node(), api: Some(api.clone()), no_wait: true, config: file("a.toml") };
        check("headgate drain n1 --api http://proxy:8080 --no-wait --config a.toml", Command::Drain(drain));
        let undrain = Undrain { node: node(), api: Some(api), config: config() };
        check("headgate undrain --api http://proxy:8080 n1", Command::Undrain(undrain));
        check_end("headgate drain", Exit::Usage);
        check_end("headgate drain a/b", Exit::Usage);
        check_end("headgate drain n1 n2", Exit::Usage);
        check_end("headgate drain n1 --api https://proxy", Exit::Usage);
        check_end("headgate undrain n1 --no-wait", Exit::Usage);
    }

    #[test]
    fn wrong_arguments_end_with_64_and_help_with_0() {
        check_end("headgate", Exit::Usage);
        check_end("headgate fly", Exit::Usage);
        check_end("headgate up --nodes 0", Exit::Usage);
        check_end("headgate up --nodes 65", Exit::Usage);
        check_end("headgate proxy --name x", Exit::Usage);
        check_end("headgate node --name a/b", Exit::Usage);
        check_end("headgate node --proxy nowhere", Exit::Usage);
        check_end("headgate --help", Exit::Done);
        check_end("headgate up --help", Exit::Done);
        check_end("headgate --version", Exit::Done);
        assert_eq!(ExitCode::from(Exit::Usage), ExitCode::from(64));
    }

    #[test]
    fn the_command_line_goes_before_the_configuration() {
        let Command::Node(node) = parsed("headgate node --name n1 --tag b").expect("it is legal").command
        else {
            panic!("another command than was written");
        };
        let mut settings =
            NodeSettings { tags: vec!["a".parse().expect("it is a name")], ..Default::default() };
        let proxy = settings.proxy.clone();
        node.apply(&mut settings);
        assert_eq!(settings.name.as_str(), "n1");
        assert_eq!(settings.proxy, proxy);
        assert_eq!(settings.tags.iter().map(Name::as_str).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_file_that_was_named_must_exist() {
        assert_eq!(load_config(Some(Path::new("/no/such/file.toml"))).err(), Some(Exit::Usage));
    }
}
