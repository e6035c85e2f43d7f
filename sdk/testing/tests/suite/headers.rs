//! Headers, denials, logs and metrics.

use testing_edits::edits;
use tidegate_sdk_testing::{Harness, LogLevel, Mode, get, head, json, not_in};

fn harness() -> Harness {
    Harness::new(edits).config(json!({"key": "k1"})).start()
}

#[test]
fn a_request_without_the_key_is_refused_and_reaches_nobody() {
    let mut h = harness();
    let res = h.send(get("/a?b=1").header("x-key", "k2"));
    assert_eq!(res.status(), 401);
    assert_eq!(res.header("www-authenticate").as_deref(), Some("Key"));
    assert_eq!(res.text(), "Unauthorized\n");
    assert!(h.app().requests().is_empty());
    assert_eq!(h.metric("denied"), 1);
    assert!(h.logged("no key path=/a given=true"), "{:?}", h.logs());
    let warnings = h.logs_from(LogLevel::Warn);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn headers_are_edited_on_both_ways() {
    let mut h = Harness::new(edits)
        .config(json!({"key": "k1"}))
        .app(|_| {
            tidegate_sdk_testing::Reply::text(200, "hello").header("x-powered-by", "a toaster")
        })
        .start();
    let req = get("/").header("X-Key", "k1");
    let res = h.send(req.header("x-many", "one").header("x-many", "two"));
    assert_eq!(res.status(), 200);
    assert_eq!(res.text(), "hello");
    assert_eq!(res.header("x-filter").as_deref(), Some("edits"));
    assert_eq!(res.header("X-Powered-By"), None);
    let got = h.app().request();
    assert_eq!(got.header("x-key"), None);
    assert_eq!(got.header("x-seen").as_deref(), Some("2"));
    assert_eq!(got.header("x-client").as_deref(), Some("127.0.0.1"));
    let many = got.headers().get_all("x-many").join(", ");
    assert_eq!(many, "one, two, from the filter");
    assert!(got.is_whole());
}

#[test]
fn the_end_of_an_exchange_and_every_kind_of_metric_are_seen() {
    let mut h = harness();
    assert_eq!(h.metric("ended"), 0);
    for _ in 0..3 {
        assert_eq!(h.send(get("/").header("x-key", "k1")).status(), 200);
    }
    assert_eq!(h.metric("ended"), 3);
    assert_eq!(h.metric("limit"), 60);
    // Envoy gathers histograms now and then.
    h.wait_for("three values", |h| h.metric("milliseconds") == 3);
    assert_eq!(h.metric("nobody has it"), 0);
}

#[test]
fn the_answer_to_a_head_request_has_no_body() {
    let mut h = harness();
    let res = h.send(head("/").header("x-key", "k1"));
    assert_eq!(res.status(), 200);
    assert_eq!(res.text(), "");
    assert_eq!(res.header("x-filter").as_deref(), Some("edits"));
    assert_eq!(h.app().request().method(), "HEAD");
}

#[test]
fn a_configuration_of_the_wrong_shape_is_refused_with_the_place_and_the_type() {
    let cases = [
        (json!({"key": 7}), "key", "expected text"),
        (json!({}), "key", "missing"),
        (json!({"key": "k", "perMinute": 0}), "perMinute", "1"),
        (
            json!({"key": "k", "perminute": 5}),
            "perminute",
            "perMinute",
        ),
        (json!([1]), "expected a mapping", "sequence"),
    ];
    for (config, place, kind) in cases {
        let refused = Harness::new(edits).config(&config).try_start();
        let why = refused.map(|_| ()).unwrap_err();
        assert!(why.contains(place) && why.contains(kind), "{config}: {why}");
    }
    let refused = Harness::new(edits).raw_config("{\"key\": ").try_start();
    let why = refused.map(|_| ()).unwrap_err();
    assert!(why.contains("line 1"), "{why}");
}

#[test]
fn properties_are_what_the_test_says() {
    if not_in(Mode::Envoy, "its properties are what they are") {
        return;
    }
    let mut h = Harness::new(edits)
        .config(json!({"key": "k1"}))
        .property(["source", "address"], "192.0.2.7:4711")
        .start();
    assert_eq!(h.send(get("/").header("x-key", "k1")).status(), 200);
    let got = h.app().request();
    assert_eq!(got.header("x-client").as_deref(), Some("192.0.2.7"));
}
