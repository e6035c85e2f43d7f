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
use tidegate_sdk::prelude::*;

use crate::config::Config;
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
/// are removed if no token says it.
fn pass_on(req: &mut Request, cx: &Cx<Config, State>, passed: &[Passed]) -> Result<()> {
    for Passed { place, identity } in passed {
        let provider = cx.config.providers.get(identity.provider);
        if let Some(place) = cx.state.places.get(*place)
            && provider.is_some_and(|it| !it.forward)
        {
            place.remove(req)?;
        }
    }
    for (number, name) in cx.state.outputs.iter().enumerate() {
        let mut values = passed.iter().flat_map(|it| &it.identity.headers);
        match values.find(|(header, _)| *header == number) {
            Some((_, value)) => req.headers_mut().set(name, value)?,
            None => req.headers_mut().remove(name),
        }
    }
    let first = passed.iter().min_by_key(|it| it.identity.provider);
    if let Some(Passed { identity, .. }) = first {
        cx.set_property(&[identity::PROPERTY], &identity.property)?;
    }
    Ok(())
}
