//! What is known of all sources: the one place where the thread and everybody else meet.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_config::draft::RemoteSource;
use tokio::sync::Notify;

use super::Known;
use super::MOST_AT_ONCE;
use super::MOST_OF_HOST;
use super::MOST_OF_NAMESPACE;
use super::Wanted;
use super::fetch::Fetch;
use super::fetch::FetchError;
use super::fetch::Fetched;
use super::fetch::Signature;
use super::item::Ended;
use super::item::Item;

/// How often the cache is looked at, should fetches of the same source end just then.
const MOST_LOOKS: usize = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) fetch: Arc<dyn Fetch>,
    state: Mutex<State>,
    /// A fetch has ended.
    ended: Condvar,
    /// Something is due sooner, or nothing is any more.
    pub(super) wake: Notify,
    /// Whoever waits says what failed.
    is_quiet: bool,
}

#[derive(Debug, Default)]
struct State {
    items: HashMap<Arc<RemoteSource>, Item>,
    /// Sources that mean nothing, with the reason.
    wrong: HashMap<Arc<RemoteSource>, String>,
    counts: Counts,
    /// Counts by how many rules things were fetched so far.
    rules: u64,
    is_over: bool,
}

/// What was fetched so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Fetches that brought other code.
    pub(crate) new: u64,
    /// Those that found what was here already.
    pub(crate) unchanged: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// Those of them that failed because a signature is missing.
    pub(crate) unsigned: u64,
    /// Bytes that came.
    pub(crate) bytes: u64,
}

/// What there is to say about a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// It as people write it.
    pub(crate) shown: String,
    /// The digest of the image that is here.
    pub(crate) manifest: Option<String>,
    /// SHA-256 of the module that is here.
    pub(crate) module: Option<[u8; 32]>,
    /// How that image is made.
    pub(crate) layout: Option<String>,
    /// Whether its source said so since the start; else it is from the cache.
    pub(crate) is_confirmed: bool,
    /// Whether that is signed as the operator wants it.
    pub(crate) signature: Signature,
    /// Why the last fetch failed, if it did.
    pub(crate) error: Option<String>,
    /// Whether that is a signature that is missing.
    pub(crate) is_unsigned: bool,
    /// When it was asked for last.
    pub(crate) checked: Option<SystemTime>,
    /// When that went well last.
    pub(crate) succeeded: Option<SystemTime>,
    /// When it is asked for next.
    pub(crate) next_try: Option<SystemTime>,
    /// Whether it is being fetched.
    pub(crate) is_running: bool,
}

