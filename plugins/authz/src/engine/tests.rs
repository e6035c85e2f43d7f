//! What holds of all policies and requests, from words of which many rules and requests are made.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::sample::subsequence;
use serde_json::Value;
use serde_json::json;
use tidegate_sdk::config::FilterConfig as _;

use super::*;
use crate::config::Config;

/// A request.
#[derive(Debug, Clone)]
struct Known {
    method: &'static str,
    path: String,
    host: &'static str,
    teams: Vec<&'static str>,
    principal: Option<&'static str>,
    group: Option<&'static str>,
    client: &'static str,
}

impl Host for Known {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let text = match path {
            ["connection", "uri_san_peer_certificate"] => self.principal?.to_owned(),
            ["source", "address"] => self.client.to_owned(),
            ["tidegate.auth.jwt"] => {
                json!({"iss": "i", "sub": "s", "claims": {"group": [self.group?, "all"]}})
                    .to_string()
            }
            _ => return None,
        };
        Some(text.into_bytes())
    }

    fn pseudo_header(&self, name: &str) -> Option<Vec<u8>> {
        let text = match name {
            ":method" => self.method,
            ":path" => &self.path,
            ":authority" => self.host,
            _ => return None,
        };
        Some(text.as_bytes().to_vec())
    }

    fn header(&self, name: &str) -> Vec<Vec<u8>> {
        let teams = self.teams.iter().filter(|_| name == "x-team");
        teams.map(|it| it.as_bytes().to_vec()).collect()
    }
}

fn a_request() -> impl Strategy<Value = Known> {
    let path = vec(
        select(vec!["a", "b", "ab", "..", ";a", "", "%2F", "%61"]),
        1..4,
    );
    (
        select(vec!["GET", "PUT"]),
        path,
        select(vec!["a.test", "B.test:80", "c.a.test"]),
        vec(select(vec!["red", "redder", "blue"]), 0..3),
        of(select(vec![
            "spiffe://td/ns/a/sa/x",
            "spiffe://td/ns/b/sa/x",
        ])),
        of(select(vec!["red", "blue"])),
        select(vec!["10.0.0.1:1", "10.1.0.1:1", "[::1]:1"]),
    )
        .prop_map(
            |(method, path, host, teams, principal, group, client)| Known {
                method,
                path: format!("/{}", path.join("/")),
                host,
                teams,
                principal,
                group,
                client,
            },
        )
}

/// Fields of a mapping, some of them, each with some of its values.
fn some_of(
    fields: &'static [(&'static str, &'static [&'static str])],
) -> impl Strategy<Value = Value> {
    let fields = subsequence(fields.to_vec(), 1..=fields.len().min(3));
    fields
        .prop_flat_map(|fields| {
            let values = fields.into_iter().map(|(name, values)| {
                let values = subsequence(values.to_vec(), 1..=values.len().min(2));
                values.prop_map(move |values| (name, json!(values)))
            });
            values.collect::<Vec<_>>()
        })
        .prop_map(|pairs| {
            let pairs = pairs.into_iter();
            Value::Object(pairs.map(|(name, it)| (name.to_owned(), it)).collect())
        })
}

const PATHS: &[&str] = &["/a", "/a/*", "/a*", "/b", "*b", "*", "/{*}/a", "/a/{**}"];
const OPERATIONS: &[(&str, &[&str])] = &[
    ("paths", PATHS),
    ("notPaths", PATHS),
    ("methods", &["GET", "PUT", "P*"]),
    ("notMethods", &["GET"]),
    ("hosts", &["a.test", "*.a.test", "b.*", "b.test:80"]),
    ("notHosts", &["a.test"]),
];
const SOURCES: &[(&str, &[&str])] = &[
    ("principals", &["td/ns/a/sa/x", "td/*", "*"]),
    ("notPrincipals", &["td/ns/a/sa/x", "*"]),
    ("namespaces", &["a", "b*"]),
    ("remoteIpBlocks", &["10.0.0.0/16", "::/0"]),
    ("notRemoteIpBlocks", &["10.1.0.0/16"]),
    ("requestPrincipals", &["i/s", "*"]),
];

fn a_condition() -> impl Strategy<Value = Value> {
    let key = select(vec![
        "request.headers[x-team]",
        "request.auth.claims[group]",
    ]);
    let values = subsequence(vec!["red", "red*", "blue", "*"], 1..3);
    (key, values, any::<bool>()).prop_map(|(key, values, is_not)| match is_not {
        true => json!({"key": key, "notValues": values}),
        false => json!({"key": key, "values": values}),
    })
}

fn a_rule() -> impl Strategy<Value = Value> {
    let to = of(vec(some_of(OPERATIONS), 1..3));
    let from = of(vec(some_of(SOURCES), 1..3));
    let when = of(vec(a_condition(), 1..3));
    (to, from, when).prop_map(|(to, from, when)| {
        let mut rule = json!({});
        let named = |name: &str, all: Vec<Value>| {
            let all = all.into_iter();
            all.map(|it| json!({name: it})).collect::<Vec<_>>().into()
        };
        if let Some(to) = to {
            rule["to"] = named("operation", to);
        }
        if let Some(from) = from {
            rule["from"] = named("source", from);
        }
        if let Some(when) = when {
            rule["when"] = when.into();
        }
        rule
    })
}

