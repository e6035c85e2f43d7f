//! What only looks on, beside what acts.

use tidegate_config::draft;
use tidegate_config::draft::PluginDecl;
use tidegate_host_abi::FailurePolicy;

use super::Folder;
use super::decl;
use super::load;
use super::only;
use super::plugin;
use crate::plugins::Resolver;
use crate::plugins::Slot;
use crate::plugins::wishes::Wish;
use crate::plugins::wishes::WishError;
use crate::state::Store;

/// The same, as one that only looks on.
fn looking_on(decl: PluginDecl) -> PluginDecl {
    PluginDecl {
        shadow: Some(draft::ShadowDecl::default()),
        ..decl
    }
}

#[test]
fn a_plugin_that_is_to_act_never_falls_back_to_one_that_only_looks_on() {
    let folder = Folder::new();
    let of = |config: &str| PluginDecl {
        failure_policy: draft::FailurePolicy::FailClosed,
        ..decl("a", &folder.file, config)
    };
    let mut resolver = Resolver::default();
    plugin(&load(&mut resolver, &looking_on(of("{}")), None));
    // Another configuration comes with the change, and is refused.
    let refused = load(&mut resolver, &of("too long"), None);
    let slot = only(&refused);
    assert!(
        matches!(slot, Slot::Refused(FailurePolicy::FailClosed)),
        "{slot:?}"
    );
    // One that has acted serves on, whatever has looked on meanwhile.
    plugin(&load(&mut resolver, &of("{}"), None));
    plugin(&load(&mut resolver, &looking_on(of("{ }")), None));
    let acts = plugin(&load(&mut resolver, &of("too long"), None));
    assert_eq!(acts.spec().config, "{}");
    assert!(acts.spec().shadow.is_none());
    // In the place of one that only looks on, what acted may serve.
    let acts = plugin(&load(&mut resolver, &looking_on(of("too long")), None));
    assert!(acts.spec().shadow.is_none());
}

#[test]
fn a_version_that_acts_is_on_probation_only_with_one_behind_it_that_acted() {
    let folder = Folder::new();
    let shadow = looking_on(decl("a", &folder.file, "{}"));
    let first = decl("a", &folder.file, "{}");
    let second = decl("a", &folder.file, "{ }");
    let resource = first.resource.clone();
    let store = Store::open(&folder.folder.path().join("state")).expect("a store");
    let mut resolver = Resolver::default();
    load(&mut resolver, &shadow, Some(&store));
    load(&mut resolver, &first, Some(&store));
    assert!(resolver.fallback(&resource, Some(&store)).is_none());
    load(&mut resolver, &shadow, Some(&store));
    load(&mut resolver, &second, Some(&store));
    let fallback = resolver
        .fallback(&resource, Some(&store))
        .expect("the first");
    assert_eq!(fallback.number, 2);
}

#[test]
fn one_that_looked_on_is_not_gone_back_to_by_hand_while_one_that_acts_is_wanted() {
    let folder = Folder::new();
    let shadow = looking_on(decl("a", &folder.file, "{}"));
    let mut resolver = Resolver::default();
    load(&mut resolver, &shadow, None);
    load(&mut resolver, &decl("a", &folder.file, "{}"), None);
    let back = |to: Option<&str>| Wish::Back(to.map(str::to_owned));
    let err = resolver.fulfil("default/a", &back(Some("1")), None);
    assert!(matches!(err, Err(WishError::OnlyLooksOn { .. })), "{err:?}");
    let err = resolver.fulfil("default/a", &back(None), None);
    assert!(matches!(err, Err(WishError::NothingBefore(_))), "{err:?}");
    // While only one that looks on is wanted, what acted may be.
    load(
        &mut resolver,
        &looking_on(decl("a", &folder.file, "{ }")),
        None,
    );
    resolver
        .fulfil("default/a", &back(Some("2")), None)
        .expect("it acted");
}
