//! Against keys and signatures that OpenSSL made: `openssl dgst -sha256 -sign KEY`.

use super::AwsLc;
use tidegate_host_abi::Crypto;
use tidegate_host_abi::CryptoError;
use tidegate_host_abi::Hash;

const TEXT: &[u8] = b"a text";
const RSA_PUBLIC: &[u8] = include_bytes!("rsa.pub.der");
const RSA_PRIVATE: &[u8] = include_bytes!("rsa.p8.der");
const EC_PUBLIC: &[u8] = include_bytes!("ec.pub.der");
const EC_PRIVATE: &[u8] = include_bytes!("ec.p8.der");
const EC_SEC1: &[u8] = include_bytes!("ec.sec1.der");

#[test]
fn signatures_of_openssl_are_good() {
    let made: [(Hash, &[u8], &[u8]); 4] = [
        (Hash::Sha256, RSA_PUBLIC, include_bytes!("rsa.sig")),
        (Hash::Sha1, RSA_PUBLIC, include_bytes!("rsa.sha1.sig")),
        (Hash::Sha256, EC_PUBLIC, include_bytes!("ec.sig")),
        (Hash::Sha384, EC_PUBLIC, include_bytes!("ec.sha384.sig")),
    ];
    for (hash, key, signature) in made {
        assert_eq!(AwsLc.verify(hash, key, signature, TEXT), Ok(()), "{hash:?}");
        let other = AwsLc.verify(hash, key, signature, b"another text");
        assert_eq!(other, Err(CryptoError::Mismatch), "{hash:?}");
        let other = AwsLc.verify(Hash::Sha512, key, signature, TEXT);
        assert_eq!(other, Err(CryptoError::Mismatch), "{hash:?}");
    }
}

#[test]
fn what_is_signed_is_what_openssl_signs() {
    let signed = AwsLc.sign(Hash::Sha256, RSA_PRIVATE, TEXT).expect("signed");
    assert_eq!(
        signed,
        include_bytes!("rsa.sig"),
        "PKCS#1 v1.5 is always the same"
    );
    for key in [EC_PRIVATE, EC_SEC1] {
        let signed = AwsLc.sign(Hash::Sha256, key, TEXT).expect("signed");
        assert_eq!(AwsLc.verify(Hash::Sha256, EC_PUBLIC, &signed, TEXT), Ok(()));
    }
}

#[test]
fn keys_that_are_none_are_told_from_pairs_that_there_are_not() {
    let verify = |hash, key| AwsLc.verify(hash, key, b"x", TEXT);
    assert_eq!(verify(Hash::Sha256, b"no key"), Err(CryptoError::Key));
    let cut = RSA_PUBLIC.get(..40).expect("longer");
    assert_eq!(verify(Hash::Sha256, cut), Err(CryptoError::Key));
    assert_eq!(
        verify(Hash::Sha224, RSA_PUBLIC),
        Err(CryptoError::Unsupported)
    );
    let sign = |hash, key| AwsLc.sign(hash, key, TEXT);
    assert_eq!(sign(Hash::Sha256, b"no key"), Err(CryptoError::Key));
    assert_eq!(sign(Hash::Sha1, RSA_PRIVATE), Err(CryptoError::Unsupported));
    assert_eq!(
        sign(Hash::Sha512, EC_PRIVATE),
        Err(CryptoError::Unsupported)
    );
}
