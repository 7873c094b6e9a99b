//! A certificate that signs itself, from the `openssl` program.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A certificate for 127.0.0.1 and its key, as PEM files.
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// Makes both in `folder`.
    pub fn make(folder: &Path) -> Self {
        Self::make_for(folder, Ipv4Addr::LOCALHOST)
    }

    /// The same for another address.
    pub fn make_for(folder: &Path, address: Ipv4Addr) -> Self {
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let options = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
             -addext subjectAltName=IP:{address},DNS:localhost -addext basicConstraints=critical,CA:FALSE"
        );
        let mut openssl = Command::new("openssl");
        openssl.args(options.split_whitespace()).arg("-keyout").arg(&key).arg("-out").arg(&cert);
        let made = openssl.output().expect("ingest-tests/install-peers puts openssl there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { cert, key }
    }
}
