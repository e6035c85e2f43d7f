//! A filter of the harness's own tests: it fetches keys before it serves, and again at intervals.

use std::cell::RefCell;

use tidegate_sdk::prelude::*;

/// What it is told.
#[derive(Debug, FilterConfig)]
pub struct Config {
    #[config(default = "keys")]
    source: String,
}

/// The keys that are good now.
#[derive(Debug, Default)]
pub struct Keys(RefCell<Vec<String>>);

/// Lets in who has a key.
#[filter(config = Config, setup = start, every("30s", refresh))]
pub async fn keyring(req: Request, next: Next, cx: &Cx<Config, Keys>) -> Result<Response> {
    let key = req.header("x-key").unwrap_or_default();
    let known = cx.state.0.borrow().contains(&key);
    known.or_deny(Deny::forbidden())?;
    next.run(req).await
}

async fn start(cx: &Cx<Config>) -> Result<Keys> {
    Ok(Keys(RefCell::new(fetch(cx).await?)))
}

async fn refresh(cx: &Cx<Config, Keys>) -> Result<()> {
    let keys = fetch(cx).await?;
    cx.gauge("keys")
        .set(u64::try_from(keys.len()).unwrap_or(u64::MAX));
    *cx.state.0.borrow_mut() = keys;
    Ok(())
}

async fn fetch<S>(cx: &Cx<Config, S>) -> Result<Vec<String>> {
    let reply = cx.backend(&cx.config.source).get("/keys").send().await;
    let reply = reply
        .and_then(|it| it.ok())
        .map_err(|it| it.context("fetching keys"))?;
    Ok(reply.text().lines().map(str::to_owned).collect())
}
