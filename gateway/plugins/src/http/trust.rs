//! Which authorities a registry's certificate may be from.
//!
//! Owns the configuration of TLS: the machine's authorities, and those of a file in addition, so
//! that a registry of one's own may send us on to a store in the open.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::digest::Digest;

/// Most bytes of a file of authorities; that of a whole machine has 250 KiB.
const MAX_FILE: u64 = 4 << 20;

/// Authorities that are believed.
#[derive(Debug, Default)]
pub struct Trust {
    /// What a file adds, ready for handshakes, and the digest of its text.
    file: Option<(Arc<ClientConfig>, Digest)>,
}

/// Why a file gives no authorities.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It cannot be read.
    #[error("cannot read the authorities in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not a list of certificates as PEM.
    #[error("{path} is no list of authorities: {reason}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Setup {
        /// The reason.
        #[source]
        source: rustls::Error,
    },
}

impl Trust {
    /// The machine's authorities. They are read when the first of them is needed; a machine without
    /// any is no error: nothing is believed then.
    #[must_use]
    pub const fn system() -> Self {
        Self { file: None }
    }

    /// The machine's authorities and those of a file (PEM).
    ///
    /// # Errors
    ///
    /// [`TrustError`] names the file.
    pub fn with_file(path: &Path) -> Result<Self, TrustError> {
        let mut text = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text))
            .map_err(|source| TrustError::Read {
                path: path.to_owned(),
                source,
            })?;
        let form = |reason: String| TrustError::Form {
            path: path.to_owned(),
            reason,
        };
        if text.len() as u64 > MAX_FILE {
            return Err(form(format!("it has more than {MAX_FILE} bytes")));
        }
        let mut roots = system_roots().clone();
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|err| form(err.to_string()))?;
            roots
                .add(certificate)
                .map_err(|err| form(err.to_string()))?;
        }
        if roots.len() == before {
            return Err(form("there is no certificate in it".to_owned()));
        }
        let config = config(roots).map_err(|source| TrustError::Setup { source })?;
        Ok(Self {
            file: Some((config, Digest::of(&text))),
        })
    }

    /// Whether the same authorities are believed, so that a connection serves both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let digest = |it: &Self| it.file.as_ref().map(|(_, digest)| *digest);
        digest(self) == digest(other)
    }

    /// What handshakes are made with. That of the machine is one for all, so that sessions are
    /// resumed from pull to pull.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some((config, _)) = &self.file {
            return Ok(Arc::clone(config));
        }
        if let Some(config) = SYSTEM.get() {
            return Ok(Arc::clone(config));
        }
        let config = config(system_roots().clone())?;
        Ok(Arc::clone(SYSTEM.get_or_init(|| config)))
    }

    /// What a failed handshake may be due to, said after a separator.
    pub(crate) fn hint(&self) -> &'static str {
        if self.file.is_none() && system_roots().is_empty() {
            ": this machine has no authorities that could be believed; install ca-certificates, or \
             name the authority of this host in a file (--registry-ca)"
        } else {
            ": if its authority is one of your own, name its file for this host (--registry-ca)"
        }
    }
}

fn config(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Read once: they cost milliseconds, and a machine's authorities change with its updates.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        roots
    })
}

#[cfg(test)]
mod tests {
    use super::Trust;

    #[test]
    fn a_file_without_authorities_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("no.pem");
        let err = Trust::with_file(&missing).expect_err("missing").to_string();
        assert!(err.ends_with("no.pem"), "{err}");
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing").expect("written");
        let err = Trust::with_file(&empty).expect_err("empty").to_string();
        assert!(err.contains("there is no certificate in it"), "{err}");
    }
}
