//! Keys that are not for the token, and keys that the forger has.

use aws_lc_rs::hmac::HMAC_SHA256;
use aws_lc_rs::signature::KeyPair as _;
use jwt_auth::flaw::Reason;
use tidegate_sdk_testing::json;

use super::super::issuer::base64;
use super::super::issuer::claims;
use super::super::issuer::issuer;
use super::super::issuer::mac;
use super::super::issuer::stranger;
use super::Base;
use super::Row;

pub(super) fn rows(base: &Base) -> Vec<Row> {
    use Reason::AlgorithmNotAllowed;
    use Reason::BadSignature;
    use Reason::UnknownKey;
    use Reason::WrongKey;

    let with_kid = |algorithm: &str, kid: &str| json!({"alg": algorithm, "kid": kid, "typ": "JWT"});
    let by_modulus = |text: &[u8]| mac(HMAC_SHA256, &issuer().modulus(), text);
    let by_der = |text: &[u8]| mac(HMAC_SHA256, issuer().rsa.public_key().as_ref(), text);
    let attacker = |text: &[u8]| stranger().signature("RS256", text);
    let own_key = json!({"alg": "RS256", "typ": "JWT", "jwk": stranger().jwk("RS256")});
    let own_url =
        json!({"alg": "RS256", "typ": "JWT", "kid": "evil", "jku": "https://evil.test/jwks"});
    let own_chain = json!({"alg": "RS256", "typ": "JWT", "x5c": [base64("certificate")]});
    let own_chain_url = json!({"alg": "RS256", "typ": "JWT", "x5u": "https://evil.test/chain"});
    vec![
        (
            "HS256 with the public modulus",
            base.forged(&with_kid("HS256", "rsa"), by_modulus),
            WrongKey,
        ),
        (
            "HS256 with the public key",
            base.forged(&with_kid("HS256", "rsa"), by_der),
            WrongKey,
        ),
        (
            "HS256 with the public key, no key id",
            base.forged(&json!({"alg": "HS256", "typ": "JWT"}), by_der),
            BadSignature,
        ),
        (
            "HS256 with an empty key",
            base.forged(&with_kid("HS256", "secret"), |text| {
                mac(HMAC_SHA256, b"", text)
            }),
            BadSignature,
        ),
        (
            "HS384 with a secret for HS256",
            base.forged(&with_kid("HS384", "short"), |_| vec![0; 48]),
            WrongKey,
        ),
        (
            "HS512, which is not allowed",
            issuer().sign("HS512", &claims(base.now)),
            AlgorithmNotAllowed,
        ),
        (
            "PS256 with a key for RS256",
            base.forged(&with_kid("PS256", "only-rs256"), |text| {
                issuer().signature("PS256", text)
            }),
            WrongKey,
        ),
        (
            "RS256 with a key of a curve",
            base.forged(&with_kid("RS256", "p256"), |text| {
                issuer().signature("RS256", text)
            }),
            WrongKey,
        ),
        (
            "ES256 with an RSA key",
            base.forged(&with_kid("ES256", "rsa"), |text| {
                issuer().signature("ES256", text)
            }),
            WrongKey,
        ),
        (
            "ES384 with a key of P-256",
            base.forged(&with_kid("ES384", "p256"), |text| {
                issuer().signature("ES384", text)
            }),
            WrongKey,
        ),
        (
            "EdDSA with a key of P-256",
            base.forged(&with_kid("EdDSA", "p256"), |text| {
                issuer().signature("EdDSA", text)
            }),
            WrongKey,
        ),
        (
            "an unknown key id",
            base.header("kid", json!("other")),
            UnknownKey,
        ),
        ("an empty key id", base.header("kid", json!("")), UnknownKey),
        (
            "a key id that is a path",
            base.header("kid", json!("../../dev/null")),
            UnknownKey,
        ),
        (
            "a key id that is SQL",
            base.header("kid", json!("' UNION SELECT 'x")),
            UnknownKey,
        ),
        (
            "a key id in other letters",
            base.header("kid", json!("RSA")),
            UnknownKey,
        ),
        (
            "a key for encryption",
            base.header("kid", json!("for-encryption")),
            UnknownKey,
        ),
        (
            "a key for signing only",
            base.header("kid", json!("for-signing")),
            UnknownKey,
        ),
        (
            "a key of another algorithm's name",
            base.header("kid", json!("mislabelled")),
            UnknownKey,
        ),
        (
            "a key of 1024 bits",
            base.header("kid", json!("small")),
            UnknownKey,
        ),
        (
            "somebody else's signature",
            base.forged(&with_kid("RS256", "rsa"), attacker),
            BadSignature,
        ),
        (
            "somebody else's signature, no key id",
            base.forged(&json!({"alg": "RS256", "typ": "JWT"}), attacker),
            BadSignature,
        ),
        (
            "somebody else's key in it",
            base.forged(&own_key, attacker),
            BadSignature,
        ),
        (
            "the URL of somebody else's keys",
            base.forged(&own_url, attacker),
            UnknownKey,
        ),
        (
            "somebody else's certificates",
            base.forged(&own_chain, attacker),
            BadSignature,
        ),
        (
            "the URL of somebody else's certificates",
            base.forged(&own_chain_url, attacker),
            BadSignature,
        ),
    ]
}
