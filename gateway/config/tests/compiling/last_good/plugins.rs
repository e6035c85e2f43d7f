//! What serves when plugins, and files that they name, get bad.

use std::path::Path;

use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginSource;
use tidegate_config::problem::Problem;

use super::GATEWAY;
use super::Gateway;
use super::backend;
use super::last_good;
use super::plugin;
use super::route;
use super::serves;

#[test]
fn a_plugin_that_does_not_start_keeps_its_last_good_version() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &plugin("old.wasm")]);
    gateway.load();
    gateway.write("a.yaml", &[GATEWAY, &plugin("new.wasm")]);
    let draft = gateway.loader.load();
    assert!(file_of(&draft).ends_with("new.wasm"));
    let problem = Problem::error(draft.plugins[0].source_place.clone(), "it does not start")
        .about(draft.plugins[0].resource.clone());
    let draft = gateway.loader.refuse(vec![problem]);
    gateway.loader.commit(&draft, &[]);
    assert!(file_of(&draft).ends_with("old.wasm"));
    assert_eq!(last_good(&draft), ["Plugin default/guard"]);
    assert_eq!(draft.problems.len(), 1);
    assert!(
        file_of(&gateway.loader.load()).ends_with("new.wasm"),
        "it is tried again"
    );
    let accepted = gateway.loader.accepted();
    let stored = accepted
        .iter()
        .find(|one| one.resource.kind == "Plugin")
        .expect("one");
    assert!(stored.text.contains("old.wasm"));
}

#[test]
fn a_plugin_that_never_started_refuses_its_requests() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &plugin("new.wasm")]);
    let draft = gateway.loader.load();
    let problem = Problem::error(draft.plugins[0].source_place.clone(), "it does not start")
        .about(draft.plugins[0].resource.clone());
    let draft = gateway.loader.refuse(vec![problem]);
    assert_eq!(draft.plugins[0].source, PluginSource::Refused);
    let listener = draft.snapshot.binds[0]
        .listeners
        .values()
        .next()
        .expect("one");
    assert_eq!(listener.plugins.len(), 1);
    assert!(
        draft
            .accepted
            .iter()
            .all(|one| one.resource.kind != "Plugin")
    );
}

fn file_of(draft: &Draft) -> &Path {
    match &draft.plugins.first().expect("one").source {
        PluginSource::File(path) => path,
        PluginSource::Builtin(name) => Path::new(name),
        PluginSource::Remote(_) => Path::new("remote"),
        PluginSource::Refused => Path::new("refused"),
    }
}

