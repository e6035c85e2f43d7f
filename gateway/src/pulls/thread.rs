//! The thread that fetches, with a runtime of its own.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tidegate_config::draft::RemoteSource;
use tokio::task::AbortHandle;
use tokio::task::Id;
use tokio::task::JoinSet;

use super::Changed;
use super::LONGEST_FETCH;
use super::fetch::FetchError;
use super::fetch::Fetched;
use super::shared::Shared;
use crate::background;

/// Nothing is due: the thread looks all the same.
const IDLE: Duration = Duration::from_secs(60);

pub(super) fn start(shared: Arc<Shared>, changed: Changed) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("plugin-fetch")
        .build()?;
    std::thread::Builder::new()
        .name("plugin-pulls".to_owned())
        .spawn(move || {
            while runtime.block_on(something_is_due(&shared)) {
                background::run("plugin-fetch", || runtime.block_on(run(&shared, &changed)));
            }
            // A name that is being looked up, or a disk that hangs, is not waited for.
            runtime.shutdown_background();
        })
}

/// What is being fetched, by its task.
type Running = HashMap<Id, (Arc<RemoteSource>, AbortHandle)>;

/// Waits until something is due; not, if nothing will be any more.
async fn something_is_due(shared: &Shared) -> bool {
    while !shared.is_over() {
        let now = Instant::now();
        let next = shared.first_due().unwrap_or(now + IDLE);
        if next <= now {
            return true;
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
    false
}

/// Fetches what is due until nothing is on its way any more.
async fn run(shared: &Arc<Shared>, changed: impl Fn()) {
    let mut fetches: JoinSet<Fetch> = JoinSet::new();
    let mut running = Running::new();
    while !shared.is_over() {
        running.retain(|_, (source, fetch)| {
            let is_wanted = shared.is_wanted(source);
            if !is_wanted {
                fetch.abort();
            }
            is_wanted
        });
        let (begun, next) = shared.take_due(Instant::now());
        for source in begun {
            let fetch = fetches.spawn(fetch(Arc::clone(shared), Arc::clone(&source)));
            running.insert(fetch.id(), (source, fetch));
        }
        if running.is_empty() {
            return;
        }
        let next = next.unwrap_or_else(|| Instant::now() + IDLE);
        tokio::select! {
            () = shared.wake.notified() => {}
            Some(done) = fetches.join_next_with_id() => {
                let (id, result) = match done {
                    Ok(done) => done,
                    Err(err) => (err.id(), Err(failed("it ended unexpectedly; the log says why"))),
                };
                // Not there: it was aborted, because nobody wants it any more.
                if let Some((source, _)) = running.remove(&id)
                    && shared.end_fetch(&source, result, dice())
                {
                    changed();
                }
            }
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
}

type Fetch = Result<Fetched, FetchError>;

/// In a task of its own: whatever a peer makes of it, it ends as a failure of this source.
async fn fetch(shared: Arc<Shared>, source: Arc<RemoteSource>) -> Fetch {
    let work = shared.fetch.fetch(&source);
    let fetched = tokio::time::timeout(LONGEST_FETCH, work).await;
    fetched.unwrap_or_else(|_| Err(failed("it took too long")))
}

fn failed(message: &str) -> FetchError {
    FetchError {
        message: message.to_owned(),
        retry_after: None,
        is_unsigned: false,
    }
}

/// A random number from 0 to 1.
fn dice() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
