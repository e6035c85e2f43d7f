//! What serves after good and bad changes.

use std::fs;
use std::path::Path;

use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginSource;
use tidegate_config::load::Loader;
use tidegate_config::problem::Problem;

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec: { gatewayClassName: tidegate, listeners: [{ name: http, port: 80, protocol: HTTP }] }
";

fn backend(port: &str) -> String {
    format!(
        "---\napiVersion: tidegate.dev/v1alpha1\nkind: Backend\nmetadata: {{ name: api }}\nspec: {{ endpoints: [{{ address: '127.0.0.1:{port}' }}] }}\n"
    )
}

fn route(backend: &str, weight: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{ name: shop }}\nspec:\n  parentRefs: [{{ name: edge }}]\n  rules: [{{ backendRefs: [{{ group: tidegate.dev, kind: Backend, name: {backend}, weight: {weight} }}] }}]\n"
    )
}

fn plugin(file: &str) -> String {
    format!(
        "---\napiVersion: tidegate.dev/v1alpha1\nkind: Plugin\nmetadata: {{ name: guard }}\nspec:\n  source: {{ file: {file} }}\n  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]\n"
    )
}

/// A folder of configuration with its loader.
struct Gateway {
    folder: tempfile::TempDir,
    loader: Loader,
}

impl Gateway {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let loader = Loader::with_environment(folder.path(), |_| None);
        Self { folder, loader }
    }

    fn write(&self, file: &str, parts: &[&str]) {
        fs::write(self.folder.path().join(file), parts.concat()).expect("writable");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.folder.path().join(file)).expect("there");
    }

    /// Loads and lets it serve.
    fn load(&mut self) -> Draft {
        let draft = self.loader.load();
        self.loader.commit(&draft, &[]);
        draft
    }

    /// The same after a restart.
    fn restart(&mut self, draft: &Draft) -> Draft {
        self.loader = Loader::with_environment(self.folder.path(), |_| None);
        self.loader.restore(draft.accepted.clone());
        self.load()
    }
}

/// Where requests for `a.test` go: the endpoint's port and the share's weight.
fn serves(draft: &Draft) -> String {
    let Some(bind) = draft.snapshot.binds.first() else {
        return "nothing bound".to_owned();
    };
    let Some(listener) = bind.listeners.claims("a.test").next() else {
        return "no listener".to_owned();
    };
    let head = tidegate_core::message::RequestHead::default();
    let Some(found) = listener.routes.find("a.test", &head) else {
        return "no rule".to_owned();
    };
    let Some(share) = found.rule.backends.first() else {
        return "500".to_owned();
    };
    let backend = share.backend.and_then(|id| draft.snapshot.backends.get(id));
    let port = backend.map_or("500".to_owned(), |backend| {
        let endpoint = backend.endpoints.first();
        endpoint.map_or("503".to_owned(), |one| one.address.port().to_string())
    });
    format!("{port} by {}", share.weight)
}

/// The resources that an older version serves for.
fn last_good(draft: &Draft) -> Vec<String> {
    let old = draft.resources.iter().filter(|one| one.last_good);
    old.map(|one| one.resource.to_string()).collect()
}

#[test]
fn a_good_change_serves() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    assert_eq!(serves(&gateway.load()), "1 by 1");
    gateway.write("a.yaml", &[GATEWAY, &backend("2"), &route("api", "7")]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "2 by 7");
    assert_eq!(last_good(&draft), [] as [&str; 0]);
}

#[test]
fn a_refused_resource_keeps_its_last_good_version_and_the_others_change() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    // By schema, by rule, by reference.
    for bad in [
        route("api", "many"),
        route("api", "1").replace("weight: 1", "port: 80"),
        route("other", "7"),
        route("api", "1").replace("edge", "edgy"),
    ] {
        gateway.write("a.yaml", &[GATEWAY, &backend("2"), &bad]);
        let draft = gateway.load();
        assert_eq!(serves(&draft), "2 by 1", "{bad}");
        assert_eq!(last_good(&draft), ["HTTPRoute default/shop"], "{bad}");
        assert_eq!(draft.problems.len(), 1, "{:?}", draft.problems);
        let status = draft
            .resources
            .iter()
            .find(|one| one.last_good)
            .expect("one");
        assert!(!status.conditions[0].status);
        let again = gateway.restart(&draft);
        assert_eq!(serves(&again), "2 by 1", "{bad}");
        assert_eq!(again.problems, draft.problems);
    }
    gateway.write("a.yaml", &[GATEWAY, &backend("2"), &route("api", "7")]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "2 by 7");
    assert_eq!(draft.problems, []);
}

#[test]
fn without_a_last_good_version_a_refused_route_answers_500() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "many")]);
    assert_eq!(serves(&gateway.load()), "500");
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("other", "3")]);
    assert_eq!(serves(&gateway.load()), "500 by 3");
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("x"), &route("api", "3")]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "500 by 3");
    assert_eq!(draft.problems.len(), 1, "the route is not to blame");
}

