//! Versions of plugins that somebody wants by hand, also while a change is being made.
//!
//! Owns how a wish comes to serve. The version that is wanted is put in service by itself, so that nothing
//! that is slow to start holds it up; the load that follows brings all else in line with it. Only what cannot
//! be had so waits for that load.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tidegate_config::resource::ResourceId;
use tidegate_core::rollout::history::Why;
use tidegate_proxy::Callable;
use tidegate_proxy::Meanwhile;
use tokio::sync::oneshot;

use super::Thread;
use super::count_rollback;
use super::offer::Found;
use super::offer::look;
use crate::control::Control;
use crate::control::blame;
use crate::control::probation::Watchers;
use crate::plugins::versions::Fallback;
use crate::plugins::wishes::Fulfilled;
use crate::plugins::wishes::Then;
use crate::plugins::wishes::Wish;
use crate::plugins::wishes::WishError;
use crate::status::Board;
use crate::status::Outcome;

/// Who waits for what came of a wish.
type Answer = oneshot::Sender<Result<String, WishError>>;

/// What somebody wants of a plugin's versions.
#[derive(Debug)]
pub(crate) struct PluginWish {
    /// Its name.
    pub(crate) plugin: String,
    /// What is wanted.
    pub(crate) wish: Wish,
    /// Who wants to know how it ends.
    pub(crate) answer: Answer,
}

/// A wish that will be so, and is not yet.
#[derive(Debug)]
pub(super) struct Granted {
    plugin: String,
    said: String,
    /// `None`: the next load finds it.
    version: Option<(ResourceId, Box<Fallback>)>,
    answer: Answer,
}

/// One that waits for a load.
#[derive(Debug)]
pub(super) struct Unanswered {
    said: String,
    answer: Answer,
}

/// Decides about wishes. Who cannot have what is wanted, or has it, is told so; the others are granted it.
pub(super) fn grant(
    wishes: Vec<PluginWish>,
    control: &mut Control,
    watchers: &mut Watchers,
    board: &Board,
) -> Vec<Granted> {
    let mut granted = Vec::new();
    for PluginWish {
        plugin,
        wish,
        answer,
    } in wishes
    {
        let fulfilled = control.fulfil(&plugin, &wish);
        if let Ok(Fulfilled { said, .. }) = &fulfilled {
            tracing::warn!("asked by hand: {said}");
            if wish != Wish::Resume {
                count_rollback(board, &plugin, &Why::ByHand);
            }
        }
        let (said, version) = match fulfilled {
            // Who asked may have left; the same below.
            Err(err) => {
                answer.send(Err(err)).ok();
                continue;
            }
            Ok(Fulfilled { said, then }) => match then {
                Then::Nothing => {
                    answer.send(Ok(said)).ok();
                    continue;
                }
                // What serves meanwhile is watched on: it may be a newer version than the one that was
                // taken back.
                Then::Load => (said, None),
                Then::Serves(resource, version) => {
                    // Whatever that one does from now on must not be held against this one.
                    watchers.forget(&resource);
                    (said, Some((resource, version)))
                }
            },
        };
        granted.push(Granted {
            plugin,
            said,
            version,
            answer,
        });
    }
    granted
}

/// Answers those who waited for a load, once it is known what came of it.
pub(super) fn answer(waiting: Vec<Unanswered>, outcome: Outcome) {
    for Unanswered { said, answer } in waiting {
        let said = match outcome {
            Outcome::Failure => Err(WishError::NotTaken),
            Outcome::Success | Outcome::Partial => Ok(said),
        };
        answer.send(said).ok();
    }
}

impl Thread {
    /// Puts what was granted in service and says so. Gives what has to wait for a load.
    pub(super) fn put_in_service(&mut self, granted: Vec<Granted>) -> Vec<Unanswered> {
        let mut unanswered = Vec::new();
        for Granted {
            plugin,
            said,
            version,
            answer,
        } in granted
        {
            let serves = version.is_some_and(|(resource, version)| {
                let serves = self.swap(&plugin, &version);
                if serves {
                    self.note_swap(&resource, &version);
                }
                serves
            });
            if serves {
                answer.send(Ok(said)).ok();
            } else {
                unanswered.push(Unanswered { said, answer });
            }
        }
        unanswered
    }

    /// Puts a version in service; says whether it serves. While it starts, what is on probation is looked
    /// at and orders to rollouts are done; if something fails, that comes first.
    fn swap(&mut self, name: &str, version: &Fallback) -> bool {
        let Some(plugin) = version.plugin() else {
            return false;
        };
        let backends = Callable::Only(Arc::clone(version.reachable()));
        let Self {
            control,
            gateway,
            watchers,
            board,
            inbox,
            stop,
            ..
        } = self;
        let rollouts = &mut control.rollouts;
        let mut has_moved = false;
        let taken = gateway.put_in_service(name, (Arc::clone(plugin), backends), |gateway| {
            let found = look(inbox.orders(), (rollouts, watchers), gateway, board);
            has_moved |= found != Found::Nothing;
            match stop.load(Ordering::SeqCst) || found == Found::First {
                true => Meanwhile::Stop,
                false => Meanwhile::GoOn,
            }
        });
        if has_moved {
            rollouts.send_shares(gateway);
        }
        match taken {
            Ok(serves) => serves,
            Err(err) => {
                let words = blame::words(&err);
                tracing::warn!(
                    "{name} does not serve its version {} yet: {words}",
                    version.number
                );
                false
            }
        }
    }

    /// Notes that a version serves, and shows it.
    fn note_swap(&mut self, resource: &ResourceId, version: &Fallback) {
        let waiting = self.gateway.waiting();
        let serves = (resource, version);
        self.control.stands(&mut self.watchers, serves, &waiting);
        self.watchers.see(&self.gateway, Instant::now());
        self.tell_versions();
    }
}
