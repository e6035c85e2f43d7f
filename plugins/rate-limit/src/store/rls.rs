//! Limits that Envoy's rate limit service keeps (`envoy.service.ratelimit.v3.RateLimitService`).
//!
//! Owns the call, and what its answer means. The service counts each descriptor for itself, also if another
//! one refuses, and takes nothing back: where that matters it is asked last.

mod message;
mod wire;

use std::cell::OnceCell;
use std::rc::Rc;

use tidegate_sdk::metrics::Counter;
use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

use super::Answer;
use super::Answered;
use super::Ask;
use super::Unavailable;
use super::Verdict;
use super::breaker::Breaker;
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

/// Statuses of gRPC: it took too long, and it is not there.
const DEADLINE_EXCEEDED: u32 = 4;
const UNAVAILABLE: u32 = 14;

/// The limits of a service.
#[derive(Debug)]
pub(crate) struct Rls(Rc<Service>);

/// A service, with what a worker knows of it.
#[derive(Debug)]
struct Service {
    config: RlsConfig,
    breaker: Breaker,
    calls: OnceCell<Counter>,
}

impl Rls {
    pub(crate) fn new(config: RlsConfig) -> Self {
        Self(Rc::new(Service {
            config,
            breaker: Breaker::default(),
            calls: OnceCell::new(),
        }))
    }

    /// Asks for all at once; the service counts them.
    pub(crate) async fn ask(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<Answer> {
        let message = self.0.call(cx, self.0.request(asks)).await?;
        let answer = message::response(&message, asks.len())
            .map_err(|_| "the answer is no RateLimitResponse".to_owned())
            .and_then(|response| judge(response, asks.len()));
        answer.map_err(|why| unavailable(cx, "error", &why))
    }

    /// Counts what was used already. Nobody waits for the answer, which comes too late to matter.
    pub(crate) fn charge(&self, cx: &Context, asks: &[Ask<'_>]) {
        let (service, own) = (Rc::clone(&self.0), cx.clone());
        let message = service.request(asks);
        cx.spawn(async move {
            if let Err(why) = service.call(&own, message).await
                && own.state.not_charged.may_say(&own)
            {
                warn!("a rate limit cannot be charged", why = why.0);
            }
        });
    }
}

impl Service {
    fn request(&self, asks: &[Ask<'_>]) -> Vec<u8> {
        message::request(&self.config.domain, &descriptors(asks))
    }

    /// Calls it; the message of its answer, if there is one.
    async fn call(&self, cx: &Context, message: Vec<u8>) -> Answered<Vec<u8>> {
        if !self.breaker.may_ask(cx.now().nanos()) {
            return Err(unavailable(cx, "skipped", "it failed a moment ago"));
        }
        let calls = || cx.counter("rate_limit_rls_calls");
        self.calls.get_or_init(calls).add(1);
        let call = cx.backend(self.config.backend.name()).grpc(SERVICE, METHOD);
        let call = call.message(message).timeout(self.config.timeout);
        let reply = match call.send().await {
            Ok(reply) => reply,
            Err(error) => return Err(unavailable(cx, "unsupported", &error.to_string())),
        };
        let reason = match reply.status {
            DEADLINE_EXCEEDED => "timeout",
            // What hosts say of their own time-outs.
            _ if reply.message.contains("timeout") => "timeout",
            UNAVAILABLE => "unreachable",
            _ => "error",
        };
        if reply.status != 0 && reason != "error" {
            self.breaker.on_failure(cx.now().nanos());
        } else {
            self.breaker.on_answer();
        }
        reply
            .ok()
            .map_err(|error| unavailable(cx, reason, &error.to_string()))
    }
}

/// Counts why there is no answer.
#[cold]
fn unavailable(cx: &Context, reason: &str, why: &str) -> Unavailable {
    cx.counter(&["rate_limit_rls_", reason].concat()).add(1);
    Unavailable(["rate limit service: ", why].concat())
}

fn descriptors<'a>(asks: &'a [Ask<'_>]) -> Vec<Descriptor<'a>> {
    let asks = asks.iter();
    asks.map(|ask| Descriptor {
        entries: &ask.entries,
        hits: ask.cost,
    })
    .collect()
}

/// What an answer means: its overall code decides, as it does for Envoy.
fn judge(response: Response, asks: usize) -> std::result::Result<Answer, String> {
    if !matches!(response.code, OK | OVER_LIMIT) {
        let code = response.code.to_string();
        return Err(["it answers with the unknown code ", &code].concat());
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

    fn answer(code: u64, codes: &[u64]) -> std::result::Result<Vec<bool>, String> {
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
