//! A filter of the harness's own tests: it asks a backend over gRPC, and says what came of it.

use tidegate_sdk::prelude::*;

/// Whom it asks.
#[derive(Debug, FilterConfig)]
pub struct Config {
    #[config(default = "greeter")]
    backend: String,
    #[config(default = "5s")]
    timeout: Duration,
}

/// Answers with the status, the text and the message of a call whose message is the body.
#[filter(config = Config, needs(stop_iteration))]
pub async fn greets(mut req: Request, _next: Next, cx: &Cx<Config>) -> Result<Response> {
    let config = &cx.config;
    let body = req.body().limit(1 << 20).bytes().await?;
    let call = cx.backend(&config.backend).grpc("greet.Greeter", "Hello");
    let call = call.metadata("x-tenant", "blue").message(body);
    match call.timeout(config.timeout).send().await {
        Ok(reply) => {
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            let res = Response::text(200, text);
            let res = res.with_header("x-status", &reply.status.to_string());
            Ok(res.with_header("x-text", &reply.message))
        }
        Err(error) => Ok(Response::text(502, format!("{:?}", error.call_failure()))),
    }
}
