//! Lets only GraphQL operations pass that are on a list ("trusted documents").
//!
//! An operation is known by the SHA-256 of its text, so that nobody can change what a name means.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_sdk::prelude::*;

/// What the plugin is configured with.
#[derive(FilterConfig, Debug)]
pub struct Config {
    /// Where GraphQL is served; other paths pass.
    #[config(default = "/graphql")]
    path: String,
    /// The operations that pass.
    operations: Vec<Operation>,
}

/// An operation that passes.
#[derive(FilterConfig, Debug)]
pub struct Operation {
    /// For metrics.
    name: String,
    /// The SHA-256 of its text, in hexadecimal digits.
    #[config(min_len = 64, max_len = 64)]
    sha256: String,
}

/// Refuses what is not on the list with 403, and what is no GraphQL with 400.
#[filter(config = Config, needs(stop_iteration))]
pub async fn graphql_allow(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    if req.path() != cx.config.path {
        return next.run(req).await;
    }
    let queries = match (req.method().as_str(), req.query_value("query")) {
        ("POST", _) => calls(&req.body().bytes().await?),
        (_, query) => query.map(|query| vec![query]),
    };
    let queries = queries.or_deny(Deny::bad_request().because("not_graphql"))?;
    for query in &queries {
        let digest = hex(&Sha256::digest(query));
        let known = cx.config.operations.iter().find(|it| it.sha256 == digest);
        let name = known.map_or("other", |it| &it.name);
        cx.counter(&["operations.", name].concat()).add(1);
        known.or_deny(Deny::forbidden().because("operation_not_allowed"))?;
    }
    next.run(req).await
}

/// The texts of one operation, or of several (graphql-over-http).
fn calls(body: &[u8]) -> Option<Vec<String>> {
    let calls = match serde_json::from_slice(body).ok()? {
        Value::Array(several) => several,
        one => vec![one],
    };
    let query = |call: &Value| Some(String::from(call.get("query")?.as_str()?));
    calls.iter().map(query).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
