//! A filter of the harness's own tests: it counts requests in Redis, and says what came of it.

use tidegate_sdk::prelude::*;
use tidegate_sdk::redis::Client;

/// What it is told.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// Where it counts.
    redis: String,
    #[config(default = "500ms")]
    timeout: Duration,
    #[config(default = "")]
    user: String,
    password: Option<Secret>,
    #[config(default = 0)]
    database: u32,
}

/// Counts requests by their path.
#[filter(config = Config)]
pub async fn counts(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let key = req.path();
    let redis = client(cx);
    let words: [&[u8]; 2] = [b"INCR", key.as_bytes()];
    let (first, second) = match req.header("x-twice") {
        Some(_) => {
            let (first, second) = join(redis.run(&words), redis.run(&words)).await;
            (first, Some(second))
        }
        None => (redis.run(&words).await, None),
    };
    let mut said = match first.and_then(|reply| reply.ok()) {
        Ok(reply) => format!("{reply:?}"),
        Err(error) => match error.call_failure() {
            Some(why) => format!("{why:?}"),
            None => error.to_string(),
        },
    };
    if let Some(second) = second {
        said = format!("{said} {:?}", second?);
    }
    let mut res = next.run(req).await?;
    res.headers_mut().set("x-count", &said)?;
    Ok(res)
}

fn client(cx: &Cx<Config>) -> Client {
    let config = &cx.config;
    let mut redis = cx.redis(&config.redis).timeout(config.timeout);
    if let Some(password) = &config.password {
        redis = redis.user(&config.user).password(password);
    }
    redis.database(config.database)
}
