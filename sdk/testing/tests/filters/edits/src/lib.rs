//! A filter of the harness's own tests: it edits headers, counts, logs, and asks for a key.

use tidegate_sdk::prelude::*;

/// What it is told.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// What clients have to say.
    key: String,
    /// How many requests one minute may have, for tests of wrong configurations.
    #[config(default = 60, min = 1, max = 1000)]
    per_minute: u32,
}

/// Lets in who has the key.
#[filter(config = Config)]
pub async fn edits(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let given = req.header("x-key");
    if given.as_deref() != Some(&cx.config.key) {
        cx.counter("denied").add(1);
        tidegate_sdk::warn!("no key", path = req.path(), given = given.is_some());
        return Err(Deny::unauthorized("Key").because("no_key").into());
    }
    let client = req.client_ip().map(|ip| ip.to_string());
    let seen = req.headers().get_all("x-many").len();
    let mut headers = req.headers_mut();
    headers.remove("x-key");
    headers.set("x-client", client.unwrap_or_default())?;
    headers.set("x-seen", seen.to_string())?;
    headers.append("x-many", "from the filter")?;
    let started = cx.now();
    let mut res = next.run(req).await?;
    cx.histogram("milliseconds")
        .record(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    cx.gauge("limit").set(u64::from(cx.config.per_minute));
    let ended = cx.counter("ended");
    cx.at_end(move || ended.add(1));
    res.headers_mut().remove("x-powered-by");
    res.headers_mut().set("x-filter", "edits")?;
    Ok(res)
}
