//! Rules of filters.

use super::accepted;
use super::filters;
use super::refused;
use super::rule;

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
