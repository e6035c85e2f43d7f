//! A filter of the harness's own tests: it asks a backend who somebody is, keeps the answer, and
//! asks once for all who wait.

use tidegate_sdk::backend::Call;
use tidegate_sdk::error::CallFailure;
use tidegate_sdk::prelude::*;

/// What it is told.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// Who knows.
    idp: String,
    #[config(default = "30s")]
    keep: Duration,
    #[config(default = "500ms")]
    timeout: Duration,
}

/// Says who somebody is.
#[filter(config = Config)]
pub async fn lookup(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let token = req.bearer().or_deny(Deny::unauthorized("Bearer"))?;
    let config = &cx.config;
    let call = cx.backend(&config.idp).post("/introspect");
    let call = call.form([("token", &token)]).timeout(config.timeout);
    let keep = config.keep;
    let cache = cx.cache::<String>("tokens", 100)?;
    let who = match cache.get_or_fetch(&token, || ask(call, keep)).await {
        Ok(who) => who,
        Err(error) if error.call_failure() == Some(CallFailure::Status(404)) => {
            return Err(Deny::unauthorized("Bearer").because("unknown_token").into());
        }
        Err(error) => {
            cx.counter("failed").add(1);
            tidegate_sdk::error!("nobody knows", why = error);
            return Err(Deny::status(503).because("no_idp").into());
        }
    };
    req.headers_mut().set("x-subject", who.as_str())?;
    next.run(req).await
}

async fn ask(call: Call, keep: Duration) -> Result<(String, Duration)> {
    Ok((call.send().await?.ok()?.text(), keep))
}
