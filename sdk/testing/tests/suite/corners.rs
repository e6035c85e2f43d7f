//! What the documentation of the SDK promises for rare courses of an exchange.

use std::time::Duration;

use testing_corners::corners;
use tidegate_sdk_testing::{Harness, LogLevel, Mode, Reply, get, mode, ms, not_in, post};

fn harness() -> Harness {
    Harness::new(corners).start()
}

#[test]
fn the_response_of_an_own_deny_does_not_come_back() {
    let mut h = harness();
    let res = h.send(get("/deny"));
    assert_eq!((res.status(), res.text().as_str()), (418, "no"));
    assert_eq!(h.metric("runs"), 1);
    assert!(h.app().requests().is_empty());
    let res = h.send(get("/own"));
    assert_eq!((res.status(), res.text().as_str()), (200, "made here"));
    assert_eq!(res.header("x-own").as_deref(), Some("1"));
    assert!(h.logs_from(LogLevel::Warn).is_empty(), "{:?}", h.logs());
}

#[test]
fn a_response_while_before_next_cancels_the_future_and_drop_runs() {
    if not_in(Mode::Envoy, "it lets a filter wait for ever") {
        return;
    }
    // The host gives up on a filter that holds a stream for 30 s.
    let mut h = harness();
    let x = h.begin(get("/sleep"));
    h.advance(Duration::from_secs(29));
    assert!(!x.so_far().has_begun());
    h.advance(Duration::from_secs(2));
    assert_eq!(x.finish().status(), 503);
    h.wait_for("the drop", |h| h.metric("dropped") == 1);
    assert!(h.app().requests().is_empty());
    let line = "while it waited for a timer";
    assert!(h.logged(line), "{:?}", h.logs());
}

#[test]
fn a_response_of_another_filter_cancels_who_is_before_next_and_is_what_next_gives() {
    if mode() != Mode::Native {
        return;
    }
    let mut h = Harness::new(corners).app(|_| Reply::never()).start();
    for path in ["/sleep", "/next"] {
        let mut x = h.begin(get(path));
        x.answer_elsewhere(429);
        assert_eq!(x.finish().status(), 429, "{path}");
    }
    // Who waits in `next` gets it as the response.
    assert_eq!(h.metric("resolved"), 1);
    assert_eq!(h.metric("dropped"), 2);
}

#[test]
fn a_time_limit_of_the_exchange_ends_the_wait_for_the_application() {
    let mut h = Harness::new(corners)
        .request_timeout(ms(500))
        .app(|_| Reply::never())
        .start();
    assert_eq!(h.send(get("/next")).status(), 504);
    h.wait_for("the end", |h| h.metric("dropped") == 1);
}

#[test]
fn an_early_response_resolves_next_while_the_request_still_streams() {
    let mut h = Harness::new(corners)
        .early_app(|_| Reply::status(200).chunks(["early"]))
        .start();
    let mut x = h.begin(post("/early").streaming());
    x.chunk("one");
    let res = x.wait_for_headers();
    assert_eq!(res.status(), 200);
    assert_eq!(res.header("x-resolved").as_deref(), Some("yes"));
    x.chunk("two");
    x.chunk("three");
    x.end();
    let res = x.finish();
    assert_eq!(res.text(), "early");
    assert_eq!(h.metric("resolved"), 1);
    assert_eq!(h.metric("uploaded"), 11);
    assert_eq!(h.app().request().text(), "onetwothree");
}

#[test]
fn a_deny_while_the_answers_headers_are_held_takes_its_place() {
    let mut h = harness();
    let res = h.send(get("/deny-after"));
    assert_eq!(res.status(), 451);
    assert_eq!(h.app().requests().len(), 1);
}

#[test]
fn a_deny_after_the_answers_headers_went_is_a_reset() {
    let mut h = Harness::new(corners)
        .app(|_| Reply::status(200).chunks(["fine ", "# not fine"]))
        .start();
    let res = h.send(get("/refuse-late"));
    assert!(res.was_cut(), "{res:?}");
    assert!(!res.text().contains('#'), "{res:?}");
}

#[test]
fn a_filter_that_waits_goes_on_when_it_is_time() {
    let mut h = harness();
    let x = h.begin(get("/nap"));
    assert!(!x.so_far().has_begun());
    h.advance(ms(150));
    assert_eq!(x.finish().status(), 200);
}

#[test]
fn a_panic_is_a_trap_whose_message_reaches_the_log() {
    let mut h = harness();
    assert_eq!(h.send(get("/panic")).status(), 503);
    h.wait_for("the message", |h| h.logged("the author's mistake"));
    if not_in(Mode::Envoy, "a plugin that trapped is gone there") {
        return;
    }
    assert_eq!(h.send(get("/")).status(), 200);
}

#[test]
fn an_error_is_a_500_that_tells_the_client_nothing_and_the_log_all() {
    let mut h = harness();
    let res = h.send(get("/fail"));
    assert_eq!(res.status(), 500);
    assert!(!res.text().contains("inside"));
    let errors = h.logs_from(LogLevel::Error);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(h.logged("what went wrong inside"));
}

#[test]
fn shared_data_is_counted_up_and_can_be_looked_at() {
    let mut h = harness();
    assert_eq!(h.send(get("/shared")).text(), "1");
    assert_eq!(h.send(get("/shared")).text(), "2");
    if not_in(Mode::Envoy, "nobody outside can read its shared data") {
        return;
    }
    assert_eq!(h.shared("count").as_deref(), Some(&b"2"[..]));
    assert_eq!(h.shared("other"), None);
}

#[test]
fn properties_are_set_and_read() {
    let mut h = harness();
    assert_eq!(h.send(get("/property")).text(), "blue  GET");
    if not_in(Mode::Envoy, "its properties are what they are") {
        return;
    }
    h.property(["tenant"], "t1");
    assert_eq!(h.send(get("/property")).text(), "blue t1 GET");
}

#[test]
fn tidegate_checks_signatures_and_other_hosts_say_that_they_do_not() {
    let mut h = harness();
    let res = h.send(get("/verify"));
    let expected = match mode() {
        Mode::Wasm => "[Some(true), Some(false), Some(false)]",
        _ => "[None, None, None]",
    };
    assert_eq!(res.text(), expected);
}
