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
use tidegate_proxy::StartError;
use tokio::sync::oneshot;

use super::Thread;
use super::count_rollback;
use super::offer::Found;
use super::offer::look;
use crate::control::Control;
use crate::control::blame;
use crate::control::probation::Watched;
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
    asked: Asked,
    /// `None`: the next load finds it.
    version: Option<Box<Fallback>>,
    /// The probation of what serves.
    watched: Option<Watched>,
}

/// What was asked for, and by whom.
#[derive(Debug)]
struct Asked {
    plugin: String,
    resource: ResourceId,
    wish: Wish,
    said: String,
    answer: Answer,
}

/// One that waits for a load.
#[derive(Debug)]
pub(super) struct Unanswered {
    asked: Asked,
    /// What has to serve then, if not just what the resource asks for.
    version: Option<Box<Fallback>>,
}

/// What came of putting a version in service by itself.
enum Put {
    /// It serves.
    Serves,
    /// The next load finds out.
    NotYet,
    /// It does not, and what served before does.
    Fails(WishError),
}

/// Decides about wishes. Who cannot have what is wanted, or has it, is told so; the others are granted it.
pub(super) fn grant(
    wishes: Vec<PluginWish>,
    control: &mut Control,
    watchers: &mut Watchers,
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
        }
        let (said, resource, version, watched) = match fulfilled {
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
                Then::Load(resource) => (said, resource, None, None),
                Then::Serves(resource, version) => {
                    // Whatever that one does from now on must not be held against this one.
                    let watched = watchers.forget(&resource);
                    (said, resource, Some(version), watched)
                }
            },
        };
        granted.push(Granted {
            asked: Asked {
                plugin,
                resource,
                wish,
                said,
                answer,
            },
            version,
            watched,
        });
    }
    granted
}

impl Asked {
    /// It is so.
    fn done(self, board: &Board) {
        if self.wish != Wish::Resume {
            count_rollback(board, &self.plugin, &Why::ByHand);
        }
        self.answer.send(Ok(self.said)).ok();
    }

    /// It cannot be so.
    fn fails(self, err: WishError) {
        self.answer.send(Err(err)).ok();
    }
}

impl Thread {
    /// Puts what was granted in service and says so. Gives what has to wait for a load.
    pub(super) fn put_in_service(&mut self, granted: Vec<Granted>) -> Vec<Unanswered> {
        let mut unanswered = Vec::new();
        for one in granted {
            let Granted {
                asked,
                version,
                watched,
            } = one;
            let put = match &version {
                Some(version) => self.put(&asked, version),
                None => Put::NotYet,
            };
            match put {
                Put::Serves => asked.done(&self.board),
                Put::Fails(err) => {
                    if let Some(watched) = watched {
                        self.watchers.remember(&asked.resource, watched);
                    }
                    self.note_versions();
                    asked.fails(err);
                }
                Put::NotYet => {
                    let version = version.filter(|_| asked.wish != Wish::Resume);
                    unanswered.push(Unanswered { asked, version });
                }
            }
        }
        unanswered
    }

    /// Answers those who waited for a load, once it is known what came of it.
    pub(super) fn answer(&mut self, waiting: Vec<Unanswered>, outcome: Outcome) {
        for Unanswered { asked, version } in waiting {
            let resource = &asked.resource;
            let serves = match &version {
                Some(version) => self.control.serves(resource, version),
                None => self.control.serves_what_is_asked(resource),
            };
            if outcome != Outcome::Failure && serves {
                asked.done(&self.board);
                continue;
            }
            if let Some(version) = &version {
                // It must not come with another change, long after it was wanted.
                self.control.does_not_stand((resource, version), None);
                self.note_versions();
            }
            let plugin = asked.plugin.clone();
            asked.fails(match outcome {
                Outcome::Failure => WishError::NotTaken,
                Outcome::Success | Outcome::Partial => WishError::ServesNot(plugin),
            });
        }
    }

    /// Puts a version in service by itself. One that was gone back to and does not start is forgotten about;
    /// a load finds out about all others.
    fn put(&mut self, asked: &Asked, version: &Fallback) -> Put {
        let Asked {
            plugin, resource, ..
        } = asked;
        let number = version.number;
        let is_back = asked.wish != Wish::Resume;
        if let Err(why) = version.may_serve() {
            tracing::warn!("version {number} of {plugin} may not serve: {why}");
            if !is_back {
                return Put::NotYet;
            }
            self.control.does_not_stand((resource, version), None);
            let plugin = plugin.clone();
            return Put::Fails(WishError::NotSigned { plugin, number });
        }
        let err = match self.swap(plugin, version) {
            Ok(true) => {
                self.note_swap(resource, version);
                return Put::Serves;
            }
            Ok(false) => return Put::NotYet,
            Err(err) => err,
        };
        let words = blame::words(&err);
        tracing::warn!("{plugin} does not serve its version {number}: {words}");
        match &err {
            // Others may start beside it.
            StartError::Plugin {
                plugin: failed,
                source,
            } if is_back && version.plugin().is_some_and(|it| it.name() == failed) => {
                self.control
                    .does_not_stand((resource, version), Some(source));
                let plugin = plugin.clone();
                Put::Fails(WishError::DoesNotStart { plugin, number })
            }
            _ => Put::NotYet,
        }
    }

    /// Puts a version in service; says whether there is a place for it. While it starts, what is on
    /// probation is looked at and orders to rollouts are done; if something fails, that comes first.
    fn swap(&mut self, name: &str, version: &Fallback) -> Result<bool, StartError> {
        let Some(plugin) = version.plugin() else {
            return Ok(false);
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
        taken
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
