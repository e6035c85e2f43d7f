//! The course of a rollout: from the first share to the version that everybody gets, or back.
//!
//! Owns the state and what moves it: time with counts, the configuration, orders by hand (in
//! `orders`), a canary that can or cannot be had. What comes of it are events to act on and to tell;
//! the share is what [`Rollout::share`] says after each. Time is how much has passed, so that a state
//! that is kept goes on where it was.

mod orders;

use std::sync::Arc;
use std::time::Duration;

use crate::rollout::counts::Counts;
use crate::rollout::course::Course;
use crate::rollout::judge::Judge;
use crate::rollout::judge::Limits;
use crate::rollout::split::Share;

/// Names code with its configuration: the same name is the same behaviour.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId(pub Arc<str>);

/// What the configuration wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The version that is there.
    pub stable: VersionId,
    /// The version that is tried.
    pub canary: VersionId,
    /// How its share grows.
    pub course: Course,
    /// What it may do.
    pub limits: Limits,
}

/// How far a rollout is. This is all that has to be kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The version that was there.
    pub stable: VersionId,
    /// The version that is tried.
    pub canary: VersionId,
    /// What holds.
    pub phase: Phase,
    /// The share that it has reached.
    pub reached: Share,
    /// For how long it has had that share, while it was running.
    pub since: Duration,
}

/// What holds of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Its share grows when the time has come.
    Running,
    /// Its share stays until it is resumed by hand; it can still be aborted by itself.
    Held,
    /// The canary has taken over, until the configuration says the same.
    Promoted,
    /// The stable version has everything, until the canary becomes another one or is resumed.
    Aborted(Why),
}

/// Why something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Whether somebody wanted it.
    pub by_hand: bool,
    /// The reason, for people.
    pub words: String,
}

/// What somebody wants of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The canary takes over at once.
    Promote,
    /// The stable version gets everything back at once.
    Abort,
    /// The share stays.
    Hold,
    /// It goes on; an aborted one begins anew.
    Resume,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It begins, with that share.
    Started(Share),
    /// It begins anew, because of what these words say.
    Restarted(Share, &'static str),
    /// Its share has become another one.
    Stepped {
        /// What it was.
        from: Share,
        /// What it is.
        to: Share,
    },
    /// Its share stays.
    Held(Share),
    /// It goes on.
    Resumed(Share),
    /// The canary has everything.
    Promoted {
        /// Whether somebody wanted it.
        by_hand: bool,
    },
    /// The stable version has everything.
    Aborted(Why),
}

/// An event without what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// [`Event::Started`]
    Started,
    /// [`Event::Restarted`]
    Restarted,
    /// [`Event::Stepped`]
    Stepped,
    /// [`Event::Held`]
    Held,
    /// [`Event::Resumed`]
    Resumed,
    /// [`Event::Promoted`]
    Promoted,
    /// [`Event::Aborted`]
    Aborted,
}

impl Event {
    /// Which one it is.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Started(_) => EventKind::Started,
            Self::Restarted(..) => EventKind::Restarted,
            Self::Stepped { .. } => EventKind::Stepped,
            Self::Held(_) => EventKind::Held,
            Self::Resumed(_) => EventKind::Resumed,
            Self::Promoted { .. } => EventKind::Promoted,
            Self::Aborted(_) => EventKind::Aborted,
        }
    }
}

impl EventKind {
    /// What it is called in configuration, metrics and notices.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Restarted => "restarted",
            Self::Stepped => "stepped",
            Self::Held => "held",
            Self::Resumed => "resumed",
            Self::Promoted => "promoted",
            Self::Aborted => "aborted",
        }
    }
}

/// Why an order does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing can be promoted that does not work.
    #[error("the canary is not ready")]
    NotReady,
    /// It would come back without anybody having looked at it.
    #[error("the canary was aborted; resume it first")]
    IsAborted,
    /// It already is so.
    #[error("it is so already")]
    Already,
    /// Only what runs can be held.
    #[error("it does not run")]
    NotRunning,
    /// Only what is held or aborted can be resumed.
    #[error("it is neither held nor aborted")]
    NotHeld,
}

/// A rollout of one plugin.
#[derive(Debug, Clone)]
pub struct Rollout {
    wanted: Wanted,
    state: State,
    judge: Judge,
    /// Why the canary cannot be had; then it has no share, and no time passes.
    missing: Option<String>,
}

impl Rollout {
    /// A rollout that begins.
    pub fn begin(wanted: Wanted) -> (Self, Event) {
        let reached = wanted.course.begin();
        let state = State {
            stable: wanted.stable.clone(),
            canary: wanted.canary.clone(),
            phase: Phase::Running,
            reached,
            since: Duration::ZERO,
        };
        let judge = Judge::new(wanted.limits, reached);
        let rollout = Self {
            wanted,
            state,
            judge,
            missing: None,
        };
        (rollout, Event::Started(reached))
    }

