//! Limits that run dry: they are asked beside the request, which waits for none of them.
//!
//! Owns what is asked of them, each for itself because none changes what becomes of the request, and what
//! its response is charged to them: nothing where they would have refused.

use std::cell::Cell;
use std::rc::Rc;

use tidegate_sdk::prelude::*;

use crate::cost;
use crate::decide::Decision;
use crate::decide::asks;
use crate::owned::Owned;
use crate::state::Context;
use crate::state::Group;
use crate::store::AnyStore;
use crate::store::Ask;
use crate::store::Store as _;

/// What is asked of limits that run dry about one request; `None` if nothing is.
#[derive(Debug)]
pub(crate) struct Trials(Option<Rc<[Trial]>>);

/// One limit that is asked.
#[derive(Debug)]
struct Trial {
    /// The place of its store.
    group: usize,
    asked: Owned,
    /// What it says.
    admitted: Cell<Option<bool>>,
    /// What the response cost, which came before the store's answer.
    late: Cell<u64>,
}

impl Trials {
    /// Asks them, unless the others refuse: then the request does not come that far.
    pub(crate) fn begin(decision: &Decision<'_>, req: &Request, cx: &Context) -> Self {
        if !cx.state.any_dry || decision.is_refused() {
            return Self(None);
        }
        let mut trials = Vec::new();
        for (group, its) in cx.state.groups.iter().enumerate() {
            let asks = asks(its, req, cx, true);
            trials.extend(asks.into_iter().map(|ask| Trial::new(group, ask)));
        }
        if trials.is_empty() {
            return Self(None);
        }
        let trials: Rc<[Trial]> = trials.into();
        let (own, all) = (cx.clone(), Rc::clone(&trials));
        cx.spawn(async move {
            for part in all.chunk_by(|one, other| one.group == other.group) {
                let Some(group) = part.first().and_then(|it| own.state.groups.get(it.group)) else {
                    continue;
                };
                // A service counts each for itself anyway; of the others, one would keep the next from
                // taking.
                let at_once = match group.store {
                    AnyStore::Rls(_) => part.len(),
                    AnyStore::Local(_) | AnyStore::Redis(_) => 1,
                };
                for trials in part.chunks(at_once) {
                    ask_group(group, trials, &own).await;
                }
            }
        });
        Self(Some(trials))
    }

    /// Charges what the response costs to those that have admitted the request, or will.
    pub(crate) fn charge(&self, res: &Response, cx: &Context) {
        for trial in self.0.iter().flat_map(|it| it.iter()) {
            if let Some(ask) = trial.asked.ask(cx).and_then(|ask| cost::beyond(&ask, res)) {
                trial.late.set(ask.cost);
                trial.settle(cx);
            }
        }
    }
}

async fn ask_group(group: &Group, trials: &[Trial], cx: &Context) {
    let asks: Vec<Ask<'_>> = trials.iter().filter_map(|it| it.asked.ask(cx)).collect();
    let answer = group.store.take(cx, &asks).await;
    for (place, trial) in trials.iter().enumerate() {
        let Some(counters) = cx.state.counters.get(trial.asked.index()) else {
            continue;
        };
        match &answer {
            Ok(verdicts) => {
                let admitted = verdicts.get(place).is_none_or(|it| it.admitted);
                let counter = match admitted {
                    true => &counters.allowed,
                    false => &counters.dry_run,
                };
                counter.add(1);
                trial.admitted.set(Some(admitted));
                trial.settle(cx);
            }
            Err(_) => counters.unavailable.add(1),
        }
    }
    if let Err(why) = answer {
        group.say_unavailable(cx, &why);
    }
}

impl Trial {
    fn new(group: usize, ask: Ask<'_>) -> Self {
        Self {
            group,
            asked: Owned::of(ask),
            admitted: Cell::new(None),
            late: Cell::new(0),
        }
    }

    /// Charges, once both are known: whether it admits the request, and what the response costs.
    fn settle(&self, cx: &Context) {
        let cost = self.late.get();
        if cost == 0 || self.admitted.get() != Some(true) {
            return;
        }
        self.late.set(0);
        let group = cx.state.groups.get(self.group);
        if let (Some(group), Some(ask)) = (group, self.asked.ask(cx)) {
            cost::charge_to(&group.store, &[Ask { cost, ..ask }], cx);
        }
    }
}
