//! One source that is wanted: what is here of it, and when it is asked for next.
//!
//! Owns the decisions, as functions of the time. Failures are tried again for ever, ever more seldom;
//! what may have moved is asked for again at its interval; what cannot move never is.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_config::draft::PullPolicy;
use tidegate_config::draft::RemoteSource;

use crate::pulls::fetch::FetchError;
use crate::pulls::fetch::Fetched;
use crate::pulls::fetch::Here;
use crate::pulls::fetch::Meaning;
use crate::pulls::fetch::Signature;

/// The first pause after a failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) meaning: Meaning,
    /// The plugins that want it, for the log.
    pub(super) plugins: BTreeSet<String>,
    /// How often it is asked for again, if it is.
    interval: Option<Duration>,
    pub(super) here: Option<Here>,
    /// Whether its source said so since the start.
    pub(super) is_confirmed: bool,
    pub(super) error: Option<String>,
    /// Whether that is a signature that is missing.
    pub(super) is_unsigned: bool,
    failures: u32,
    pub(super) checked: Option<SystemTime>,
    pub(super) succeeded: Option<SystemTime>,
    due: Option<Instant>,
    pub(super) is_running: bool,
    /// The namespace that it is fetched for, as long as it is.
    pub(super) namespace: String,
    /// By which rules it was begun.
    pub(super) rules: u64,
    /// How many fetches of it came to an end.
    pub(super) ends: u64,
    /// Asked for while it ran.
    again: bool,
}

/// What the end of a fetch means for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Another module than before, or the first.
    New,
    /// The same as before.
    Same,
    /// It failed, for the first time since it worked.
    FailsNow,
    /// It failed again.
    FailsStill,
}

impl Item {
    /// One of which that is here, at that time.
    pub(super) fn new(
        source: &RemoteSource,
        meaning: Meaning,
        here: Option<Here>,
        now: Instant,
    ) -> Self {
        let always = match source.policy {
            Some(policy) => policy == PullPolicy::Always,
            None => meaning.is_latest,
        };
        let interval = (always && !meaning.is_fixed).then_some(source.interval);
        let is_due = here.as_ref().is_none_or(may_be_signed) || interval.is_some();
        Self {
            meaning,
            plugins: BTreeSet::new(),
            interval,
            here,
            is_confirmed: false,
            error: None,
            is_unsigned: false,
            failures: 0,
            checked: None,
            succeeded: None,
            due: is_due.then_some(now),
            is_running: false,
            namespace: String::new(),
            rules: 0,
            ends: 0,
            again: false,
        }
    }

