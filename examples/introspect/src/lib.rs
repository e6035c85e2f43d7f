//! Asks an identity provider who a bearer token belongs to (RFC 7662), and remembers it.

use serde::Deserialize;
use tidegate_sdk::prelude::*;

/// What the plugin is configured with.
#[derive(FilterConfig, Debug)]
pub struct Config {
    /// The identity provider.
    idp: Backend,
    /// Where it introspects tokens.
    #[config(default = "/introspect")]
    path: String,
    /// How long an answer of it is good.
    #[config(default = "30s", max = "1h")]
    cache: Duration,
    /// How long it may take.
    #[config(default = "2s", max = "30s")]
    timeout: Duration,
}

/// What the identity provider says of a token.
#[derive(Deserialize)]
struct Subject {
    active: bool,
    #[serde(default)]
    sub: String,
}

/// Lets requests with a good token pass, with `x-subject` for the backend.
#[filter(config = Config)]
pub async fn introspect(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let token = req.bearer().or_deny(Deny::unauthorized("Bearer"))?;
    let subjects = cx.cache("subjects", 10_000)?;
    let who = subjects
        .get_or_fetch(&token, || ask(cx.clone(), token.clone()))
        .await
        .map_err(|error| error.with_status(503))?;
    if !who.active {
        cx.counter("inactive_tokens").add(1);
        let challenge = "Bearer error=\"invalid_token\"";
        return Err(Deny::unauthorized(challenge)
            .because("inactive_token")
            .into());
    }
    req.headers_mut().set("x-subject", &who.sub)?;
    next.run(req).await
}

async fn ask(cx: Cx<Config>, token: String) -> Result<(Subject, Duration)> {
    let reply = cx
        .backend(&cx.config.idp)
        .post(&cx.config.path)
        .form([("token", &token)])
        .timeout(cx.config.timeout)
        .send()
        .await?;
    Ok((reply.ok()?.json()?, cx.config.cache))
}
