//! A valid token, changed in every way that forgers and broken issuers know: each row says why it is
//! refused.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::hmac::HMAC_SHA256;
use aws_lc_rs::signature::KeyPair as _;
use jwt_auth::flaw::Reason;
use serde_json::Value;
use tidegate_sdk_testing::get;
use tidegate_sdk_testing::json;

use super::issuer::ISSUER;
use super::issuer::base64;
use super::issuer::builder;
use super::issuer::claims;
use super::issuer::config;
use super::issuer::header;
use super::issuer::issuer;
use super::issuer::mac;
use super::issuer::stranger;

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

fn shapes(base: &Base) -> Vec<Row> {
    use Reason::EncryptedToken;
    use Reason::MalformedHeader;
    use Reason::MalformedPayload;
    use Reason::MalformedToken;
    use Reason::TokenTooLarge;

    let [header, payload, signature] = base.parts();
    let last = signature.len() - 1;
    let left_over = if signature.ends_with('A') { "B" } else { "C" };
    vec![
        ("one part", "opaque".to_owned(), MalformedToken),
        ("two parts", [header, payload].join("."), MalformedToken),
        ("four parts", [&base.token, "x"].join("."), MalformedToken),
        (
            "five parts",
            [&base.token, "x", "y"].join("."),
            EncryptedToken,
        ),
        (
            "six parts",
            [&base.token, "x", "y", "z"].join("."),
            MalformedToken,
        ),
        ("dots only", "..".to_owned(), MalformedHeader),
        (
            "no header",
            ["", payload, signature].join("."),
            MalformedHeader,
        ),
        (
            "no payload",
            [header, "", signature].join("."),
            MalformedPayload,
        ),
        (
            "a cut signature",
            base.token[..base.token.len() - 1].to_owned(),
            MalformedToken,
        ),
        (
            "a cut payload",
            [header, &payload[..payload.len() - 4], signature].join("."),
            MalformedPayload,
        ),
        (
            "padding",
            [header, payload, &[signature, "=="].concat()].join("."),
            MalformedToken,
        ),
        (
            "letters of plain base64",
            [header, payload, &["+/", &signature[2..]].concat()].join("."),
            MalformedToken,
        ),
        (
            "bits left over",
            [header, payload, &[&signature[..last], left_over].concat()].join("."),
            MalformedToken,
        ),
        (
            "a blank in it",
            [&base.token[..9], " ", &base.token[9..]].concat(),
            MalformedToken,
        ),
        (
            "17 KiB",
            base.claim("pad", json!("x".repeat(13_000))),
            TokenTooLarge,
        ),
        (
            "a header of 4 KiB",
            base.header("pad", json!("x".repeat(3_500))),
            TokenTooLarge,
        ),
    ]
}

