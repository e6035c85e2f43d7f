//! What serves when backends, their policies and routes to them get bad.

use tidegate_config::draft::Draft;

use super::GATEWAY;
use super::Gateway;
use super::backend;
use super::route;
use super::serves;

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
