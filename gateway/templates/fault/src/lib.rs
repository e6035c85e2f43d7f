//! Delays or fails a share of the requests, to see how others bear it.

use tidegate_sdk::config::Percent;
use tidegate_sdk::prelude::*;

/// What the Plugin's `config` says.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// Makes requests wait.
    pub delay: Option<Delay>,
    /// Answers requests in place of the application.
    pub abort: Option<Abort>,
}

/// Requests that wait.
#[derive(Debug, FilterConfig)]
pub struct Delay {
    /// How many of them, such as "10%".
    pub share: Percent,
    /// For how long.
    #[config(min = "1ms", max = "20s")]
    pub time: Duration,
}

/// Requests that fail.
#[derive(Debug, FilterConfig)]
pub struct Abort {
    /// How many of them, such as "10%".
    pub share: Percent,
    /// The status that clients get.
    #[config(min = 400, max = 599)]
    pub status: u16,
}

/// Delays or fails a share of the requests. It runs once for each request.
#[filter]
pub async fn fault(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    if let Some(delay) = &cx.config.delay
        && is_hit(delay.share, cx)?
    {
        cx.counter("delayed").add(1);
        cx.sleep(delay.time).await;
    }
    if let Some(abort) = &cx.config.abort
        && is_hit(abort.share, cx)?
    {
        cx.counter("aborted").add(1);
        return Err(Deny::status(abort.status).because("fault").into());
    }
    next.run(req).await
}

/// Whether chance hits this request.
fn is_hit(share: Percent, cx: &Cx<Config>) -> Result<bool> {
    let drawn = u32::from_le_bytes(cx.random()?);
    Ok(f64::from(drawn) / (f64::from(u32::MAX) + 1.0) < share.fraction())
}
