//! A take that is under way, and what becomes of it if its client leaves meanwhile.
//!
//! The server may have taken already, and only its answer says so: the take goes on beside the streams
//! then, for no longer than its time-out, and what it took is given back. Else a client could use up what
//! others share by asking and leaving, without ever meeting the limit of its own.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context as Polled;
use std::task::Poll;

use super::keys::parts;
use super::script::Granted;
use super::script::Mode;
use super::script::Wanted;
use super::server::Server;
use crate::state::Context;
use crate::store::Answered;

/// What was answered, and what was wanted.
type Taken = (Answered<Vec<Option<Granted>>>, Vec<Wanted>);

/// A take that is under way.
pub(super) struct Taking<'s> {
    /// `None` when it is done.
    take: Option<Pin<Box<dyn Future<Output = Taken>>>>,
    server: &'s Rc<Server>,
    cx: &'s Context,
}

impl<'s> Taking<'s> {
    /// Takes from all if all admit it, else from none.
    pub(super) fn begin(server: &'s Rc<Server>, cx: &'s Context, wanted: Vec<Wanted>) -> Self {
        let (own, its) = (Rc::clone(server), cx.clone());
        let take = async move {
            let answers = own.take(&its, &wanted).await;
            (answers, wanted)
        };
        Self {
            take: Some(Box::pin(take)),
            server,
            cx,
        }
    }
}

impl Future for Taking<'_> {
    type Output = Answered<Vec<Option<Granted>>>;

    fn poll(mut self: Pin<&mut Self>, polled: &mut Polled<'_>) -> Poll<Self::Output> {
        let Some(take) = &mut self.take else {
            return Poll::Pending;
        };
        match take.as_mut().poll(polled) {
            Poll::Ready((answers, _)) => {
                self.take = None;
                Poll::Ready(answers)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let Some(take) = self.take.take() else { return };
        let (server, own) = (Rc::clone(self.server), self.cx.clone());
        self.cx.spawn(async move {
            let (answers, wanted) = take.await;
            // What is not known was not taken.
            let is_admitted = |it: &Option<Granted>| it.is_some_and(|it| it.admitted);
            if answers.is_ok_and(|it| it.iter().all(is_admitted)) {
                server.tell(&own, Mode::Refund, parts(wanted));
            }
        });
    }
}
