//! Tokens that OpenSSL has signed, and those of RFC 7515 and RFC 8037: what the filter computes is what
//! others do, here and on hosts that check signatures themselves.

use jwt_auth::algorithm::Algorithm;
use jwt_auth::keys::KeySet;
use jwt_auth::verify;
use serde_json::Value;
use tidegate_sdk_testing::Builder;
use tidegate_sdk_testing::Harness;
use tidegate_sdk_testing::Mode;
use tidegate_sdk_testing::get;
use tidegate_sdk_testing::json;
use tidegate_sdk_testing::mode;

use super::issuer::ISSUER;
use super::issuer::Issuer;
use super::issuer::builder;
use super::issuer::claims;
use super::issuer::issuer;
use super::issuer::stranger;

struct Vector {
    what: String,
    key: Value,
    token: String,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("vectors.txt");
    let blocks = text.split("\n\n").skip(1);
    blocks
        .map(|block| {
            let mut lines = block.lines();
            let mut line = || lines.next().unwrap();
            Vector {
                what: [line(), " ", line()].concat(),
                key: serde_json::from_str(line()).unwrap(),
                token: line().to_owned(),
            }
        })
        .collect()
}

/// The filter that trusts all keys of the vectors.
fn trusting() -> Builder {
    let mut keys: Vec<Value> = Vec::new();
    for Vector { key, .. } in vectors() {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let jwks = json!({"inline": {"keys": keys}});
    builder(&json!({"issuer": "https://vectors.test", "jwks": jwks}))
}

#[track_caller]
fn assert_good(mut h: Harness) {
    let vectors = vectors();
    assert!(vectors.len() > 20);
    for Vector { what, token, .. } in &vectors {
        let res = h.send(get("/").bearer(token));
        assert_eq!(res.status(), 200, "{what}: {:?}", res.text());
        let forged = [&token[..token.len() - 8], "AAAAAAAA"].concat();
        assert_eq!(h.send(get("/").bearer(&forged)).status(), 401, "{what}");
    }
}

#[test]
fn tokens_that_openssl_has_signed_are_good() {
    assert_good(trusting().start());
}

#[test]
fn they_are_good_too_where_the_host_checks_no_signatures() {
    assert_good(trusting().deny("proxy_call_foreign_function").start());
}

#[test]
fn keys_without_an_id_are_tried_one_after_the_other_and_each_in_a_callback_of_its_own() {
    let plain = |from: &Issuer| {
        let mut key = from.jwk("ES384");
        key.as_object_mut().unwrap().remove("kid");
        key
    };
    let mut keys = vec![plain(stranger()); 7];
    keys.push(plain(issuer()));
    let jwks = json!({"inline": {"keys": keys}});
    let mut h = builder(&json!({"issuer": ISSUER, "jwks": jwks}))
        .deny("proxy_call_foreign_function")
        .start();
    let token = issuer().sign("ES384", &claims(h.unix_time()));
    let exchange = h.begin(get("/").bearer(&token));
    // There, time stands still until somebody waits.
    let waits = mode() != Mode::Native || !exchange.so_far().has_begun();
    assert!(waits, "eight keys were tried at once");
    assert_eq!(exchange.finish().status(), 200);
    let forged = stranger().sign("ES256", &claims(h.unix_time()));
    assert_eq!(h.send(get("/").bearer(&forged)).status(), 401);
}

/// What an algorithm says of a text, natively and without a host.
fn verifies(algorithm: Algorithm, key: &Value, text: &str, signature: &[u8]) -> bool {
    let keys = KeySet::parse(key.to_string().as_bytes()).unwrap().keys;
    let keys = keys.candidates(algorithm, None).unwrap();
    verify::in_module(algorithm, &keys[0].material, text.as_bytes(), signature)
}

#[test]
fn no_bit_of_a_signature_or_text_can_be_changed() {
    for vector in vectors() {
        let (text, signature) = vector.token.rsplit_once('.').unwrap();
        let signature = super::issuer::unbase64(signature);
        let algorithm = vector.what.rsplit(' ').next().unwrap();
        let algorithm = Algorithm::of(algorithm).unwrap();
        let check =
            |text: &str, signature: &[u8]| verifies(algorithm, &vector.key, text, signature);
        assert!(check(text, &signature), "{}", vector.what);
        assert!(!check(&text[1..], &signature), "{}", vector.what);
        for byte in (0..signature.len()).step_by(31) {
            let mut changed = signature.clone();
            changed[byte] ^= 1 << (byte % 8);
            assert!(!check(text, &changed), "{} byte {byte}", vector.what);
        }
    }
}

#[test]
fn the_examples_of_the_rfcs_are_good() {
    // RFC 7515 A.1 and A.3 have the same payload.
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rows = [
        (
            Algorithm::Hs256,
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
            ["eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.", payload].concat(),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            Algorithm::Es256,
            json!({
                "kty": "EC", "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }),
            ["eyJhbGciOiJFUzI1NiJ9.", payload].concat(),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            Algorithm::EdDsa,
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    for (algorithm, key, text, signature) in rows {
        let signature = super::issuer::unbase64(signature);
        assert!(
            verifies(algorithm, &key, &text, &signature),
            "{algorithm:?}"
        );
    }
}
