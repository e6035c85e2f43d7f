//! Rules of HTTPRoute, its filters aside.

use super::accepted;
use super::filters;
use super::findings;
use super::path;
use super::refused;
use super::rule;

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
