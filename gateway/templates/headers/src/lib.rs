//! Sets and removes headers.

use std::collections::BTreeMap;

use tidegate_sdk::prelude::*;

/// What the Plugin's `config` says.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// Headers that the application gets, whatever the client sent.
    #[config(default)]
    pub request: BTreeMap<String, String>,
    /// Headers that clients get.
    #[config(default)]
    pub response: BTreeMap<String, String>,
    /// Headers of the application that clients do not get.
    #[config(default = ["server", "x-powered-by"])]
    pub remove: Vec<String>,
}

/// Sets and removes headers. It runs once for each request.
#[filter]
pub async fn headers(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    for (name, value) in &cx.config.request {
        req.headers_mut().set(name, value)?;
    }
    let mut res = next.run(req).await?;
    for name in &cx.config.remove {
        res.headers_mut().remove(name);
    }
    for (name, value) in &cx.config.response {
        res.headers_mut().set(name, value)?;
    }
    Ok(res)
}
