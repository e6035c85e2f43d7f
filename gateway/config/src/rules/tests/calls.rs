//! Rules of GRPCRoute, TLSRoute and TCPRoute, and of plugins and policies for them.

use super::accepted;
use super::findings;
use super::refused;

fn method(method: &str) -> String {
    format!("spec: {{ rules: [{{ matches: [{{ method: {{ {method} }} }}] }}] }}")
}

#[test]
fn a_call_has_a_service_or_a_method() {
    accepted("GRPCRoute", &method("service: shop.v1.Cart"));
    accepted("GRPCRoute", &method("method: Add"));
    accepted("GRPCRoute", &method("service: .a._b9, method: _add"));
    for nothing in ["", "type: Exact", "service: '', method: ''"] {
        refused(
            "GRPCRoute",
            &method(nothing),
            "a match of methods needs `service`, `method` or both",
        );
    }
    for bad in ["shop/Cart", "9a", "a..b", "a b", "/a"] {
        refused(
            "GRPCRoute",
            &method(&format!("service: '{bad}'")),
            &format!("{bad:?} is not the name of a service"),
        );
    }
    refused(
        "GRPCRoute",
        &method("method: shop.Add"),
        "\"shop.Add\" is not the name of a method",
    );
}

#[test]
fn patterns_of_calls_compile_each_and_together() {
    accepted(
        "GRPCRoute",
        &method("type: RegularExpression, service: 'a.*'"),
    );
    assert_eq!(
        findings("GRPCRoute", &method("type: RegularExpression, method: '('")).len(),
        1
    );
    let half = "a".repeat(600);
    let both = format!("type: RegularExpression, service: {half}, method: {half}");
    assert_eq!(findings("GRPCRoute", &method(&both)).len(), 1);
}

#[test]
fn rules_of_calls_are_those_of_requests() {
    refused(
        "GRPCRoute",
        "spec: { rules: [{ backendRefs: [{ name: a }] }] }",
        "the reference to Service `a` has no port",
    );
    refused(
        "GRPCRoute",
        "spec: { rules: [{ name: a }, { name: a }] }",
        "the rule name `a` is used twice",
    );
    refused(
        "GRPCRoute",
        "spec: { rules: [{ filters: [{ type: RequestHeaderModifier }] }] }",
        "a filter of type RequestHeaderModifier needs `requestHeaderModifier`",
    );
    refused(
        "GRPCRoute",
        "spec: { rules: [{ backendRefs: [{ name: a, port: 1, filters: [{ type: ExtensionRef, extensionRef: { group: tidegate.dev, kind: Plugin, name: a } }] }] }] }",
        "ExtensionRef at a backendRef is not supported yet",
    );
    assert_eq!(
        findings(
            "GRPCRoute",
            "spec: { rules: [{ filters: [{ type: URLRewrite }] }] }"
        )
        .len(),
        1
    );
    let matches = vec!["{ method: { service: a } }"; 43].join(", ");
    refused(
        "GRPCRoute",
        &format!(
            "spec: {{ rules: [{{ matches: [{matches}] }}, {{ matches: [{matches}] }}, {{ matches: [{matches}] }}] }}"
        ),
        "a route has at most 128 matches in all its rules",
    );
}

#[test]
fn routes_of_connections_have_one_rule_with_backends() {
    for kind in ["TCPRoute", "TLSRoute"] {
        let hostnames = match kind {
            "TLSRoute" => "hostnames: [a.test], ",
            _ => "",
        };
        let rules = |rules: &str| format!("spec: {{ {hostnames}rules: [{rules}] }}");
        accepted(kind, &rules("{ backendRefs: [{ name: a, port: 1 }] }"));
        refused(
            kind,
            &rules("{ backendRefs: [{ name: a }] }"),
            "the reference to Service `a` has no port",
        );
        for bad in [
            "",
            "{ backendRefs: [] }",
            "{ backendRefs: [{ name: a, port: 1 }] }, { backendRefs: [{ name: a, port: 1 }] }",
        ] {
            assert_eq!(findings(kind, &rules(bad)).len(), 1, "{bad}");
        }
    }
    let named = |hosts: &str| {
        format!(
            "spec: {{ hostnames: [{hosts}], rules: [{{ backendRefs: [{{ name: a, port: 1 }}] }}] }}"
        )
    };
    assert_eq!(findings("TLSRoute", &named("")).len(), 1);
    refused(
        "TLSRoute",
        &named("1.2.3.4"),
        "the hostname \"1.2.3.4\" is an IP address; a host is a name",
    );
}

