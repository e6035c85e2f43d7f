//! Finds keys in requests, and takes them out.

use std::borrow::Cow;

use tidegate_policy::Values;
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
            Place::Query(name) => query(req, name),
            Place::Cookie(name) => cookie(req, name),
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

fn query(req: &Request, name: &str) -> Values {
    let target = req.target();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let parameters = form_urlencoded::parse(query.as_bytes());
    let named = parameters.filter(|(key, _)| key == name);
    named
        .map(|(_, value)| value.into_owned().into_bytes())
        .collect()
}

fn cookie(req: &Request, name: &str) -> Values {
    if req.headers().get_bytes("cookie").is_none() {
        return Values::None;
    }
    let lines = req.headers().get_all("cookie");
    let cookies = lines.iter().flat_map(|line| line.split(';'));
    let named = cookies.filter_map(|it| cookie_value(it, name));
    named.map(|value| value.as_bytes().to_vec()).collect()
}

/// The value of a cookie if it has this name.
fn cookie_value<'c>(cookie: &'c str, name: &str) -> Option<&'c str> {
    let (key, value) = cookie.trim().split_once('=')?;
    (key.trim_end() == name).then(|| value.trim_start())
}

impl Offered<'_> {
    /// Takes the key out of the request, and with it what has only been there for it.
    pub(crate) fn take_out(&self, req: &mut Request) -> Result<()> {
        match self.place {
            Place::Header(name) => req.headers_mut().remove(name),
            Place::Authorization(_) => req.headers_mut().remove("authorization"),
            Place::Query(name) => {
                let target = req.target();
                req.set_target(&without_parameter(&target, name))?;
            }
            Place::Cookie(name) => {
                let lines = req.headers().get_all("cookie");
                let rest = without_cookie(&lines, name);
                if rest.is_empty() {
                    req.headers_mut().remove("cookie");
                } else {
                    req.headers_mut().set("cookie", rest)?;
                }
            }
        }
        Ok(())
    }
}

/// A path with a query, without the parameters of this name; the rest stays as it is written.
fn without_parameter(target: &str, name: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let is_other = |part: &&str| {
        let parameter = form_urlencoded::parse(part.as_bytes()).next();
        parameter.is_none_or(|(key, _)| key != name)
    };
    let kept: Vec<&str> = query.split('&').filter(is_other).collect();
    if kept.is_empty() {
        path.to_owned()
    } else {
        [path, "?", &kept.join("&")].concat()
    }
}

/// All other cookies, in one line (RFC 6265, 5.4).
fn without_cookie(lines: &[String], name: &str) -> String {
    let cookies = lines.iter().flat_map(|line| line.split(';'));
    let others = cookies.filter(|it| cookie_value(it, name).is_none());
    let kept: Vec<&str> = others.map(str::trim).filter(|it| !it.is_empty()).collect();
    kept.join("; ")
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
    fn a_parameter_leaves_a_query_and_nothing_else_changes() {
        for (target, rest) in [
            ("/a?key=1", "/a"),
            ("/a?key=1&b=%41+c&&d", "/a?b=%41+c&&d"),
            ("/a?b&key", "/a?b"),
            ("/a?%6Bey=1&b=key", "/a?b=key"),
            ("/a?b=1?key=2", "/a?b=1?key=2"),
            ("/a?", "/a?"),
            ("/a", "/a"),
        ] {
            assert_eq!(without_parameter(target, "key"), rest, "{target}");
        }
    }

    #[test]
    fn a_cookie_leaves_the_others_in_one_line() {
        let lines = ["a=1; key=2;b".to_owned(), "c=\"x; y\"; key = 3".to_owned()];
        assert_eq!(without_cookie(&lines, "key"), "a=1; b; c=\"x; y\"");
        assert_eq!(without_cookie(&["key=2".to_owned()], "key"), "");
    }

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
