//! The configuration: one TOML file, every key of it optional.
//!
//! What was written and what is meant are two types. A section's file owns both, with the section's defaults and its
//! checks: `Written` holds each key as it stands in the file, and its `mean` makes the plain, validated struct that the
//! program uses, noting what it refuses in a `Reader`. This file only composes the sections and holds the
//! rules that span several of them. All faults of a file are reported together ([`ConfigErrors`]).
//!
//! Reading the file, the environment and the host name is behind [`Surroundings`]; [`Config::parse`] is pure.

mod certificate;
mod document;
mod error;
mod fleet;
mod gop_log;
mod http;
mod node;
mod origin;
mod placement;
mod profile;
mod reader;
mod rendition;
mod rtmp;
mod rtmps;
mod stream;
mod surroundings;
mod tenant;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::base::names::Name;

use document::Document;
use reader::Reader;

pub use certificate::{CertificateError, CertificateFiles};
pub use error::{ConfigError, ConfigErrors, Located};
pub use fleet::Fleet;
pub use gop_log::GopLogLimits;
pub use http::Http;
pub use node::{NodeSettings, Nvml, ProxyAddress};
pub use origin::OriginSettings;
pub use placement::Placement;
pub(crate) use profile::written_audio;
pub use profile::{Profile, ProfileTags};
pub use rtmp::Rtmp;
pub use rtmps::{Rtmps, RtmpsListen};
pub use stream::{StreamSettings, Takeover};
pub use surroundings::{Surroundings, System};
pub use tenant::{StreamKey, StreamPattern, Tenant};

/// The file that is read when no other is named.
pub const DEFAULT_FILE: &str = "config.toml";

/// Everything that can be configured, validated. The default is what runs without a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The HTTP server.
    pub http: Http,
    /// The RTMP listener, and the limits of both RTMP ports.
    pub rtmp: Rtmp,
    /// The RTMPS listener.
    pub rtmps: Rtmps,
    /// The port that nodes dial.
    pub fleet: Fleet,
    /// Bounds of each stream's GOP log.
    pub gop_log: GopLogLimits,
    /// The life of a stream.
    pub stream: StreamSettings,
    /// What players are served.
    pub origin: OriginSettings,
    /// How a node is chosen for a stream.
    pub placement: Placement,
    /// This machine as a node.
    pub node: NodeSettings,
    /// Who may publish; at least one.
    pub tenants: BTreeMap<Name, Tenant>,
    /// The profiles by their names; `default` is always among them.
    pub profiles: BTreeMap<Name, Profile>,
}

impl Default for Config {
    fn default() -> Self {
        let profiles = profile::built_in();
        Self {
            http: Http::default(),
            rtmp: Rtmp::default(),
            rtmps: Rtmps::default(),
            fleet: Fleet::default(),
            gop_log: GopLogLimits::default(),
            stream: StreamSettings::default(),
            origin: OriginSettings::default(),
            placement: Placement::default(),
            node: NodeSettings::default(),
            tenants: tenant::built_in(&profiles),
            profiles,
        }
    }
}

impl Config {
    /// Reads the file at `path`, which must exist; without a path [`DEFAULT_FILE`] in the working folder if it is
    /// there, or else nothing, which means the defaults.
    ///
    /// # Errors
    /// All that is wrong with the file, or that it cannot be read.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigErrors> {
        let file = path.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match System.read(file) {
            Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ConfigErrors::unreadable(file, &error)),
            Ok(text) => text,
        };
        Self::parse(&text, &System).map_err(|errors| errors.in_file(file))
    }

    /// Understands the `text` of a file. `surroundings` are asked for the secrets that the file only points to, and
    /// for the host name.
    ///
    /// # Errors
    /// All that is wrong with the text: every unknown key and every value that is refused; of faults in the TOML
    /// itself those that the parser finds in one go.
    pub fn parse(text: &str, surroundings: &dyn Surroundings) -> Result<Self, ConfigErrors> {
        let document = Document::parse(text)?;
        let (written, problems) = document.sift::<Written>();
        let mut reader = Reader::new(surroundings, problems);
        let config = written.mean(&mut reader);
        match reader.into_problems() {
            problems if problems.is_empty() => Ok(config),
            problems => Err(document.explain(problems)),
        }
    }
}

/// The whole file as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    http: http::Written,
    rtmp: rtmp::Written,
    rtmps: rtmps::Written,
    fleet: fleet::Written,
    gop_log: gop_log::Written,
    stream: stream::Written,
    origin: origin::Written,
    placement: placement::Written,
    node: node::Written,
    tenants: BTreeMap<Spanned<String>, tenant::Written>,
    profiles: BTreeMap<Spanned<String>, profile::Written>,
}

