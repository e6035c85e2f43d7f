//! The thread against a source whose answers are given by the test.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_config::draft::PullCredentials;
use tidegate_config::draft::PullPolicy;
use tidegate_config::draft::RemoteCode;
use tidegate_config::draft::RemoteSource;
use tokio::sync::Notify;

use super::Known;
use super::Pulls;
use super::Report;
use super::Wanted;
use super::fetch::Fetch;
use super::fetch::FetchError;
use super::fetch::Fetched;
use super::fetch::Fetching;
use super::fetch::Here;
use super::fetch::Meaning;
use super::fetch::Signature;
use super::policy::PolicyReport;
use crate::plugins::origin::Origin;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What comes of fetching a source: a module of that number, or the end of patience.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Module(u8),
    /// The module, once it is let go.
    Held(u8),
    Hangs,
    Panics,
}

/// A registry in memory.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    answers: Mutex<HashMap<String, Answer>>,
    cached: Mutex<HashMap<String, u8>>,
    modules: Mutex<HashMap<u8, Vec<u8>>>,
    asked: Mutex<Vec<String>>,
    rules_changed: Mutex<bool>,
    unsigned: Mutex<HashSet<u8>>,
    let_go: Arc<Notify>,
    vouched: AtomicUsize,
}

impl Fake {
    /// How often it was asked whether a version may serve again.
    pub(crate) fn vouched(&self) -> usize {
        self.vouched.load(Ordering::Relaxed)
    }

    pub(crate) fn answer(&self, reference: &str, answer: Answer) {
        let mut answers = self.answers.lock().expect("held");
        answers.insert(reference.to_owned(), answer);
    }

    pub(crate) fn cache(&self, reference: &str, module: u8) {
        let mut cached = self.cached.lock().expect("held");
        cached.insert(reference.to_owned(), module);
    }

    /// Rules change, and want a signature of a module that has none.
    pub(crate) fn want_signed(&self, reference: &str, module: u8) {
        self.cached.lock().expect("held").remove(reference);
        self.answers.lock().expect("held").remove(reference);
        self.unsigned.lock().expect("held").insert(module);
        *self.rules_changed.lock().expect("held") = true;
    }

    /// What the module of that number is.
    pub(crate) fn has(&self, module: u8, code: Vec<u8>) {
        self.modules.lock().expect("held").insert(module, code);
    }

    fn asked(&self, reference: &str) -> usize {
        let asked = self.asked.lock().expect("held");
        asked.iter().filter(|one| *one == reference).count()
    }
}

fn written(source: &RemoteSource) -> &str {
    match &source.code {
        RemoteCode::Oci(reference) => reference,
        RemoteCode::Http { url, .. } => url,
    }
}

fn here(module: u8) -> Here {
    Here {
        manifest: Some(format!("sha256:{module}")),
        module: [module; 32],
        layout: "compat".to_owned(),
        signature: Signature::Off,
    }
}

impl Fetch for Fake {
    fn look_at(&self, source: &RemoteSource) -> Result<Meaning, String> {
        let shown = written(source).to_owned();
        let (host, name) = shown.split_once('/').ok_or("no registry in it")?;
        Ok(Meaning {
            name: name.to_owned(),
            host: host.to_owned(),
            is_fixed: shown.contains('@'),
            is_latest: false,
            shown,
        })
    }

    fn cached(&self, source: &RemoteSource) -> Option<Here> {
        let cached = self.cached.lock().expect("held");
        cached.get(written(source)).copied().map(here)
    }

    fn fetch<'a>(&'a self, source: &'a RemoteSource) -> Fetching<'a> {
        let written = written(source).to_owned();
        self.asked.lock().expect("held").push(written.clone());
        let answer = self.answers.lock().expect("held").get(&written).cloned();
        let let_go = Arc::clone(&self.let_go);
        let fetched = |module| {
            Ok(Fetched {
                here: here(module),
                bytes: 10,
                warnings: Vec::new(),
            })
        };
        Box::pin(async move {
            match answer {
                Some(Answer::Module(module)) => fetched(module),
                Some(Answer::Held(module)) => {
                    let_go.notified().await;
                    fetched(module)
                }
                None => Err(FetchError {
                    message: "connection refused".to_owned(),
                    retry_after: None,
                    is_unsigned: false,
                }),
                Some(Answer::Hangs) => std::future::pending().await,
                Some(Answer::Panics) => panic!("a defect"),
            }
        })
    }

    fn module(&self, digest: &[u8; 32]) -> Result<Bytes, String> {
        let modules = self.modules.lock().expect("held");
        let module = modules.get(&digest[0]);
        module.cloned().map(Bytes::from).ok_or("gone".to_owned())
    }

    fn retain(&self, _: &HashSet<[u8; 32]>) {}

