//! The conformance cases of the Gateway API, in our own words: each file of
//! `tests/conformance` is replayed against a gateway that loads its resources, over real sockets.
//!
//! The cases are data; how one is written is in [`cases`]. What comes of them is the table of
//! docs/gateway-api.md, which is written anew with `TIDEGATE_BLESS=1`.

#[path = "gateway_api/cases.rs"]
mod cases;
#[path = "gateway_api/replay.rs"]
mod replay;
#[path = "gateway_api/shares.rs"]
mod shares;
#[path = "gateway_api/table.rs"]
mod table;
#[path = "gateway_api/trust.rs"]
mod trust;

use std::collections::BTreeSet;

use replay::Origins;
use replay::replay;

macro_rules! replayed {
    ($($test:ident: $file:literal;)+) => {
        /// The files that are replayed.
        const FILES: &[&str] = &[$($file),+];

        $(
            #[test]
            fn $test() {
                replay($file);
            }
        )+
    };
}

replayed! {
    backends: "backends";
    certificates: "certificates";
    connections: "connections";
    cors: "cors";
    gateways: "gateways";
    headers: "headers";
    hostnames: "hostnames";
    listeners: "listeners";
    matching: "matching";
    mirrors: "mirrors";
    not_yet: "not_yet";
    paths: "paths";
    redirects: "redirects";
    references: "references";
    rewrites: "rewrites";
    simple: "simple";
    timeouts: "timeouts";
    tls: "tls";
    weights: "weights";
}

#[test]
fn every_file_of_cases_is_replayed() {
    let replayed: BTreeSet<String> = FILES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(cases::files(), replayed);
}

#[test]
fn whatever_is_not_as_a_case_expects_is_reported() {
    let mut origins = Origins::default();
    let settings = cases::settings_in("wrong.yaml", WRONG);
    let found: Vec<String> = settings
        .iter()
        .flat_map(|setting| replay::replay_case(setting, &mut origins))
        .map(|one| one.lines().next().unwrap_or_default().to_owned())
        .collect();
    let expected: Vec<&str> = REPORTED.lines().collect();
    assert_eq!(found, expected);
}

/// A case in which nothing is right.
const WRONG: &str = r#"
kind: Case
apiVersion: tests.tidegate.dev/v1
says: Nothing is right.
features: [HTTPRoute]
problems: [BackendNotFound]
requests:
- { request: GET http://shop.test/, status: 404, from: pears }
- request: GET http://shop.test/one
  headers: { x-a: "1" }
  reply: { x-b: [one, two] }
  from: apples
  seen: { method: PUT, path: /two, host: other.test, headers: { x-a: "2", x-c: here }, without: [x-a] }
  answer: { headers: { x-b: one }, without: [x-b] }
- { request: GET http://shop.test/, cut: true, from: apples }
- { request: GET http://shop.test/, times: 200, shares: { apples: 50, pears: 50 } }
- { request: GET http://shop.test/mirrored, from: apples }
- { request: "GET http://shop.test:81/" }
conditions:
- { of: HTTPRoute default/none, type: Accepted, status: true, reason: Accepted }
- { of: HTTPRoute default/fruit, type: Accepted, status: false, reason: Accepted }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: tidegate
  listeners: [{ name: http, port: 80, protocol: HTTP }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: fruit }
spec:
  parentRefs: [{ name: edge }]
  rules:
  - backendRefs: [{ name: apples, port: 8080 }]
  - matches: [{ path: { value: /mirrored } }]
    filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: pears, port: 8080 } } }]
    backendRefs: [{ name: apples, port: 8080 }]
"#;

/// What is said about [`WRONG`].
const REPORTED: &str = r#"expected problems ["BackendNotFound"], got []
there is no resource HTTPRoute default/none
expected
GET http://shop.test/: expected status "404", got "200"
GET http://shop.test/: expected an answer from "pears", got "apples"
GET http://shop.test/one: expected x-b "one", got "one | two"
GET http://shop.test/one: expected x-b "", got "one | two"
GET http://shop.test/one: expected the origin to see method "PUT", got "GET"
GET http://shop.test/one: expected the origin to see path "/two", got "/one"
GET http://shop.test/one: expected the origin to see host "other.test", got "shop.test"
GET http://shop.test/one: expected the origin to see x-a "2", got "1"
GET http://shop.test/one: expected the origin to see x-c "here", got ""
GET http://shop.test/one: expected the origin to see x-a "", got "1"
GET http://shop.test/: expected an answer that "breaks off", got "it is whole"
GET http://shop.test/: expected answers in percent {"apples": 50.0, "pears": 50.0}, got {"apples": 100.0}
GET http://shop.test:81/: no listener has this port
GET http://shop.test/mirrored: expected copies in percent {}, got {"pears": 100.0}"#;
