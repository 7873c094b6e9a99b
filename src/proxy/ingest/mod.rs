//! The front doors: listeners, and a task for each publisher's connection.
//!
//! * [`listener`]: accepts, within its bounds.
//! * [`rtmp`]: the loop of one connection; [`intake`], what its bytes amount to; [`transport`], where they come from;
//!   [`rationed`], how much of that TLS is given of a stranger.
//! * [`auth`]: which tenant, and may it.
//! * [`limits`]: every bound by its name; [`admission`]: who is in, and how near each bound is; [`bitrate`]: who sends too much.
//! * [`meter`]: what all publishers send; [`tenants`]: what each tenant's send together, and [`tenant_bitrate`]: whether
//!   that is too much, and who has to go for it.
//!
//! # What a connection costs
//!
//! A connection that waits holds its task (below 4 KiB with its session), its timer, and what the session has of an
//! unfinished message; no read buffer ([`transport`]). Before a key is proved everything together stays below
//! [`limits::MAX_UNPROVED_MEMORY_BYTES`]: reads of [`rtmp::UNPROVED_READ_BYTES`] (4 KiB), of which at most one is held;
//! unfinished messages of [`limits::MAX_UNPROVED_MESSAGE_BYTES`] (12 KiB); the answers to one read, which end the connection
//! beyond [`crate::rtmp::Limits::max_output_bytes`] (8 KiB and the last answer): eight bytes of `play` ask for 150; and with
//! TLS [`rationed::RATION_BYTES`] (32 KiB) in all, so as much of what was read and is not complete, whichever of these
//! holds it.

pub mod admission;
pub mod auth;
pub mod bitrate;
pub mod intake;
pub mod limits;
pub mod listener;
pub mod meter;
pub mod rationed;
pub mod rtmp;
pub mod tenant_bitrate;
pub mod tenants;
pub mod transport;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tracing::{debug, info};

use crate::base::clock;
use crate::base::names::Name;
use crate::base::rate::RateBound;
use crate::base::reason::Reason;
use crate::config::{Config, Tenant};
use crate::proxy::stream::registry::Registry;
use crate::rtmp::Limits;

use limits::{Bounds, Limit};
use meter::Meter;
use tenants::TenantMeters;

/// Lines a second about connections that never published.
const STRANGERS_LOGGED: u32 = 5;

/// Lines a second about publishers that were refused.
const REFUSALS_LOGGED: u32 = 20;

/// Lines a second about newcomers for whom there is no room.
const TURNED_AWAY_LOGGED: u32 = 2;

fn admits(bound: &Mutex<RateBound>) -> bool {
    bound.lock().unwrap_or_else(PoisonError::into_inner).admits(clock::now())
}

/// What all doors for publishers have in common.
#[derive(Debug)]
pub struct Door {
    /// Who may publish.
    pub tenants: BTreeMap<Name, Tenant>,
    /// Where streams are.
    pub registry: Registry,
    /// What counts, and who is in.
    pub meter: Meter,
    /// What each tenant sends.
    pub tenant_meters: TenantMeters,
    /// Bounds of a session.
    pub limits: Limits,
    /// Bounds of connections.
    pub bounds: Bounds,
    /// What strangers do wrong is logged within this.
    strangers: Mutex<RateBound>,
    /// Refused publishers likewise: an operator looks for these.
    refusals: Mutex<RateBound>,
    /// Newcomers without room likewise.
    turned_away: Mutex<RateBound>,
}

impl Door {
    /// The door that `config` describes, in front of `registry`.
    #[must_use]
    pub fn new(config: &Config, registry: Registry) -> Self {
        let bounds = Bounds::new(&config.rtmp);
        let logged = |lines| Mutex::new(RateBound::per_second(lines));
        Self {
            tenants: config.tenants.clone(),
            registry,
            meter: Meter::new(bounds),
            tenant_meters: TenantMeters::new(config),
            limits: Limits {
                max_message_bytes: bounds.max_message_bytes,
                max_message_bytes_unproved: limits::MAX_UNPROVED_MESSAGE_BYTES,
                max_chunk_streams: bounds.max_chunk_streams,
                chunk_size: config.rtmp.chunk_size,
                ..Limits::default()
            },
            bounds,
            strangers: logged(STRANGERS_LOGGED),
            refusals: logged(REFUSALS_LOGGED),
            turned_away: logged(TURNED_AWAY_LOGGED),
        }
    }

    /// Logs that a newcomer was closed at once: at INFO within the bound, at DEBUG beyond it.
    fn log_turned_away(&self, peer: SocketAddr, limit: Limit) {
        let allowed = self.bounds.told(limit);
        if admits(&self.turned_away) {
            info!(%peer, limit = limit.key(), allowed, "connection refused: too many");
        } else {
            debug!(%peer, limit = limit.key(), allowed, "connection refused: too many");
        }
    }

    /// Logs why a connection that never published ended, likewise.
    fn log_stranger(&self, reason: Reason, detail: &str) {
        // Health checks connect and close; nobody wants to read of them.
        if reason != Reason::ConnectionLost && admits(&self.strangers) {
            info!(%reason, detail, "connection ended without publishing");
        } else {
            debug!(%reason, detail, "connection ended without publishing");
        }
    }

    /// Logs why a publisher was refused, likewise.
    fn log_refusal(&self, reason: Reason, detail: &str) {
        if admits(&self.refusals) {
            info!(%reason, detail, "publisher refused");
        } else {
            debug!(%reason, detail, "publisher refused");
        }
    }
}

#[cfg(test)]
mod tests;