    /// A rollout that goes on from what was kept of it. What was counted is not kept: the step
    /// that it was in needs its streams anew.
    pub fn restore(wanted: Wanted, state: State) -> (Self, Vec<Event>) {
        let before = Wanted {
            stable: state.stable.clone(),
            canary: state.canary.clone(),
            ..wanted.clone()
        };
        let judge = Judge::new(wanted.limits, state.reached);
        let mut rollout = Self {
            wanted: before,
            state,
            judge,
            missing: None,
        };
        let mut events = rollout.on_wanted(wanted);
        // The steps may be others than those it was kept under.
        if events.is_empty() {
            events = rollout.keep_course();
        }
        (rollout, events)
    }

    /// How far it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the configuration wants.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What is known of the versions.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// Why the canary cannot be had.
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Which share of the streams the canary gets now.
    pub fn share(&self) -> Share {
        match &self.state.phase {
            _ if self.missing.is_some() => Share::NONE,
            Phase::Running | Phase::Held => self.state.reached,
            Phase::Promoted => Share::ALL,
            Phase::Aborted(_) => Share::NONE,
        }
    }

    /// How long until the next step at the earliest; `None` if there is none by itself.
    pub fn next_step_in(&self) -> Option<Duration> {
        match (&self.wanted.course, &self.state.phase, &self.missing) {
            (Course::Steps(steps), Phase::Running, None) => {
                Some(steps.interval.saturating_sub(self.state.since))
            }
            _ => None,
        }
    }

    /// The configuration wants something else.
    ///
    /// Another canary begins anew. Another stable version under the same canary keeps the share, so
    /// that nobody is moved back, and judges anew. Other steps keep the share as far as they allow.
    pub fn on_wanted(&mut self, wanted: Wanted) -> Vec<Event> {
        let before = std::mem::replace(&mut self.wanted, wanted);
        let (stable_before, canary_before) = (&before.stable, &before.canary);
        let is_other_canary = *canary_before != self.wanted.canary;
        let is_other_stable = *stable_before != self.wanted.stable;
        if is_other_canary {
            return vec![self.restart("the canary has changed")];
        }
        if is_other_stable && self.state.phase == Phase::Promoted {
            return vec![self.restart("the stable version has changed after the promotion")];
        }
        if is_other_stable {
            self.state.stable = self.wanted.stable.clone();
            self.state.since = Duration::ZERO;
            self.judge_anew();
        } else if before.limits != self.wanted.limits {
            self.judge_anew();
        }
        if before.course != self.wanted.course {
            return self.keep_course();
        }
        Vec::new()
    }

    /// The canary can be had, or cannot, and why.
    pub fn on_canary(&mut self, ready: Result<(), String>) {
        let was_missing = self.missing.is_some();
        self.missing = ready.err();
        if was_missing && self.missing.is_none() {
            self.state.since = Duration::ZERO;
            self.judge_anew();
        }
    }

    /// Time has passed, and so much was counted of both versions in it.
    pub fn on_counts(
        &mut self,
        stable: &Counts,
        canary: &Counts,
        elapsed: Duration,
    ) -> Option<Event> {
        let is_running = match &self.state.phase {
            _ if self.missing.is_some() => return None,
            Phase::Running => true,
            Phase::Held => false,
            Phase::Promoted | Phase::Aborted(_) => return None,
        };
        self.judge.add(stable, canary, elapsed);
        if let Some(finding) = self.judge.abort() {
            let words = format!("{}: {}", finding.criterion.name(), finding.words);
            return Some(self.abort(Why {
                by_hand: false,
                words,
            }));
        }
        let Course::Steps(steps) = &self.wanted.course else {
            return None;
        };
        if !is_running {
            return None;
        }
        self.state.since = self.state.since.saturating_add(elapsed);
        if self.state.since < steps.interval || !self.judge.passes() {
            return None;
        }
        match steps.after(self.state.reached) {
            Some(to) => Some(self.step(to)),
            None => {
                self.state.phase = Phase::Promoted;
                Some(Event::Promoted { by_hand: false })
            }
        }
    }

    fn step(&mut self, to: Share) -> Event {
        let from = std::mem::replace(&mut self.state.reached, to);
        self.state.since = Duration::ZERO;
        self.judge.on_step(to);
        Event::Stepped { from, to }
    }

    fn abort(&mut self, why: Why) -> Event {
        self.state.phase = Phase::Aborted(why.clone());
        Event::Aborted(why)
    }

    fn restart(&mut self, words: &'static str) -> Event {
        let (mut anew, _) = Self::begin(self.wanted.clone());
        anew.missing = self.missing.take();
        *self = anew;
        Event::Restarted(self.state.reached, words)
    }

    fn judge_anew(&mut self) {
        self.judge = Judge::new(self.wanted.limits, self.state.reached);
    }

    /// The course is another one: the share stays as near to what it was as that allows.
    fn keep_course(&mut self) -> Vec<Event> {
        let to = self.wanted.course.keep(self.state.reached);
        match to == self.state.reached {
            true => Vec::new(),
            false if matches!(self.state.phase, Phase::Running | Phase::Held) => {
                vec![self.step(to)]
            }
            false => {
                self.state.reached = to;
                Vec::new()
            }
        }
    }
}
