//! Limits that Envoy's rate limit service keeps (`envoy.service.ratelimit.v3.RateLimitService`).
//!
//! Owns the call, and what its answer means. The service counts each descriptor for itself, also if another
//! one refuses, and takes nothing back: where that matters it is asked last.

mod message;
mod wire;

use tidegate_sdk::grpc::GrpcReply;
use tidegate_sdk::prelude::*;

use super::Answer;
use super::Answered;
use super::Ask;
use super::Unavailable;
use super::Verdict;
use crate::config::RlsConfig;
use crate::said::Said;
use crate::state::Context;
use message::Descriptor;
use message::Response;

const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
const METHOD: &str = "ShouldRateLimit";

/// The codes of an answer.
const OK: u64 = 1;
const OVER_LIMIT: u64 = 2;

/// The limits of a service.
#[derive(Debug)]
pub(crate) struct Rls {
    config: RlsConfig,
}

impl Rls {
    pub(crate) const fn new(config: RlsConfig) -> Self {
        Self { config }
    }

    /// Asks for all at once; the service counts them.
    pub(crate) async fn ask(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<Answer> {
        let message = message::request(&self.config.domain, &descriptors(asks));
        let reply = call(cx, &self.config, message).await?;
        let response = message::response(&reply, asks.len());
        let response = response.map_err(|_| unreadable())?;
        judge(response, asks.len())
    }

    /// Counts what was used already. Nobody waits for the answer, which comes too late to matter.
    pub(crate) fn charge(&self, cx: &Context, asks: &[Ask<'_>]) {
        let message = message::request(&self.config.domain, &descriptors(asks));
        let (own, config) = (cx.clone(), self.config.clone());
        cx.spawn(async move {
            if let Err(why) = call(&own, &config, message).await {
                tidegate_sdk::warn!("a rate limit cannot be charged", why = why.0);
            }
        });
    }
}

fn descriptors<'a>(asks: &'a [Ask<'_>]) -> Vec<Descriptor<'a>> {
    let asks = asks.iter();
    asks.map(|ask| Descriptor {
        entries: &ask.entries,
        hits: ask.cost,
    })
    .collect()
}

/// Calls the service; its message, if the call goes well.
async fn call(cx: &Context, config: &RlsConfig, message: Vec<u8>) -> Answered<Vec<u8>> {
    let call = cx.backend(config.backend.name()).grpc(SERVICE, METHOD);
    let call = call.message(message).timeout(config.timeout);
    let message = call.send().await.and_then(GrpcReply::ok);
    message.map_err(|error| Unavailable(error.to_string()))
}

fn unreadable() -> Unavailable {
    Unavailable("the rate limit service's answer is no RateLimitResponse".to_owned())
}

/// What an answer means: its overall code decides, as it does for Envoy.
fn judge(response: Response, asks: usize) -> Answered<Answer> {
    if !matches!(response.code, OK | OVER_LIMIT) {
        let code = response.code.to_string();
        let why = [
            "the rate limit service answers with the unknown code ",
            &code,
        ]
        .concat();
        return Err(Unavailable(why));
    }
    let refuses = response.code == OVER_LIMIT;
    let is_named = response.statuses.iter().any(|it| it.code == OVER_LIMIT);
    let mut statuses = response.statuses.into_iter();
    let verdicts = (0..asks).map(|_| {
        let status = statuses.next().unwrap_or_default();
        let is_over = refuses && (status.code == OVER_LIMIT || !is_named);
        let standing = status.standing.map(|mut standing| {
            if !is_over {
                standing.wait = Some(Duration::ZERO);
            }
            standing
        });
        Verdict {
            admitted: !is_over,
            name: status.name,
            standing,
        }
    });
    Ok(Answer {
        verdicts: verdicts.collect(),
        said: Said {
            is_service: true,
            to_request: response.to_request,
            to_response: response.to_response,
            body: response.body,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::message::Status;
    use super::*;

    fn answer(code: u64, codes: &[u64]) -> Answered<Vec<bool>> {
        let status = |code: &u64| Status {
            code: *code,
            ..Status::default()
        };
        let response = Response {
            code,
            statuses: codes.iter().map(status).collect(),
            ..Response::default()
        };
        let answer = judge(response, 2)?;
        Ok(answer.verdicts.iter().map(|it| it.admitted).collect())
    }

    #[test]
    fn the_overall_code_decides_and_statuses_say_which_limit() {
        assert_eq!(answer(1, &[1, 1]).unwrap(), [true, true]);
        assert_eq!(answer(1, &[1, 2]).unwrap(), [true, true], "a shadow");
        assert_eq!(answer(1, &[]).unwrap(), [true, true]);
        assert_eq!(answer(2, &[1, 2]).unwrap(), [true, false]);
        assert_eq!(answer(2, &[1, 1]).unwrap(), [false, false]);
        assert_eq!(answer(2, &[2]).unwrap(), [false, true]);
        assert_eq!(answer(2, &[]).unwrap(), [false, false]);
        for code in [0, 3, u64::MAX] {
            assert!(answer(code, &[1, 1]).is_err(), "{code}");
        }
    }
}
