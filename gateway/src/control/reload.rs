//! The control thread: reloads, one after the other, whoever asks for them.

mod inbox;
mod wishes;

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
use tidegate_proxy::Meanwhile;
use tidegate_proxy::StartError;
use tokio::sync::oneshot;

use crate::control::Control;
use crate::control::Loaded;
use crate::control::blame;
use crate::control::probation::LOOK;
use crate::control::probation::Outcome as Probed;
use crate::control::probation::Seen;
use crate::control::probation::Watchers;
use crate::control::publish;
use crate::control::publish::Reporter;
pub(crate) use crate::control::reload::inbox::Inbox;
use crate::control::reload::inbox::Ordered;
use crate::control::reload::inbox::serve;
use crate::control::reload::wishes::Granted;
pub(crate) use crate::control::reload::wishes::PluginWish;
use crate::control::reload::wishes::Unanswered;
use crate::control::reload::wishes::grant;
use crate::control::rollouts::Look;
use crate::control::rollouts::RolloutOrder;
use crate::control::rollouts::Rollouts;
use crate::status::Board;
use crate::status::Outcome;
use crate::systemd;
use crate::watch::Watch;

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How often one reload is put off because something else has to be done first; after that it is not.
const MOST_INTERRUPTIONS: u32 = 8;

/// What came of a load that was offered to the data plane.
#[derive(Debug)]
enum Offered {
    /// It serves, or does not.
    Ended(Outcome),
    /// Something else has to be done first, and nothing has changed. These wishes are granted.
    Interrupted(Vec<Granted>),
}

/// What makes the thread act.
#[derive(Debug)]
pub(crate) enum Event {
    /// Files have changed.
    Changed,
    /// Somebody asks for a reload, and may want to know how it ended.
    Reload(Option<oneshot::Sender<Outcome>>),
    /// Somebody asks something of a rollout.
    Rollout(RolloutOrder),
    /// Somebody wants another version of a plugin.
    Wish(PluginWish),
    /// No further reloads.
    End,
}

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

/// What is to be done next: everything asked for by now, in one load.
#[derive(Debug, Default)]
struct Work {
    /// Whether somebody asked, so that also what has failed before is tried.
    asked: bool,
    /// Who wants to know how it ends.
    answers: Vec<oneshot::Sender<Outcome>>,
    /// Whether anything asks for a load.
    load: bool,
    /// What is asked of rollouts, in order.
    rollouts: Vec<RolloutOrder>,
    /// What is wanted of plugins' versions.
    wishes: Vec<PluginWish>,
    /// Whether it is nothing but to end.
    end: bool,
}

