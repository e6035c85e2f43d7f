//! Lets in requests with a key of a known consumer, and tells the backend who that is.
//!
//! - `config` is what the plugin is configured with, `digest` and `moment` what stands in it.
//! - `places` finds keys in requests and takes them out.
//! - `table` finds whom a key belongs to, in a time that tells nothing.
//! - `decide` puts these together.

mod config;
mod decide;
mod digest;
mod moment;
mod places;
mod table;

use tidegate_policy::Decisions;
use tidegate_policy::Spellings;
use tidegate_policy::decisions;
use tidegate_sdk::metrics::Counter;
use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

pub use config::Config;

use decide::Decision;
use decide::decide;
use table::Table;

const DECISIONS: Decisions = decisions!("key_auth");

/// What the setup makes.
#[derive(Debug)]
pub struct State {
    table: Table,
    allowed: Counter,
    /// What `WWW-Authenticate` says.
    challenge: String,
    /// What backends take for the header of the consumer.
    spellings: Spellings,
}

/// Lets requests in by an API key, and tells the backend whose it is.
#[filter(config = Config, setup = prepare)]
pub async fn key_auth(mut req: Request, next: Next, cx: &Cx<Config, State>) -> Result<Response> {
    let config = &cx.config;
    let decision = decide(&req, cx);
    cx.state.spellings.remove(&mut req);
    match decision {
        Decision::Known(key, offered) => {
            req.headers_mut()
                .set(&config.consumer_header, &key.consumer)?;
            if !config.forward {
                offered.take_out(&mut req)?;
            }
            cx.state.allowed.add(1);
        }
        Decision::Anonymous => {
            req.headers_mut().remove(&config.consumer_header);
            cx.state.allowed.add(1);
        }
        Decision::Refused(why) => {
            req.headers_mut().remove(&config.consumer_header);
            let refusal = why.refusal(&cx.state.challenge);
            DECISIONS.refuse(cx, config.dry_run, refusal)?;
        }
    }
    next.run(req).await
}

async fn prepare(cx: &Cx<Config>) -> Result<State> {
    let now = cx.unix_time();
    for key in &cx.config.keys.0 {
        if key.not_after.is_some_and(|end| now >= end.since_1970()) {
            warn!("a key has expired", consumer = key.consumer);
        }
    }
    let digests = cx.config.keys.0.iter().map(|key| key.sha256);
    Ok(State {
        allowed: DECISIONS.allowed(cx),
        table: Table::new(cx.random()?, digests),
        challenge: places::challenge(&cx.config.realm, &cx.config.places.0),
        spellings: Spellings::of([&*cx.config.consumer_header]),
    })
}