#[test]
fn a_last_good_route_keeps_a_backend_that_is_gone() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &route("api", "1")]);
    gateway.write("b.yaml", &[&backend("1")]);
    gateway.load();
    gateway.remove("b.yaml");
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(
        last_good(&draft),
        ["Backend default/api", "HTTPRoute default/shop"]
    );
    assert_eq!(draft.problems.len(), 1);
    assert_eq!(serves(&gateway.restart(&draft)), "1 by 1");
    // It comes to life no more when somebody else could use it.
    gateway.write("a.yaml", &[GATEWAY]);
    let draft = gateway.load();
    assert_eq!(draft.snapshot.backends.iter().count(), 0);
}

fn tls_policy(target: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{ name: api }}\nspec:\n  targetRefs: [{{ {target} }}]\n  validation: {{ wellKnownCACertificates: System, hostname: api.test }}\n"
    )
}

/// Backends that requests would reach without TLS.
fn in_plain_text(draft: &Draft) -> Vec<&str> {
    let backends = draft.snapshot.backends.iter();
    backends
        .filter(|backend| backend.tls.is_none() && !backend.endpoints.is_empty())
        .map(|backend| backend.name.as_str())
        .collect()
}

#[test]
fn a_backend_that_is_gone_and_still_serves_is_never_reached_without_its_tls() {
    let mut gateway = Gateway::new();
    let policy = tls_policy("group: tidegate.dev, kind: Backend, name: api");
    gateway.write("a.yaml", &[GATEWAY, &route("api", "1"), &policy]);
    gateway.write("b.yaml", &[&backend("1")]);
    assert_eq!(in_plain_text(&gateway.load()), [] as [&str; 0]);
    gateway.remove("b.yaml");
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(in_plain_text(&draft), [] as [&str; 0]);
    let draft = gateway.restart(&draft);
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(in_plain_text(&draft), [] as [&str; 0]);
}

#[test]
fn a_port_that_loses_the_name_its_tls_was_for_is_not_reached_without_tls() {
    let mut gateway = Gateway::new();
    let service = |port: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{ name: api }}\nspec: {{ ports: [{{ name: {port}, port: 443 }}] }}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{ name: api-1, labels: {{ kubernetes.io/service-name: api }} }}\naddressType: IPv4\nendpoints: [{{ addresses: ['127.0.0.1'] }}]\nports: [{{ name: {port}, port: 1 }}]\n"
        )
    };
    let route = route("api", "1").replace(
        "group: tidegate.dev, kind: Backend, name: api",
        "name: api, port: 443",
    );
    let policy = tls_policy("group: '', kind: Service, name: api, sectionName: https");
    gateway.write("a.yaml", &[GATEWAY, &route, &policy]);
    gateway.write("b.yaml", &[&service("https")]);
    let draft = gateway.load();
    assert_eq!(draft.problems, []);
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(in_plain_text(&draft), [] as [&str; 0]);
    gateway.write("b.yaml", &[&service("web")]);
    let draft = gateway.load();
    assert_eq!(draft.problems.len(), 1, "{:?}", draft.problems);
    assert_eq!(in_plain_text(&draft), [] as [&str; 0]);
}

#[test]
fn a_removed_document_is_deleted() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    gateway.write("a.yaml", &[GATEWAY, &backend("1")]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "no rule");
    assert_eq!(draft.problems, []);
}

#[test]
fn a_file_that_cannot_be_read_keeps_what_it_held() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY]);
    gateway.write("b.yaml", &[&backend("1"), &route("api", "1")]);
    gateway.load();
    for bad in ["spec: [", "\0", "---\n- a\n"] {
        gateway.write("b.yaml", &[bad]);
        let draft = gateway.load();
        assert_eq!(serves(&draft), "1 by 1", "{bad:?}");
        assert_eq!(draft.problems.len(), 1, "{bad:?}");
        assert_eq!(serves(&gateway.restart(&draft)), "1 by 1", "{bad:?}");
    }
    // A broken document beside good ones: those are taken as they are.
    gateway.write("b.yaml", &[&backend("2"), "---\nkind: ["]);
    assert_eq!(serves(&gateway.load()), "2 by 1");
}

#[test]
fn an_empty_folder_keeps_everything() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    gateway.remove("a.yaml");
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(draft.problems.len(), 1);
    fs::remove_dir_all(gateway.folder.path()).expect("there");
    assert_eq!(serves(&gateway.load()), "1 by 1");
    fs::create_dir(gateway.folder.path()).expect("gone");
}

#[test]
fn what_is_never_committed_is_no_last_good_version() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    gateway.write("a.yaml", &[GATEWAY, &backend("2"), &route("api", "1")]);
    gateway.loader.load();
    gateway.write("a.yaml", &[GATEWAY, &backend("x"), &route("api", "1")]);
    assert_eq!(serves(&gateway.load()), "1 by 1");
}

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

