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
    /// What is new, with the reason.
    pub(crate) refused: Vec<(ResourceId, Reason)>,
    /// Whether a version that somebody went back to by hand serves no more: the one that served before it
    /// does, and nothing that is declared is to blame.
    pub(crate) has_broken_promise: bool,
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

    /// Takes it that a plugin which [`Resolver::resolve`] let pass does not start after all. Returns
    /// what is refused for it, with the reason: that plugin, if its version is new; else what is new
    /// among those that share its instance, or anywhere. The next [`Resolver::resolve`] falls back.
    /// Nothing if nothing is new. What served before a restart, and what somebody goes back to by hand, are
    /// as new as what was never there.
    pub(crate) fn reject(&mut self, name: &str, err: &StartError) -> Rejected {
        let mut blamed = self.next.values();
        let Some(blamed) = blamed.find(|good| good.version.spec.name == name) else {
            return Rejected::default();
        };
        self.say(name, err);
        let key = |good: &Good| good.plugin.as_ref().map(|plugin| plugin.vm_key());
        let reason = not_started(err, self.candid);
        let fresh = self.next.iter().filter(|(resource, good)| {
            let serves = self.good.get(*resource);
            // Without a compiled plugin it is from before a restart.
            let is_restored = |serves: &Good| serves.plugin.is_none();
            self.promises.is_pending(resource)
                || serves.is_none_or(|it| is_restored(it) || it.version != good.version)
        });
        let fresh: Vec<(&ResourceId, &Good)> = fresh.collect();
        let itself = |good: &Good| good.version.spec.name == name;
        let beside = |good: &Good| key(good) == key(blamed);
        let of = |is: &dyn Fn(&Good) -> bool| {
            let found = fresh.iter().filter(|(_, good)| is(good));
            found.copied().collect::<Vec<_>>()
        };
        let mut refused = of(&itself);
        if refused.is_empty() {
            refused = of(&beside);
        }
        if refused.is_empty() {
            refused = of(&|_| true);
        }
        let mut refused: Vec<_> = refused
            .into_iter()
            .map(|(resource, good)| {
                let reason = Reason {
                    reason: reason.reason,
                    message: if itself(good) {
                        reason.message.clone()
                    } else {
                        format!("{name} does not start with it: {}", reason.message)
                    },
                    about_config: itself(good) && reason.about_config,
                    said: reason.said.clone().filter(|_| itself(good)),
                };
                (resource.clone(), good.version.clone(), reason)
            })
            .collect();
        refused.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        if err.step == StartStep::SetUp {
            self.setup_failed();
        }
        let mut has_broken_promise = false;
        let refused = refused
            .into_iter()
            .filter_map(|(resource, version, reason)| {
                let is_promised = self
                    .good
                    .get(&resource)
                    .is_some_and(|good| good.version == version);
                if is_promised && self.break_promise(&resource) {
                    has_broken_promise = true;
                    self.is_unfit(&resource, version, err);
                    return None;
                }
                let bad = (version, reason.clone());
                // What is declared may be another one, and be noted as such with the next try.
                self.fallbacks.outdate(&resource);
                self.unfit.insert(resource.clone(), bad.clone());
                self.bad.insert(resource.clone(), bad);
                Some((resource, reason))
            });
        let refused = refused.collect();
        Rejected {
            refused,
            has_broken_promise,
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
