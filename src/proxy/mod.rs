//! The proxy role: the front doors, the streams, the fleet link and the HTTP server, composed here.
//!
//! * [`ingest`]: publishers come in.
//! * [`stream`]: a task for each stream, and the registry of them.
//! * [`fleet`]: nodes dial in, leases go out.
//! * [`origin`]: players read.
//! * [`api`]: operators read.
//! * [`tls`]: the certificates of ports.

pub mod api;
pub mod fleet;
pub mod ingest;
pub mod origin;
pub mod stream;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::base::clock;
use crate::base::descriptors;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::config::{CertificateFiles, Config, RtmpsListen};

use api::ApiState;
use api::guard::Guard;
use fleet::FleetSettings;
use ingest::{Door, listener};
use stream::registry::Registry;
use tls::{Certificate, Watch};

/// How long HTTP and nodes are still served after publishers were told to stop: streams put out what they have.
const DRAIN: Duration = Duration::from_secs(7);

/// How long players are served after the last stream has ended.
const LINGER: Duration = Duration::from_secs(3);

/// Descriptors for nodes, players and ourselves.
const OTHER_DESCRIPTORS: u64 = 256;

/// A proxy with all its ports bound, so that a port in use is known before anything runs.
#[derive(Debug)]
pub struct Proxy {
    config: Config,
    rtmp: Option<TcpListener>,
    rtmps: Option<(TcpListener, Tls)>,
    http: TcpListener,
    fleet: TcpListener,
    /// Where the fleet's port speaks TLS.
    fleet_tls: Option<Tls>,
}

/// What a port needs to speak TLS.
#[derive(Debug)]
struct Tls {
    config: Arc<ServerConfig>,
    watch: Watch,
}

/// What a proxy listens on.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Listening {
    /// RTMP; absent when it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtmp: Option<SocketAddr>,
    /// RTMPS; absent when it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtmps: Option<SocketAddr>,
    /// HTTP: API and HLS.
    pub http: SocketAddr,
    /// Nodes.
    pub fleet: SocketAddr,
}

async fn bind(what: &'static str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} ([{what}] listen)"))
}

impl Proxy {
    /// Binds all ports.
    ///
    /// # Errors
    /// When one cannot be bound; the message names it. When the certificate is not what it was when it was checked.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        make_room(config.rtmp.max_connections);
        let rtmp = match config.rtmp.listen {
            Some(address) => Some(bind("rtmp", address).await?),
            None => None,
        };
        let rtmps = match &config.rtmps.listen {
            Some(RtmpsListen { address, certificate }) => {
                let tls = Tls::load("rtmps", certificate)?;
                Some((bind("rtmps", *address).await?, tls))
            }
            None => None,
        };
        let fleet_tls =
            config.fleet.certificate.as_ref().map(|files| Tls::load("fleet", files)).transpose()?;
        let http = bind("http", config.http.listen).await?;
        let fleet = bind("fleet", config.fleet.listen).await?;
        Ok(Self { config, rtmp, rtmps, http, fleet, fleet_tls })
    }

    /// What was bound.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn listening(&self) -> anyhow::Result<Listening> {
        let address = |listener: &TcpListener| listener.local_addr();
        Ok(Listening {
            rtmp: self.rtmp.as_ref().map(address).transpose()?,
            rtmps: self.rtmps.as_ref().map(|(listener, _)| address(listener)).transpose()?,
            http: address(&self.http)?,
            fleet: address(&self.fleet)?,
        })
    }

    /// Runs until `stop`, then lets the streams finish what they have before nodes and players are let go.
    ///
    /// # Errors
    /// When the system gives no random bytes or no address.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let proxy_id = random_id()?;
        let http_address = self.http.local_addr()?;
        let (doors, services) = (Tasks::new(), Tasks::new());
        let late_stop = CancellationToken::new();
        let settings = FleetSettings {
            token: self.config.fleet.token.clone(),
            heartbeat: self.config.fleet.heartbeat,
            suspect_after: self.config.fleet.suspect_after,
            proxy_id: proxy_id.clone(),
            tenants: self
                .config
                .tenants
                .iter()
                .map(|(name, tenant)| (name.clone(), tenant.limits()))
                .collect(),
            tls: self.fleet_tls.as_ref().map(|tls| Arc::clone(&tls.config)),
            policy: self.config.placement.policy,
            learned: self.config.placement.learned.clone(),
        };
        if let Some(Tls { watch, .. }) = self.fleet_tls {
            services.spawn(watch.run(late_stop.clone()));
        }
        let fleet = fleet::start(self.fleet, settings, &services, late_stop.clone());
        let registry = Registry::new(&self.config, fleet.clone(), doors.clone(), stop.clone());
        let directory = registry.directory();
        let door = Arc::new(Door::new(&self.config, registry));
        let state = ApiState {
            proxy_id: proxy_id.into(),
            started: clock::now(),
            guard: Guard { token: self.config.http.api_token.clone(), listen: http_address },
            listening: watch::channel(true).1,
            ingest: door.meter.start(&services, late_stop.clone()),
            fleet: fleet.clone(),
            streams: directory.clone(),
            tenants: door.tenant_meters.start(&services, late_stop.clone()),
        };
        services.spawn(api::serve(self.http, api::router(state), services.clone(), late_stop.clone()));
        let serve =
            |listener, tls| listener::serve(listener, Arc::clone(&door), tls, doors.clone(), stop.clone());
        if let Some(listener) = self.rtmp {
            doors.spawn(serve(listener, None));
        }
        if let Some((listener, Tls { config, watch })) = self.rtmps {
            doors.spawn(serve(listener, Some(TlsAcceptor::from(config))));
            doors.spawn(watch.run(stop.clone()));
        }
        stop.cancelled().await;
        let was_live = directory.borrow().values().any(|stream| !stream.view.borrow().ended);
        // Bounded: a stream that cannot finish is cut off with the process.
        let _ = tokio::time::timeout(DRAIN, doors.finish()).await;
        if was_live {
            // Players that poll every segment duration shall still see the end of the playlist.
            clock::until(Some(clock::now() + LINGER)).await;
        }
        late_stop.cancel();
        services.finish().await;
        Ok(())
    }
}

impl Tls {
    fn load(section: &str, files: &CertificateFiles) -> anyhow::Result<Self> {
        let (certificate, watch) = Certificate::load(files.clone())
            .with_context(|| format!("[{section}] has no certificate any more"))?;
        let config = certificate.server_config().context("cannot speak TLS")?;
        Ok(Self { config, watch })
    }
}

/// Takes all the descriptors that the system gives, and tells where they are too few: each publisher takes one for itself
/// and one for its lease, and players and nodes take theirs.
fn make_room(max_connections: usize) {
    let wanted = (max_connections as u64).saturating_mul(2).saturating_add(OTHER_DESCRIPTORS);
    match descriptors::raise_limit() {
        Ok(limit) if limit >= wanted => {}
        Ok(limit) => warn!(
            limit,
            wanted,
            max_connections,
            "more connections are allowed than the system's limit on open files has room for"
        ),
        Err(error) => warn!(%error, "the limit on open files cannot be raised"),
    }
}

fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
