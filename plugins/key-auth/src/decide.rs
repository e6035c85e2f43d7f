//! Decides about a request: whose key it has, or why it is refused.

use std::borrow::Cow;

use tidegate_policy::Refusal;
use tidegate_sdk::prelude::*;

use crate::State;
use crate::config::Config;
use crate::config::Key;
use crate::places;
use crate::places::Found;
use crate::places::Offered;

/// What becomes of a request.
pub(crate) enum Decision<'c> {
    /// It has a good key.
    Known(&'c Key, Offered<'c>),
    /// It has none, and needs none.
    Anonymous,
    Refused(Why),
}

/// Why a request is refused.
pub(crate) enum Why {
    Missing,
    Several,
    Malformed(&'static str),
    Unknown,
    /// With the consumer.
    Expired(String),
}

impl Why {
    /// What the client gets, and what metrics and logs do.
    pub(crate) fn refusal(self, challenge: &str) -> Refusal {
        let (reason, specifics) = match self {
            Self::Missing => ("missing_key", Cow::Borrowed("")),
            Self::Several => return Refusal::new(Deny::bad_request(), "several_keys"),
            Self::Malformed(what) => ("malformed_key", Cow::Borrowed(what)),
            Self::Unknown => ("unknown_key", Cow::Borrowed("")),
            Self::Expired(consumer) => ("expired_key", Cow::Owned(consumer)),
        };
        Refusal::new(Deny::unauthorized(challenge), reason).specifics(specifics)
    }
}

pub(crate) fn decide<'c>(req: &Request, cx: &'c Cx<Config, State>) -> Decision<'c> {
    let offered = match places::find(req, cx) {
        Found::One(offered) => offered,
        Found::None if cx.config.allow_missing => return Decision::Anonymous,
        Found::None => return Decision::Refused(Why::Missing),
        Found::Several => return Decision::Refused(Why::Several),
        Found::Malformed(what) => return Decision::Refused(Why::Malformed(what)),
    };
    let index = cx.state.table.find(&offered.key);
    let Some(key) = index.and_then(|it| cx.config.keys.0.get(it)) else {
        return Decision::Refused(Why::Unknown);
    };
    match key.not_after {
        Some(end) if cx.unix_time() >= end.since_1970() => {
            Decision::Refused(Why::Expired(key.consumer.clone()))
        }
        Some(_) | None => Decision::Known(key, offered),
    }
}