#[test]
fn two_gateways_that_want_one_port_leave_it_to_who_has_it() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    let second = GATEWAY.replace("edge", "zone");
    gateway.write("b.yaml", &[&second]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(draft.snapshot.binds.len(), 1);
    assert_eq!(draft.problems.len(), 1);
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

fn calls(name: &str, hosts: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{ name: {name} }}\nspec:\n  parentRefs: [{{ name: edge }}]\n  hostnames: [{hosts}]\n  rules: [{{ backendRefs: [{{ group: tidegate.dev, kind: Backend, name: api, weight: 9 }}] }}]\n"
    )
}

#[test]
fn of_routes_of_two_kinds_with_one_host_the_older_one_has_it() {
    let pages = route("api", "1").replace("rules:", "hostnames: [a.test]\n  rules:");
    // Neither has served: the first by name.
    for (name, expected) in [("before", "1 by 9"), ("zero", "1 by 1")] {
        let mut gateway = Gateway::new();
        gateway.write(
            "a.yaml",
            &[GATEWAY, &backend("1"), &pages, &calls(name, "'*.test'")],
        );
        let draft = gateway.load();
        assert_eq!(serves(&draft), expected, "{name}");
        assert_eq!(draft.problems.len(), 1, "{:?}", draft.problems);
        assert_eq!(draft.problems[0].reason, "Conflicted");
    }
    // One has, and goes on.
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &pages]);
    gateway.load();
    gateway.write(
        "a.yaml",
        &[GATEWAY, &backend("1"), &pages, &calls("before", "a.test")],
    );
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    let about: Vec<String> = draft
        .problems
        .iter()
        .filter_map(|one| Some(one.resource.as_ref()?.to_string()))
        .collect();
    assert_eq!(about, ["GRPCRoute default/before"]);
    let restarted = gateway.restart(&draft);
    assert_eq!(serves(&restarted), "1 by 1");
    // Other hosts are no matter.
    gateway.write(
        "a.yaml",
        &[GATEWAY, &backend("1"), &pages, &calls("before", "b.test")],
    );
    assert_eq!(gateway.load().problems, []);
}

#[test]
fn a_route_that_is_left_out_at_one_listener_serves_at_another() {
    let two = GATEWAY.replace(
        "{ name: http, port: 80, protocol: HTTP }",
        "{ name: http, port: 80, protocol: HTTP }, { name: more, port: 81, protocol: HTTP }",
    );
    let pages = route("api", "1").replace("name: edge }", "name: edge, sectionName: http }");
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[&two, &backend("1"), &pages]);
    gateway.load();
    gateway.write(
        "a.yaml",
        &[&two, &backend("1"), &pages, &calls("before", "a.test")],
    );
    let draft = gateway.load();
    assert_eq!(draft.problems.len(), 1, "{:?}", draft.problems);
    assert_eq!(draft.problems[0].reason, "Conflicted");
    let rules: Vec<bool> = draft
        .snapshot
        .binds
        .iter()
        .flat_map(|bind| bind.listeners.values())
        .map(|listener| {
            let head = tidegate_core::message::RequestHead::default();
            let found = listener.routes.find("a.test", &head);
            found.is_some_and(|found| found.rule.backends[0].weight == 9)
        })
        .collect();
    assert_eq!(rules, [false, true]);
}

#[test]
fn backends_of_grpc_cannot_be_told_the_client() {
    let told = backend("1").replace("] }", "], proxyProtocol: V2 }");
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &told, &route("api", "1")]);
    assert_eq!(gateway.load().problems, []);
    gateway.write("a.yaml", &[GATEWAY, &told, &calls("calls", "a.test")]);
    let draft = gateway.load();
    let message = &draft.problems[0].message;
    assert!(
        message.contains("not supported yet with HTTP/2"),
        "{message}"
    );
    assert_eq!(serves(&draft), "500 by 9");
}

#[test]
fn a_policy_has_the_ports_of_a_service_told_the_client() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: { name: api }\nspec: { ports: [{ name: web, port: 80 }, { name: calls, port: 81, appProtocol: kubernetes.io/h2c }] }\n---\napiVersion: tidegate.dev/v1alpha1\nkind: BackendPolicy\nmetadata: { name: api }\nspec: { targetRefs: [{ group: '', kind: Service, name: api }], proxyProtocol: V1 }\n";
    let to = |port: &str| {
        route("api", "1").replace(
            "group: tidegate.dev, kind: Backend, name: api",
            &format!("name: api, port: {port}"),
        )
    };
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, service, &to("80")]);
    let draft = gateway.load();
    assert_eq!(draft.problems, []);
    let told: Vec<_> = draft
        .snapshot
        .backends
        .iter()
        .map(|one| one.proxy_protocol)
        .collect();
    assert_eq!(told, [Some(tidegate_core::tcp::ProxyProtocol::V1)]);
    gateway.write("a.yaml", &[GATEWAY, service, &to("81")]);
    let message = &gateway.load().problems[0].message;
    assert!(
        message.contains("not supported yet with HTTP/2"),
        "{message}"
    );
}
