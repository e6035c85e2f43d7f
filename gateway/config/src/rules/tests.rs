//! One test for each rule: what breaks it, and what does not.

use std::path::Path;
use std::sync::Arc;

use super::check;
use crate::document::Document;
use crate::kinds;
use crate::parse::parse;

/// What is said about a resource, its problems of schema included.
fn findings(kind: &str, spec: &str) -> Vec<String> {
    let version = kinds::ALL
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, versions)| versions[0])
        .expect("a kind");
    let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: a }}\n{spec}\n");
    let file: Arc<Path> = Path::new("a.yaml").into();
    let mut problems = Vec::new();
    let parsed = parse(&Document::new(&file, 1, text), &mut problems);
    let read = kinds::read(&parsed[0], &mut problems).expect("a kind");
    let mut found: Vec<String> = problems.into_iter().map(|one| one.message).collect();
    let body = read.body.as_ref();
    found.extend(
        body.map(check)
            .unwrap_or_default()
            .into_iter()
            .map(|one| one.message),
    );
    found
}

#[track_caller]
fn refused(kind: &str, spec: &str, message: &str) {
    assert_eq!(findings(kind, spec), [message], "{spec}");
}

#[track_caller]
fn accepted(kind: &str, spec: &str) {
    assert_eq!(findings(kind, spec), [] as [String; 0], "{spec}");
}

/// A route with one rule.
fn rule(rule: &str) -> String {
    format!("spec: {{ rules: [{{ {rule} }}] }}")
}

fn filters(filters: &str) -> String {
    rule(&format!("filters: [{filters}]"))
}

fn path(kind: &str, value: &str) -> String {
    rule(&format!(
        "matches: [{{ path: {{ type: {kind}, value: {value:?} }} }}]"
    ))
}

#[test]
fn paths_begin_with_a_slash() {
    for kind in ["Exact", "PathPrefix"] {
        refused(
            "HTTPRoute",
            &path(kind, "a"),
            "the path \"a\" does not begin with `/`",
        );
        accepted("HTTPRoute", &path(kind, "/a"));
    }
    accepted("HTTPRoute", &path("RegularExpression", "a.*"));
}

#[test]
fn paths_have_no_parts_that_requests_never_have() {
    for part in ["//", "/./", "/../", "%2f", "%2F"] {
        let text = format!("/a{part}b");
        let message = format!("the path {text:?} must not contain `{part}`");
        refused("HTTPRoute", &path("Exact", &text), &message);
    }
    for end in ["/.", "/.."] {
        let text = format!("/a{end}");
        let message = format!("the path {text:?} must not end with `{end}`");
        refused("HTTPRoute", &path("PathPrefix", &text), &message);
    }
}

#[test]
fn paths_have_only_characters_of_paths() {
    for bad in ["/a#b", "/a?b", "/a b", "/ä", "/a%zz"] {
        assert_eq!(findings("HTTPRoute", &path("Exact", bad)).len(), 1, "{bad}");
    }
    accepted("HTTPRoute", &path("Exact", "/-A1._~!$&'()*+,;=:@%20"));
}

#[test]
fn patterns_compile() {
    for place in [
        "path: { type: RegularExpression, value: '(' }",
        "headers: [{ name: a, type: RegularExpression, value: '(' }]",
        "queryParams: [{ name: a, type: RegularExpression, value: '(' }]",
        "path: { type: RegularExpression, value: '((a{100}){100}){100}' }",
        "path: { type: RegularExpression, value: '(?=a)' }",
    ] {
        let found = findings("HTTPRoute", &rule(&format!("matches: [{{ {place} }}]")));
        assert_eq!(found.len(), 1, "{place}: {found:?}");
    }
}

#[test]
fn a_filter_has_the_field_of_its_type_and_no_other() {
    refused(
        "HTTPRoute",
        &filters("{ type: URLRewrite }"),
        "a filter of type URLRewrite needs `urlRewrite`",
    );
    refused(
        "HTTPRoute",
        &filters("{ type: URLRewrite, urlRewrite: {}, requestRedirect: {} }"),
        "`requestRedirect` does not belong to a filter of type URLRewrite",
    );
    accepted(
        "HTTPRoute",
        &filters("{ type: URLRewrite, urlRewrite: { hostname: a.test } }"),
    );
}

