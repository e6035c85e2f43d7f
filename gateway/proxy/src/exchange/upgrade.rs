//! A change of protocol, from the client's wish to the origin's answer (RFC 9110 §7.8, RFC 8441).
//!
//! Owns what speaks of it while a head is on its way: filters read an `upgrade` field and a `101`
//! whatever the client speaks, as on Envoy, and what a filter or an origin could make of them by
//! mistake is no change of protocol. How the wish and its answer look on a connection and on a
//! stream is translated here. What is allowed is `core::upgrade`'s, the bytes that follow are
//! [`tunnel`](super::tunnel)'s.

mod key;

use std::borrow::Cow;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CONNECTION;
use http::header::CONTENT_LENGTH;
use http::header::SEC_WEBSOCKET_ACCEPT;
use http::header::SEC_WEBSOCKET_KEY;
use http::header::SEC_WEBSOCKET_VERSION;
use http::header::UPGRADE;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::message::RequestHead;
use tidegate_core::message::Version;
use tidegate_core::upgrade::Offer;
use tidegate_core::upgrade::WEBSOCKET;
use tidegate_core::upgrade::answered;
use tidegate_core::upgrade::has_websocket;

use crate::exchange::state::State;
use crate::exchange::state::Upgrade;
use crate::http1::encode;
use crate::http1::head::ParsedResponse;
use crate::outlet::HeadUnwritten;
use crate::outlet::Outlet;
use crate::upstream::Freshness;

/// The version of the protocol that all speak (RFC 6455 §4.1).
const WEBSOCKET_VERSION: HeaderValue = HeaderValue::from_static("13");

/// Notes what a client asks for. To HEAD there is no answer that could change anything.
pub(super) fn begin(state: &mut State, wanted: HeaderValue) {
    if state.request.method == Method::HEAD {
        return;
    }
    let headers = &mut state.request.headers;
    write(headers, &wanted);
    let by_stream = state.facts.version == Version::Http2;
    // On a stream there is no key: what a client sends all the same is nobody's (RFC 8441 §5).
    let client_key = if by_stream {
        headers.remove(SEC_WEBSOCKET_KEY);
        None
    } else {
        headers.get(SEC_WEBSOCKET_KEY).cloned()
    };
    state.upgrade = Some(Box::new(Upgrade {
        protocols: wanted,
        by_stream,
        client_key,
        expected: None,
        accepted: false,
        origin: None,
    }));
}

/// Reduces the wish to what the rule that has the request allows.
pub(super) fn admit(state: &mut State) -> Result<(), Failure> {
    let (Some(upgrade), Some(routed)) = (&mut state.upgrade, &state.routed) else {
        return Ok(());
    };
    match routed.rule.upgrades.offer(&upgrade.protocols)? {
        Offer::Protocols(protocols) => {
            write(&mut state.request.headers, &protocols);
            upgrade.protocols = protocols;
        }
        // A stream is for nothing else (RFC 9220 §3).
        Offer::Nothing if upgrade.by_stream => return Err(Failure::UnsupportedUpgrade),
        Offer::Nothing => {
            state.upgrade = None;
            forget(&mut state.request);
        }
    }
    Ok(())
}

/// Which connections will do for a request, if its client wishes to change the protocol. On origins
/// that speak HTTP/2 alone, wishes that cannot be a stream's are ignored: the origin answers the
/// rest.
pub(super) fn freshness(state: &mut State, length: BodyLength, http2_alone: bool) -> Freshness {
    let Some(upgrade) = &state.upgrade else {
        return Freshness::Any;
    };
    let websocket = has_websocket(&upgrade.protocols) && state.request.method == Method::GET;
    if length == BodyLength::Empty && (upgrade.by_stream || websocket) {
        return Freshness::Tunnel;
    }
    if !http2_alone {
        return Freshness::Http1;
    }
    state.upgrade = None;
    forget(&mut state.request);
    Freshness::Any
}

