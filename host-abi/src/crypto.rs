//! What the foreign functions `verify_signature` and `sign` need from the embedder.
//!
//! Owns the one trait behind which the cryptography is, so that this crate links none and the
//! embedder's choice of library holds for its guests too.

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

/// Why a signature was not made or is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CryptoError {
    /// The key cannot be read: the guest gets BAD_ARGUMENT.
    Key,
    /// The library has no such pair of key and hash: the guest hears that it is not supported.
    Unsupported,
    /// The signature is not that of the text and the key.
    Mismatch,
    /// The library failed.
    Failed,
}

/// Signatures (Envoy's foreign functions `verify_signature` and `sign`).
///
/// What the kind of signature is follows from the key: PKCS#1 v1.5 for RSA, ASN.1 for ECDSA.
pub trait Crypto {
    /// Checks the signature of a text by a public key in DER (SubjectPublicKeyInfo).
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

    /// Signs a text by a private key in DER (PKCS#8, or what its algorithm had before that).
    ///
    /// # Errors
    /// [`CryptoError`] says whose fault it is.
    fn sign(&self, hash: Hash, private_key: &[u8], text: &[u8]) -> Result<Vec<u8>, CryptoError>;
}
