//! Code that comes over the network: fetched beside everything else, for as long as it is wanted.
//!
//! Owns the thread that fetches, several sources at once, and what is known of each. Nobody waits for
//! it: whoever asks gets what is here, or that it is not here yet, and is told when that changes.

mod counting;
pub(crate) mod fetch;
mod item;
mod policy;
pub(crate) mod registries;
mod shared;
#[cfg(test)]
pub(crate) mod tests;
mod thread;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use bytes::Bytes;
use tidegate_config::draft::RemoteSource;

use crate::plugins::origin::Origin;
use crate::pulls::fetch::Fetch;
pub(crate) use crate::pulls::policy::PolicyReport;
pub(crate) use crate::pulls::shared::Counts;
pub(crate) use crate::pulls::shared::Report;
use crate::pulls::shared::Shared;

/// Sources that are fetched at once.
const MOST_AT_ONCE: usize = 32;
/// The same of one registry or server, so that one that hangs does not hold up others.
const MOST_OF_HOST: usize = 4;
/// The same of the plugins of one namespace, whose hosts may have any number of names.
const MOST_OF_NAMESPACE: usize = 16;
/// One fetch, should it not keep to its own limit.
const LONGEST_FETCH: Duration = Duration::from_secs(15 * 60);

/// How often somebody who waits is told what is going on.
const LOOK: Duration = Duration::from_millis(100);

/// The sources that are wanted, with the plugins that want them.
pub(crate) type Wanted = HashMap<Arc<RemoteSource>, Vec<String>>;

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Its newest code.
    Here {
        /// SHA-256 of the module.
        digest: [u8; 32],
        /// The digest of the image that it is in, as registries write it; web servers have none.
        manifest: Option<String>,
        /// What it is called.
        name: String,
    },
    /// It is not here yet.
    Pending {
        /// It as people write it.
        shown: String,
        /// Whether a signature is what it lacks.
        is_unsigned: bool,
    },
    /// It means nothing.
    Wrong(String),
}

/// What is called on the thread whenever there is newer code.
type Changed = Box<dyn Fn() + Send + Sync>;

/// What fetches; ends when dropped. Nobody is waited for then.
pub(crate) struct Pulls {
    shared: Arc<Shared>,
    /// Taken when the thread starts: when something is wanted first. Most gateways want nothing.
    changed: Mutex<Option<Changed>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Pulls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulls")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// What others may ask of it.
#[derive(Debug, Clone)]
pub(crate) struct PullBoard(Arc<Shared>);

impl Pulls {
    /// One that fetches what is wanted; `changed` is called on a thread of it whenever there is newer
    /// code.
    pub(crate) fn new(fetch: Arc<dyn Fetch>, changed: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared::new(fetch)),
            changed: Mutex::new(Some(Box::new(changed))),
            thread: Mutex::default(),
        }
    }

    /// One for a command that ends after its first tries and says itself what came of them: it logs no
    /// failures, and nothing is tried again.
    pub(crate) fn once(fetch: Arc<dyn Fetch>) -> Self {
        Self {
            shared: Arc::new(Shared::new(fetch).quiet()),
            changed: Mutex::new(Some(Box::new(|| {}))),
            thread: Mutex::default(),
        }
    }

    /// One that fetches nothing: it has what was fetched before.
    pub(crate) fn offline(fetch: Arc<dyn Fetch>) -> Self {
        Self {
            shared: Arc::new(Shared::new(fetch)),
            changed: Mutex::default(),
            thread: Mutex::default(),
        }
    }

    /// What it knows, for others.
    pub(crate) fn board(&self) -> PullBoard {
        PullBoard(Arc::clone(&self.shared))
    }

    /// Reads again by what rules things are fetched, if that changed; what is here by other rules is
    /// looked at again. Says whether they are other rules now.
    pub(crate) fn refresh(&self) -> bool {
        let is_new = self.shared.fetch.refresh();
        if is_new {
            self.shared.judge_again(Instant::now());
        }
        is_new
    }

    /// The folder of what was fetched, if it is in one.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.shared.fetch.folder()
    }

    /// The files of these rules.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.shared.fetch.files()
    }

    /// Wants these too. `again` asks for everything anew that may have changed; sources whose
    /// credentials are files are asked for again if they failed.
    pub(crate) fn want(&self, wanted: &Wanted, again: bool) {
        self.shared.want(wanted, again, Instant::now());
        self.start();
    }

    /// Starts the thread, if there is none yet: it is scheduled as this one is.
    pub(crate) fn start(&self) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(changed) = changed.take() else {
            return;
        };
        match thread::start(Arc::clone(&self.shared), changed) {
            Ok(started) => {
                let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
                *thread = Some(started);
            }
            Err(err) => tracing::error!("nothing is pulled: cannot start a thread: {err}"),
        }
    }

    /// Wants nothing but these any more.
    pub(crate) fn keep_only(&self, wanted: &Wanted) {
        self.shared.keep_only(wanted);
    }

    /// Waits until everything that is wanted, and may have changed, was asked for once. For commands that do nothing
    /// else; `each` is called again and again meanwhile.
    pub(crate) fn wait(&self, mut each: impl FnMut(&PullBoard)) {
        let board = self.board();
        while self.shared.is_busy(LOOK) {
            each(&board);
        }
    }

    /// What is known of a source, now.
    pub(crate) fn known(&self, source: &RemoteSource) -> Known {
        self.shared.known(source)
    }

    /// The newest code of a source, if it can be read. Else it is fetched again.
    pub(crate) fn module(&self, source: &RemoteSource, digest: &[u8; 32]) -> Option<Bytes> {
        match self.shared.fetch.module(digest) {
            Ok(code) => Some(code),
            Err(why) => {
                tracing::warn!("a module of the plugin cache is fetched again: {why}");
                self.shared.lose(source, why, Instant::now());
                None
            }
        }
    }
}

impl Drop for Pulls {
    fn drop(&mut self) {
        self.shared.end();
        let thread = self.thread.get_mut();
        if let Some(thread) = thread.unwrap_or_else(PoisonError::into_inner).take() {
            thread.join().ok();
        }
    }
}

impl PullBoard {
    /// What there is to say about a source.
    pub(crate) fn report(&self, source: &RemoteSource) -> Option<Report> {
        self.0.report(source, Instant::now(), SystemTime::now())
    }

    /// What is being fetched.
    pub(crate) fn running(&self) -> Vec<String> {
        self.0.running()
    }

    /// By what rules signatures count, if there are any.
    pub(crate) fn policy(&self) -> Option<PolicyReport> {
        self.0.fetch.policy()
    }

    /// See [`Fetch::vouch`].
    ///
    /// # Errors
    ///
    /// Why it may not serve.
    pub(crate) fn vouch(
        &self,
        origin: &Origin,
        declared: Option<&RemoteSource>,
        module: &[u8; 32],
    ) -> Result<(), String> {
        self.0.fetch.vouch(origin, declared, module)
    }

    /// What was fetched so far.
    pub(crate) fn counts(&self) -> Counts {
        self.0.counts()
    }
}
