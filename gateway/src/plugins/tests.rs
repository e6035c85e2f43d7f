//! Which version of a plugin serves.

mod looking_on;
mod remote;
mod urgency;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_config::document::Document;
use tidegate_config::draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::parse;
use tidegate_config::place::Place;
use tidegate_config::resource::ResourceId;
use tidegate_config::written::Written;
use tidegate_core::snapshot::PluginName;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::StartError;
use tidegate_host_abi::StartStep;

use super::Reason;
use super::Resolved;
use super::Resolver;
use super::Slot;
use super::not_started;
use super::problems;
use super::wishes::Wish;
use crate::state::Store;
use crate::state::Stored;

/// A filter that takes any configuration as long as it has not more than `most` bytes.
pub(super) fn filter(most: usize) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                (i32.le_u (local.get 1) (i32.const {most}))))"#
    );
    wat::parse_str(text).expect("WAT")
}

pub(super) fn decl(name: &str, file: &Path, config: &str) -> PluginDecl {
    let place = |line| Place {
        file: Arc::from(Path::new("gateway.yaml")),
        line,
        column: 1,
        length: 1,
    };
    PluginDecl {
        resource: ResourceId {
            kind: "Plugin",
            namespace: Arc::from("default"),
            name: Arc::from(name),
        },
        name: PluginName(format!("default/{name}").into()),
        data_of: String::new(),
        source: PluginSource::File(file.to_owned()),
        source_place: place(1),
        sha256: None,
        config_place: place(2),
        root_id: String::new(),
        vm_id: String::new(),
        vm_config: Bytes::new(),
        traps_unknown_imports: false,
        config: Bytes::copy_from_slice(config.as_bytes()),
        config_written: None,
        env: Vec::new(),
        kind: draft::PluginType::Http,
        isolation: draft::PluginIsolation::Worker,
        stop_iteration: None,
        strict: false,
        failure_policy: draft::FailurePolicy::FailOpen,
        memory_bytes: 1 << 20,
        instances: 1,
        call_timeout: Duration::from_secs(1),
        start_timeout: Duration::from_secs(10),
        probation: tidegate_core::rollout::probation::Rule::default(),
        shadow: None,
        backends: Vec::new(),
        dns: false,
        attached: true,
        made_of: Vec::new(),
    }
}

pub(super) struct Folder {
    folder: tempfile::TempDir,
    pub(super) file: PathBuf,
}

impl Folder {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("limit.wasm");
        let this = Self { folder, file };
        this.write(&filter(4));
        this
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        std::fs::write(&self.file, bytes).expect("written");
    }
}

#[track_caller]
pub(super) fn only(resolved: &Resolved) -> &Slot {
    let [slot] = resolved.slots.as_slice() else {
        panic!("one slot: {resolved:?}");
    };
    slot
}

#[track_caller]
pub(super) fn plugin(resolved: &Resolved) -> Arc<Plugin> {
    match only(resolved) {
        Slot::Ready { plugin, .. } => Arc::clone(plugin),
        Slot::Refused(policy) => panic!("refused ({policy:?}): {resolved:?}"),
    }
}

/// The one refusal, without its message, and where it is reported.
#[track_caller]
fn refusal(resolved: &Resolved) -> (&'static str, bool, u32) {
    let [problem] = resolved.problems.as_slice() else {
        panic!("one problem: {resolved:?}");
    };
    let line = problem.place.as_ref().map_or(0, |place| place.line);
    (problem.reason, problem.hint.is_some(), line)
}

#[test]
fn an_unchanged_plugin_stays_the_same_and_a_changed_one_does_not() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let mut resolve = |config| {
        let resolved = resolver.resolve(&[decl("a", &folder.file, config)], None);
        resolver.commit();
        plugin(&resolved)
    };
    let first = resolve("{}");
    folder.write(&filter(4));
    assert!(Arc::ptr_eq(&first, &resolve("{}")));
    let configured = resolve("{ }");
    assert!(!Arc::ptr_eq(&first, &configured));
    assert!(
        Arc::ptr_eq(first.module(), configured.module()),
        "the same code is compiled once"
    );
    folder.write(&filter(5));
    assert!(!Arc::ptr_eq(&configured, &resolve("{ }")));
}