impl Shared {
    pub(super) fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self {
            fetch,
            state: Mutex::default(),
            ended: Condvar::new(),
            wake: Notify::new(),
            is_quiet: false,
        }
    }

    /// The same without a line for what fails.
    pub(super) fn quiet(self) -> Self {
        Self {
            is_quiet: true,
            ..self
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn want(&self, wanted: &Wanted, again: bool, now: Instant) {
        for (source, plugins) in wanted {
            self.want_one(source, plugins, again, now);
        }
        self.wake.notify_one();
    }

    fn want_one(&self, source: &Arc<RemoteSource>, plugins: &[String], again: bool, now: Instant) {
        let mut state = self.state();
        if state.wrong.contains_key(source) {
            return;
        }
        if let Some(item) = state.items.get_mut(source) {
            item.plugins = plugins.iter().cloned().collect();
            let may_help = item.is_failing() && source.credentials.files().next().is_some();
            if again || may_help {
                item.hurry(now);
            }
            return;
        }
        // The disk is looked at without the lock: nobody waits for a disk.
        drop(state);
        let meaning = self.fetch.look_at(source);
        let here = meaning
            .as_ref()
            .ok()
            .and_then(|_| self.fetch.cached(source));
        let mut state = self.state();
        match meaning {
            Err(why) => {
                state.wrong.insert(Arc::clone(source), why);
            }
            Ok(meaning) => {
                let mut item = Item::new(source, meaning, here, now);
                item.plugins = plugins.iter().cloned().collect();
                state.items.insert(Arc::clone(source), item);
            }
        }
    }

    pub(super) fn keep_only(&self, wanted: &Wanted) {
        let mut state = self.state();
        state.items.retain(|source, _| wanted.contains_key(source));
        state.wrong.retain(|source, _| wanted.contains_key(source));
        let here = state.items.values().filter_map(|item| item.here.as_ref());
        let modules = here.map(|here| here.module).collect();
        drop(state);
        self.fetch.retain(&modules);
        self.wake.notify_one();
    }

    /// By other rules, what was here may be here no more.
    pub(super) fn judge_again(&self, now: Instant) {
        let mut state = self.state();
        // What is on its way by the rules of before is not taken.
        state.rules += 1;
        let sources: Vec<Arc<RemoteSource>> = state.items.keys().cloned().collect();
        drop(state);
        for source in sources {
            self.judge_one(&source, now);
        }
        self.wake.notify_one();
    }

    fn judge_one(&self, source: &RemoteSource, now: Instant) {
        // A fetch that ends meanwhile has made something else of the cache.
        for _ in 0..MOST_LOOKS {
            let Some(ends) = self.state().items.get(source).map(|item| item.ends) else {
                return;
            };
            // The disk is looked at without the lock: nobody waits for a disk.
            let here = self.fetch.cached(source);
            let mut state = self.state();
            let Some(item) = state.items.get_mut(source) else {
                return;
            };
            if item.ends == ends {
                item.judge_again(here, now);
                return;
            }
        }
    }

    pub(super) fn known(&self, source: &RemoteSource) -> Known {
        let state = self.state();
        if let Some(why) = state.wrong.get(source) {
            return Known::Wrong(why.clone());
        }
        let Some(item) = state.items.get(source) else {
            return Known::Wrong("nobody asked for it".to_owned());
        };
        match &item.here {
            Some(here) => Known::Here {
                digest: here.module,
                manifest: here.manifest.clone(),
                name: item.meaning.name.clone(),
            },
            None => Known::Pending {
                shown: item.meaning.shown.clone(),
                is_unsigned: item.is_unsigned,
            },
        }
    }

    pub(super) fn lose(&self, source: &RemoteSource, why: String, now: Instant) {
        if let Some(item) = self.state().items.get_mut(source) {
            item.lose(why, now);
        }
        self.wake.notify_one();
    }

    /// When the first is due, if any ever will be.
    pub(super) fn first_due(&self) -> Option<Instant> {
        let state = self.state();
        state.items.values().filter_map(Item::due).min()
    }

    /// Takes what is due, as much as may run at once, and says when there is something next.
    pub(super) fn take_due(&self, now: Instant) -> (Vec<Arc<RemoteSource>>, Option<Instant>) {
        let mut state = self.state();
        let rules = state.rules;
        let mut running = 0;
        let mut hosts: HashMap<String, usize> = HashMap::new();
        let mut namespaces: HashMap<String, usize> = HashMap::new();
        for item in state.items.values().filter(|item| item.is_running) {
            running += 1;
            *hosts.entry(item.meaning.host.clone()).or_default() += 1;
            *namespaces.entry(item.namespace.clone()).or_default() += 1;
        }
        // Who waits longest comes first.
        let mut due: Vec<(Instant, Arc<RemoteSource>)> = state
            .items
            .iter()
            .filter_map(|(source, item)| Some((item.due()?, Arc::clone(source))))
            .collect();
        due.sort_by_key(|(at, _)| *at);
        let mut begun = Vec::new();
        let mut next = None;
        for (at, source) in due {
            if at > now {
                next = Some(at);
                break;
            }
            let Some(item) = state.items.get_mut(&source) else {
                continue;
            };
            let of_host = hosts.entry(item.meaning.host.clone()).or_default();
            // One that several want is on the account of who has the fewest.
            let count = |namespace: &String| namespaces.get(namespace).copied().unwrap_or(0);
            let namespace = item.namespaces().min_by_key(count).unwrap_or_default();
            let of_namespace = namespaces.entry(namespace.clone()).or_default();
            // The end of one that runs wakes the thread.
            if running >= MOST_AT_ONCE
                || *of_host >= MOST_OF_HOST
                || *of_namespace >= MOST_OF_NAMESPACE
            {
                continue;
            }
            running += 1;
            *of_host += 1;
            *of_namespace += 1;
            item.namespace = namespace;
            item.begin(rules);
            begun.push(source);
        }
        (begun, next)
    }

    /// Takes what came of a fetch; says whether there is other code now, or a signature is missing
    /// for the first time or no longer.
    pub(super) fn end_fetch(
        &self,
        source: &RemoteSource,
        result: Result<Fetched, FetchError>,
        dice: f64,
    ) -> bool {
        let mut state = self.state();
        let State {
            items,
            counts,
            rules,
            ..
        } = &mut *state;
        // Nobody wants it any more: what came is in the cache.
        let Some(item) = items.get_mut(source) else {
            return false;
        };
        let (failed_before, unsigned_before) = (item.is_failing(), item.is_unsigned);
        let (bytes, warnings) = match &result {
            Ok(fetched) => (fetched.bytes, fetched.warnings.clone()),
            Err(_) => (0, Vec::new()),
        };
        counts.bytes += bytes;
        if item.rules != *rules {
            // Whether it may be used was found out by other rules; by now it is in the cache.
            item.put_off(Instant::now());
            self.ended.notify_all();
            return false;
        }
        let ended = item.end(result, Instant::now(), SystemTime::now(), dice);
        counts.unsigned += u64::from(item.is_unsigned);
        match ended {
            Ended::New => counts.new += 1,
            Ended::Same => counts.unchanged += 1,
            Ended::FailsNow | Ended::FailsStill => counts.failed += 1,
        }
        if !(self.is_quiet && ended == Ended::FailsNow) {
            log(item, ended, failed_before, &warnings);
        }
        self.ended.notify_all();
        ended == Ended::New || item.is_unsigned != unsigned_before
    }

    /// Whether somebody still wants a source.
    pub(super) fn is_wanted(&self, source: &RemoteSource) -> bool {
        self.state().items.contains_key(source)
    }

    pub(super) fn report(
        &self,
        source: &RemoteSource,
        now: Instant,
        clock: SystemTime,
    ) -> Option<Report> {
        let state = self.state();
        let item = state.items.get(source)?;
        let here = item.here.as_ref();
        Some(Report {
            shown: item.meaning.shown.clone(),
            manifest: here.and_then(|here| here.manifest.clone()),
            module: here.map(|here| here.module),
            layout: here.map(|here| here.layout.clone()),
            is_confirmed: item.is_confirmed,
            signature: item.signature(),
            error: item.error.clone(),
            is_unsigned: item.is_unsigned,
            checked: item.checked,
            succeeded: item.succeeded,
            next_try: item.next_try(now, clock),
            is_running: item.is_running,
        })
    }

    /// Whether there still is something that was to be fetched at once and has not come to an end,
    /// after a while at most.
    pub(super) fn is_busy(&self, patience: Duration) -> bool {
        let is_busy = |state: &mut State| {
            let mut items = state.items.values();
            items.any(|item| item.is_running || (item.checked.is_none() && item.due().is_some()))
        };
        let waited = self
            .ended
            .wait_timeout_while(self.state(), patience, is_busy);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        timeout.timed_out()
    }

    /// What is being fetched, as people write it.
    pub(super) fn running(&self) -> Vec<String> {
        let state = self.state();
        let running = state.items.values().filter(|item| item.is_running);
        let mut shown: Vec<String> = running.map(|item| item.meaning.shown.clone()).collect();
        shown.sort();
        shown
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    pub(super) fn end(&self) {
        self.state().is_over = true;
        self.wake.notify_one();
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().is_over
    }
}

/// One line when it fails first, one when it works again, one for each other code.
fn log(item: &Item, ended: Ended, failed_before: bool, warnings: &[String]) {
    let plugins: Vec<&str> = item.plugins.iter().map(String::as_str).collect();
    let (plugins, shown) = (plugins.join(", "), &item.meaning.shown);
    match (ended, &item.here) {
        (Ended::New, Some(here)) => {
            let manifest = here.manifest.as_deref().unwrap_or("-");
            let layout = &here.layout;
            tracing::info!("{plugins}: pulled {shown} ({manifest}, {layout})");
        }
        (Ended::Same, _) if failed_before => {
            tracing::info!("{plugins}: {shown} can be pulled again, it is what it was");
        }
        (Ended::FailsNow, here) => {
            let error = item.error.as_deref().unwrap_or_default();
            let serves = match here {
                Some(_) => "what is in the cache serves; ",
                // What the cache has may lack a signature, and the error says so.
                None if item.is_unsigned => "",
                None => "nothing of it is in the cache; ",
            };
            tracing::warn!("{plugins}: cannot pull {shown}: {error}; {serves}it is tried again");
        }
        (Ended::New | Ended::Same | Ended::FailsStill, _) => {}
    }
    if ended == Ended::New {
        for warning in warnings {
            tracing::warn!("{plugins}: {shown}: {warning}");
        }
    }
}
