//! A filter of the harness's own tests: it rewrites server-sent events.

use tidegate_sdk::prelude::*;

/// Drops events named `debug`, and hides a word in the others.
#[filter]
pub async fn events(req: Request, next: Next, _cx: &Cx) -> Result<Response> {
    let mut res = next.run(req).await?;
    if res.header("content-type").as_deref() == Some("text/event-stream") {
        res.map_events(|mut event| {
            if event.name.as_deref() == Some("debug") {
                return None;
            }
            event.data = event.data.replace("secret", "***");
            Some(event)
        })?;
    }
    Ok(res)
}
