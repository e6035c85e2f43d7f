//! JSON Web Tokens for measurements, of about 700 bytes, with the keys that verify them.

use anyhow::{Context, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Who has issued the tokens.
pub const ISSUER: &str = "https://issuer.test/realms/shop";
/// Whom they are for.
pub const AUDIENCE: &str = "orders";
/// Whom they are about.
pub const SUBJECT: &str = "6f1c9d0e-7a0b-4b59-9d07-1b1a5e0f3c21";

/// Where the modulus of 2048 bits lies in an RSAPublicKey in DER (RFC 8017 appendix A.1.1).
const MODULUS: std::ops::Range<usize> = 9..265;

/// The algorithms that tokens are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// ECDSA, P-256, SHA-256.
    Es256,
    /// RSA of 2048 bits, PKCS#1 v1.5, SHA-256.
    Rs256,
}

/// An issuer with a key for each algorithm.
#[derive(Debug)]
pub struct Issuer {
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

impl Issuer {
    /// Makes the keys.
    ///
    /// # Errors
    /// If the library fails.
    pub fn new() -> Result<Self> {
        Ok(Self {
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("an EC key")?,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).context("an RSA key")?,
        })
    }

    /// The public keys as a JWK Set (RFC 7517), in one line of JSON.
    ///
    /// # Errors
    /// If the library writes keys in another form than we read.
    pub fn jwks(&self) -> Result<String> {
        let point = self.ec.public_key().as_ref();
        let (x, y) = (point.get(1..33), point.get(33..65));
        let (x, y) = x.zip(y).context("a point of P-256")?;
        let modulus = self.rsa.public_key().as_ref().get(MODULUS);
        let modulus = modulus.context("a modulus of 2048 bits")?;
        let [x, y, modulus] = [x, y, modulus].map(encoded);
        Ok(format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"es","x":"{x}","y":"{y}"}},{{"kty":"RSA","alg":"RS256","use":"sig","kid":"rs","n":"{modulus}","e":"AQAB"}}]}}"#
        ))
    }

    /// A token that is good until the year 2100; each number makes another.
    ///
    /// # Errors
    /// If the library fails.
    pub fn token(&self, signed: Signed, number: u32) -> Result<String> {
        // A signature of RSA is longer: the payload makes up for it.
        let (head, roles) = match signed {
            Signed::Es256 => (r#"{"alg":"ES256","typ":"JWT","kid":"es"}"#, 21),
            Signed::Rs256 => (r#"{"alg":"RS256","typ":"JWT","kid":"rs"}"#, 1),
        };
        let roles: Vec<String> = (0..roles).map(|it| format!("\"role-{it}\"")).collect();
        let payload = format!(
            r#"{{"iss":"{ISSUER}","sub":"{SUBJECT}","aud":["{AUDIENCE}"],"exp":4102444800,"iat":1700000000,"jti":"{number}","azp":"web","scope":"openid orders:read","email":"ann@example.com","roles":[{}]}}"#,
            roles.join(",")
        );
        let text = format!(
            "{}.{}",
            encoded(head.as_bytes()),
            encoded(payload.as_bytes())
        );
        let random = SystemRandom::new();
        let signature = match signed {
            Signed::Es256 => {
                let signature = self.ec.sign(&random, text.as_bytes()).context("sign")?;
                encoded(signature.as_ref())
            }
            Signed::Rs256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let made =
                    self.rsa
                        .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature);
                made.context("sign")?;
                encoded(&signature)
            }
        };
        Ok(format!("{text}.{signature}"))
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_as_long_as_real_ones() {
        let issuer = Issuer::new().unwrap();
        for signed in [Signed::Es256, Signed::Rs256] {
            let token = issuer.token(signed, 7).unwrap();
            assert!((650..=800).contains(&token.len()), "{}", token.len());
            assert_eq!(token.split('.').count(), 3);
        }
        assert!(issuer.jwks().unwrap().contains(r#""kid":"rs""#));
    }
}
