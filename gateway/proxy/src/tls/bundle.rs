//! Authorities that are believed.

use std::sync::Arc;
use std::sync::OnceLock;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject as _;

/// Certificates of authorities.
#[derive(Debug)]
pub struct Bundle {
    roots: RootCertStore,
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
        Ok(Self { roots })
    }

    /// How many authorities it has.
    pub fn authorities(&self) -> usize {
        self.roots.len()
    }
}

/// The authorities of several bundles; those that are missing have none.
pub(super) fn merged<'a>(bundles: impl Iterator<Item = &'a Arc<Bundle>>) -> RootCertStore {
    let mut all = RootCertStore::empty();
    for bundle in bundles {
        all.roots.extend(bundle.roots.roots.iter().cloned());
    }
    all
}

/// The authorities of the machine, read once: other files take effect with a restart.
pub(super) fn of_the_machine() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
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
        Arc::new(roots)
    });
    Arc::clone(roots)
}
