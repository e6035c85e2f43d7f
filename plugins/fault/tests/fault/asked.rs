//! Faults that requests ask for.

use tidegate_sdk_testing::{Harness, Request, get, json, ms, post};

use crate::{everywhere, start};

const HEADERS: [(&str, &str); 7] = [
    ("x-envoy-fault-abort-request", "418"),
    ("x-envoy-fault-abort-grpc-request", "8"),
    ("x-envoy-fault-abort-request-percentage", "100"),
    ("x-envoy-fault-delay-request", "300"),
    ("x-envoy-fault-delay-request-percentage", "100"),
    ("x-envoy-fault-throughput-response", "1"),
    ("x-envoy-fault-throughput-response-percentage", "100"),
];

fn asks(headers: &[(&str, &str)]) -> Request {
    let with = |req: Request, (name, value): &(&str, &str)| {
        req.header(&format!("x-envoy-fault-{name}"), value)
    };
    headers.iter().fold(get("/"), with)
}

#[test]
fn what_clients_ask_for_that_may_not_is_ignored_and_removed() {
    for config in [
        json!({"abort": {"httpStatus": 503, "percentage": 0}}),
        // Also of requests that it is not about.
        json!({"abort": {"httpStatus": 503}, "headers": [{"name": "x-other"}]}),
        // Also where others may.
        json!({"allowHeaderControl": true, "headers": [{"name": "x-other"}]}),
    ] {
        let mut h = start(&config);
        let request = HEADERS
            .iter()
            .fold(get("/"), |req, (name, value)| req.header(name, value))
            .header("x-envoy-fault-other", "stays");
        assert_eq!(h.send(request).status(), 200);
        let seen = &h.app().requests()[0];
        for (name, _) in HEADERS {
            assert_eq!(seen.header(name), None, "{name}");
        }
        assert_eq!(seen.header("x-envoy-fault-other").as_deref(), Some("stays"));
        assert_eq!((h.metric("fault_aborts"), h.metric("fault_delays")), (0, 0));
    }
}

#[test]
fn what_a_request_may_ask_for_it_gets() {
    for mut h in everywhere(&json!({"allowHeaderControl": true})) {
        let status = |h: &mut Harness, headers: &[_]| h.send(asks(headers)).status();
        assert_eq!(status(&mut h, &[("abort-request", "418")]), 418);
        assert_eq!(status(&mut h, &[("abort-grpc-request", "7")]), 403);
        let both = [("abort-grpc-request", "7"), ("abort-request", "418")];
        assert_eq!(status(&mut h, &both), 418);
        let call = post("/a.B/C")
            .header("content-type", "application/grpc")
            .header("x-envoy-fault-abort-grpc-request", "7");
        let answer = h.send(call.body([0; 5]));
        assert_eq!(answer.header("grpc-status").as_deref(), Some("7"));
        assert_eq!(h.metric("fault_aborts"), 4);

        let begun = h.unix_time();
        assert_eq!(status(&mut h, &[("delay-request", "200")]), 200);
        assert!(h.unix_time() - begun >= ms(200));
        let seen = h.app().requests()[0].header("x-envoy-fault-delay-request");
        assert_eq!(seen.as_deref(), Some("200"), "backends may act on it, too");

        // Nothing asked for is nothing done.
        for value in ["", "no", "199", "600", "-503", "18446744073709551616"] {
            assert_eq!(status(&mut h, &[("abort-request", value)]), 200, "{value}");
        }
        let never = [("abort-request", "418"), ("abort-request-percentage", "0")];
        assert_eq!(status(&mut h, &never), 200);
        let only_a_share = [("abort-request-percentage", "100")];
        assert_eq!(status(&mut h, &only_a_share), 200);
        assert_eq!((h.metric("fault_aborts"), h.metric("fault_delays")), (4, 1));
    }
}

#[test]
fn what_a_request_asks_for_takes_the_place_of_what_is_configured() {
    let mut h = start(&json!({
        "allowHeaderControl": true,
        "abort": {"httpStatus": 503},
        "headers": [{"name": "x-tester"}],
    }));
    let tester = |headers: &[_]| asks(headers).header("x-tester", "ann");
    assert_eq!(h.send(tester(&[])).status(), 503);
    assert_eq!(h.send(tester(&[("abort-request", "404")])).status(), 404);
    let never = [("abort-request", "404"), ("abort-request-percentage", "0")];
    assert_eq!(h.send(tester(&never)).status(), 200);
    // Requests that it is not about may ask for nothing.
    assert_eq!(h.send(asks(&[("abort-request", "404")])).status(), 200);
}
