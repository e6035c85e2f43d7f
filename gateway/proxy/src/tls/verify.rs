//! Whether a peer's certificate is believed.
//!
//! Owns two rules on top of webpki's: clients may be asked for a certificate without needing one,
//! and origins may be recognised by a list of names instead of the host name.

use std::sync::Arc;

use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::client::verify_server_name;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::ParsedCertificate;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use tidegate_core::tls::SubjectAltName;

use crate::tls::Facts;
use crate::tls::provider;

/// With more authorities than this, clients are not told their names: the list would not fit what
/// some clients read.
const MAX_HINTS: usize = 64;

/// Verifies clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    /// `None`: nobody is believed.
    strict: Option<Arc<dyn ClientCertVerifier>>,
    optional: bool,
}

impl ClientVerifier {
    /// Believes those that one of these authorities has signed; with `optional`, clients without
    /// a certificate and with one that is not believed may go on, as clients without one.
    pub(super) fn new(roots: RootCertStore, optional: bool) -> Self {
        let many = roots.len() > MAX_HINTS;
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider()));
        let builder = if many {
            builder.clear_root_hint_subjects()
        } else {
            builder
        };
        // It fails without authorities only.
        let strict = builder.build().ok();
        Self { strict, optional }
    }

    /// Whether a certificate is believed, now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let nobody = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let strict = self.strict.as_ref().ok_or(nobody)?;
        strict
            .verify_client_cert(leaf, others, UnixTime::now())
            .map(|_| ())
    }

    /// Whether clients may go on without a certificate that is believed.
    pub(super) fn is_optional(&self) -> bool {
        self.optional
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict
            .as_ref()
            .map_or(&[], |strict| strict.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !self.optional {
            self.check(leaf, others)?;
        }
        // Optional ones are checked once the handshake is over, to know what to make of them.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Verifies origins.
#[derive(Debug)]
pub(super) struct OriginVerifier {
    pub(super) roots: Arc<RootCertStore>,
    /// Nothing is verified.
    pub(super) anybody: bool,
    /// If any: one of these must be among the names, instead of the host name.
    pub(super) names: Vec<SubjectAltName>,
}

impl ServerCertVerifier for OriginVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.anybody {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(leaf)?;
        let all = algorithms().all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, others, now, all)?;
        if self.names.is_empty() {
            verify_server_name(&parsed, host)?;
        } else {
            let bad = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
            let facts = Facts::of(leaf).map_err(bad)?;
            if !self.names.iter().any(|name| is_among(name, &facts)) {
                let wrong = CertificateError::NotValidForName;
                return Err(Error::InvalidCertificate(wrong));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    &provider().signature_verification_algorithms
}

fn is_among(wanted: &SubjectAltName, facts: &Facts) -> bool {
    match wanted {
        SubjectAltName::Uri(uri) => facts.uris.iter().any(|known| **known == **uri),
        SubjectAltName::Dns(name) => {
            let name = name.to_ascii_lowercase();
            facts
                .dns
                .iter()
                .any(|known| covers(known, &name) || covers(&name, known))
        }
    }
}

/// Whether a name, or one with `*` as its first label, is or covers a host (RFC 9525 §6.3).
pub(super) fn covers(name: &str, host: &str) -> bool {
    name == host
        || name.strip_prefix("*.").is_some_and(|parent| {
            let below = host.split_once('.');
            below.is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
        })
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_covers_one_label() {
        for (name, host, expected) in [
            ("a.test", "a.test", true),
            ("*.a.test", "b.a.test", true),
            ("*.a.test", "a.test", false),
            ("*.a.test", "c.b.a.test", false),
            ("*.a.test", ".a.test", false),
            ("*", "test", false),
        ] {
            assert_eq!(covers(name, host), expected, "{name} {host}");
        }
    }
}