#[test]
fn what_fails_is_refused_at_its_place_and_the_version_before_serves_on() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let good = resolver.resolve(&[decl("a", &folder.file, "{}")], None);
    let good = plugin(&good);
    resolver.commit();
    let mut refused = |config: &str| {
        let resolved = resolver.resolve(&[decl("a", &folder.file, config)], None);
        resolver.commit();
        assert!(Arc::ptr_eq(&good, &plugin(&resolved)));
        refusal(&resolved)
    };
    assert_eq!(refused("too long"), ("ConfigRefused", true, 2));
    assert_eq!(refused("too long"), ("ConfigRefused", true, 2));
    folder.write(b"\0asm");
    assert_eq!(refused("{}"), ("InvalidModule", true, 1));
    std::fs::remove_file(&folder.file).expect("removed");
    assert_eq!(refused("{}"), ("SourceNotReadable", true, 1));
    folder.write(&filter(4));
    let repaired = resolver.resolve(&[decl("a", &folder.file, "{}")], None);
    assert!(repaired.problems.is_empty());
    assert!(Arc::ptr_eq(&good, &plugin(&repaired)));
}

/// The same filter, with a schema that wants a number `a`.
fn filter_of_numbers() -> Vec<u8> {
    let schema = r#"{\"configSchema\":{\"properties\":{\"a\":{\"type\":\"integer\"}}}}"#;
    let text = format!(
        r#"(module (@custom "tidegate.manifest" "{schema}") (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0)))"#
    );
    wat::parse_str(text).expect("WAT")
}

/// A declaration with a configuration in the file.
fn written(file: &Path, config: &str) -> PluginDecl {
    let text = format!("apiVersion: v1\nkind: K\nmetadata: {{ name: x }}\nconfig:\n  {config}");
    let name: Arc<Path> = Arc::from(Path::new("gateway.yaml"));
    let document = Document::new(&name, 1, text);
    let parsed = parse::parse(&document, &mut Vec::new());
    let (_, node) = parsed[0].root.entry("config").expect("a configuration");
    PluginDecl {
        config_written: Some(Written::of(node.clone(), document.origin)),
        ..decl("a", file, &node.to_json().to_string())
    }
}

#[test]
fn what_its_schema_refuses_stands_at_its_place_and_the_version_before_serves_on() {
    let folder = Folder::new();
    folder.write(&filter_of_numbers());
    let mut resolver = Resolver::default();
    let good = resolver.resolve(&[written(&folder.file, "a: 1")], None);
    let good = plugin(&good);
    resolver.commit();
    for _ in 0..2 {
        let resolved = resolver.resolve(&[written(&folder.file, "a: one")], None);
        resolver.commit();
        assert!(Arc::ptr_eq(&good, &plugin(&resolved)));
        assert_eq!(refusal(&resolved), ("ConfigRefused", true, 5));
    }
    let mended = resolver.resolve(&[written(&folder.file, "a: 2")], None);
    assert!(mended.problems.is_empty());
    assert!(!Arc::ptr_eq(&good, &plugin(&mended)));
}

#[test]
fn without_a_version_before_its_policy_decides() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let resolved = resolver.resolve(&[decl("a", &folder.file, "too long")], None);
    assert_eq!(refusal(&resolved), ("ConfigRefused", false, 2));
    assert!(matches!(
        only(&resolved),
        Slot::Refused(FailurePolicy::FailOpen)
    ));
}

/// What the data plane says of a plugin that refused in words of its own.
pub(super) fn refused_by_guest(step: StartStep) -> StartError {
    StartError {
        step,
        plugin: "default/a".to_owned(),
        fault: None,
        log: vec!["password \"c0ffee\" is wrong\n".to_owned()],
    }
}

/// Which plugins are refused, and the reasons.
fn reject(resolver: &mut Resolver, name: &str) -> Vec<(String, String)> {
    let rejected = resolver.reject(name, &refused_by_guest(StartStep::VmStart));
    let words = |(resource, reason): (ResourceId, Reason)| {
        assert_eq!(reason.reason, "NotStarted");
        (resource.name.to_string(), reason.message)
    };
    rejected.refused.into_iter().map(words).collect()
}

