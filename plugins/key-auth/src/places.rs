//! Finds keys in requests, and takes them out.

use std::borrow::Cow;

use tidegate_policy::Values;
use tidegate_policy::cookie_values;
use tidegate_policy::query_values;
use tidegate_policy::remove_cookie;
use tidegate_policy::remove_parameter;
use tidegate_sdk::prelude::*;

use crate::State;
use crate::config::Config;
use crate::config::Place;

/// More bytes are no key: they are not hashed.
const LONGEST: usize = 1024;

/// What a request has in the places for keys.
pub(crate) enum Found<'p> {
    /// Nothing in any of them.
    None,
    /// One key.
    One(Offered<'p>),
    /// More than one: it is not for us to choose.
    Several,
    /// Something that no key can be.
    Malformed(&'static str),
}

/// A key that a request has.
pub(crate) struct Offered<'p> {
    /// As the client sent it.
    pub(crate) key: Vec<u8>,
    place: &'p Place,
}

/// Looks into all places.
pub(crate) fn find<'p>(req: &Request, cx: &'p Cx<Config, State>) -> Found<'p> {
    let mut found = None;
    for place in &cx.config.places.0 {
        let values = match place {
            Place::Header(name) => Values::of(name, req, cx),
            Place::Authorization(scheme) => authorization(req, cx, scheme),
            Place::Query(name) => query_values(req, name),
            Place::Cookie(name) => cookie_values(req, name),
        };
        match (values, &found) {
            (Values::None, _) => {}
            (Values::One(key), None) => found = Some(Offered { key, place }),
            (Values::One(_), Some(_)) | (Values::Several, _) => return Found::Several,
        }
    }
    match found {
        None => Found::None,
        Some(offered) if offered.key.is_empty() => Found::Malformed("it is empty"),
        Some(offered) if offered.key.len() > LONGEST => {
            Found::Malformed("it is longer than 1024 bytes")
        }
        Some(offered) => Found::One(offered),
    }
}

fn authorization(req: &Request, cx: &Cx<Config, State>, scheme: &str) -> Values {
    let value = match Values::of("authorization", req, cx) {
        Values::One(value) => value,
        none_or_several => return none_or_several,
    };
    match split_scheme(&value) {
        (said, _) if !said.eq_ignore_ascii_case(scheme.as_bytes()) => Values::None,
        // Envoy makes one line of several before anybody sees them.
        (_, key) if key.contains(&b',') => Values::Several,
        (_, key) => Values::One(key.to_vec()),
    }
}

/// The scheme, and what follows the blanks after it (RFC 9110, 11.4).
fn split_scheme(value: &[u8]) -> (&[u8], &[u8]) {
    let is_blank = |it: &u8| *it == b' ';
    let end = value.iter().position(is_blank).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    let blanks = rest.iter().take_while(|it| is_blank(it)).count();
    (scheme, rest.get(blanks..).unwrap_or_default())
}

impl Offered<'_> {
    /// Takes the key out of the request, and with it what has only been there for it.
    pub(crate) fn take_out(&self, req: &mut Request) -> Result<()> {
        match self.place {
            Place::Header(name) => req.headers_mut().remove(name),
            Place::Authorization(_) => req.headers_mut().remove("authorization"),
            Place::Query(name) => remove_parameter(req, name)?,
            Place::Cookie(name) => remove_cookie(req, name)?,
        }
        Ok(())
    }
}

/// One challenge for each way to send a key. `ApiKey` is no registered scheme; its parameters are those by
/// which OpenAPI says where a key goes.
pub(crate) fn challenge(realm: &str, places: &[Place]) -> String {
    let challenges: Vec<String> = places
        .iter()
        .map(|place| {
            let (place, name): (&str, Cow<'_, str>) = match place {
                Place::Authorization(scheme) => return [scheme, " realm=\"", realm, "\""].concat(),
                Place::Header(name) => ("header", Cow::Borrowed(&**name)),
                Place::Query(name) => ("query", quotable(name)),
                Place::Cookie(name) => ("cookie", Cow::Borrowed(&**name)),
            };
            [
                "ApiKey realm=\"",
                realm,
                "\", in=\"",
                place,
                "\", name=\"",
                &name,
                "\"",
            ]
            .concat()
        })
        .collect();
    challenges.join(", ")
}

/// A name as it can stand in quotes in a header (RFC 9110, 5.6.4): other characters as in a query.
fn quotable(name: &str) -> Cow<'_, str> {
    form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_every_way_to_send_a_key() {
        let places = [
            Place::Authorization("Bearer".to_owned()),
            Place::Query("a \"b".to_owned()),
        ];
        assert_eq!(
            challenge("api", &places),
            "Bearer realm=\"api\", ApiKey realm=\"api\", in=\"query\", name=\"a+%22b\""
        );
    }
}
