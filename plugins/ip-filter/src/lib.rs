//! Lets requests pass or not by the address that they come from.

mod config;
mod source;

use tidegate_policy::Decisions;
use tidegate_policy::Refusal;
use tidegate_policy::decisions;
use tidegate_sdk::prelude::*;

pub use config::Config;
pub use config::From;
pub use config::Header;

const DECISIONS: Decisions = decisions!("ip_filter");

/// Lets requests pass or not by the address that they come from.
#[filter(config = Config)]
pub async fn ip_filter(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    match refusal(&req, cx) {
        None => DECISIONS.allow(cx),
        Some(refusal) => DECISIONS.refuse(cx, cx.config.dry_run, refusal)?,
    }
    next.run(req).await
}

fn refusal(req: &Request, cx: &Cx<Config>) -> Option<Refusal> {
    let allow = cx.config.allow.0.as_ref();
    let deny = cx.config.deny.0.as_ref();
    let refuse = |reason| Some(Refusal::new(Deny::forbidden(), reason));
    let Some(address) = source::address(req, cx) else {
        return refuse("ip_unknown");
    };
    let refused = if deny.is_some_and(|it| it.contains(address)) {
        refuse("ip_denied")
    } else if allow.is_some_and(|it| !it.contains(address)) {
        refuse("ip_not_allowed")
    } else {
        None
    };
    refused.map(|it| it.specifics(address.to_string()))
}
