//! The control thread: reloads, one after the other, whoever asks for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_proxy::Gateway;
use tidegate_proxy::StartError;
use tokio::sync::oneshot;

use crate::control::Control;
use crate::control::Loaded;
use crate::control::blame;
use crate::control::publish;
use crate::control::publish::Reporter;
use crate::control::rollouts::RolloutOrder;
use crate::status::Board;
use crate::status::Outcome;
use crate::systemd;
use crate::watch::Watch;

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What makes the thread act.
#[derive(Debug)]
pub(crate) enum Event {
    /// Files have changed.
    Changed,
    /// Somebody asks for a reload, and may want to know how it ended.
    Reload(Option<oneshot::Sender<Outcome>>),
    /// Somebody asks something of a rollout.
    Rollout(RolloutOrder),
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
    /// When what failed is tried again.
    pub(crate) retry: Instant,
    /// Set once the gateway ends: no reload begins after that, and none that runs is handed over.
    pub(crate) stop: Arc<AtomicBool>,
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
    /// Whether it is nothing but to end.
    end: bool,
}

impl Work {
    /// This event and all that wait behind it.
    fn gather(first: Event, events: &mpsc::Receiver<Event>) -> Self {
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
                Event::End => work.end = true,
            }
            next = events.try_recv().ok();
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
    pub(crate) fn start(
        self,
        events: mpsc::Receiver<Event>,
    ) -> std::io::Result<JoinHandle<Gateway>> {
        std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || self.run(&events))
    }

    fn run(mut self, events: &mpsc::Receiver<Event>) -> Gateway {
        loop {
            self.look(Instant::now());
            let look = self.control.rollouts.next_look(Instant::now());
            match events.recv_timeout(look.map_or(RETRY, |look| look.min(RETRY))) {
                Ok(first) => {
                    let work = Work::gather(first, events);
                    // Who waits for an answer then sees that there will be none.
                    if work.end || self.is_ending() {
                        return self.gateway;
                    }
                    self.order(work.rollouts);
                    if !work.load {
                        continue;
                    }
                    if work.asked {
                        systemd::reloading();
                    }
                    let outcome = self.reload(work.asked);
                    if self.is_ending() {
                        return self.gateway;
                    }
                    for answer in work.answers {
                        // Who asked may have left.
                        answer.send(outcome).ok();
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.is_ending() {
                        continue;
                    }
                    let now = Instant::now();
                    if now < self.retry {
                        continue;
                    }
                    self.retry = now + RETRY;
                    self.control.warn_of_expiry();
                    let may_set_up = self.control.may_set_up_now();
                    if may_set_up || self.control.may_bind_now() {
                        self.reload(false);
                    }
                    self.catch_up();
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.gateway,
            }
        }
    }

    /// Looks at rollouts, if it is time.
    fn look(&mut self, now: Instant) {
        if self.control.rollouts.look(&mut self.gateway, now) {
            self.tell_rollouts();
        }
    }

    /// Does what is asked of rollouts.
    fn order(&mut self, orders: Vec<RolloutOrder>) {
        for RolloutOrder {
            plugin,
            order,
            answer,
        } in orders
        {
            let rollouts = &mut self.control.rollouts;
            let done = rollouts.order(&mut self.gateway, &plugin, order);
            self.tell_rollouts();
            // Who asked may have left.
            answer.send(done).ok();
        }
    }

    fn tell_rollouts(&self) {
        let rollouts = self.control.rollouts.status();
        self.board
            .write(|status| status.rollouts = Arc::new(rollouts));
    }

    /// Newest versions of plugins that had to wait may serve now.
    fn catch_up(&mut self) {
        match self.gateway.catch_up() {
            Ok(true) => tracing::info!("plugins serve versions that had to wait"),
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
        let read_at = SystemTime::now();
        let loaded = self.control.load(again);
        let watched = paths(&loaded.draft.watch);
        let outcome = self.offer(again, loaded);
        // After it serves: looking at files takes time, and a change since the load is not lost.
        self.watch.set(watched, read_at);
        self.control.keep();
        outcome
    }

    fn offer(&mut self, again: bool, loaded: Loaded) -> Outcome {
        if !again && self.control.is_serving(&loaded) {
            tracing::debug!("the files say what serves already");
            return Outcome::Success;
        }
        let (gateway, stop) = (&mut self.gateway, &self.stop);
        let taken = self.control.hand_over(
            loaded,
            |_| true,
            |generation| {
                if stop.load(Ordering::SeqCst) {
                    let ending = std::io::Error::other("the gateway is ending");
                    return Err(StartError::Thread(ending));
                }
                gateway.apply(generation)
            },
        );
        if self.is_ending() {
            // Workers that drain take nothing any more; there is nothing to tell.
            return Outcome::Failure;
        }
        match taken {
            Ok((loaded, ())) => {
                self.tell_rollouts();
                self.reporter.report(&loaded.draft.problems);
                let number = self.control.number();
                let outcome =
                    publish::serves(&self.board, number, loaded, self.gateway.addresses());
                systemd::ready(&format!("generation {number} serves: {}", outcome.label()));
                outcome
            }
            Err((loaded, err)) => {
                self.reporter.report(&loaded.draft.problems);
                let outcome = publish::failed(&self.board, *loaded, blame::words(&err));
                systemd::ready("an older generation serves: the last reload failed");
                outcome
            }
        }
    }
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
    use super::Work;

    #[test]
    fn all_that_waits_is_one_load_and_the_end_comes_first() {
        let (events, inbox) = mpsc::channel();
        let mut waiting = Vec::new();
        for _ in 0..5 {
            let (answer, answered) = oneshot::channel();
            waiting.push(answered);
            events.send(Event::Reload(Some(answer))).expect("open");
            events.send(Event::Reload(None)).expect("open");
            events.send(Event::Changed).expect("open");
        }
        let work = Work::gather(Event::Changed, &inbox);
        assert!(work.asked && !work.end);
        assert_eq!(work.answers.len(), waiting.len());
        assert!(inbox.try_recv().is_err(), "nothing is left");
        assert!(!Work::gather(Event::Changed, &inbox).asked);
        events.send(Event::Reload(None)).expect("open");
        events.send(Event::End).expect("open");
        assert!(Work::gather(Event::Changed, &inbox).end);
    }
}
