//! How much a request takes: said beforehand, or by its response.

use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

use crate::config::CostFrom;
use crate::config::Limit;
use crate::decide::Decision;
use crate::state::Context;
use crate::store::Ask;
use crate::store::Store as _;

/// The most that a header can say, so that nobody else's sums overflow: the largest burst.
const MOST: u64 = 1_000_000_000;

/// What is taken when a request comes.
pub(crate) fn beforehand(limit: &Limit, req: &Request) -> u64 {
    match &limit.cost_from {
        Some(CostFrom::RequestHeader(name)) => said(req.header(name), limit.cost),
        Some(CostFrom::ResponseHeader(_)) | None => limit.cost,
    }
}

/// Takes what a response says beyond what was taken for its request. For one that would have been refused
/// (a dry run) nothing was taken.
pub(crate) fn charge(decision: &Decision<'_>, res: &Response, cx: &Context) {
    if decision.is_refused() {
        return;
    }
    for kept in &decision.kept {
        let mut asks: Vec<Ask<'_>> = Vec::new();
        for ask in &kept.asks {
            if let Some(CostFrom::ResponseHeader(name)) = &ask.limit.cost_from {
                let cost = said(res.header(name), ask.cost).saturating_sub(ask.cost);
                asks.push(Ask {
                    cost,
                    ..ask.clone()
                });
            }
        }
        asks.retain(|it| it.cost > 0);
        if !asks.is_empty()
            && let Err(why) = kept.store.charge(cx, &asks)
            && cx.state.not_charged.may_say(cx)
        {
            warn!("a rate limit cannot be charged", why = why.0);
        }
    }
}

/// What a header says, up to [`MOST`]; not less than `least`, and that much if it says nothing.
fn said(value: Option<String>, least: u64) -> u64 {
    let number = value.and_then(|it| it.trim().parse().ok());
    number.map_or(least, |it: u64| it.min(MOST).max(least))
}

#[cfg(test)]
mod tests {
    use super::{MOST, said};

    #[test]
    fn a_header_cannot_say_less_than_the_least_nor_nonsense() {
        for (value, cost) in [
            (None, 2),
            (Some(""), 2),
            (Some("1"), 2),
            (Some(" 7 "), 7),
            (Some("-7"), 2),
            (Some("7.5"), 2),
            (Some("999999999"), 999_999_999),
            (Some("1000000001"), MOST),
            (Some("18446744073709551615"), MOST),
            (Some("18446744073709551616"), 2),
        ] {
            assert_eq!(said(value.map(str::to_owned), 2), cost, "{value:?}");
        }
    }
}
