//! gRPC calls to backends: what is asked, and how calls end.

use testing_greets::greets;
use tidegate_sdk_testing::{Answer, Builder, Harness, Mode, Reply, json, ms, not_in, post};

/// A backend that gives one answer.
fn greeter(reply: impl Fn() -> Reply + Send + 'static) -> Builder {
    Harness::new(greets).grpc_backend("greeter", move |_| reply())
}

/// The status, the text and the message that the filter was told.
fn told(answer: &Answer) -> (String, String, String) {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let header = |name| answer.header(name).unwrap_or_default();
    (header("x-status"), header("x-text"), answer.text())
}

fn ok(message: &str) -> (String, String, String) {
    ("0".to_owned(), String::new(), message.to_owned())
}

#[test]
fn a_call_is_asked_with_its_message_and_its_metadata() {
    let mut h = Harness::new(greets)
        .grpc_backend("greeter", |call| {
            Reply::grpc([b"hello, ", call.message()].concat())
        })
        .start();
    assert_eq!(told(&h.send(post("/").body("world"))), ok("hello, world"));
    let calls = h.calls("greeter");
    assert_eq!(calls.len(), 1);
    let call = calls.first().unwrap();
    assert_eq!(
        (call.method(), call.path(), call.message()),
        ("POST", "/greet.Greeter/Hello", &b"world"[..])
    );
    let header = |name| call.header(name).unwrap_or_default();
    assert_eq!(header("x-tenant"), "blue");
    assert_eq!(header("content-type"), "application/grpc");
    assert!(header("grpc-timeout").ends_with('m'));
    assert!(call.is_whole());
}

#[test]
fn a_message_may_be_empty_long_and_in_parts() {
    let echo = || {
        let harness = Harness::new(greets);
        harness.grpc_backend("greeter", |call| Reply::grpc(call.message()))
    };
    let long = "0123456789".repeat(30_000);
    for message in ["", "x", &long] {
        let answer = echo().start().send(post("/").body(message));
        assert_eq!(told(&answer), ok(message));
    }
    let answer = echo().split_every_byte().start();
    assert_eq!(told(&{ answer }.send(post("/").body("parts"))), ok("parts"));
}

#[test]
fn a_call_that_the_service_refuses_has_its_status_and_its_text() {
    let refused = Reply::grpc_status(8, "slow down").trailer("x-more", "1");
    let mut h = greeter(move || refused.clone()).start();
    let (status, text, message) = told(&h.send(post("/").body("a")));
    assert_eq!((&*status, &*message), ("8", ""));
    // Envoy adds in braces where it comes from.
    assert!(text.starts_with("slow down"), "{text}");
    let mut h = greeter(|| Reply::grpc_status(12, "")).start();
    assert_eq!(told(&h.send(post("/").body("a"))).0, "12");
}

#[test]
fn whatever_a_wrong_service_answers_is_a_status() {
    let answers = [
        (Reply::reset(), "14"),
        (Reply::grpc("pong").cut(), "13"),
        (Reply::status(404), "12"),
        (Reply::text(503, "busy"), "14"),
        (Reply::text(200, "no gRPC"), "13"),
        (Reply::status(200).body(b"\0\0\0\0\x04pong"), "2"),
        (Reply::status(200).body(b"\0\0\0\0\x09pong"), "2"),
        (Reply::grpc_status(0, ""), "13"),
        (Reply::status(200).header("grpc-status", "5"), "5"),
        (Reply::grpc_status(99, ""), "4294967295"),
    ];
    for (reply, status) in answers {
        let what = format!("{reply:?}");
        let mut h = greeter(move || reply.clone()).start();
        assert_eq!(told(&h.send(post("/").body("a"))).0, status, "{what}");
        assert_eq!(h.calls("greeter").len(), 1, "{what}");
    }
}

#[test]
fn a_service_is_waited_for_up_to_the_timeout() {
    let mut h = greeter(|| Reply::grpc("late").after(ms(200))).start();
    let x = h.begin(post("/").body("a"));
    h.wait_for("the call", |h| h.calls("greeter").len() == 1);
    assert!(!x.so_far().has_begun());
    h.advance(ms(300));
    assert_eq!(told(&x.finish()), ok("late"));
    for reply in [Reply::never(), Reply::grpc("too late").after(ms(900))] {
        let mut h = greeter(move || reply.clone())
            .config(json!({"timeout": "100ms"}))
            .start();
        assert_eq!(told(&h.send(post("/").body("a"))).0, "14");
    }
}

#[test]
fn calls_at_the_same_time_do_not_wait_for_one_another() {
    let mut first = true;
    let mut h = Harness::new(greets)
        .grpc_backend("greeter", move |call| {
            let reply = Reply::grpc(call.message());
            match std::mem::take(&mut first) {
                true => reply.after(ms(3000)),
                false => reply,
            }
        })
        .start();
    let slow = h.begin(post("/").body("slow"));
    h.wait_for("the call", |h| h.calls("greeter").len() == 1);
    let quick = h.begin(post("/").body("quick"));
    assert_eq!(told(&quick.finish()), ok("quick"));
    assert!(!slow.so_far().has_begun());
    assert_eq!(told(&slow.finish()), ok("slow"));
}

#[test]
fn a_client_that_leaves_does_not_hold_up_others() {
    let mut h = greeter(|| Reply::grpc("pong").after(ms(100))).start();
    let first = h.begin(post("/").body("a"));
    h.wait_for("the call", |h| h.calls("greeter").len() == 1);
    first.disconnect();
    assert_eq!(told(&h.send(post("/").body("b"))), ok("pong"));
}

#[test]
fn a_service_that_is_not_there_is_unavailable_and_an_unknown_one_an_error() {
    let mut h = Harness::new(greets).backend_down("greeter").start();
    assert_eq!(told(&h.send(post("/").body("a"))).0, "14");
    let answer = Harness::new(greets).start().send(post("/").body("a"));
    assert_eq!((answer.status(), &*answer.text()), (502, "Some(Unknown)"));
}

#[test]
fn a_name_that_reads_as_a_message_of_envoys_is_a_name() {
    // A field of four bytes with a number that nobody knows: Envoy would take it for a description.
    let mut h = Harness::new(greets)
        .config(json!({"backend": "users"}))
        .grpc_backend("users", |_| Reply::grpc("pong"))
        .start();
    assert_eq!(told(&h.send(post("/").body("a"))), ok("pong"));
}

#[test]
fn calls_that_are_denied_are_an_error_and_no_end() {
    let mut h = greeter(|| Reply::grpc("pong"))
        .deny("proxy_grpc_call")
        .start();
    let answer = h.send(post("/").body("a"));
    assert_eq!(answer.status(), 502);
    assert!(h.calls("greeter").is_empty());
}

#[test]
fn a_call_in_the_wrong_protocol_fails() {
    if not_in(
        Mode::Envoy,
        "its clusters say which protocol all calls are in",
    ) {
        return;
    }
    let mut h = Harness::new(greets)
        .backend("greeter", |_| Reply::status(200))
        .start();
    assert_eq!(told(&h.send(post("/").body("a"))).0, "14");
    let mut h = Harness::new(testing_lookup::lookup)
        .config(json!({"idp": "greeter"}))
        .grpc_backend("greeter", |_| Reply::grpc("pong"))
        .start();
    let answer = h.send(post("/").bearer("t"));
    assert_eq!(answer.status(), 503);
    assert!(h.calls("greeter").is_empty());
}
