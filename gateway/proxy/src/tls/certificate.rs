//! Certificates with their keys, as servers and clients show them.
//!
//! Owns the checks before one is used: that it can be read, that chain and key belong together.
//! Dates and purpose are questions of their own, for what has served before is not taken away.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;

use crate::tls::Facts;
use crate::tls::provider;

/// No chain is longer.
const MAX_CHAIN: usize = 16;

/// A certificate with its chain and key. Its `Debug` shows no key.
pub struct Certificate {
    key: Arc<CertifiedKey>,
    facts: Facts,
    /// Those that follow do not lead from one to the next.
    disordered: bool,
}

/// Why a certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is no certificate in the text.
    #[error("there is no `-----BEGIN CERTIFICATE-----` in it")]
    NoCertificate,
    /// The text is not PEM.
    #[error("it is not PEM: {0}")]
    Pem(String),
    /// A certificate of the chain cannot be read; the first is 1.
    #[error("certificate {place} of the chain cannot be read: {reason}")]
    Unreadable {
        /// Its place in the chain.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The chain is too long.
    #[error("the chain has {0} certificates; at most {MAX_CHAIN} are shown")]
    LongChain(usize),
    /// There is no key in the text.
    #[error(
        "the key file has no private key: `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`"
    )]
    NoKey,
    /// The key is encrypted.
    #[error("the private key is encrypted; a gateway cannot be asked for a password")]
    EncryptedKey,
    /// The key is not one that can sign.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// Key and certificate are not a pair.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// The key belongs to another certificate of the chain.
    #[error("the private key belongs to certificate {0} of the chain; its own must come first")]
    NotFirst(usize),
    /// It has expired.
    #[error("it expired on {0}")]
    Expired(String),
    /// It is not good yet.
    #[error("it is not valid before {0}")]
    NotYet(String),
    /// It is not made for servers.
    #[error("its purpose (extended key usage) does not include servers: clients would refuse it")]
    NotForServers,
    /// It is not made for clients.
    #[error("its purpose (extended key usage) does not include clients: origins would refuse it")]
    NotForClients,
}

impl Certificate {
    /// Reads a certificate with those that lead to its authority, and its private key, as PEM.
    ///
    /// # Errors
    ///
    /// [`CertificateError`]. Dates and purpose are not looked at: see [`Certificate::check_dates`],
    /// [`Certificate::check_for_servers`] and [`Certificate::check_for_clients`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, pem::Error>>()
            .map_err(|err| CertificateError::Pem(err.to_string()))?;
        let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
        if chain.len() > MAX_CHAIN {
            return Err(CertificateError::LongChain(chain.len()));
        }
        let unreadable = |place: usize, reason| CertificateError::Unreadable { place, reason };
        let facts = Facts::of(leaf).map_err(|reason| unreadable(1, reason))?;
        for (place, other) in (2..).zip(chain.iter().skip(1)) {
            Facts::of(other).map_err(|reason| unreadable(place, reason))?;
        }
        let mut pairs = chain.iter().zip(chain.iter().skip(1));
        let disordered = pairs.any(|(issued, issuer)| !Facts::follows(issued, issuer));
        let key = signing_key(key)?;
        let place_of_pair = |at: usize| {
            let alone = chain.get(at).cloned().into_iter().collect();
            CertifiedKey::new(alone, Arc::clone(&key)).keys_match()
        };
        match place_of_pair(0) {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let other = (1..chain.len()).find(|at| place_of_pair(*at).is_ok());
                return Err(other.map_or(CertificateError::Mismatch, |at| {
                    CertificateError::NotFirst(at + 1)
                }));
            }
            Err(err) => return Err(unreadable(1, err.to_string())),
        }
        Ok(Self {
            key: Arc::new(CertifiedKey::new(chain, key)),
            facts,
            disordered,
        })
    }

    /// Whether it is good at that time.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Expired`] or [`CertificateError::NotYet`].
    pub fn check_dates(&self, now: SystemTime) -> Result<(), CertificateError> {
        if now > self.facts.not_after {
            return Err(CertificateError::Expired(date(self.facts.not_after)));
        }
        if now < self.facts.not_before {
            return Err(CertificateError::NotYet(date(self.facts.not_before)));
        }
        Ok(())
    }

    /// Whether clients would take it from a server.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NotForServers`].
    pub fn check_for_servers(&self) -> Result<(), CertificateError> {
        let fits = self.facts.for_servers;
        fits.then_some(()).ok_or(CertificateError::NotForServers)
    }

    /// Whether servers would take it from a client.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NotForClients`].
    pub fn check_for_clients(&self) -> Result<(), CertificateError> {
        let fits = self.facts.for_clients;
        fits.then_some(()).ok_or(CertificateError::NotForClients)
    }

    /// What clients may stumble over, though it can be served; `None` if nothing is known.
    pub fn doubt(&self) -> Option<&'static str> {
        let bare = self.key.cert.len() == 1;
        if bare && self.facts.names_issuer_place && !self.facts.self_issued {
            return Some(
                "the chain has no intermediate certificate: clients that do not have it cannot \
                 verify the certificate",
            );
        }
        self.disordered.then_some(
            "the chain is out of order: each certificate must be followed by its issuer's",
        )
    }

    /// Until when it is good.
    pub fn not_after(&self) -> SystemTime {
        self.facts.not_after
    }

    /// The subject, as RFC 2253 writes it.
    pub fn subject(&self) -> &str {
        &self.facts.subject
    }

    /// The DNS names that it is for, lower case, `*.` for one label included.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.facts.dns.iter().map(|name| &**name)
    }

    /// SHA-256 of the certificate itself, without its chain.
    pub fn sha256(&self) -> [u8; 32] {
        self.facts.sha256
    }

    /// Chain and key, for handshakes.
    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// What it says.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

fn signing_key(text: &[u8]) -> Result<Arc<dyn rustls::sign::SigningKey>, CertificateError> {
    const ENCRYPTED: &[u8] = b"ENCRYPTED";
    let key = PrivateKeyDer::from_pem_slice(text).map_err(|err| match err {
        pem::Error::NoItemsFound if memchr::memmem::find(text, ENCRYPTED).is_some() => {
            CertificateError::EncryptedKey
        }
        pem::Error::NoItemsFound => CertificateError::NoKey,
        other => CertificateError::Key(format!("it is not PEM: {other}")),
    })?;
    let keys = provider().key_provider;
    keys.load_private_key(key).map_err(|err| {
        let encrypted = memchr::memmem::find(text, b"Proc-Type: 4,ENCRYPTED").is_some();
        if encrypted {
            CertificateError::EncryptedKey
        } else {
            CertificateError::Key(err.to_string())
        }
    })
}

/// A time as text, to the second.
fn date(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    tidegate_core::time::rfc3339(since.as_secs().saturating_mul(1000))
}
