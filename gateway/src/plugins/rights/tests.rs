//! What older versions lose.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::ShadowDecl;
use tidegate_core::rollout::history::Why;
use tidegate_host_abi::FailurePolicy;
use tidegate_proxy::Reachable;

use crate::plugins::Resolved;
use crate::plugins::Resolver;
use crate::plugins::Slot;
use crate::plugins::tests::Folder;
use crate::plugins::tests::decl;
use crate::plugins::tests::filter;
use crate::plugins::tests::only;
use crate::plugins::tests::plugin;
use crate::plugins::wishes::Wish;
use crate::state::Store;

/// A declaration that may have so much.
fn with(file: &Path, config: &str, backends: &[&str], dns: bool, env: &[&str]) -> PluginDecl {
    let variable = |name: &&str| ((*name).to_owned(), "value".to_owned());
    PluginDecl {
        backends: backends.iter().map(|name| Arc::from(*name)).collect(),
        dns,
        env: env.iter().map(variable).collect(),
        ..decl("a", file, config)
    }
}

fn load(resolver: &mut Resolver, decls: &[&PluginDecl]) -> Resolved {
    load_with(resolver, decls, None)
}

/// The same with a state folder.
fn load_with(resolver: &mut Resolver, decls: &[&PluginDecl], store: Option<&Store>) -> Resolved {
    resolver.begin(false);
    let mut last = Resolved::default();
    for decl in decls {
        last = resolver.resolve(std::slice::from_ref(*decl), store);
    }
    resolver.end();
    resolver.commit();
    resolver.keep_code(store);
    resolver.chronicle(SystemTime::now(), &[], store);
    last
}

#[track_caller]
fn is_refused(resolved: &Resolved) {
    let slot = only(resolved);
    assert!(matches!(slot, Slot::Refused(_)), "{slot:?}");
}

#[track_caller]
fn reachable(resolved: &Resolved) -> Reachable {
    match only(resolved) {
        Slot::Ready { reachable, .. } => Reachable::clone(reachable),
        Slot::Refused(policy) => panic!("refused ({policy:?}): {resolved:?}"),
    }
}

fn names(resolved: &Resolved) -> Vec<String> {
    let plugin = plugin(resolved);
    let env = plugin.spec().env.iter();
    env.map(|(name, _)| name.clone()).collect()
}

#[test]
fn what_serves_in_the_place_of_a_version_that_fails_loses_what_that_one_may_not_have() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let good = with(&folder.file, "{}", &["d/a", "d/b"], true, &["A", "B"]);
    load(&mut resolver, &[&good]);
    let bad = with(&folder.file, "too long", &["d/b", "d/c"], false, &["B"]);
    let resolved = load(&mut resolver, &[&bad]);
    let left = Reachable {
        backends: vec![Arc::from("d/b")],
        dns: false,
    };
    assert_eq!(reachable(&resolved), left);
    assert_eq!(names(&resolved), ["B"]);
    assert_eq!(plugin(&resolved).spec().config, "{}");
    let hint = resolved.problems[0].hint.as_deref().unwrap_or_default();
    assert!(
        hint.ends_with("gives no longer: backend d/a, DNS, variable A"),
        "{hint}"
    );
    // As a load goes on after the refusal: with the resource of before.
    let resolved = load(&mut resolver, &[&bad, &good]);
    assert!(resolved.problems.is_empty(), "{resolved:?}");
    assert_eq!(reachable(&resolved), left);
    assert_eq!(names(&resolved), ["B"]);
    // Given again, it is there again.
    let resolved = load(&mut resolver, &[&good]);
    assert_eq!(reachable(&resolved).backends.len(), 2);
    assert_eq!(names(&resolved), ["A", "B"]);
}

