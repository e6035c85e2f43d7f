//! The same tests run natively, on Tidegate and on Envoy.

#[path = "authz/table.rs"]
mod table;

use authz::authz;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Mode, get, json, not_in, post, request};

fn start(config: &Value) -> Harness {
    Harness::new(authz).config(config).start()
}

fn deny_path(path: &str) -> Value {
    json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": [path]}}]}]})
}

#[test]
fn policies_mean_what_istio_says_of_requests() {
    table::check(include_str!("authz/http.json"));
}

#[test]
fn policies_mean_what_istio_says_of_workloads() {
    if not_in(Mode::Envoy, "its connections have no certificates") {
        return;
    }
    table::check(include_str!("authz/workloads.json"));
}

#[test]
fn policies_mean_what_istio_says_of_connections() {
    if not_in(Mode::Envoy, "its connections are all alike") {
        return;
    }
    table::check(include_str!("authz/connections.json"));
}

#[test]
fn one_policy_can_be_written_in_short() {
    let mut h = start(&json!({"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}));
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.send(post("/")).status(), 403);
    let mut h = start(&deny_path("/x"));
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.send(get("/x")).status(), 403);
    assert!(h.logged("rbac_access_denied_matched_policy[ns[default]-policy[authz]-rule[0]]"));
    let mut h = start(&json!({"action": "ALLOW"}));
    assert_eq!(h.send(get("/")).status(), 403);
}

#[test]
fn a_path_in_other_clothes_is_still_denied() {
    let mut h = start(&deny_path("/admin*"));
    for path in [
        "/admin",
        "/admin/users",
        "/admin?x=1",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/%2E./admin",
        "/%61dmin",
        "/adm%69n/users",
        "/x/..%2fadmin",
        "/x%2F..%2Fadmin",
        "/%2Fadmin",
        "/;v=1/admin",
        "/x/..;/admin",
        "/x/..%3b/admin",
        "/x//..//admin",
        "/x/.//../admin",
        "///admin",
    ] {
        assert_eq!(h.send(get(path)).status(), 403, "{path}");
    }
    for path in ["/", "/adm", "/x/admin", "/x?/admin", "/Admin", "/%2561dmin"] {
        assert_eq!(h.send(get(path)).status(), 200, "{path}");
    }
    // What cannot mean one thing goes nowhere, whoever refuses it.
    for path in ["/x/..%5cadmin", "/x\\..\\admin", "/x/..\\admin"] {
        let status = h.send(get(path)).status();
        assert!(matches!(status, 400 | 403), "{path}: {status}");
    }
}

#[test]
fn a_path_is_allowed_only_if_all_that_it_may_mean_is() {
    let config = json!({"rules": [{"to": [{"operation": {"paths": ["/public/*"]}}]}]});
    let mut h = start(&config);
    for path in [
        "/public/",
        "/public/a",
        "/public/a/../b",
        "/public/a%2Fb",
        "/public//a",
    ] {
        assert_eq!(h.send(get(path)).status(), 200, "{path}");
    }
    for path in [
        "/public/../private",
        "/public/%2e%2e/private",
        "/public/..%2Fprivate",
        "/public/..;/private",
        "/public/x/..%2f../private",
        "//public/a",
        "/private?/public/a",
    ] {
        assert_eq!(h.send(get(path)).status(), 403, "{path}");
    }
}

#[test]
fn paths_can_be_compared_as_they_are() {
    let mut config = deny_path("/admin*");
    config["ambiguousPaths"] = "AsIs".into();
    let mut h = start(&config);
    assert_eq!(h.send(get("/admin")).status(), 403);
    assert_eq!(h.send(get("//admin")).status(), 200);
    assert_eq!(h.send(get("/x;y/admin")).status(), 200);
}

#[test]
fn decisions_are_counted() {
    let mut h = start(&json!({"policies": [
        {"name": "a", "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]},
        {"name": "d", "action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/x"]}}]}]},
        {"name": "w", "action": "AUDIT", "rules": [{"to": [{"operation": {"paths": ["/y"]}}]}]},
    ]}));
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/x"),
        ("POST", "/"),
        ("PUT", "/"),
        ("GET", "/y"),
    ] {
        h.send(request(method, path));
    }
    assert_eq!(h.metric("authz_allowed"), 2);
    assert_eq!(h.metric("authz_denied"), 3);
    assert_eq!(h.metric("authz_denied_deny_rule"), 1);
    assert_eq!(h.metric("authz_denied_no_allow_rule"), 2);
    assert_eq!(h.metric("authz_audited"), 1);
    assert!(h.logged("ns[default]-policy[w]-rule[0]"));
    assert_eq!(h.app().requests().len(), 2);
}

