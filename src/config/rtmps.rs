//! `[rtmps]`: the front door for RTMP over TLS, and its certificate. Its limits are those of `[rtmp]`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use toml::Value;

use super::reader::{Key, Reader, Setting};
use super::surroundings::{Surroundings, System};

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

/// Where a certificate and its key are, as PEM (RFC 7468).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, then those that lead from it to a root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. No text repeats what is in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// In the certificate's file.
    #[error("{0}")]
    Cert(String),
    /// In the key's file, or the two do not belong together.
    #[error("{0}")]
    Key(String),
}

impl CertificateFiles {
    /// Reads both files.
    ///
    /// # Errors
    /// One cannot be read or understood, or the key is not the certificate's.
    pub fn load(&self) -> Result<Arc<CertifiedKey>, CertificateError> {
        self.load_from(&System)
    }

    fn load_from(&self, surroundings: &dyn Surroundings) -> Result<Arc<CertifiedKey>, CertificateError> {
        let chain = chain(&read(surroundings, &self.cert).map_err(CertificateError::Cert)?);
        let chain = chain.map_err(|why| CertificateError::Cert(of_file(&self.cert, &why)))?;
        let key_text = read(surroundings, &self.key).map_err(CertificateError::Key)?;
        let key_error = |why: &str| CertificateError::Key(of_file(&self.key, why));
        let key = PrivateKeyDer::from_pem_slice(key_text.as_bytes())
            .map_err(|_| key_error("holds no unencrypted private key in PEM"))?;
        let key = ring::sign::any_supported_type(&key)
            .map_err(|_| key_error("holds a private key of a kind that cannot be used"))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // A key that cannot tell its public half is taken at its word.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Arc::new(certified))
            }
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(key_error(&format!("is not the key of {}", self.cert.display())))
            }
            Err(_) => {
                Err(CertificateError::Cert(of_file(&self.cert, "holds no certificate that can be used")))
            }
        }
    }
}

fn of_file(path: &Path, why: &str) -> String {
    format!("the file {} {why}", path.display())
}

fn read(surroundings: &dyn Surroundings, path: &Path) -> Result<String, String> {
    surroundings.read(path).map_err(|error| of_file(path, &format!("cannot be read: {error}")))
}

fn chain(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err("holds no certificate in PEM".to_owned()),
    }
}

/// The path of a file, as it was written.
#[derive(Clone)]
struct FilePath(PathBuf);

impl Setting for FilePath {
    const ALLOWED: &'static str = "the path of a PEM file";

    fn read(written: &Value) -> Option<Self> {
        written.as_str().filter(|path| !path.is_empty()).map(|path| Self(path.into()))
    }
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
        let (cert, key) = (reader.optional(&self.cert), reader.optional(&self.key));
        let Some(address) = reader.get(&self.listen, None) else {
            // Whoever writes a certificate means it; one that is kept for later says so.
            if let (Some(place), None) = (self.cert.place().or(self.key.place()), self.listen.place()) {
                let problem = "a certificate without rtmps.listen: write the address, or listen = \"off\"";
                reader.refuse(Some(place), problem.to_owned());
            }
            return Rtmps::default();
        };
        for (name, written) in [("cert", &self.cert), ("key", &self.key)] {
            if written.place().is_none() {
                reader.refuse(self.listen.place(), format!("needs rtmps.{name}, the path of a PEM file"));
            }
        }
        let Some((FilePath(cert), FilePath(key))) = cert.zip(key) else { return Rtmps::default() };
        let certificate = CertificateFiles { cert, key };
        match certificate.load_from(reader.surroundings) {
            Ok(_) => {}
            Err(CertificateError::Cert(why)) => reader.refuse(self.cert.place(), why),
            Err(CertificateError::Key(why)) => reader.refuse(self.key.place(), why),
        }
        Rtmps { listen: Some(RtmpsListen { address, certificate }) }
    }
}
