//! Lets requests pass whose bearer token another service knows.

use tidegate_sdk::config::Backend;
use tidegate_sdk::prelude::*;

/// What the Plugin's `config` says.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// The service that knows tokens: it answers 2xx and may name the user, or 401 or 403.
    pub backend: Backend,
    /// The path that it is asked on.
    #[config(default = "/verify")]
    pub path: String,
    /// How long it may take to answer.
    #[config(default = "2s", min = "1ms", max = "30s")]
    pub timeout: Duration,
    /// How long its answer is remembered.
    #[config(default = "1m", max = "1h")]
    pub remember: Duration,
    /// The header by which it names the user, and by which the application learns of them.
    #[config(default = "x-user")]
    pub user_header: String,
}

/// How many tokens are remembered.
const TOKENS: usize = 10_000;

/// What the service says of a token.
enum Verdict {
    /// It is good, and may belong to somebody with a name.
    Good(Option<String>),
    /// It is not.
    Bad,
}

/// Lets requests pass whose bearer token another service knows. It runs once for each request.
#[filter(capabilities(backends))]
pub async fn auth(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let header = &cx.config.user_header;
    // Only the service says who somebody is.
    req.headers_mut().remove(header);
    let token = req.bearer().or_deny(Deny::unauthorized("Bearer"))?;
    match &*verdict(&token, cx).await? {
        Verdict::Good(Some(user)) => req.headers_mut().set(header, user)?,
        Verdict::Good(None) => {}
        Verdict::Bad => {
            cx.counter("denied").add(1);
            return Err(Deny::unauthorized("Bearer error=\"invalid_token\"").into());
        }
    }
    next.run(req).await
}

/// Asks the service, once for all requests that come with the same token meanwhile.
async fn verdict(token: &str, cx: &Cx<Config>) -> Result<std::rc::Rc<Verdict>> {
    let Config {
        backend,
        path,
        timeout,
        remember,
        user_header,
    } = &*cx.config;
    let call = cx
        .backend(backend)
        .get(path)
        .header("authorization", ["Bearer ", token].concat())
        .timeout(*timeout);
    let (user_header, remember) = (user_header.clone(), *remember);
    let ask = move || async move {
        let reply = call.send().await?;
        let verdict = match reply.status() {
            401 | 403 => Verdict::Bad,
            _ => Verdict::Good(reply.ok()?.header(&user_header)),
        };
        Ok((verdict, remember))
    };
    let asked = cx.cache("tokens", TOKENS)?.get_or_fetch(token, ask).await;
    // Neither yes nor no: nobody passes, the log says why, and nothing is remembered.
    asked.map_err(|error| error.with_status(503))
}
