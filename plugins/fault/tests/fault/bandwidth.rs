//! Responses that arrive slowly.

use fault::fault;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Mode, Reply, get, json, mode, ms, not_in};

use crate::start;

/// Something in which a byte that is missing or twice shows.
fn body(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}

fn slow(config: &Value, chunks: &[usize]) -> Harness {
    let whole = body(chunks.iter().sum());
    let mut rest = whole.as_slice();
    let mut parts = Vec::new();
    for size in chunks {
        let (part, after) = rest.split_at(*size);
        parts.push(part.to_vec());
        rest = after;
    }
    Harness::new(fault)
        .config(config)
        .app(move |_| Reply::status(200).chunks(parts.clone()))
        .start()
}

#[test]
fn a_body_takes_as_long_as_its_bytes_do() {
    let config = json!({"bandwidth": {"response": "100KB"}});
    for chunks in [
        vec![50_000],
        vec![10_000, 30_000, 10_000],
        vec![500; 100],
        vec![1, 49_998, 1],
    ] {
        let mut h = slow(&config, &chunks);
        let begun = h.unix_time();
        let answer = h.send(get("/"));
        let took = h.unix_time() - begun;
        assert!(answer.body() == body(50_000), "{chunks:?}");
        assert!(took >= ms(440), "{chunks:?}: {took:?}");
        // In real time, peers take theirs, too.
        assert!(
            took < ms(900) || mode() != Mode::Native,
            "{chunks:?}: {took:?}"
        );
        assert_eq!(h.metric("fault_response_limited"), 1);
        h.wait_for("nobody to suffer", |h| h.metric("fault_active") == 0);
    }
}

#[test]
fn every_split_of_a_body_arrives_whole() {
    let config = json!({"bandwidth": {"response": "1MB"}});
    for seed in 0..8 {
        let mut h = Harness::new(fault)
            .config(&config)
            .app(|_| Reply::status(200).body(body(5_000)))
            .split_bodies(seed)
            .start();
        assert!(h.send(get("/")).body() == body(5_000), "{seed}");
    }
    let mut h = Harness::new(fault)
        .config(&config)
        .app(|_| Reply::status(200).body(body(300)))
        .split_every_byte()
        .start();
    assert!(h.send(get("/")).body() == body(300));
}

#[test]
fn what_has_no_body_is_not_held() {
    let mut h = start(&json!({"bandwidth": {"response": "1B"}}));
    assert_eq!(h.send(get("/")).status(), 200);
    h.wait_for("nobody to suffer", |h| h.metric("fault_active") == 0);
}

#[test]
fn trailers_come_after_the_body() {
    let mut h = Harness::new(fault)
        .config(json!({"bandwidth": {"response": "10KB"}}))
        .app(|_| {
            Reply::status(200)
                .header("content-type", "application/grpc")
                .body(body(1_000))
                .trailer("grpc-status", "0")
        })
        .start();
    let begun = h.unix_time();
    let answer = h.send(get("/"));
    assert!(h.unix_time() - begun >= ms(50));
    assert!(answer.body() == body(1_000));
    assert_eq!(answer.trailer("grpc-status").as_deref(), Some("0"));
}

#[test]
fn a_request_that_may_asks_for_a_slow_response() {
    let mut h = Harness::new(fault)
        .config(json!({"allowHeaderControl": true}))
        .app(|_| Reply::status(200).body(body(4_096)))
        .start();
    let asks = |value: &str| get("/").header("x-envoy-fault-throughput-response", value);
    let begun = h.unix_time();
    assert!(h.send(asks("10")).body() == body(4_096));
    assert!(h.unix_time() - begun >= ms(340));
    assert_eq!(h.metric("fault_response_limited"), 1);
    assert!(h.send(asks("fast")).body() == body(4_096));
    let never = asks("10").header("x-envoy-fault-throughput-response-percentage", "0");
    assert!(h.send(never).body() == body(4_096));
    assert_eq!(h.metric("fault_response_limited"), 1);
}

#[test]
fn a_failure_has_no_response_to_slow_down() {
    let mut h = start(&json!({
        "abort": {"httpStatus": 503},
        "bandwidth": {"response": "1B"},
    }));
    assert_eq!(h.send(get("/")).text(), "fault filter abort");
    assert_eq!(h.metric("fault_response_limited"), 0);
}

#[test]
fn bytes_go_on_in_small_pieces_however_large_the_backends_are() {
    if not_in(Mode::Native, "it lets parts go as a whole, as Envoy does") {
        return;
    }
    if not_in(Mode::Envoy, "it lets parts go as a whole") {
        return;
    }
    let mut h = slow(&json!({"bandwidth": {"response": "1KB"}}), &[8_000, 1_000]);
    let mut exchange = h.begin(get("/"));
    let some = exchange.wait_for_body(200).body().len();
    assert!(some < 8_000, "{some}");
    h.advance(ms(10_000));
    assert!(exchange.finish().body() == body(9_000));
}

#[test]
fn a_part_may_take_longer_than_a_filter_may_hold_one() {
    if not_in(Mode::Native, "it lets parts go as a whole, as Envoy does") {
        return;
    }
    if not_in(Mode::Envoy, "more than half a minute passes") {
        return;
    }
    let mut h = slow(&json!({"bandwidth": {"response": "250B"}}), &[9_000]);
    let mut exchange = h.begin(get("/"));
    exchange.wait_for_body(1);
    h.advance(ms(37_000));
    assert!(exchange.finish().body() == body(9_000));
}

#[test]
fn a_client_that_leaves_a_slow_response_gives_its_place_back() {
    let config = json!({"bandwidth": {"response": "1KB"}, "maxActiveFaults": 1});
    let mut h = slow(&config, &[100, 50_000]);
    let mut exchange = h.begin(get("/"));
    exchange.wait_for_headers();
    assert_eq!(h.metric("fault_active"), 1);
    exchange.disconnect();
    h.wait_for("nobody to suffer", |h| h.metric("fault_active") == 0);
}
