//! Level 3: lets requests with a good JSON Web Token pass, and tells the backend who asks.
//!
//! `token`, `claims`, `keys`, `verify`, `cache` and `identity` are plain code without a host; `judge` asks
//! the request, `remote` the issuer.

pub mod algorithm;
mod base64url;
pub mod cache;
pub mod claims;
pub mod config;
pub mod flaw;
pub mod identity;
pub mod json;
mod judge;
pub mod keys;
mod places;
mod remote;
pub mod rsa;
mod state;
pub mod token;
pub mod verify;

use tidegate_policy::Decisions;
use tidegate_policy::decisions;
use tidegate_sdk::debug;
use tidegate_sdk::prelude::*;

use crate::config::Config;
use crate::identity::Identity;
use crate::judge::Passed;
use crate::state::State;

const DECISIONS: Decisions = decisions!("jwt_auth");

/// Lets requests with a JSON Web Token of a trusted issuer pass, and tells the backend who asks.
#[filter(config = Config, setup = state::set_up)]
pub async fn jwt_auth(mut req: Request, next: Next, cx: &Cx<Config, State>) -> Result<Response> {
    let passed = match judge::judge(&req, cx).await {
        Ok(passed) => {
            DECISIONS.allow(cx);
            passed
        }
        Err(flaw) => {
            let rules = &cx.config.rules;
            let refusal = judge::refusal(flaw, &rules.realm);
            DECISIONS.refuse(cx, rules.dry_run, refusal)?;
            Vec::new()
        }
    };
    pass_on(&mut req, cx, &passed)?;
    next.run(req).await
}

/// Takes tokens out, and sets what the backend and later filters learn. Headers that would say who asks
/// are removed if no token says it, in all spellings.
fn pass_on(req: &mut Request, cx: &Cx<Config, State>, passed: &[Passed]) -> Result<()> {
    for Passed { place, identity } in passed {
        let provider = cx.config.providers.get(identity.provider);
        if let Some(place) = cx.state.places.get(*place)
            && provider.is_some_and(|it| !it.forward)
        {
            place.remove(req)?;
        }
    }
    cx.state.spellings.remove(req);
    for (number, name) in cx.state.outputs.iter().enumerate() {
        let mut values = passed.iter().flat_map(|it| &it.identity.headers);
        match values.find(|(header, _)| *header == number) {
            Some((_, value)) => req.headers_mut().set(name, value)?,
            None => req.headers_mut().remove(name),
        }
    }
    let first = passed.iter().min_by_key(|it| it.identity.provider);
    tell_filters(cx, first.map(|it| &*it.identity))
}

/// Sets what later filters learn: nothing if nobody is known here. Who was known to another filter of this
/// kind is not who this one lets pass.
fn tell_filters(cx: &Cx<Config, State>, identity: Option<&Identity>) -> Result<()> {
    let property = &[identity::PROPERTY];
    if let Some(identity) = identity {
        return cx.set_property(property, &identity.property);
    }
    if cx.property_bytes(property).is_some_and(|it| !it.is_empty()) {
        cx.set_property(property, "")?;
        debug!(
            "removed the identity that another jwt-auth had found: there is no token for this one"
        );
    }
    Ok(())
}
