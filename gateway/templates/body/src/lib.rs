//! Takes fields out of JSON answers, however deep they are.

use serde_json::Value;
use tidegate_sdk::config::Size;
use tidegate_sdk::prelude::*;

/// What the Plugin's `config` says.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// The names of the fields that clients do not get.
    #[config(min_len = 1)]
    pub remove: Vec<String>,
    /// The largest answer that is looked through; a larger one is cut.
    #[config(default = "1MiB", max = "16MiB")]
    pub limit: Size,
}

/// Takes fields out of JSON answers. It runs once for each request.
#[filter]
pub async fn body(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    // What is compressed cannot be read.
    req.headers_mut().remove("accept-encoding");
    let mut res = next.run(req).await?;
    let kind = res.header("content-type").unwrap_or_default();
    let is_json = kind.starts_with("application/json") || kind.contains("+json");
    if is_json && res.header("content-encoding").is_none() {
        let config = std::rc::Rc::clone(&cx.config);
        let removed = cx.counter("removed");
        res.map_body(cx.config.limit.as_len(), move |bytes| {
            let mut value: Value = serde_json::from_slice(&bytes)?;
            removed.add(take_out(&mut value, &config.remove));
            Ok(serde_json::to_vec(&value)?)
        })?;
    }
    Ok(res)
}

/// Takes fields out of a value and all that is in it; says how many there were.
fn take_out(value: &mut Value, names: &[String]) -> u32 {
    match value {
        Value::Object(fields) => {
            let before = fields.len();
            fields.retain(|name, _| !names.contains(name));
            let removed = u32::try_from(before - fields.len()).unwrap_or(u32::MAX);
            fields
                .values_mut()
                .fold(removed, |sum, it| sum.saturating_add(take_out(it, names)))
        }
        Value::Array(items) => items
            .iter_mut()
            .fold(0, |sum, it| sum.saturating_add(take_out(it, names))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
