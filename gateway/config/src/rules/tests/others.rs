//! Rules of all other kinds.

use super::accepted;
use super::findings;
use super::refused;

#[test]
fn listeners_differ_in_name_and_in_what_they_claim() {
    let gateway = |listeners: &str| {
        format!("spec: {{ gatewayClassName: tidegate, listeners: [{listeners}] }}")
    };
    refused(
        "Gateway",
        &gateway("{ name: a, port: 80, protocol: HTTP }, { name: a, port: 81, protocol: HTTP }"),
        "the listener name `a` is used twice",
    );
    refused(
        "Gateway",
        &gateway("{ name: a, port: 80, protocol: HTTP }, { name: b, port: 80, protocol: HTTP }"),
        "an earlier listener has the same port, protocol and hostname",
    );
    refused(
        "Gateway",
        &gateway("{ name: a, port: 80, protocol: TCP, hostname: a.test }"),
        "a listener for TCP has no hostname",
    );
    refused(
        "Gateway",
        &gateway(
            "{ name: a, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: Selector } } }",
        ),
        "`from: Selector` needs a `selector`",
    );
}

#[test]
fn addresses_are_addresses_and_differ() {
    let addresses = |addresses: &str| {
        format!(
            "spec: {{ gatewayClassName: tidegate, listeners: [{{ name: a, port: 80, protocol: HTTP }}], addresses: [{addresses}] }}"
        )
    };
    refused(
        "Gateway",
        &addresses("{ value: a.test }"),
        "\"a.test\" is not an IP address",
    );
    refused(
        "Gateway",
        &addresses("{ type: Hostname, value: a.test }"),
        "the address type `Hostname` is not supported yet",
    );
    refused(
        "Gateway",
        &addresses("{ value: '::1' }, { value: '0::1' }"),
        "the address `0::1` is given twice",
    );
}

#[test]
fn a_backend_has_endpoints_or_a_file_of_them() {
    refused(
        "Backend",
        "spec: {}",
        "a Backend needs `endpoints`, `endpointsFile` or `dns`",
    );
    refused(
        "Backend",
        "spec: { endpoints: [{ address: '127.0.0.1:80' }], endpointsFile: a }",
        "exactly one of `endpoints`, `endpointsFile` and `dns`",
    );
    refused(
        "Backend",
        "spec: { endpoints: [{ address: 'a.test:80' }] }",
        "\"a.test:80\" is not an IP address with a port",
    );
    refused(
        "Backend",
        "spec: { endpoints: [{ address: '127.0.0.1:80' }, { address: '127.0.0.1:80' }] }",
        "the endpoint `127.0.0.1:80` is listed twice",
    );
    assert_eq!(findings("Backend", "spec: { endpoints: [] }").len(), 1);
}

#[test]
fn a_backend_of_dns_says_what_is_looked_up() {
    let dns = |dns: &str| format!("spec: {{ dns: {{ {dns} }} }}");
    accepted("Backend", &dns("host: api.internal, port: 80"));
    accepted(
        "Backend",
        &dns("srv: _http._tcp.api.internal., family: IPv4, minTtl: 5s, maxTtl: 5s"),
    );
    refused("Backend", &dns(""), "there is no name to look up");
    refused(
        "Backend",
        &dns("host: a, port: 80, srv: b"),
        "either `host` or `srv`, not both",
    );
    refused(
        "Backend",
        &dns("host: a"),
        "the addresses of a host need a `port`",
    );
    refused(
        "Backend",
        &dns("srv: a, port: 80"),
        "SRV records say the ports themselves",
    );
    refused(
        "Backend",
        &dns("host: 127.0.0.1, port: 80"),
        "\"127.0.0.1\" cannot be looked up: an IP address is no name",
    );
    refused(
        "Backend",
        &dns("host: 'a b', port: 80"),
        "\"a b\" cannot be looked up: a name has letters, digits, `-` and `_` only, in parts between dots",
    );
    refused(
        "Backend",
        &dns("host: a, port: 80, minTtl: 10s, maxTtl: 5s"),
        "`maxTtl` is shorter than `minTtl`",
    );
    refused(
        "Backend",
        &dns("host: a, port: 80, minTtl: 0s"),
        "`minTtl` must be from 1s to 1h, got 0s",
    );
    refused(
        "Backend",
        "spec: { endpoints: [{ address: '127.0.0.1:80' }], dns: { host: a, port: 80 } }",
        "exactly one of `endpoints`, `endpointsFile` and `dns`",
    );
}

