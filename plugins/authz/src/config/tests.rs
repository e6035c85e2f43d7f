//! What operators may write, and what they are told of mistakes.

use serde_json::Value;
use serde_json::json;
use tidegate_sdk::config::FilterConfig as _;

use super::Config;

/// That a configuration is refused at a place, with this in the message.
#[track_caller]
fn refused(config: &Value, place: &str, message: &str) {
    let error = Config::from_value(config).expect_err("it is accepted");
    let told = error
        .problems()
        .iter()
        .find(|it| it.path() == place && it.message().contains(message));
    assert!(told.is_some(), "{config}: {error}");
}

fn of_rule(rule: Value) -> Value {
    json!({"policies": [{"name": "p", "rules": [{}, rule]}]})
}

/// That a source, an operation or a condition is refused.
#[track_caller]
fn refused_in(part: &str, value: Value, place: &str, message: &str) {
    let (rule, at) = match part {
        "source" => (json!({"from": [{"source": value}]}), "from[0].source"),
        "operation" => (json!({"to": [{"operation": value}]}), "to[0].operation"),
        _ => (json!({"when": [value]}), "when[0]"),
    };
    let place = format!("policies[0].rules[1].{at}{place}");
    refused(&of_rule(rule), &place, message);
}

#[test]
fn a_plugin_says_who_may_do_what_in_one_way() {
    refused(&json!({}), "", "write `rules`, or `policies`");
    refused(&json!({"dryRun": true}), "", "write `rules`, or `policies`");
    refused(&json!({"policies": []}), "policies", "at least 1 item");
    let both = json!({"rules": [], "policies": [{"name": "p"}]});
    refused(&both, "", "write either");
    let both = json!({"action": "DENY", "policies": [{"name": "p"}]});
    refused(&both, "", "write either");
}

#[test]
fn what_never_matches_is_refused_unless_it_denies_all() {
    for action in ["DENY", "AUDIT"] {
        refused(&json!({"action": action}), "rules", "never matches");
        let policies = json!([{"name": "a"}, {"name": "p", "action": action, "rules": []}]);
        let place = "policies[1].rules";
        refused(&json!({"policies": policies}), place, "never matches");
    }
    assert!(Config::from_value(&json!({"action": "ALLOW"})).is_ok());
    assert!(Config::from_value(&json!({"rules": []})).is_ok());
}

#[test]
fn mistakes_in_policies_are_told_with_their_place() {
    for (policy, place, message) in [
        (json!({"name": "p", "action": "CUSTOM"}), ".action", "ALLOW"),
        (json!({"rules": []}), ".name", "missing"),
        (json!({"name": "a b"}), ".name", "letters"),
        (json!({"name": ""}), ".name", "letters"),
        (
            json!({"name": "p", "namespace": "[x]"}),
            ".namespace",
            "letters",
        ),
    ] {
        let place = format!("policies[0]{place}");
        refused(&json!({"policies": [policy]}), &place, message);
    }
    let place = "policies[0].rules[1].from";
    refused(&of_rule(json!({"from": []})), place, "at least 1 item");
    let place = "policies[0].rules[1].form";
    refused(&of_rule(json!({"form": []})), place, "from");
}

#[test]
fn mistakes_in_sources_are_told_with_their_place() {
    for (source, place, message) in [
        (json!({}), "", "says nothing"),
        (json!({"principals": []}), ".principals", "at least 1 item"),
        (json!({"principals": [""]}), ".principals[0]", "1 character"),
        (
            json!({"principals": ["a*b"]}),
            ".principals[0]",
            "first or the last",
        ),
        (
            json!({"ipBlocks": ["10.0.0.0/33"]}),
            ".ipBlocks[0]",
            "10.0.0.0/8",
        ),
        (
            json!({"notRemoteIpBlocks": ["10.0.0.1/33"]}),
            ".notRemoteIpBlocks[0]",
            "10.0.0.0/8",
        ),
        (
            json!({"requestPrincipals": ["https://a.test"]}),
            ".requestPrincipals[0]",
            "subject",
        ),
        (
            json!({"notRequestPrincipals": ["ann"]}),
            ".notRequestPrincipals[0]",
            "ISSUER/SUBJECT",
        ),
        (
            json!({"serviceAccounts": ["a/b/c"]}),
            ".serviceAccounts[0]",
            "namespace/account",
        ),
        (
            json!({"serviceAccounts": ["a*"]}),
            ".serviceAccounts[0]",
            "without stars",
        ),
        (
            json!({"notNamespaces": ["a/b"]}),
            ".notNamespaces[0]",
            "no `/`",
        ),
    ] {
        refused_in("source", source, place, message);
    }
}

#[test]
fn mistakes_in_operations_are_told_with_their_place() {
    refused_in("operation", json!({}), "", "says nothing");
    for port in ["0", "65536", "+80", "http"] {
        let operation = json!({"ports": ["80", port]});
        refused_in(
            "operation",
            operation,
            ".ports[1]",
            "from \"1\" to \"65535\"",
        );
    }
    refused_in(
        "operation",
        json!({"notPorts": [80]}),
        ".notPorts[0]",
        "text",
    );
    for (path, message) in [
        ("admin", "begins with `/`"),
        ("/a?b", "without their query"),
        ("/a/../b", "segments"),
        ("/{**}/x/{*}", "last of a template"),
        ("/{*}.txt", "whole segments"),
        ("/{name}", "braces"),
        ("/a*b", "first or the last"),
        ("/a%zz", "hexadecimal"),
    ] {
        let operation = json!({"paths": ["/", path]});
        refused_in("operation", operation, ".paths[1]", message);
    }
}

#[test]
fn mistakes_in_conditions_are_told_with_their_place() {
    refused_in(
        "when",
        json!({"key": "source.ip"}),
        "",
        "`values` or `notValues`",
    );
    for (key, message) in [
        ("source.ipp", "there are"),
        ("request.headers", "[x-team]"),
        ("request.headers[]", "[x-team]"),
        ("request.headers[a][b]", "[x-team]"),
        ("request.headers[a b]", "header can have"),
        ("request.auth.claims", "brackets"),
        ("request.auth.claims[a]x", "brackets"),
        ("request.auth.claims[a][]", "brackets"),
        ("experimental.envoy.filters.a[b]", "not known"),
    ] {
        let condition = json!({"key": key, "values": ["1"]});
        refused_in("when", condition, ".key", message);
    }
    for (key, message) in [
        ("source.ip", "an address or a block"),
        ("remote.ip", "an address or a block"),
        ("destination.ip", "an address or a block"),
        ("destination.port", "from \"1\""),
        ("source.principal", "first or the last"),
        ("request.auth.principal", "first or the last"),
    ] {
        let condition = json!({"key": key, "notValues": ["a*b"]});
        refused_in("when", condition, ".notValues[0]", message);
    }
}
