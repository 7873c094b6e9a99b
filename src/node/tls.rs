//! TLS towards the proxy: whom a node believes, and what is said of a proxy that it does not. Nothing but what was
//! configured counts: neither the system's roots nor a name that is only in a certificate's common name (RFC 9525 §2).

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::base::socket::Socket;
use crate::base::trust;

/// Names of a foreign certificate that are repeated.
const MAX_NAMES_SHOWN: usize = 5;

/// Which proxy to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// One whose certificate is for the address that is dialled, valid now, and issued by one of this PEM file.
    IssuedBy(PathBuf),
    /// One that shows the first certificate of this PEM file, whatever is in that: the node's own proxy, which shows
    /// the same file.
    Exactly(PathBuf),
}

impl Trust {
    fn path(&self) -> &Path {
        match self {
            Self::IssuedBy(path) | Self::Exactly(path) => path,
        }
    }
}

/// Why TLS did not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// The proxy's address has no name that a certificate could be for.
    #[error("{0} is no name that a certificate could be for")]
    NoName(String),
    /// What the proxy shows is not believed.
    #[error("the proxy's certificate {0}")]
    Certificate(String),
    /// Plain text, or anything else.
    #[error(
        "what answers there speaks no TLS: set fleet.tls_cert and fleet.tls_key on the proxy, or remove fleet.tls_ca here"
    )]
    NoTls,
    /// The connection broke, or the two have no version or cipher in common.
    #[error("TLS failed: {0}")]
    Failed(io::Error),
}

impl TlsError {
    /// Whether it stays so until someone changes a configuration or a certificate.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::NoName(_) | Self::Certificate(_) | Self::NoTls => true,
            Self::Failed(error) => error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
        }
    }

    /// What became of a handshake with `host`.
    fn new(error: io::Error, host: &str) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(why)) => Self::Certificate(explain(why, host)),
            Some(rustls::Error::InvalidMessage(_)) => Self::NoTls,
            Some(_) | None => Self::Failed(error),
        }
    }
}

/// What is wrong with a certificate, to follow "the proxy's certificate".
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls has many more, and adds some; its own words are good"
)]
fn explain(why: &CertificateError, host: &str) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; or this machine's clock is behind".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "was issued by none of those in fleet.tls_ca".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            // Names are foreign text, and there may be thousands. The library writes `DnsName("a")`.
            let bare = |name: &String| {
                let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
                inner.trim_matches('"').escape_debug().to_string()
            };
            let named: Vec<String> = presented.iter().take(MAX_NAMES_SHOWN).map(bare).collect();
            let named = if named.is_empty() { "no name".to_owned() } else { named.join(", ") };
            format!("is not for {host} but for {named}")
        }
        CertificateError::ApplicationVerificationFailure => "is not the one in fleet.tls_cert".to_owned(),
        CertificateError::NotValidForName => format!("is not for {host}"),
        other => match other.to_string() {
            // RFC 5280 §4.2.1.9; what `openssl req -x509` makes unless it is told otherwise.
            text if text.contains("CaUsedAsEndEntity") => {
                "is that of an authority, which may not be used by a server: make it with basicConstraints=CA:FALSE"
                    .to_owned()
            }
            text => format!("is not trusted: {text}"),
        },
    }
}

/// TLS as a node speaks it. The file is read again at every dial, so a new one is taken up without a restart.
#[derive(Debug)]
pub(super) struct Tls {
    trust: Trust,
    /// The text of the file that could last be used, and what was made of it.
    known: Mutex<(String, Arc<ClientConfig>)>,
}

impl Tls {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be read or holds no certificates.
    pub(super) fn load(trust: Trust) -> anyhow::Result<Self> {
        let (text, config) = read(&trust).with_context(|| {
            format!("{} holds no certificates that can be trusted", trust.path().display())
        })?;
        Ok(Self { trust, known: Mutex::new((text, config)) })
    }

    /// Shakes hands over a connection to `address`, which is `HOST:PORT`.
    pub(super) async fn connect(&self, address: &str, stream: TcpStream) -> Result<Socket, TlsError> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = match host.parse::<IpAddr>() {
            Ok(address) => ServerName::from(address.to_canonical()),
            Err(_) => ServerName::try_from(host.to_owned()).map_err(|_| TlsError::NoName(host.to_owned()))?,
        };
        let connecting = TlsConnector::from(self.config()).connect(name, stream);
        let stream = connecting.await.map_err(|error| TlsError::new(error, host))?;
        Ok(Socket::Tls(Box::new(stream.into())))
    }

    /// The configuration for the file as it is now. One that cannot be used any more, or is just being written, changes
    /// nothing. Reads a small file and holds the thread as long; a node dials once for each lease.
    fn config(&self) -> Arc<ClientConfig> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.trust) {
            Ok((text, _)) if text == known.0 => {}
            Ok(new) => {
                *known = new;
                tracing::info!(file = %self.trust.path().display(), "trusted certificates taken up");
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(file = %self.trust.path().display(), error, "trusted certificates cannot be read, the old ones stay in use");
            }
        }
        Arc::clone(&known.1)
    }
}

fn read(trust: &Trust) -> anyhow::Result<(String, Arc<ClientConfig>)> {
    let text = std::fs::read_to_string(trust.path()).context("cannot be read")?;
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let mut config = match trust {
        Trust::IssuedBy(_) => builder.with_root_certificates(trust::roots(&text)?).with_no_client_auth(),
        Trust::Exactly(_) => {
            let known = trust::certificates(&text)?.into_iter().next();
            let pinned = Arc::new(Pinned { known, provider });
            builder.dangerous().with_custom_certificate_verifier(pinned).with_no_client_auth()
        }
    };
    // The proxy resumes no session.
    config.resumption = Resumption::disabled();
    Ok((text, Arc::new(config)))
}

/// Believes one certificate. That the proxy has its key is proved by its signature as always.
#[derive(Debug)]
struct Pinned {
    known: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.known.as_ref() == Some(end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