impl Written {
    fn mean(&self, reader: &mut Reader) -> Config {
        let profiles = profile::mean(&self.profiles, reader);
        let config = Config {
            http: self.http.mean(reader),
            rtmp: self.rtmp.mean(reader),
            rtmps: self.rtmps.mean(reader),
            fleet: self.fleet.mean(reader),
            gop_log: self.gop_log.mean(reader),
            stream: self.stream.mean(reader),
            origin: self.origin.mean(reader),
            placement: self.placement.mean(reader),
            node: self.node.mean(reader),
            tenants: tenant::mean(&self.tenants, &profiles, reader),
            profiles,
        };
        self.refuse_no_door(&config, reader);
        self.refuse_open_doors(&config, reader);
        self.refuse_shared_addresses(&config, reader);
        self.refuse_clear_link(&config, reader);
        config
    }

    /// Every port for publishers that is open: its key, its address, and where that was written.
    fn doors(&self, config: &Config) -> Vec<Listener<'_>> {
        let rtmps = config.rtmps.listen.as_ref().map(|rtmps| rtmps.address);
        let doors = [
            ("rtmp.listen", config.rtmp.listen, &self.rtmp.listen),
            ("rtmps.listen", rtmps, &self.rtmps.listen),
        ];
        let open = doors.into_iter().filter_map(|(key, address, written)| Some((key, address?, written)));
        open.map(|(key, address, written)| Listener { key, address, place: written.place() }).collect()
    }

    /// A proxy into which nothing can come is a slip of the pen. A door that was refused has its own fault already.
    fn refuse_no_door(&self, config: &Config, reader: &mut Reader) {
        let meant_open = matches!(self.rtmps.listen.value(), Some(Some(_)));
        if config.rtmp.listen.is_none() && !meant_open {
            let problem = "nobody could publish: rtmp.listen or rtmps.listen must be an address";
            reader.refuse(self.rtmp.listen.place(), problem);
        }
    }

    /// A tenant without keys takes anyone's stream. That is fine on loopback; elsewhere it must have been said.
    fn refuse_open_doors(&self, config: &Config, reader: &mut Reader) {
        let doors = self.doors(config);
        let open = |door: &&Listener| !door.address.ip().to_canonical().is_loopback();
        let Some(door) = doors.iter().find(open) else { return };
        let (key, listen) = (door.key, door.address);
        for name in self.tenants.iter().filter(|(_, tenant)| tenant.is_open()).map(|(name, _)| name) {
            let problem = format!(
                "has no keys although {key} ({listen}) is not loopback: give it keys, or say allow_anonymous = true"
            );
            reader.refuse(Some(name.span()), problem);
        }
        if self.tenants.is_empty() {
            let problem = "the built-in tenant \"live\" has no keys, so only loopback is allowed: write a [tenants.NAME] with keys";
            reader.refuse(door.place.clone(), problem);
        }
    }

    /// A node on another machine than its proxy. A bundle that was written but cannot be used has its own fault.
    fn refuse_clear_link(&self, config: &Config, reader: &mut Reader) {
        let dial = config.fleet.check_dial(&config.node.proxy);
        if let (Err(problem), None) = (dial, self.fleet.tls_ca.place()) {
            reader.refuse(self.node.proxy.place(), problem);
        }
    }

    /// Two listeners on one address would fail when the second is bound; port 0 is a different one each time.
    fn refuse_shared_addresses(&self, config: &Config, reader: &mut Reader) {
        let (http, fleet) = (self.http.listen.place(), self.fleet.listen.place());
        let mut listeners = vec![Listener { key: "http.listen", address: config.http.listen, place: http }];
        listeners.extend(self.doors(config));
        listeners.push(Listener { key: "fleet.listen", address: config.fleet.listen, place: fleet });
        for (at, listener) in listeners.iter().enumerate() {
            let same = |other: &&Listener| other.address == listener.address && listener.address.port() != 0;
            if let Some(first) = listeners[..at].iter().find(same) {
                let place = listener.place.clone().or_else(|| first.place.clone());
                let problem = format!("{} and {} must not be the same address", first.key, listener.key);
                reader.refuse(place, problem);
            }
        }
    }
}

/// A port that will be bound.
struct Listener<'a> {
    key: &'a str,
    address: std::net::SocketAddr,
    place: Option<reader::Place>,
}
