//! Signatures for filters, on aws-lc: Envoy's foreign functions `verify_signature` and `sign`, and
//! our own `tidegate.verify`.
//!
//! Owns which kind of signature a key makes: PKCS#1 v1.5 for RSA, ASN.1 for ECDSA, as OpenSSL's
//! defaults are. Pairs of key and hash that the library has not are said to be unsupported.

mod jws;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::EcdsaSigningAlgorithm;
use aws_lc_rs::signature::RsaEncoding;
use aws_lc_rs::signature::UnparsedPublicKey;
use aws_lc_rs::signature::VerificationAlgorithm;
use tidegate_host_abi::Crypto;
use tidegate_host_abi::CryptoError;
use tidegate_host_abi::Hash;
use tidegate_host_abi::JwsAlgorithm;
use tidegate_host_abi::JwsKey;

/// The gateway's cryptography, for its filters.
#[derive(Debug, Clone, Copy)]
pub struct AwsLc;

impl Crypto for AwsLc {
    fn verify(
        &self,
        hash: Hash,
        public_key: &[u8],
        signature: &[u8],
        text: &[u8],
    ) -> Result<(), CryptoError> {
        let kind = Kind::of(public_key).ok_or(CryptoError::Key)?;
        let algorithm = kind.verification(hash).ok_or(CryptoError::Unsupported)?;
        let key = UnparsedPublicKey::new(algorithm, public_key).parse();
        let key = key.map_err(|_| CryptoError::Key)?;
        let verified = key.verify_sig(text, signature);
        verified.map_err(|_| CryptoError::Mismatch)
    }

    fn sign(&self, hash: Hash, private_key: &[u8], text: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let rsa =
            RsaKeyPair::from_pkcs8(private_key).or_else(|_| RsaKeyPair::from_der(private_key));
        if let Ok(key) = rsa {
            return sign_rsa(&key, hash, text);
        }
        for (kind, hashes) in CURVES {
            let of = |algorithm| {
                EcdsaKeyPair::from_pkcs8(algorithm, private_key)
                    .or_else(|_| EcdsaKeyPair::from_private_key_der(algorithm, private_key))
                    .ok()
            };
            let Some((_, any)) = hashes.first() else {
                continue;
            };
            if of(any).is_none() {
                continue;
            }
            let found = hashes.iter().find(|(of, _)| *of == hash);
            let (_, algorithm) = found.ok_or(CryptoError::Unsupported)?;
            let key = of(algorithm).ok_or(CryptoError::Key)?;
            let signed = key.sign(&SystemRandom::new(), text);
            tracing::trace!(?kind, "signed for a filter");
            return signed
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| CryptoError::Failed);
        }
        Err(CryptoError::Key)
    }

    fn verify_jws(
        &self,
        algorithm: JwsAlgorithm,
        key: JwsKey<'_>,
        signature: &[u8],
        text: &[u8],
    ) -> Result<(), CryptoError> {
        jws::verify(algorithm, key, signature, text)
    }
}

fn sign_rsa(key: &RsaKeyPair, hash: Hash, text: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let padding: &dyn RsaEncoding = match hash {
        Hash::Sha256 => &signature::RSA_PKCS1_SHA256,
        Hash::Sha384 => &signature::RSA_PKCS1_SHA384,
        Hash::Sha512 => &signature::RSA_PKCS1_SHA512,
        Hash::Sha1 | Hash::Sha224 => return Err(CryptoError::Unsupported),
    };
    let mut out = vec![0; key.public_modulus_len()];
    let signed = key.sign(padding, &SystemRandom::new(), text, &mut out);
    signed.map(|()| out).map_err(|_| CryptoError::Failed)
}

/// The kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    P521,
    Secp256k1,
}

/// The hashes that sign with each curve.
const CURVES: &[(Kind, &[(Hash, &EcdsaSigningAlgorithm)])] = &[
    (
        Kind::P256,
        &[(Hash::Sha256, &signature::ECDSA_P256_SHA256_ASN1_SIGNING)],
    ),
    (
        Kind::P384,
        &[(Hash::Sha384, &signature::ECDSA_P384_SHA384_ASN1_SIGNING)],
    ),
    (
        Kind::P521,
        &[
            (Hash::Sha512, &signature::ECDSA_P521_SHA512_ASN1_SIGNING),
            (Hash::Sha384, &signature::ECDSA_P521_SHA384_ASN1_SIGNING),
            (Hash::Sha256, &signature::ECDSA_P521_SHA256_ASN1_SIGNING),
            (Hash::Sha224, &signature::ECDSA_P521_SHA224_ASN1_SIGNING),
        ],
    ),
    (
        Kind::Secp256k1,
        &[(Hash::Sha256, &signature::ECDSA_P256K1_SHA256_ASN1_SIGNING)],
    ),
];

/// The object identifiers that name each kind, as DER has them.
const IDENTIFIERS: [(&[u8], Kind); 5] = [
    (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", Kind::Rsa),
    (b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", Kind::P256),
    (b"\x06\x05\x2b\x81\x04\x00\x22", Kind::P384),
    (b"\x06\x05\x2b\x81\x04\x00\x23", Kind::P521),
    (b"\x06\x05\x2b\x81\x04\x00\x0a", Kind::Secp256k1),
];

/// Where the identifiers of a SubjectPublicKeyInfo end at the latest: lengths, the kind of key and
/// its curve.
const IDENTIFIERS_END: usize = 32;

impl Kind {
    /// What a public key says it is. Whether it is that is found out when it is read.
    fn of(public_key: &[u8]) -> Option<Self> {
        let head = public_key.get(..IDENTIFIERS_END).unwrap_or(public_key);
        let has = |bytes: &[u8]| memchr::memmem::find(head, bytes).is_some();
        let found = IDENTIFIERS.iter().find(|(bytes, _)| has(bytes));
        found.map(|(_, kind)| *kind)
    }

    fn verification(self, hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match (self, hash) {
            (Self::Rsa, Hash::Sha1) => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            (Self::Rsa, Hash::Sha256) => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            (Self::Rsa, Hash::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Self::Rsa, Hash::Sha512) => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            (Self::P256, Hash::Sha1) => &signature::ECDSA_P256_SHA1_ASN1,
            (Self::P256, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
            (Self::P256, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
            (Self::P256, Hash::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
            (Self::P384, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
            (Self::P384, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
            (Self::P384, Hash::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
            (Self::P521, Hash::Sha1) => &signature::ECDSA_P521_SHA1_ASN1,
            (Self::P521, Hash::Sha224) => &signature::ECDSA_P521_SHA224_ASN1,
            (Self::P521, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
            (Self::P521, Hash::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
            (Self::P521, Hash::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
            (Self::Secp256k1, Hash::Sha256) => &signature::ECDSA_P256K1_SHA256_ASN1,
            (Self::Rsa, Hash::Sha224)
            | (Self::P256, Hash::Sha224)
            | (Self::P384, Hash::Sha1 | Hash::Sha224)
            | (Self::Secp256k1, Hash::Sha1 | Hash::Sha224 | Hash::Sha384 | Hash::Sha512) => {
                return None;
            }
        })
    }
}

#[cfg(test)]
mod tests;
