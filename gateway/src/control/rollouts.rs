//! Canaries of plugins under traffic: whose share grows, and who is taken back.
//!
//! Owns the rollouts of the generation that serves, what was counted for them, and the way of an
//! event to the log, the numbers, the state folder and those who are to be told. What follows from what is
//! `tidegate_core::rollout`'s.

mod notice;
mod version;
pub(crate) mod webhooks;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tidegate_config::draft::RolloutDecl;
use tidegate_config::draft::WebhookDecl;
use tidegate_core::rollout::counts::Tally;
use tidegate_core::rollout::machine::Event;
use tidegate_core::rollout::machine::Order;
use tidegate_core::rollout::machine::Phase;
use tidegate_core::rollout::machine::Refused;
use tidegate_core::rollout::machine::Rollout;
use tidegate_core::rollout::machine::State;
use tidegate_core::rollout::machine::Wanted;
use tidegate_core::rollout::split::Share;
use tidegate_host_abi::Plugin;
use tidegate_proxy::Gateway;
use tidegate_proxy::Remote;
use tidegate_proxy::Versions;
use tokio::sync::oneshot;

use crate::control::Loaded;
use crate::control::rollouts::notice::Subject;
use crate::control::rollouts::version::digest;
use crate::control::rollouts::version::missing;
use crate::control::rollouts::version::plugin;
use crate::control::rollouts::version::unknown;
use crate::control::rollouts::version::version;
use crate::control::rollouts::webhooks::Notice;
use crate::control::rollouts::webhooks::Receiver;
use crate::control::rollouts::webhooks::Webhooks;
use crate::control::rollouts::words::ends;
use crate::control::rollouts::words::phase;
use crate::control::rollouts::words::words;
use crate::plugins::Slot;
use crate::plugins::in_one_line;
use crate::state::Kept;
use crate::state::RolloutStore;
use crate::status::Board;
use crate::status::RolloutStatus;

/// How often counts are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// How often the time that a step has lasted is kept, if nothing else happens.
const KEEP: Duration = Duration::from_secs(30);
/// When to keep what could not be kept is tried again.
const KEEP_AGAIN: Duration = Duration::from_secs(5);

/// What somebody asks of a plugin's rollout.
#[derive(Debug)]
pub(crate) struct RolloutOrder {
    /// The plugin's name, `namespace/name`.
    pub(crate) plugin: String,
    /// What is to happen.
    pub(crate) order: Order,
    /// Told what came of it.
    pub(crate) answer: oneshot::Sender<Result<String, OrderError>>,
}

/// Why nothing came of an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    /// There is none.
    #[error("the plugin {0} has no rollout; GET /plugins lists those that have")]
    Unknown(String),
    /// It does not fit.
    #[error("not done: {0}")]
    Refused(#[from] Refused),
}

/// One rollout with what is told of it.
#[derive(Debug, Clone)]
struct Running {
    rollout: Rollout,
    /// Streams by version and end, since the gateway started.
    counted: [Tally; 2],
    /// Who is told of it.
    webhooks: Vec<WebhookDecl>,
    /// SHA-256 of the modules of both versions, as far as they are known.
    digests: [Option<String>; 2],
}

/// All rollouts.
#[derive(Debug, Default)]
pub(crate) struct Rollouts {
    running: BTreeMap<Arc<str>, Running>,
    /// What is known of rollouts that cannot be planned yet: what a restart found, and those whose stable
    /// version is not there.
    kept: BTreeMap<Arc<str>, State>,
    /// What happened since the start, by plugin and event.
    events: BTreeMap<(Arc<str>, &'static str), u64>,
    store: Option<RolloutStore>,
    looked: Option<Instant>,
    saved: Option<Instant>,
    is_unsaved: bool,
    /// Whether it could not be kept when that was tried last.
    cannot_keep: bool,
    /// What others are told of them.
    webhooks: Webhooks,
    /// What the gateway calls itself.
    gateway: String,
}

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Look {
    /// It was not time yet.
    NotYet,
    /// There is something to tell.
    Counted,
    /// A rollout is in another phase, or at another step; none was aborted.
    Changed,
    /// A rollout was aborted.
    Aborted,
}

/// What rollouts come to once a load serves.
#[derive(Debug)]
pub(crate) struct Planned {
    running: BTreeMap<Arc<str>, Running>,
    kept: BTreeMap<Arc<str>, State>,
    events: Vec<(Arc<str>, Event)>,
    /// In the order of the snapshot's canaries.
    pub(crate) shares: Vec<Share>,
}

impl Rollouts {
    /// Keeps states there, and goes on with those that are there.
    pub(crate) fn restore(&mut self, store: RolloutStore) {
        match store.load() {
            Ok(Kept { states, notices }) => {
                self.kept = states;
                for (receiver, notice) in notices {
                    self.webhooks.push(receiver, notice);
                }
                self.webhooks.release();
            }
            Err(err) => tracing::error!(
                "the states of rollouts cannot be used, and all begin anew: {}",
                crate::plugins::chain(&err)
            ),
        }
        self.store = Some(store);
    }

