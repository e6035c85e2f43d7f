//! Public keys, as cosign, openssl and key management services write them.
//!
//! Owns which algorithms count. The key decides, never what a signature says of itself.

use std::fmt;

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1;
use aws_lc_rs::signature::ECDSA_P384_SHA256_ASN1;
use aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1;
use aws_lc_rs::signature::ED25519;
use aws_lc_rs::signature::ParsedPublicKey;
use aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
use aws_lc_rs::signature::RSA_PSS_2048_8192_SHA256;
use aws_lc_rs::signature::VerificationAlgorithm;
use rustls_pki_types::pem;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::pem::SectionKind;

/// Most bytes of a file with a key.
pub const MAX_KEY_BYTES: usize = 64 << 10;

/// The algorithms of each sort of key: what cosign and others sign with it by default. Elder cosigns
/// hash with SHA-256 whatever the curve is.
const SORTS: [(&str, &[&dyn VerificationAlgorithm]); 4] = [
    ("ECDSA P-256", &[&ECDSA_P256_SHA256_ASN1]),
    (
        "ECDSA P-384",
        &[&ECDSA_P384_SHA384_ASN1, &ECDSA_P384_SHA256_ASN1],
    ),
    ("Ed25519", &[&ED25519]),
    (
        "RSA",
        &[&RSA_PKCS1_2048_8192_SHA256, &RSA_PSS_2048_8192_SHA256],
    ),
];

/// A key that the operator believes.
#[derive(Clone)]
pub struct Key {
    name: String,
    sort: &'static str,
    /// The same key, once for each algorithm that counts.
    by_algorithm: Vec<ParsedPublicKey>,
}

/// Why a text is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret lies where it does not belong.
    #[error(
        "it holds a private key: only the public one belongs here (`cosign public-key --key FILE` \
         prints it)"
    )]
    Private,
    /// It is a certificate.
    #[error(
        "it holds a certificate: the public key is wanted (`openssl x509 -pubkey -noout` prints it)"
    )]
    Certificate,
    /// There is no key in it.
    #[error("it holds no `-----BEGIN PUBLIC KEY-----`: cosign calls that file cosign.pub")]
    None,
    /// There are several.
    #[error("it holds {count} keys: give each a file of its own")]
    Several {
        /// How many.
        count: usize,
    },
    /// It is damaged.
    #[error("it is no PEM: {reason}")]
    Pem {
        /// What is wrong.
        reason: String,
    },
    /// It is of another sort, or damaged.
    #[error(
        "its key cannot be used: ECDSA (P-256, P-384), Ed25519 and RSA (2048 to 8192 bits) can"
    )]
    Sort,
}

impl Key {
    /// The only public key in a text, PEM (`SubjectPublicKeyInfo`). Errors and reports call it `name`.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn from_pem(name: impl Into<String>, text: &[u8]) -> Result<Self, KeyError> {
        // Some forms of private keys have names that no parser knows.
        if contains(text, b"PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let mut keys = Vec::new();
        let mut has_certificate = false;
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            let (kind, der) = section.map_err(|err: pem::Error| KeyError::Pem {
                reason: err.to_string(),
            })?;
            match kind {
                SectionKind::PublicKey => keys.push(der),
                SectionKind::Certificate => has_certificate = true,
                _ => {}
            }
        }
        match keys.as_slice() {
            [] if has_certificate => Err(KeyError::Certificate),
            [] => Err(KeyError::None),
            [der] => Self::from_der(name.into(), der),
            several => Err(KeyError::Several {
                count: several.len(),
            }),
        }
    }

    fn from_der(name: String, der: &[u8]) -> Result<Self, KeyError> {
        for (sort, algorithms) in SORTS {
            let parsed = algorithms
                .iter()
                .map(|algorithm| ParsedPublicKey::new(*algorithm, der));
            let Ok(by_algorithm) = parsed.collect::<Result<Vec<_>, _>>() else {
                continue;
            };
            // A short key would be found out with the first signature only.
            if sort == "RSA" && PublicEncryptingKey::from_der(der).is_err() {
                return Err(KeyError::Sort);
            }
            return Ok(Self {
                name,
                sort,
                by_algorithm,
            });
        }
        Err(KeyError::Sort)
    }

    /// What the operator calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it made this signature of this message.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut keys = self.by_algorithm.iter();
        keys.any(|key| key.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.name, self.sort)
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
