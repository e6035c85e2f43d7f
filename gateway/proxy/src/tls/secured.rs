//! What is known of a client connection from its TLS handshake.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderValue;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use tidegate_core::client_certificate;
use tidegate_core::client_certificate::Details;
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
    /// What the client sent as its certificate and those that lead to its authority.
    pub(crate) chain: Box<[CertificateDer<'static>]>,
    /// What was found out last about another trust than its own.
    pub(crate) rechecked: RefCell<Option<(Arc<Trust>, bool)>>,
}

/// A client's certificate that was verified.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    pub(crate) facts: Facts,
    /// The element of X-Forwarded-Client-Cert.
    pub(crate) element: HeaderValue,
}

impl ClientCertificate {
    /// Reads a verified certificate, the first of a chain; `shown` is what its owner was shown.
    /// `details` are what origins are told of it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn of(
        chain: &[CertificateDer<'_>],
        shown: &Certificate,
        details: Details,
    ) -> Result<Self, String> {
        let leaf = chain.first().ok_or("there is none")?;
        let facts = Facts::of(leaf)?;
        let chain: Vec<&[u8]> = chain.iter().map(|one| one.as_ref()).collect();
        let by = shown.facts().uris.first().map(|uri| &**uri);
        let element = client_certificate::element(
            by,
            &Shown {
                sha256: &facts.sha256,
                subject: &facts.subject,
                uris: &facts.uris,
                dns: &facts.dns,
                chain: &chain,
            },
            details,
        );
        Ok(Self { facts, element })
    }
}

impl Secured {
    /// The element of X-Forwarded-Client-Cert for the client's certificate.
    pub(crate) fn element(&self) -> Option<&HeaderValue> {
        self.client.as_ref().map(|client| &client.element)
    }

    /// Whether the connection would be begun in the same way by now: with the same trust, or with one
    /// that comes to the same for this client. Authorities and lists of what they have revoked change
    /// under connections; who is believed as before goes on.
    pub(crate) fn fits(&self, now: &Arc<Trust>) -> bool {
        if Arc::ptr_eq(now, &self.trust) {
            return true;
        }
        if let Some((known, fits)) = &*self.rechecked.borrow()
            && Arc::ptr_eq(known, now)
        {
            return *fits;
        }
        let fits = now.asks_like(&self.trust)
            && now.admits_again(&self.chain) == Some(self.client.is_some());
        self.rechecked.replace(Some((Arc::clone(now), fits)));
        fits
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