#[test]
fn a_shadow_that_serves_on_loses_the_backends_that_it_may_not_call_as_one_any_more() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let looking_on = |config: &str, shown: &[&str]| PluginDecl {
        shadow: Some(ShadowDecl {
            backends: shown.iter().map(|name| Arc::from(*name)).collect(),
            ..ShadowDecl::default()
        }),
        ..with(&folder.file, config, &["d/a", "d/b"], false, &[])
    };
    let shown = |resolved: &Resolved| {
        let shadow = plugin(resolved).spec().shadow.clone();
        shadow.expect("it looks on").backends
    };
    let good = looking_on("{}", &["d/a", "d/b"]);
    load(&mut resolver, &[&good]);
    let bad = looking_on("too long", &["d/b"]);
    let resolved = load(&mut resolver, &[&bad]);
    assert_eq!(shown(&resolved), ["d/b"]);
    let hint = resolved.problems[0].hint.as_deref().unwrap_or_default();
    assert!(
        hint.ends_with("gives no longer: backend d/a as a shadow"),
        "{hint}"
    );
    let resolved = load(&mut resolver, &[&bad, &good]);
    assert_eq!(shown(&resolved), ["d/b"]);
    let resolved = load(&mut resolver, &[&good]);
    assert_eq!(shown(&resolved), ["d/a", "d/b"]);
    // One that is to act says nothing of shadows.
    let acts = with(&folder.file, "too long", &["d/a", "d/b"], false, &[]);
    let resolved = load(&mut resolver, &[&acts, &good]);
    assert_eq!(shown(&resolved), ["d/a", "d/b"]);
}

/// A filter that does not start without a variable.
fn needing_a_variable() -> Vec<u8> {
    let module = wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "environ_sizes_get"
                (func $sizes (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
                (drop (call $sizes (i32.const 0) (i32.const 4)))
                (i32.load (i32.const 0))))"#,
    );
    module.expect("WAT")
}

#[test]
fn what_does_not_start_without_a_variable_that_was_withdrawn_does_not_serve() {
    let folder = Folder::new();
    folder.write(&needing_a_variable());
    let mut resolver = Resolver::default();
    let good = with(&folder.file, "{}", &[], false, &["A"]);
    plugin(&load(&mut resolver, &[&good]));
    folder.write(b"broken");
    let resolved = load(&mut resolver, &[&with(&folder.file, "{}", &[], false, &[])]);
    assert!(matches!(
        only(&resolved),
        Slot::Refused(FailurePolicy::FailOpen)
    ));
    let hint = resolved.problems[0].hint.as_deref().unwrap_or_default();
    assert!(hint.contains("no version before it"), "{hint}");
    assert!(hint.ends_with("gives no longer: variable A"), "{hint}");
}

#[test]
fn what_needs_a_variable_serves_again_once_that_is_given_again_and_not_before() {
    let folder = Folder::new();
    folder.write(&needing_a_variable());
    let given = with(&folder.file, "{}", &[], false, &["A"]);
    let withdrawn = with(&folder.file, "{}", &[], false, &["B"]);
    let mut resolver = Resolver::default();
    load(&mut resolver, &[&given]);
    folder.write(b"broken");
    for _ in 0..3 {
        // As a load goes on after the refusal: with the resource of before.
        is_refused(&load(&mut resolver, &[&withdrawn, &given]));
        assert_eq!(resolver.stored().served, [], "it does not serve");
    }
    let resolved = load(&mut resolver, &[&given]);
    assert_eq!(names(&resolved), ["A"]);
    assert!(!resolved.problems.is_empty(), "the code is broken still");
    is_refused(&load(&mut resolver, &[&withdrawn]));
    // A version that works is the last good one then.
    folder.write(&filter(4));
    plugin(&load(&mut resolver, &[&withdrawn]));
    folder.write(b"broken");
    assert_eq!(names(&load(&mut resolver, &[&given])), [""; 0]);
}

#[test]
fn what_needs_a_variable_serves_again_also_after_a_restart_and_not_by_a_resource_of_before() {
    let folder = Folder::new();
    folder.write(&needing_a_variable());
    let given = with(&folder.file, "{}", &[], false, &["A"]);
    let withdrawn = with(&folder.file, "{}", &[], false, &[]);
    let store = Store::open(&folder.file.with_file_name("state")).expect("a store");
    let mut resolver = Resolver::default();
    load_with(&mut resolver, &[&given], Some(&store));
    folder.write(b"broken");
    is_refused(&load_with(&mut resolver, &[&withdrawn], Some(&store)));
    let stored = resolver.stored();
    let mut resolver = Resolver::default();
    resolver.restore(stored.clone());
    // The resource as it is written is wrong: the one of before is what is left of it.
    resolver.begin(false);
    resolver.rights.hear(std::slice::from_ref(&given), |_| true);
    is_refused(&resolver.resolve(std::slice::from_ref(&given), Some(&store)));
    resolver.commit();
    assert_eq!(resolver.stored(), stored, "the next restart knows as much");
    let resolved = load_with(&mut resolver, &[&given], Some(&store));
    assert_eq!(names(&resolved), ["A"]);
}