#[test]
fn what_the_data_plane_rejects_falls_back_once() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let good = plugin(&resolver.resolve(&[decl("a", &folder.file, "{}")], None));
    resolver.commit();
    resolver.resolve(&[decl("a", &folder.file, "{ }")], None);
    let because = "it refused to start; the log has what it said";
    let itself = [("a".to_owned(), because.to_owned())];
    assert_eq!(reject(&mut resolver, "default/a"), itself);
    let again = resolver.resolve(&[decl("a", &folder.file, "{ }")], None);
    assert_eq!(refusal(&again), ("NotStarted", true, 1));
    assert!(Arc::ptr_eq(&good, &plugin(&again)));
    let nothing_older = reject(&mut resolver, "default/a");
    assert_eq!(nothing_older, []);
}

#[test]
fn for_an_unchanged_plugin_what_is_new_beside_it_is_rejected() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let names = |rejected: Vec<(String, String)>| -> Vec<String> {
        rejected.into_iter().map(|(name, _)| name).collect()
    };
    let unlike = |name: &str, config: &str| PluginDecl {
        vm_id: "other".to_owned(),
        ..decl(name, &folder.file, config)
    };
    let a = || decl("a", &folder.file, "{}");
    resolver.resolve(&[a(), unlike("c", "{}")], None);
    resolver.commit();
    let b = decl("b", &folder.file, "{}");
    resolver.resolve(&[a(), b, unlike("c", "{ }")], None);
    assert_eq!(names(reject(&mut resolver, "default/a")), ["b"]);
    resolver.resolve(&[a(), unlike("c", "[ ]")], None);
    assert_eq!(names(reject(&mut resolver, "default/a")), ["c"]);
    assert_eq!(names(reject(&mut resolver, "default/nobody")), [""; 0]);
}

#[test]
fn after_a_restart_what_is_new_is_blamed_before_what_served_but_not_for_a_setup() {
    let folder = Folder::new();
    let (a, b) = (decl("a", &folder.file, "{}"), decl("b", &folder.file, "{}"));
    let mut before = Resolver::default();
    before.resolve(&[a.clone(), b], None);
    before.commit();
    let stored = before.stored();
    for (step, blamed) in [(StartStep::VmStart, "b"), (StartStep::SetUp, "a")] {
        let mut resolver = Resolver::default();
        resolver.restore(stored.clone());
        resolver.resolve(&[a.clone(), decl("b", &folder.file, "{ }")], None);
        let rejected = resolver.reject("default/a", &refused_by_guest(step));
        let refused = rejected.refused.iter();
        let names: Vec<&str> = refused.map(|(resource, _)| &*resource.name).collect();
        assert_eq!((names, rejected.is_news), (vec![blamed], true), "{step:?}");
    }
}

#[test]
fn what_a_guest_said_is_in_the_reason_only_for_those_who_see_no_log() {
    let err = refused_by_guest(StartStep::Configure);
    let public = not_started(&err, false).message;
    assert_eq!(
        public,
        "it refused its configuration; the log has what it said"
    );
    let candid = not_started(&err, true).message;
    assert_eq!(
        candid,
        "it refused its configuration; it said: password \"c0ffee\" is wrong"
    );
}

#[test]
fn a_restart_falls_back_to_what_served_before_it() {
    let folder = Folder::new();
    let state = folder.folder.path().join("state");
    let mut store = Store::open(&state).expect("a store");
    let mut resolver = Resolver::default();
    resolver.resolve(&[decl("a", &folder.file, "{}")], Some(&store));
    resolver.commit();
    resolver.keep_code(Some(&store));
    let stored = Stored {
        generation: 1,
        documents: Vec::new(),
        plugins: resolver.stored(),
    };
    store.save(&stored, std::iter::empty()).expect("saved");
    folder.write(b"broken");
    drop(store); // It is one gateway's at a time.

    let store = Store::open(&state).expect("a store");
    let stored = store.load().expect("read").expect("something");
    let mut resolver = Resolver::default();
    resolver.restore(stored.plugins.clone());
    let resolved = resolver.resolve(&[decl("a", &folder.file, "too long")], Some(&store));
    assert_eq!(refusal(&resolved), ("InvalidModule", true, 1));
    assert_eq!(plugin(&resolved).spec().config, "{}");
    resolver.commit();
    assert_eq!(resolver.stored(), stored.plugins, "it stays the fallback");
}

