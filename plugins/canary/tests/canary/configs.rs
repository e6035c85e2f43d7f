//! Mistakes in the configuration, and what is said of them.

use canary::canary;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Mode, json, mode, not_in};

#[track_caller]
fn refused(config: &Value, path: &str, message: &str) {
    let started = Harness::new(canary).config(config).try_start();
    let problem = started
        .err()
        .unwrap_or_else(|| format!("{config} is taken"));
    assert!(problem.contains(path), "{problem}");
    assert!(problem.contains(message), "{problem}");
}

#[test]
fn mistakes_are_told_with_their_places() {
    if not_in(Mode::Envoy, "it logs what it refuses") {
        return;
    }
    let two = |first: Value, second: Value| json!({"versions": [first, second]});
    let mistakes = [
        (json!({}), "", "expected weight, versions or match"),
        (json!({"weight": 101}), "weight", "100"),
        (json!({"weight": 5.001}), "weight", "two decimals"),
        (json!({"weight": "5%"}), "weight", "number"),
        (
            json!({"weight": 5, "key": {"header": "x user"}}),
            "key.header",
            "name of a header",
        ),
        (json!({"weight": 5, "key": {"ip": "x"}}), "key", "clientIp"),
        (
            json!({"weight": 5, "header": "host"}),
            "header",
            "belongs to the gateway",
        ),
        (
            json!({"versions": [{"name": "v1"}]}),
            "versions",
            "two versions",
        ),
        (
            two(json!({"name": "v1"}), json!({"name": "v2"})),
            "versions[1].weight",
            "expected a weight",
        ),
        (
            two(
                json!({"name": "v1", "weight": 90}),
                json!({"name": "v2", "weight": 5}),
            ),
            "versions",
            "come to 95.00 and not to 100",
        ),
        (
            json!({"versions": [
                {"name": "a"}, {"name": "b", "weight": 60.5}, {"name": "c", "weight": 40},
            ]}),
            "versions",
            "come to 100.50",
        ),
        (
            two(json!({"name": "v-1"}), json!({"name": "v.1", "weight": 1})),
            "versions[1].name",
            "metrics would call [0] \"v_1\" too",
        ),
        (
            two(json!({"name": "V1"}), json!({"name": "v2", "weight": 1})),
            "versions[0].name",
            "V1",
        ),
        (
            json!({"weight": 5, "versions": [{"name": "a"}, {"name": "b", "weight": 5}]}),
            "weight",
            "versions have weights of their own",
        ),
        (json!({"match": [{}]}), "match[0]", "every request matches"),
        (
            json!({"match": [{"headers": {"a": "1"}, "version": "v9"}]}),
            "match[0].version",
            "there are stable, canary",
        ),
        (
            json!({"match": [{"headers": {"a b": "1"}}]}),
            "match[0].headers",
            "name of a header",
        ),
        (
            json!({"match": [{"cookies": {"a;b": "1"}}]}),
            "match[0].cookies",
            "name of a cookie",
        ),
        (
            json!({"match": [{"query": {"a": "x*y"}}]}),
            "match[0].query.a",
            "beginning and end only",
        ),
        (
            json!({"match": [{"clientIps": ["10.0.0.0/33"]}]}),
            "match[0].clientIps[0]",
            "10.0.0.0/33",
        ),
        (
            json!({"weight": 5, "cookie": {"name": "a=b"}}),
            "cookie.name",
            "one word",
        ),
        (
            json!({"weight": 5, "cookie": {"path": "/;x"}}),
            "cookie.path",
            "",
        ),
        (
            json!({"weight": 5, "cookie": {"ttl": "10000h"}}),
            "cookie.ttl",
            "",
        ),
        (
            json!({"weight": 5, "cookie": {"sameSite": "None", "secure": false}}),
            "cookie",
            "only if it is secure",
        ),
        (
            json!({"weight": 5, "cookie": {"name": "__Host-a", "path": "/x"}}),
            "cookie",
            "__Host-",
        ),
        (json!({"wieght": 5}), "", "weight"),
    ];
    // Each is a gateway of its own there, for what is read alike.
    let step = if mode() == Mode::Native { 1 } else { 7 };
    for (config, path, message) in mistakes.iter().step_by(step) {
        refused(config, path, message);
    }
}
