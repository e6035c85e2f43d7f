//! Limits how many requests pass, by client, by user, or by whatever a request has.
//!
//! - `config` is what the plugin is configured with, `state` what the setup makes of it.
//! - `key` says whose limit it is, `descriptor` says it to a rate limit service, `cost` how much a request
//!   takes.
//! - `store` keeps the limits: here, or for several gateways together.
//! - `decide` asks the stores and puts their verdicts together, and `later` does so where that takes time;
//!   `dry` asks those of limits that run dry; `owned` is what outlives a request.
//! - `headers` tells clients, with `digits`, and `seldom` the log.

mod config;
mod cost;
mod decide;
mod descriptor;
mod digits;
mod dry;
mod headers;
mod key;
mod later;
mod owned;
mod said;
mod seldom;
mod state;
mod store;

use tidegate_sdk::prelude::*;

pub use config::Config;
pub use state::State;

use dry::Trials;
use state::DECISIONS;
use state::prepare;

/// Limits how many requests pass, by client, by user, or by whatever a request has.
#[filter(config = Config, setup = prepare)]
pub async fn rate_limit(mut req: Request, next: Next, cx: &Cx<Config, State>) -> Result<Response> {
    let decision = decide::decide(&req, cx).await;
    match decision.refusal(cx) {
        None => decision.count(cx),
        Some(refusal) => DECISIONS.refuse(cx, cx.config.dry_run, refusal)?,
    }
    let dry = Trials::begin(&decision, &req, cx);
    decision.tell_backend(&mut req);
    let mut res = next.run(req).await?;
    cost::charge(&decision, &res, cx);
    dry.charge(&res, cx);
    headers::tell(&decision, &mut res, cx)?;
    Ok(res)
}