fn a_policy(action: &'static str) -> impl Strategy<Value = Value> {
    vec(a_rule(), 1..12)
        .prop_map(move |rules| json!({"name": "p", "action": action, "rules": rules}))
}

fn engine(policies: &[Value]) -> Engine {
    let config = Config::from_value(&json!({"policies": policies}));
    config.expect("a good configuration").engine
}

fn denied(engine: &Engine, by: &Known) -> bool {
    engine.decide(by).denied.is_some()
}

/// A request of which the host knows nothing but this.
fn plain() -> Known {
    Known {
        method: "GET",
        path: "/".to_owned(),
        host: "a.test",
        teams: Vec::new(),
        principal: None,
        group: None,
        client: "10.0.0.1:1",
    }
}

#[test]
fn a_host_that_does_not_say_who_the_peer_is_is_not_guessed_about() {
    for rules in [
        json!([{"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}]),
        json!([{"when": [{"key": "source.ip", "notValues": ["10.0.0.0/8"]}]}]),
    ] {
        for action in ["ALLOW", "DENY"] {
            let engine = engine(&[json!({"name": "p", "action": action, "rules": rules})]);
            let denied = engine.decide(&plain()).denied;
            assert_eq!(denied, Some(Denied::InDoubt(Unknown::PeerAddress)));
        }
    }
    // Where no rule needs it, nobody asks.
    let rules = json!([{"to": [{"operation": {"paths": ["/x"]}}], "from": [{"source": {"ipBlocks": ["::1"]}}]}]);
    let engine = engine(&[json!({"name": "p", "action": "DENY", "rules": rules})]);
    assert_eq!(engine.decide(&plain()), Decision::default());
}

#[test]
fn what_is_only_tried_refuses_nothing_in_doubt() {
    let rules = json!([{"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}]);
    let engine = engine(&[
        json!({"name": "a", "rules": [{}]}),
        json!({"name": "d", "action": "DENY", "dryRun": true, "rules": rules}),
        json!({"name": "w", "action": "AUDIT", "rules": rules}),
    ]);
    let decision = engine.decide(&plain());
    assert_eq!(decision.denied, None);
    let in_doubt = Denied::InDoubt(Unknown::PeerAddress);
    assert_eq!(decision.dry_denied, Some(in_doubt));
    assert_eq!(decision.audited, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn adding_a_deny_never_widens(
        policies in vec(prop_oneof![a_policy("ALLOW"), a_policy("DENY")], 1..4),
        more in a_policy("DENY"),
        requests in vec(a_request(), 1..8),
    ) {
        let before = engine(&policies);
        let after = engine(&[policies, vec![more]].concat());
        for request in requests {
            prop_assert!(!denied(&before, &request) || denied(&after, &request), "{request:?}");
        }
    }

    #[test]
    fn adding_an_allow_beside_another_never_narrows(
        policies in vec(prop_oneof![a_policy("ALLOW"), a_policy("DENY")], 1..4),
        allow in a_policy("ALLOW"),
        more in a_policy("ALLOW"),
        requests in vec(a_request(), 1..8),
    ) {
        let policies = [policies, vec![allow]].concat();
        let before = engine(&policies);
        let after = engine(&[policies, vec![more]].concat());
        for request in requests {
            prop_assert!(denied(&before, &request) || !denied(&after, &request), "{request:?}");
        }
    }

    #[test]
    fn rules_are_found_as_if_each_was_asked(
        rules in vec(a_rule(), 1..40),
        requests in vec(a_request(), 1..8),
    ) {
        let whole = engine(&[json!({"name": "p", "action": "DENY", "rules": rules})]);
        let each: Vec<Engine> = rules
            .iter()
            .map(|rule| engine(&[json!({"name": "p", "action": "DENY", "rules": [rule]})]))
            .collect();
        for request in requests {
            let expected = each.iter().any(|it| denied(it, &request));
            prop_assert_eq!(denied(&whole, &request), expected, "{:?}", request);
        }
    }

    #[test]
    fn an_ambiguous_path_is_judged_more_strictly_than_as_it_is(
        policies in vec(prop_oneof![a_policy("ALLOW"), a_policy("DENY")], 1..4),
        request in a_request(),
    ) {
        let config = json!({"policies": policies, "ambiguousPaths": "AsIs"});
        let as_is = Config::from_value(&config).expect("a good configuration").engine;
        let with_normal_escapes = Known {
            path: request.path.replace("%61", "a"),
            ..request
        };
        let strict = denied(&engine(&policies), &with_normal_escapes);
        prop_assert!(strict || !denied(&as_is, &with_normal_escapes));
    }
}