    fn refresh(&self) -> bool {
        std::mem::take(&mut *self.rules_changed.lock().expect("held"))
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn policy(&self) -> Option<PolicyReport> {
        None
    }

    fn vouch(
        &self,
        origin: &Origin,
        _: Option<&RemoteSource>,
        module: &[u8; 32],
    ) -> Result<(), String> {
        self.vouched.fetch_add(1, Ordering::Relaxed);
        let unsigned = self.unsigned.lock().expect("held");
        let may_need_one = !matches!(origin, Origin::File(_) | Origin::Builtin(_));
        match may_need_one && unsigned.contains(&module[0]) {
            true => Err("it is not signed".to_owned()),
            false => Ok(()),
        }
    }
}

pub(crate) fn source(reference: &str) -> Arc<RemoteSource> {
    Arc::new(RemoteSource {
        code: RemoteCode::Oci(reference.to_owned()),
        policy: Some(PullPolicy::Always),
        interval: Duration::from_secs(600),
        credentials: PullCredentials::Ambient,
    })
}

fn wanted(sources: &[&Arc<RemoteSource>]) -> Wanted {
    let one = |source: &&Arc<RemoteSource>| (Arc::clone(source), vec!["default/one".to_owned()]);
    sources.iter().map(one).collect()
}

struct World {
    fake: Arc<Fake>,
    pulls: Pulls,
    changes: mpsc::Receiver<()>,
}

impl World {
    fn new(fake: Fake) -> Self {
        let fake = Arc::new(fake);
        let (changed, changes) = mpsc::channel();
        let fetch: Arc<dyn Fetch> = Arc::clone(&fake) as _;
        let pulls = Pulls::new(fetch, move || {
            changed.send(()).ok();
        });
        Self {
            fake,
            pulls,
            changes,
        }
    }

    #[track_caller]
    fn changes(&self) {
        self.changes.recv_timeout(PATIENCE).expect("a change");
    }

    fn module(&self, source: &RemoteSource) -> Option<u8> {
        match self.pulls.known(source) {
            Known::Here { digest, .. } => Some(digest[0]),
            Known::Pending { .. } | Known::Wrong(_) => None,
        }
    }

    fn report(&self, source: &RemoteSource) -> Report {
        self.pulls.board().report(source).expect("it is wanted")
    }

