//! The same tests run natively, on Tidegate and on Envoy.

#[path = "authz/oracle.rs"]
mod oracle;
#[path = "authz/table.rs"]
mod table;

use authz::authz;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Mode, get, json, not_in, post, request};

fn start(config: &Value) -> Harness {
    Harness::new(authz).config(config).start()
}

/// That the filter's log says this; the log of a program comes a little later.
fn told(h: &mut Harness, text: &str) {
    h.wait_for("the line in the log", |h| h.logged(text));
}

fn deny_path(path: &str) -> Value {
    json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": [path]}}]}]})
}

#[test]
fn policies_mean_what_istio_says_of_requests() {
    table::check(include_str!("authz/http.json"));
}

#[test]
fn policies_mean_what_envoys_own_filter_does() {
    for mode in [Mode::Native, Mode::Wasm] {
        if not_in(mode, "Envoy is asked, which is there in its own mode") {
            return;
        }
    }
    table::check_with_oracle(include_str!("authz/http.json"));
}

#[test]
fn policies_mean_what_istio_says_of_tokens() {
    table::check(include_str!("authz/tokens.json"));
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
    told(
        &mut h,
        "rbac_access_denied_matched_policy[ns[default]-policy[authz]-rule[0]]",
    );
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
    told(&mut h, "ns[default]-policy[w]-rule[0]");
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
    told(&mut h, "policy[authz]-rule[0]");
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
    told(&mut h, "policy[dry-deny]-rule[0]");
    assert_eq!(h.send(post("/")).status(), 200);
    assert_eq!(h.metric("authz_dry_run_denied"), 2);
    told(&mut h, "rbac_access_denied_matched_policy[none]");
    assert_eq!(h.metric("authz_allowed"), 3);
}

