//! Calls to backends: answers, failures, caches, and one call for all who wait.

use std::time::Duration;

use testing_corners::corners;
use testing_lookup::lookup;
use tidegate_sdk_testing::{Builder, Harness, Mode, Reply, get, json, ms, not_in};

fn asking(reply: impl Fn() -> Reply + Send + 'static) -> Builder {
    Harness::new(lookup)
        .config(json!({"idp": "idp"}))
        .backend("idp", move |_| reply())
}

#[test]
fn the_backend_is_asked_and_its_answer_used() {
    let mut h = asking(|| Reply::text(200, "alice")).start();
    let res = h.send(get("/").bearer("t&1"));
    assert_eq!(res.status(), 200);
    let calls = h.calls("idp");
    assert_eq!(calls.len(), 1);
    let call = calls.first().unwrap();
    assert_eq!(
        (
            call.method(),
            call.path(),
            call.host(),
            call.text().as_str()
        ),
        ("POST", "/introspect", "idp", "token=t%261")
    );
    let kind = call.header("content-type");
    assert_eq!(kind.as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(
        h.app().request().header("x-subject").as_deref(),
        Some("alice")
    );
}

#[test]
fn a_call_is_not_made_for_who_has_no_token() {
    let mut h = asking(|| Reply::text(200, "alice")).start();
    assert_eq!(h.send(get("/")).status(), 401);
    assert!(h.calls("idp").is_empty());
}

#[test]
fn every_way_in_which_a_backend_fails_is_an_error_of_the_call() {
    for reply in [Reply::reset(), Reply::never(), Reply::status(500)] {
        let what = format!("{reply:?}");
        let mut h = asking(move || reply.clone()).start();
        assert_eq!(h.send(get("/").bearer("t")).status(), 503, "{what}");
        assert_eq!(h.metric("failed"), 1, "{what}");
        assert!(h.logged("nobody knows why="), "{what}");
        assert!(h.app().requests().is_empty(), "{what}");
    }
    let mut h = Harness::new(lookup)
        .config(json!({"idp": "idp"}))
        .backend_down("idp")
        .start();
    assert_eq!(h.send(get("/").bearer("t")).status(), 503);
    let mut h = Harness::new(lookup).config(json!({"idp": "idp"})).start();
    assert_eq!(h.send(get("/").bearer("t")).status(), 503);
    assert!(h.logged("knows no such backend"), "{:?}", h.logs());
}

#[test]
fn an_unknown_backend_is_said_to_be_unknown() {
    let mut h = Harness::new(corners).start();
    assert_eq!(h.send(get("/unknown")).text(), "Some(Unknown)");
}

#[test]
fn a_backend_that_is_slow_is_waited_for_up_to_the_timeout() {
    let mut h = asking(|| Reply::text(200, "alice").after(ms(200))).start();
    let mut x = h.begin(get("/").bearer("t"));
    h.wait_for("the call", |h| h.calls("idp").len() == 1);
    assert!(!x.so_far().has_begun());
    h.advance(ms(300));
    assert_eq!(x.wait_for_headers().status(), 200);
    let mut h = asking(|| Reply::text(200, "alice").after(ms(900))).start();
    assert_eq!(h.send(get("/").bearer("t")).status(), 503);
}

#[test]
fn an_answer_is_kept_and_asked_for_again_when_it_is_too_old() {
    if not_in(Mode::Envoy, "a minute passes") {
        return;
    }
    let mut h = asking(|| Reply::text(200, "alice")).start();
    for _ in 0..3 {
        assert_eq!(h.send(get("/").bearer("t")).status(), 200);
    }
    assert_eq!(h.calls("idp").len(), 1);
    assert_eq!(h.send(get("/").bearer("u")).status(), 200);
    assert_eq!(h.calls("idp").len(), 2);
    h.advance(Duration::from_secs(31));
    assert_eq!(h.send(get("/").bearer("t")).status(), 200);
    assert_eq!(h.calls("idp").len(), 3);
}

#[test]
fn a_failure_is_not_kept() {
    let mut first = true;
    let mut h = Harness::new(lookup)
        .config(json!({"idp": "idp"}))
        .backend("idp", move |_| match std::mem::take(&mut first) {
            true => Reply::status(404),
            false => Reply::text(200, "alice"),
        })
        .start();
    assert_eq!(h.send(get("/").bearer("t")).status(), 401);
    assert_eq!(h.send(get("/").bearer("t")).status(), 200);
}

#[test]
fn one_call_serves_all_who_wait() {
    let mut h = asking(|| Reply::text(200, "alice").after(ms(250))).start();
    let waiting: Vec<_> = (0..5).map(|_| h.begin(get("/").bearer("t"))).collect();
    for x in waiting {
        assert_eq!(x.finish().status(), 200);
    }
    assert_eq!(h.calls("idp").len(), 1);
}

#[test]
fn a_fetch_survives_its_first_asker() {
    let mut h = asking(|| Reply::text(200, "alice").after(ms(250))).start();
    let first = h.begin(get("/").bearer("t"));
    h.wait_for("the call", |h| h.calls("idp").len() == 1);
    let second = h.begin(get("/").bearer("t"));
    first.disconnect();
    assert_eq!(second.finish().status(), 200);
    assert_eq!(h.calls("idp").len(), 1);
    assert_eq!(h.app().requests().len(), 1);
}

#[test]
fn calls_are_raced_and_joined() {
    let make = || {
        Harness::new(corners)
            .backend("quick", |_| Reply::text(200, "quick"))
            .backend("slow", |_| Reply::text(200, "slow").after(ms(200)))
            .start()
    };
    let mut h = make();
    assert_eq!(h.send(get("/race")).text(), "quick");
    let mut h = make();
    assert_eq!(h.send(get("/join")).text(), "quick+slow");
}

#[test]
fn a_task_that_was_spawned_survives_its_stream() {
    let mut h = Harness::new(corners)
        .backend("side", |_| Reply::status(200).after(ms(200)))
        .start();
    assert_eq!(h.send(get("/spawn")).status(), 200);
    assert_eq!(h.metric("spawned"), 0);
    h.advance(ms(300));
    h.wait_for("the task", |h| h.metric("spawned") == 1);
}

#[test]
fn a_capability_that_is_denied_is_an_error_and_no_end() {
    let mut h = asking(|| Reply::text(200, "alice"))
        .deny("proxy_http_call")
        .start();
    assert_eq!(h.send(get("/").bearer("t")).status(), 503);
    assert!(h.calls("idp").is_empty());
    assert!(h.logged("the host refused the call"), "{:?}", h.logs());
}
