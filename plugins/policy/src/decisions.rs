//! Decisions: counted, said, and only tried if the plugin runs dry.

use std::borrow::Cow;

use tidegate_sdk::debug;
use tidegate_sdk::info;
use tidegate_sdk::log::LogLevel;
use tidegate_sdk::log::log_enabled;
use tidegate_sdk::metrics::Counter;
use tidegate_sdk::prelude::*;

/// What a filter decides, with the names of its metrics. Make it with [`decisions!`](crate::decisions).
#[derive(Debug, Clone, Copy)]
pub struct Decisions {
    #[doc(hidden)]
    pub filter: &'static str,
    #[doc(hidden)]
    pub allowed: &'static str,
    #[doc(hidden)]
    pub denied: &'static str,
    #[doc(hidden)]
    pub dry_run_denied: &'static str,
}

/// The [`Decisions`] of a filter, whose metrics begin with the given word: `<word>_allowed`,
/// `<word>_denied`, `<word>_denied_<reason>` and `<word>_dry_run_denied`.
#[macro_export]
macro_rules! decisions {
    ($filter:literal) => {
        $crate::Decisions {
            filter: $filter,
            allowed: concat!($filter, "_allowed"),
            denied: concat!($filter, "_denied"),
            dry_run_denied: concat!($filter, "_dry_run_denied"),
        }
    };
}

/// A request that is refused: what the client gets, and why.
#[derive(Debug)]
#[must_use = "Decisions::refuse refuses with it"]
pub struct Refusal {
    deny: Deny,
    reason: &'static str,
    because: Option<String>,
    specifics: Cow<'static, str>,
}

impl Refusal {
    /// Refuses with `deny`, for `reason`: one word with underscores, which metrics and the access log
    /// show and clients do not see.
    pub fn new(deny: Deny, reason: &'static str) -> Self {
        Self {
            deny,
            reason,
            because: None,
            specifics: Cow::Borrowed(""),
        }
    }

    /// What the access log shows in place of the reason.
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.because = Some(detail.into());
        self
    }

    /// What the filter's log says beside the reason. Nothing secret: no token, no key.
    pub fn specifics(mut self, specifics: impl Into<Cow<'static, str>>) -> Self {
        self.specifics = specifics.into();
        self
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl Decisions {
    /// Counts a request that may pass.
    pub fn allow<C, S>(&self, cx: &Cx<C, S>) {
        cx.counter(self.allowed).add(1);
    }

    /// The counter of [`allow`](Self::allow), for a filter's state: adding to it looks nothing up.
    #[must_use]
    pub fn allowed<C, S>(&self, cx: &Cx<C, S>) -> Counter {
        cx.counter(self.allowed)
    }

    /// Refuses a request; counts and says why. With `dry_run` the request passes: that is counted
    /// apart, and said at the level of information.
    ///
    /// # Errors
    /// The refusal, unless it is a dry run: `?` ends the filter with it.
    pub fn refuse<C, S>(&self, cx: &Cx<C, S>, dry_run: bool, refusal: Refusal) -> Result<()> {
        let Refusal {
            deny,
            reason,
            because,
            specifics,
        } = refusal;
        self.note(cx, dry_run, reason, &specifics);
        if dry_run {
            return Ok(());
        }
        let deny = match because {
            Some(detail) => deny.because(detail),
            None => deny.because(reason),
        };
        Err(deny.into())
    }

    /// Counts and says a refusal that somebody else carries out, such as a browser.
    pub fn note<C, S>(&self, cx: &Cx<C, S>, dry_run: bool, reason: &'static str, specifics: &str) {
        if dry_run {
            cx.counter(self.dry_run_denied).add(1);
            info!(
                "would have refused, but runs dry",
                filter = self.filter,
                reason = reason,
                why = specifics
            );
            return;
        }
        cx.counter(self.denied).add(1);
        cx.counter(&[self.denied, "_", reason].concat()).add(1);
        if log_enabled(LogLevel::Debug) {
            debug!(
                "refused",
                filter = self.filter,
                reason = reason,
                why = specifics
            );
        }
    }
}
