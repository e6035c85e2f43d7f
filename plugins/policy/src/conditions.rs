//! What a policy asks of requests that it is for.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;
use tidegate_sdk::cx::Cx;
use tidegate_sdk::request::Request;

use crate::Cidr;
use crate::HeaderName;
use crate::carried::cookie_values;
use crate::carried::query_values;
use crate::claim::claim_texts;
use crate::header_name::is_token;

/// Conditions, all of which a request must meet.
#[derive(Debug)]
pub struct Conditions {
    headers: Vec<(HeaderName, Pattern)>,
    cookies: Vec<(String, Pattern)>,
    query: Vec<(String, Pattern)>,
    claims: Vec<(String, Pattern)>,
    /// One of them has the client, if there are any.
    addresses: Vec<Cidr>,
}

/// Values that are asked for, by name.
pub type Patterns = BTreeMap<String, Pattern>;

impl Conditions {
    /// Conditions by fields of the names `headers`, `cookies`, `query`, `claims` and `clientIps`.
    ///
    /// # Errors
    /// A name that is none, below the name of its field.
    pub fn new(
        headers: Patterns,
        cookies: Patterns,
        query: Patterns,
        claims: Patterns,
        client_ips: Vec<Cidr>,
    ) -> Result<Self, Problem> {
        let mut named = Vec::with_capacity(headers.len());
        for (name, pattern) in headers {
            let header: HeaderName = name
                .parse()
                .map_err(|message: String| Problem::new(message).under(&name).under("headers"))?;
            named.push((header, pattern));
        }
        if let Some(name) = cookies.keys().find(|it| !is_token(it)) {
            let problem =
                Problem::new("expected the name of a cookie: one word without separators");
            return Err(problem.under(name).under("cookies"));
        }
        Ok(Self {
            headers: named,
            cookies: cookies.into_iter().collect(),
            query: query.into_iter().collect(),
            claims: claims.into_iter().collect(),
            addresses: client_ips,
        })
    }

    /// Whether there are none, so that every request meets them.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.cookies.is_empty()
            && self.query.is_empty()
            && self.claims.is_empty()
            && self.addresses.is_empty()
    }

    /// Whether a request meets all.
    #[must_use]
    pub fn meet<C, S>(&self, req: &Request, cx: &Cx<C, S>) -> bool {
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

/// What a value must be: the whole of it, with case, and with a star at its beginning, its end or both, where
/// it may go on; `*` is any value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Any,
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
}

impl Pattern {
    /// Whether it is this value.
    #[must_use]
    pub fn has(&self, value: &[u8]) -> bool {
        match &self.0 {
            Form::Any => true,
            Form::Exact(text) => value == text.as_bytes(),
            Form::Prefix(text) => value.starts_with(text.as_bytes()),
            Form::Suffix(text) => value.ends_with(text.as_bytes()),
            // Not empty: `**` is refused.
            Form::Contains(text) => value.windows(text.len()).any(|it| it == text.as_bytes()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self(Form::Any));
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
        Some(Self(match (starts, ends) {
            (false, false) => Form::Exact(rest),
            (false, true) => Form::Prefix(rest),
            (true, false) => Form::Suffix(rest),
            (true, true) => Form::Contains(rest),
        }))
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
