//! Decisions in which stores outside take part: they take time, and go on if their client leaves.
//!
//! Leaving neither frees nor costs. The stores that are left are asked all the same, and what was taken is
//! given back only if one of them refuses: else a client could use up what others share, by asking and
//! leaving, without ever meeting the limit of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::Context as Polled;
use std::task::Poll;

use crate::decide::Decision;
use crate::decide::Outcome;
use crate::owned::Owned;
use crate::state::Context;

/// What a store is to be asked: its place, and about what.
pub(crate) type Todo = (usize, Vec<Owned>);

/// A decision that is under way.
pub(crate) struct Later<'c> {
    /// `None` when it is made. In memory of its own, so that what every exchange holds stays small.
    decision: Option<Pin<Box<dyn Future<Output = Outcome<Owned>>>>>,
    cx: &'c Context,
}

impl<'c> Later<'c> {
    /// Goes on with a decision.
    pub(crate) fn begin(so_far: Decision<'c>, todo: Vec<Todo>, cx: &'c Context) -> Self {
        let so_far = so_far.map(|ask| Some(Owned::of(ask)));
        Self {
            decision: Some(Box::pin(go_on(so_far, todo, cx.clone()))),
            cx,
        }
    }
}

impl<'c> Future for Later<'c> {
    type Output = Decision<'c>;

    fn poll(mut self: Pin<&mut Self>, polled: &mut Polled<'_>) -> Poll<Self::Output> {
        let Some(decision) = &mut self.decision else {
            return Poll::Pending;
        };
        match decision.as_mut().poll(polled) {
            Poll::Ready(made) => {
                self.decision = None;
                let cx = self.cx;
                Poll::Ready(made.map(|owned| owned.ask(cx)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Later<'_> {
    fn drop(&mut self) {
        if let Some(decision) = self.decision.take() {
            self.cx.spawn(async move {
                decision.await;
            });
        }
    }
}

async fn go_on(so_far: Outcome<Owned>, todo: Vec<Todo>, cx: Context) -> Outcome<Owned> {
    let cx = &cx;
    let mut decision = so_far.map(|it| it.ask(cx));
    for (place, asks) in todo {
        let asks = asks.iter().filter_map(|it| it.ask(cx)).collect();
        if !decision.ask(place, asks, cx).await {
            decision.give_back(cx);
            break;
        }
    }
    decision.map(|ask| Some(Owned::of(ask)))
}
