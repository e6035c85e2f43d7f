//! Fields that belong to one connection and end here (RFC 9110 §7.6.1).
//!
//! Owns the list and its removal, which happens before the first filter sees a message: what a
//! `Connection` header names cannot be used to delete what we or a filter add later.

use http::HeaderMap;
use http::HeaderValue;
use http::header::CONNECTION;
use http::header::HeaderName;
use http::header::PROXY_AUTHENTICATE;
use http::header::PROXY_AUTHORIZATION;
use http::header::TE;
use http::header::UPGRADE;

/// What the removed fields of a message said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive` (HTTP/1.0 clients ask so).
    pub keep_alive: bool,
    /// `TE: trailers`: the sender can take trailers.
    pub trailers: bool,
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Whether a field always ends here.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TE
        || *name == UPGRADE
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == PROXY_AUTHENTICATE
        || *name == PROXY_AUTHORIZATION
}

/// Removes all fields that end here and returns what they asked for.
pub fn strip(headers: &mut HeaderMap) -> ConnectionOptions {
    strip_with_upgrade(headers).0
}

/// As [`strip`]; returns also the protocols of `Upgrade`, if `Connection` names that field and it
/// is one line.
pub fn strip_with_upgrade(headers: &mut HeaderMap) -> (ConnectionOptions, Option<HeaderValue>) {
    // Most messages have none: one look at the names is all they pay.
    if !headers.keys().any(is_hop_by_hop) {
        return (ConnectionOptions::default(), None);
    }
    let has_connection = headers.contains_key(CONNECTION);
    let mut upgrades = headers.get_all(UPGRADE).iter();
    let mut upgrade = match (upgrades.next(), upgrades.next()) {
        (Some(one), None) if has_connection => Some(one.clone()),
        _ => None,
    };
    let mut options = ConnectionOptions {
        trailers: headers
            .get_all(TE)
            .iter()
            .any(|value| has_token(value, b"trailers")),
        ..ConnectionOptions::default()
    };
    if has_connection && !strip_named(headers, &mut options) {
        upgrade = None;
    }
    let left: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name))
        .cloned()
        .collect();
    for name in left {
        headers.remove(name);
    }
    (options, upgrade)
}

/// Removes `connection` and every field it names; says whether `upgrade` is one of them.
fn strip_named(headers: &mut HeaderMap, options: &mut ConnectionOptions) -> bool {
    let values: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    headers.remove(CONNECTION);
    let mut names_upgrade = false;
    for token in values.iter().flat_map(tokens) {
        if token.eq_ignore_ascii_case(b"close") {
            options.close = true;
        } else if token.eq_ignore_ascii_case(b"keep-alive") {
            options.keep_alive = true;
        } else if let Ok(name) = HeaderName::from_bytes(token) {
            names_upgrade |= name == UPGRADE;
            headers.remove(name);
        }
    }
    names_upgrade
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

fn has_token(value: &HeaderValue, token: &[u8]) -> bool {
    tokens(value).any(|found| found.eq_ignore_ascii_case(token))
}

/// Whether a trailer field may be forwarded: nothing that frames, routes or authenticates a
/// message may come after it (RFC 9110 §6.5.1).
pub fn may_be_trailer(name: &HeaderName) -> bool {
    const FORBIDDEN: [&str; 17] = [
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authorization",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    ];
    let name = name.as_str();
    !FORBIDDEN.contains(&name) && !name.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;
    use http::header::HeaderName;

    use super::strip;
    use super::strip_with_upgrade;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        map
    }

    #[test]
    fn what_connection_names_goes_with_it() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive"),
            ("x-secret", "1"),
            ("x-kept", "2"),
            ("proxy-connection", "keep-alive"),
        ]);
        let options = strip(&mut map);
        assert!(options.close && options.keep_alive);
        assert_eq!(
            map.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-kept"]
        );
    }

    #[test]
    fn te_is_remembered_and_removed() {
        let mut map = headers(&[("connection", "te"), ("te", "trailers, deflate;q=0.5")]);
        assert!(strip(&mut map).trailers);
        assert!(map.is_empty());
    }

    #[test]
    fn an_upgrade_counts_only_when_connection_names_it() {
        let asked = |fields: &[(&'static str, &'static str)]| {
            let mut headers = headers(fields);
            let (_, upgrade) = strip_with_upgrade(&mut headers);
            assert!(headers.is_empty());
            upgrade.map(|list| list.to_str().expect("text").to_owned())
        };
        let named = [("connection", "x, Upgrade"), ("upgrade", "a/1, b")];
        assert_eq!(asked(&named), Some("a/1, b".to_owned()));
        assert_eq!(asked(&[("upgrade", "websocket")]), None);
        assert_eq!(
            asked(&[("connection", "close"), ("upgrade", "websocket")]),
            None
        );
        let [connection, upgrade] = named;
        assert_eq!(asked(&[connection, upgrade, ("upgrade", "b")]), None);
    }
}
