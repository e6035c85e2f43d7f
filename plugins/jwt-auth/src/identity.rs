//! Who asks, as a good token says: what later filters and the backend get of it.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::base64url;
use crate::claims;
use crate::claims::Validity;
use crate::config::Provider;
use crate::flaw::Flaw;
use crate::flaw::Reason;
use crate::token::Token;

/// The property with what a token says, as JSON: `iss`, `sub`, `aud` (a list), `azp`, `principal` (issuer
/// and subject with a slash between them, as Istio has it) and `claims`, the whole payload.
pub const PROPERTY: &str = "tidegate.auth.jwt";

/// What comes of a good token.
#[derive(Debug)]
pub struct Identity {
    /// Whose token it is, by the issuer's number.
    pub provider: usize,
    /// When it is good.
    pub validity: Validity,
    /// Which keys of the issuer it was verified with.
    pub generation: u32,
    /// The value of [`PROPERTY`].
    pub property: Vec<u8>,
    /// Values of headers, by the number of the header.
    pub headers: Vec<(usize, Vec<u8>)>,
}

impl Identity {
    /// What a token says, whose signature is good. `outputs` are the names of headers.
    ///
    /// # Errors
    /// If a claim should be a header, and would mean something else there.
    pub fn new(
        token: &Token<'_>,
        (number, provider): (usize, &Provider),
        outputs: &[String],
        validity: Validity,
        generation: u32,
    ) -> Result<Self, Flaw> {
        let mut headers = Vec::new();
        let mut set = |name: &str, value: Vec<u8>| {
            if let Some(header) = outputs.iter().position(|it| it == name) {
                headers.push((header, value));
            }
        };
        for wanted in &provider.claims_to_headers {
            if let Some(value) = find(&token.claims, &wanted.claim)
                && let Some(value) = header_value(value, &wanted.claim)?
            {
                set(&wanted.header, value);
            }
        }
        if let Some(name) = &provider.output_payload_to_header {
            set(name, token.encoded_payload.to_vec());
        }
        Ok(Self {
            provider: number,
            validity,
            generation,
            property: property(token)?,
            headers,
        })
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers.map(|(_, value)| value.len() + 32).sum();
        size_of::<Self>() + self.property.len() + headers
    }
}

fn property(token: &Token<'_>) -> Result<Vec<u8>, Flaw> {
    let text = |name: &str| token.claims.get(name).and_then(Value::as_str);
    let principal = match (text("iss"), text("sub")) {
        (Some(issuer), Some(subject)) => Some([issuer, "/", subject].concat()),
        _ => None,
    };
    let head = json!({
        "iss": text("iss"),
        "sub": text("sub"),
        "aud": claims::audiences(&token.claims)?,
        "azp": text("azp"),
        "principal": principal,
    });
    let mut property = head.to_string().into_bytes();
    // The payload goes in as it came: it was read, and so it is JSON.
    property.pop();
    property.extend_from_slice(b",\"claims\":");
    property.extend_from_slice(&token.payload);
    property.push(b'}');
    Ok(property)
}

/// The claim of a name, which may have dots itself, or of a path.
fn find<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |inner, name| inner.get(name))
}

/// A claim as the value of a header; `None` if it has none.
fn header_value(claim: &Value, name: &str) -> Result<Option<Vec<u8>>, Flaw> {
    let value = match claim {
        Value::Null => return Ok(None),
        Value::Bool(_) | Value::Number(_) => claim.to_string(),
        Value::Array(_) | Value::Object(_) => base64url::encode(claim.to_string()),
        Value::String(text) => text.clone(),
    };
    // Whoever reads a header drops blanks around it: `admin ` would be `admin`.
    let blank = |it: char| it == ' ';
    if value.chars().any(char::is_control) || value.starts_with(blank) || value.ends_with(blank) {
        let why = ["`", name, "` has control characters or blanks around it"].concat();
        return Err(Flaw::new(Reason::UnusableClaim, why));
    }
    Ok((!value.is_empty()).then(|| value.into_bytes()))
}
