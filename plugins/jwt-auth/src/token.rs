//! A token taken apart: JWS in compact form (RFC 7515, 7.1) with claims (RFC 7519).
//!
//! Owns the limits of what is looked at, and the rules of the header. Nothing here is believed yet: the
//! signature is checked elsewhere. No host is called.

use serde_json::Map;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::flaw::Flaw;
use crate::flaw::Reason;
use crate::flaw::shown;
use crate::json;

/// The longest `kid` that is compared with those of keys.
const LONGEST_KEY_ID: usize = 1024;

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The bytes of a token.
    pub token: usize,
    /// The bytes of its header, as it is encoded.
    pub header: usize,
}

/// A token whose signature was not checked.
#[derive(Debug)]
pub struct Token<'t> {
    /// What it was signed with, as it says.
    pub algorithm: Algorithm,
    /// The key that it was signed with, as it says.
    pub key_id: Option<String>,
    /// Its type, without `application/` and in lower case.
    pub kind: Option<String>,
    /// The payload.
    pub claims: Map<String, Value>,
    /// The payload as text.
    pub payload: Vec<u8>,
    /// The payload as it is encoded.
    pub encoded_payload: &'t [u8],
    /// What is signed.
    pub message: &'t [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'t [u8], limits: Limits) -> Result<Self, Flaw> {
        if text.len() > limits.token {
            return Err(Reason::TokenTooLarge.into());
        }
        let [encoded_header, encoded_payload, encoded_signature] = parts(text)?;
        if encoded_header.len() > limits.header {
            return Err(Flaw::new(Reason::TokenTooLarge, "its header is"));
        }
        let Header {
            algorithm,
            key_id,
            kind,
        } = header(encoded_header)?;
        let payload = base64url::decode(encoded_payload).ok_or_else(|| not_base64("payload"))?;
        let signature =
            base64url::decode(encoded_signature).ok_or_else(|| not_base64("signature"))?;
        let claims =
            json::mapping(&payload).map_err(|why| Flaw::new(Reason::MalformedPayload, why))?;
        let message_len = encoded_header.len() + 1 + encoded_payload.len();
        Ok(Self {
            algorithm,
            key_id,
            kind,
            claims,
            payload,
            encoded_payload,
            message: text.get(..message_len).unwrap_or_default(),
            signature,
        })
    }
}

fn not_base64(part: &str) -> Flaw {
    let why = ["its ", part, " is not base64url"].concat();
    Flaw::new(Reason::MalformedToken, why)
}

/// The three parts between the dots.
fn parts(text: &[u8]) -> Result<[&[u8]; 3], Flaw> {
    let mut parts = text.splitn(6, |it| *it == b'.');
    let three = [parts.next(), parts.next(), parts.next()];
    let ([Some(header), Some(payload), Some(signature)], rest) = (three, parts.count()) else {
        let why = "it has fewer than three parts";
        return Err(Flaw::new(Reason::MalformedToken, why));
    };
    match rest {
        0 => Ok([header, payload, signature]),
        2 => Err(Reason::EncryptedToken.into()),
        _ => Err(Flaw::new(
            Reason::MalformedToken,
            "it has more than three parts",
        )),
    }
}

/// What is used of a header. Keys in it (`jwk`, `jku`, `x5c`, `x5u`) are not: whoever forges a token
/// writes them.
struct Header {
    algorithm: Algorithm,
    key_id: Option<String>,
    kind: Option<String>,
}

fn header(encoded: &[u8]) -> Result<Header, Flaw> {
    let bytes = base64url::decode(encoded).ok_or_else(|| not_base64("header"))?;
    let members = json::mapping(&bytes).map_err(|why| Flaw::new(Reason::MalformedHeader, why))?;
    // RFC 7515 4.1.11, and RFC 7797 3: a payload that is not encoded.
    if members.contains_key("crit") || members.get("b64").is_some_and(|it| *it != true) {
        return Err(Reason::CriticalHeader.into());
    }
    let Some(name) = text(&members, "alg")? else {
        return Err(Flaw::new(Reason::MalformedHeader, "it has no `alg`"));
    };
    let Some(algorithm) = Algorithm::of(name) else {
        return Err(Flaw::new(Reason::UnsupportedAlgorithm, shown(name)));
    };
    let key_id = text(&members, "kid")?;
    if key_id.is_some_and(|it| it.len() > LONGEST_KEY_ID) {
        return Err(Flaw::new(Reason::MalformedHeader, "its `kid` is too long"));
    }
    Ok(Header {
        algorithm,
        key_id: key_id.map(ToOwned::to_owned),
        kind: text(&members, "typ")?.map(kind_of),
    })
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, Flaw> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            let why = ["its `", name, "` is no text"].concat();
            Err(Flaw::new(Reason::MalformedHeader, why))
        }
    }
}

/// A type as it is compared (RFC 7515, 4.1.9).
#[must_use]
pub fn kind_of(said: &str) -> String {
    let mut kind = said.to_ascii_lowercase();
    if let Some(short) = kind.strip_prefix("application/")
        && !short.contains('/')
    {
        kind = short.to_owned();
    }
    kind
}
