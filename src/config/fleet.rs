//! `[fleet]`: the port that nodes dial, how proxy and nodes know each other, and when a node is suspected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::certificate::{self, CertificateFiles, CertificateKeys, FilePath};
use super::node::ProxyAddress;
use super::reader::{Key, Reader};
use super::surroundings::SecretSource;
use super::units::Quantity;
use crate::base::secret::Secret;

/// The port that nodes dial.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// What a node must present. `None` only where `listen` is loopback. A node reads the same key.
    pub token: Option<Secret>,
    /// How often a node gives a sign of life.
    pub heartbeat: Duration,
    /// After this long without one a node gets no new streams; at least twice `heartbeat`.
    pub suspect_after: Duration,
    /// What the port shows: then it takes nothing but TLS.
    pub certificate: Option<CertificateFiles>,
    /// Whose certificates a node trusts, as PEM: then it speaks nothing but TLS to its proxy.
    pub tls_ca: Option<PathBuf>,
    /// Says that off loopback no TLS is meant so.
    pub allow_plaintext: bool,
}

impl Fleet {
    /// Why a node may not dial this proxy, in words that follow the address: the token and all media would go over the
    /// network as they are.
    ///
    /// # Errors
    /// When it is on another machine, is not spoken to by TLS, and nobody said that this is meant so.
    pub fn check_dial(&self, proxy: &ProxyAddress) -> Result<(), &'static str> {
        if proxy.is_loopback() || self.tls_ca.is_some() || self.allow_plaintext {
            return Ok(());
        }
        Err("must be loopback, or fleet.tls_ca must be set so that it is dialled by TLS \
             (in a network that you trust, fleet.allow_plaintext = true)")
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 7070).into(),
            token: None,
            heartbeat: Duration::from_millis(250),
            suspect_after: Duration::from_millis(750),
            certificate: None,
            tls_ca: None,
            allow_plaintext: false,
        }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    pub(super) listen: Key<SocketAddr>,
    token: Key<SecretSource>,
    heartbeat: Key<Duration>,
    suspect_after: Key<Duration>,
    tls_cert: Key<FilePath>,
    tls_key: Key<FilePath>,
    pub(super) tls_ca: Key<FilePath>,
    allow_plaintext: Key<bool>,
}

impl Written {
    /// A token that was written but cannot be had is noted by itself, not as a missing one too.
    pub(super) fn mean(&self, reader: &mut Reader) -> Fleet {
        let default = Fleet::default();
        let millisecond = Duration::from_millis(1);
        // Faster, and heartbeats are load of their own; slower, and detection takes longer than any encoder's grace.
        let heartbeats = 50 * millisecond..=10_000 * millisecond;
        let suspicions = 100 * millisecond..=60_000 * millisecond;
        let fleet = Fleet {
            listen: reader.get(&self.listen, default.listen),
            token: reader.secret(&self.token),
            heartbeat: reader.within(&self.heartbeat, default.heartbeat, heartbeats),
            suspect_after: reader.within(&self.suspect_after, default.suspect_after, suspicions),
            certificate: self.certificate(reader),
            tls_ca: certificate::bundle(&self.tls_ca, reader),
            allow_plaintext: reader.get(&self.allow_plaintext, default.allow_plaintext),
        };
        self.refuse_open_fleet(&fleet, reader);
        self.refuse_clear_fleet(&fleet, reader);
        self.refuse_hasty_suspicion(&fleet, reader);
        fleet
    }

    fn certificate(&self, reader: &mut Reader) -> Option<CertificateFiles> {
        for (written, name, other) in
            [(&self.tls_cert, "key", &self.tls_key), (&self.tls_key, "cert", &self.tls_cert)]
        {
            if written.place().is_some() && other.place().is_none() {
                reader.refuse(written.place(), format!("needs fleet.tls_{name}, the path of a PEM file"));
            }
        }
        CertificateKeys { cert: &self.tls_cert, key: &self.tls_key }.mean(reader)
    }

    /// Whoever speaks to this port gets streams to transcode, so off loopback it asks for a token.
    fn refuse_open_fleet(&self, fleet: &Fleet, reader: &mut Reader) {
        if !fleet.listen.ip().to_canonical().is_loopback() && self.token.place().is_none() {
            reader.refuse(self.listen.place(), "must be loopback, or fleet.token must be set");
        }
    }

    /// Off loopback the token and all media would go over the network as they are. A certificate that was written but
    /// cannot be used has its own fault.
    fn refuse_clear_fleet(&self, fleet: &Fleet, reader: &mut Reader) {
        let written = self.tls_cert.place().or(self.tls_key.place());
        if !fleet.listen.ip().to_canonical().is_loopback() && written.is_none() && !fleet.allow_plaintext {
            let problem = "must be loopback, or fleet.tls_cert and fleet.tls_key must be set so that nodes dial it by \
                           TLS (in a network that you trust, fleet.allow_plaintext = true)";
            reader.refuse(self.listen.place(), problem);
        }
    }

    /// With less, one late heartbeat would start a failover.
    fn refuse_hasty_suspicion(&self, fleet: &Fleet, reader: &mut Reader) {
        let least = 2 * fleet.heartbeat;
        if fleet.suspect_after < least {
            let place = self.suspect_after.place().or_else(|| self.heartbeat.place());
            let (least, set) = (least.written(), fleet.suspect_after.written());
            let problem =
                format!("fleet.suspect_after must be at least twice fleet.heartbeat ({least}), it is {set}");
            reader.refuse(place, problem);
        }
    }
}