    /// What the gateway calls itself, for those who are told of rollouts.
    pub(crate) fn name_gateway(&mut self, name: String) {
        self.gateway = name;
    }

    /// Tells receivers through the gateway that runs now, also of what waits from before.
    pub(crate) fn tell_through(&mut self, remote: Remote) {
        self.webhooks.set_remote(remote);
        self.webhooks.send();
    }

    /// What they come to with a load; nothing has changed yet.
    pub(crate) fn plan(&self, loaded: &Loaded) -> Planned {
        let mut planned = Planned {
            running: BTreeMap::new(),
            kept: BTreeMap::new(),
            events: Vec::new(),
            shares: Vec::new(),
        };
        let pairs = loaded.snapshot.canaries.iter();
        for (pair, decl) in pairs.zip(&loaded.draft.rollouts) {
            let share = match (plugin(loaded, pair.stable), plugin(loaded, pair.canary)) {
                (Some(stable), canary) => {
                    let reason = canary.is_none().then(|| missing(loaded, pair.canary));
                    self.plan_one(decl, stable, canary, reason, &mut planned)
                }
                // Nothing is there to compare with.
                (None, _) => Share::NONE,
            };
            planned.shares.push(share);
        }
        planned.kept = self.states_without_plugin(loaded);
        planned
    }

    /// How far rollouts are of which the plugin is refused: once it is there, they go on.
    fn states_without_plugin(&self, loaded: &Loaded) -> BTreeMap<Arc<str>, State> {
        let slots = loaded.draft.plugins.iter().zip(&loaded.slots);
        let refused = slots.filter(|(_, slot)| matches!(slot, Slot::Refused(_)));
        let states = refused.filter_map(|(decl, _)| {
            let name = &decl.name.0;
            let state = self.state(name)?.clone();
            Some((Arc::clone(name), state))
        });
        states.collect()
    }

    /// How far the rollout of a plugin is, whether it can be planned or not.
    fn state(&self, name: &Arc<str>) -> Option<&State> {
        let running = self.running.get(name).map(|it| it.rollout.state());
        running.or_else(|| self.kept.get(name))
    }

    fn plan_one(
        &self,
        decl: &RolloutDecl,
        stable: &Plugin,
        canary: Option<&Arc<Plugin>>,
        missing: Option<String>,
        planned: &mut Planned,
    ) -> Share {
        let name = &decl.name.0;
        let digests = [Some(digest(stable)), canary.map(|canary| digest(canary))];
        let known = self.running.get(name);
        let kept = known.is_none().then(|| self.kept.get(name)).flatten();
        let stable = version(stable);
        let before = known.map(|it| it.rollout.state()).or(kept);
        let canary = match canary {
            Some(canary) => version(canary),
            // The one that was there, if it comes back.
            None => before.map_or_else(unknown, |state| state.canary.clone()),
        };
        if stable == canary {
            // The resource says what was promoted, or tries what is there: nothing is to be tried.
            return Share::NONE;
        }
        let wanted = Wanted {
            stable,
            canary,
            course: decl.course.clone(),
            limits: decl.limits,
        };
        let (mut running, events) = match (known, kept) {
            (Some(known), _) => {
                let mut known = known.clone();
                let events = known.rollout.on_wanted(wanted);
                (known, events)
            }
            (None, Some(state)) => {
                let (rollout, events) = Rollout::restore(wanted, state.clone());
                (Running::new(rollout), events)
            }
            (None, None) => {
                let (rollout, event) = Rollout::begin(wanted);
                (Running::new(rollout), vec![event])
            }
        };
        running.rollout.on_canary(missing.map_or(Ok(()), Err));
        running.webhooks.clone_from(&decl.webhooks);
        running.digests = digests;
        let share = running.rollout.share();
        let events = events.into_iter();
        planned
            .events
            .extend(events.map(|event| (Arc::clone(name), event)));
        planned.running.insert(Arc::clone(name), running);
        share
    }

