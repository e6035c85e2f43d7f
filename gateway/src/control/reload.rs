//! The control thread: reloads, one after the other, whoever asks for them.

mod inbox;
mod offer;
mod wishes;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_core::rollout::history::Why;
use tidegate_proxy::Gateway;

use crate::control::Control;
use crate::control::blame;
use crate::control::probation::LOOK;
use crate::control::probation::Outcome as Probed;
use crate::control::probation::Watchers;
use crate::control::publish::Reporter;
pub(crate) use crate::control::reload::inbox::Inbox;
use crate::control::reload::inbox::serve;
use crate::control::reload::offer::Offered;
pub(crate) use crate::control::reload::wishes::PluginWish;
use crate::control::reload::wishes::Unanswered;
use crate::control::reload::wishes::grant;
pub(crate) use crate::control::reload::work::Event;
use crate::control::reload::work::Work;
use crate::control::rollouts::Look;
use crate::control::rollouts::RolloutOrder;
use crate::status::Board;
use crate::status::Outcome;
use crate::systemd;
use crate::watch::Watch;

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How often one reload is put off because something else has to be done first; after that it is not.
const MOST_INTERRUPTIONS: u32 = 8;

/// Everything that the thread owns.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) control: Control,
    pub(crate) gateway: Gateway,
    pub(crate) board: Board,
    pub(crate) watch: Watch,
    pub(crate) reporter: Reporter,
    /// Versions of plugins on probation.
    pub(crate) watchers: Watchers,
    /// Until when the service manager is told of nothing, because plugins are waited for.
    pub(crate) awaits_until: Option<Instant>,
    /// Set once the gateway ends: no reload begins after that, and none that runs is handed over.
    pub(crate) stop: Arc<AtomicBool>,
    /// What it is asked for.
    pub(crate) inbox: Inbox,
}

