//! What happens to every request before a filter or a route sees it.
//!
//! Owns the order: target, host, hop-by-hop fields, expectations, forwarded fields, request id.
//! Framing was taken off before ([`crate::framing`]). Everything after this sees one form.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header::EXPECT;
use http::header::HOST;

use crate::authority;
use crate::client_certificate::Mode;
use crate::failure::Failure;
use crate::forwarded;
use crate::hop_by_hop;
use crate::hop_by_hop::ConnectionOptions;
use crate::message::RequestHead;
use crate::message::Version;
use crate::path;
use crate::request_id;
use crate::target;

/// A request as it was parsed.
#[derive(Debug)]
pub struct Received<'a> {
    /// The method.
    pub method: Method,
    /// The request target, byte for byte.
    pub target: &'a [u8],
    /// The version.
    pub version: Version,
    /// The fields, without framing.
    pub headers: HeaderMap,
}

/// What the connection knows.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The address of the connection's other end.
    pub peer: IpAddr,
    /// The same as text, made once a connection.
    pub peer_text: &'a HeaderValue,
    /// How many proxies in front of us are ours.
    pub trusted_hops: usize,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The client's verified certificate, as X-Forwarded-Client-Cert has it.
    pub client_certificate: Option<&'a HeaderValue>,
    /// What becomes of X-Forwarded-Client-Cert.
    pub forward_client_cert: Mode,
    /// 128 random bits for the request id.
    pub random: u128,
}

/// A request ready for filters and routes.
#[derive(Debug)]
pub struct Prepared {
    /// The head.
    pub head: RequestHead,
    /// The client's address as it counts everywhere.
    pub client: IpAddr,
    /// What the hop-by-hop fields asked for.
    pub options: ConnectionOptions,
    /// The protocols that the client would change to.
    pub upgrade: Option<HeaderValue>,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Brings a request into its one form.
///
/// # Errors
///
/// The [`Failure`] that the client is answered with.
pub fn prepare(received: Received<'_>, arrival: &Arrival<'_>) -> Result<Prepared, Failure> {
    let Received {
        method,
        target,
        version,
        mut headers,
    } = received;
    let target = target::parse(&method, target)?;
    let authority = take_authority(&mut headers, target.authority, version)?;
    let path = value(path::normalise(target.path)?, Failure::BadPath)?;
    let (options, upgrade) = hop_by_hop::strip_with_upgrade(&mut headers);
    // An HTTP/1.0 client's wish is ignored (RFC 9110 §7.8).
    let upgrade = upgrade.filter(|_| version != Version::Http10);
    let expects_continue = take_expectation(&mut headers, version)?;
    let scheme = HeaderValue::from_static(if arrival.secure { "https" } else { "http" });
    let peer = forwarded::Peer {
        address: arrival.peer,
        address_text: arrival.peer_text,
        trusted_hops: arrival.trusted_hops,
        scheme: &scheme,
        authority: &authority,
        certificate: arrival.client_certificate,
        client_cert: arrival.forward_client_cert,
    };
    let client = forwarded::apply(&mut headers, &peer);
    if arrival.trusted_hops == 0 || !headers.contains_key(forwarded::X_REQUEST_ID) {
        headers.insert(
            forwarded::X_REQUEST_ID,
            request_id::from_random(arrival.random),
        );
    }
    let head = RequestHead {
        method,
        scheme,
        authority,
        path,
        headers,
    };
    Ok(Prepared {
        head,
        client,
        options,
        upgrade,
        expects_continue,
    })
}

/// Checks and normalises what a filter may have written to `:path` and `:authority`.
///
/// # Errors
///
/// [`Failure::InvalidHeader`]: the filter's value cannot be sent.
pub fn renormalise(head: &mut RequestHead) -> Result<(), Failure> {
    let invalid = |_| Failure::InvalidHeader;
    if let Cow::Owned(normal) = path::normalise(head.path.as_bytes()).map_err(invalid)? {
        head.path = value(Cow::Owned(normal), Failure::InvalidHeader)?;
    }
    if head.authority.is_empty() {
        return Ok(()); // An HTTP/1.0 client need not name one.
    }
    if let Cow::Owned(normal) = authority::normalise(head.authority.as_bytes()).map_err(invalid)? {
        head.authority = value(Cow::Owned(normal), Failure::InvalidHeader)?;
    }
    Ok(())
}

/// Whether [`renormalise`] would change nothing, so that nobody needs a copy to try it.
#[must_use]
pub fn is_normal(head: &RequestHead) -> bool {
    let is_kept = |normal: Result<Cow<'_, [u8]>, _>| matches!(normal, Ok(Cow::Borrowed(_)));
    is_kept(path::normalise(head.path.as_bytes()))
        && (head.authority.is_empty() || is_kept(authority::normalise(head.authority.as_bytes())))
}

/// Takes the Host field and lets an absolute target outrank it (RFC 9112 §3.2.2).
fn take_authority(
    headers: &mut HeaderMap,
    from_target: Option<&[u8]>,
    version: Version,
) -> Result<HeaderValue, Failure> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().cloned();
    if hosts.next().is_some() {
        return Err(Failure::BadHost);
    }
    headers.remove(HOST);
    // Also a Host that is outranked must be one (RFC 9112 §3.2).
    let normal = host
        .as_ref()
        .map(|host| authority::normalise(host.as_bytes()))
        .transpose()?;
    match (from_target, normal) {
        (Some(target), Some(_)) => value(authority::normalise(target)?, Failure::BadHost),
        (Some(target), None) if version == Version::Http10 => {
            value(authority::normalise(target)?, Failure::BadHost)
        }
        (None, Some(Cow::Owned(normal))) => value(Cow::Owned(normal), Failure::BadHost),
        (None, Some(Cow::Borrowed(_))) => host.ok_or(Failure::BadHost),
        // HTTP/1.0 clients need not send one; the origin gets an empty host.
        (None, None) if version == Version::Http10 => Ok(HeaderValue::from_static("")),
        (_, None) => Err(Failure::BadHost),
    }
}

fn take_expectation(headers: &mut HeaderMap, version: Version) -> Result<bool, Failure> {
    let Some(expectation) = headers.remove(EXPECT) else {
        return Ok(false);
    };
    if !expectation.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Err(Failure::UnsupportedExpectation);
    }
    // An HTTP/1.0 client's expectation is ignored (RFC 9110 §10.1.1).
    Ok(version != Version::Http10)
}

fn value(bytes: Cow<'_, [u8]>, otherwise: Failure) -> Result<HeaderValue, Failure> {
    HeaderValue::from_bytes(&bytes).map_err(|_| otherwise)
}

#[cfg(test)]
mod tests;
