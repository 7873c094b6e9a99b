//! The node: it dials the proxy, offers its slots, and runs FFmpeg for the leases it is given.
//!
//! * `link`: the control connection, with heartbeats up and leases down.
//! * `slots`, `slot`: which leases run here; one of them, from its FFmpeg to its connection.
//! * `process`: the only place that starts FFmpeg; `words`: what it said last; `ability`: what it can do.
//! * `output`: the bytes of one of its pipes become fragments and audio units; `outbox`: what waits for the link.
//! * `connection`: an upgraded connection and its frames; `tls`: which proxy is believed; `load`: what the machine and each
//!   lease are doing.

mod ability;
mod connection;
mod link;
mod load;
mod outbox;
mod output;
mod process;
mod slot;
mod slots;
#[cfg(test)]
mod tests;
mod tls;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::tls::Trust;
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::base::secret::Secret;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::placement::room::Room;
use crate::wire::report::NodeHello;

/// What a node must know.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Its name, unique in the fleet.
    pub name: Name,
    /// Tags for placement.
    pub tags: Vec<Name>,
    /// Leases at once.
    pub slots: u32,
    /// The FFmpeg to run: a path, or a name to be looked up in `PATH`.
    pub ffmpeg: PathBuf,
    /// The library by which NVIDIA's driver tells of GPUs: a path, or a name that the system's loader finds. `None` looks for
    /// none.
    pub nvml: Option<PathBuf>,
    /// `HOST:PORT` of the proxy's fleet port.
    pub proxy: String,
    /// The fleet's token, where it has one.
    pub token: Option<Secret>,
    /// Which proxy to believe; with it TLS is spoken, and nothing else.
    pub trust: Option<Trust>,
    /// What an hour of this machine costs, where that was said.
    pub cost_per_hour: Option<f64>,
    /// What it draws under load, in watts, where that was said.
    pub watts: Option<f64>,
}

/// Finds out whether `ffmpeg` can be used at all.
///
/// # Errors
/// When it is missing, is none, or is older than 5.1.
pub async fn check(ffmpeg: &Path) -> anyhow::Result<()> {
    ability::build(ffmpeg).await.map(drop)
}

/// Has the kernel kill the child that `command` starts when this process dies. To be started from async code, not from
/// `spawn_blocking`.
pub fn die_with_us(command: &mut std::process::Command) {
    process::die_with_us(command);
}

/// Runs a node until `stop`. When this returns no FFmpeg of it is left.
///
/// A proxy that cannot be reached, or refuses, is tried again for as long as the node runs.
///
/// # Errors
/// Before anything is dialled: when FFmpeg is missing, is none, or is older than 5.1, or when what is trusted is no
/// certificate.
pub async fn run(settings: NodeSettings, tasks: Tasks, stop: CancellationToken) -> anyhow::Result<()> {
    let tls = settings.trust.map(tls::Tls::load).transpose()?.map(Arc::new);
    let capacity = load::capacity(settings.slots);
    let measured = load::start(settings.nvml, &tasks, stop.clone()).await;
    let gpus = measured.gpus();
    let class = load::class(&gpus.borrow());
    let means = ability::Means { ffmpeg: settings.ffmpeg.clone(), cores: capacity.cores, gpus };
    let ability = ability::probe(means, &tasks, stop.clone()).await?;
    let capabilities = ability.current().capabilities.clone();
    let encoders: Vec<&str> = capabilities.encoders.iter().map(|on| on.encoder.as_str()).collect();
    tracing::info!(node = %settings.name, ffmpeg = capabilities.ffmpeg_version, ?encoders, "node started");
    let name = settings.name.clone();
    let proxy = connection::Proxy { address: settings.proxy, token: settings.token, tls };
    let hello = NodeHello {
        name: settings.name,
        tags: settings.tags,
        class,
        cost_per_hour: settings.cost_per_hour,
        watts: settings.watts,
        capacity,
        capabilities,
    };
    let room = Room::new(hello.capacity, &hello.capabilities.gpus);
    let mut slots = slots::Slots::new(settings.ffmpeg, ability.clone(), room, proxy.clone(), tasks)
        .gauged(measured.gauges());
    link::Link { proxy, hello, measured, ability, stop }.run(&mut slots).await;
    slots.finish(Reason::NodeStopping).await;
    tracing::info!(node = %name, "node stopped");
    Ok(())
}
