//! One load, from the files to the data plane, and what is looked at meanwhile.
//!
//! Owns that what takes long (compiling, starting, setting up) keeps nothing waiting that cannot wait:
//! versions on probation and rollouts are looked at, orders to rollouts are done, and what somebody wants
//! comes first.

use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Instant;

use tidegate_proxy::Gateway;
use tidegate_proxy::Meanwhile;
use tidegate_proxy::StartError;

use crate::control::Control;
use crate::control::Loaded;
use crate::control::blame;
use crate::control::probation::LOOK;
use crate::control::probation::Outcome as Probed;
use crate::control::probation::Seen;
use crate::control::probation::Watchers;
use crate::control::publish;
use crate::control::reload::Thread;
use crate::control::reload::inbox::Ordered;
use crate::control::reload::inbox::serve;
use crate::control::reload::wishes::Granted;
use crate::control::reload::wishes::grant;
use crate::control::rollouts::Look;
use crate::control::rollouts::RolloutOrder;
use crate::control::rollouts::Rollouts;
use crate::status::Board;
use crate::status::Outcome;

/// What came of a load that was offered to the data plane.
#[derive(Debug)]
pub(super) enum Offered {
    /// It serves, or does not.
    Ended(Outcome),
    /// Something else has to be done first, and nothing has changed. These wishes are granted.
    Interrupted(Vec<Granted>),
}

/// What was found while something waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// All is as it was.
    Nothing,
    /// A rollout has another share.
    Moved,
    /// A version fails, or a rollout was aborted: that comes first.
    First,
}

/// Does these orders, and looks at rollouts and versions on probation. Nothing is taken back.
pub(super) fn look(
    orders: Vec<RolloutOrder>,
    (rollouts, watchers): (&mut Rollouts, &mut Watchers),
    gateway: &mut Gateway,
    board: &Board,
) -> Found {
    let now = Instant::now();
    let ordered = serve(orders, rollouts, gateway, board);
    let looked = rollouts.look(gateway, now);
    if looked != Look::NotYet {
        rollouts.tell(board);
    }
    let is_aborted = ordered == Ordered::Aborted || looked == Look::Aborted;
    let has_failed = watchers.see(gateway, now) == Seen::Failure;
    if is_aborted || has_failed {
        Found::First
    } else if ordered != Ordered::Nothing || looked >= Look::Changed {
        Found::Moved
    } else {
        Found::Nothing
    }
}

impl Thread {
    /// Loads, and looks at rollouts and versions on probation meanwhile: to compile a plugin may take
    /// long. What was loaded before one was taken back does not count.
    pub(super) fn load(&mut self, again: bool) -> Loaded {
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
    pub(super) fn beside<T: Send>(
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
    pub(super) fn offer(&mut self, again: bool, loaded: Loaded, may_stop: bool) -> Offered {
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
                    let is_over = stop.load(Ordering::SeqCst);
                    if may_stop && !is_over {
                        granted.extend(grant(inbox.wishes(), control, watchers));
                    }
                    let orders = inbox.orders();
                    let rollouts = &mut control.rollouts;
                    let found = look(orders, (rollouts, watchers), gateway, board);
                    has_moved |= found != Found::Nothing;
                    let is_first = found == Found::First || !granted.is_empty();
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
                Offered::Ended(self.serves(loaded))
            }
            Err((loaded, err)) => {
                self.reporter.report(&loaded.draft.problems);
                let outcome = publish::failed(&self.board, *loaded, blame::words(&err));
                self.tell("an older generation serves: the last reload failed");
                Offered::Ended(outcome)
            }
        }
    }

    /// Notes that a load serves, and shows it.
    fn serves(&mut self, loaded: Loaded) -> Outcome {
        self.reporter.report(&loaded.draft.problems);
        self.tell_rollouts();
        let waiting = self.gateway.waiting();
        self.control
            .versions_serve(&mut self.watchers, &loaded, &waiting);
        // What they meet from now on counts, however long all else takes.
        self.watchers.see(&self.gateway, Instant::now());
        let versions = self.control.versions(&self.watchers);
        let number = self.control.number();
        let addresses = self.gateway.addresses();
        let outcome = publish::serves(&self.board, number, loaded, addresses, versions);
        self.tell(&format!("generation {number} serves: {}", outcome.label()));
        outcome
    }
}
