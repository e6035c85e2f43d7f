//! The filters of a rule that are not plugins, in the path.
//!
//! Owns when `core::filter`'s functions are called. What they do is decided there.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderValue;
use tidegate_core::filter::Filter;
use tidegate_core::message::ResponseHead;
use tidegate_host_abi::LocalResponse;

use crate::exchange::state::Local;
use crate::exchange::state::State;
use crate::exchange::state::StreamCell;
use crate::filters::run::Stop;

/// The flag of redirects in the access log.
const REDIRECT: &str = "redirect";
/// The flag of preflights in the access log.
const PREFLIGHT: &str = "cors_preflight";

/// Lets a request pass a filter of its rule, or answers it.
pub(crate) fn on_request(filter: &Filter, stream: &Rc<StreamCell>, port: u16) -> Result<(), Stop> {
    let mut state = stream.state();
    let state = &mut *state;
    match filter {
        Filter::RequestHeaders(edits) => edits.apply(&mut state.request.headers),
        Filter::Redirect(redirect) => {
            let prefix = state.routed.as_ref().and_then(|routed| routed.prefix);
            let mut head = ResponseHead {
                status: redirect.status,
                ..ResponseHead::default()
            };
            let location = redirect.location(&state.request, prefix, port);
            head.headers.insert(http::header::LOCATION, location);
            return Err(answer(state, &head, REDIRECT));
        }
        Filter::Cors(cors) => {
            if let Some(head) = cors.preflight(&state.request) {
                return Err(answer(state, &head, PREFLIGHT));
            }
        }
        // Plugins are steps of their own; the rest happens on the response or when it leaves.
        Filter::Plugin(_) | Filter::ResponseHeaders(_) | Filter::Rewrite(_) | Filter::Mirror(_) => {
        }
    }
    Ok(())
}

/// Lets a response pass a filter of its request's rule.
pub(crate) fn on_response(filter: &Filter, state: &mut State) {
    match filter {
        Filter::ResponseHeaders(edits) => edits.apply(&mut state.response.headers),
        Filter::Cors(cors) => cors.on_response(&state.request, &mut state.response.headers),
        Filter::RequestHeaders(_)
        | Filter::Redirect(_)
        | Filter::Plugin(_)
        | Filter::Rewrite(_)
        | Filter::Mirror(_) => {}
    }
}

/// The edits of the share that a response comes from, before all others.
pub(crate) fn on_upstream_response(state: &mut State) {
    let Some(routed) = &state.routed else { return };
    let share = routed
        .share
        .and_then(|share| routed.rule.backends.get(share));
    for filter in share.map_or(&[][..], |share| &share.filters) {
        if let Filter::ResponseHeaders(edits) = filter {
            edits.apply(&mut state.response.headers);
        }
    }
}

/// Rewrites the request for the origin; returns the authority and path that it had, if any rewrite
/// is asked for.
pub(crate) fn rewrite(state: &mut State) -> Option<(HeaderValue, HeaderValue)> {
    let routed = state.routed.as_ref()?;
    let rewrite = routed.rule.filters.iter().find_map(|filter| match filter {
        Filter::Rewrite(rewrite) => Some(rewrite),
        _ => None,
    })?;
    let asked = (state.request.authority.clone(), state.request.path.clone());
    rewrite.apply(&mut state.request, routed.prefix);
    Some(asked)
}

fn answer(state: &mut State, head: &ResponseHead, flag: &'static str) -> Stop {
    let headers = head.headers.iter().map(|(name, value)| {
        let name = Bytes::copy_from_slice(name.as_str().as_bytes());
        (name, Bytes::copy_from_slice(value.as_bytes()))
    });
    state.local = Some(Local {
        response: LocalResponse {
            status: u32::from(head.status.as_u16()),
            details: Bytes::new(),
            body: Bytes::new(),
            headers: headers.collect(),
            grpc_status: None,
        },
        flag,
    });
    Stop::Local
}