#[test]
fn plugins_are_for_what_they_understand() {
    let plugin = |fields: &str, kind: &str| {
        format!(
            "spec: {{ source: {{ file: a }}, {fields}, targetRefs: [{{ group: gateway.networking.k8s.io, kind: {kind}, name: a }}] }}"
        )
    };
    for kind in ["HTTPRoute", "GRPCRoute"] {
        accepted("Plugin", &plugin("type: Http", kind));
        refused(
            "Plugin",
            &plugin("type: Network", kind),
            &format!("a {kind} has no connections for the Plugin"),
        );
    }
    for kind in ["TCPRoute", "TLSRoute"] {
        accepted("Plugin", &plugin("type: Network", kind));
        refused(
            "Plugin",
            &plugin("priority: 1", kind),
            &format!("a {kind} has no requests for the Plugin"),
        );
    }
    accepted(
        "Plugin",
        &plugin("type: Network, isolation: Stream", "Gateway"),
    );
}

#[test]
fn what_is_told_of_a_clients_certificate_is_said_for_modes_that_tell_it() {
    let policy = |given: &str| {
        format!(
            "spec: {{ targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: a }}], forwardClientCert: {{ {given} }} }}"
        )
    };
    for mode in [
        "Sanitize",
        "ForwardOnly",
        "AppendForward",
        "SanitizeSet",
        "AlwaysForwardOnly",
    ] {
        accepted("TrafficPolicy", &policy(&format!("mode: {mode}")));
    }
    accepted(
        "TrafficPolicy",
        &policy("mode: SanitizeSet, details: [Subject, URI, DNS, Cert, Chain]"),
    );
    refused(
        "TrafficPolicy",
        &policy("mode: Sanitize, details: [URI]"),
        "nothing is told of the client's own certificate in this mode",
    );
    refused(
        "TrafficPolicy",
        &policy("mode: AppendForward, details: [URI, URI]"),
        "`Uri` is listed twice",
    );
    refused(
        "TrafficPolicy",
        &policy("mode: SanitizeSet").replace("kind: Gateway", "kind: HTTPRoute"),
        "`forwardClientCert` is for Gateways, and no target is one",
    );
}

#[test]
fn limits_are_for_what_they_limit() {
    let policy = |kind: &str, fields: &str| {
        format!(
            "spec: {{ targetRefs: [{{ group: gateway.networking.k8s.io, kind: {kind}, name: a }}], {fields} }}"
        )
    };
    for kind in ["Gateway", "TCPRoute", "TLSRoute"] {
        accepted("TrafficPolicy", &policy(kind, "timeouts: { tcpIdle: 1h }"));
    }
    refused(
        "TrafficPolicy",
        &policy("HTTPRoute", "timeouts: { tcpIdle: 1h }"),
        "`tcpIdle` is for Gateways, TCPRoutes and TLSRoutes, and no target is one",
    );
    refused(
        "TrafficPolicy",
        &policy("TCPRoute", "timeouts: { streamIdle: 1h }"),
        "`streamIdle` is for Gateways, HTTPRoutes and GRPCRoutes, and no target is one",
    );
    refused(
        "TrafficPolicy",
        &policy("GRPCRoute", "proxyProtocol: true"),
        "`proxyProtocol` is for Gateways, and no target is one",
    );
    refused(
        "TrafficPolicy",
        &policy("Gateway", "timeouts: { tcpIdle: 25h }"),
        "`tcpIdle` must be from 1ms to 24h, got 25h",
    );
}

#[test]
fn link_local_endpoints_are_asked_for() {
    for address in [
        "169.254.169.254:80",
        "[fe80::1]:80",
        "[fd00:ec2::254]:80",
        "[::ffff:169.254.1.1]:80",
    ] {
        let backend =
            |more: &str| format!("spec: {{ endpoints: [{{ address: '{address}' }}]{more} }}");
        let message =
            format!("{address} is a link-local address, where clouds serve secrets to machines");
        refused("Backend", &backend(""), &message);
        refused("Backend", &backend(", allowLinkLocal: false"), &message);
        accepted("Backend", &backend(", allowLinkLocal: true"));
    }
    refused(
        "EndpointSlice",
        "addressType: IPv4\nendpoints: [{ addresses: [169.254.1.1] }]",
        "169.254.1.1 is a link-local address, where clouds serve secrets to machines",
    );
}