    #[track_caller]
    fn eventually(&self, what: &str, is_so: impl Fn() -> bool) {
        tidegate_testkit::eventually(what, || is_so().then_some(()));
    }
}

#[test]
fn what_is_wanted_comes_and_who_wants_it_is_told() {
    let world = World::new(Fake::default());
    let one = source("registry.test/one:1");
    world.fake.answer("registry.test/one:1", Answer::Module(1));
    world.pulls.want(&wanted(&[&one]), false);
    world.changes();
    assert_eq!(world.module(&one), Some(1));
    let report = world.report(&one);
    assert!(report.is_confirmed && report.error.is_none());
    assert_eq!(world.pulls.board().counts().bytes, 10);
}

#[test]
fn one_that_hangs_holds_up_nobody_and_the_end_does_not_wait_for_it() {
    let world = World::new(Fake::default());
    let slow = source("slow.test/slow:1");
    let one = source("registry.test/one:1");
    world.fake.answer("slow.test/slow:1", Answer::Hangs);
    world.fake.answer("registry.test/one:1", Answer::Module(1));
    world.pulls.want(&wanted(&[&slow]), false);
    world.eventually("a pull", || world.report(&slow).is_running);
    world.pulls.want(&wanted(&[&one]), false);
    world.changes();
    assert_eq!(world.module(&one), Some(1));
    assert_eq!(world.module(&slow), None);
}

#[test]
fn a_host_that_hangs_holds_up_no_other_one() {
    let world = World::new(Fake::default());
    let names: Vec<String> = (0..20).map(|at| format!("slow.test/slow:{at}")).collect();
    let slow: Vec<_> = names.iter().map(|name| source(name)).collect();
    for name in &names {
        world.fake.answer(name, Answer::Hangs);
    }
    world.fake.answer("registry.test/one:1", Answer::Module(1));
    world
        .pulls
        .want(&wanted(&slow.iter().collect::<Vec<_>>()), false);
    let running = || {
        slow.iter()
            .filter(|one| world.report(one).is_running)
            .count()
    };
    world.eventually("pulls", || running() == super::MOST_OF_HOST);
    let one = source("registry.test/one:1");
    world.pulls.want(&wanted(&[&one]), false);
    world.changes();
    assert_eq!(running(), super::MOST_OF_HOST);
}

#[test]
fn a_namespace_whose_hosts_hang_holds_up_no_other_one() {
    let world = World::new(Fake::default());
    let names: Vec<String> = (0..40).map(|at| format!("slow-{at}.test/slow:1")).collect();
    let slow: Vec<_> = names.iter().map(|name| source(name)).collect();
    let of = |source: &Arc<RemoteSource>, plugin: &str| {
        Wanted::from([(Arc::clone(source), vec![plugin.to_owned()])])
    };
    for (name, slow) in names.iter().zip(&slow) {
        world.fake.answer(name, Answer::Hangs);
        world.pulls.want(&of(slow, "loud/one"), false);
    }
    let running = || {
        slow.iter()
            .filter(|one| world.report(one).is_running)
            .count()
    };
    world.eventually("pulls", || running() == super::MOST_OF_NAMESPACE);
    let one = source("registry.test/one:1");
    world.fake.answer("registry.test/one:1", Answer::Module(1));
    world.pulls.want(&of(&one, "quiet/one"), false);
    world.changes();
    assert_eq!(world.module(&one), Some(1));
    assert_eq!(running(), super::MOST_OF_NAMESPACE);
}

#[test]
fn what_is_in_the_cache_is_here_at_once_and_stays_while_its_source_fails() {
    let world = World::new(Fake::default());
    let one = source("registry.test/one:1");
    world.fake.cache("registry.test/one:1", 7);
    world.pulls.want(&wanted(&[&one]), false);
    assert_eq!(world.module(&one), Some(7));
    world.eventually("a failure", || world.report(&one).error.is_some());
    let report = world.report(&one);
    assert!(!report.is_confirmed && report.next_try.is_some());
    assert_eq!(world.module(&one), Some(7));
    world.fake.answer("registry.test/one:1", Answer::Module(8));
    world.changes();
    assert_eq!(world.module(&one), Some(8));
    assert!(world.report(&one).error.is_none());
}

#[test]
fn a_defect_in_one_pull_is_a_failure_of_that_one() {
    let world = World::new(Fake::default());
    let (bad, one) = (source("registry.test/bad:1"), source("registry.test/one:1"));
    world.fake.answer("registry.test/bad:1", Answer::Panics);
    world.fake.answer("registry.test/one:1", Answer::Module(1));
    world.pulls.want(&wanted(&[&bad, &one]), false);
    world.changes();
    world.eventually("a failure", || world.report(&bad).error.is_some());
}

#[test]
fn who_asks_again_is_answered_now_and_what_nobody_wants_is_forgotten() {
    let world = World::new(Fake::default());
    let one = source("registry.test/one:1");
    let all = wanted(&[&one]);
    world.fake.answer("registry.test/one:1", Answer::Module(1));
    world.pulls.want(&all, false);
    world.changes();
    world.fake.answer("registry.test/one:1", Answer::Module(2));
    world.pulls.want(&all, true);
    world.changes();
    assert_eq!(world.module(&one), Some(2));
    let asked = world.fake.asked("registry.test/one:1");
    assert_eq!(asked, 2, "the interval is long");
    world.pulls.keep_only(&Wanted::new());
    assert_eq!(world.pulls.board().report(&one), None);
}

#[test]
fn a_reference_that_means_nothing_is_said_and_never_asked_for() {
    let world = World::new(Fake::default());
    let wrong = source("nothing");
    world.pulls.want(&wanted(&[&wrong]), false);
    assert_eq!(
        world.pulls.known(&wrong),
        Known::Wrong("no registry in it".to_owned())
    );
    assert_eq!(world.fake.asked("nothing"), 0);
}

#[test]
fn what_is_here_and_not_signed_as_new_rules_want_it_is_here_no_more() {
    let world = World::new(Fake::default());
    let one = source("registry.test/one:1");
    world.fake.cache("registry.test/one:1", 7);
    world.fake.answer("registry.test/one:1", Answer::Module(7));
    world.pulls.want(&wanted(&[&one]), false);
    world.eventually("a pull", || world.report(&one).is_confirmed);
    world.pulls.refresh();
    assert_eq!(world.module(&one), Some(7), "no rule changed");
    world.fake.want_signed("registry.test/one:1", 7);
    world.pulls.refresh();
    assert_eq!(world.module(&one), None);
    world.eventually("another try", || {
        world.fake.asked("registry.test/one:1") > 1
    });
}

#[test]
fn what_was_on_its_way_when_the_rules_changed_is_fetched_again_by_those_of_now() {
    let world = World::new(Fake::default());
    let one = source("registry.test/one:1");
    world.fake.answer("registry.test/one:1", Answer::Held(7));
    world.pulls.want(&wanted(&[&one]), false);
    world.eventually("a pull", || world.fake.asked("registry.test/one:1") == 1);
    world.fake.want_signed("registry.test/one:1", 7);
    assert!(world.pulls.refresh());
    world.fake.let_go.notify_one();
    world.eventually("another pull", || world.report(&one).error.is_some());
    assert_eq!(world.module(&one), None, "its verdict was that of before");
    assert!(world.fake.asked("registry.test/one:1") > 1);
    world.fake.answer("registry.test/one:1", Answer::Module(8));
    world.changes();
    assert_eq!(world.module(&one), Some(8));
}

#[test]
fn without_a_network_there_is_what_is_in_the_cache() {
    let fake = Arc::new(Fake::default());
    fake.cache("registry.test/one:1", 3);
    let pulls = Pulls::offline(Arc::clone(&fake) as _);
    let (one, other) = (
        source("registry.test/one:1"),
        source("registry.test/other:1"),
    );
    pulls.want(&wanted(&[&one, &other]), true);
    assert!(matches!(pulls.known(&one), Known::Here { .. }));
    assert!(matches!(pulls.known(&other), Known::Pending { .. }));
    assert_eq!(fake.asked("registry.test/one:1"), 0);
}
