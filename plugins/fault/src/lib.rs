//! Delays requests, makes them fail and slows responses down, to find out what becomes of callers then.
//!
//! - `config` is what the plugin is configured with, `asked` what requests ask for.
//! - `chance` decides which requests suffer, `plan` what; `pace` slows a response down.
//! - `state` counts, and keeps the number of those that suffer within its limit.

mod asked;
mod chance;
mod config;
mod pace;
mod plan;
mod state;

use tidegate_sdk::attempts::Outage;
use tidegate_sdk::debug;
use tidegate_sdk::info;
use tidegate_sdk::log::{LogLevel, log_enabled};
use tidegate_sdk::prelude::*;

pub use config::Config;
pub use state::State;

use plan::Plan;

/// Delays requests, makes them fail and slows responses down, by chance or because requests ask for it.
#[filter(config = Config, setup = prepare)]
pub async fn fault(mut req: Request, next: Next, cx: &Cx<Config, State>) -> Result<Response> {
    let (config, state) = (&*cx.config, &*cx.state);
    let plan = Plan::of(&req, config, &state.random);
    if !config.lets_ask(&req) {
        asked::remove(&mut req);
    }
    if !plan.is_anything() {
        return next.run(req).await;
    }
    if config.dry_run {
        state.count(&plan, true);
        info!("would have been a fault, but runs dry", fault = said(&plan));
        return next.run(req).await;
    }
    let Some(active) = state.begin(config.max_active_faults) else {
        debug!("too many faults at once: a request passes untouched");
        return next.run(req).await;
    };
    state.count(&plan, false);
    if log_enabled(LogLevel::Debug) {
        debug!("fault", fault = said(&plan));
    }
    if plan.delays_or_fails() && !cx.fail_attempts(plan.fault(), plan.attempts)? {
        // This host knows no attempts: what it can have is a filter that waits and answers.
        cx.sleep(plan.delay).await;
        if let Some(outage) = plan.outage {
            return Err(refusal(outage).into());
        }
    }
    let mut res = next.run(req).await?;
    if let Some(rate) = plan.rate {
        pace::slow_down(&mut res, rate, cx).await?;
    }
    drop(active);
    Ok(res)
}

async fn prepare(cx: &Cx<Config>) -> Result<State> {
    State::new(cx)
}

/// The answer of a host that knows no attempts, as Envoy's own filter has it.
fn refusal(outage: Outage) -> Deny {
    let (status, grpc_status) = match outage {
        Outage::Http(status) => (status, None),
        Outage::Grpc(status) => (http_status_of(status), Some(u32::from(status))),
        Outage::Reset => (502, None),
        Outage::Unreachable => (503, None),
    };
    let mut deny = Deny::status(status).because("fault_filter_abort");
    // Envoy would send it after a head that has none (RFC 9110, 15.3.5, 15.3.6 and 15.4.5).
    if !matches!(status, 204 | 205 | 304) {
        deny = deny.text("fault filter abort");
    }
    match grpc_status {
        Some(status) => deny.grpc_status(status),
        None => deny,
    }
}

/// The HTTP status that is nearest to one of gRPC (google.rpc.Code).
const fn http_status_of(status: u8) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// A fault in words, for the log.
fn said(plan: &Plan) -> String {
    let delay = match plan.delay.as_millis() {
        0 if plan.delay.is_zero() => String::new(),
        millis => format!("delay of {millis} ms"),
    };
    let outage = match plan.outage {
        None => String::new(),
        Some(Outage::Http(status)) => format!("abort with {status}"),
        Some(Outage::Grpc(status)) => format!("abort with gRPC status {status}"),
        Some(Outage::Reset | Outage::Unreachable) => String::from("abort"),
    };
    let rate = match plan.rate {
        None => String::new(),
        Some(rate) => format!("{rate} bytes of response in a second"),
    };
    let parts = [delay, outage, rate];
    let said: Vec<String> = parts.into_iter().filter(|it| !it.is_empty()).collect();
    said.join(", ")
}
