//! Where requests have tokens: finds them, and takes them out.
//!
//! Whatever a backend might take for a token of a place is seen here: names of schemes are compared without
//! case, and a header that is there more than once is looked at line by line.

use std::ops::Range;

use tidegate_policy::cookie_values;
use tidegate_policy::query_values;
use tidegate_policy::remove_cookie;
use tidegate_policy::remove_parameter;
use tidegate_sdk::prelude::*;

use crate::config::Provider;

/// A place for tokens, and who reads it.
#[derive(Debug)]
pub(crate) struct Place {
    kind: Kind,
    /// The issuers whose tokens may be here, by their number.
    pub(crate) providers: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Header(Header),
    Param(String),
    Cookie(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    name: String,
    /// The path of the property with all its values, joined by commas.
    property: String,
    prefix: Prefix,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Prefix {
    /// A word before blanks (RFC 9110, 11.1).
    Scheme(String),
    /// This, letter by letter; nothing will do.
    Exact(String),
}

/// What is in a place.
pub(crate) enum Found {
    Nothing,
    One(Text),
    Several,
}

/// A token as it was found, which is not copied out of what is around it. Lines of a header are joined by
/// commas, which no token has: with one in it, it is more than one.
pub(crate) struct Text {
    value: Vec<u8>,
    at: Range<usize>,
}

impl Text {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.value.get(self.at.clone()).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Text {
    fn from(value: Vec<u8>) -> Self {
        let at = 0..value.len();
        Self { value, at }
    }
}

/// All places of some issuers.
pub(crate) fn of(providers: &[Provider]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (index, provider) in providers.iter().enumerate() {
        for kind in kinds(provider) {
            match places.iter_mut().find(|it| it.kind == kind) {
                Some(place) if place.providers.contains(&index) => {}
                Some(place) => place.providers.push(index),
                None => places.push(Place {
                    kind,
                    providers: vec![index],
                }),
            }
        }
    }
    places
}

fn kinds(provider: &Provider) -> Vec<Kind> {
    if provider.reads_authorization() {
        return vec![header("authorization", "Bearer ")];
    }
    let headers = provider.from_headers.iter();
    let headers = headers.map(|it| header(&it.name, &it.prefix));
    let params = provider.from_params.iter().cloned().map(Kind::Param);
    let cookies = provider.from_cookies.iter().cloned().map(Kind::Cookie);
    headers.chain(params).chain(cookies).collect()
}

fn header(name: &str, prefix: &str) -> Kind {
    let scheme = prefix.trim_end();
    Kind::Header(Header {
        name: name.to_owned(),
        property: ["request\0headers\0", name].concat(),
        prefix: match scheme.len() < prefix.len() && tidegate_policy::is_token(scheme) {
            true => Prefix::Scheme(scheme.to_owned()),
            false => Prefix::Exact(prefix.to_owned()),
        },
    })
}

impl Place {
    /// What a request has there.
    pub(crate) fn find<C, S>(&self, req: &Request, cx: &Cx<C, S>) -> Found {
        match &self.kind {
            Kind::Header(header) => header.find(cx),
            Kind::Param(name) => query_values(req, name),
            Kind::Cookie(name) => cookie_values(req, name),
        }
    }

    /// Takes what is there out of a request.
    pub(crate) fn remove(&self, req: &mut Request) -> Result<()> {
        match &self.kind {
            Kind::Header(header) => {
                req.headers_mut().remove(&header.name);
                Ok(())
            }
            Kind::Param(name) => remove_parameter(req, name),
            Kind::Cookie(name) => remove_cookie(req, name),
        }
    }
}

impl FromIterator<Vec<u8>> for Found {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(values: I) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) if value.is_empty() => Self::Nothing,
            (Some(value), None) => Self::One(value.into()),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}

impl Header {
    fn find<C, S>(&self, cx: &Cx<C, S>) -> Found {
        // What the map of headers has may be the first line only, this is all of them.
        let Some(value) = cx.property_bytes(&[&self.property]) else {
            return Found::Nothing;
        };
        if let Some(at) = self.token(&value) {
            return Found::One(Text { value, at });
        }
        // Another line may have one.
        let mut lines = value.split(|it| *it == b',').skip(1);
        match lines.any(|line| self.token(line).is_some()) {
            true => Found::Several,
            false => Found::Nothing,
        }
    }

    /// Where the token of a value is.
    fn token(&self, value: &[u8]) -> Option<Range<usize>> {
        let end = value.trim_ascii_end().len();
        let start = value.len() - value.trim_ascii_start().len();
        let trimmed = value.get(start..end).filter(|it| !it.is_empty())?;
        let rest = match &self.prefix {
            Prefix::Exact(prefix) => trimmed.strip_prefix(prefix.as_bytes())?.trim_ascii_start(),
            Prefix::Scheme(scheme) => {
                let (said, rest) = trimmed.split_at_checked(scheme.len())?;
                let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
                let is_scheme = ends && said.eq_ignore_ascii_case(scheme.as_bytes());
                is_scheme.then(|| rest.trim_ascii_start())?
            }
        };
        Some(end - rest.len()..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token<'v>(prefix: &str, value: &'v str) -> Option<&'v str> {
        let Kind::Header(header) = header("authorization", prefix) else {
            panic!("it is a header");
        };
        let at = header.token(value.as_bytes())?;
        value.get(at)
    }

    #[test]
    fn a_scheme_is_found_in_any_spelling_that_a_backend_may_accept() {
        for value in ["Bearer abc", "bEARER abc", "Bearer \t abc ", "Bearer\tabc"] {
            assert_eq!(token("Bearer ", value), Some("abc"), "{value:?}");
        }
        assert_eq!(token("Bearer ", "Bearer"), Some(""));
        for value in ["Basic abc", "Bearerabc", "", "Bear"] {
            assert_eq!(token("Bearer ", value), None, "{value:?}");
        }
    }

    #[test]
    fn a_prefix_that_is_no_scheme_is_compared_letter_by_letter() {
        assert_eq!(token("jwt=", "jwt=abc"), Some("abc"));
        assert_eq!(token("jwt=", "JWT=abc"), None);
        assert_eq!(token("Bearer", "Bearer abc"), Some("abc"));
        assert_eq!(token("", " abc "), Some("abc"));
        assert_eq!(token("", ""), None);
    }
}