impl Work {
    /// This event and all that wait behind it.
    fn gather(first: Event, inbox: &mut Inbox) -> Self {
        let mut work = Self::default();
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Changed => work.load = true,
                Event::Rollout(order) => work.rollouts.push(order),
                Event::Reload(answer) => {
                    work.load = true;
                    work.asked = true;
                    work.answers.extend(answer);
                }
                Event::Wish(wish) => work.wishes.push(wish),
                Event::End => work.end = true,
            }
            next = inbox.next();
        }
        work
    }
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
        let granted = grant(
            work.wishes,
            &mut self.control,
            &mut self.watchers,
            &self.board,
        );
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
            wishes::answer(unanswered, latest);
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

    /// Loads, and looks at rollouts and versions on probation meanwhile: to compile a plugin may take
    /// long. What was loaded before one was taken back does not count.
    fn load(&mut self, again: bool) -> Loaded {
        let (mut loaded, mut outcomes) = self.load_and_look(again);
        // Each of them is watched no more, so this ends.
        while self.note(&outcomes) {
            self.tell_versions();
            (loaded, outcomes) = self.load_and_look(false);
        }
        loaded
    }

    fn load_and_look(&mut self, again: bool) -> (Loaded, Vec<Probed>) {
        let mut rollouts = std::mem::take(&mut self.control.rollouts);
        let (loaded, outcomes) = self.beside(&mut rollouts, |control| control.load(again));
        self.control.rollouts = rollouts;
        (loaded, outcomes)
    }

    /// Does what takes long, and looks meanwhile; gives what came of both.
    fn beside<T: Send>(
        &mut self,
        rollouts: &mut Rollouts,
        work: impl Fn(&mut Control) -> T + Send + Sync,
    ) -> (T, Vec<Probed>) {
        let Self {
            control,
            gateway,
            watchers,
            board,
            inbox,
            ..
        } = self;
        let mut outcomes = Vec::new();
        if watchers.is_empty() && rollouts.is_empty() {
            return (work(control), outcomes);
        }
        let (done, is_done) = mpsc::channel::<()>();
        let worked = std::thread::scope(|scope| {
            let (control, work) = (&mut *control, &work);
            let work = move || {
                let worked = work(control);
                drop(done);
                worked
            };
            let thread = std::thread::Builder::new().name("control-load".to_owned());
            let thread = thread.spawn_scoped(scope, work).ok()?;
            while is_done.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                outcomes.extend(watchers.look(gateway, Instant::now()));
                serve(inbox.orders(), rollouts, gateway, board);
                if rollouts.look(gateway, Instant::now()) != Look::NotYet {
                    rollouts.tell(board);
                }
            }
            let worked = thread.join();
            Some(worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // Without a thread there is nobody to look.
        (worked.unwrap_or_else(|| work(control)), outcomes)
    }

    /// Makes a load serve. While its plugins start, versions on probation and rollouts are looked at,
    /// and orders to rollouts are done. If a version fails, a rollout is aborted or somebody is granted
    /// another version, the load is not taken, if it `may_stop`; with any other share it goes on, and the
    /// share is set once it serves.
    fn offer(&mut self, again: bool, loaded: Loaded, may_stop: bool) -> Offered {
        if !again && self.control.is_serving(&loaded) {
            tracing::debug!("the files say what serves already");
            if self.control.rules_changed() {
                let waiting = self.gateway.waiting();
                self.control.note_versions(&mut self.watchers, &waiting);
            }
            return Offered::Ended(Outcome::Success);
        }
        let Self {
            gateway,
            stop,
            watchers,
            board,
            inbox,
            ..
        } = self;
        let mut has_moved = false;
        let mut granted = Vec::new();
        let taken = self.control.hand_over(
            loaded,
            |_| true,
            |generation, control| {
                if stop.load(Ordering::SeqCst) {
                    let ending = std::io::Error::other("the gateway is ending");
                    return Err(StartError::Thread(ending));
                }
                gateway.apply_while(generation, |gateway| {
                    let now = Instant::now();
                    let is_over = stop.load(Ordering::SeqCst);
                    if may_stop && !is_over {
                        granted.extend(grant(inbox.wishes(), control, watchers, board));
                    }
                    let rollouts = &mut control.rollouts;
                    let ordered = serve(inbox.orders(), rollouts, gateway, board);
                    let looked = rollouts.look(gateway, now);
                    if looked != Look::NotYet {
                        rollouts.tell(board);
                    }
                    has_moved |= ordered != Ordered::Nothing || looked >= Look::Changed;
                    let is_aborted = ordered == Ordered::Aborted || looked == Look::Aborted;
                    let has_failed = watchers.see(gateway, now) == Seen::Failure;
                    let is_first = is_aborted || has_failed || !granted.is_empty();
                    match is_over || may_stop && is_first {
                        true => Meanwhile::Stop,
                        false => Meanwhile::GoOn,
                    }
                })
            },
        );
        if self.is_ending() {
            // Workers that drain take nothing any more; there is nothing to tell.
            return Offered::Ended(Outcome::Failure);
        }
        match taken {
            Err((_, StartError::Interrupted)) => Offered::Interrupted(granted),
            Ok((loaded, ())) => {
                // It was drawn with the shares of before it waited.
                if has_moved {
                    self.control.rollouts.send_shares(&mut self.gateway);
                }
                self.reporter.report(&loaded.draft.problems);
                self.tell_rollouts();
                let waiting = self.gateway.waiting();
                self.control
                    .versions_serve(&mut self.watchers, &loaded, &waiting);
                // What they meet from now on counts, however long all else takes.
                self.watchers.see(&self.gateway, Instant::now());
                let versions = self.control.versions(&self.watchers);
                let number = self.control.number();
                let outcome = publish::serves(
                    &self.board,
                    number,
                    loaded,
                    self.gateway.addresses(),
                    versions,
                );
                self.tell(&format!("generation {number} serves: {}", outcome.label()));
                Offered::Ended(outcome)
            }
            Err((loaded, err)) => {
                self.reporter.report(&loaded.draft.problems);
                let outcome = publish::failed(&self.board, *loaded, blame::words(&err));
                self.tell("an older generation serves: the last reload failed");
                Offered::Ended(outcome)
            }
        }
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::Event;
    use super::Inbox;
    use super::Work;

    #[test]
    fn all_that_waits_is_one_load_and_the_end_comes_first() {
        let (events, inbox) = mpsc::channel();
        let mut inbox = Inbox::new(inbox);
        let mut waiting = Vec::new();
        for _ in 0..5 {
            let (answer, answered) = oneshot::channel();
            waiting.push(answered);
            events.send(Event::Reload(Some(answer))).expect("open");
            events.send(Event::Reload(None)).expect("open");
            events.send(Event::Changed).expect("open");
        }
        let work = Work::gather(Event::Changed, &mut inbox);
        assert!(work.asked && !work.end);
        assert_eq!(work.answers.len(), waiting.len());
        assert!(inbox.next().is_none(), "nothing is left");
        assert!(!Work::gather(Event::Changed, &mut inbox).asked);
        events.send(Event::Reload(None)).expect("open");
        events.send(Event::End).expect("open");
        assert!(Work::gather(Event::Changed, &mut inbox).end);
    }
}
