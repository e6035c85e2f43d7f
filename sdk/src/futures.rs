//! Waiting for several things: all of them, or the first of two.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// What [`race`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first future was done first.
    First(A),
    /// The second future was done first.
    Second(B),
}

/// Waits for both futures at once.
///
/// ```
/// # use tidegate_sdk::prelude::*;
/// # async fn both(cx: &Cx) -> Result<()> {
/// let users = cx.backend("users").get("/7").send();
/// let limits = cx.backend("limits").get("/7").send();
/// let (user, limit) = join(users, limits).await;
/// # user?; limit?; Ok(()) }
/// ```
pub async fn join<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut two) = (None, None);
    poll_fn(move |cx| {
        poll_once(&mut one, first.as_mut(), cx);
        poll_once(&mut two, second.as_mut(), cx);
        match (one.take(), two.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (one, two) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

/// Waits for all futures at once; the outputs are in the order of the futures.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.into_iter().map(|it| (Box::pin(it), None)).collect();
    poll_fn(move |cx| {
        for (future, output) in &mut all {
            poll_once(output, future.as_mut(), cx);
        }
        if all.iter().any(|(_, output)| output.is_none()) {
            return Poll::Pending;
        }
        Poll::Ready(
            all.iter_mut()
                .filter_map(|(_, output)| output.take())
                .collect(),
        )
    })
    .await
}

/// Waits for whichever future is done first, and drops the other one.
pub async fn race<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(move |cx| {
        if let Poll::Ready(output) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::First(output));
        }
        second.as_mut().poll(cx).map(Either::Second)
    })
    .await
}

fn poll_once<F: Future>(
    output: &mut Option<F::Output>,
    future: Pin<&mut F>,
    cx: &mut std::task::Context<'_>,
) {
    if output.is_none()
        && let Poll::Ready(done) = future.poll(cx)
    {
        *output = Some(done);
    }
}