    /// When it is to be fetched next, if ever; not while it is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_running)
    }

    /// The namespaces of the plugins that want it.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = String> {
        let plugins = self.plugins.iter();
        plugins.map(|name| name.split('/').next().unwrap_or_default().to_owned())
    }

    /// Whether it can be asked for at all: what cannot move and is here cannot.
    fn may_move(&self) -> bool {
        self.here.as_ref().is_none_or(may_be_signed) || self.interval.is_some()
    }

    /// Takes what is here by other rules than before.
    pub(super) fn judge_again(&mut self, here: Option<Here>, now: Instant) {
        if here.is_none() && self.here.is_some() {
            let why = "what is here is not signed as the signature policy wants it now";
            self.error = Some(why.to_owned());
            self.is_unsigned = true;
        }
        self.here = here;
        if self.here.as_ref().is_none_or(may_be_signed) || self.is_unsigned {
            self.hurry(now);
        }
    }

    /// Asks for it now: somebody said so, or what it is asked with may have changed.
    pub(super) fn hurry(&mut self, now: Instant) {
        if self.is_running {
            self.again = true;
        } else if self.may_move() {
            self.due = Some(now);
        }
    }

    /// Whether its last fetch failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// What was here cannot be read any more.
    pub(super) fn lose(&mut self, why: String, now: Instant) {
        self.here = None;
        self.error = Some(why);
        self.due = Some(now);
    }

    /// It is being fetched, by these rules.
    pub(super) fn begin(&mut self, rules: u64) {
        self.is_running = true;
        self.rules = rules;
        self.due = None;
    }

    /// What came counts for nothing: it is fetched again at once, by the rules of now.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.is_running = false;
        self.ends += 1;
        self.again = false;
        self.due = Some(now);
    }

    /// Takes what came of a fetch. `dice` is a random number below one.
    pub(super) fn end(
        &mut self,
        result: Result<Fetched, FetchError>,
        now: Instant,
        clock: SystemTime,
        dice: f64,
    ) -> Ended {
        self.is_running = false;
        self.ends += 1;
        self.checked = Some(clock);
        let ended = match result {
            Ok(fetched) => self.succeed(fetched, now, clock, dice),
            Err(err) => self.fail(err, now, dice),
        };
        if std::mem::take(&mut self.again) && self.may_move() {
            self.due = Some(now);
        }
        ended
    }

    fn succeed(&mut self, fetched: Fetched, now: Instant, clock: SystemTime, dice: f64) -> Ended {
        self.failures = 0;
        self.error = None;
        self.is_unsigned = false;
        self.is_confirmed = true;
        self.succeeded = Some(clock);
        // Gateways that were started together must not ask together: give or take a tenth.
        self.due = self
            .interval
            .map(|interval| now + interval.mul_f64(0.9 + 0.2 * dice));
        let before = self.here.replace(fetched.here).map(|here| here.module);
        let after = self.here.as_ref().map(|here| here.module);
        if before == after {
            Ended::Same
        } else {
            Ended::New
        }
    }

    fn fail(&mut self, err: FetchError, now: Instant, dice: f64) -> Ended {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16));
        let pause = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + 0.5 * dice);
        let pause = err
            .retry_after
            .map_or(pause, |asked| pause.max(asked.min(LONGEST_PAUSE)));
        self.due = Some(now + pause);
        self.failures = self.failures.saturating_add(1);
        self.error = Some(err.message);
        self.is_unsigned = err.is_unsigned;
        if self.failures == 1 {
            Ended::FailsNow
        } else {
            Ended::FailsStill
        }
    }

    /// Whether it is signed as the operator wants it. What is refused for want of a signature is not
    /// here, and is not signed all the same.
    pub(super) fn signature(&self) -> Signature {
        match (&self.here, &self.error) {
            (Some(here), _) => here.signature.clone(),
            (None, Some(error)) if self.is_unsigned => Signature::Missing(error.clone()),
            (None, _) => Signature::Off,
        }
    }

    /// The next try, as clocks show it.
    pub(super) fn next_try(&self, now: Instant, clock: SystemTime) -> Option<SystemTime> {
        let due = self.due()?;
        Some(clock + due.saturating_duration_since(now))
    }
}