#[test]
fn a_file_of_endpoints_is_watched_and_keeps_its_last_good_content() {
    let mut gateway = Gateway::new();
    let backend = backend("1").replace(
        "endpoints: [{ address: '127.0.0.1:1' }]",
        "endpointsFile: ends.txt",
    );
    gateway.write("a.yaml", &[GATEWAY, &backend, &route("api", "1")]);
    gateway.write("ends.txt", &["- address: 127.0.0.1:1\n"]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    assert!(draft.watch.iter().any(|path| path.ends_with("ends.txt")));
    for bad in [
        "- address: here",
        "[",
        "- adress: 127.0.0.1:2",
        "- address: 169.254.169.254:80",
    ] {
        gateway.write("ends.txt", &[bad]);
        let draft = gateway.load();
        assert_eq!(serves(&draft), "1 by 1", "{bad}");
        let file = draft.problems[0]
            .place
            .as_ref()
            .map(|place| place.file.ends_with("ends.txt"));
        assert_eq!(file, Some(true), "{bad}");
        assert_eq!(serves(&gateway.restart(&draft)), "1 by 1", "{bad}");
    }
    gateway.remove("ends.txt");
    assert_eq!(serves(&gateway.load()), "1 by 1");
    gateway.write("ends.txt", &["[{\"address\": \"127.0.0.1:2\"}]"]);
    assert_eq!(serves(&gateway.load()), "2 by 1");
    gateway.write("ends.txt", &[""]);
    assert_eq!(serves(&gateway.load()), "503 by 1");
}

#[test]
fn a_value_from_a_file_is_watched_and_keeps_its_last_good_content() {
    let told = |draft: &Draft| {
        let plugin = draft.plugins.first().expect("one");
        String::from_utf8(plugin.config.to_vec()).expect("text")
    };
    let mut gateway = Gateway::new();
    let value = "valueFrom: { file: keys.json, format: Json }";
    let guard = format!("{}  config: {{ keys: {{ {value} }} }}\n", plugin("a.wasm"));
    gateway.write("a.yaml", &[GATEWAY, &guard]);
    // Nothing served before: requests are refused, they do not pass without the plugin.
    let draft = gateway.load();
    assert_eq!(draft.problems[0].reason, "ConfigNotReadable");
    assert_eq!(guarded(&draft), "default/edge/http refused");
    gateway.write("keys.json", &["[1]"]);
    let draft = gateway.load();
    assert_eq!(draft.problems, []);
    assert_eq!(told(&draft), r#"{"keys":[1]}"#);
    assert!(draft.watch.iter().any(|path| path.ends_with("keys.json")));
    for bad in ["[1", "[secret]", &"1".repeat(1 << 21)] {
        gateway.write("keys.json", &[bad]);
        let draft = gateway.load();
        let problem = &draft.problems[0];
        assert_eq!(draft.problems.len(), 1);
        assert!(!problem.message.contains("secret"), "{}", problem.message);
        assert_eq!(problem.place.as_ref().map(|place| place.line), Some(12));
        assert_eq!(told(&draft), r#"{"keys":[1]}"#, "{}", problem.message);
        assert_eq!(last_good(&draft), ["Plugin default/guard"]);
        assert_eq!(told(&gateway.restart(&draft)), r#"{"keys":[1]}"#);
    }
    gateway.remove("keys.json");
    assert_eq!(told(&gateway.load()), r#"{"keys":[1]}"#);
    gateway.write("keys.json", &["[2]"]);
    assert_eq!(told(&gateway.load()), r#"{"keys":[2]}"#);
}

/// What the plugins of each listener are, by name.
fn guarded(draft: &Draft) -> String {
    let mut listeners: Vec<String> = Vec::new();
    for listener in draft
        .snapshot
        .binds
        .iter()
        .flat_map(|bind| bind.listeners.values())
    {
        let files = listener.plugins.iter().map(|id| {
            let place = usize::try_from(id.0).expect("small");
            match &draft.plugins.get(place).expect("declared").source {
                PluginSource::File(path) => path.file_name().expect("a file").display().to_string(),
                PluginSource::Builtin(name) => (*name).to_owned(),
                PluginSource::Remote(_) => "remote".to_owned(),
                PluginSource::Refused => "refused".to_owned(),
            }
        });
        listeners.push(format!(
            "{} {}",
            listener.name,
            files.collect::<Vec<_>>().join("+")
        ));
    }
    listeners.sort();
    listeners.join(", ")
}

#[test]
fn a_plugin_for_a_listener_that_is_gone_serves_its_other_targets_in_its_newest_version() {
    let two = |first: &str| {
        GATEWAY.replace(
            "{ name: http, port: 80, protocol: HTTP }",
            &format!(
                "{{ name: {first}, port: 80, protocol: HTTP, hostname: a.test }}, {{ name: web, port: 80, protocol: HTTP }}"
            ),
        )
    };
    let guard = |file: &str, first: &str| {
        let target = "group: gateway.networking.k8s.io, kind: Gateway, name: edge";
        plugin(file).replace(
            &format!("{{ {target} }}"),
            &format!("{{ {target}, sectionName: {first} }}, {{ {target}, sectionName: web }}"),
        )
    };
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[&two("http"), &guard("one.wasm", "http")]);
    let draft = gateway.load();
    assert_eq!(
        guarded(&draft),
        "default/edge/http one.wasm, default/edge/web one.wasm"
    );
    // A slip of the pen in the plugin: what it was for stays guarded.
    gateway.write("a.yaml", &[&two("http"), &guard("two.wasm", "htpp")]);
    let draft = gateway.load();
    assert_eq!(
        guarded(&draft),
        "default/edge/http one.wasm, default/edge/web one.wasm"
    );
    assert_eq!(last_good(&draft), ["Plugin default/guard"]);
    // A listener that goes: nothing that served before helps, so the plugin goes on without it.
    for file in ["one.wasm", "two.wasm", "three.wasm"] {
        gateway.write("a.yaml", &[&two("other"), &guard(file, "http")]);
        let draft = gateway.load();
        let expected = format!("default/edge/other , default/edge/web {file}");
        assert_eq!(guarded(&draft), expected);
        assert_eq!(draft.problems.len(), 1, "{:?}", draft.problems);
        assert!(draft.problems[0].partial && draft.problems[0].reason == "TargetNotFound");
        assert_eq!(last_good(&draft), [] as [&str; 0]);
        assert_eq!(guarded(&gateway.restart(&draft)), expected);
    }
}

fn environment(plugin_of: &str, values: &str) -> String {
    format!(
        "{}  env: [{{ name: A, valueFrom: {{ configMapKeyRef: {{ name: values, key: {plugin_of} }} }} }}]\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: values }}\ndata: {{ {values} }}\n",
        plugin("one.wasm")
    )
}

#[test]
fn a_config_map_that_loses_a_key_that_a_plugin_reads_keeps_its_last_good_version() {
    let mut gateway = Gateway::new();
    let env = |draft: &Draft| draft.plugins[0].env.clone();
    let old = vec![("A".to_owned(), "1".to_owned())];
    gateway.write("a.yaml", &[GATEWAY, &environment("a", "a: '1', b: '2'")]);
    assert_eq!(env(&gateway.load()), old);
    gateway.write("a.yaml", &[GATEWAY, &environment("a", "b: '3'")]);
    let draft = gateway.load();
    assert_eq!(env(&draft), old);
    assert_eq!(last_good(&draft), ["ConfigMap default/values"]);
    assert_eq!(
        draft.problems[0].message,
        "ConfigMap `default/values` has no key `a`, and Plugin default/guard refers to that"
    );
    assert_eq!(env(&gateway.restart(&draft)), old);
    // Who asks for what never was there is to blame.
    gateway.write("a.yaml", &[GATEWAY, &environment("c", "a: '1', b: '4'")]);
    let draft = gateway.load();
    assert_eq!(last_good(&draft), ["Plugin default/guard"]);
    assert_eq!(env(&draft), old);
}
