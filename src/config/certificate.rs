//! Certificates of a port, and those that are trusted: files in PEM, read when they are configured, so that one that cannot
//! be used is told before a port is bound.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use toml::Value;

use super::reader::{Key, Reader, Setting};
use super::surroundings::{Surroundings, System};
use crate::base::trust;

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
        let chain = trust::certificates(&read(surroundings, &self.cert).map_err(CertificateError::Cert)?);
        let chain = chain.map_err(|why| CertificateError::Cert(of_file(&self.cert, &why.to_string())))?;
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

/// The path of a file, as it was written.
#[derive(Clone)]
pub(super) struct FilePath(pub(super) PathBuf);

impl Setting for FilePath {
    const ALLOWED: &'static str = "the path of a PEM file";

    fn read(written: &Value) -> Option<Self> {
        written.as_str().filter(|path| !path.is_empty()).map(|path| Self(path.into()))
    }
}

/// The two keys of a section that name a certificate.
pub(super) struct CertificateKeys<'a> {
    pub(super) cert: &'a Key<FilePath>,
    pub(super) key: &'a Key<FilePath>,
}

impl CertificateKeys<'_> {
    /// Looks at both files; a fault is told at the key whose file has it. `None` where one of the keys is not written, or
    /// no path.
    pub(super) fn mean(&self, reader: &mut Reader) -> Option<CertificateFiles> {
        let (cert, key) = (reader.optional(self.cert), reader.optional(self.key));
        let (FilePath(cert), FilePath(key)) = cert.zip(key)?;
        let files = CertificateFiles { cert, key };
        match files.load_from(reader.surroundings) {
            Ok(_) => {}
            Err(CertificateError::Cert(why)) => reader.refuse(self.cert.place(), why),
            Err(CertificateError::Key(why)) => reader.refuse(self.key.place(), why),
        }
        Some(files)
    }
}

/// Looks at a bundle of certificates that are to be trusted. `None` where it is not written, or no path.
pub(super) fn bundle(written: &Key<FilePath>, reader: &mut Reader) -> Option<PathBuf> {
    let FilePath(path) = reader.optional(written)?;
    let roots = read(reader.surroundings, &path)
        .and_then(|pem| trust::roots(&pem).map_err(|why| of_file(&path, &why.to_string())));
    if let Err(why) = roots {
        reader.refuse(written.place(), why);
    }
    Some(path)
}
