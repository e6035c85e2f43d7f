//! Configurations that are refused, and where.

use jwt_auth::keys::KeySet;
use serde_json::Value;
use tidegate_sdk_testing::get;
use tidegate_sdk_testing::json;

use super::issuer::ISSUER;
use super::issuer::base64;
use super::issuer::builder;
use super::issuer::claims;
use super::issuer::config;
use super::issuer::issuer;

/// Why a configuration is refused.
fn refused(config: &Value) -> String {
    match builder(config).try_start() {
        Ok(_) => panic!("accepted: {config}"),
        Err(why) => why,
    }
}

#[test]
fn all_values_of_the_wrong_shape_are_told_at_once_with_their_paths() {
    let why = refused(&json!({
        "issuer": "",
        "audience": "shop",
        "clockSkew": "2h",
        "algorithms": ["none"],
        "jwks": {"remote": {"path": "/jwks"}},
        "providers": [{"issuer": ISSUER}],
    }));
    for told in [
        "issuer: expected at least 1 character",
        "audience: unknown field; did you mean `audiences`?",
        "clockSkew: expected a duration",
        "algorithms[0]: expected one of `RS256`",
        "jwks.remote.backend: missing",
        "providers[0].jwks: missing",
    ] {
        assert!(why.contains(told), "{told}\n  {why}");
    }
}

#[test]
fn a_value_that_makes_no_sense_is_told_with_its_path() {
    let provider = json!({"issuer": ISSUER, "jwks": {"inline": issuer().jwks()}});
    let to_header = |header: &str| json!([{"claim": "sub", "header": header}]);
    for (name, value, told) in [
        ("providers", json!([provider]), "issuer: is of one issuer"),
        ("realm", json!("a\"b"), "realm: expected up to 256 letters"),
        ("name", json!("a b"), "name: expected up to 64 letters"),
        (
            "claimsToHeaders",
            to_header("host"),
            "claimsToHeaders[0].header: header host belongs",
        ),
        (
            "claimsToHeaders",
            to_header("Authorization"),
            "header authorization has the token",
        ),
        (
            "fromCookies",
            json!(["a b"]),
            "fromCookies: \"a b\" is no name of a cookie",
        ),
        (
            "jwks",
            json!({"inline": {"keys": []}}),
            "jwks.inline: it has no key that can be used",
        ),
        (
            "jwks",
            json!({"remote": {"backend": "idp", "path": "jwks"}}),
            "jwks.remote.path: expected a path",
        ),
    ] {
        let why = refused(&config(&json!({name: value})));
        assert!(why.contains(told), "{told}\n  {why}");
    }
    let mut partner = provider.clone();
    partner["claimsToHeaders"] =
        json!([{"claim": "a", "header": "x-a"}, {"claim": "b", "header": "x-token"}]);
    let mut reader = provider;
    reader["fromHeaders"] = json!([{"name": "X-Token"}]);
    let why = refused(&json!({"providers": [reader, partner]}));
    let told = "providers[1]: header x-token has the token";
    assert!(why.contains(told), "{why}");
    let nobody = refused(&json!({}));
    let told = "issuer: missing; it belongs here, or to each of `providers`";
    assert!(nobody.contains(told), "{nobody}");
}

#[test]
fn a_secret_key_is_in_no_message() {
    let why = refused(&config(
        &json!({"jwks": {"inline": {"kty": "oct", "k": "hush hush"}}}),
    ));
    assert!(
        why.contains("its `k` is not base64url") && !why.contains("hush"),
        "{why}"
    );
}

#[test]
fn keys_are_taken_as_text_as_a_mapping_and_alone() {
    for keys in [
        json!(issuer().jwks()),
        json!(issuer().jwks().to_string()),
        issuer().jwk("ES256"),
        json!(issuer().jwk("ES256").to_string()),
    ] {
        let mut h = builder(&config(&json!({"jwks": {"inline": keys}}))).start();
        let token = issuer().sign("ES256", &claims(h.unix_time()));
        assert_eq!(h.send(get("/").bearer(&token)).status(), 200, "{keys}");
    }
}

#[test]
fn it_is_said_why_a_key_cannot_be_used() {
    let rsa = |name: &str, value: &str| {
        let mut key = issuer().jwk("RS256");
        key[name] = json!(value);
        key
    };
    let small = base64(&issuer().modulus()[..255]);
    let even = base64([&issuer().modulus()[..255], &[2]].concat());
    let huge = base64([0xff; 1025]);
    for (key, told) in [
        (json!(1), "it is no mapping"),
        (json!({}), "it has no `kty`"),
        (json!({"kty": 1}), "its `kty` is no text"),
        (
            json!({"kty": "AKP"}),
            "keys of type \"AKP\" are not supported",
        ),
        (json!({"kty": "RSA"}), "it has no `n`"),
        (rsa("n", "?"), "its `n` is not base64url"),
        (rsa("n", ""), "its modulus has 0 bits"),
        (rsa("n", &small), "its modulus has 2040 bits"),
        (rsa("n", &huge), "its modulus has 8200 bits"),
        (rsa("n", &even), "its modulus is even"),
        (rsa("e", ""), "its exponent is 0"),
        (rsa("e", "AQ"), "its exponent is even, 1,"),
        (rsa("e", "AQAA"), "its exponent is even, 1,"),
        (rsa("e", "AQAAAAE"), "its exponent is even, 1, or over 2^32"),
        (
            rsa("use", "enc"),
            "it is for \"enc\" and not for signatures",
        ),
        (
            rsa("key_ops", "verify"),
            "its `key_ops` are without \"verify\"",
        ),
        (
            rsa("alg", "RSA-OAEP"),
            "algorithm \"RSA-OAEP\" is not supported",
        ),
        (rsa("alg", "HS256"), "it is no key for HS256"),
        (json!({"kty": "oct"}), "it has no `k`"),
        (
            json!({"kty": "oct", "k": "c2hvcnQ"}),
            "its secret is shorter than 32 bytes",
        ),
        (
            json!({"kty": "EC", "crv": "P-521"}),
            "curve \"P-521\" is not supported",
        ),
        (
            json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
            "are not of 32 bytes",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed448"}),
            "curve \"Ed448\" is not supported",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
            "is not of 32 bytes",
        ),
    ] {
        let why = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap_err();
        assert!(why.contains(told), "{key}: {why}");
        // Beside one that can be used it is left out.
        let set = json!({"keys": [key, issuer().jwk("ES256")]});
        let read = KeySet::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(read.left_out.len(), 1, "{key}");
    }
    let many = vec![issuer().jwk("ES256"); 101];
    let why = KeySet::parse(json!({"keys": many}).to_string().as_bytes()).unwrap_err();
    assert!(why.contains("more than 100 keys"), "{why}");
}
