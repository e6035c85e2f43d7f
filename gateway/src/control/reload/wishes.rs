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
    resource: ResourceId,
    wish: Wish,
    said: String,
    /// `None`: the next load finds it.
    version: Option<Box<Fallback>>,
    answer: Answer,
}

/// One that waits for a load.
#[derive(Debug)]
pub(super) struct Unanswered {
    plugin: String,
    said: String,
    expects: Expects,
    answer: Answer,
}

/// What has to serve after that load.
#[derive(Debug)]
enum Expects {
    /// What the resource asks for.
    Asked(ResourceId),
    /// The version of that number, which was gone back to.
    Back(ResourceId, Box<Fallback>),
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
        let (said, resource, version) = match fulfilled {
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
                Then::Load(resource) => (said, resource, None),
                Then::Serves(resource, version) => {
                    // Whatever that one does from now on must not be held against this one.
                    watchers.forget(&resource);
                    (said, resource, Some(version))
                }
            },
        };
        granted.push(Granted {
            plugin,
            resource,
            wish,
            said,
            version,
            answer,
        });
    }
    granted
}

/// Answers those who waited for a load, once it is known what came of it.
pub(super) fn answer(waiting: Vec<Unanswered>, outcome: Outcome, control: &Control) {
    for one in waiting {
        let Unanswered {
            plugin,
            said,
            expects,
            answer,
        } = one;
        let not_serving = match &expects {
            _ if outcome == Outcome::Failure => Some(WishError::NotTaken),
            Expects::Asked(resource) if !control.serves_what_is_asked(resource) => {
                Some(WishError::NotYet(plugin))
            }
            Expects::Back(resource, version) if !control.serves(resource, version) => {
                Some(WishError::DoesNotStart {
                    plugin,
                    number: version.number,
                })
            }
            Expects::Asked(_) | Expects::Back(..) => None,
        };
        answer.send(not_serving.map_or(Ok(said), Err)).ok();
    }
}

impl Thread {
    /// Puts what was granted in service and says so. Gives what has to wait for a load.
    pub(super) fn put_in_service(&mut self, granted: Vec<Granted>) -> Vec<Unanswered> {
        let mut unanswered = Vec::new();
        for one in granted {
            let Granted {
                plugin,
                resource,
                wish,
                said,
                version,
                answer,
            } = one;
            let put = match &version {
                Some(version) => self.put(&plugin, &resource, version),
                None => Put::NotYet,
            };
            match (put, version, wish) {
                (Put::Serves, ..) => {
                    answer.send(Ok(said)).ok();
                }
                (Put::Fails(err), ..) => {
                    answer.send(Err(err)).ok();
                }
                (Put::NotYet, Some(version), Wish::Back(_)) => unanswered.push(Unanswered {
                    plugin,
                    said,
                    expects: Expects::Back(resource, version),
                    answer,
                }),
                (Put::NotYet, ..) => unanswered.push(Unanswered {
                    plugin,
                    said,
                    expects: Expects::Asked(resource),
                    answer,
                }),
            }
        }
        unanswered
    }

    /// Puts a version in service by itself. One that was gone back to and does not start is forgotten about;
    /// a load finds out about all others.
    fn put(&mut self, plugin: &str, resource: &ResourceId, version: &Fallback) -> Put {
        let number = version.number;
        let granted = (resource, version);
        if let Err(why) = version.may_serve() {
            tracing::warn!("version {number} of {plugin} may not serve: {why}");
            return match self.does_not_stand(granted, None) {
                true => Put::Fails(WishError::NotSigned {
                    plugin: plugin.to_owned(),
                    number,
                }),
                false => Put::NotYet,
            };
        }
        match self.swap(plugin, version) {
            Ok(true) => {
                self.note_swap(resource, version);
                Put::Serves
            }
            Ok(false) => Put::NotYet,
            Err(err) => {
                let words = blame::words(&err);
                tracing::warn!("{plugin} does not serve its version {number}: {words}");
                match &err {
                    StartError::Plugin { source, .. }
                        if self.does_not_stand(granted, Some(source)) =>
                    {
                        Put::Fails(WishError::DoesNotStart {
                            plugin: plugin.to_owned(),
                            number,
                        })
                    }
                    _ => Put::NotYet,
                }
            }
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

    /// Notes that a version which was granted does not serve; says whether what served before does.
    fn does_not_stand(
        &mut self,
        granted: (&ResourceId, &Fallback),
        err: Option<&tidegate_host_abi::StartError>,
    ) -> bool {
        let stays = self.control.does_not_stand(granted, err);
        if stays {
            // It may be on probation, and is watched on.
            self.note_versions();
        }
        stays
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
