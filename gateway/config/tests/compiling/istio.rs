//! Istio's policies: whom a mistake is blamed on, and what serves meanwhile.

use std::fs;

use serde_json::json;
use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginSource;
use tidegate_config::load::Loader;
use tidegate_config::plugin_schema;

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec: { gatewayClassName: tidegate, listeners: [{ name: http, port: 80, protocol: HTTP }] }
";

fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{ name: {name} }}\nspec: {spec}\n"
    )
}

struct Folder {
    folder: tempfile::TempDir,
    loader: Loader,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let loader = Loader::with_environment(folder.path(), |_| None);
        let loader = loader.with_builtins(["authz", "jwt-auth"]);
        Self { folder, loader }
    }

    fn write(&self, file: &str, parts: &[&str]) {
        fs::write(self.folder.path().join(file), parts.concat()).expect("writable");
    }

    /// Loads and lets it serve.
    fn load(&mut self) -> Draft {
        let draft = self.loader.load();
        self.loader.commit(&draft, &[]);
        draft
    }
}

/// What the one plugin does: its policies, or nothing but refuse.
fn does(draft: &Draft) -> String {
    let [plugin] = draft.plugins.as_slice() else {
        return format!("{} plugins", draft.plugins.len());
    };
    let PluginSource::Builtin(name) = plugin.source else {
        return "refuses".to_owned();
    };
    let config: serde_json::Value = serde_json::from_slice(&plugin.config).expect("JSON");
    let policies = config.get("policies").and_then(|all| all.as_array());
    let policies = policies.into_iter().flatten().map(|one| {
        let text = |key: &str| one.get(key).and_then(|it| it.as_str()).unwrap_or_default();
        format!("{} {}", text("action"), text("name"))
    });
    format!("{name}: {}", policies.collect::<Vec<_>>().join(", "))
}

#[test]
fn what_the_filter_refuses_stands_at_the_line_of_the_policy_and_in_its_words() {
    let mut files = Folder::new();
    let deny = policy(
        "deny",
        "\n  action: DENY\n  rules:\n  - to: [{ operation: { ports: [\"http\"] } }]",
    );
    files.write("a.yaml", &[GATEWAY, &policy("allow", "{ rules: [{}] }")]);
    files.write(
        "b.yaml",
        &["# A comment.\n", &deny, &policy("last", "{ rules: [{}] }")],
    );
    let draft = files.load();
    assert_eq!(draft.problems, []);
    assert_eq!(does(&draft), "authz: ALLOW allow, DENY deny, ALLOW last");
    let schema = json!({ "properties": { "policies": { "items": { "properties": {
        "action": { "enum": ["ALLOW", "DENY"] },
        "rules": { "items": { "properties": { "to": { "items": { "properties": { "operation": {
            "properties": { "ports": { "items": { "type": "string", "pattern": "^[0-9]+$" } } }
        } } } } } } },
    } } } } });
    let plugin = draft.plugins.first().expect("one");
    let problems = plugin_schema::check(&schema, plugin);
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    let place = problem.place.as_ref().expect("a place");
    assert!(place.file.ends_with("b.yaml"));
    assert_eq!((place.line, place.column), (9, 33));
    assert_eq!(
        problem.message,
        "`spec.rules[0].to[0].operation.ports[0]` must match ^[0-9]+$; got the string \"http\""
    );
    let resource = problem.resource.as_ref().map(ToString::to_string);
    assert_eq!(
        resource.as_deref(),
        Some("AuthorizationPolicy default/deny")
    );
    // The same said by the filter itself.
    let written = plugin.config_written.as_ref().expect("written");
    let said = "the plugin's configuration: policies[1].rules[0].to[0].operation.ports[0]: expected a port";
    let span = written.named_in(said).expect("a value");
    assert_eq!(written.place(span), problem.place);
    assert_eq!(
        written.in_words(said, span),
        "the plugin's configuration: spec.rules[0].to[0].operation.ports[0]: expected a port"
    );
    // Of what nobody wrote, the policy.
    let span = written
        .named_in("config.policies[0].namespace: too long")
        .expect("a value");
    let place = written.place(span).expect("a place");
    assert!(place.file.ends_with("a.yaml"));
    assert_eq!(place.line, 8);
    assert_eq!(written.named_in("no memory"), None);
}

#[test]
fn a_policy_that_goes_bad_keeps_its_last_good_version_beside_the_others() {
    let mut files = Folder::new();
    let good = policy("a", "{ action: DENY, rules: [{}] }");
    files.write("a.yaml", &[GATEWAY, &good, &policy("b", "{ rules: [{}] }")]);
    assert_eq!(does(&files.load()), "authz: DENY a, ALLOW b");
    let bad = policy("a", "{ action: DNEY, rules: [{}] }");
    files.write(
        "a.yaml",
        &[
            GATEWAY,
            &bad,
            &policy("b", "{ action: AUDIT, rules: [{}] }"),
        ],
    );
    let draft = files.load();
    assert_eq!(draft.problems.len(), 1);
    assert_eq!(does(&draft), "authz: DENY a, AUDIT b");
    files.write("a.yaml", &[GATEWAY]);
    assert_eq!(does(&files.load()), "0 plugins");
}

#[test]
fn a_policy_that_was_never_good_refuses_the_requests_of_its_gateways() {
    let mut files = Folder::new();
    let other = policy("b", "{ rules: [{}] }");
    for bad in [
        "{ action: DNEY }",
        "{ selector: [], rules: [{}] }",
        "{ action: CUSTOM, rules: [{}] }",
        "7",
    ] {
        files.write("a.yaml", &[GATEWAY, &policy("a", bad), &other]);
        let draft = files.load();
        assert!(!draft.problems.is_empty(), "{bad}");
        assert_eq!(does(&draft), "refuses", "{bad}");
    }
    // Those of others are not touched.
    let elsewhere = "{ action: DNEY, selector: { matchLabels: { app: x } } }";
    files.write("a.yaml", &[GATEWAY, &policy("a", elsewhere), &other]);
    assert_eq!(does(&files.load()), "authz: ALLOW b");
}

#[test]
fn a_binary_without_the_filter_refuses_the_requests() {
    let mut files = Folder::new();
    files.loader = Loader::with_environment(files.folder.path(), |_| None);
    files.write("a.yaml", &[GATEWAY, &policy("a", "{ rules: [{}] }")]);
    let draft = files.load();
    assert_eq!(
        draft.problems[0].message,
        "the filter `authz` is not in this binary"
    );
    assert_eq!(does(&draft), "refuses");
}

#[test]
fn the_root_namespace_may_be_another() {
    let mut files = Folder::new();
    let loader = Loader::with_environment(files.folder.path(), |_| None);
    files.loader = loader.with_builtins(["authz"]).with_root_namespace("mesh");
    let everywhere = policy("a", "{ rules: [{}] }").replace("name: a", "name: a, namespace: mesh");
    files.write("a.yaml", &[GATEWAY, &everywhere]);
    assert_eq!(does(&files.load()), "authz: ALLOW a");
    let elsewhere = everywhere.replace("namespace: mesh", "namespace: istio-system");
    files.write("a.yaml", &[GATEWAY, &elsewhere]);
    assert_eq!(does(&files.load()), "0 plugins");
}
