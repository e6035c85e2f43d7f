//! How much a request takes: said beforehand, or by its response.

use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

use crate::config::CostFrom;
use crate::config::Limit;
use crate::decide::Decision;
use crate::state::Context;
use crate::store::AnyStore;
use crate::store::Ask;
use crate::store::Store as _;

/// What is taken when a request comes.
pub(crate) fn beforehand(limit: &Limit, req: &Request) -> u64 {
    match &limit.cost_from {
        Some(CostFrom::RequestHeader(name)) => said(req.header(name), limit.cost),
        Some(CostFrom::ResponseHeader(_)) | None => limit.cost,
    }
}

/// The most that a header can say, so that nobody else's sums overflow: the largest burst.
const MOST: u64 = 1_000_000_000;

/// What a response costs beyond what was taken for its request; `None` if that is nothing.
pub(crate) fn beyond<'c>(ask: &Ask<'c>, res: &Response) -> Option<Ask<'c>> {
    let Some(CostFrom::ResponseHeader(name)) = &ask.limit.cost_from else {
        return None;
    };
    let cost = said(res.header(name), ask.cost).saturating_sub(ask.cost);
    (cost > 0).then(|| Ask {
        cost,
        ..ask.clone()
    })
}

/// Takes what a response says beyond what was taken for its request. For one that would have been refused
/// (a dry run) nothing was taken.
pub(crate) fn charge(decision: &Decision<'_>, res: &Response, cx: &Context) {
    if decision.is_refused() {
        return;
    }
    for kept in &decision.kept {
        let asks = kept.asks.iter().filter_map(|ask| beyond(ask, res));
        let asks: Vec<Ask<'_>> = asks.collect();
        if !asks.is_empty() {
            charge_to(kept.keeper.store(cx), &asks, cx);
        }
    }
}

/// Charges a store.
pub(crate) fn charge_to(store: &AnyStore, asks: &[Ask<'_>], cx: &Context) {
    if let Err(why) = store.charge(cx, asks)
        && cx.state.not_charged.may_say(cx)
    {
        warn!("a rate limit cannot be charged", why = why.0);
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