#[test]
fn filters_come_once_but_for_mirrors_and_plugins() {
    let mirror = "{ type: RequestMirror, requestMirror: { backendRef: { name: a, port: 80 } } }";
    let plugin =
        "{ type: ExtensionRef, extensionRef: { group: tidegate.dev, kind: Plugin, name: a } }";
    accepted(
        "HTTPRoute",
        &filters(&format!("{mirror}, {mirror}, {plugin}, {plugin}")),
    );
    for (name, field) in [
        ("RequestHeaderModifier", "requestHeaderModifier"),
        ("ResponseHeaderModifier", "responseHeaderModifier"),
        ("RequestRedirect", "requestRedirect"),
        ("URLRewrite", "urlRewrite"),
        ("CORS", "cors"),
    ] {
        let one = format!("{{ type: {name}, {field}: {{}} }}");
        let message = format!("a second {name} in one list");
        refused("HTTPRoute", &filters(&format!("{one}, {one}")), &message);
    }
}

#[test]
fn a_rule_redirects_or_rewrites() {
    refused(
        "HTTPRoute",
        &filters(
            "{ type: RequestRedirect, requestRedirect: {} }, { type: URLRewrite, urlRewrite: {} }",
        ),
        "a rule has RequestRedirect or URLRewrite, not both",
    );
}

#[test]
fn a_rule_that_redirects_has_no_backends() {
    refused(
        "HTTPRoute",
        &rule(
            "filters: [{ type: RequestRedirect, requestRedirect: {} }], backendRefs: [{ name: a, port: 80 }]",
        ),
        "a rule that redirects has no backendRefs",
    );
}

#[test]
fn a_prefix_is_replaced_only_if_one_prefix_can_have_matched() {
    let replace = |matches: &str| {
        rule(&format!(
            "matches: [{matches}], filters: [{{ type: URLRewrite, urlRewrite: {{ path: {{ type: ReplacePrefixMatch, replacePrefixMatch: /x }} }} }}]"
        ))
    };
    let message = "ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix";
    accepted("HTTPRoute", &replace("{ path: { value: /a } }"));
    accepted("HTTPRoute", &replace(""));
    refused(
        "HTTPRoute",
        &replace("{ path: { type: Exact, value: /a } }"),
        message,
    );
    refused(
        "HTTPRoute",
        &replace("{ path: { value: /a } }, { path: { value: /b } }"),
        message,
    );
}

#[test]
fn a_replaced_path_has_the_field_of_its_type_and_no_other() {
    let path = |path: &str| {
        filters(&format!(
            "{{ type: URLRewrite, urlRewrite: {{ path: {{ {path} }} }} }}"
        ))
    };
    refused(
        "HTTPRoute",
        &path("type: ReplaceFullPath"),
        "this type needs `replaceFullPath`",
    );
    refused(
        "HTTPRoute",
        &path("type: ReplaceFullPath, replaceFullPath: /a, replacePrefixMatch: /b"),
        "`replacePrefixMatch` does not belong to this type of path",
    );
    refused(
        "HTTPRoute",
        &path("type: ReplaceFullPath, replaceFullPath: a"),
        "the path \"a\" does not begin with `/`",
    );
}

#[test]
fn an_attempt_is_not_longer_than_the_whole() {
    let timeouts = |timeouts: &str| rule(&format!("timeouts: {{ {timeouts} }}"));
    refused(
        "HTTPRoute",
        &timeouts("request: 1s, backendRequest: 1001ms"),
        "`backendRequest` (1001ms) is longer than `request` (1s)",
    );
    accepted("HTTPRoute", &timeouts("request: 0s, backendRequest: 1h"));
    accepted(
        "HTTPRoute",
        &timeouts("request: 1s, backendRequest: 1000ms"),
    );
}

#[test]
fn a_service_is_named_with_its_port() {
    let message = "the reference to Service `a` has no port";
    refused("HTTPRoute", &rule("backendRefs: [{ name: a }]"), message);
    refused(
        "HTTPRoute",
        &filters("{ type: RequestMirror, requestMirror: { backendRef: { name: a } } }"),
        message,
    );
    accepted(
        "HTTPRoute",
        &rule("backendRefs: [{ group: tidegate.dev, kind: Backend, name: a }]"),
    );
}

#[test]
fn references_to_one_parent_name_different_listeners() {
    let parents = |parents: &str| format!("spec: {{ parentRefs: [{parents}] }}");
    refused(
        "HTTPRoute",
        &parents("{ name: a }, { name: a, sectionName: b }"),
        "several references to `a`: each needs a sectionName or port",
    );
    refused(
        "HTTPRoute",
        &parents("{ name: a, sectionName: b }, { name: a, sectionName: b }"),
        "the same listener of `a` is named twice",
    );
    accepted(
        "HTTPRoute",
        &parents("{ name: a, sectionName: b }, { name: a, sectionName: c }, { name: d }"),
    );
}