/// Whether it lacks a signature that its registry may have by now.
fn may_be_signed(here: &Here) -> bool {
    matches!(here.signature, Signature::Missing(_))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;
    use std::time::SystemTime;

    use tidegate_config::draft::PullCredentials;
    use tidegate_config::draft::PullPolicy;
    use tidegate_config::draft::RemoteCode;
    use tidegate_config::draft::RemoteSource;

    use super::Ended;
    use super::Item;
    use crate::pulls::fetch::FetchError;
    use crate::pulls::fetch::Fetched;
    use crate::pulls::fetch::Here;
    use crate::pulls::fetch::Meaning;
    use crate::pulls::fetch::Signature;

    const INTERVAL: Duration = Duration::from_secs(600);

    fn source(policy: Option<PullPolicy>) -> RemoteSource {
        RemoteSource {
            code: RemoteCode::Oci("registry.test/one:1".to_owned()),
            policy,
            interval: INTERVAL,
            credentials: PullCredentials::Ambient,
        }
    }

    fn meaning(is_fixed: bool, is_latest: bool) -> Meaning {
        Meaning {
            shown: "registry.test/one:1".to_owned(),
            name: "one".to_owned(),
            host: "registry.test".to_owned(),
            is_fixed,
            is_latest,
        }
    }

    fn here(of: u8) -> Here {
        Here {
            manifest: None,
            module: [of; 32],
            layout: "compat".to_owned(),
            signature: Signature::Off,
        }
    }

    fn fetched(of: u8) -> Result<Fetched, FetchError> {
        Ok(Fetched {
            here: here(of),
            bytes: 1,
            warnings: Vec::new(),
        })
    }

    fn failed(retry_after: Option<Duration>) -> Result<Fetched, FetchError> {
        Err(FetchError {
            message: "no".to_owned(),
            retry_after,
            is_unsigned: false,
        })
    }

    /// The pause until the next try, if there is one.
    fn pause(item: &Item, now: Instant) -> Option<Duration> {
        Some(item.due()?.saturating_duration_since(now))
    }

    #[test]
    fn what_may_have_moved_is_asked_for_again_and_nothing_else() {
        use PullPolicy::Always;
        use PullPolicy::IfNotPresent;
        let now = Instant::now();
        let is_asked = |policy, is_fixed, is_latest| {
            let meaning = meaning(is_fixed, is_latest);
            let item = Item::new(&source(policy), meaning, Some(here(1)), now);
            item.due().is_some()
        };
        assert!(is_asked(Some(Always), false, false));
        assert!(is_asked(None, false, true));
        assert!(!is_asked(None, false, false));
        assert!(!is_asked(Some(IfNotPresent), false, true));
        assert!(!is_asked(Some(Always), true, true), "a digest cannot move");
        let absent = Item::new(&source(None), meaning(true, false), None, now);
        assert!(absent.due().is_some(), "what is not here is asked for");
    }

    #[test]
    fn failures_are_tried_again_for_ever_and_ever_more_seldom() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let mut item = Item::new(&source(None), meaning(false, false), None, now);
        let mut pauses = Vec::new();
        for at in 0..100 {
            item.begin(0);
            assert_eq!(item.due(), None, "not while it runs");
            let ended = item.end(failed(None), now, clock, 1.0);
            let expected = if at == 0 {
                Ended::FailsNow
            } else {
                Ended::FailsStill
            };
            assert_eq!(ended, expected);
            pauses.push(pause(&item, now).expect("it is tried again"));
        }
        assert_eq!(pauses[..3], [1, 2, 4].map(Duration::from_secs));
        assert_eq!(pauses[99], Duration::from_secs(300));
        item.begin(0);
        assert_eq!(item.end(fetched(1), now, clock, 0.0), Ended::New);
        assert!(!item.is_failing());
        assert_eq!(item.due(), None, "its policy asks no more");
    }

    #[test]
    fn what_a_server_asks_for_is_heeded_within_bounds() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let wait = |asked| {
            let mut item = Item::new(&source(None), meaning(false, false), None, now);
            item.begin(0);
            item.end(failed(Some(Duration::from_secs(asked))), now, clock, 0.0);
            pause(&item, now).expect("tried again").as_secs()
        };
        assert_eq!(wait(30), 30);
        assert_eq!(wait(100_000), 300);
    }

    #[test]
    fn gateways_that_start_together_do_not_ask_together() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let next = |dice| {
            let policy = Some(PullPolicy::Always);
            let mut item = Item::new(&source(policy), meaning(false, false), None, now);
            item.begin(0);
            item.end(fetched(1), now, clock, dice);
            pause(&item, now).expect("asked again").as_secs()
        };
        assert_eq!((next(0.0), next(0.5)), (540, 600));
    }

    #[test]
    fn a_tag_that_moves_is_new_and_moves_back_as_well() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let policy = Some(PullPolicy::Always);
        let mut item = Item::new(&source(policy), meaning(false, false), Some(here(1)), now);
        let mut end = |of| {
            item.begin(0);
            item.end(fetched(of), now, clock, 0.5)
        };
        assert_eq!(end(1), Ended::Same);
        assert_eq!(end(2), Ended::New);
        assert_eq!(end(1), Ended::New);
    }

    #[test]
    fn what_is_asked_for_during_a_fetch_is_fetched_again_after_it() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let policy = Some(PullPolicy::Always);
        let mut item = Item::new(&source(policy), meaning(false, false), None, now);
        item.begin(0);
        item.hurry(now);
        assert_eq!(item.due(), None);
        item.end(fetched(1), now, clock, 0.5);
        assert_eq!(item.due(), Some(now));
    }
}