#[test]
fn what_imports_the_unknown_is_refused_by_name_unless_it_may_fail_later() {
    let folder = Folder::new();
    let module = wat::parse_str(
        r#"(module
            (import "env" "proxy_rewind" (func (param i32)))
            (import "env" "proxy_forward" (func (param i32)))
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#,
    );
    folder.write(&module.expect("WAT"));
    let mut resolver = Resolver::default();
    let strict = decl("limit", &folder.file, "");
    let resolved = resolver.resolve(std::slice::from_ref(&strict), None);
    let problem = &resolved.problems.first().expect("a problem").message;
    for name in ["env.proxy_rewind", "env.proxy_forward"] {
        assert!(problem.contains(name), "{problem}");
    }
    let lenient = PluginDecl {
        traps_unknown_imports: true,
        ..strict
    };
    let resolved = resolver.resolve(&[lenient], None);
    assert!(resolved.problems.is_empty(), "{:?}", resolved.problems);
    assert!(matches!(resolved.slots.first(), Some(Slot::Ready { .. })));
}

#[test]
fn what_is_wrong_with_a_plugin_made_of_policies_is_said_of_each_of_them() {
    let policy = |name: &str| ResourceId {
        kind: "AuthorizationPolicy",
        namespace: Arc::from("default"),
        name: Arc::from(name),
    };
    let of = |name: &str| {
        let decl = decl(name, Path::new("none.wasm"), "");
        (policy(name), decl.source_place)
    };
    let decl = PluginDecl {
        made_of: vec![of("a"), of("b")],
        ..decl("edge", Path::new("none.wasm"), "")
    };
    let mut resolver = Resolver::default();
    let resolved = resolver.resolve(&[decl], None);
    let told = resolved.problems.iter().map(|one| one.resource.clone());
    assert_eq!(
        told.collect::<Vec<_>>(),
        [Some(policy("a")), Some(policy("b"))]
    );
}

#[test]
fn what_a_filter_says_of_a_value_is_told_where_the_value_stands() {
    let decl = written(Path::new("none.wasm"), "limits: [1, 2]");
    let reason = |said: &str| Reason {
        reason: "ConfigRefused",
        message: "it refused its configuration".to_owned(),
        about_config: true,
        said: Some(said.to_owned()),
    };
    let place = |said: &str| {
        let problems = problems(&decl, &reason(said));
        let place = problems.first().and_then(|one| one.place.clone());
        place.map(|place| (place.line, place.column))
    };
    assert_eq!(
        place("the plugin's configuration: limits[1]: too much"),
        Some((5, 15))
    );
    assert_eq!(place("no memory: none"), Some((2, 1)));
}

/// Loads it, and notes what serves.
pub(super) fn load(resolver: &mut Resolver, decl: &PluginDecl, store: Option<&Store>) -> Resolved {
    let resolved = resolver.resolve(std::slice::from_ref(decl), store);
    resolver.commit();
    resolver.keep_code(store);
    resolver.chronicle(std::time::SystemTime::now(), &[], store);
    resolved
}

#[test]
fn what_failed_once_serves_on_after_it_was_gone_back_to_by_hand() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    let first = decl("a", &folder.file, "{}");
    let second = decl("a", &folder.file, "{ }");
    let config = |resolver: &mut Resolver, decl| {
        let serves = plugin(&load(resolver, decl, None));
        serves.spec().config.clone()
    };
    config(&mut resolver, &first);
    config(&mut resolver, &second);
    resolver.resolve(std::slice::from_ref(&first), None);
    let itself = reject(&mut resolver, "default/a");
    assert_eq!(itself.len(), 1, "it does not start now");
    assert_eq!(config(&mut resolver, &first), "{ }");
    assert_eq!(config(&mut resolver, &second), "{ }");
    resolver
        .fulfil("default/a", &Wish::Back(Some("1".to_owned())), None)
        .expect("it starts again");
    for _ in 0..2 {
        assert_eq!(config(&mut resolver, &second), "{}");
    }
}
