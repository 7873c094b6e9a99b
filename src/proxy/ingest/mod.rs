//! The front doors: listeners, and a task for each publisher's connection.
//!
//! * [`listener`]: accepts, within its bounds.
//! * [`rtmp`]: the loop around [`crate::rtmp::Session`].
//! * [`auth`]: which tenant, and may it.
//! * [`meter`]: what all publishers send.

pub mod auth;
pub mod listener;
pub mod meter;
pub mod rtmp;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{debug, info};

use crate::base::clock;
use crate::base::names::Name;
use crate::base::rate::RateBound;
use crate::base::reason::Reason;
use crate::config::{Config, Tenant};
use crate::proxy::stream::registry::Registry;
use crate::rtmp::Limits;

use meter::Meter;

/// Lines a second about connections that never published.
const STRANGERS_LOGGED: u32 = 5;

/// Lines a second about publishers that were refused.
const REFUSALS_LOGGED: u32 = 20;

fn admits(bound: &Mutex<RateBound>) -> bool {
    bound.lock().unwrap_or_else(PoisonError::into_inner).admits(clock::now())
}

/// What a door must know.
#[derive(Clone, Debug)]
pub struct Door {
    /// Who may publish.
    pub tenants: Arc<BTreeMap<Name, Tenant>>,
    /// Where streams are.
    pub registry: Registry,
    /// What counts.
    pub meter: Meter,
    /// Bounds of a session.
    pub limits: Limits,
    /// How long a connection may take until it publishes.
    pub handshake_timeout: Duration,
    /// How long a publisher may be silent.
    pub idle_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// What strangers do wrong is logged within this.
    strangers: Arc<Mutex<RateBound>>,
    /// Refused publishers likewise: an operator looks for these.
    refusals: Arc<Mutex<RateBound>>,
}

impl Door {
    /// The door that `config` describes, in front of `registry`.
    #[must_use]
    pub fn new(config: &Config, registry: Registry, meter: Meter) -> Self {
        let rtmp = &config.rtmp;
        Self {
            tenants: Arc::new(config.tenants.clone()),
            registry,
            meter,
            limits: Limits {
                max_message_bytes: rtmp.max_message_size.as_usize(),
                chunk_size: rtmp.chunk_size,
                ..Limits::default()
            },
            handshake_timeout: rtmp.handshake_timeout,
            idle_timeout: rtmp.idle_timeout,
            max_connections: rtmp.max_connections,
            strangers: Arc::new(Mutex::new(RateBound::per_second(STRANGERS_LOGGED))),
            refusals: Arc::new(Mutex::new(RateBound::per_second(REFUSALS_LOGGED))),
        }
    }

    /// Logs why a connection that never published ended: at INFO within the bound, at DEBUG beyond it.
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
