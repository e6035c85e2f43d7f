//! What is known of a client connection from its TLS handshake.

use std::sync::Arc;

use http::HeaderValue;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use tidegate_core::client_certificate;
use tidegate_core::client_certificate::Shown;

use crate::tls::Certificate;
use crate::tls::Facts;
use crate::tls::Trust;

/// A client connection's TLS.
#[derive(Debug)]
pub(crate) struct Secured {
    /// The name that the client asked for, lower case; empty if it named none.
    pub(crate) server_name: Box<str>,
    /// The version, as OpenSSL and Envoy call it.
    pub(crate) version: &'static str,
    /// What was asked of the client's certificate.
    pub(crate) trust: Arc<Trust>,
    /// What the client was shown.
    pub(crate) shown: Arc<Certificate>,
    /// The client's certificate, if it has one that is believed.
    pub(crate) client: Option<Box<ClientCertificate>>,
}

/// A client's certificate that was verified.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    pub(crate) facts: Facts,
    /// The element of X-Forwarded-Client-Cert.
    pub(crate) element: HeaderValue,
}

impl ClientCertificate {
    /// Reads a verified certificate; `shown` is what its owner was shown.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn of(leaf: &CertificateDer<'_>, shown: &Certificate) -> Result<Self, String> {
        let facts = Facts::of(leaf)?;
        let by = shown.facts().uris.first().map(|uri| &**uri);
        let element = client_certificate::element(
            by,
            &Shown {
                sha256: &facts.sha256,
                subject: &facts.subject,
                uris: &facts.uris,
                dns: &facts.dns,
            },
        );
        Ok(Self { facts, element })
    }
}

impl Secured {
    /// The element of X-Forwarded-Client-Cert for the client's certificate.
    pub(crate) fn element(&self) -> Option<&HeaderValue> {
        self.client.as_ref().map(|client| &client.element)
    }

    /// What OpenSSL and Envoy call a version.
    pub(crate) fn version_of(version: Option<ProtocolVersion>) -> &'static str {
        match version {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        }
    }
}