#[test]
fn what_should_be_a_token_and_is_none_lets_nothing_pass() {
    let config =
        json!({"action": "DENY", "rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]});
    let mut h = Harness::new(authz)
        .config(config)
        .property(["tidegate.auth.jwt"], "{\"iss\":")
        .start();
    assert_eq!(h.send(get("/")).status(), 500);
    assert_eq!(h.metric("authz_denied_unreadable_token"), 1);
}

#[test]
fn a_rule_about_the_peer_refuses_in_doubt_where_the_host_does_not_say_who_it_is() {
    let rules = json!([{"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}]);
    let mut h = Harness::new(authz)
        .config(json!({"action": "DENY", "rules": rules}))
        .deny("proxy_get_property")
        .start();
    assert_eq!(h.send(get("/")).status(), 500);
    assert_eq!(h.metric("authz_denied_unknown_peer_address"), 1);
    assert!(h.app().requests().is_empty());
}

#[test]
fn policies_that_are_tried_or_audit_refuse_nothing_where_the_host_does_not_say_who_the_peer_is() {
    let rules = json!([{"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}]);
    let mut h = Harness::new(authz)
        .config(json!({"policies": [
            {"name": "d", "action": "DENY", "dryRun": true, "rules": rules},
            {"name": "a", "dryRun": true, "rules": rules},
            {"name": "w", "action": "AUDIT", "rules": rules},
        ]}))
        .deny("proxy_get_property")
        .start();
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.metric("authz_allowed"), 1);
    assert_eq!(h.metric("authz_dry_run_denied"), 1);
    assert_eq!(h.metric("authz_audited"), 0);
    assert_eq!(h.metric("authz_denied"), 0);
}

#[test]
fn an_address_that_is_none_is_in_doubt_whatever_rules_want_of_it() {
    if not_in(Mode::Envoy, "its connections are all alike") {
        return;
    }
    let doubts: [(&[&str], &str, &str); 3] = [
        (
            &["filter_state", "tidegate.peer_address"],
            "source.ip",
            "authz_denied_unknown_peer_address",
        ),
        (
            &["source", "address"],
            "remote.ip",
            "authz_denied_unknown_client_address",
        ),
        (
            &["destination", "address"],
            "destination.ip",
            "authz_denied_unknown_destination",
        ),
    ];
    for (path, key, metric) in doubts {
        for (action, field) in [("DENY", "values"), ("ALLOW", "notValues")] {
            let rules = json!([{"when": [{"key": key, field: ["0.0.0.0/0", "::/0"]}]}]);
            let mut h = start(&json!({"action": action, "rules": rules}));
            for address in ["/run/a.sock", "", "-", "10.0.0.1:x"] {
                h.property(path.iter().copied(), address);
                assert_eq!(h.send(get("/")).status(), 500, "{action} {key} {address}");
            }
            assert_eq!(h.metric(metric), 4, "{action} {key}");
            h.property(path.iter().copied(), "10.0.0.1:1");
            assert_eq!(h.send(get("/")).status(), 403, "{action} {key}");
        }
    }
}

#[test]
fn a_certificate_with_several_names_is_nobodys() {
    if not_in(Mode::Envoy, "its connections have no certificates") {
        return;
    }
    let banned = "td/ns/a/sa/banned";
    for (action, source) in [
        ("DENY", json!({"principals": [banned]})),
        ("ALLOW", json!({"notPrincipals": [banned]})),
        ("ALLOW", json!({"principals": ["*"]})),
        ("DENY", json!({"namespaces": ["b"]})),
    ] {
        let rules = json!([{"from": [{"source": source}]}]);
        let mut h = start(&json!({"action": action, "rules": rules}));
        for (first, all, status) in [
            (
                "https://x.test",
                "https://x.test,spiffe://td/ns/a/sa/banned",
                403,
            ),
            (
                "spiffe://td/ns/a/sa/good",
                "spiffe://td/ns/a/sa/good,spiffe://td/ns/a/sa/banned",
                403,
            ),
            (
                "spiffe://td/ns/a/sa/good",
                "spiffe://td/ns/a/sa/good,https://x.test",
                403,
            ),
            ("", ",spiffe://td/ns/a/sa/banned", 403),
            ("spiffe://td/ns/a/sa/good", "spiffe://td/ns/a/sa/good", 200),
            ("https://x.test", "https://x.test,https://y.test", 200),
        ] {
            h.property(["connection", "uri_san_peer_certificate"], first);
            h.property(["filter_state", "tidegate.peer_uri_sans"], all);
            let res = h.send(get("/"));
            assert_eq!(res.status(), status, "{action} {source} {all}");
        }
        assert_eq!(h.metric("authz_denied_ambiguous_principal"), 4);
    }
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
        told(&mut h, &format!("policy[teams]-rule[{at}]]"));
    }
    assert_eq!(h.send(get("/team-100/x")).status(), 200);
    assert_eq!(h.send(post("/team-1/x")).status(), 200);
}

#[test]
fn mistakes_are_told_with_their_place() {
    let rule = |rule: Value| json!({"policies": [{"name": "p", "rules": [{}, rule]}]});
    for (config, why) in [
        (json!({}), "write `rules`, or `policies`"),
        (
            json!({"policies": [{"name": "p", "action": "CUSTOM"}]}),
            "policies[0].action: ",
        ),
        (
            rule(json!({"to": [{"operation": {"paths": ["/", "/{**}/{*}"]}}]})),
            "policies[0].rules[1].to[0].operation.paths[1]: `{**}` is the last",
        ),
        (
            rule(json!({"when": [{"key": "source.ip", "notValues": ["10.0.0.0/33"]}]})),
            "policies[0].rules[1].when[0].notValues[0]: expected an address",
        ),
    ] {
        let refused = Harness::new(authz).config(&config).try_start().err();
        let refused = refused.unwrap_or_else(|| panic!("{config} is accepted"));
        assert!(refused.contains(why), "{config}: {refused}");
    }
}
