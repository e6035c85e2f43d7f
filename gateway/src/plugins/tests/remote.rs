//! Plugins whose code comes over the network: which version serves while it is on its way.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::time::SystemTime;

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::problem::Severity;
use tidegate_host_abi::FailurePolicy;

use super::Resolved;
use super::Resolver;
use super::Slot;
use super::decl;
use super::filter;
use super::only;
use super::plugin;
use super::refusal;
use crate::plugins::origin::Origin;
use crate::plugins::source::PENDING;
use crate::plugins::wishes::Wish;
use crate::plugins::wishes::WishError;
use crate::pulls::Pulls;
use crate::pulls::tests::Answer;
use crate::pulls::tests::Fake;
use crate::pulls::tests::source;
use crate::state::Store;

const ONE: &str = "registry.test/one:1";
const TWO: &str = "registry.test/two:1";

struct World {
    fake: Arc<Fake>,
    resolver: Resolver,
    changes: mpsc::Receiver<()>,
}

impl World {
    /// A world without any version, whose registry has two modules.
    fn new() -> Self {
        let fake = Arc::new(Fake::default());
        fake.has(1, filter(4));
        fake.has(2, filter(5));
        let (changed, changes) = mpsc::channel();
        let pulls = Pulls::new(Arc::clone(&fake) as _, move || {
            changed.send(()).ok();
        });
        let mut resolver = Resolver::default();
        resolver.set_pulls(pulls);
        Self {
            fake,
            resolver,
            changes,
        }
    }

    fn load(&mut self, decl: &PluginDecl, store: Option<&Store>) -> Resolved {
        self.resolver.begin(false);
        let resolved = self.resolver.resolve(std::slice::from_ref(decl), store);
        self.resolver.end();
        self.resolver.commit();
        resolved
    }

    #[track_caller]
    fn changes(&self) {
        let patience = Duration::from_secs(30);
        self.changes.recv_timeout(patience).expect("a change");
    }
}

fn remote(reference: &str) -> PluginDecl {
    PluginDecl {
        source: PluginSource::Remote(source(reference)),
        ..decl("a", Path::new("unused"), "{}")
    }
}

#[test]
fn what_is_not_here_yet_is_a_warning_and_refuses_until_it_is() {
    let mut world = World::new();
    world.fake.answer(ONE, Answer::Hangs);
    let resolved = world.load(&remote(ONE), None);
    assert!(matches!(
        only(&resolved),
        Slot::Refused(FailurePolicy::FailOpen)
    ));
    assert_eq!(refusal(&resolved), (PENDING, true, 1));
    assert_eq!(resolved.problems[0].severity, Severity::Warning);
    // Somebody else asks for it, and gets it.
    world.fake.answer(TWO, Answer::Module(1));
    world.load(&remote(TWO), None);
    world.changes();
    let resolved = world.load(&remote(TWO), None);
    assert!(resolved.problems.is_empty(), "{resolved:?}");
    plugin(&resolved);
}

#[test]
fn the_version_before_serves_while_another_source_is_asked() {
    let mut world = World::new();
    world.fake.answer(ONE, Answer::Module(1));
    world.fake.answer(TWO, Answer::Hangs);
    world.load(&remote(ONE), None);
    world.changes();
    let good = plugin(&world.load(&remote(ONE), None));
    let resolved = world.load(&remote(TWO), None);
    assert!(Arc::ptr_eq(&good, &plugin(&resolved)));
    assert_eq!(refusal(&resolved), (PENDING, true, 1));
}

#[test]
fn a_restart_without_cache_and_registry_has_the_version_of_the_stored_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("state")).expect("a store");
    let mut world = World::new();
    world.fake.cache(ONE, 1);
    plugin(&world.load(&remote(ONE), None));
    let mut plugins = world.resolver.stored();
    // The fake's digests are none.
    let code = filter(4);
    plugins.served[0].digest = Sha256::digest(&code).into();
    store
        .keep_module(&plugins.served[0].digest, &code)
        .expect("it is kept");
    let mut again = World::new();
    again.fake.answer(ONE, Answer::Hangs);
    again.resolver.restore(plugins);
    let resolved = again.load(&remote(ONE), Some(&store));
    assert_eq!(refusal(&resolved), (PENDING, true, 1));
    plugin(&resolved);
}

