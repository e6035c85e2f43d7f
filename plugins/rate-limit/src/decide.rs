//! Asks the stores of all limits that apply to a request, and puts their verdicts together.

use tidegate_policy::Refusal;
use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

use crate::config::FailureMode;
use crate::config::StoreConfig;
use crate::cost;
use crate::deadline::Deadline;
use crate::descriptor;
use crate::headers;
use crate::headers::Told;
use crate::key::Key;
use crate::said;
use crate::said::Said;
use crate::state::Context;
use crate::state::Group;
use crate::store::Answer;
use crate::store::Answered;
use crate::store::AnyStore;
use crate::store::Ask;
use crate::store::Standing;
use crate::store::Store as _;
use crate::store::Unavailable;
use crate::store::Verdict;

/// What the limits say of a request.
#[derive(Debug, Default)]
pub(crate) struct Decision<'c> {
    /// What stores said that have answered. If one refused, the last of them; the others have got back what
    /// was taken.
    pub(crate) kept: Vec<Kept<'c>>,
    /// A limit whose store did not answer wants requests refused then.
    is_closed: bool,
    /// A limit does not admit the request.
    is_over: bool,
}

/// What one store said.
#[derive(Debug)]
pub(crate) struct Kept<'c> {
    pub(crate) store: &'c AnyStore,
    pub(crate) asks: Vec<Ask<'c>>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) said: Said,
}

/// Asks, until one refuses. If the client leaves meanwhile, nothing is taken.
pub(crate) async fn decide<'c>(req: &Request, cx: &'c Context) -> Decision<'c> {
    let mut pending = Pending {
        decision: Decision::default(),
        cx,
    };
    let mut deadline = Deadline::default();
    for group in &cx.state.groups {
        let asks = asks(group, req, cx, false);
        if asks.is_empty() {
            continue;
        }
        let decision = &mut pending.decision;
        let goes_on = match group.store.ask_at_once(cx, &asks) {
            Some(Ok(answer)) => decision.keep(&group.store, asks, answer, cx),
            // In memory of its own, so that what every exchange holds stays small.
            slow => Box::pin(decision.settle(slow, group, asks, &mut deadline, cx)).await,
        };
        if !goes_on {
            pending.decision.give_back(cx);
            break;
        }
    }
    pending.made()
}

/// A decision that is not made yet: dropped, it gives back what was taken for it.
struct Pending<'c> {
    decision: Decision<'c>,
    cx: &'c Context,
}

impl<'c> Pending<'c> {
    /// It is made: what was taken stays taken.
    fn made(mut self) -> Decision<'c> {
        std::mem::take(&mut self.decision)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.decision.give_back(self.cx);
    }
}

/// What is asked of a store about a request.
pub(crate) fn asks<'c>(group: &Group, req: &Request, cx: &'c Context, dry: bool) -> Vec<Ask<'c>> {
    let of = |index: &usize| {
        let limit = cx.config.limits.get(*index)?;
        if limit.dry_run != dry || !limit.is_for(req, cx) {
            return None;
        }
        Some(Ask {
            limit,
            index: *index,
            key: Key::of(limit, req, cx)?,
            entries: match limit.store {
                StoreConfig::Rls(_) => descriptor::of(limit, req, cx)?,
                StoreConfig::Local | StoreConfig::Redis(_) => Vec::new(),
            },
            cost: cost::beforehand(limit, req),
        })
    };
    group.limits.iter().filter_map(of).collect()
}

impl<'c> Decision<'c> {
    /// Asks one store, unless it has failed at once; whether the request may go on.
    async fn settle(
        &mut self,
        failed: Option<Answered<Answer>>,
        group: &'c Group,
        asks: Vec<Ask<'c>>,
        deadline: &mut Deadline,
        cx: &'c Context,
    ) -> bool {
        let answered = match failed {
            Some(failed) => failed,
            None => deadline.ask(group, &asks, cx).await,
        };
        match answered {
            Ok(answer) => self.keep(&group.store, asks, answer, cx),
            Err(why) => {
                group.say_unavailable(cx, &why);
                self.without(asks, cx).await
            }
        }
    }

    /// Does what is configured for a store that does not answer.
    async fn without(&mut self, asks: Vec<Ask<'c>>, cx: &'c Context) -> bool {
        let mut by_ourselves = Vec::new();
        for ask in asks {
            if let Some(counters) = cx.state.counters.get(ask.index) {
                counters.unavailable.add(1);
            }
            match ask.limit.failure_mode {
                FailureMode::Local => by_ourselves.push(ask),
                FailureMode::Open => {}
                FailureMode::Closed => self.is_closed = true,
            }
        }
        if self.is_closed || by_ourselves.is_empty() {
            return !self.is_closed;
        }
        match cx.state.local.ask(cx, &by_ourselves).await {
            Ok(answer) => self.keep(&cx.state.local, by_ourselves, answer, cx),
            Err(why) => {
                // Nobody counts any more: safe is to refuse.
                if cx.state.no_limits.may_say(cx) {
                    warn!("no limits can be kept", why = why.0);
                }
                self.is_closed = true;
                false
            }
        }
    }

