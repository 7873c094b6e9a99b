//! The proxy role: the front doors, the streams, the fleet link and the HTTP server, composed here.
//!
//! * [`ingest`]: publishers come in.
//! * [`stream`]: a task for each stream, and the registry of them.
//! * [`fleet`]: nodes dial in, leases go out.
//! * [`origin`]: players read.
//! * [`api`]: operators read.

pub mod api;
pub mod fleet;
pub mod ingest;
pub mod origin;
pub mod stream;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::base::clock;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::config::Config;

use api::ApiState;
use api::guard::Guard;
use fleet::FleetSettings;
use ingest::Door;
use ingest::meter::Meter;
use stream::registry::Registry;

/// How long HTTP and nodes are still served after publishers were told to stop: streams put out what they have.
const DRAIN: Duration = Duration::from_secs(7);

/// How long players are served after the last stream has ended.
const LINGER: Duration = Duration::from_secs(3);

/// A proxy with all its ports bound, so that a port in use is known before anything runs.
#[derive(Debug)]
pub struct Proxy {
    config: Config,
    rtmp: TcpListener,
    http: TcpListener,
    fleet: TcpListener,
}

/// What a proxy listens on.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Listening {
    /// RTMP.
    pub rtmp: SocketAddr,
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
    /// When one cannot be bound; the message names it.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let rtmp = bind("rtmp", config.rtmp.listen).await?;
        let http = bind("http", config.http.listen).await?;
        let fleet = bind("fleet", config.fleet.listen).await?;
        Ok(Self { config, rtmp, http, fleet })
    }

    /// What was bound.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn listening(&self) -> anyhow::Result<Listening> {
        let (rtmp, http, fleet) =
            (self.rtmp.local_addr()?, self.http.local_addr()?, self.fleet.local_addr()?);
        Ok(Listening { rtmp, http, fleet })
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
        };
        let fleet = fleet::start(self.fleet, settings, &services, late_stop.clone());
        let registry = Registry::new(&self.config, fleet.clone(), doors.clone(), stop.clone());
        let (meter, directory) = (Meter::default(), registry.directory());
        let state = ApiState {
            proxy_id: proxy_id.into(),
            started: clock::now(),
            guard: Guard { token: self.config.http.api_token.clone(), listen: http_address },
            listening: watch::channel(true).1,
            ingest: meter.start(&services, late_stop.clone()),
            fleet: fleet.stats(),
            streams: registry.directory(),
        };
        services.spawn(api::serve(self.http, api::router(state), services.clone(), late_stop.clone()));
        let door = Door::new(&self.config, registry, meter);
        doors.spawn(ingest::listener::serve_rtmp(self.rtmp, door, doors.clone(), stop.clone()));
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

fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
