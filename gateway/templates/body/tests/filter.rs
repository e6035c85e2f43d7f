//! The same tests run natively, on Tidegate (`--wasm`) and on Envoy (`--envoy`).

use template_name::body;
use tidegate_sdk_testing::{Harness, Reply, get, json};

#[test]
fn fields_are_taken_out_wherever_they_are() {
    let mut h = Harness::new(body)
        .config(json!({"remove": ["password"]}))
        .app(|_| {
            let users = json!({"users": [{"name": "ada", "password": "x"}], "password": 1});
            Reply::json(200, &users)
        })
        .start();
    let res = h.send(get("/"));
    assert_eq!(
        res.json::<serde_json::Value>(),
        json!({"users": [{"name": "ada"}]})
    );
    assert_eq!(h.metric("removed"), 2);
}

#[test]
fn a_body_that_comes_in_pieces_is_read_as_a_whole() {
    let mut h = Harness::new(body)
        .config(json!({"remove": ["password"]}))
        .app(|_| {
            Reply::status(200)
                .header("content-type", "application/json")
                .chunks(["{\"a\":1,\"pass", "word\":2}"])
        })
        .start();
    assert_eq!(
        h.send(get("/")).json::<serde_json::Value>(),
        json!({"a": 1})
    );
}

#[test]
fn what_is_no_json_passes_as_it_is() {
    let mut h = Harness::new(body)
        .config(json!({"remove": ["password"]}))
        .app(|_| Reply::text(200, "{\"password\": 1}"))
        .start();
    assert_eq!(h.send(get("/")).text(), "{\"password\": 1}");
}