#[test]
fn a_dry_plugin_lets_everything_pass_and_counts() {
    let mut config = deny_path("/x");
    config["dryRun"] = true.into();
    let mut h = start(&config);
    assert_eq!(h.send(get("/x")).status(), 200);
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.metric("authz_dry_run_denied"), 1);
    assert_eq!(h.metric("authz_denied"), 0);
    assert!(h.logged("policy[authz]-rule[0]"));
}

#[test]
fn dry_policies_are_asked_among_themselves_and_counted() {
    let mut h = start(&json!({"policies": [
        {"name": "a", "rules": [{}]},
        {"name": "dry-allow", "dryRun": true, "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]},
        {"name": "dry-deny", "action": "DENY", "dryRun": true, "rules": [{"to": [{"operation": {"paths": ["/x"]}}]}]},
    ]}));
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.metric("authz_dry_run_denied"), 0);
    assert_eq!(h.send(get("/x")).status(), 200);
    assert_eq!(h.metric("authz_dry_run_denied"), 1);
    assert!(h.logged("policy[dry-deny]-rule[0]"));
    assert_eq!(h.send(post("/")).status(), 200);
    assert_eq!(h.metric("authz_dry_run_denied"), 2);
    assert!(h.logged("rbac_access_denied_matched_policy[none]"));
    assert_eq!(h.metric("authz_allowed"), 3);
}

