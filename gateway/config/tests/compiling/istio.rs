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
fn a_policy_whose_target_is_of_no_kind_of_ours_refuses_all_that_it_may_be_meant_for() {
    let mut files = Folder::new();
    let root = "name: a, namespace: istio-system";
    for (target, metadata) in [
        ("group: gateway.networking.k8s.io, kind: Gatewey", "name: a"),
        ("group: gateway.networking.k8s.io, kind: Gatewey", root),
        ("group: \"\", kind: Service", "name: a"),
        ("group: \"\", kind: Service", root),
    ] {
        let spec = format!(
            "{{ action: DENY, rules: [{{}}], targetRefs: [{{ {target}, name: tidegate }}] }}"
        );
        let policy = policy("a", &spec).replace("name: a ", &format!("{metadata} "));
        files.write("a.yaml", &[GATEWAY, &policy]);
        let draft = files.load();
        assert_eq!(draft.problems.len(), 1, "{policy}");
        assert_eq!(does(&draft), "refuses", "{policy}");
    }
    // A class is for policies of the root namespace: others hold for what is near.
    let spec = "{ action: DENY, rules: [{}], targetRefs: [{ group: gateway.networking.k8s.io, kind: GatewayClass, name: tidegate }] }";
    files.write("a.yaml", &[GATEWAY, &policy("a", spec)]);
    let draft = files.load();
    assert_eq!(draft.problems.len(), 1);
    assert_eq!(does(&draft), "authz: DENY a");
    // Those of other namespaces are not touched.
    let elsewhere = policy("a", "{ targetRefs: [{ kind: Gatewey, name: edge }] }");
    let elsewhere = elsewhere.replace("name: a ", "name: a, namespace: other ");
    files.write("a.yaml", &[GATEWAY, &elsewhere]);
    assert_eq!(does(&files.load()), "0 plugins");
}

#[test]
fn each_target_that_is_not_ours_is_a_warning_at_its_name() {
    let mut files = Folder::new();
    let foreign = GATEWAY
        .replace("name: edge", "name: theirs")
        .replace(": tidegate", ": theirs");
    let class = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: theirs }
spec: { controllerName: example.com/other }
---
";
    let to = |namespace: &str, targets: &str| {
        let spec = format!("{{ action: DENY, rules: [{{}}], targetRefs: [{targets}] }}");
        let metadata = format!("name: a, namespace: {namespace} ");
        policy("a", &spec).replace("name: a ", &metadata)
    };
    let target = |kind: &str, name: &str| {
        format!("{{ group: gateway.networking.k8s.io, kind: {kind}, name: {name} }}")
    };
    let mut said = |policy: &str| {
        files.write("a.yaml", &[class, &foreign, "---\n", GATEWAY, policy]);
        let draft = files.load();
        let problems = draft
            .problems
            .iter()
            .filter(|one| one.reason == "NoGateway");
        let said = problems.map(|one| (one.message.clone(), one.hint.clone()));
        (said.collect::<Vec<_>>(), does(&draft))
    };
    let of_class =
        "no Gateway of ours is of this class: the policy refuses nobody there".to_owned();
    let hint = Some("did you mean `tidegate`?".to_owned());
    let misspelt = target("GatewayClass", "tidegat");
    assert_eq!(
        said(&to("istio-system", &misspelt)),
        (
            vec![(of_class.clone(), hint.clone())],
            "0 plugins".to_owned()
        )
    );
    // One that holds beside it does not hide it.
    let beside = format!("{misspelt}, {}", target("GatewayClass", "tidegate"));
    assert_eq!(
        said(&to("istio-system", &beside)),
        (vec![(of_class.clone(), hint)], "authz: DENY a".to_owned())
    );
    assert_eq!(
        said(&to("istio-system", &target("GatewayClass", "theirs"))),
        (vec![(of_class, None)], "0 plugins".to_owned())
    );
    let not_ours = "this Gateway is not ours: the policy refuses nobody there".to_owned();
    assert_eq!(
        said(&to("default", &target("Gateway", "theirs"))),
        (vec![(not_ours, None)], "0 plugins".to_owned())
    );
    assert_eq!(
        said(&to("default", &target("Gateway", "edge"))),
        (vec![], "authz: DENY a".to_owned())
    );
}

#[test]
fn a_policy_that_asks_for_tokens_where_none_is_read_is_a_warning() {
    let mut files = Folder::new();
    let mut said = |policy: &str, other: &str| {
        files.write("a.yaml", &[GATEWAY, policy, other]);
        let draft = files.load();
        let problems = draft.problems.iter();
        let problems = problems.filter(|one| one.reason == "NoAuthentication");
        let places = problems.map(|one| one.place.as_ref().map(|place| (place.line, place.column)));
        places.flatten().collect::<Vec<_>>()
    };
    let of_claims = policy(
        "a",
        "\n  action: DENY\n  rules:\n  - {}\n  - when: [{ key: \"request.auth.claims[role]\", values: [guest] }]",
    );
    let of_principals = policy(
        "a",
        "\n  action: DENY\n  rules:\n  - from: [{ source: { ipBlocks: [10.0.0.1] } }, { source: { notRequestPrincipals: [\"*\"] } }]",
    );
    assert_eq!(said(&of_claims, ""), [(13, 19)]);
    assert_eq!(said(&of_principals, ""), [(12, 62)]);
    assert_eq!(
        said(
            &policy(
                "a",
                "{ rules: [{ when: [{ key: request.headers[a], values: [b] }] }] }"
            ),
            ""
        ),
        []
    );
    let authentication = |spec: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{ name: a }}\nspec: {spec}\n"
        )
    };
    let keys = "{ jwtRules: [{ issuer: a, jwks: '{\"keys\": []}' }] }";
    assert_eq!(said(&of_claims, &authentication(keys)), []);
    assert_eq!(said(&of_claims, &authentication("{}")), [(13, 19)]);
    let elsewhere = authentication(keys).replace("name: a ", "name: a, namespace: other ");
    assert_eq!(said(&of_claims, &elsewhere), [(13, 19)]);
    let plugin = "---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: jwt }
spec:
  source: { builtin: jwt-auth }
  phase: Authn
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]
";
    assert_eq!(said(&of_claims, plugin), []);
    // Without a phase it runs after the policies.
    let late = plugin.replace("  phase: Authn\n", "");
    assert_eq!(said(&of_claims, &late), [(13, 19)]);
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
