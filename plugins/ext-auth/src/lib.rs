//! Asks an HTTP service whether a request may pass, as Envoy's ext_authz asks its HTTP service.

mod ask;
mod check;
mod config;
mod names;
mod verdict;

use tidegate_policy::is_spelling;
use tidegate_sdk::prelude::*;

use ask::Passed;
use ask::decide;
use check::Check;
pub use config::Config;
use names::has;
use names::is_of_the_gateway;
use names::resembles;

/// Tells backends that the service had failed, so that nobody said yes.
const FAILURE_MODE_ALLOWED: &str = "x-envoy-auth-failure-mode-allowed";

/// Asks an HTTP service whether a request may pass, as Envoy's ext_authz does.
#[filter(config = Config)]
pub async fn ext_auth(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let all = req.headers().all_bytes();
    let check = Check::of(&req, &all, &cx.config);
    let passed = decide(check, &mut req, cx).await?;
    remove_claims(&mut req, &all, &passed, &cx.config);
    match passed {
        Passed::Granted(grant) => {
            grant.apply(&mut req)?;
            let mut res = next.run(req).await?;
            grant.tell_client(&mut res)?;
            Ok(res)
        }
        Passed::FailedOpen => {
            req.headers_mut().set(FAILURE_MODE_ALLOWED, "true")?;
            next.run(req).await
        }
        Passed::Dry => next.run(req).await,
    }
}

/// Removes what only the service may say and the client has said. Credentials are the client's to
/// send, unless the service said yes and its yes is not about them. What only looks like such a header to some
/// backends goes in any case.
fn remove_claims(req: &mut Request, all: &[(String, Vec<u8>)], passed: &Passed, config: &Config) {
    let is_judged = |name: &str| {
        matches!(name, "authorization" | "cookie")
            && match passed {
                Passed::Granted(_) => config.judges(name, all),
                Passed::FailedOpen | Passed::Dry => true,
            }
    };
    let mut headers = req.headers_mut();
    for (name, _) in all {
        let name = name.to_ascii_lowercase();
        let is_claim = has(&config.headers_to_upstream_on_allow, &name)
            && !is_judged(&name)
            && !is_of_the_gateway(&name);
        let is_like_one = resembles(&config.headers_to_upstream_on_allow, &name);
        if is_claim || is_like_one || is_spelling(&name, FAILURE_MODE_ALLOWED) {
            headers.remove(&name);
        }
    }
}
