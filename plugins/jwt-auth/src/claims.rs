//! What the claims of a token must be for its issuer's rules (RFC 7519, 4.1).
//!
//! Times are seconds with fractions (NumericDate) and compared as such: there is nothing to overflow.
//! No host is called; `now` is an argument.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::flaw::Flaw;
use crate::flaw::Reason;
use crate::flaw::shown;

/// What is wanted of claims.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    /// Whom the token may be for; anybody if there is none.
    pub audiences: &'r [String],
    /// How far clocks may be apart.
    pub skew: Duration,
    /// The longest time from `iat` to `exp`.
    pub max_lifetime: Option<Duration>,
    /// Whether tokens that never expire are refused.
    pub require_expiration: bool,
}

/// From when to when a token is good, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validity {
    /// It is not good before.
    pub from: f64,
    /// It is not good from then on.
    pub until: f64,
}

impl Validity {
    /// Whether it is good now.
    #[must_use]
    pub fn holds(&self, now: Duration) -> bool {
        let now = now.as_secs_f64();
        self.from <= now && now < self.until
    }
}

/// Compares claims with what is wanted of them.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(
    claims: &Map<String, Value>,
    rules: &Rules<'_>,
    now: Duration,
) -> Result<Validity, Flaw> {
    let skew = rules.skew.as_secs_f64();
    let now = now.as_secs_f64();
    let [expires, begins, issued] = ["exp", "nbf", "iat"].map(|name| time(claims, name));
    let (expires, begins, issued) = (expires?, begins?, issued?);
    text(claims, "sub")?;
    let until = match expires {
        Some(expires) => expires + skew,
        None if rules.require_expiration => return Err(Reason::MissingExpiration.into()),
        None => f64::INFINITY,
    };
    if now >= until {
        return Err(Reason::Expired.into());
    }
    let from = begins.map_or(f64::NEG_INFINITY, |it| it - skew);
    if now < from {
        return Err(Reason::NotYetValid.into());
    }
    if issued.is_some_and(|it| now < it - skew) {
        return Err(Reason::IssuedInFuture.into());
    }
    if let Some(longest) = rules.max_lifetime {
        let (Some(expires), Some(issued)) = (expires, issued) else {
            return Err(Flaw::new(
                Reason::LifetimeTooLong,
                "it has no `exp` or `iat`",
            ));
        };
        if expires - issued > longest.as_secs_f64() {
            return Err(Reason::LifetimeTooLong.into());
        }
    }
    audience(claims, rules.audiences)?;
    Ok(Validity { from, until })
}

/// The issuer, if it is said as text.
///
/// # Errors
/// If it is something else.
pub fn issuer(claims: &Map<String, Value>) -> Result<Option<&str>, Flaw> {
    text(claims, "iss")
}

/// Whom the token is for.
///
/// # Errors
/// If that is neither text nor a list of texts.
pub fn audiences(claims: &Map<String, Value>) -> Result<Vec<&str>, Flaw> {
    let list = match claims.get("aud") {
        None => return Ok(Vec::new()),
        Some(Value::String(one)) => return Ok(vec![one]),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    list.ok_or_else(|| bad("aud"))
}

fn audience(claims: &Map<String, Value>, wanted: &[String]) -> Result<(), Flaw> {
    let found = audiences(claims)?;
    let is_wanted = |one: &&str| wanted.iter().any(|it| it == one);
    if wanted.is_empty() || found.iter().any(is_wanted) {
        Ok(())
    } else {
        let first = found.first().copied().unwrap_or_default();
        Err(Flaw::new(Reason::WrongAudience, shown(first)))
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, Flaw> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(name)),
    }
}

fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Flaw> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| bad(name)),
    }
}

fn bad(name: &str) -> Flaw {
    Flaw::new(Reason::BadClaim, ["`", name, "`"].concat())
}
