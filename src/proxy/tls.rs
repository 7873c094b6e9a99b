//! TLS of the RTMPS and the fleet port: which certificate is shown, and that a new one is taken up while the port is open.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use crate::base::clock;
use crate::base::shutdown::CancellationToken;
use crate::config::{CertificateError, CertificateFiles};

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The certificate of a port. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Certificate {
    files: CertificateFiles,
    shown: Arc<Shown>,
}

/// What newcomers are shown.
#[derive(Debug)]
struct Shown(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What tells one state of the two files from another; `None` for a file that cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([Option<FileStamp>; 2]);

/// Which file it is, when it was written to (seconds, nanoseconds) and its size in bytes. A name that leads to another file,
/// as certificate managers do it, is a change too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    file: (u64, u64),
    written: (i64, i64),
    bytes: u64,
}

impl Stamp {
    fn of(files: &CertificateFiles) -> Self {
        let stamp = |path: &Path| {
            let data = std::fs::metadata(path).ok()?;
            let (file, written) = ((data.dev(), data.ino()), (data.mtime(), data.mtime_nsec()));
            Some(FileStamp { file, written, bytes: data.len() })
        };
        Self([stamp(&files.cert), stamp(&files.key)])
    }
}

/// Looks after the files of a certificate.
#[derive(Debug)]
pub struct Watch {
    certificate: Certificate,
    seen: Stamp,
}

impl Certificate {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn load(files: CertificateFiles) -> Result<(Self, Watch), CertificateError> {
        let seen = Stamp::of(&files);
        let shown = Arc::new(Shown(Mutex::new(files.load()?)));
        let certificate = Self { files, shown };
        Ok((certificate.clone(), Watch { certificate, seen }))
    }

    /// TLS 1.2 and 1.3 with it. Sessions are not resumed: an encoder connects once in hours, a node once for each lease,
    /// and what is kept for strangers is memory.
    ///
    /// # Errors
    /// When the versions and the cryptography do not fit together, which is a fault of ours.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
        let shown: Arc<dyn ResolvesServerCert> = self.shown.clone();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

impl Watch {
    /// Takes up changed files until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(clock::until(Some(clock::now() + LOOK_INTERVAL))).await.is_some() {
            self.look();
        }
    }

    /// Takes up the files if they have changed. Files that cannot be used are told once and change nothing: certificate
    /// and key are mostly not replaced in one moment. Reads two small files and holds the thread as long.
    fn look(&mut self) {
        let stamp = Stamp::of(&self.certificate.files);
        if stamp == self.seen {
            return;
        }
        self.seen = stamp;
        let file = self.certificate.files.cert.display();
        match self.certificate.files.load() {
            Ok(certified) => {
                *self.certificate.shown.0.lock().unwrap_or_else(PoisonError::into_inner) = certified;
                info!(%file, "certificate taken up");
            }
            Err(error) => warn!(%file, %error, "certificate cannot be used, the old one stays in use"),
        }
    }
}

#[cfg(test)]
mod tests;