#[test]
fn a_policy_has_one_balancer_and_targets_that_fit() {
    let policy = |balancer: &str| {
        format!(
            "spec: {{ targetRefs: [{{ group: tidegate.dev, kind: Backend, name: a }}], loadBalancer: {{ {balancer} }} }}"
        )
    };
    let message = "exactly one of `roundRobin`, `leastRequest` and `random`";
    refused("BackendPolicy", &policy(""), message);
    refused(
        "BackendPolicy",
        &policy("roundRobin: {}, random: {}"),
        message,
    );
    refused(
        "Telemetry",
        "spec: { targetRefs: [{ group: gateway.networking.k8s.io, kind: Gatway, name: a }] }",
        "a Gatway cannot be a target",
    );
    refused(
        "TrafficPolicy",
        "spec: { targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: a }], trustedHops: 1 }",
        "`trustedHops` is for Gateways, and no target is one",
    );
}

#[test]
fn a_plugin_says_where_its_variables_come_from() {
    let env = |env: &str| format!("spec: {{ source: {{ file: a }}, env: [{{ name: A, {env} }}] }}");
    refused("Plugin", &env(""), "the variable `A` has no value");
    refused(
        "Plugin",
        &env("value: a, valueFrom: { env: A }"),
        "either `value` or `valueFrom`, not both",
    );
    refused(
        "Plugin",
        &env("valueFrom: {}"),
        "exactly one of `env`, `secretKeyRef` and `configMapKeyRef`",
    );
    refused(
        "Plugin",
        &env("valueFrom: { env: A }"),
        "`allow.env` does not name `A`",
    );
    refused("Plugin", "spec: { source: {} }", "the source names no code");
    refused(
        "Plugin",
        "spec: { source: { file: a }, limits: { callTimeout: 11s } }",
        "`callTimeout` must be from 1ms to 10s, got 11s",
    );
}

#[test]
fn a_service_has_nothing_that_is_about_requests() {
    let service =
        |field: &str| format!("spec: {{ source: {{ file: a }}, type: Service, {field} }}");
    for (field, name) in [
        ("phase: Authn", "phase"),
        ("priority: 1", "priority"),
        ("isolation: Stream", "isolation"),
        (
            "targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: a }]",
            "targetRefs",
        ),
    ] {
        let message = format!("a service has no requests for `{name}`");
        refused("Plugin", &service(field), &message);
    }
    accepted("Plugin", &service("strict: true"));
    accepted(
        "Plugin",
        "spec: { source: { file: a }, isolation: Stream, stopIteration: true, limits: { instances: 1 } }",
    );
}

#[test]
fn a_secret_holds_base64_or_text() {
    refused(
        "Secret",
        "data: { a: '!' }",
        "the value of `a` is not base64",
    );
    accepted("Secret", "data: { a: YQ== }\nstringData: { b: '!' }");
}

#[test]
fn a_policy_tells_services_the_client_and_backends_say_it_themselves() {
    let policy = |group: &str, kind: &str| {
        format!(
            "spec: {{ targetRefs: [{{ group: {group}, kind: {kind}, name: a }}], proxyProtocol: V1 }}"
        )
    };
    accepted("BackendPolicy", &policy("''", "Service"));
    refused(
        "BackendPolicy",
        &policy("tidegate.dev", "Backend"),
        "a Backend says `proxyProtocol` itself",
    );
}

#[test]
fn a_backend_is_told_the_client_on_connections_of_http_1_alone() {
    let backend = |protocol: &str| {
        format!(
            "spec: {{ endpoints: [{{ address: '127.0.0.1:1' }}], proxyProtocol: V2, protocol: {protocol} }}"
        )
    };
    accepted("Backend", &backend("Http1"));
    for shared in ["Http2", "Grpc"] {
        refused(
            "Backend",
            &backend(shared),
            "`proxyProtocol` with HTTP/2 is not supported yet: its connections carry the requests of \
             many clients",
        );
    }
}

#[test]
fn protocols_to_change_to_are_tokens_and_never_http() {
    let policy = |upgrades: &str| {
        format!(
            "spec: {{ targetRefs: [{{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: a }}], upgrades: [{upgrades}] }}"
        )
    };
    for good in ["", "websocket", "websocket, SPDY/3.1"] {
        accepted("TrafficPolicy", &policy(good));
    }
    for (bad, why) in [
        ("\"a b\"", "\"a b\" is not a protocol"),
        ("\"\"", "\"\" is not a protocol"),
        ("a/b/c", "\"a/b/c\" is not a protocol"),
        ("h2c", "h2c is never passed on"),
        ("TLS/1.3", "TLS/1.3 is never passed on"),
    ] {
        refused("TrafficPolicy", &policy(bad), why);
    }
    let gateway = policy("websocket").replace("kind: HTTPRoute", "kind: Gateway");
    let why = "`upgrades` is for HTTPRoutes, and no target is one";
    refused("TrafficPolicy", &gateway, why);
}
