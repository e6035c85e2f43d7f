//! The same tests run natively, on Tidegate and on Envoy.

#[path = "rate_limit/rls.rs"]
mod rls;

use rate_limit::rate_limit;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, get, json};

fn start(config: &Value) -> Harness {
    Harness::new(rate_limit).config(config).start()
}

#[test]
fn what_is_beyond_the_burst_is_refused_for_each_requester_apart() {
    let mut h = start(&json!({
        "limits": [{"key": [{"header": "x-user"}], "requests": 3, "window": "1h"}],
    }));
    for user in ["ann", "bob"] {
        for expected in [200, 200, 200, 429, 429] {
            let res = h.send(get("/").header("x-user", user));
            assert_eq!(res.status(), expected, "{user}");
        }
    }
    assert_eq!(h.app().requests().len(), 6);
    assert_eq!(h.metric("rate_limit_allowed"), 6);
    assert_eq!(h.metric("rate_limit_denied"), 4);
    assert_eq!(h.metric("rate_limit_limited_x_user_1h"), 4);
}
