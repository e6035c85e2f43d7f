//! Authorities that are believed, and what they have revoked.
//!
//! Owns reading both. What follows from it for a peer is `verify`'s.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject as _;
use webpki::CertRevocationList;
use webpki::OwnedCertRevocationList;
use x509_parser::prelude::FromDer as _;

use crate::tls::facts;

/// The first byte of a list that is DER and not PEM: an ASN.1 sequence.
const SEQUENCE: u8 = 0x30;

/// Certificates of authorities, with lists of the certificates that they have revoked.
#[derive(Debug)]
pub struct Bundle {
    roots: RootCertStore,
    revoked: Vec<CertRevocationList<'static>>,
    /// When the first of the lists is to be replaced by a newer one.
    next_update: Option<SystemTime>,
}

/// Why a bundle cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The text is not PEM.
    #[error("it is not PEM: {0}")]
    Pem(String),
    /// There is no certificate in the text.
    #[error("there is no `-----BEGIN CERTIFICATE-----` in it")]
    NoCertificate,
    /// A certificate cannot be an authority's; the first is 1.
    #[error("certificate {place} cannot be used as an authority's: {reason}")]
    Unusable {
        /// Its place in the text.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no list in the text.
    #[error("there is no `-----BEGIN X509 CRL-----` in it")]
    NoList,
    /// A list cannot be used; the first is 1.
    #[error("list {place} of revoked certificates cannot be used: {reason}")]
    UnusableList {
        /// Its place in the text.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Bundle {
    /// Reads certificates as PEM.
    ///
    /// # Errors
    ///
    /// [`BundleError`]; one that cannot be used spoils all of them, for nobody would notice that it
    /// is left out.
    pub fn from_pem(text: &[u8]) -> Result<Self, BundleError> {
        let mut roots = RootCertStore::empty();
        for (place, der) in (1..).zip(CertificateDer::pem_slice_iter(text)) {
            let der = der.map_err(|err: pem::Error| BundleError::Pem(err.to_string()))?;
            roots.add(der).map_err(|err| BundleError::Unusable {
                place,
                reason: err.to_string(),
            })?;
        }
        if roots.is_empty() {
            return Err(BundleError::NoCertificate);
        }
        Ok(Self {
            roots,
            revoked: Vec::new(),
            next_update: None,
        })
    }

    /// With lists of revoked certificates (CRL, RFC 5280 §5), as PEM, or one as DER. Who has signed a
    /// list is found out with each certificate that it is about.
    ///
    /// # Errors
    ///
    /// [`BundleError`]; a list that cannot be used spoils all of it.
    pub fn with_revoked(mut self, lists: &[u8]) -> Result<Self, BundleError> {
        let lists = match lists.first() {
            Some(&SEQUENCE) => vec![CertificateRevocationListDer::from(lists)],
            _ => CertificateRevocationListDer::pem_slice_iter(lists)
                .collect::<Result<_, pem::Error>>()
                .map_err(|err| BundleError::Pem(err.to_string()))?,
        };
        if lists.is_empty() {
            return Err(BundleError::NoList);
        }
        for (place, der) in (1..).zip(lists) {
            let unusable = |reason| BundleError::UnusableList { place, reason };
            let list = OwnedCertRevocationList::from_der(&der)
                .map_err(|err| unusable(format!("{err:?}")))?;
            let next = next_update(&der).map_err(unusable)?;
            self.next_update = self.next_update.map_or(next, |first| {
                Some(next.map_or(first, |next| first.min(next)))
            });
            self.revoked.push(list.into());
        }
        Ok(self)
    }

    /// How many authorities it has.
    pub fn authorities(&self) -> usize {
        self.roots.len()
    }

    /// How many lists of revoked certificates it has.
    pub fn lists(&self) -> usize {
        self.revoked.len()
    }

    /// When the first of its lists is out of date: newer revocations are missing in it from then on.
    pub fn next_update(&self) -> Option<SystemTime> {
        self.next_update
    }

    pub(super) fn roots(&self) -> &RootCertStore {
        &self.roots
    }

    pub(super) fn revoked(&self) -> &[CertRevocationList<'static>] {
        &self.revoked
    }
}

/// Until when a list counts (RFC 5280 §5.1.2.5).
fn next_update(der: &[u8]) -> Result<Option<SystemTime>, String> {
    let (_, list) = x509_parser::revocation_list::CertificateRevocationList::from_der(der)
        .map_err(|err| err.to_string())?;
    Ok(list.next_update().map(|time| facts::time(time.timestamp())))
}

/// The authorities of the machine, read once: other files take effect with a restart.
pub(super) fn of_the_machine() -> Arc<Bundle> {
    static ROOTS: OnceLock<Arc<Bundle>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for err in &found.errors {
            tracing::warn!("some of the machine's authorities cannot be read: {err}");
        }
        let mut roots = RootCertStore::empty();
        let (used, ignored) = roots.add_parsable_certificates(found.certs);
        if used == 0 {
            tracing::warn!(
                "the machine has no authorities: no origin can be verified by them (is the package \
                 ca-certificates installed?)"
            );
        }
        tracing::debug!(used, ignored, "read the machine's authorities");
        Arc::new(Bundle {
            roots,
            revoked: Vec::new(),
            next_update: None,
        })
    });
    Arc::clone(roots)
}
