//! Clients that go away, and applications that do.

use testing_chunks::chunks;
use testing_corners::corners;
use tidegate_sdk_testing::{Harness, Reply, get, post};

#[test]
fn a_client_that_leaves_before_the_answer_drops_what_the_filter_holds() {
    let mut h = Harness::new(corners).app(|_| Reply::never()).start();
    let x = h.begin(get("/next"));
    h.wait_for("the request", |h| h.app().requests().len() == 1);
    x.disconnect();
    h.wait_for("the drop", |h| h.metric("dropped") == 1);
    assert_eq!(h.metric("resolved"), 0);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_ends_the_stream() {
    let mut h = Harness::new(chunks).start();
    let mut x = h.begin(post("/shout").streaming());
    x.chunk("half");
    h.wait_for("the first part", |h| {
        h.app()
            .requests()
            .first()
            .is_some_and(|it| it.text() == "HALF")
    });
    x.disconnect();
    assert!(!h.app().request().is_whole());
    assert_eq!(h.send(get("/")).status(), 200);
}

#[test]
fn an_exchange_that_is_dropped_is_a_client_that_left() {
    let mut h = Harness::new(corners).start();
    drop(h.begin(get("/sleep")));
    h.wait_for("the drop", |h| h.metric("dropped") == 1);
    assert!(h.app().requests().is_empty());
}

#[test]
fn an_application_that_resets_is_a_bad_gateway() {
    let mut h = Harness::new(corners).app(|_| Reply::reset()).start();
    let status = h.send(get("/next")).status();
    assert!([502, 503].contains(&status), "{status}");
    h.wait_for("the end", |h| h.metric("dropped") == 1);
}

#[test]
fn an_answer_that_is_cut_is_cut_for_the_client() {
    let mut h = Harness::new(corners)
        .app(|_| Reply::status(200).chunks(["half of "]).cut())
        .start();
    let res = h.send(get("/"));
    assert_eq!(res.status(), 200);
    assert_eq!(res.text(), "half of ");
    assert!(res.was_cut());
}
