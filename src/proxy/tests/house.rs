//! A proxy's streams and front door without its HTTP server, on ports of their own, and nodes for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::base::names::{Name, StreamName};
use crate::base::secret::Secret;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::config::{Config, RtmpsListen, System, Tenant};
use crate::hls::View;
use crate::placement::tenancy::snapshot::TenantSnapshot;
use crate::proxy::Tls;
use crate::proxy::api::stats::StreamStats;
use crate::proxy::fleet::tests::fake_node::{FakeNode, Wire};
use crate::proxy::fleet::tests::{TOKEN, soon};
use crate::proxy::fleet::{self, FleetHandle, FleetSettings, FleetSnapshot};
use crate::proxy::ingest::Door;
use crate::proxy::ingest::listener::serve;
use crate::proxy::ingest::meter::Meter;
use crate::proxy::origin::StreamHandle;
use crate::proxy::stream::registry::Registry;
use crate::stream::simulation::transcoder::Transcoder;
use crate::wire::message::AttemptSpec;

/// Everything on any port, short segments, a tenant with a key, and no suspicion: fake nodes send no heartbeats.
const CONFIGURATION: &str = r#"
    [rtmp]
    listen = "127.0.0.1:0"
    [http]
    listen = "127.0.0.1:0"
    [fleet]
    listen = "127.0.0.1:0"
    token = "hunter2"
    suspect_after = "60s"
    [origin]
    segment_duration = "500ms"
    max_segment_duration = "1s"
    window = 3
    [placement]
    learned = "off"
    [tenants.live]
    keys = ["sesame"]
    max_streams = 2
"#;
/// The stream's text with the key that opens it.
pub const DEMO: &str = "demo?key=sesame";

pub fn configuration() -> Config {
    Config::parse(CONFIGURATION, &System).expect("it is legal")
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn stream_name(stream: &str) -> StreamName {
    StreamName { tenant: name("live"), name: name(stream) }
}

/// What runs, and what it listens on.
pub struct House {
    pub rtmp: SocketAddr,
    /// Only where it was configured.
    pub rtmps: Option<SocketAddr>,
    pub fleet_port: SocketAddr,
    pub fleet: FleetHandle,
    pub registry: Registry,
    pub meter: Meter,
    pub tenant: Tenant,
    /// Connections and streams.
    pub doors: Tasks,
    pub stop: CancellationToken,
    pub services: Tasks,
}

impl House {
    /// With `change` made to the configuration.
    pub async fn open(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = configuration();
        change(&mut config);
        let rtmp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let nodes = TcpListener::bind(config.fleet.listen).await.expect("a free port");
        let (rtmp_port, fleet_port) =
            (rtmp.local_addr().expect("it is bound"), nodes.local_addr().expect("it is bound"));
        let (doors, services, stop) = (Tasks::new(), Tasks::new(), CancellationToken::new());
        let settings = FleetSettings {
            token: Some(Secret::new(TOKEN)),
            heartbeat: config.fleet.heartbeat,
            suspect_after: config.fleet.suspect_after,
            proxy_id: "p1".into(),
            tenants: config.tenants.iter().map(|(name, tenant)| (name.clone(), tenant.limits())).collect(),
            tls: None,
            policy: config.placement.policy,
            learned: config.placement.learned.clone(),
        };
        let fleet = fleet::start(nodes, settings, &services, CancellationToken::new());
        let registry = Registry::new(&config, fleet.clone(), doors.clone(), stop.clone());
        let door = Arc::new(Door::new(&config, registry.clone()));
        doors.spawn(serve(rtmp, Arc::clone(&door), None, doors.clone(), stop.clone()));
        let mut rtmps_port = None;
        if let Some(RtmpsListen { address, certificate }) = &config.rtmps.listen {
            let Tls { config, watch } = Tls::load("rtmps", certificate).expect("a good certificate");
            let listener = TcpListener::bind(address).await.expect("a free port");
            rtmps_port = listener.local_addr().ok();
            doors.spawn(serve(listener, Arc::clone(&door), Some(config.into()), doors.clone(), stop.clone()));
            doors.spawn(watch.run(stop.clone()));
        }
        let tenant = config.tenants.get(&name("live")).expect("it is configured").clone();
        let (rtmp, rtmps, meter) = (rtmp_port, rtmps_port, door.meter.clone());
        Self { rtmp, rtmps, fleet_port, fleet, registry, meter, tenant, doors, stop, services }
    }

    /// With a node that transcodes.
    pub async fn with_node(change: impl FnOnce(&mut Config)) -> Self {
        let house = Self::open(change).await;
        let node = FakeNode::join(house.fleet_port, "n1").await;
        house.services.spawn(transcode(node, Tasks::new()));
        house
    }

    /// The stream as players and the API see it, as soon as it is there.
    pub async fn shown(&self, stream: &str) -> StreamHandle {
        let (mut directory, name) = (self.registry.directory(), stream_name(stream));
        let shown = soon(directory.wait_for(|streams| streams.contains_key(&name))).await;
        shown.expect("the registry lives")[&name].clone()
    }

    /// Waits until no stream of that name is shown.
    pub async fn forgotten(&self, stream: &str) {
        let (mut directory, name) = (self.registry.directory(), stream_name(stream));
        soon(directory.wait_for(|streams| !streams.contains_key(&name))).await.expect("the registry lives");
    }

    /// Waits until the tenant has in the fleet what is wanted.
    pub async fn tenant_has(&self, wanted: impl Fn(&TenantSnapshot) -> bool) -> TenantSnapshot {
        let mut fleet = self.fleet.stats();
        let mine = |fleet: &FleetSnapshot| {
            fleet.tenants.iter().find(|tenant| tenant.name.as_str() == "live").cloned()
        };
        let shown = soon(fleet.wait_for(|fleet| mine(fleet).is_some_and(|tenant| wanted(&tenant)))).await;
        mine(&shown.expect("the fleet runs")).expect("it is configured")
    }

    /// Waits until no node has a lease.
    pub async fn all_leases_dropped(&self) {
        let mut fleet = self.fleet.stats();
        let free = |node: &crate::placement::fleet::snapshot::NodeSnapshot| node.leases.is_empty();
        soon(fleet.wait_for(|fleet| fleet.nodes.iter().all(free))).await.expect("the fleet runs");
    }
}

/// The stats of a stream once they are as wanted.
pub async fn stats(
    handle: &mut StreamHandle,
    mut wanted: impl FnMut(&StreamStats) -> bool,
) -> std::sync::Arc<StreamStats> {
    soon(handle.stats.wait_for(|stats| wanted(stats))).await.expect("the last stats are as wanted").clone()
}

/// What players see once it is as wanted.
pub async fn view(handle: &mut StreamHandle, mut wanted: impl FnMut(&View) -> bool) -> std::sync::Arc<View> {
    soon(handle.view.wait_for(|view| wanted(view))).await.expect("the last view is as wanted").clone()
}

/// Runs every lease that the node is offered, until the proxy closes it.
pub async fn transcode(mut node: FakeNode, tasks: Tasks) {
    while let Some(spec) = node.next_lease().await {
        let wire = node.attach(&spec).await;
        tasks.spawn(run(wire, spec.attempt));
    }
}

async fn run(mut wire: Wire, spec: AttemptSpec) {
    let mut transcoder = Transcoder::new(name("n1"), spec);
    while let Some(input) = wire.receive().await {
        for output in transcoder.feed(input) {
            wire.send(&output).await;
        }
    }
}

/// Waits until `done`, looking now and then, for what tells nobody.
pub async fn until(mut done: impl FnMut() -> bool) {
    soon(async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