    /// A load serves: what it comes to is so.
    pub(crate) fn commit(&mut self, planned: Planned) {
        let Planned {
            running,
            kept,
            events,
            shares: _,
        } = planned;
        let is_same = self.running.keys().eq(running.keys()) && self.kept == kept;
        self.running = running;
        self.kept = kept;
        self.is_unsaved |= !is_same || !events.is_empty();
        for (name, event) in events {
            self.note(&name, &event, false);
        }
    }

    /// Whether there is nothing to look at.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty() && !self.webhooks.has_changed() && !self.webhooks.has_staged()
    }

    /// How long until counts are to be looked at.
    pub(crate) fn next_look(&self, now: Instant) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        let since = self
            .looked
            .map_or(LOOK, |looked| now.saturating_duration_since(looked));
        Some(LOOK.saturating_sub(since))
    }

    /// Looks at what was counted, and does what follows.
    pub(crate) fn look(&mut self, gateway: &mut Gateway, now: Instant) -> Look {
        if self.next_look(now) != Some(Duration::ZERO) {
            return Look::NotYet;
        }
        let elapsed = self.looked.replace(now);
        let elapsed = elapsed.map_or(LOOK, |looked| now.saturating_duration_since(looked));
        let mut counted = gateway.versions();
        let mut events = Vec::new();
        for (name, running) in &mut self.running {
            let Versions { stable, canary } = counted.remove(name).unwrap_or_default();
            let [all_stable, all_canary] = &mut running.counted;
            all_stable.merge(&stable.total());
            all_canary.merge(&canary.total());
            let event = running.rollout.on_counts(&stable, &canary, elapsed);
            events.extend(event.map(|event| (Arc::clone(name), event)));
        }
        let has_events = !events.is_empty();
        let is_abort = |(_, event): &(_, Event)| matches!(event, Event::Aborted(_));
        let has_aborts = events.iter().any(is_abort);
        // First of all: telling may wait.
        if has_events {
            self.send_shares(gateway);
        }
        for (name, event) in events {
            self.note(&name, &event, false);
        }
        let pause = if self.cannot_keep { KEEP_AGAIN } else { KEEP };
        let is_due = self
            .saved
            .is_none_or(|saved| now.saturating_duration_since(saved) >= pause);
        if has_events || is_due || self.webhooks.has_changed() {
            self.is_unsaved = true;
            self.save(now);
        }
        match (has_events, has_aborts) {
            (_, true) => Look::Aborted,
            (true, false) => Look::Changed,
            (false, false) => Look::Counted,
        }
    }

    /// Does what somebody asks for.
    pub(crate) fn order(
        &mut self,
        gateway: &mut Gateway,
        plugin: &str,
        order: Order,
    ) -> Result<String, OrderError> {
        let unknown = || OrderError::Unknown(plugin.to_owned());
        let (name, running) = self.running.get_key_value(plugin).ok_or_else(unknown)?;
        let (name, mut running) = (Arc::clone(name), running.clone());
        let event = running.rollout.on_order(order, "by hand")?;
        self.running.insert(Arc::clone(&name), running);
        self.send_shares(gateway);
        self.note(&name, &event, true);
        self.is_unsaved = true;
        self.save(Instant::now());
        Ok(format!("{name}: {}", words(&event)))
    }

    /// Keeps what is to be kept, for a restart; then others are told. What could not be kept they are not
    /// told of: that is tried again.
    pub(crate) fn save(&mut self, now: Instant) {
        if !std::mem::take(&mut self.is_unsaved) {
            return;
        }
        self.saved = Some(now);
        // Before it is looked at: what changes meanwhile is kept with the next time.
        self.webhooks.note_kept();
        if let Some(store) = &self.store {
            let states = self.running.iter();
            let states = states.map(|(name, it)| (Arc::clone(name), it.rollout.state().clone()));
            let kept = self.kept.iter();
            let states = states.chain(kept.map(|(name, it)| (Arc::clone(name), it.clone())));
            let kept = Kept {
                states: states.collect(),
                notices: self.webhooks.waiting(),
            };
            let saved = store.save(&kept);
            let was_full = std::mem::replace(&mut self.cannot_keep, saved.is_err());
            if let Err(err) = saved {
                self.is_unsaved = true;
                let err = crate::plugins::chain(&err);
                if !was_full {
                    tracing::error!(
                        "a restart finds older states of rollouts, and nobody is told of what is \
                         not kept, until it can be: {err}"
                    );
                }
                return;
            }
            if was_full {
                tracing::info!("the states of rollouts are kept again");
            }
        }
        // Only now: a restart must not know less of it than its receiver.
        self.webhooks.release();
        self.webhooks.send();
    }

    /// Publishes what is told of each.
    pub(crate) fn tell(&self, board: &Board) {
        let rollouts = Arc::new(self.status());
        board.write(|status| status.rollouts = rollouts);
    }

    /// What is told of each.
    fn status(&self) -> BTreeMap<String, RolloutStatus> {
        let each = self.running.iter().map(|(name, running)| {
            let rollout = &running.rollout;
            let state = rollout.state();
            let [stable, canary] = &running.counted;
            let events = self.events.iter().filter(|((of, _), _)| of == name);
            let status = RolloutStatus {
                phase: phase(rollout),
                share: rollout.share(),
                reached: state.reached,
                since: state.since,
                next_step_in: rollout.next_step_in(),
                why: match (&state.phase, rollout.missing()) {
                    (Phase::Aborted(why), _) => Some(why.words.clone()),
                    (_, missing) => missing.map(str::to_owned),
                },
                findings: rollout.judge().findings(),
                counted: [ends(stable), ends(canary)],
                events: events.map(|((_, event), count)| (*event, *count)).collect(),
                webhooks: self.webhooks.status(name),
            };
            (name.as_ref().to_owned(), status)
        });
        each.collect()
    }

    /// Gives canaries the shares that they have by now.
    pub(crate) fn send_shares(&self, gateway: &mut Gateway) {
        let each = self.running.iter();
        let each = each.map(|(name, running)| (Arc::clone(name), running.rollout.share()));
        let shares: Vec<(Arc<str>, Share)> = each.collect();
        gateway.set_shares(&shares);
    }

    fn note(&mut self, name: &Arc<str>, event: &Event, by_hand: bool) {
        let words = in_one_line(&words(event));
        match event {
            Event::Aborted(_) => tracing::warn!("rollout of plugin {name}: {words}"),
            _ => tracing::info!("rollout of plugin {name}: {words}"),
        }
        let label = event.kind().name();
        let count = self.events.entry((Arc::clone(name), label));
        *count.or_default() += 1;
        for (receiver, notice) in self.notices(name, event, by_hand) {
            self.webhooks.push(receiver, notice);
        }
    }

    /// What is said to all who are to be told of an event.
    fn notices(&self, name: &Arc<str>, event: &Event, by_hand: bool) -> Vec<(Receiver, Notice)> {
        let Some(running) = self.running.get(name) else {
            return Vec::new();
        };
        let subject = Subject {
            gateway: &self.gateway,
            plugin: name,
            rollout: &running.rollout,
            digests: &running.digests,
        };
        let wants = |one: &&WebhookDecl| {
            let events = one.events.as_ref();
            events.is_none_or(|events| events.contains(&event.kind()))
        };
        let id = notice::id();
        let wanted = running.webhooks.iter().filter(wants);
        let each = wanted.map(|webhook| {
            let receiver = Receiver {
                plugin: Arc::clone(name),
                backend: Arc::clone(&webhook.backend),
                host: webhook.host.clone(),
                path: webhook.path.clone(),
            };
            let notice = Notice {
                timeout: webhook.timeout,
                event: event.kind().name().to_owned(),
                body: notice::body(&subject, &id, event, by_hand),
            };
            (receiver, notice)
        });
        each.collect()
    }
}

impl Running {
    fn new(rollout: Rollout) -> Self {
        Self {
            rollout,
            counted: Default::default(),
            webhooks: Vec::new(),
            digests: [None, None],
        }
    }
}
