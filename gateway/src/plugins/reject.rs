//! What is refused when the data plane cannot start a plugin that has started once on its own.
//!
//! Owns the choice of who is to blame. Plugins may share an instance, so that one which did not change
//! can fail for what is new beside it.

use std::time::Duration;
use std::time::Instant;

use tidegate_config::resource::ResourceId;
use tidegate_host_abi::StartError;
use tidegate_host_abi::StartStep;

use super::Good;
use super::Resolver;
use super::Version;
use crate::plugins::reason::Reason;
use crate::plugins::reason::SETUP_FAILED;
use crate::plugins::reason::in_one_line;
use crate::plugins::reason::not_started;
use crate::plugins::reason::said;

/// The first pause before setups that failed are tried again; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// When setups that failed are tried again: what they need may be there by then.
#[derive(Debug, Default)]
pub(super) struct Setups {
    due: Option<Instant>,
    pause: Duration,
}

impl Setups {
    fn failed(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.due = Some(now + self.pause);
    }

    /// None failed: the next failure begins with the first pause.
    pub(super) fn went_well(&mut self) {
        *self = Self::default();
    }
}

/// What is refused for a plugin that does not start.
#[derive(Debug, Default)]
pub(crate) struct Rejected {
    /// The resources, with the reason. None if it is a version that somebody went back to by hand, for which
    /// nothing that is declared is to blame.
    pub(crate) refused: Vec<(ResourceId, Reason)>,
    /// Whether the next [`Resolver::resolve`] comes to something else.
    pub(crate) is_news: bool,
}

/// How new a version is, compared with what serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newness {
    /// It serves.
    Old,
    /// The same served before a restart, or somebody goes back to it by hand: it has not started yet.
    Again,
    /// It is another one.
    New,
}

/// Where to look for whom to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The plugin that does not start.
    Itself,
    /// Those that share its instance.
    Beside,
    /// All.
    Anywhere,
}

impl Resolver {
    /// A setup failed: it is tried again later.
    pub(super) fn setup_failed(&mut self) {
        self.setups.failed(Instant::now());
    }

    /// Whether it is time to try plugins again whose setup failed. If so, the next
    /// [`Resolver::resolve`] does.
    pub(crate) fn try_setups_again(&mut self, now: Instant) -> bool {
        if self.setups.due.is_none_or(|due| due > now) {
            return false;
        }
        self.setups.due = None;
        for failed in [&mut self.bad, &mut self.unfit] {
            failed.retain(|_, (_, reason)| reason.reason != SETUP_FAILED);
        }
        self.fallbacks.outdate_all();
        true
    }

    /// Takes it that a plugin which [`Resolver::resolve`] let pass does not start after all. Returns what is
    /// refused for it, with the reason. The next [`Resolver::resolve`] falls back. Nothing if nothing is new.
    pub(crate) fn reject(&mut self, name: &str, err: &StartError) -> Rejected {
        let refused = self.blamed_for(name, err.step);
        if refused.is_empty() {
            return Rejected::default();
        }
        self.say(name, err);
        let reason = not_started(err, self.candid);
        if err.step == StartStep::SetUp {
            self.setup_failed();
        }
        let mut rejected = Rejected::default();
        for (resource, version) in refused {
            let is_it = version.spec.name == name;
            let is_promised = self.is_promised(&resource, &version);
            rejected.is_news |= is_promised || !self.fails(&resource, &version);
            if is_promised {
                self.break_promise(&resource);
                self.is_unfit(&resource, version, err);
                continue;
            }
            let reason = Reason {
                reason: reason.reason,
                message: if is_it {
                    reason.message.clone()
                } else {
                    format!("{name} does not start with it: {}", reason.message)
                },
                about_config: is_it && reason.about_config,
                said: reason.said.clone().filter(|_| is_it),
            };
            self.fallbacks.outdate(&resource);
            let bad = (version, reason.clone());
            // One that was to serve in its place must not make it tried again.
            if self.chronicle.wanted.get(&resource) == Some(&bad.0) {
                self.bad.insert(resource.clone(), bad.clone());
            }
            self.unfit.insert(resource.clone(), bad);
            rejected.refused.push((resource, reason));
        }
        rejected
    }

    /// Whom to blame if a plugin does not start at that step: it, if its version is new; else what is new
    /// among those that share its instance; else it, if it has not started since a restart or somebody goes
    /// back to it; else what is new anywhere.
    fn blamed_for(&self, name: &str, step: StartStep) -> Vec<(ResourceId, Version)> {
        let key = |good: &Good| good.plugin.as_ref().map(|plugin| plugin.vm_key());
        let mut all = self.next.values();
        let Some(failed) = all.find(|good| good.version.spec.name == name).map(key) else {
            return Vec::new();
        };
        let is_at = |good: &Good, place: Place| match place {
            Place::Itself => good.version.spec.name == name,
            // A setup is each plugin's own.
            Place::Beside => step != StartStep::SetUp && key(good) == failed,
            Place::Anywhere => true,
        };
        let order = [
            (Place::Itself, Newness::New),
            (Place::Beside, Newness::New),
            (Place::Itself, Newness::Again),
            (Place::Beside, Newness::Again),
            (Place::Anywhere, Newness::New),
            (Place::Anywhere, Newness::Again),
        ];
        let found = order.iter().map(|(place, newness)| {
            let next = self.next.iter();
            let found = next.filter(|(of, good)| {
                is_at(good, *place) && self.newness(of, &good.version) == *newness
            });
            let found = found.map(|(of, good)| (of.clone(), good.version.clone()));
            found.collect::<Vec<_>>()
        });
        let mut found = found
            .into_iter()
            .find(|found| !found.is_empty())
            .unwrap_or_default();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    fn newness(&self, resource: &ResourceId, version: &Version) -> Newness {
        match self.good.get(resource) {
            Some(serves) if serves.version != *version => Newness::New,
            None => Newness::New,
            // Without a compiled plugin it is from before a restart.
            Some(serves) if serves.plugin.is_none() => Newness::Again,
            Some(_) if self.promises.is_pending(resource) => Newness::Again,
            Some(_) => Newness::Old,
        }
    }

    /// Logs what a guest said before its start failed, which is for nobody but the operator.
    pub(super) fn say(&self, name: &str, err: &StartError) {
        if let Some(said) = said(err)
            && !self.candid
        {
            tracing::error!("plugin {name} said: {}", in_one_line(said));
        }
    }
}
