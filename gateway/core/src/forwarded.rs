//! Who the client is, and what the origin is told about it.
//!
//! Owns the X-Forwarded-* fields. By default nobody in front of us is trusted: what a client
//! claims is replaced. With `trusted_hops` proxies in front, the client is the address that the
//! outermost trusted one saw: the n-th from the right of the list that includes our peer.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderValue;
use http::header::HeaderName;

use crate::client_certificate::Mode;

/// `x-forwarded-for`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-forwarded-proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `x-forwarded-host`.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `x-forwarded-client-cert`.
pub const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// `x-request-id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known about the hop towards us.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// The address of the connection's other end.
    pub address: IpAddr,
    /// The same as text, made once a connection.
    pub address_text: &'a HeaderValue,
    /// How many proxies in front of us are ours.
    pub trusted_hops: usize,
    /// `http` or `https`, as our own listener saw it.
    pub scheme: &'a HeaderValue,
    /// The normalised authority of the request.
    pub authority: &'a HeaderValue,
    /// The element for the peer's verified certificate, made once a connection
    /// ([`crate::client_certificate::element`]).
    pub certificate: Option<&'a HeaderValue>,
    /// What becomes of X-Forwarded-Client-Cert.
    pub client_cert: Mode,
}

/// Sets X-Forwarded-For, -Proto, -Host and -Client-Cert and returns the client's address.
pub fn apply(headers: &mut HeaderMap, peer: &Peer<'_>) -> IpAddr {
    let trusted = peer.trusted_hops > 0;
    let keeps = peer.client_cert.keeps(peer.certificate.is_some(), trusted);
    if !trusted || !keeps {
        remove_claims(headers, trusted, keeps);
    }
    let (list, client) = forwarded_for(headers, peer);
    headers.insert(X_FORWARDED_FOR, list);
    if !trusted || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, peer.scheme.clone());
    }
    if !trusted || !headers.contains_key(X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST, peer.authority.clone());
    }
    if let Some(element) = peer.certificate
        && peer.client_cert.tells()
    {
        // What is not kept is gone.
        let list = appended(headers, element);
        headers.insert(X_FORWARDED_CLIENT_CERT, list);
    }
    client
}

/// The certificates that trusted proxies have seen, and then the one of our peer.
fn appended(headers: &HeaderMap, element: &HeaderValue) -> HeaderValue {
    if !headers.contains_key(X_FORWARDED_CLIENT_CERT) {
        return element.clone();
    }
    let mut list = Vec::new();
    for value in headers.get_all(X_FORWARDED_CLIENT_CERT) {
        list.extend_from_slice(value.as_bytes());
        list.push(b',');
    }
    list.extend_from_slice(element.as_bytes());
    HeaderValue::from_bytes(&list).unwrap_or_else(|_| element.clone())
}

/// Removes what an untrusted client claims in fields that only proxies write: X-Forwarded-Port,
/// X-Forwarded-Client-Cert and their kin, and the standard's own Forwarded (RFC 7239 §8.1); from a
/// `trusted` one, X-Forwarded-Client-Cert alone. With `keeps`, that one stays.
fn remove_claims(headers: &mut HeaderMap, trusted: bool, keeps: bool) {
    let is_claim = |name: &HeaderName| {
        if is_like(name.as_str(), X_FORWARDED_CLIENT_CERT.as_str()) {
            return !(keeps && *name == X_FORWARDED_CLIENT_CERT);
        }
        !trusted && is_claim(name)
    };
    // Most requests have none: look before collecting.
    if headers.keys().any(is_claim) {
        let claims: Vec<HeaderName> = headers
            .keys()
            .filter(|name| is_claim(name))
            .cloned()
            .collect();
        for name in claims {
            headers.remove(name);
        }
    }
}

/// Also with underscores: CGI-like origins cannot tell them from hyphens.
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    let prefix = name.get(..X_FORWARDED.len()).unwrap_or_default();
    is_like(prefix, X_FORWARDED) || matches!(name, "forwarded" | "x-real-ip" | "x_real_ip")
}

