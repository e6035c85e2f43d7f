//! Whether a key has signed a message: by the host where it can (`tidegate.verify`), else here.

use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use p256::ecdsa::signature::Verifier as _;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;
use tidegate_sdk::verify as host;

use crate::algorithm::Algorithm;
use crate::keys::Key;
use crate::keys::Material;
use crate::rsa;

/// Encodings of the names of hashes, with what a hash of theirs begins with (RFC 8017, 9.2).
const SHA256: [u8; 19] =
    *b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA384: [u8; 19] =
    *b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
const SHA512: [u8; 19] =
    *b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";

/// Whether `signature` is the one of `message` by a key; `None` if the host checks no signatures.
pub(crate) fn by_host(
    algorithm: Algorithm,
    key: &Key,
    message: &[u8],
    signature: &[u8],
) -> Option<bool> {
    let known = host::Algorithm::named(algorithm.name())?;
    host::verify(known, &key.for_host, signature, message)
}

/// Whether `signature` is the one of `message` by a key, computed in the module. A key of another family
/// than the algorithm's has signed nothing.
#[must_use]
pub fn in_module(algorithm: Algorithm, key: &Material, message: &[u8], signature: &[u8]) -> bool {
    match key {
        Material::Rsa(key) => rsa(algorithm, key, message, signature),
        Material::P256(point) if algorithm == Algorithm::Es256 => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
            let signature = p256::ecdsa::Signature::from_slice(signature);
            matches!((key, signature), (Ok(key), Ok(it)) if key.verify(message, &it).is_ok())
        }
        Material::P384(point) if algorithm == Algorithm::Es384 => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point);
            let signature = p384::ecdsa::Signature::from_slice(signature);
            matches!((key, signature), (Ok(key), Ok(it)) if key.verify(message, &it).is_ok())
        }
        Material::Ed25519(point) if algorithm == Algorithm::EdDsa => {
            let key = VerifyingKey::from_bytes(point);
            let signature = Signature::from_slice(signature);
            matches!((key, signature), (Ok(key), Ok(it)) if key.verify_strict(message, &it).is_ok())
        }
        Material::Secret(secret) => hmac(algorithm, secret, message, signature),
        Material::P256(_) | Material::P384(_) | Material::Ed25519(_) => false,
    }
}

fn rsa(algorithm: Algorithm, key: &rsa::PublicKey, message: &[u8], signature: &[u8]) -> bool {
    match algorithm {
        Algorithm::Rs256 => key.verify_pkcs1::<Sha256>(&SHA256, message, signature),
        Algorithm::Rs384 => key.verify_pkcs1::<Sha384>(&SHA384, message, signature),
        Algorithm::Rs512 => key.verify_pkcs1::<Sha512>(&SHA512, message, signature),
        Algorithm::Ps256 => key.verify_pss::<Sha256>(message, signature),
        Algorithm::Ps384 => key.verify_pss::<Sha384>(message, signature),
        Algorithm::Ps512 => key.verify_pss::<Sha512>(message, signature),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::EdDsa
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => false,
    }
}

/// Compared in constant time.
fn hmac(algorithm: Algorithm, secret: &[u8], message: &[u8], signature: &[u8]) -> bool {
    macro_rules! is_mac {
        ($hash:ty) => {
            Hmac::<$hash>::new_from_slice(secret)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok())
        };
    }
    match algorithm {
        Algorithm::Hs256 => is_mac!(Sha256),
        Algorithm::Hs384 => is_mac!(Sha384),
        Algorithm::Hs512 => is_mac!(Sha512),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::EdDsa => false,
    }
}