    fn keep(
        &mut self,
        store: &'c AnyStore,
        asks: Vec<Ask<'c>>,
        answer: Answer,
        cx: &Context,
    ) -> bool {
        let Answer { verdicts, said } = answer;
        let all = verdicts.iter().all(|it| it.admitted);
        self.is_over |= !all;
        for (ask, verdict) in asks.iter().zip(&verdicts) {
            let counters = cx.state.counters.get(ask.index);
            match (counters, verdict.admitted) {
                (Some(counters), true) if all => counters.allowed.add(1),
                (Some(counters), false) => counters.limited.add(1),
                (Some(_), true) | (None, _) => {}
            }
        }
        self.kept.push(Kept {
            store,
            asks,
            verdicts,
            said,
        });
        all
    }

    /// A later store refused or did not answer, or the client has left: those before get back what was
    /// taken.
    fn give_back(&self, cx: &Context) {
        for kept in &self.kept {
            if kept.verdicts.iter().all(|it| it.admitted)
                && let Err(why) = kept.store.refund(cx, &kept.asks)
            {
                tidegate_sdk::debug!("a limit cannot get back what was taken", why = why.0);
            }
        }
    }

    /// The refusal, if the request is refused.
    pub(crate) fn refusal(&self, cx: &Context) -> Option<Refusal> {
        if self.is_closed {
            return Some(Refusal::new(Deny::status(503), "limit_unavailable"));
        }
        if !self.is_over {
            return None;
        }
        let verdicts = || self.kept.iter().flat_map(Kept::verdicts);
        let refused = || verdicts().filter(|(_, verdict)| !verdict.admitted);
        let (first, _) = refused().next()?;
        let waits = refused().map(|(_, verdict)| wait(verdict.standing));
        // RESOURCE_EXHAUSTED: a client that got UNAVAILABLE would try again at once.
        let mut deny = Deny::status(cx.config.status_code).grpc_status(8);
        if let Some(Wait::For(wait)) = waits.max()
            && !self.is_said("retry-after")
        {
            deny = headers::retry_after(deny, wait);
        }
        for (name, value) in headers::fields(self, cx.config.headers) {
            deny = deny.header(name, &value);
        }
        // The store that refused was asked last.
        if let Some(kept) = self.kept.last() {
            deny = kept.said.refuse(deny);
        }
        let refusal = Refusal::new(deny, "rate_limited");
        Some(refusal.specifics(first.limit.name.clone()))
    }

    /// Whether a service tells clients something in this header.
    pub(crate) fn is_said(&self, name: &str) -> bool {
        self.kept.iter().any(|it| it.said.tells_client(name))
    }

    /// Whether a limit refuses the request.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_closed || self.is_over
    }

    /// Puts what services say into the request.
    pub(crate) fn tell_backend(&self, req: &mut Request) {
        said::tell_backend(self.kept.iter().map(|it| &it.said), req);
    }
}

impl<'c> Kept<'c> {
    /// What clients are told of its limits.
    pub(crate) fn told(&self) -> impl Iterator<Item = Told<'_>> {
        self.verdicts().filter_map(|(ask, verdict)| {
            Some(Told {
                limit: ask.limit,
                name: verdict.name.as_deref(),
                standing: verdict.standing?,
            })
        })
    }

    /// What its limits said.
    fn verdicts(&self) -> impl Iterator<Item = (&Ask<'c>, &Verdict)> {
        self.asks.iter().zip(&self.verdicts)
    }
}

/// How long a refused request had better wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    /// The store does not say.
    Unknown,
    For(Duration),
    /// It costs more than is ever admitted.
    ForEver,
}

fn wait(standing: Option<Standing>) -> Wait {
    match standing.map(|it| it.wait) {
        None => Wait::Unknown,
        Some(None) => Wait::ForEver,
        Some(Some(wait)) => Wait::For(wait),
    }
}

impl Group {
    /// Says in the log that the store does not answer, not for each request.
    pub(crate) fn say_unavailable(&self, cx: &Context, why: &Unavailable) {
        if self.unavailable.may_say(cx) {
            warn!("the store of rate limits does not answer", why = why.0);
        }
    }
}
