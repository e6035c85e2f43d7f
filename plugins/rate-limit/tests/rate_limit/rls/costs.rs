//! What the service is told that requests and responses cost.

use rate_limit::rate_limit;
use tidegate_sdk_testing::{Harness, Reply, get, json, post};

use super::service::{Answer, OK};
use super::{admits, asked, start_all, store};

#[test]
fn what_a_request_costs_is_said_to_the_service_where_it_reads_it() {
    let limits = json!([
        {"name": "one", "key": [{"const": "a"}], "costFrom": {"requestHeader": "x-cost"}},
        {"name": "two", "key": [{"const": "b"}], "costFrom": {"requestHeader": "x-cost"}},
        {"name": "three", "key": [{"const": "c"}, {"header": "x-three"}]},
    ]);
    let mut h = start_all(limits, json!({}), admits);
    for request in [
        get("/"),
        get("/").header("x-cost", "5"),
        get("/").header("x-cost", "5").header("x-three", "3"),
    ] {
        assert_eq!(h.send(request).status(), 200);
    }
    let hits: Vec<_> = asked(&h)
        .iter()
        .map(|it| {
            let each: Vec<_> = it.descriptors.iter().map(|it| it.hits).collect();
            (it.hits, each)
        })
        .collect();
    assert_eq!(
        hits,
        [
            (None, vec![None, None]),
            (Some(5), vec![None, None]),
            (None, vec![Some(5), Some(5), Some(1)]),
        ]
    );
}

#[test]
fn what_a_response_costs_is_charged_beside_it() {
    let limit = json!({"key": ["path"], "costFrom": {"responseHeader": "x-tokens"}});
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": [{
            "key": limit["key"], "costFrom": limit["costFrom"], "store": store(), "failureMode": "closed",
        }]}))
        .grpc_backend("limiter", |_| Answer::new(OK).reply())
        .app(|_| Reply::text(200, "many words").header("x-tokens", "41"))
        .start();
    assert_eq!(h.send(post("/").body("prompt")).status(), 200);
    h.wait_for("the charge", |h| h.calls("limiter").len() == 2);
    let hits: Vec<_> = asked(&h).iter().map(|it| it.hits).collect();
    assert_eq!(hits, [None, Some(40)]);
}