/// Writes the head of a request whose client wishes to change the protocol.
pub(super) fn send(
    upgrade: &mut Upgrade,
    head: &RequestHead,
    host: &[u8],
    (length, wants_trailers): (BodyLength, bool),
    outlet: &mut Outlet<'_>,
) -> Result<(), HeadUnwritten> {
    match outlet {
        Outlet::Http1(writer) => {
            let mut head = Cow::Borrowed(head);
            if upgrade.by_stream && has_websocket(&upgrade.protocols) {
                let headers = &mut head.to_mut().headers;
                let key = key::generate();
                upgrade.expected = Some(key::answer(&key));
                headers.insert(SEC_WEBSOCKET_KEY, key);
                let version = headers.entry(SEC_WEBSOCKET_VERSION);
                version.or_insert(WEBSOCKET_VERSION);
            }
            encode::request_head(&mut writer.out, &head, host, length, wants_trailers);
            Ok(())
        }
        Outlet::Http2(writer) => {
            if has_websocket(&upgrade.protocols) {
                // A stream is for one protocol.
                upgrade.protocols = HeaderValue::from_static(WEBSOCKET);
            }
            let request = crate::http2::head::for_tunnel(head, host, &upgrade.protocols);
            let request = request.ok_or(HeadUnwritten::Invalid)?;
            writer.begin_tunnel();
            writer.request(request, false).map_err(HeadUnwritten::Sink)
        }
    }
}

/// Takes an origin's `101`.
pub(super) fn accept(state: &mut State, headers: &HeaderMap) -> Result<(), Failure> {
    let upgrade = state.upgrade.as_mut().ok_or(Failure::UpstreamProtocol)?;
    let protocol = answered(&upgrade.protocols, headers).ok_or(Failure::UpstreamProtocol)?;
    if let Some(expected) = &upgrade.expected {
        let mut answers = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
        if answers.next() != Some(expected) || answers.next().is_some() {
            return Err(fail(state, "its Sec-WebSocket-Accept does not fit the key"));
        }
    }
    upgrade.protocols = protocol;
    upgrade.accepted = true;
    Ok(())
}

/// Takes an origin's answer to the opening of a tunnel on a stream: a good one becomes the `101` that
/// it is on a connection (RFC 8441 §5).
pub(super) fn accept_on_stream(state: &mut State, parsed: &mut ParsedResponse) {
    let Some(upgrade) = &mut state.upgrade else {
        return;
    };
    if !parsed.status.is_success() {
        return;
    }
    parsed.status = StatusCode::SWITCHING_PROTOCOLS;
    let headers = &mut parsed.headers;
    // There is no body that it could be the length of (RFC 9110 §9.3.6).
    headers.remove(CONTENT_LENGTH);
    headers.remove(SEC_WEBSOCKET_ACCEPT);
    if let Some(key) = upgrade.client_key.as_ref() {
        headers.insert(SEC_WEBSOCKET_ACCEPT, key::answer(key));
    }
    upgrade.accepted = true;
}

/// Puts into the response what speaks of the change, after all that ends here was removed.
pub(super) fn announce(state: &mut State) {
    if let Some(upgrade) = &state.upgrade {
        write(&mut state.response.headers, &upgrade.protocols);
    }
}

/// Whether the response that leaves is the one by which the protocol changes: no filter has made
/// another one of it.
pub(super) fn is_done(state: &State) -> bool {
    let accepted = state.upgrade.as_ref().is_some_and(|it| it.accepted);
    accepted && state.response.status == StatusCode::SWITCHING_PROTOCOLS
}

/// Refuses a response that would open a tunnel by mistake: on a stream, every success does.
pub(super) fn check(state: &mut State) -> Result<(), Failure> {
    let by_stream = state.upgrade.as_ref().is_some_and(|it| it.by_stream);
    if by_stream && !is_done(state) && state.response.status.is_success() {
        return Err(fail(state, "it was answered as an ordinary request"));
    }
    Ok(())
}

/// The response by which a stream becomes a tunnel, from the `101` that filters saw.
pub(super) fn as_stream(headers: &mut HeaderMap) -> StatusCode {
    headers.remove(SEC_WEBSOCKET_ACCEPT);
    headers.remove(CONTENT_LENGTH);
    StatusCode::OK
}

/// A failure, and what the log is told about it.
fn fail(state: &mut State, why: &str) -> Failure {
    state.blame = Some(why.to_owned());
    Failure::UpgradeFailed
}

/// Removes the wish from a head: a copy for a mirror changes nothing.
pub(super) fn forget(head: &mut RequestHead) {
    head.headers.remove(CONNECTION);
    head.headers.remove(UPGRADE);
}

fn write(headers: &mut HeaderMap, protocols: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocols.clone());
}
