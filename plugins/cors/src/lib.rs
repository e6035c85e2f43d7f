//! Cross-origin resource sharing: which pages of other origins may read responses (Fetch standard,
//! "HTTP CORS protocol"). Browsers enforce it; this filter tells them.

mod answer;
mod config;
mod list;
mod origin;

use tidegate_policy::Decisions;
use tidegate_policy::decisions;
use tidegate_sdk::prelude::*;

use answer::Preflight;
use answer::edit;
use answer::unmatched_preflight;
use answer::vary_by_origin;
pub use config::Config;
use config::Unmatched;

const DECISIONS: Decisions = decisions!("cors");

/// Says which pages of other origins may read responses (CORS), and answers preflights.
#[filter(config = Config)]
pub async fn cors(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let config = &*cx.config;
    let Some(origin) = req.header("origin") else {
        let mut res = next.run(req).await?;
        if !config.dry_run {
            edit(&mut res, None, config)?;
        }
        return Ok(res);
    };
    let preflight = Preflight::of(&req);
    let is_allowed = config.allows(&origin);
    decide(&origin, is_allowed, preflight.as_ref(), cx);
    if config.dry_run {
        return next.run(req).await;
    }
    match (is_allowed, config.unmatched, preflight) {
        (true, _, Some(preflight)) => Ok(preflight.answer(&origin, config)),
        (true, _, None) => {
            let mut res = next.run(req).await?;
            edit(&mut res, Some(&origin), config)?;
            Ok(res)
        }
        (false, Unmatched::Forward, _) => {
            let mut res = next.run(req).await?;
            vary_by_origin(&mut res)?;
            Ok(res)
        }
        (false, Unmatched::Ignore, Some(_)) => Ok(unmatched_preflight()),
        (false, Unmatched::Ignore, None) => {
            let mut res = next.run(req).await?;
            edit(&mut res, None, config)?;
            Ok(res)
        }
    }
}

/// Counts and says what a browser will find.
fn decide(origin: &str, is_allowed: bool, preflight: Option<&Preflight>, cx: &Cx<Config>) {
    let refuse = |reason, what: &str| {
        let specifics = [
            "origin ",
            origin,
            if what.is_empty() { "" } else { ", " },
            what,
        ]
        .concat();
        DECISIONS.note(cx, cx.config.dry_run, reason, &specifics);
    };
    if !is_allowed {
        return refuse("origin_not_allowed", "");
    }
    match preflight.and_then(|it| it.refusal(&cx.config)) {
        Some((reason, what)) => refuse(reason, &what),
        None => DECISIONS.allow(cx),
    }
}
