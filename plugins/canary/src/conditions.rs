//! What requests must have for a version, whatever its share is.

use serde_json::Value;
use tidegate_policy::Cidr;
use tidegate_policy::HeaderName;
use tidegate_policy::claim_texts;
use tidegate_policy::cookie_values;
use tidegate_policy::query_values;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;
use tidegate_sdk::cx::Cx;
use tidegate_sdk::request::Request;

/// Conditions, all of which a request must meet.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) headers: Vec<(HeaderName, Pattern)>,
    pub(crate) cookies: Vec<(String, Pattern)>,
    pub(crate) query: Vec<(String, Pattern)>,
    pub(crate) claims: Vec<(String, Pattern)>,
    /// One of them has the client, if there are any.
    pub(crate) addresses: Vec<Cidr>,
}

impl Conditions {
    pub(crate) const fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.cookies.is_empty()
            && self.query.is_empty()
            && self.claims.is_empty()
            && self.addresses.is_empty()
    }

    /// Whether a request meets all.
    pub(crate) fn meet<C, S>(&self, req: &Request, cx: &Cx<C, S>) -> bool {
        let header = |(name, pattern): &(HeaderName, Pattern)| {
            let value = req.headers().get_bytes(name);
            value.is_some_and(|value| pattern.has(&value))
        };
        let any = |values: Vec<Vec<u8>>, pattern: &Pattern| values.iter().any(|it| pattern.has(it));
        let claim = |(path, pattern): &(String, Pattern)| {
            let values = claim_texts(cx, path);
            values.iter().any(|it| pattern.has(it.as_bytes()))
        };
        self.headers.iter().all(header)
            && self
                .cookies
                .iter()
                .all(|(name, it)| any(cookie_values(req, name), it))
            && self
                .query
                .iter()
                .all(|(name, it)| any(query_values(req, name), it))
            && (self.addresses.is_empty() || self.has_client(req))
            && self.claims.iter().all(claim)
    }

    fn has_client(&self, req: &Request) -> bool {
        let Some(client) = req.client_ip() else {
            return false;
        };
        self.addresses.iter().any(|it| it.contains(client))
    }
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Any,
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
}

impl Pattern {
    fn has(&self, value: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            // Not empty: `**` is refused.
            Self::Contains(text) => value.windows(text.len()).any(|it| it == text.as_bytes()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let (starts, rest) = match text.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (ends, rest) = match rest.strip_suffix('*') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let rest = Some(rest.to_owned()).filter(|it| !it.contains('*') && !it.is_empty())?;
        Some(match (starts, ends) {
            (false, false) => Self::Exact(rest),
            (false, true) => Self::Prefix(rest),
            (true, false) => Self::Suffix(rest),
            (true, true) => Self::Contains(rest),
        })
    }
}

impl FilterConfig for Pattern {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(1024);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        Self::parse(text).ok_or_else(|| {
            Problem::new(format!(
                "expected a value, with stars at its beginning and end only (a*, *a, *a*, *), found {text:?}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_at_the_ends_of_values() {
        let cases = [
            ("*", "", true),
            ("beta", "beta", true),
            ("beta", "Beta", false),
            ("beta", "beta2", false),
            ("beta*", "beta2", true),
            ("beta*", "a beta", false),
            ("*beta", "a beta", true),
            ("*beta", "beta2", false),
            ("*iPhone*", "Mozilla (iPhone; CPU)", true),
            ("*iPhone*", "iPhon", false),
            ("*iPhone*", "", false),
        ];
        for (pattern, value, expected) in cases {
            let pattern = Pattern::parse(pattern).unwrap();
            assert_eq!(
                pattern.has(value.as_bytes()),
                expected,
                "{pattern:?} {value}"
            );
        }
        for text in ["", "**", "a*b", "***", "*a*b*"] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }
}
