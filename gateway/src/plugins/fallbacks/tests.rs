//! How often it is looked for what versions go back to.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tidegate_config::draft::PluginDecl;
use tidegate_core::rollout::history::Why;

use crate::plugins::Resolver;
use crate::plugins::tests::Folder;
use crate::plugins::tests::decl;
use crate::plugins::tests::filter;
use crate::plugins::versions::Fallback;
use crate::plugins::wishes::Wish;
use crate::pulls::Pulls;
use crate::pulls::tests::Fake;
use crate::state::Store;
use crate::state::hex;

/// Plugins whose changes are taken as the control thread takes them, with somebody who counts.
struct World {
    folder: Folder,
    store: Store,
    resolver: Resolver,
    fake: Arc<Fake>,
    decls: Vec<PluginDecl>,
}

impl World {
    /// One with the plugins `a` and `b`, each in its second version, on probation.
    fn new() -> Self {
        let folder = Folder::new();
        let fake = Arc::new(Fake::default());
        let mut resolver = Resolver::default();
        resolver.set_pulls(Pulls::new(Arc::clone(&fake) as _, || {}));
        let store = Store::open(&folder.file.with_file_name("state")).expect("a store");
        let mut world = Self {
            folder,
            store,
            resolver,
            fake,
            decls: Vec::new(),
        };
        for config in ["{}", "{ }"] {
            world.decls = vec![world.decl("a", config), world.decl("b", config)];
            world.change();
        }
        world
    }

    fn decl(&self, name: &str, config: &str) -> PluginDecl {
        let variable = ("A".to_owned(), "value".to_owned());
        PluginDecl {
            env: vec![variable],
            ..decl(name, &self.folder.file, config)
        }
    }

    /// Loads everything and has it serve; says how often it was looked for what `a` and `b` go back to.
    fn change(&mut self) -> usize {
        let store = Some(&self.store);
        self.resolver.begin(false);
        let resolved = self.resolver.resolve(&self.decls, store);
        self.resolver.end();
        self.resolver.commit();
        self.resolver.keep_code(store);
        let slots = resolved.slots.len();
        assert_eq!(slots, self.decls.len());
        self.note()
    }

    fn note(&mut self) -> usize {
        self.resolver
            .chronicle(SystemTime::now(), &[], Some(&self.store));
        self.resolver.see_code(Some(&self.store));
        let before = self.fake.vouched();
        self.fallback("a");
        self.fallback("b");
        self.fake.vouched() - before
    }

    fn fallback(&mut self, name: &str) -> Option<Fallback> {
        let resource = decl(name, Path::new("unused"), "").resource;
        self.resolver.fallback(&resource, Some(&self.store))
    }
}

#[test]
fn what_versions_go_back_to_is_looked_for_once_however_much_else_changes() {
    let mut world = World::new();
    let number = |world: &mut World, name: &str| world.fallback(name).map(|it| it.number);
    assert_eq!(number(&mut world, "a"), Some(1));
    for config in ["{}", "{ }", "[]"] {
        let other = world.folder.file.with_file_name("other.wasm");
        std::fs::write(&other, filter(config.len() + 9)).expect("written");
        world.decls.truncate(2);
        let other = decl("other", &other, config);
        world.decls.push(other);
        assert_eq!(world.change(), 0, "{config}");
    }
    world.decls.truncate(2);
    assert_eq!(world.change(), 0, "one is gone");
    assert_eq!(number(&mut world, "a"), Some(1));
    assert_eq!(number(&mut world, "b"), Some(1));
}

#[test]
fn it_is_looked_for_anew_for_the_plugin_whose_rights_or_version_or_place_changed() {
    let mut world = World::new();
    world.decls[0] = world.decl("a", "[]");
    assert_eq!(world.change(), 1, "another version of a");
    assert_eq!(world.fallback("a").map(|it| it.number), Some(2));
    // Refused, and heard all the same.
    world.decls[0] = PluginDecl {
        env: Vec::new(),
        ..world.decl("a", "too long")
    };
    assert!(world.change() > 0, "rights of a");
    let fallback = world.fallback("a").expect("there is one");
    let plugin = fallback.plugin().expect("compiled");
    assert!(plugin.spec().env.is_empty(), "it is without the variable");
    assert_eq!(world.change(), 0, "refused again, and known");
    world.decls[1].shadow = Some(tidegate_config::draft::ShadowDecl::default());
    world.decls[1].config = "too long".into();
    assert_eq!(world.change(), 1, "b may be stood in for by others");
    assert_eq!(world.change(), 0);
}

#[test]
fn it_is_looked_for_anew_when_a_version_was_taken_back_or_let_serve_again() {
    let mut world = World::new();
    let fallback = world.fallback("a").expect("the first");
    let resource = world.decls[0].resource.clone();
    world.resolver.take_back(&resource, &fallback, Why::ByHand);
    world.change();
    assert_eq!(world.change(), 0);
    assert!(world.fallback("a").is_none(), "the other one is barred");
    let said = world
        .resolver
        .fulfil("default/a", &Wish::Resume, Some(&world.store));
    said.expect("it is lifted");
    assert_eq!(world.note(), 1);
    assert_eq!(world.fallback("a").map(|it| it.number), Some(2));
}

#[test]
fn it_is_looked_for_anew_when_code_comes_or_goes_that_may_be_gone_back_to() {
    let mut world = World::new();
    let resource = world.decls[0].resource.clone();
    let versions = world.resolver.versions(&resource).expect("it has served");
    let digest = versions.entries()[0].version.digest;
    // What serves has other code, and what is gone back to is compiled.
    world.folder.write(&filter(5));
    world.change();
    assert_eq!(world.change(), 0);
    let modules = world.folder.file.with_file_name("state").join("modules");
    let name = format!("{}.wasm", hex(&digest));
    std::fs::remove_file(modules.join(&name)).expect("it was kept");
    assert_eq!(world.note(), 2, "it went");
    assert_eq!(world.note(), 0);
    world.store.keep_module(&digest, &filter(4)).expect("kept");
    assert_eq!(world.note(), 2, "it came");
    assert_eq!(world.note(), 0);
}

#[test]
fn it_is_looked_for_anew_when_the_rules_change_or_everything_is_asked_for() {
    let mut world = World::new();
    world.fake.want_signed("unused", 99);
    assert_eq!(world.change(), 2, "the rules are others");
    assert_eq!(world.change(), 0);
    world.resolver.begin(true);
    assert_eq!(world.note(), 2);
    assert_eq!(world.note(), 0);
}
