//! The filters of a rule that are not plugins, in the path.
//!
//! Owns when `core::filter`'s functions are called. What they do is decided there.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;
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
        Filter::Plugin(_)
        | Filter::RequestHeaders(_)
        | Filter::ResponseHeaders(_)
        | Filter::Rewrite(_)
        | Filter::Mirror(_) => {}
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

/// What a request said before it was edited for its origin.
pub(crate) struct Asked {
    authority: HeaderValue,
    path: HeaderValue,
    headers: Option<HeaderMap>,
}

/// Edits the request for its origin as the rule and the share say: header fields, then host and path.
/// Returns what it said before, if anything is changed: routing, filters and the log go by that.
pub(crate) fn edit_for_origin(state: &mut State) -> Option<Asked> {
    let routed = state.routed.as_ref()?;
    let rule = &routed.rule;
    let share = routed.share.and_then(|share| rule.backends.get(share));
    if rule.filters.is_empty() && share.is_none_or(|share| share.filters.is_empty()) {
        return None;
    }
    let mut asked = Asked {
        authority: state.request.authority.clone(),
        path: state.request.path.clone(),
        headers: None,
    };
    let filters = rule.filters.iter();
    for filter in filters.chain(share.map_or(&[][..], |share| &share.filters)) {
        match filter {
            Filter::RequestHeaders(edits) => {
                let headers = &mut state.request.headers;
                asked.headers.get_or_insert_with(|| headers.clone());
                edits.apply(headers);
            }
            Filter::Rewrite(rewrite) => rewrite.apply(&mut state.request, routed.prefix),
            Filter::Plugin(_)
            | Filter::ResponseHeaders(_)
            | Filter::Redirect(_)
            | Filter::Mirror(_)
            | Filter::Cors(_) => {}
        }
    }
    Some(asked)
}

/// Gives a request back what it said.
pub(crate) fn restore(state: &mut State, asked: Asked) {
    let Asked {
        authority,
        path,
        headers,
    } = asked;
    state.request.authority = authority;
    state.request.path = path;
    if let Some(headers) = headers {
        state.request.headers = headers;
    }
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