#[test]
fn rules_have_different_names() {
    refused(
        "HTTPRoute",
        "spec: { rules: [{ name: a }, { name: a }] }",
        "the rule name `a` is used twice",
    );
}

#[test]
fn a_route_has_at_most_128_matches() {
    let rules = |matches: usize| {
        let rule = |count: usize| format!("{{ matches: [{}] }}", "{}, ".repeat(count));
        format!(
            "spec: {{ rules: [{}, {}, {}] }}",
            rule(64),
            rule(63),
            rule(matches)
        )
    };
    accepted("HTTPRoute", &rules(1));
    refused(
        "HTTPRoute",
        &rules(2),
        "a route has at most 128 matches in all its rules",
    );
}

#[test]
fn hostnames_are_no_addresses() {
    assert_eq!(
        findings("HTTPRoute", "spec: { hostnames: [127.0.0.1] }").len(),
        1
    );
    assert_eq!(
        findings("HTTPRoute", "spec: { hostnames: ['a.test:80'] }").len(),
        1
    );
    assert_eq!(findings("HTTPRoute", "spec: { hostnames: ['*'] }").len(), 1);
    accepted("HTTPRoute", "spec: { hostnames: ['*.a.test', a.test] }");
}

#[test]
fn a_mirror_has_percent_or_fraction() {
    let mirror = |share: &str| {
        filters(&format!(
            "{{ type: RequestMirror, requestMirror: {{ backendRef: {{ name: a, port: 80 }}, {share} }} }}"
        ))
    };
    refused(
        "HTTPRoute",
        &mirror("percent: 1, fraction: { numerator: 1 }"),
        "either `percent` or `fraction`, not both",
    );
    refused(
        "HTTPRoute",
        &mirror("fraction: { numerator: 101 }"),
        "the numerator is larger than the denominator",
    );
    accepted(
        "HTTPRoute",
        &mirror("fraction: { numerator: 3, denominator: 3 }"),
    );
}

#[test]
fn a_star_stands_alone_in_cors() {
    for (field, values) in [
        ("allowOrigins", "'*', 'https://a.test'"),
        ("allowMethods", "'*', GET"),
        ("allowHeaders", "'*', a"),
        ("exposeHeaders", "a, '*'"),
    ] {
        let message = format!("`*` stands alone in `{field}`: it means all");
        let spec = filters(&format!(
            "{{ type: CORS, cors: {{ {field}: [{values}] }} }}"
        ));
        refused("HTTPRoute", &spec, &message);
    }
    let bad = filters("{ type: CORS, cors: { allowOrigins: ['a.test'] } }");
    refused("HTTPRoute", &bad, "\"a.test\" is not an origin");
}

#[test]
fn fields_that_the_gateway_writes_are_not_edited() {
    let edit = |name: &str| {
        filters(&format!(
            "{{ type: RequestHeaderModifier, requestHeaderModifier: {{ set: [{{ name: {name}, value: a }}] }} }}"
        ))
    };
    refused(
        "HTTPRoute",
        &edit("Host"),
        "the field `host` cannot be edited",
    );
    refused(
        "HTTPRoute",
        &edit("content-length"),
        "the field `content-length` cannot be edited: the gateway writes it",
    );
    let twice = "{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: a, value: a }, { name: A, value: b }] } }";
    refused(
        "HTTPRoute",
        &filters(twice),
        "the field `A` comes twice in one list",
    );
}

#[test]
fn filters_of_backends_edit_headers_only() {
    refused(
        "HTTPRoute",
        &rule(
            "backendRefs: [{ name: a, port: 80, filters: [{ type: URLRewrite, urlRewrite: {} }] }]",
        ),
        "URLRewrite at a backendRef is not supported yet",
    );
}

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
        "a Backend needs `endpoints` or `endpointsFile`",
    );
    refused(
        "Backend",
        "spec: { endpoints: [{ address: '127.0.0.1:80' }], endpointsFile: a }",
        "either `endpoints` or `endpointsFile`, not both",
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
    refused("Plugin", "spec: { source: {} }", "the source names no file");
    refused(
        "Plugin",
        "spec: { source: { file: a }, limits: { callTimeout: 11s } }",
        "`callTimeout` must be from 1ms to 10s, got 11s",
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
