//! `[node]`: this machine as a node: who it is, what it may run, and which proxy it dials.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use toml::Value;

use super::reader::{Key, Reader, Setting};
use crate::base::names::{MAX_NAME_BYTES, Name};
use crate::placement::load::MAX_TAGS;

/// This machine as a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSettings {
    /// Its name, unique in the fleet. Where none is written it is made of the host's name.
    pub name: Name,
    /// Tags for placement.
    pub tags: Vec<Name>,
    /// Leases at once.
    pub slots: u32,
    /// The FFmpeg to run: a name to be found in `PATH`, or a path.
    pub ffmpeg: PathBuf,
    /// How GPUs are looked for.
    pub nvml: Nvml,
    /// The fleet port of the proxy.
    pub proxy: ProxyAddress,
    /// What an hour of this machine costs, in any one currency.
    pub cost_per_hour: Option<f64>,
    /// What it draws under load, in watts.
    pub watts: Option<f64>,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            name: name_from_host(None),
            tags: Vec::new(),
            slots: 64,
            ffmpeg: "ffmpeg".into(),
            nvml: Nvml::Library("libnvidia-ml.so.1".into()),
            proxy: ProxyAddress("127.0.0.1:7070".into()),
            cost_per_hour: None,
            watts: None,
        }
    }
}

/// `HOST:PORT` of a proxy's fleet port: a host's name or an IP address, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress(Box<str>);

/// The text is no `HOST:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {}", ProxyAddress::ALLOWED)]
pub struct NoProxyAddress;

impl ProxyAddress {
    /// The text, as sockets take it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this machine, by its address or as `localhost` (RFC 6761 §6.3).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.0.rsplit_once(':').map_or(&*self.0, |(host, _)| host);
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or_else(
            |_| host.eq_ignore_ascii_case("localhost"),
            |address| address.to_canonical().is_loopback(),
        )
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProxyAddress {
    type Err = NoProxyAddress;

    fn from_str(text: &str) -> Result<Self, NoProxyAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(NoProxyAddress)?;
        // Port 0 can be listened on but not dialled.
        let dialled = port.parse::<u16>().is_ok_and(|port| port != 0);
        // RFC 3986 §3.2.2: the brackets keep an IPv6 address apart from its port.
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let named = !host.is_empty() && host.bytes().all(legal);
        let reachable = bracketed.map_or(named, |host| host.parse::<std::net::Ipv6Addr>().is_ok());
        if dialled && reachable { Ok(Self(text.into())) } else { Err(NoProxyAddress) }
    }
}

impl Setting for ProxyAddress {
    const ALLOWED: &'static str =
        "HOST:PORT of a proxy's fleet port, such as \"proxy.example:7070\" or \"10.0.0.1:7070\"";

    fn read(written: &Value) -> Option<Self> {
        written.as_str()?.parse().ok()
    }
}

impl Setting for PathBuf {
    const ALLOWED: &'static str = "a program: a name to be found in PATH, or a path";

    fn read(written: &Value) -> Option<Self> {
        written.as_str().filter(|path| !path.is_empty()).map(Self::from)
    }
}

/// How GPUs are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nvml {
    /// They are not.
    Off,
    /// Through this library of NVIDIA's driver. Where there is none, there are no GPUs.
    Library(PathBuf),
}

impl Setting for Nvml {
    const ALLOWED: &'static str =
        r#""off", or the driver's library: a name that the system's loader finds, or a path"#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            // The loader takes no name for this whole program, and a zero byte ends one.
            path if path.is_empty() || path.contains('\0') => None,
            "off" => Some(Self::Off),
            path => Some(Self::Library(path.into())),
        }
    }
}

impl Setting for Vec<Name> {
    const ALLOWED: &'static str = r#"a list of names, such as ["gpu", "rack-1"]"#;

