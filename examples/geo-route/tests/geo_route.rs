//! The same tests run natively, on Tidegate and on Envoy.

use geo_route::geo_route;
use tidegate_sdk_testing::{Harness, get, json};

fn region(networks: &serde_json::Value) -> String {
    let config = json!({"networks": networks, "fallback": "elsewhere"});
    let mut h = Harness::new(geo_route).config(config).start();
    // The client of a test is on loopback in every mode.
    let res = h.send(get("/").header("x-region", "forged"));
    assert_eq!(res.status(), 200);
    let seen = h.app().request();
    seen.headers().get_all("x-region").join(",")
}

#[test]
fn the_first_network_that_has_the_client_says_where_it_is() {
    let networks = json!([
        {"block": "192.0.2.0/24", "region": "test"},
        {"block": "2001:db8::/32", "region": "six"},
        {"block": "127.0.0.0/8", "region": "here"},
        {"block": "0.0.0.0/0", "region": "anywhere"},
    ]);
    assert_eq!(region(&networks), "here");
}

#[test]
fn a_client_of_no_network_is_elsewhere() {
    assert_eq!(
        region(&json!([{"block": "192.0.2.0/24", "region": "test"}])),
        "elsewhere"
    );
}

#[test]
fn a_block_that_is_none_is_refused_at_its_place() {
    let config = json!({"networks": [{"block": "192.0.2.0/33", "region": "x"}]});
    let refused = Harness::new(geo_route).config(config).try_start();
    let why = refused.expect_err("no such block");
    assert!(why.contains("networks[0].block"), "{why}");
    assert!(why.contains("192.0.2.0/24"), "{why}");
}