#[test]
fn a_version_without_the_signature_it_needs_is_not_gone_back_to() {
    let mut world = World::new();
    let resource = remote(ONE).resource;
    for (reference, module) in [(ONE, 1), (TWO, 2)] {
        world.fake.answer(reference, Answer::Module(module));
        world.load(&remote(reference), None);
        world.changes();
        plugin(&world.load(&remote(reference), None));
        world.resolver.chronicle(SystemTime::now(), &[], None);
    }
    assert!(world.resolver.fallback(&resource, None).is_some());
    world.fake.want_signed(ONE, 1);
    assert!(world.resolver.refresh_rules());
    assert!(world.resolver.fallback(&resource, None).is_none());
    let wish = Wish::Back(None);
    let err = world.resolver.fulfil("default/a", &wish, None);
    assert!(matches!(err, Err(WishError::NotSigned { .. })), "{err:?}");
}

#[test]
fn a_version_needs_the_signature_of_where_it_came_from_and_not_of_what_its_plugin_names_now() {
    let folder = super::Folder::new();
    let local = |config: &str| decl("a", &folder.file, config);
    let mut world = World::new();
    let resource = remote(ONE).resource;
    // A file, an image, and a file again.
    world.load(&local("{}"), None);
    world.resolver.chronicle(SystemTime::now(), &[], None);
    world.fake.answer(ONE, Answer::Module(1));
    world.load(&remote(ONE), None);
    world.changes();
    plugin(&world.load(&remote(ONE), None));
    world.resolver.chronicle(SystemTime::now(), &[], None);
    plugin(&world.load(&local("{ }"), None));
    world.resolver.chronicle(SystemTime::now(), &[], None);
    let fallback = world.resolver.fallback(&resource, None);
    let fallback = fallback.expect("the image, which needs no signature yet");
    assert_eq!((fallback.number, fallback.may_serve()), (2, Ok(())));

    world.fake.want_signed(ONE, 1);
    assert!(
        fallback.may_serve().is_err(),
        "not once the policy wants one"
    );
    let to_image = Wish::Back(Some("2".to_owned()));
    let err = world.resolver.fulfil("default/a", &to_image, None);
    assert!(matches!(err, Err(WishError::NotSigned { .. })), "{err:?}");
    // The restart has the same answer.
    let stored = world.resolver.stored();
    assert_eq!(
        *stored.served[0].origin,
        Origin::File(folder.file.display().to_string())
    );
}

#[test]
fn a_file_may_serve_again_whatever_signatures_the_image_after_it_needs() {
    let folder = super::Folder::new();
    let mut world = World::new();
    let resource = remote(ONE).resource;
    plugin(&world.load(&decl("a", &folder.file, "{}"), None));
    world.resolver.chronicle(SystemTime::now(), &[], None);
    world.fake.answer(ONE, Answer::Module(2));
    world.load(&remote(ONE), None);
    world.changes();
    plugin(&world.load(&remote(ONE), None));
    world.resolver.chronicle(SystemTime::now(), &[], None);
    // The fake's digests are by number; a file's is not wanted of anybody.
    world.fake.want_signed(ONE, 2);
    let fallback = world.resolver.fallback(&resource, None);
    let fallback = fallback.expect("the file is the operator's");
    assert_eq!((fallback.number, fallback.may_serve()), (1, Ok(())));
}

#[test]
fn code_of_another_digest_than_is_expected_is_refused() {
    let mut world = World::new();
    world.fake.cache(ONE, 1);
    let strict = PluginDecl {
        sha256: Some([9; 32]),
        ..remote(ONE)
    };
    let resolved = world.load(&strict, None);
    assert_eq!(refusal(&resolved), ("DigestMismatch", false, 1));
    assert_eq!(resolved.problems[0].severity, Severity::Error);
    let right = PluginDecl {
        sha256: Some([1; 32]),
        ..remote(ONE)
    };
    plugin(&world.load(&right, None));
}

#[test]
fn what_is_gone_from_the_cache_is_fetched_again() {
    let mut world = World::new();
    world.fake.cache(ONE, 3);
    world.fake.answer(ONE, Answer::Module(1));
    let resolved = world.load(&remote(ONE), None);
    // The fetch may be over before the load looks again.
    if !resolved.problems.is_empty() {
        assert_eq!(refusal(&resolved), (PENDING, true, 1));
    }
    world.changes();
    plugin(&world.load(&remote(ONE), None));
}