#[test]
fn what_serves_with_less_stays_the_same_instances_until_it_may_have_more() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let given = with(&folder.file, "{}", &["d/a"], true, &["A"]);
    let withdrawn = with(&folder.file, "too long", &[], false, &[]);
    load(&mut resolver, &[&given]);
    folder.write(b"broken");
    let first = plugin(&load(&mut resolver, &[&withdrawn, &given]));
    assert!(first.spec().env.is_empty());
    let again = load(&mut resolver, &[&withdrawn, &given]);
    assert!(Arc::ptr_eq(&first, &plugin(&again)));
    let hint = again.problems[0].hint.as_deref().unwrap_or_default();
    assert!(hint.ends_with("backend d/a, DNS, variable A"), "{hint}");
    let resolved = load(&mut resolver, &[&given]);
    assert_eq!(names(&resolved), ["A"]);
    assert_eq!(reachable(&resolved).backends.len(), 1);
}

#[test]
fn what_was_taken_back_with_less_does_not_come_back_for_want_of_it() {
    let folder = Folder::new();
    let store = Store::open(&folder.file.with_file_name("state")).expect("a store");
    let mut resolver = Resolver::default();
    let oldest = with(&folder.file, "{ }", &[], false, &[]);
    let given = with(&folder.file, "{}", &[], false, &["A"]);
    let withdrawn = with(&folder.file, "too long", &[], false, &[]);
    let resource = given.resource.clone();
    let config = |resolver: &mut Resolver, decl| {
        let serves = plugin(&load_with(resolver, &[decl], Some(&store)));
        serves.spec().config.clone()
    };
    config(&mut resolver, &oldest);
    config(&mut resolver, &given);
    assert_eq!(config(&mut resolver, &withdrawn), "{}", "without A");
    let fallback = resolver.fallback(&resource, Some(&store));
    resolver.take_back(&resource, &fallback.expect("the oldest"), Why::ByHand);
    for _ in 0..2 {
        assert_eq!(config(&mut resolver, &withdrawn), "{ }");
    }
}

#[test]
fn a_version_that_is_gone_back_to_has_no_more_than_its_plugin_may_have_now() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let first = with(&folder.file, "{}", &["d/a", "d/b"], true, &["A"]);
    load(&mut resolver, &[&first]);
    let second = with(&folder.file, "{ }", &["d/b"], false, &[]);
    load(&mut resolver, &[&second]);
    let resource = second.resource.clone();
    let fallback = resolver.fallback(&resource, None).expect("the first one");
    assert_eq!(fallback.number, 1);
    let left = Reachable {
        backends: vec![Arc::from("d/b")],
        dns: false,
    };
    assert_eq!(**fallback.reachable(), left);
    let compiled = fallback.plugin().expect("compiled");
    assert!(compiled.spec().env.is_empty(), "started without it");
    resolver
        .fulfil("default/a", &Wish::Back(None), None)
        .expect("it serves");
    let resolved = load(&mut resolver, &[&second]);
    assert_eq!(reachable(&resolved), left);
    assert_eq!(plugin(&resolved).spec().config, "{}");
    // It is what the resource asks for again.
    let resolved = load(&mut resolver, &[&first]);
    assert!(resolved.problems.is_empty(), "{resolved:?}");
    assert_eq!(reachable(&resolved).backends.len(), 2);
}

#[test]
fn a_version_is_no_fallback_of_what_it_becomes_without_a_variable_that_was_withdrawn() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let oldest = with(&folder.file, "{ }", &[], false, &["A"]);
    let first = with(&folder.file, "{}", &[], false, &["A"]);
    let second = with(&folder.file, "{}", &[], false, &[]);
    let resource = second.resource.clone();
    load(&mut resolver, &[&first]);
    load(&mut resolver, &[&second]);
    assert!(resolver.fallback(&resource, None).is_none());

    let mut resolver = Resolver::default();
    for decl in [&oldest, &first, &second] {
        load(&mut resolver, &[decl]);
    }
    // Compiled is what may be gone back to at once, and nothing else without a state folder.
    assert!(resolver.fallback(&resource, None).is_none());
    let state = folder.file.with_file_name("state");
    let store = Store::open(&state).expect("a store");
    resolver.resolve(std::slice::from_ref(&second), Some(&store));
    resolver.keep_code(Some(&store));
    resolver.see_code(Some(&store));
    let fallback = resolver.fallback(&resource, Some(&store));
    assert_eq!(fallback.map(|it| it.number), Some(1));
}
