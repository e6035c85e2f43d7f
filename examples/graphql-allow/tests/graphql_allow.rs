//! The same tests run natively, on Tidegate and on Envoy.

use graphql_allow::graphql_allow;
use sha2::{Digest, Sha256};
use tidegate_sdk_testing::{Harness, get, json, post};

const ME: &str = "query Me { me { name } }";
const ALL: &str = "query All { users { name } }";

fn start() -> Harness {
    let digest = Sha256::digest(ME);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let config = json!({"operations": [{"name": "me", "sha256": digest}]});
    Harness::new(graphql_allow).config(config).start()
}

#[test]
fn operations_of_the_list_pass_with_their_body() {
    let mut h = start();
    let body = json!({"query": ME, "variables": {"a": 1}});
    assert_eq!(h.send(post("/graphql").json(&body)).status(), 200);
    assert_eq!(h.app().request().json::<serde_json::Value>(), body);
    assert_eq!(h.metric("operations.me"), 1);
}

#[test]
fn other_operations_are_refused_alone_and_among_others() {
    let mut h = start();
    for body in [
        json!({"query": ALL}),
        json!([{"query": ME}, {"query": ALL}]),
    ] {
        assert_eq!(h.send(post("/graphql").json(&body)).status(), 403);
    }
    assert!(h.app().requests().is_empty());
    assert_eq!(h.metric("operations.other"), 2);
}

#[test]
fn a_get_is_looked_at_too() {
    let mut h = start();
    assert_eq!(
        h.send(get("/graphql?query=query+Me+%7B+me+%7B+name+%7D+%7D"))
            .status(),
        200
    );
    assert_eq!(h.send(get("/graphql?query=%7Bsecret%7D")).status(), 403);
}

#[test]
fn what_is_no_graphql_is_a_bad_request_and_other_paths_pass() {
    let mut h = start();
    assert_eq!(h.send(post("/graphql").body("query=x")).status(), 400);
    assert_eq!(h.send(get("/graphql")).status(), 400);
    assert_eq!(h.send(post("/other").body("anything")).status(), 200);
}
