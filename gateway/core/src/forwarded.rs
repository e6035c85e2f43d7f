//! Who the client is, and what the origin is told about it.
//!
//! Owns the X-Forwarded-* fields. By default nobody in front of us is trusted: what a client
//! claims is replaced. With `trusted_hops` proxies in front, the client is the address that the
//! outermost trusted one saw: the n-th from the right of the list that includes our peer.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderValue;
use http::header::HeaderName;

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
}

/// Sets X-Forwarded-For, -Proto, -Host and -Client-Cert and returns the client's address.
pub fn apply(headers: &mut HeaderMap, peer: &Peer<'_>) -> IpAddr {
    let trusted = peer.trusted_hops > 0;
    if !trusted {
        remove_claims(headers);
    }
    let (list, client) = forwarded_for(headers, peer);
    headers.insert(X_FORWARDED_FOR, list);
    if !trusted || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, peer.scheme.clone());
    }
    if !trusted || !headers.contains_key(X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST, peer.authority.clone());
    }
    if let Some(element) = peer.certificate {
        let list = if trusted {
            appended(headers, element)
        } else {
            element.clone()
        };
        headers.insert(X_FORWARDED_CLIENT_CERT, list);
    }
    client
}

/// The certificates that trusted proxies have seen, and then the one of our peer.
fn appended(headers: &HeaderMap, element: &HeaderValue) -> HeaderValue {
    let mut list = Vec::new();
    for value in headers.get_all(X_FORWARDED_CLIENT_CERT) {
        list.extend_from_slice(value.as_bytes());
        list.push(b',');
    }
    list.extend_from_slice(element.as_bytes());
    HeaderValue::from_bytes(&list).unwrap_or_else(|_| element.clone())
}

/// Removes what an untrusted client claims in fields that only proxies write: X-Forwarded-Port,
/// X-Forwarded-Client-Cert and their kin, and the standard's own Forwarded (RFC 7239 §8.1).
fn remove_claims(headers: &mut HeaderMap) {
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
    let is_forwarded = prefix
        .bytes()
        .zip(X_FORWARDED.bytes())
        .all(|(given, known)| given == known || (given == b'_' && known == b'-'));
    (is_forwarded && !prefix.is_empty()) || matches!(name, "forwarded" | "x-real-ip" | "x_real_ip")
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
            };
            apply(&mut headers, &peer);
            let got: Vec<_> = headers.get_all("x-forwarded-client-cert").iter().collect();
            assert_eq!(got, [expected]);
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
