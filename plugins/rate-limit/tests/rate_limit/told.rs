//! What clients are told.

use tidegate_sdk_testing::{get, json, post};

use super::start;

const NAMES: [&str; 5] = [
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

#[test]
fn headers_tell_what_is_left_in_the_style_that_is_asked_for() {
    let policy = "\"hourly\";q=60;w=3600, \"x-user-500ms\";q=2";
    let limits = "60, 60;w=3600;name=\"hourly\", 2;w=1;name=\"x-user-500ms\"";
    for (style, first, last) in [
        (
            "draft",
            [
                Some(policy),
                Some("\"hourly\";r=59;t=60, \"x-user-500ms\";r=1;t=1"),
                None,
                None,
                None,
            ],
            [
                Some(policy),
                Some("\"hourly\";r=58;t=120, \"x-user-500ms\";r=0;t=1"),
                None,
                None,
                None,
            ],
        ),
        (
            "legacy",
            [
                None,
                None,
                Some(&limits.replacen("60", "2", 1)),
                Some("1"),
                Some("1"),
            ],
            [
                None,
                None,
                Some(&limits.replacen("60", "2", 1)),
                Some("0"),
                Some("1"),
            ],
        ),
        ("off", [None; 5], [None; 5]),
    ] {
        let mut h = start(&json!({
            "headers": style,
            "limits": [
                {"name": "hourly", "requests": 60, "window": "1h"},
                {"key": [{"header": "x-user"}], "requests": 2, "window": "500ms"},
            ],
        }));
        for expected in [first, last] {
            let res = h.send(get("/").header("x-user", "ann"));
            let told = NAMES.map(|name| res.header(name));
            assert_eq!(told.each_ref().map(Option::as_deref), expected, "{style}");
            assert_eq!(res.header("retry-after"), None);
        }
    }
}

#[test]
fn a_refusal_has_the_headers_too_and_says_when_to_come_again() {
    let mut h = start(&json!({
        "headers": "both", "limits": [{"name": "one", "requests": 2, "window": "1h"}],
    }));
    let answers: Vec<_> = (0..3).map(|_| h.send(get("/"))).collect();
    let refused = &answers[2];
    assert_eq!(refused.status(), 429);
    assert_eq!(
        refused.header("ratelimit-policy").unwrap(),
        "\"one\";q=2;w=3600"
    );
    assert_eq!(refused.header("x-ratelimit-remaining").unwrap(), "0");
    let seconds = |name: &str| -> u64 { refused.header(name).unwrap().parse().unwrap() };
    // Half of the window, less what the test has taken.
    assert!((1_790..=1_800).contains(&seconds("retry-after")));
    assert!((3_590..=3_600).contains(&seconds("x-ratelimit-reset")));
    assert_eq!(refused.text(), "Too Many Requests\n");
}

#[test]
fn operators_choose_the_status_and_clients_of_grpc_get_resource_exhausted() {
    let mut h = start(&json!({
        "statusCode": 503, "limits": [{"requests": 1, "window": "1h"}],
    }));
    h.send(get("/"));
    assert_eq!(h.send(get("/")).status(), 503);
    let call = post("/shop.Orders/List").header("content-type", "application/grpc");
    let res = h.send(call);
    assert_eq!(res.status(), 200);
    assert_eq!(res.header("grpc-status").as_deref(), Some("8"));
    assert!(res.header("ratelimit").is_some());
}
