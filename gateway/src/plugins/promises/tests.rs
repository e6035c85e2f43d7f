//! What is left of a version that was gone back to and does not serve.

use std::sync::Arc;
use std::time::SystemTime;

use tidegate_config::draft::PluginDecl;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::StartStep;

use crate::plugins::Resolver;
use crate::plugins::tests::Folder;
use crate::plugins::tests::decl;
use crate::plugins::tests::load;
use crate::plugins::tests::plugin;
use crate::plugins::tests::refused_by_guest;
use crate::plugins::versions::Fallback;
use crate::plugins::wishes::Fulfilled;
use crate::plugins::wishes::Then;
use crate::plugins::wishes::Wish;
use crate::state::Store;

/// A plugin that has had some versions.
struct World {
    resolver: Resolver,
    store: Store,
    decl: PluginDecl,
    /// What serves.
    serves: Arc<Plugin>,
    _folder: Folder,
}

impl World {
    /// Each configuration was a version.
    fn new(configs: &[&str]) -> Self {
        let folder = Folder::new();
        let store = Store::open(&folder.file.with_file_name("state")).expect("a store");
        let mut resolver = Resolver::default();
        let mut latest = None;
        for config in configs {
            let decl = decl("a", &folder.file, config);
            let serves = plugin(&load(&mut resolver, &decl, Some(&store)));
            latest = Some((decl, serves));
        }
        let (decl, serves) = latest.expect("a version");
        Self {
            resolver,
            store,
            decl,
            serves,
            _folder: folder,
        }
    }

    #[track_caller]
    fn go_back(&mut self, to: &str) -> Box<Fallback> {
        let wish = Wish::Back(Some(to.to_owned()));
        let fulfilled = self.resolver.fulfil("default/a", &wish, Some(&self.store));
        let Ok(Fulfilled {
            then: Then::Serves(_, version),
            ..
        }) = fulfilled
        else {
            panic!("it is not to serve: {fulfilled:?}");
        };
        version
    }

    /// What a load would have in service, and how many problems it has.
    fn resolve(&mut self) -> (Arc<Plugin>, usize) {
        let decls = std::slice::from_ref(&self.decl);
        let resolved = self.resolver.resolve(decls, Some(&self.store));
        (plugin(&resolved), resolved.problems.len())
    }

    /// It is as if nobody had gone back to anything.
    #[track_caller]
    fn is_as_before(&mut self) {
        let (serves, problems) = self.resolve();
        assert!(Arc::ptr_eq(&serves, &self.serves));
        let versions = self.resolver.versions(&self.decl.resource);
        let bars = versions.map_or(0, |versions| versions.bars().len());
        assert_eq!((problems, bars), (0, 0));
    }
}

#[test]
fn a_version_that_fails_in_the_data_plane_leaves_what_served_and_blames_nobody() {
    let mut world = World::new(&["{}", "{ }"]);
    let err = refused_by_guest(StartStep::SetUp);
    world.go_back("1");
    let (first, problems) = world.resolve();
    assert_eq!((&first.spec().config[..], problems), (&b"{}"[..], 1));
    let rejected = world.resolver.reject("default/a", &err);
    assert!(rejected.is_news);
    assert!(rejected.refused.is_empty(), "{rejected:?}");
    world.is_as_before();
    let rejected = world.resolver.reject("default/a", &err);
    assert!(!rejected.is_news && rejected.refused.is_empty());
}

#[test]
fn of_two_that_do_not_serve_the_one_before_both_is_left() {
    let mut world = World::new(&["{}", "{ }", "[]"]);
    world.go_back("2");
    let version = world.go_back("1");
    let err = refused_by_guest(StartStep::Configure);
    let resource = &world.decl.resource;
    world
        .resolver
        .does_not_stand(resource, &version, Some(&err));
    world.is_as_before();
}

#[test]
fn a_version_that_fails_leaves_another_that_was_wanted_after_it() {
    let mut world = World::new(&["{}", "{ }", "[]"]);
    let second = world.go_back("2");
    let first = world.go_back("1");
    let err = refused_by_guest(StartStep::SetUp);
    let resource = world.decl.resource.clone();
    world
        .resolver
        .does_not_stand(&resource, &second, Some(&err));
    let (serves, _) = world.resolve();
    assert_eq!(&serves.spec().config[..], b"{}");
    world.resolver.stands(&resource, &first);
    world.resolver.does_not_stand(&resource, &first, None);
    let (serves, _) = world.resolve();
    assert_eq!(&serves.spec().config[..], b"{}", "it serves already");
}

#[test]
fn until_it_serves_nothing_is_noted_of_it() {
    let mut world = World::new(&["{}", "{ }"]);
    let resource = world.decl.resource.clone();
    world.resolver.changed_histories();
    let version = world.go_back("1");
    assert!(world.resolver.is_going_back(&resource));
    world
        .resolver
        .chronicle(SystemTime::now(), &[], Some(&world.store));
    let entries = |world: &World| {
        let versions = world.resolver.versions(&resource);
        versions.map_or(0, |versions| versions.entries().len())
    };
    assert_eq!(entries(&world), 2);
    assert!(world.resolver.changed_histories().is_empty());
    world.resolver.stands(&resource, &version);
    world
        .resolver
        .chronicle(SystemTime::now(), &[], Some(&world.store));
    assert_eq!(entries(&world), 3);
    assert_eq!(world.resolver.changed_histories().len(), 1);
}

#[test]
fn what_serves_once_is_not_forgotten_about() {
    let mut world = World::new(&["{}", "{ }"]);
    let version = world.go_back("1");
    world.resolver.stands(&world.decl.resource, &version);
    assert!(!world.resolver.break_promise(&world.decl.resource));
    let mut world = World::new(&["{}", "{ }"]);
    world.go_back("1");
    load(&mut world.resolver, &world.decl, Some(&world.store));
    assert!(!world.resolver.break_promise(&world.decl.resource));
    let (serves, _) = world.resolve();
    assert_eq!(&serves.spec().config[..], b"{}");
}
