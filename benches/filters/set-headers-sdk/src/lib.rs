//! `set-headers` once more, on the SDK: the difference is what an asynchronous function costs.

use tidegate_sdk::prelude::*;

/// Sets one request header and one response header.
#[filter]
pub async fn set_headers(mut req: Request, next: Next, _cx: &Cx) -> Result<Response> {
    req.headers_mut().set("x-bench", "request")?;
    let mut res = next.run(req).await?;
    res.headers_mut().set("x-bench", "response")?;
    Ok(res)
}
