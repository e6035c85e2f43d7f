//! What the foreign functions `verify_signature`, `sign` and `tidegate.verify` need from the embedder.
//!
//! Owns the one trait behind which the cryptography is, so that this crate links none and the
//! embedder's choice of library holds for its guests too.

use std::fmt;

/// A hash function as Envoy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// `sha1`
    Sha1,
    /// `sha224`
    Sha224,
    /// `sha256`
    Sha256,
    /// `sha384`
    Sha384,
    /// `sha512`
    Sha512,
}

impl Hash {
    /// The function of that name, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let known = [
            ("sha1", Self::Sha1),
            ("sha224", Self::Sha224),
            ("sha256", Self::Sha256),
            ("sha384", Self::Sha384),
            ("sha512", Self::Sha512),
        ];
        let found = known.iter().find(|(of, _)| name.eq_ignore_ascii_case(of));
        found.map(|(_, hash)| *hash)
    }
}

/// A signature algorithm of JSON Web Signatures (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JwsAlgorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    Rs256,
    /// RSA, PKCS#1 v1.5, SHA-384.
    Rs384,
    /// RSA, PKCS#1 v1.5, SHA-512.
    Rs512,
    /// RSA, PSS, SHA-256; the salt is as long as the hash.
    Ps256,
    /// RSA, PSS, SHA-384; the salt is as long as the hash.
    Ps384,
    /// RSA, PSS, SHA-512; the salt is as long as the hash.
    Ps512,
    /// ECDSA, P-256, SHA-256.
    Es256,
    /// ECDSA, P-384, SHA-384.
    Es384,
    /// ECDSA, P-521, SHA-512.
    Es512,
    /// Ed25519; Ed448 is not among them.
    EdDsa,
    /// HMAC, SHA-256.
    Hs256,
    /// HMAC, SHA-384.
    Hs384,
    /// HMAC, SHA-512.
    Hs512,
}

impl JwsAlgorithm {
    /// The algorithm of that number in the arguments of `tidegate.verify`.
    pub(crate) const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Rs256,
            2 => Self::Rs384,
            3 => Self::Rs512,
            4 => Self::Ps256,
            5 => Self::Ps384,
            6 => Self::Ps512,
            7 => Self::Es256,
            8 => Self::Es384,
            9 => Self::Es512,
            10 => Self::EdDsa,
            11 => Self::Hs256,
            12 => Self::Hs384,
            13 => Self::Hs512,
            _ => return None,
        })
    }
}

/// The key of a JSON Web Signature. Its shape is that of its algorithm; whether a point is on its
/// curve is for the library to say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum JwsKey<'a> {
    /// RSA: 2048 to 8192 bits, an odd exponent from 3 to 2^32, both big-endian without zeros in
    /// front.
    Rsa {
        /// The modulus.
        modulus: &'a [u8],
        /// The public exponent.
        exponent: &'a [u8],
    },
    /// ECDSA: the point, uncompressed (SEC 1 section 2.3.3).
    Point(&'a [u8]),
    /// Ed25519: the 32 bytes of the public key.
    Ed25519(&'a [u8]),
    /// HMAC: the secret, not empty.
    Secret(&'a [u8]),
}

impl fmt::Debug for JwsKey<'_> {
    /// The kind only: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa { .. } => "Rsa",
            Self::Point(_) => "Point",
            Self::Ed25519(_) => "Ed25519",
            Self::Secret(_) => "Secret",
        })
    }
}

/// Why a signature was not made or is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CryptoError {
    /// The key cannot be read: the guest gets BAD_ARGUMENT.
    Key,
    /// The library has no such pair of key and hash, or no such algorithm: the guest hears that it
    /// is not supported, from `tidegate.verify` by NOT_FOUND.
    Unsupported,
    /// The signature is not that of the text and the key.
    Mismatch,
    /// The library failed.
    Failed,
}

/// Signatures for guests.
pub trait Crypto {
    /// Checks the signature of a text by a public key in DER (SubjectPublicKeyInfo), for Envoy's
    /// `verify_signature`. What the kind of signature is follows from the key: PKCS#1 v1.5 for RSA,
    /// ASN.1 for ECDSA.
    ///
    /// # Errors
    /// [`CryptoError`] says whose fault it is.
    fn verify(
        &self,
        hash: Hash,
        public_key: &[u8],
        signature: &[u8],
        text: &[u8],
    ) -> Result<(), CryptoError>;

    /// Signs a text by a private key in DER (PKCS#8, or what its algorithm had before that), for
    /// Envoy's `sign`, which makes the kinds of signatures that `verify` checks.
    ///
    /// # Errors
    /// [`CryptoError`] says whose fault it is.
    fn sign(&self, hash: Hash, private_key: &[u8], text: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Checks a JSON Web Signature in the form that RFC 7518 gives it (ECDSA: r and s, each as long
    /// as the curve's order), for `tidegate.verify`. Secrets are compared in constant time. A
    /// signature of a wrong length is a mismatch.
    ///
    /// # Errors
    /// [`CryptoError`] says whose fault it is.
    fn verify_jws(
        &self,
        algorithm: JwsAlgorithm,
        key: JwsKey<'_>,
        signature: &[u8],
        text: &[u8],
    ) -> Result<(), CryptoError>;
}