    fn read(written: &Value) -> Option<Self> {
        written.as_array()?.iter().map(Name::read).collect()
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    name: Key<Name>,
    tags: Key<Vec<Name>>,
    slots: Key<u32>,
    ffmpeg: Key<PathBuf>,
    nvml: Key<Nvml>,
    pub(super) proxy: Key<ProxyAddress>,
    cost_per_hour: Key<f64>,
    watts: Key<f64>,
}

impl Written {
    pub(super) fn mean(&self, reader: &mut Reader) -> NodeSettings {
        let default = NodeSettings::default();
        // Asked only for its text: two hosts of one name are found out by the proxy, which refuses the second.
        let host = reader.surroundings.host_name();
        NodeSettings {
            name: reader.optional(&self.name).unwrap_or_else(|| name_from_host(host.as_deref())),
            tags: self.tags(reader),
            slots: reader.within(&self.slots, default.slots, 1..=1000),
            ffmpeg: reader.get(&self.ffmpeg, default.ffmpeg),
            nvml: reader.get(&self.nvml, default.nvml),
            proxy: reader.get(&self.proxy, default.proxy),
            cost_per_hour: reader.optional_within(&self.cost_per_hour, 0.0..=1e6),
            watts: reader.optional_within(&self.watts, 0.0..=1e6),
        }
    }

    /// A proxy takes no node with more tags than these, and would say so only once the node runs.
    fn tags(&self, reader: &mut Reader) -> Vec<Name> {
        let tags = reader.get(&self.tags, Vec::new());
        if tags.len() > MAX_TAGS {
            reader.refuse(self.tags.place(), format!("must be at most {MAX_TAGS} names"));
            return Vec::new();
        }
        tags
    }
}

/// The host's name with what no name may have replaced by `-`; `node` where nothing is left.
fn name_from_host(host: Option<&str>) -> Name {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let replaced = host.unwrap_or_default().chars().map(|letter| if legal(letter) { letter } else { '-' });
    let name: String =
        replaced.skip_while(|letter| !letter.is_ascii_alphanumeric()).take(MAX_NAME_BYTES).collect();
    name.parse().unwrap_or_else(|_| "node".parse().expect("four letters are a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_has_a_legal_name() {
        let check = |host, expected| assert_eq!(name_from_host(host).as_str(), expected, "{host:?}");
        check(Some("worker-1.example"), "worker-1.example");
        check(Some("Ann's Mac"), "Ann-s-Mac");
        check(Some("-_x"), "x");
        check(Some("日本"), "node");
        check(Some(""), "node");
        check(None, "node");
        check(Some(&"a".repeat(200)), &"a".repeat(128));
    }

    #[test]
    fn gpus_are_looked_for_by_a_library_or_not_at_all() {
        let check = |text: &str, expected| assert_eq!(Nvml::read(&Value::String(text.to_owned())), expected);
        check("off", Some(Nvml::Off));
        check("libnvidia-ml.so.1", Some(Nvml::Library("libnvidia-ml.so.1".into())));
        check("/opt/nvml.so", Some(Nvml::Library("/opt/nvml.so".into())));
        check("", None);
        check("a\0b", None);
        assert_eq!(Nvml::read(&Value::Boolean(false)), None);
    }

    #[test]
    fn a_proxy_is_dialled_by_host_and_port() {
        let check = |text: &str, legal| assert_eq!(text.parse::<ProxyAddress>().is_ok(), legal, "{text:?}");
        check("127.0.0.1:7070", true);
        check("proxy.example:7070", true);
        check("[::1]:7070", true);
        for wrong in ["", ":7070", "proxy", "proxy:", "proxy:0", "proxy:65536", "::1:7070", "[x]:1", "a/b:1"]
        {
            check(wrong, false);
        }
    }

    #[test]
    fn this_machine_is_known_by_its_address_or_name() {
        let check = |text: &str, expected| {
            let address: ProxyAddress = text.parse().expect("it is an address");
            assert_eq!(address.is_loopback(), expected, "{text}");
        };
        for own in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "LocalHost:1"] {
            check(own, true);
        }
        for other in ["10.0.0.1:1", "[::]:1", "[fe80::1]:1", "localhost.example:1", "127.0.0.1.example:1"] {
            check(other, false);
        }
    }
}
