//! `[rtmps]`: the front door for RTMP over TLS, and its certificate. Its limits are those of `[rtmp]`.

use std::net::SocketAddr;

use serde::Deserialize;

use super::certificate::{CertificateFiles, CertificateKeys, FilePath};
use super::reader::{Key, Reader};

/// The RTMPS listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rtmps {
    /// Where it listens, and with what; port 0 takes any, `None` is off.
    pub listen: Option<RtmpsListen>,
}

/// A port for TLS.
#[derive(Clone, Debug, PartialEq)]
pub struct RtmpsListen {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it shows.
    pub certificate: CertificateFiles,
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    pub(super) listen: Key<Option<SocketAddr>>,
    cert: Key<FilePath>,
    key: Key<FilePath>,
}

impl Written {
    /// The files are looked at only where something listens with them.
    pub(super) fn mean(&self, reader: &mut Reader) -> Rtmps {
        let Some(address) = reader.get(&self.listen, None) else {
            // Whoever writes a certificate means it; one that is kept for later says so.
            if let (Some(place), None) = (self.cert.place().or(self.key.place()), self.listen.place()) {
                let problem = "a certificate without rtmps.listen: write the address, or listen = \"off\"";
                reader.refuse(Some(place), problem.to_owned());
            }
            let _unused = (reader.optional(&self.cert), reader.optional(&self.key));
            return Rtmps::default();
        };
        for (name, written) in [("cert", &self.cert), ("key", &self.key)] {
            if written.place().is_none() {
                reader.refuse(self.listen.place(), format!("needs rtmps.{name}, the path of a PEM file"));
            }
        }
        let keys = CertificateKeys { cert: &self.cert, key: &self.key };
        let Some(certificate) = keys.mean(reader) else { return Rtmps::default() };
        Rtmps { listen: Some(RtmpsListen { address, certificate }) }
    }
}
