//! JSON Web Signatures (RFC 7518, RFC 8037) on aws-lc.
//!
//! Owns which of the library's algorithms each name means. A key of another kind than its algorithm
//! takes is refused, never tried. Keys are read anew for each signature: that is 1 of 49 µs for
//! ES256, 2 of 18 for RS256, and nothing has to be kept.

use aws_lc_rs::hmac;
use aws_lc_rs::signature;
use aws_lc_rs::signature::ParsedPublicKey;
use aws_lc_rs::signature::RsaParameters;
use aws_lc_rs::signature::RsaPublicKeyComponents;
use aws_lc_rs::signature::VerificationAlgorithm;
use tidegate_host_abi::CryptoError;
use tidegate_host_abi::JwsAlgorithm;
use tidegate_host_abi::JwsKey;

/// What checks the signatures of an algorithm.
enum Check {
    Rsa(&'static RsaParameters),
    Point(&'static dyn VerificationAlgorithm),
    Ed25519,
    Secret(hmac::Algorithm),
}

fn check(algorithm: JwsAlgorithm) -> Check {
    match algorithm {
        JwsAlgorithm::Rs256 => Check::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        JwsAlgorithm::Rs384 => Check::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        JwsAlgorithm::Rs512 => Check::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        JwsAlgorithm::Ps256 => Check::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
        JwsAlgorithm::Ps384 => Check::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
        JwsAlgorithm::Ps512 => Check::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
        JwsAlgorithm::Es256 => Check::Point(&signature::ECDSA_P256_SHA256_FIXED),
        JwsAlgorithm::Es384 => Check::Point(&signature::ECDSA_P384_SHA384_FIXED),
        JwsAlgorithm::Es512 => Check::Point(&signature::ECDSA_P521_SHA512_FIXED),
        JwsAlgorithm::EdDsa => Check::Ed25519,
        JwsAlgorithm::Hs256 => Check::Secret(hmac::HMAC_SHA256),
        JwsAlgorithm::Hs384 => Check::Secret(hmac::HMAC_SHA384),
        JwsAlgorithm::Hs512 => Check::Secret(hmac::HMAC_SHA512),
    }
}

/// Checks one signature.
pub(super) fn verify(
    algorithm: JwsAlgorithm,
    key: JwsKey<'_>,
    signature: &[u8],
    text: &[u8],
) -> Result<(), CryptoError> {
    match (check(algorithm), key) {
        (Check::Rsa(parameters), JwsKey::Rsa { modulus, exponent }) => {
            // The library would take a shorter signature for a number with zeros in front.
            if signature.len() != modulus.len() {
                return Err(CryptoError::Mismatch);
            }
            let key = RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            };
            let verified = key.verify(parameters, text, signature);
            verified.map_err(|_| CryptoError::Mismatch)
        }
        (Check::Point(algorithm), JwsKey::Point(point)) => {
            with_public_key(algorithm, point, signature, text)
        }
        (Check::Ed25519, JwsKey::Ed25519(key)) => {
            with_public_key(&signature::ED25519, key, signature, text)
        }
        (Check::Secret(algorithm), JwsKey::Secret(secret)) => {
            let key = hmac::Key::new(algorithm, secret);
            hmac::verify(&key, text, signature).map_err(|_| CryptoError::Mismatch)
        }
        _ => Err(CryptoError::Key),
    }
}

fn with_public_key(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    signature: &[u8],
    text: &[u8],
) -> Result<(), CryptoError> {
    let key = ParsedPublicKey::new(algorithm, key).map_err(|_| CryptoError::Key)?;
    let verified = key.verify_sig(text, signature);
    verified.map_err(|_| CryptoError::Mismatch)
}

#[cfg(test)]
mod tests;
