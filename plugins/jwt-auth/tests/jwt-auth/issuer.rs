//! An issuer of tokens for tests. It signs with aws-lc-rs, which the filter does not verify with.

use std::sync::OnceLock;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use aws_lc_rs::signature::RSA_PKCS1_SHA384;
use aws_lc_rs::signature::RSA_PKCS1_SHA512;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use aws_lc_rs::signature::RSA_PSS_SHA384;
use aws_lc_rs::signature::RSA_PSS_SHA512;
use aws_lc_rs::signature::RsaEncoding;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_auth::jwt_auth;
use serde_json::Value;
use tidegate_sdk_testing::Builder;
use tidegate_sdk_testing::Harness;
use tidegate_sdk_testing::json;

/// The claim `iss` of its tokens.
pub(crate) const ISSUER: &str = "https://idp.test";

/// Keys of all types.
pub(crate) struct Issuer {
    pub(crate) rsa: rsa::KeyPair,
    pub(crate) p256: EcdsaKeyPair,
    pub(crate) p384: EcdsaKeyPair,
    pub(crate) ed25519: Ed25519KeyPair,
    pub(crate) secret: Vec<u8>,
}

/// The issuer that is trusted.
pub(crate) fn issuer() -> &'static Issuer {
    static ISSUER: OnceLock<Issuer> = OnceLock::new();
    ISSUER.get_or_init(|| {
        Issuer::new(b"a secret of exactly 64 bytes, so that it is for all of the HMACs")
    })
}

/// Another one, which is not.
pub(crate) fn stranger() -> &'static Issuer {
    static STRANGER: OnceLock<Issuer> = OnceLock::new();
    STRANGER.get_or_init(|| {
        Issuer::new(b"another secret of exactly 64 bytes, which nobody has told to you")
    })
}

impl Issuer {
    fn new(secret: &[u8; 64]) -> Self {
        Self {
            rsa: rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
            secret: secret.to_vec(),
        }
    }

    /// The modulus of its RSA key.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        // RSAPublicKey (RFC 8017, A.1.1): two headers, a zero, the modulus, and 5 bytes of exponent.
        let der = self.rsa.public_key().as_ref();
        der[9..9 + 256].to_vec()
    }

    /// The key for an algorithm, with the key id `rsa`, `p256`, `p384`, `ed25519` or `secret`.
    pub(crate) fn jwk(&self, algorithm: &str) -> Value {
        match algorithm {
            "ES256" => ec("p256", "P-256", self.p256.public_key().as_ref()),
            "ES384" => ec("p384", "P-384", self.p384.public_key().as_ref()),
            "EdDSA" => json!({
                "kid": "ed25519", "kty": "OKP", "crv": "Ed25519",
                "x": base64(self.ed25519.public_key()),
            }),
            "HS256" | "HS384" | "HS512" => {
                json!({"kid": "secret", "kty": "oct", "k": base64(&self.secret)})
            }
            _ => json!({"kid": "rsa", "kty": "RSA", "n": base64(self.modulus()), "e": "AQAB"}),
        }
    }

    /// All keys.
    pub(crate) fn jwks(&self) -> Value {
        let keys = ["RS256", "ES256", "ES384", "EdDSA", "HS256"].map(|it| self.jwk(it));
        json!({"keys": keys})
    }

    /// The signature of a text.
    pub(crate) fn signature(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            "ES256" => self.p256.sign(&random, text).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, text).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(text).as_ref().to_vec(),
            "HS256" => mac(hmac::HMAC_SHA256, &self.secret, text),
            "HS384" => mac(hmac::HMAC_SHA384, &self.secret, text),
            "HS512" => mac(hmac::HMAC_SHA512, &self.secret, text),
            _ => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let padding = padding(algorithm);
                self.rsa
                    .sign(padding, &random, text, &mut signature)
                    .unwrap();
                signature
            }
        }
    }

    /// A token with just these bytes in it.
    pub(crate) fn sign_bytes(&self, algorithm: &str, header: &[u8], payload: &[u8]) -> String {
        let text = [base64(header), base64(payload)].join(".");
        let signature = self.signature(algorithm, text.as_bytes());
        [text, base64(signature)].join(".")
    }

    /// A token with this header.
    pub(crate) fn sign_with(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|it| it.to_string().into_bytes());
        self.sign_bytes(algorithm, &header, &claims)
    }

    /// A token of an algorithm, with the id of the right key.
    pub(crate) fn sign(&self, algorithm: &str, claims: &Value) -> String {
        self.sign_with(algorithm, &header(algorithm), claims)
    }
}

/// The header of a token.
pub(crate) fn header(algorithm: &str) -> Value {
    let key = match algorithm {
        "ES256" => "p256",
        "ES384" => "p384",
        "EdDSA" => "ed25519",
        "HS256" | "HS384" | "HS512" => "secret",
        _ => "rsa",
    };
    json!({"alg": algorithm, "kid": key, "typ": "JWT"})
}

/// Claims that are good for five minutes.
pub(crate) fn claims(now: Duration) -> Value {
    let now = now.as_secs();
    json!({"iss": ISSUER, "sub": "ada", "aud": "shop", "iat": now, "nbf": now, "exp": now + 300})
}

/// The filter, with this configuration.
pub(crate) fn builder(config: &Value) -> Builder {
    Harness::new(jwt_auth).config(config)
}

/// The filter that trusts the issuer for `shop`, with these fields beside.
pub(crate) fn start(more: &Value) -> Harness {
    builder(&config(more)).start()
}

/// The configuration of [`start`].
pub(crate) fn config(more: &Value) -> Value {
    let mut config = json!({
        "issuer": ISSUER,
        "audiences": ["shop"],
        "jwks": {"inline": issuer().jwks()},
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// A good token.
pub(crate) fn good(h: &Harness) -> String {
    issuer().sign("ES256", &claims(h.unix_time()))
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn mac(algorithm: hmac::Algorithm, secret: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(algorithm, secret);
    hmac::sign(&key, text).as_ref().to_vec()
}

fn ec(id: &str, curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({"kid": id, "kty": "EC", "crv": curve, "x": base64(x), "y": base64(y)})
}

fn padding(algorithm: &str) -> &'static dyn RsaEncoding {
    match algorithm {
        "RS256" => &RSA_PKCS1_SHA256,
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        other => panic!("no padding for {other}"),
    }
}

pub(crate) fn unbase64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