/// Whether a name is another one, but for underscores in place of hyphens.
fn is_like(given: &str, known: &str) -> bool {
    let mut letters = given.bytes().zip(known.bytes());
    given.len() == known.len()
        && letters.all(|(given, known)| given == known || (given == b'_' && known == b'-'))
}

const X_FORWARDED: &str = "x-forwarded-";

fn forwarded_for(headers: &HeaderMap, peer: &Peer<'_>) -> (HeaderValue, IpAddr) {
    if peer.trusted_hops == 0 {
        return (peer.address_text.clone(), peer.address);
    }
    let mut claimed = Vec::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        let entries = value.to_str().unwrap_or_default().split(',').map(str::trim);
        claimed.extend(entries.filter(|entry| !entry.is_empty()));
    }
    // The right-most entry was written by the hop next to us, whose own address is `peer`.
    let wanted = claimed.len().checked_sub(peer.trusted_hops);
    let client = wanted
        .and_then(|at| claimed.get(at))
        .and_then(|entry| address(entry));
    claimed.push(peer.address_text.to_str().unwrap_or_default());
    let list = HeaderValue::try_from(claimed.join(", "));
    (
        list.unwrap_or_else(|_| peer.address_text.clone()),
        client.unwrap_or(peer.address),
    )
}

/// An address, with the port that some proxies add.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches('"');
    entry
        .parse()
        .ok()
        .or_else(|| {
            entry
                .parse::<std::net::SocketAddr>()
                .ok()
                .map(|socket| socket.ip())
        })
        .or_else(|| entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderMap;
    use http::HeaderValue;

    use super::Peer;
    use super::apply;
    use crate::client_certificate::Mode;

    #[track_caller]
    fn check(trusted_hops: usize, claimed: Option<&'static str>, list: &str, client: &str) {
        let mut headers = HeaderMap::new();
        if let Some(claimed) = claimed {
            headers.insert("x-forwarded-for", HeaderValue::from_static(claimed));
            headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        }
        let got = apply(
            &mut headers,
            &Peer {
                address: IpAddr::from([10, 0, 0, 9]),
                address_text: &HeaderValue::from_static("10.0.0.9"),
                trusted_hops,
                scheme: &HeaderValue::from_static("http"),
                authority: &HeaderValue::from_static("shop.test"),
                certificate: None,
                client_cert: Mode::ByTrust,
            },
        );
        assert_eq!(headers["x-forwarded-for"], list);
        assert_eq!(got.to_string(), client);
        let proto = if trusted_hops > 0 && claimed.is_some() {
            "https"
        } else {
            "http"
        };
        assert_eq!(headers["x-forwarded-proto"], proto);
        assert_eq!(headers["x-forwarded-host"], "shop.test");
    }

    #[test]
    fn without_trusted_hops_the_claim_is_replaced() {
        check(0, Some("1.2.3.4"), "10.0.0.9", "10.0.0.9");
        check(0, None, "10.0.0.9", "10.0.0.9");
    }

    #[test]
    fn other_claims_of_proxies_go_without_trusted_hops() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-forwarded-client-cert",
            "x_forwarded_for",
            "x-real-ip",
            "forwarded",
            "x-kept",
        ] {
            headers.insert(name, HeaderValue::from_static("claim"));
        }
        let peer = Peer {
            address: IpAddr::from([10, 0, 0, 9]),
            address_text: &HeaderValue::from_static("10.0.0.9"),
            trusted_hops: 0,
            scheme: &HeaderValue::from_static("http"),
            authority: &HeaderValue::from_static("shop.test"),
            certificate: None,
            client_cert: Mode::ByTrust,
        };
        apply(&mut headers, &peer);
        let claims = headers.values().filter(|value| *value == "claim").count();
        assert_eq!((claims, headers.len()), (1, 4));
    }

    #[test]
    fn the_certificate_of_the_peer_replaces_what_is_claimed_or_follows_what_is_trusted() {
        let element = HeaderValue::from_static("Hash=02");
        for (trusted_hops, expected) in [(0, "Hash=02"), (1, "Hash=00,Hash=01,Hash=02")] {
            let mut headers = HeaderMap::new();
            for claim in ["Hash=00", "Hash=01"] {
                headers.append("x-forwarded-client-cert", HeaderValue::from_static(claim));
            }
            let peer = Peer {
                address: IpAddr::from([10, 0, 0, 9]),
                address_text: &HeaderValue::from_static("10.0.0.9"),
                trusted_hops,
                scheme: &HeaderValue::from_static("https"),
                authority: &HeaderValue::from_static("shop.test"),
                certificate: Some(&element),
                client_cert: Mode::ByTrust,
            };
            apply(&mut headers, &peer);
            let got: Vec<_> = headers.get_all("x-forwarded-client-cert").iter().collect();
            assert_eq!(got, [expected]);
        }
    }

    #[test]
    fn each_mode_keeps_and_tells_what_envoys_does() {
        let element = HeaderValue::from_static("Hash=02");
        for (mode, with, without) in [
            (Mode::Sanitize, None, None),
            (Mode::ForwardOnly, Some("Hash=01"), None),
            (Mode::AppendForward, Some("Hash=01,Hash=02"), None),
            (Mode::SanitizeSet, Some("Hash=02"), None),
            (Mode::AlwaysForwardOnly, Some("Hash=01"), Some("Hash=01")),
        ] {
            for (certificate, expected) in [(Some(&element), with), (None, without)] {
                for trusted_hops in [0, 1] {
                    let mut headers = HeaderMap::new();
                    for name in ["x-forwarded-client-cert", "x_forwarded_client-cert"] {
                        headers.insert(name, HeaderValue::from_static("Hash=01"));
                    }
                    headers.insert("x-forwarded-port", HeaderValue::from_static("1"));
                    let peer = Peer {
                        address: IpAddr::from([10, 0, 0, 9]),
                        address_text: &HeaderValue::from_static("10.0.0.9"),
                        trusted_hops,
                        scheme: &HeaderValue::from_static("https"),
                        authority: &HeaderValue::from_static("shop.test"),
                        certificate,
                        client_cert: mode,
                    };
                    apply(&mut headers, &peer);
                    let got = headers.get("x-forwarded-client-cert");
                    let got = got.map(|value| value.to_str().expect("text"));
                    assert_eq!(got, expected, "{mode:?} {certificate:?} {trusted_hops}");
                    // What is like it stays only where all that came in is believed.
                    let stays = trusted_hops > 0 && mode.keeps(certificate.is_some(), true);
                    assert_eq!(headers.contains_key("x_forwarded_client-cert"), stays);
                    assert_eq!(headers.contains_key("x-forwarded-port"), trusted_hops > 0);
                }
            }
        }
    }

    #[test]
    fn with_trusted_hops_the_client_is_counted_from_the_right() {
        check(
            1,
            Some("6.6.6.6, 1.2.3.4"),
            "6.6.6.6, 1.2.3.4, 10.0.0.9",
            "1.2.3.4",
        );
        check(
            2,
            Some("1.2.3.4, 10.0.0.1"),
            "1.2.3.4, 10.0.0.1, 10.0.0.9",
            "1.2.3.4",
        );
        check(1, Some("[::1]:99"), "[::1]:99, 10.0.0.9", "::1");
    }

    #[test]
    fn a_list_that_is_too_short_or_garbage_gives_the_peer() {
        check(3, Some("1.2.3.4"), "1.2.3.4, 10.0.0.9", "10.0.0.9");
        check(1, Some("unknown"), "unknown, 10.0.0.9", "10.0.0.9");
        check(1, None, "10.0.0.9", "10.0.0.9");
    }
}
