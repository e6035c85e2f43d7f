//! A change of protocol, from the client's wish to the origin's `101` (RFC 9110 §7.8).
//!
//! Owns the two fields that speak of it while a head is on its way: filters read them, as on Envoy,
//! and what a filter or an origin could make of them by mistake is no change of protocol. What is
//! allowed is `core::upgrade`'s, the bytes that follow [`tunnel`](super::tunnel)'s.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CONNECTION;
use http::header::UPGRADE;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::message::RequestHead;
use tidegate_core::upgrade::Offer;
use tidegate_core::upgrade::answered;

use crate::exchange::state::State;
use crate::exchange::state::Upgrade;

/// Notes what a client asks for. The wish of a request with a body is ignored: it is about the
/// connection after that body. To HEAD there is no answer that could change anything.
pub(super) fn begin(state: &mut State, wanted: HeaderValue, length: BodyLength) {
    if length != BodyLength::Empty || state.request.method == Method::HEAD {
        return;
    }
    write(&mut state.request.headers, &wanted);
    state.upgrade = Some(Box::new(Upgrade {
        protocols: wanted,
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
        Offer::Nothing => {
            state.upgrade = None;
            forget(&mut state.request);
        }
    }
    Ok(())
}

/// Takes an origin's `101`.
pub(super) fn accept(state: &mut State, headers: &HeaderMap) -> Result<(), Failure> {
    let upgrade = state.upgrade.as_mut().ok_or(Failure::UpstreamProtocol)?;
    let protocol = answered(&upgrade.protocols, headers).ok_or(Failure::UpstreamProtocol)?;
    upgrade.protocols = protocol;
    upgrade.accepted = true;
    Ok(())
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

/// Removes the wish from a head: a copy for a mirror changes nothing.
pub(super) fn forget(head: &mut RequestHead) {
    head.headers.remove(CONNECTION);
    head.headers.remove(UPGRADE);
}

fn write(headers: &mut HeaderMap, protocols: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocols.clone());
}
