//! A valid token, changed in every way that forgers and broken issuers know: each row says why it is
//! refused.

mod headers;
mod keys;
mod payloads;
mod shapes;
mod signatures;

use std::collections::BTreeMap;
use std::time::Duration;

use jwt_auth::flaw::Reason;
use serde_json::Value;
use tidegate_sdk_testing::get;
use tidegate_sdk_testing::json;

use super::issuer::base64;
use super::issuer::builder;
use super::issuer::claims;
use super::issuer::config;
use super::issuer::header;
use super::issuer::issuer;

/// What was done to the token, the token, and why it is refused.
type Row = (&'static str, String, Reason);

/// The base of all rows: a token by RS256.
struct Base {
    now: Duration,
    token: String,
}

impl Base {
    fn new(now: Duration) -> Self {
        let token = issuer().sign("RS256", &claims(now));
        Self { now, token }
    }

    fn parts(&self) -> [&str; 3] {
        let parts: Vec<&str> = self.token.split('.').collect();
        parts.try_into().unwrap()
    }

    /// With another header, rightly signed.
    fn header(&self, name: &str, value: Value) -> String {
        let mut header = header("RS256");
        header[name] = value;
        issuer().sign_with("RS256", &header, &claims(self.now))
    }

    /// With another header that need not be JSON, rightly signed.
    fn header_text(&self, header: impl AsRef<[u8]>) -> String {
        let payload = claims(self.now).to_string();
        issuer().sign_bytes("RS256", header.as_ref(), payload.as_bytes())
    }

    /// With another claim, rightly signed.
    fn claim(&self, name: &str, value: Value) -> String {
        let mut claims = claims(self.now);
        claims[name] = value;
        issuer().sign("ES256", &claims)
    }

    /// Without a claim, rightly signed.
    fn without(&self, name: &str) -> String {
        let mut claims = claims(self.now);
        claims.as_object_mut().unwrap().remove(name);
        issuer().sign("ES256", &claims)
    }

    /// With another payload that need not be JSON, rightly signed.
    fn payload(&self, payload: impl AsRef<[u8]>) -> String {
        let header = header("ES256").to_string();
        issuer().sign_bytes("ES256", header.as_bytes(), payload.as_ref())
    }

    /// With this header and signature, of good claims.
    fn forged(&self, header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let claims = claims(self.now).to_string();
        let text = [base64(header.to_string()), base64(claims)].join(".");
        let signature = sign(text.as_bytes());
        [text, base64(signature)].join(".")
    }

    /// Seconds from now.
    fn in_seconds(&self, seconds: i64) -> i64 {
        i64::try_from(self.now.as_secs()).unwrap() + seconds
    }
}

/// The keys of the issuer, and some that cannot be used.
fn key_set() -> Value {
    let mut set = issuer().jwks();
    let rsa = |id: &str, name: &str, value: Value| {
        let mut key = issuer().jwk("RS256");
        key["kid"] = json!(id);
        key[name] = value;
        key
    };
    let more = [
        rsa("only-rs256", "alg", json!("RS256")),
        rsa("for-encryption", "use", json!("enc")),
        rsa("for-signing", "key_ops", json!(["sign"])),
        rsa("mislabelled", "alg", json!("ES256")),
        rsa("small", "n", json!(base64(&issuer().modulus()[..128]))),
        json!({"kid": "short", "kty": "oct", "k": base64([7; 32])}),
        json!({"kid": "new", "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
    ];
    set["keys"].as_array_mut().unwrap().extend(more);
    set
}

#[test]
fn each_change_of_a_valid_token_is_refused_with_its_reason() {
    let mut h = builder(&config(&json!({
        "jwks": {"inline": key_set()},
        "types": ["JWT", "at+jwt"],
        "maxLifetime": "1h",
        "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256", "HS384"],
        "claimsToHeaders": [{"claim": "name", "header": "x-name"}],
    })))
    .start();
    let base = Base::new(h.unix_time());
    assert_eq!(h.send(get("/").bearer(&base.token)).status(), 200);
    let rows = [
        shapes::rows,
        headers::rows,
        keys::rows,
        signatures::rows,
        payloads::rows,
    ]
    .map(|rows| rows(&base))
    .concat();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, token, reason) in &rows {
        let res = h.send(get("/").bearer(token));
        let got = (res.status(), res.text());
        assert_eq!(got, (401, [reason.description(), "\n"].concat()), "{what}");
        let challenge = res.header("www-authenticate").unwrap();
        let description = reason.description();
        let wanted = format!(
            "Bearer realm=\"restricted\", error=\"invalid_token\", error_description=\"{description}\""
        );
        assert_eq!(challenge, wanted, "{what}");
        *expected.entry(reason.word()).or_default() += 1;
    }
    assert!(rows.len() > 100, "{} rows", rows.len());
    assert_eq!(h.app().requests().len(), 1, "nobody else has passed");
    for (word, count) in expected {
        let metric = ["jwt_auth_denied_", word].concat();
        assert_eq!(h.metric(&metric), count, "{metric}");
    }
    assert_eq!(
        h.metric("jwt_auth_denied"),
        u64::try_from(rows.len()).unwrap()
    );
    let fragment = &base.token[base.token.len() - 20..];
    assert!(!h.logged(fragment), "no token is in the log");
}