#[test]
fn what_should_be_a_token_and_is_none_lets_nothing_pass() {
    if not_in(Mode::Envoy, "its properties are what they are") {
        return;
    }
    let config =
        json!({"action": "DENY", "rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]});
    let mut h = start(&config);
    h.property(["tidegate.auth.jwt"], "{\"iss\":");
    assert_eq!(h.send(get("/")).status(), 500);
    assert_eq!(h.metric("authz_denied_unreadable_token"), 1);
}

#[test]
fn a_hundred_rules_are_told_apart() {
    let rule = |at: usize| {
        json!({
            "from": [{"source": {"remoteIpBlocks": ["0.0.0.0/0", "::/0"]}}],
            "to": [{"operation": {"paths": [format!("/team-{at}/*")], "methods": ["GET"]}}],
        })
    };
    let rules: Vec<Value> = (0..100).map(rule).collect();
    let mut h = start(&json!({"policies": [
        {"name": "teams", "action": "DENY", "rules": rules},
    ]}));
    for at in [0, 1, 9, 10, 63, 64, 99] {
        assert_eq!(h.send(get(&format!("/team-{at}/x"))).status(), 403);
        assert!(h.logged(&format!("policy[teams]-rule[{at}]]")), "{at}");
    }
    assert_eq!(h.send(get("/team-100/x")).status(), 200);
    assert_eq!(h.send(post("/team-1/x")).status(), 200);
}

#[test]
fn mistakes_are_told_with_their_place() {
    let of_rule = |rule: Value| json!({"policies": [{"name": "p", "rules": [{}, rule]}]});
    let of_source = |source: Value| of_rule(json!({"from": [{"source": source}]}));
    let of_operation = |operation: Value| of_rule(json!({"to": [{"operation": operation}]}));
    let of_condition = |condition: Value| of_rule(json!({"when": [condition]}));
    let of_path = |path: &str| of_operation(json!({"paths": ["/", path]}));
    for (config, place, message) in [
        (json!({}), "", "write `rules`, or `policies`"),
        (json!({"policies": []}), "policies", "at least 1 item"),
        (
            json!({"rules": [], "policies": [{"name": "p"}]}),
            "",
            "write either",
        ),
        (json!({"action": "DENY"}), "rules", "never matches"),
        (
            json!({"policies": [{"name": "p", "action": "DENY", "rules": []}]}),
            "policies[0].rules",
            "never matches",
        ),
        (
            json!({"policies": [{"name": "p"}, {"name": "q", "action": "AUDIT"}]}),
            "policies[1].rules",
            "never matches",
        ),
        (
            json!({"policies": [{"name": "p", "action": "CUSTOM"}]}),
            "policies[0].action",
            "ALLOW",
        ),
        (
            json!({"policies": [{"rules": []}]}),
            "policies[0].name",
            "missing",
        ),
        (
            json!({"policies": [{"name": "a b"}]}),
            "policies[0].name",
            "letters",
        ),
        (
            of_rule(json!({"from": []})),
            "policies[0].rules[1].from",
            "at least 1 item",
        ),
        (
            of_rule(json!({"form": []})),
            "policies[0].rules[1].form",
            "from",
        ),
        (
            of_source(json!({})),
            "policies[0].rules[1].from[0].source",
            "says nothing",
        ),
        (
            of_operation(json!({})),
            "policies[0].rules[1].to[0].operation",
            "says nothing",
        ),
        (
            of_source(json!({"principals": []})),
            "policies[0].rules[1].from[0].source.principals",
            "at least 1 item",
        ),
        (
            of_source(json!({"ipBlocks": ["10.0.0.0/33"]})),
            "policies[0].rules[1].from[0].source.ipBlocks[0]",
            "10.0.0.0/8",
        ),
        (
            of_source(json!({"remoteIpBlocks": ["10.0.0.1/8"]})),
            "policies[0].rules[1].from[0].source.remoteIpBlocks[0]",
            "bits set",
        ),
        (
            of_source(json!({"principals": ["a*b"]})),
            "policies[0].rules[1].from[0].source.principals[0]",
            "first or the last",
        ),
        (
            of_source(json!({"requestPrincipals": ["https://idp.test"]})),
            "policies[0].rules[1].from[0].source.requestPrincipals[0]",
            "subject",
        ),
        (
            of_source(json!({"serviceAccounts": ["a/b/c"]})),
            "policies[0].rules[1].from[0].source.serviceAccounts[0]",
            "namespace/account",
        ),
        (
            of_source(json!({"namespaces": ["a/b"]})),
            "policies[0].rules[1].from[0].source.namespaces[0]",
            "no `/`",
        ),
        (
            of_operation(json!({"ports": ["0"]})),
            "policies[0].rules[1].to[0].operation.ports[0]",
            "from \"1\" to \"65535\"",
        ),
        (
            of_operation(json!({"ports": ["65536"]})),
            "policies[0].rules[1].to[0].operation.ports[0]",
            "65535",
        ),
        (
            of_operation(json!({"ports": ["+80"]})),
            "policies[0].rules[1].to[0].operation.ports[0]",
            "65535",
        ),
        (
            of_operation(json!({"ports": [80]})),
            "policies[0].rules[1].to[0].operation.ports[0]",
            "text",
        ),
        (
            of_path("admin"),
            "policies[0].rules[1].to[0].operation.paths[1]",
            "begins with `/`",
        ),
        (
            of_path("/a?b"),
            "policies[0].rules[1].to[0].operation.paths[1]",
            "without their query",
        ),
        (
            of_path("/{**}/x/{*}"),
            "policies[0].rules[1].to[0].operation.paths[1]",
            "last of a template",
        ),
        (
            of_path("/{*}.txt"),
            "policies[0].rules[1].to[0].operation.paths[1]",
            "whole segments",
        ),
        (
            of_path("/{name}"),
            "policies[0].rules[1].to[0].operation.paths[1]",
            "braces",
        ),
        (
            of_condition(json!({"key": "source.ip"})),
            "policies[0].rules[1].when[0]",
            "`values` or `notValues`",
        ),
        (
            of_condition(json!({"key": "source.ipp", "values": ["1"]})),
            "policies[0].rules[1].when[0].key",
            "there are",
        ),
        (
            of_condition(json!({"key": "request.headers", "values": ["1"]})),
            "policies[0].rules[1].when[0].key",
            "[x-team]",
        ),
        (
            of_condition(json!({"key": "request.headers[a b]", "values": ["1"]})),
            "policies[0].rules[1].when[0].key",
            "header can have",
        ),
        (
            of_condition(json!({"key": "request.auth.claims[a]x", "values": ["1"]})),
            "policies[0].rules[1].when[0].key",
            "brackets",
        ),
        (
            of_condition(json!({"key": "experimental.envoy.filters.a[b]", "values": ["1"]})),
            "policies[0].rules[1].when[0].key",
            "not known",
        ),
        (
            of_condition(json!({"key": "source.ip", "notValues": ["1.2.3.4", "x"]})),
            "policies[0].rules[1].when[0].notValues[1]",
            "an address or a block",
        ),
        (
            of_condition(json!({"key": "destination.port", "values": ["http"]})),
            "policies[0].rules[1].when[0].values[0]",
            "65535",
        ),
    ] {
        let why = Harness::new(authz).config(&config).try_start();
        let why = why.err().unwrap_or_else(|| panic!("{config} is accepted"));
        let place = if place.is_empty() {
            place.to_owned()
        } else {
            format!("{place}: ")
        };
        assert!(why.contains(&place), "{config}: {place} is not in {why}");
        assert!(why.contains(message), "{config}: {message} is not in {why}");
    }
}