fn headers(base: &Base) -> Vec<Row> {
    use Reason::CriticalHeader;
    use Reason::MalformedHeader;
    use Reason::UnsupportedAlgorithm;
    use Reason::WrongType;

    let deep = [
        "{\"alg\":\"RS256\",\"a\":",
        &"[".repeat(200),
        &"]".repeat(200),
        "}",
    ]
    .concat();
    vec![
        (
            "a header that is no JSON",
            base.header_text("alg=RS256"),
            MalformedHeader,
        ),
        (
            "a header that is a list",
            base.header_text("[\"RS256\"]"),
            MalformedHeader,
        ),
        (
            "a header that is text",
            base.header_text("\"RS256\""),
            MalformedHeader,
        ),
        (
            "two algorithms",
            base.header_text(r#"{"alg":"none","alg":"RS256"}"#),
            MalformedHeader,
        ),
        (
            "two algorithms, one escaped",
            base.header_text(r#"{"alg":"RS256","\u0061lg":"none"}"#),
            MalformedHeader,
        ),
        ("a nested header", base.header_text(deep), MalformedHeader),
        (
            "a header that is no UTF-8",
            base.header_text(b"{\"alg\":\"RS256\",\"x\":\"\xff\"}"),
            MalformedHeader,
        ),
        (
            "a header with something after it",
            base.header_text("{\"alg\":\"RS256\"}{}"),
            MalformedHeader,
        ),
        (
            "a byte order mark",
            base.header_text("\u{feff}{\"alg\":\"RS256\"}"),
            MalformedHeader,
        ),
        (
            "no algorithm",
            base.header_text("{\"kid\":\"rsa\"}"),
            MalformedHeader,
        ),
        (
            "an algorithm that is a number",
            base.header("alg", json!(1)),
            MalformedHeader,
        ),
        (
            "an algorithm that is null",
            base.header("alg", json!(null)),
            MalformedHeader,
        ),
        (
            "an algorithm that is a list",
            base.header("alg", json!(["RS256"])),
            MalformedHeader,
        ),
        (
            "a key id that is a number",
            base.header("kid", json!(1)),
            MalformedHeader,
        ),
        (
            "a key id that is a mapping",
            base.header("kid", json!({"a": 1})),
            MalformedHeader,
        ),
        (
            "a key id of 2 KiB",
            base.header("kid", json!("x".repeat(2_000))),
            MalformedHeader,
        ),
        (
            "a type that is a number",
            base.header("typ", json!(1)),
            MalformedHeader,
        ),
        (
            "another type",
            base.header("typ", json!("secevent+jwt")),
            WrongType,
        ),
        (
            "no type",
            base.header_text(r#"{"alg":"RS256","kid":"rsa"}"#),
            WrongType,
        ),
        (
            "critical extensions",
            base.header("crit", json!(["exp"])),
            CriticalHeader,
        ),
        (
            "no critical extensions, at length",
            base.header("crit", json!([])),
            CriticalHeader,
        ),
        (
            "a payload that is not encoded",
            base.header("b64", json!(false)),
            CriticalHeader,
        ),
        (
            "algorithm rs256",
            base.header("alg", json!("rs256")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm ES256K",
            base.header("alg", json!("ES256K")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm ES512",
            base.header("alg", json!("ES512")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm \"\"",
            base.header("alg", json!("")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm none with a signature",
            base.header("alg", json!("none")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm none",
            base.forged(&json!({"alg": "none"}), |_| Vec::new()),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm None",
            base.forged(&json!({"alg": "None"}), |_| Vec::new()),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm nOnE",
            base.forged(&json!({"alg": "nOnE"}), |_| Vec::new()),
            UnsupportedAlgorithm,
        ),
    ]
}

fn keys(base: &Base) -> Vec<Row> {
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

fn signatures(base: &Base) -> Vec<Row> {
    let [header_part, payload, signature] = base.parts();
    let es256 = |sign: Vec<u8>| base.forged(&header("ES256"), |_| sign);
    let rs256 = |sign: Vec<u8>| base.forged(&header("RS256"), |_| sign);
    let by_rsa = |change: fn(&mut Vec<u8>)| {
        base.forged(&header("RS256"), |text| {
            let mut signature = issuer().signature("RS256", text);
            change(&mut signature);
            signature
        })
    };
    let mut richer = claims(base.now);
    richer["admin"] = json!(true);
    let richer = base64(richer.to_string());
    let another = issuer().sign("RS256", &json!({"iss": ISSUER}));
    let another = another.rsplit('.').next().unwrap();
    // The group's order, for r and s.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&order[at..at + 2], 16).unwrap())
        .collect();
    let rows = vec![
        ("no signature", [header_part, payload, ""].join(".")),
        (
            "a signature of other claims",
            [header_part, payload, another].join("."),
        ),
        ("other claims", [header_part, &richer, signature].join(".")),
        ("a flipped bit", by_rsa(|it| it[100] ^= 1)),
        (
            "a signature that is too short",
            by_rsa(|it| it.truncate(255)),
        ),
        ("a signature that is too long", by_rsa(|it| it.insert(0, 0))),
        ("an RSA signature of zeros", rs256(vec![0; 256])),
        (
            "an RSA signature of one",
            rs256([vec![0; 255], vec![1]].concat()),
        ),
        ("an RSA signature above the modulus", rs256(vec![0xff; 256])),
        (
            "PS256 under the name of RS256",
            base.forged(&header("RS256"), |text| issuer().signature("PS256", text)),
        ),
        (
            "RS256 under the name of PS256",
            base.forged(&header("PS256"), |text| issuer().signature("RS256", text)),
        ),
        (
            "RS384 under the name of RS256",
            base.forged(&header("RS256"), |text| issuer().signature("RS384", text)),
        ),
        (
            "a PSS signature of zeros",
            base.forged(&header("PS256"), |_| vec![0; 256]),
        ),
        ("an ECDSA signature of zeros", es256(vec![0; 64])),
        (
            "an ECDSA signature of the order",
            es256([order.clone(), order].concat()),
        ),
        ("an ECDSA signature that is cut", es256(vec![1; 63])),
        (
            "an ECDSA signature in DER",
            es256([&[0x30, 0x44, 2, 32], &[1; 32][..], &[2, 32], &[1; 32]].concat()),
        ),
        (
            "an ECDSA signature for P-384",
            base.forged(&header("ES256"), |text| issuer().signature("ES384", text)),
        ),
        (
            "an Ed25519 signature of zeros",
            base.forged(&header("EdDSA"), |_| vec![0; 64]),
        ),
        (
            "an Ed25519 signature that is cut",
            base.forged(&header("EdDSA"), |text| {
                issuer().signature("EdDSA", text)[..63].to_vec()
            }),
        ),
        (
            "half a MAC",
            base.forged(&header("HS256"), |text| {
                issuer().signature("HS256", text)[..16].to_vec()
            }),
        ),
        (
            "a MAC with more after it",
            base.forged(&header("HS256"), |text| {
                [issuer().signature("HS256", text), vec![0]].concat()
            }),
        ),
    ];
    let bad = |(what, token)| (what, token, Reason::BadSignature);
    rows.into_iter().map(bad).collect()
}

fn payloads(base: &Base) -> Vec<Row> {
    use Reason::BadClaim;
    use Reason::Expired;
    use Reason::IssuedInFuture;
    use Reason::LifetimeTooLong;
    use Reason::MalformedPayload;
    use Reason::MissingExpiration;
    use Reason::NotYetValid;
    use Reason::UnknownIssuer;
    use Reason::WrongAudience;

    let deep = ["{\"a\":", &"[".repeat(2_000), &"]".repeat(2_000), "}"].concat();
    let twice = claims(base.now)
        .to_string()
        .replacen('{', "{\"sub\":\"root\",", 1);
    let expires = |text: &str| {
        [
            "{\"iss\":\"https://idp.test\",\"aud\":\"shop\",\"exp\":",
            text,
            "}",
        ]
        .concat()
    };
    vec![
        (
            "a payload that is no JSON",
            base.payload("sub=ada"),
            MalformedPayload,
        ),
        (
            "a payload that is a list",
            base.payload("[]"),
            MalformedPayload,
        ),
        (
            "a payload that is a token",
            base.payload(&base.token),
            MalformedPayload,
        ),
        (
            "a payload that is no UTF-8",
            base.payload(b"{\"sub\":\"\xc3\x28\"}"),
            MalformedPayload,
        ),
        (
            "half a surrogate",
            base.payload(r#"{"sub":"\ud800"}"#),
            MalformedPayload,
        ),
        (
            "a claim that is there twice",
            base.payload(twice),
            MalformedPayload,
        ),
        ("a nested payload", base.payload(deep), MalformedPayload),
        (
            "an end that is no number",
            base.payload(expires("Infinity")),
            MalformedPayload,
        ),
        (
            "an end that no number can be",
            base.payload(expires("1e999")),
            MalformedPayload,
        ),
        ("an end in 1970", base.claim("exp", json!(0)), Expired),
        (
            "an end before 1970",
            base.claim("exp", json!(-1e300)),
            Expired,
        ),
        (
            "an end an hour ago",
            base.claim("exp", json!(base.in_seconds(-3_600))),
            Expired,
        ),
        (
            "an end beyond the skew",
            base.claim("exp", json!(base.in_seconds(-61))),
            Expired,
        ),
        (
            "an end as text",
            base.claim("exp", json!(base.in_seconds(300).to_string())),
            BadClaim,
        ),
        (
            "an end that is null",
            base.claim("exp", json!(null)),
            BadClaim,
        ),
        (
            "an end that is true",
            base.claim("exp", json!(true)),
            BadClaim,
        ),
        (
            "an end in a list",
            base.claim("exp", json!([base.in_seconds(300)])),
            BadClaim,
        ),
        ("no end", base.without("exp"), MissingExpiration),
        (
            "a begin in an hour",
            base.claim("nbf", json!(base.in_seconds(3_600))),
            NotYetValid,
        ),
        ("a begin as text", base.claim("nbf", json!("0")), BadClaim),
        (
            "issued in an hour",
            base.claim("iat", json!(base.in_seconds(3_600))),
            IssuedInFuture,
        ),
        (
            "issued in a mapping",
            base.claim("iat", json!({})),
            BadClaim,
        ),
        (
            "good for a day",
            base.claim("exp", json!(base.in_seconds(86_400))),
            LifetimeTooLong,
        ),
        (
            "good for ever",
            base.claim("exp", json!(1e300)),
            LifetimeTooLong,
        ),
        (
            "no time when it was issued",
            base.without("iat"),
            LifetimeTooLong,
        ),
        (
            "another audience",
            base.claim("aud", json!("bank")),
            WrongAudience,
        ),
        (
            "an audience in other letters",
            base.claim("aud", json!("Shop")),
            WrongAudience,
        ),
        (
            "an audience that begins like ours",
            base.claim("aud", json!("shopping")),
            WrongAudience,
        ),
        (
            "other audiences",
            base.claim("aud", json!(["bank", "post"])),
            WrongAudience,
        ),
        ("no audiences", base.claim("aud", json!([])), WrongAudience),
        ("no audience", base.without("aud"), WrongAudience),
        (
            "an audience that is a number",
            base.claim("aud", json!(1)),
            BadClaim,
        ),
        (
            "a number among audiences",
            base.claim("aud", json!(["shop", 1])),
            BadClaim,
        ),
        (
            "audiences in a mapping",
            base.claim("aud", json!({"shop": true})),
            BadClaim,
        ),
        (
            "another issuer",
            base.claim("iss", json!("https://evil.test")),
            UnknownIssuer,
        ),
        (
            "an issuer with a slash more",
            base.claim("iss", json!("https://idp.test/")),
            UnknownIssuer,
        ),
        (
            "an issuer in other letters",
            base.claim("iss", json!("https://IDP.test")),
            UnknownIssuer,
        ),
        ("no issuer", base.without("iss"), UnknownIssuer),
        (
            "an issuer that is null",
            base.claim("iss", json!(null)),
            BadClaim,
        ),
        (
            "issuers in a list",
            base.claim("iss", json!([ISSUER])),
            BadClaim,
        ),
        (
            "a subject that is a number",
            base.claim("sub", json!(1)),
            BadClaim,
        ),
        (
            "a claim that would be another header",
            base.claim("name", json!("ada\r\nx-admin: 1")),
            Reason::UnusableClaim,
        ),
        (
            "a claim with a blank after it",
            base.claim("name", json!("admin ")),
            Reason::UnusableClaim,
        ),
    ]
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
    let rows = [shapes, headers, keys, signatures, payloads]
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
