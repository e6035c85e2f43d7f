//! Asks the stores of all limits that apply to a request, and puts their verdicts together.

use tidegate_policy::Refusal;
use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

use crate::config::FailureMode;
use crate::config::StoreConfig;
use crate::cost;
use crate::descriptor;
use crate::headers;
use crate::headers::Told;
use crate::key::Key;
use crate::later::Later;
use crate::later::Todo;
use crate::owned::Owned;
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
pub(crate) type Decision<'c> = Outcome<Ask<'c>>;

/// What the limits say, who were asked `A`.
#[derive(Debug)]
pub(crate) struct Outcome<A> {
    /// What stores said that have answered. If one refused, the last of them; the others have got back what
    /// was taken.
    pub(crate) kept: Vec<Kept<A>>,
    /// A limit whose store did not answer wants requests refused then.
    is_closed: bool,
    /// A limit does not admit the request.
    is_over: bool,
}

/// What one store said.
#[derive(Debug)]
pub(crate) struct Kept<A> {
    pub(crate) keeper: Keeper,
    pub(crate) asks: Vec<A>,
    verdicts: Vec<Verdict>,
    said: Said,
}

/// A store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keeper {
    /// That at this place.
    Group(usize),
    /// The one that counts while another does not answer.
    InItsPlace,
}

impl Keeper {
    /// The store itself.
    pub(crate) fn store(self, cx: &Context) -> &AnyStore {
        let group = match self {
            Self::Group(place) => cx.state.groups.get(place),
            Self::InItsPlace => None,
        };
        group.map_or(&cx.state.local, |it| &it.store)
    }
}

/// Asks, until one refuses.
pub(crate) async fn decide<'c>(req: &Request, cx: &'c Context) -> Decision<'c> {
    let mut decision = Decision::default();
    for (place, group) in cx.state.groups.iter().enumerate() {
        let asks = asks(group, req, cx, false);
        if asks.is_empty() {
            continue;
        }
        let goes_on = match group.store.ask_at_once(cx, &asks) {
            Some(answered) => decision.heed(place, asks, answered, cx),
            // Those after it take time, too.
            None => {
                let rest = todo(place + 1, req, cx);
                let todo = std::iter::once((place, owned(asks))).chain(rest).collect();
                return Later::begin(decision, todo, cx).await;
            }
        };
        if !goes_on {
            decision.give_back(cx);
            break;
        }
    }
    decision
}

/// What the stores from this place on are asked.
fn todo<'r>(first: usize, req: &'r Request, cx: &'r Context) -> impl Iterator<Item = Todo> + 'r {
    let groups = cx.state.groups.iter().enumerate().skip(first);
    groups
        .map(|(place, group)| (place, owned(asks(group, req, cx, false))))
        .filter(|(_, asks)| !asks.is_empty())
}

fn owned(asks: Vec<Ask<'_>>) -> Vec<Owned> {
    asks.into_iter().map(Owned::of).collect()
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

impl<A> Default for Outcome<A> {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            is_closed: false,
            is_over: false,
        }
    }
}

impl<A> Outcome<A> {
    /// The same, of what is asked in another way.
    pub(crate) fn map<B>(self, mut to: impl FnMut(A) -> Option<B>) -> Outcome<B> {
        let kept = self.kept.into_iter().map(|kept| Kept {
            keeper: kept.keeper,
            asks: kept.asks.into_iter().filter_map(&mut to).collect(),
            verdicts: kept.verdicts,
            said: kept.said,
        });
        Outcome {
            kept: kept.collect(),
            is_closed: self.is_closed,
            is_over: self.is_over,
        }
    }
}

impl<'c> Decision<'c> {
    /// Asks the store at a place; whether the request may go on.
    pub(crate) async fn ask(&mut self, place: usize, asks: Vec<Ask<'c>>, cx: &'c Context) -> bool {
        let answered = Keeper::Group(place).store(cx).ask(cx, &asks).await;
        self.heed(place, asks, answered, cx)
    }

    /// Takes an answer in, or does what is configured if there is none; whether the request may go on.
    fn heed(
        &mut self,
        place: usize,
        asks: Vec<Ask<'c>>,
        answered: Answered<Answer>,
        cx: &'c Context,
    ) -> bool {
        match answered {
            Ok(answer) => self.keep(Keeper::Group(place), asks, answer, cx),
            Err(why) => {
                if let Some(group) = cx.state.groups.get(place) {
                    group.say_unavailable(cx, &why);
                }
                self.without(asks, cx)
            }
        }
    }

    /// Does what is configured for a store that does not answer.
    fn without(&mut self, asks: Vec<Ask<'c>>, cx: &'c Context) -> bool {
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
        match cx.state.local.ask_at_once(cx, &by_ourselves) {
            Some(Ok(answer)) => self.keep(Keeper::InItsPlace, by_ourselves, answer, cx),
            failed => {
                // Nobody counts any more: safe is to refuse.
                let why = failed.and_then(|it| it.err()).map(|it| it.0);
                if cx.state.no_limits.may_say(cx) {
                    warn!("no limits can be kept", why = why.unwrap_or_default());
                }
                self.is_closed = true;
                false
            }
        }
    }

    fn keep(&mut self, keeper: Keeper, asks: Vec<Ask<'c>>, answer: Answer, cx: &Context) -> bool {
        let Answer { verdicts, said } = answer;
        let all = verdicts.iter().all(|it| it.admitted);
        self.is_over |= !all;
        for (ask, _) in asks.iter().zip(&verdicts).filter(|it| !it.1.admitted) {
            if let Some(counters) = cx.state.counters.get(ask.index) {
                counters.limited.add(1);
            }
        }
        self.kept.push(Kept {
            keeper,
            asks,
            verdicts,
            said,
        });
        all
    }

    /// A later store refused or did not answer: those before get back what was taken.
    pub(crate) fn give_back(&self, cx: &Context) {
        for kept in &self.kept {
            if kept.verdicts.iter().all(|it| it.admitted)
                && let Err(why) = kept.keeper.store(cx).refund(cx, &kept.asks)
            {
                tidegate_sdk::debug!("a limit cannot get back what was taken", why = why.0);
            }
        }
    }

    /// Counts that the request goes on.
    pub(crate) fn count(&self, cx: &Context) {
        cx.state.allowed.add(1);
        for ask in self.kept.iter().flat_map(|it| &it.asks) {
            if let Some(counters) = cx.state.counters.get(ask.index) {
                counters.allowed.add(1);
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

impl<'c> Kept<Ask<'c>> {
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

    /// Puts what a service says into a response.
    pub(crate) fn tell_client(&self, res: &mut Response) {
        self.said.tell_client(res);
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