impl Thread {
    /// Starts the thread. It returns the gateway once it was told to end.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(crate) fn start(self) -> std::io::Result<JoinHandle<Gateway>> {
        std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || self.run())
    }

    fn run(mut self) -> Gateway {
        let mut chores = Instant::now() + RETRY;
        loop {
            let patience = self.patience(chores);
            match self.inbox.recv_timeout(patience) {
                Ok(first) => {
                    let work = Work::gather(first, &mut self.inbox);
                    // Who waits for an answer then sees that there will be none.
                    if work.end || self.is_ending() {
                        return self.gateway;
                    }
                    self.work(work);
                    if self.is_ending() {
                        return self.gateway;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.gateway,
            }
            if self.is_ending() {
                chores = Instant::now() + RETRY;
                self.awaits_until = None;
                continue;
            }
            self.look();
            let now = Instant::now();
            if self.awaits_until.is_some_and(|until| until <= now) {
                self.tell("serves without plugins that are not here yet");
            }
            if now >= chores {
                self.chores();
                chores = Instant::now() + RETRY;
            }
        }
    }

    /// Does what is asked of rollouts.
    fn order(&mut self, orders: Vec<RolloutOrder>) {
        let rollouts = &mut self.control.rollouts;
        serve(orders, rollouts, &mut self.gateway, &self.board);
    }

    fn tell_rollouts(&self) {
        self.control.rollouts.tell(&self.board);
    }

    /// Does what was asked for, and says how it went.
    fn work(&mut self, work: Work) {
        self.order(work.rollouts);
        let granted = grant(work.wishes, &mut self.control, &mut self.watchers);
        if !work.load && granted.is_empty() {
            return;
        }
        // One that starts is not reloaded.
        if work.asked && self.awaits_until.is_none() {
            systemd::reloading();
        }
        let unanswered = self.put_in_service(granted);
        let outcome = self.reload_for(unanswered, work.asked);
        if self.is_ending() {
            return;
        }
        // Who asked may have left.
        for answer in work.answers {
            answer.send(outcome).ok();
        }
    }

    /// What is done now and then.
    fn chores(&mut self) {
        self.control.warn_of_expiry();
        let may_set_up = self.control.may_set_up_now();
        if may_set_up || self.control.may_bind_now() {
            self.reload(false);
        }
        if may_set_up {
            // The files may say what serves already, and what failed before may be gone back to.
            self.note_versions();
        }
        self.catch_up();
    }

    /// Looks at rollouts, and at versions on probation, and acts on what came of it.
    fn look(&mut self) {
        let rollouts = &mut self.control.rollouts;
        if rollouts.look(&mut self.gateway, Instant::now()) != Look::NotYet {
            self.tell_rollouts();
        }
        let outcomes = self.watchers.look(&mut self.gateway, Instant::now());
        if outcomes.is_empty() {
            return;
        }
        if self.note(&outcomes) {
            self.reload(false);
        } else {
            self.tell_versions();
        }
    }

    /// Notes what came of probations; says whether a version was taken back.
    fn note(&mut self, outcomes: &[Probed]) -> bool {
        let mut is_back = false;
        for outcome in outcomes {
            if let Probed::TakenBack { name, why, .. } = outcome {
                is_back = true;
                count_rollback(&self.board, name, why);
            }
            self.control.note(outcome);
        }
        is_back
    }

    /// Notes which versions serve, by what was loaded last, and shows it.
    fn note_versions(&mut self) {
        let waiting = self.gateway.waiting();
        self.control.note_versions(&mut self.watchers, &waiting);
        self.tell_versions();
    }

    /// Shows the versions of plugins as they are now.
    fn tell_versions(&self) {
        let versions = self.control.versions(&self.watchers);
        self.board
            .write(|status| status.versions = Arc::new(versions));
    }

    /// How long nothing may happen: until chores are due, until who waits for plugins has waited enough,
    /// and not for long while versions are on probation.
    fn patience(&self, chores: Instant) -> Duration {
        let until = self.awaits_until.map_or(chores, |it| it.min(chores));
        let rest = until.saturating_duration_since(Instant::now());
        let probation = (!self.watchers.is_empty()).then_some(LOOK);
        let looks = [probation, self.control.rollouts.next_look(Instant::now())];
        looks.into_iter().flatten().fold(rest, Duration::min)
    }

    /// Tells the service manager that it is ready, once `/ready` says so.
    fn tell(&mut self, status: &str) {
        if self.awaits_until.is_some()
            && let Some(why) = self.board.read().not_ready(Instant::now())
        {
            systemd::status(why);
            return;
        }
        self.awaits_until = None;
        systemd::ready(status);
    }

    /// Newest versions of plugins that had to wait may serve now.
    fn catch_up(&mut self) {
        match self.gateway.catch_up() {
            Ok(true) => {
                tracing::info!("plugins serve versions that had to wait");
                let waiting = self.gateway.waiting();
                self.control.note_versions(&mut self.watchers, &waiting);
                self.watchers.see(&self.gateway, Instant::now());
                self.tell_versions();
                if self.keep() {
                    self.reload(false);
                }
            }
            Ok(false) => {}
            Err(err) => {
                let words = blame::words(&err);
                tracing::error!("plugins that had to wait cannot serve yet: {words}");
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn reload(&mut self, again: bool) -> Outcome {
        self.reload_for(Vec::new(), again)
    }

    /// Reloads, and answers those who wait for it.
    fn reload_for(&mut self, mut unanswered: Vec<Unanswered>, again: bool) -> Outcome {
        let outcome = self.reload_once(&mut unanswered, again);
        let mut latest = outcome;
        // Each that is taken back meanwhile is watched no more, so this ends.
        while self.keep() {
            latest = self.reload_once(&mut unanswered, false);
        }
        if !self.is_ending() {
            self.answer(unanswered, latest);
        }
        outcome
    }

    /// Makes what serves what a restart falls back to; looks at rollouts and versions on probation
    /// meanwhile, for a disk may be slow. Says whether a version was taken back.
    fn keep(&mut self) -> bool {
        let mut rollouts = std::mem::take(&mut self.control.rollouts);
        let ((), outcomes) = self.beside(&mut rollouts, Control::keep_code);
        self.control.rollouts = rollouts;
        let is_back = self.note(&outcomes);
        if !outcomes.is_empty() {
            self.tell_versions();
        }
        self.control.keep();
        is_back
    }

    fn reload_once(&mut self, unanswered: &mut Vec<Unanswered>, again: bool) -> Outcome {
        let read_at = SystemTime::now();
        let mut loaded = self.load(again);
        let mut watched = paths(&loaded.draft.watch);
        let mut interruptions = 0;
        let outcome = loop {
            let may_stop = interruptions < MOST_INTERRUPTIONS;
            let granted = match self.offer(again, loaded, may_stop) {
                Offered::Ended(outcome) => break outcome,
                Offered::Interrupted(granted) => granted,
            };
            interruptions += 1;
            // What was found meanwhile comes first, and what is to serve then depends on it.
            let outcomes = self.watchers.look(&mut self.gateway, Instant::now());
            self.note(&outcomes);
            unanswered.extend(self.put_in_service(granted));
            self.tell_versions();
            self.tell_rollouts();
            loaded = self.load(false);
            watched = paths(&loaded.draft.watch);
        };
        // After it serves: looking at files takes time, and a change since the load is not lost.
        self.watch.set(watched, read_at);
        outcome
    }
}

fn count_rollback(board: &Board, plugin: &str, why: &Why) {
    board.write(|status| {
        let count = status
            .rollbacks
            .entry((plugin.to_owned(), why.as_str()))
            .or_default();
        *count += 1;
    });
}

/// Paths as the watch wants them.
pub(crate) fn paths(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths
        .iter()
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
        .collect()
}
