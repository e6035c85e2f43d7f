//! Lets only GraphQL operations pass that are on a list ("trusted documents").
//!
//! An operation is known by the SHA-256 of its text, so that nobody can change what a name means.

use serde::Deserialize;
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

/// A request for GraphQL, or several (graphql-over-http).
#[derive(Deserialize)]
#[serde(untagged)]
enum Call {
    One(Query),
    Several(Vec<Query>),
}

#[derive(Deserialize)]
struct Query {
    query: String,
}

/// Refuses what is not on the list with 403, and what is no GraphQL with 400.
#[filter(config = Config, needs(stop_iteration))]
pub async fn graphql_allow(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    if req.path() != cx.config.path {
        return next.run(req).await;
    }
    let queries = match (req.method().as_str(), req.query_value("query")) {
        ("POST", _) => calls(&req.body().bytes().await?),
        (_, query) => query.map(|query| vec![Query { query }]),
    };
    let queries = queries.or_deny(Deny::bad_request().because("not_graphql"))?;
    for Query { query } in &queries {
        let digest = hex(&Sha256::digest(query));
        let known = cx.config.operations.iter().find(|it| it.sha256 == digest);
        let name = known.map_or("other", |it| &it.name);
        cx.counter(&["operations.", name].concat()).add(1);
        known.or_deny(Deny::forbidden().because("operation_not_allowed"))?;
    }
    next.run(req).await
}

fn calls(body: &[u8]) -> Option<Vec<Query>> {
    Some(match serde_json::from_slice(body).ok()? {
        Call::One(query) => vec![query],
        Call::Several(queries) => queries,
    })
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
