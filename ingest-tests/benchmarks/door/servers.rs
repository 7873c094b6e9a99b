//! The servers that are compared, each alone on core 0.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::harness::server::Server;
use super::harness::stats::Stats;
use super::harness::{folder, wait_for, write};
use super::measure::use_core;
use super::sink::Sink;

/// Debian's place for the module (libnginx-mod-rtmp).
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
const START_BOUND: Duration = Duration::from_secs(10);
const TOKEN: &str = "fleet-token-of-the-benchmark";

/// A server and what can be asked of it.
pub trait UnderTest {
    fn name(&self) -> &'static str;
    fn pid(&self) -> u32;
    /// Where to publish.
    fn rtmp(&self) -> SocketAddr;
    /// Bytes in all GOP logs; fails unless `publishers` are live and all of them get through.
    fn log_bytes(&self, publishers: usize) -> u64;
}

/// The proxy, and perhaps a sink for a node.
pub struct Headgate {
    server: Server,
    stats: Stats,
    sink: Option<Sink>,
}

impl Headgate {
    pub fn without_node() -> Self {
        use_core(0);
        let server = Server::start(&["proxy"], &config());
        use_core(1);
        let stats = Stats::of(&server);
        Self { server, stats, sink: None }
    }

    pub fn with_node() -> Self {
        let headgate = Self::without_node();
        let sink = Sink::start(headgate.server.address("fleet").parse().expect("an address"), TOKEN);
        headgate.stats.wait_for_nodes(1);
        Self { sink: Some(sink), ..headgate }
    }
}

/// The smallest log that holds the GOP being written, the one being committed and the warm-up's.
fn config() -> String {
    let mut config = String::new();
    for (section, lines) in [
        ("http", "listen = \"127.0.0.1:0\"".to_owned()),
        ("rtmp", "listen = \"127.0.0.1:0\"\nmax_connections_per_address = 1000".to_owned()),
        ("fleet", format!("listen = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"")),
        ("gop_log", "max_duration = \"8s\"".to_owned()),
        ("tenants.live", "max_streams = 1000\nprofile = \"one\"".to_owned()),
        (
            "profiles.one",
            "renditions = [{ name = \"a\", height = 360, video_bitrate = \"800k\" }]".to_owned(),
        ),
    ] {
        writeln!(config, "[{section}]\n{lines}\n").expect("a String takes all");
    }
    config
}

impl UnderTest for Headgate {
    fn name(&self) -> &'static str {
        if self.sink.is_some() { "headgate" } else { "no node" }
    }

    fn pid(&self) -> u32 {
        self.server.pid().cast_unsigned()
    }

    fn rtmp(&self) -> SocketAddr {
        self.server.address("rtmp").parse().expect("an address")
    }

    fn log_bytes(&self, publishers: usize) -> u64 {
        let stats = self.stats.read().expect("the API answers");
        let streams = stats["streams"].as_array().expect("a list");
        let sum = |field: &str| -> u64 {
            streams.iter().filter_map(|stream| stream.pointer(field)?.as_u64()).sum()
        };
        let with = |field: &str, least: u64| {
            streams
                .iter()
                .filter(|stream| stream.pointer(field).and_then(Value::as_u64) >= Some(least))
                .count()
        };
        assert_eq!(with("/source/frames", 1), publishers, "all publish:\n{}", self.server.stderr.text());
        if self.sink.is_some() {
            assert_eq!(with("/committed/fragments", 1), publishers, "the node answers for all streams");
            println!("headgate: {} frames committed, {} lost", sum("/committed/frames"), sum("/frames_lost"));
        }
        sum("/gop_log/bytes")
    }
}

/// nginx with its RTMP module: one process that receives and drops.
pub struct Nginx {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// `None` where it is not installed.
    pub fn start() -> Option<Self> {
        if !Path::new(MODULE).exists() {
            println!("nginx with its RTMP module is not installed; run: ingest-tests/install-peers bench");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .expect("a free port")
            .port();
        let folder = folder();
        let file = write(folder.path(), "nginx.conf", &nginx_config(port, folder.path()));
        use_core(0);
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(file).arg("-p").arg(folder.path()).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("nginx is installed with its module");
        use_core(1);
        let nginx = Self { child, port, _folder: folder };
        let listens = wait_for(START_BOUND, || TcpStream::connect(nginx.rtmp()).ok());
        assert!(listens.is_some(), "nginx does not listen");
        Some(nginx)
    }
}

fn nginx_config(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "load_module {MODULE};
        daemon off; master_process off; worker_processes 1;
        pid {folder}/nginx.pid; error_log /dev/null crit;
        events {{ worker_connections 1024; }}
        rtmp {{
            access_log off;
            server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }}
        }}"
    )
}

impl UnderTest for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn rtmp(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn log_bytes(&self, _publishers: usize) -> u64 {
        0
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
