//! Certificates that are trusted, from PEM (RFC 7468). Nothing else is: what the system trusts does not count.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why a file is no bundle of certificates; to follow the file's name. Nothing of the file is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTrusted {
    /// No certificate, or something that is broken.
    #[error("holds no certificate in PEM")]
    NoPem,
    /// A certificate that cannot be understood.
    #[error("holds a certificate that cannot be used")]
    BadCertificate,
}

/// The certificates of a text, at least one.
///
/// # Errors
/// When it holds none, or one that is broken.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, NotTrusted> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or(NotTrusted::NoPem)
}

/// All of them as roots: certificates that one of these issued are trusted.
///
/// # Errors
/// As for [`certificates`], and when one is none.
pub fn roots(pem: &str) -> Result<RootCertStore, NotTrusted> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|_| NotTrusted::BadCertificate)?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pem: &str, expected: Result<usize, NotTrusted>) {
        assert_eq!(roots(pem).map(|roots| roots.len()), expected, "{pem}");
    }

    #[test]
    fn a_bundle_is_trusted_whole_or_not_at_all() {
        let made = || rcgen::generate_simple_self_signed(vec!["proxy".to_owned()]).expect("ring makes keys");
        let (one, other) = (made(), made());
        let (one, other, key) = (one.cert.pem(), other.cert.pem(), one.signing_key.serialize_pem());
        check(&one, Ok(1));
        check(&format!("issued by ourselves\n{one}\n{other}"), Ok(2));
        check(&format!("{key}{one}"), Ok(1));
        check("", Err(NotTrusted::NoPem));
        check(&key, Err(NotTrusted::NoPem));
        check(
            &format!("{one}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
            Err(NotTrusted::NoPem),
        );
        let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        check(&format!("{one}{broken}"), Err(NotTrusted::BadCertificate));
    }
}
