//! Whether a peer's certificate is believed.
//!
//! Owns three rules on top of webpki's: each bundle has its own lists of what is revoked, clients may
//! be asked for a certificate without needing one, and origins may be recognised by a list of names
//! instead of the host name. OCSP is not asked: a peer would wait for a third party.

use std::sync::Arc;

use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::OtherError;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use tidegate_core::tls::SubjectAltName;
use webpki::CertRevocationList;
use webpki::EndEntityCert;
use webpki::ExpirationPolicy;
use webpki::KeyUsage;
use webpki::RevocationCheckDepth;
use webpki::RevocationOptionsBuilder;
use webpki::UnknownStatusPolicy;

use crate::tls::Bundle;
use crate::tls::Facts;
use crate::tls::provider;

/// With more authorities than this, clients are not told their names: the list would not fit what
/// some clients read.
const MAX_HINTS: usize = 64;

/// Who is believed.
#[derive(Debug)]
pub(super) struct Authorities(Vec<Arc<Bundle>>);

impl Authorities {
    /// Those of several bundles; those that are missing have none.
    pub(super) fn new(bundles: Vec<Option<Arc<Bundle>>>) -> Self {
        Self(bundles.into_iter().flatten().collect())
    }

    /// Whether one of them has signed a certificate, itself or through `others`, and none has revoked
    /// it. The lists of a bundle are for its own authorities.
    fn believe(
        &self,
        leaf: &EndEntityCert<'_>,
        others: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), Error> {
        let may_revoke = self.0.iter().any(|bundle| !bundle.revoked().is_empty());
        let mut is_believed = false;
        let mut refused = webpki::Error::UnknownIssuer;
        for bundle in &self.0 {
            match within(bundle, leaf, others, usage, now) {
                Ok(()) if !may_revoke => return Ok(()),
                Ok(()) => is_believed = true,
                // Whoever else believes it.
                Err(webpki::Error::CertRevoked) => return Err(error(webpki::Error::CertRevoked)),
                Err(webpki::Error::UnknownIssuer) => {}
                Err(other) => refused = other,
            }
        }
        if is_believed {
            Ok(())
        } else {
            Err(error(refused))
        }
    }

    /// Their names; none if there are too many.
    fn hints(&self) -> Vec<DistinguishedName> {
        let all = self.0.iter().flat_map(|bundle| bundle.roots().subjects());
        let hints: Vec<_> = all.take(MAX_HINTS + 1).collect();
        if hints.len() > MAX_HINTS {
            return Vec::new();
        }
        hints
    }
}

/// Whether an authority of a bundle has signed a certificate. With lists of what is revoked, each
/// certificate on the way must be about to be found in one, were it revoked; a list that is out of date
/// counts on.
fn within(
    bundle: &Bundle,
    leaf: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    usage: KeyUsage,
    now: UnixTime,
) -> Result<(), webpki::Error> {
    let lists: Vec<&CertRevocationList<'_>> = bundle.revoked().iter().collect();
    // It fails without lists only.
    let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
        options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Ignore)
            .build()
    });
    let (all, roots) = (algorithms().all, &bundle.roots().roots);
    leaf.verify_for_usage(all, roots, others, now, usage, revocation, None)
        .map(|_| ())
}

/// The library's words for what webpki says, as far as something depends on them.
fn error(err: webpki::Error) -> Error {
    use webpki::Error as Reason;
    Error::InvalidCertificate(match err {
        Reason::BadDer | Reason::BadDerTime | Reason::TrailingData(_) => {
            CertificateError::BadEncoding
        }
        Reason::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Reason::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Reason::InvalidCertValidity => CertificateError::Expired,
        Reason::UnknownIssuer => CertificateError::UnknownIssuer,
        Reason::CertNotValidForName(context) => CertificateError::NotValidForNameContext {
            expected: context.expected,
            presented: context.presented,
        },
        Reason::CertRevoked => CertificateError::Revoked,
        Reason::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Reason::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Reason::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

/// Verifies clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    authorities: Authorities,
    hints: Vec<DistinguishedName>,
    optional: bool,
}

impl ClientVerifier {
    /// Believes those that one of these authorities has signed; with `optional`, clients without
    /// a certificate and with one that is not believed may go on, as clients without one.
    pub(super) fn new(authorities: Authorities, optional: bool) -> Self {
        Self {
            hints: authorities.hints(),
            authorities,
            optional,
        }
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
        let leaf = EndEntityCert::try_from(leaf).map_err(error)?;
        let usage = KeyUsage::client_auth();
        self.authorities
            .believe(&leaf, others, usage, UnixTime::now())
    }

    /// Whether clients may go on without a certificate that is believed.
    pub(super) fn is_optional(&self) -> bool {
        self.optional
    }
}

/// How signatures of a handshake are verified, whoever made them.
macro_rules! signatures {
    () => {
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
    };
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
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

    signatures!();
}

/// Verifies origins.
#[derive(Debug)]
pub(super) struct OriginVerifier {
    pub(super) authorities: Authorities,
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
        let parsed = EndEntityCert::try_from(leaf).map_err(error)?;
        self.authorities
            .believe(&parsed, others, KeyUsage::server_auth(), now)?;
        if self.names.is_empty() {
            let named = parsed.verify_is_valid_for_subject_name(host);
            named.map_err(error)?;
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

    signatures!();
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
