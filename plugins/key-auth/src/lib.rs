//! Lets in requests with a key of a known consumer, and tells the backend who that is.
//!
//! - `config` is what the plugin is configured with.
//! - `places` finds keys in requests and takes them out.
//! - `table` finds whom a key belongs to, in a time that tells nothing.

mod config;
mod digest;
mod moment;
mod places;
mod table;

use tidegate_policy::Decisions;
use tidegate_policy::Refusal;
use tidegate_policy::decisions;
use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

pub use config::Config;

use config::Key;
use places::Found;
use places::Offered;
use table::Table;

const DECISIONS: Decisions = decisions!("key_auth");

/// What the setup makes.
pub struct State {
    table: Table,
    /// What `WWW-Authenticate` says.
    challenge: String,
}

/// Requests with a key go on with the name of its consumer; a client's own copy of that header never does.
#[filter(config = Config, setup = prepare)]
pub async fn key_auth(mut req: Request, next: Next, cx: &Cx<Config, State>) -> Result<Response> {
    let config = &cx.config;
    match decide(&req, cx) {
        Ok(Some((key, offered))) => {
            req.headers_mut()
                .set(&config.consumer_header, &key.consumer)?;
            if !config.forward {
                offered.take_out(&mut req)?;
            }
            DECISIONS.allow(cx);
        }
        Ok(None) => {
            req.headers_mut().remove(&config.consumer_header);
            DECISIONS.allow(cx);
        }
        Err(refusal) => {
            req.headers_mut().remove(&config.consumer_header);
            DECISIONS.refuse(cx, config.dry_run, refusal)?;
        }
    }
    next.run(req).await
}

/// Whose key a request has, and where. `None` if it needs none.
fn decide<'c>(
    req: &Request,
    cx: &'c Cx<Config, State>,
) -> std::result::Result<Option<(&'c Key, Offered<'c>)>, Refusal> {
    let refused = |reason| {
        let challenge = Deny::unauthorized(&cx.state.challenge);
        Err(Refusal::new(challenge, reason))
    };
    let offered = match places::find(req, &cx.config.places) {
        Found::One(offered) => offered,
        Found::None if cx.config.allow_missing => return Ok(None),
        Found::None => return refused("missing_key"),
        Found::Several => return Err(Refusal::new(Deny::bad_request(), "several_keys")),
        Found::Malformed(what) => return refused("malformed_key").map_err(|it| it.specifics(what)),
    };
    let Some(index) = cx.state.table.find(&offered.key) else {
        return refused("unknown_key");
    };
    let Some(key) = cx.config.keys.get(index) else {
        return refused("unknown_key");
    };
    match key.not_after {
        Some(end) if cx.unix_time() >= end.since_1970() => {
            refused("expired_key").map_err(|it| it.specifics(["of ", &key.consumer].concat()))
        }
        Some(_) | None => Ok(Some((key, offered))),
    }
}

async fn prepare(cx: &Cx<Config>) -> Result<State> {
    let now = cx.unix_time();
    for key in &cx.config.keys {
        if key.not_after.is_some_and(|end| now >= end.since_1970()) {
            warn!("a key has expired", consumer = key.consumer);
        }
    }
    Ok(State {
        table: Table::new(cx.random()?, cx.config.keys.iter().map(|key| key.sha256)),
        challenge: places::challenge(&cx.config.realm, &cx.config.places),
    })
}
