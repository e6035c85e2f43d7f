//! Carries out what `leases` decides: fetches permits, once for all who wait, and gives back unspent ones.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::task::Waker;

use tidegate_sdk::limit::MOST_ASKS;

use super::keys::parts;
use super::leases::Spent;
use super::script::Granted;
use super::script::Mode;
use super::script::Wanted;
use super::server::Server;
use crate::state::Context;
use crate::store::Answered;
use crate::store::Unavailable;

/// A fetch under way, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    ended: RefCell<Option<Result<(), String>>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Fetch {
    fn end(&self, outcome: Result<(), String>) {
        self.ended.replace(Some(outcome));
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    async fn wait(&self) -> Answered<()> {
        poll_fn(|cx| match &*self.ended.borrow() {
            Some(outcome) => Poll::Ready(outcome.clone().map_err(Unavailable)),
            None => {
                self.waiting.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// A request that waits for permits, until this is dropped.
#[derive(Debug)]
struct Waiting<'a> {
    server: &'a Server,
    wanted: &'a [Wanted],
}

impl<'a> Waiting<'a> {
    fn new(server: &'a Server, wanted: &'a [Wanted]) -> Self {
        server.leases.borrow_mut().on_wait(wanted);
        Self { server, wanted }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.server.leases.borrow_mut().on_wait_end(self.wanted);
    }
}

/// Spends permits of all keys, or of none.
pub(super) async fn take(
    server: &Rc<Server>,
    cx: &Context,
    wanted: &[Wanted],
) -> Answered<Vec<Option<Granted>>> {
    let began = cx.now();
    let mut is_first = true;
    loop {
        let spent = server.leases.borrow_mut().spend(wanted, cx.now().nanos());
        let fetch = match spent {
            Spent::Decided(answers) => return Ok(answers),
            Spent::TooMany => return server.take(cx, wanted).await,
            Spent::Coming(fetch) => fetch,
            Spent::Lacking(lacking) => begin(server, cx, lacking),
        };
        let _waiting = Waiting::new(server, wanted);
        // Others may have spent what came: then it is one more fetch, within the same time.
        let left = server.timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            let why = "Redis: permits are spent faster than it gives them";
            return Err(Unavailable(why.to_owned()));
        }
        if is_first {
            // The fetch has no more time than the request.
            fetch.wait().await?;
            is_first = false;
            continue;
        }
        let waited = cx.timeout(left, fetch.wait()).await;
        waited.map_err(|error| Unavailable(["Redis: ", &error.to_string()].concat()))??;
    }
}

/// Fetches beside the request: it goes on if the client leaves.
fn begin(server: &Rc<Server>, cx: &Context, wanted: Vec<Wanted>) -> Rc<Fetch> {
    let fetch = Rc::<Fetch>::default();
    let sweeps = {
        let mut leases = server.leases.borrow_mut();
        leases.on_fetch(&wanted, &fetch);
        leases.begin_sweeps()
    };
    let (server, own, ended) = (Rc::clone(server), cx.clone(), Rc::clone(&fetch));
    if sweeps {
        let (server, own) = (Rc::clone(&server), cx.clone());
        cx.spawn(async move { sweep(&server, &own).await });
    }
    cx.spawn(async move {
        let answers = server.run(&own, Mode::Lease, &wanted).await;
        let now = own.now().nanos();
        let brought = answers.as_deref().ok();
        let unwanted = server.leases.borrow_mut().on_fetched(&wanted, brought, now);
        ended.end(answers.map(drop).map_err(|why| why.0));
        give_back(&server, &own, unwanted).await;
    });
    fetch
}

/// Gives back what is not spent, for as long as there are keys.
async fn sweep(server: &Rc<Server>, cx: &Context) {
    loop {
        let next = server.leases.borrow_mut().next_sweep();
        let Some(pause) = next else { return };
        cx.sleep(pause).await;
        let unspent = server.leases.borrow_mut().expired(cx.now().nanos());
        give_back(server, cx, unspent).await;
    }
}

async fn give_back(server: &Server, cx: &Context, permits: Vec<Wanted>) {
    for part in parts(permits) {
        for permits in part.chunks(MOST_ASKS) {
            // What cannot be given back comes back by itself, as the limit fills again.
            server.run(cx, Mode::Refund, permits).await.ok();
        }
    }
}
