//! How long a request waits for all its stores together: the longest of their time-outs.

use tidegate_sdk::prelude::*;
use tidegate_sdk::time::Instant;

use crate::state::Context;
use crate::state::Group;
use crate::store::Answer;
use crate::store::Answered;
use crate::store::Ask;
use crate::store::Unavailable;

/// The time that one request has.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    /// When the first that takes time was asked; the longest time-out so far.
    began: Option<(Instant, Duration)>,
}

impl Deadline {
    /// Asks a store that has so much time, unless the others have used it up.
    pub(crate) async fn ask(
        &mut self,
        group: &Group,
        asks: &[Ask<'_>],
        cx: &Context,
    ) -> Answered<Answer> {
        let Some(timeout) = group.store.timeout() else {
            return group.store.ask(cx, asks).await;
        };
        let Some((began, longest)) = self.began else {
            // The store minds its own time-out.
            self.began = Some((cx.now(), timeout));
            return group.store.ask(cx, asks).await;
        };
        let longest = longest.max(timeout);
        self.began = Some((began, longest));
        let left = longest.saturating_sub(began.elapsed());
        let late = || Unavailable("another store has used up the time that there was".to_owned());
        if left.is_zero() {
            return Err(late());
        }
        let answer = cx.timeout(left, group.store.ask(cx, asks)).await;
        answer.unwrap_or_else(|_| Err(late()))
    }
}
