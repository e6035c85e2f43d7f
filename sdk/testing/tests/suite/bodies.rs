//! Whole bodies: read before the request goes on, after its headers, replaced, rewritten.

use testing_whole::whole;
use tidegate_sdk_testing::{Harness, Reply, get, post};

const LIMIT: usize = 1024;

#[test]
fn a_body_is_read_before_its_headers_go_on() {
    let mut h = Harness::new(whole).start();
    let res = h.send(post("/").chunks(["one, ", "two, ", "three"]));
    assert_eq!(res.status(), 200);
    let got = h.app().request();
    assert_eq!(got.header("x-length").as_deref(), Some("15"));
    assert_eq!(got.text(), "one, two, three");
    assert_eq!(res.text(), "one, two, three");
}

#[test]
fn a_request_without_a_body_has_an_empty_one() {
    let mut h = Harness::new(whole).start();
    assert_eq!(h.send(get("/")).status(), 200);
    let got = h.app().request();
    assert_eq!(got.header("x-length").as_deref(), Some("0"));
}

#[test]
fn a_body_that_is_refused_reaches_nobody() {
    let mut h = Harness::new(whole).start();
    let res = h.send(post("/").chunks(["this is for", "bidden"]));
    assert_eq!(res.status(), 403);
    assert!(h.app().requests().is_empty());
}

#[test]
fn a_body_over_its_limit_is_answered_with_413_and_one_at_it_passes() {
    for path in ["/", "/portable", "/rewritten"] {
        let mut h = Harness::new(whole).start();
        let body = "x".repeat(LIMIT);
        assert_eq!(h.send(post(path).body(&body)).status(), 200, "{path}");
        let res = h.send(post(path).body(body + "x"));
        assert_eq!(res.status(), 413, "{path}");
    }
}

#[test]
fn the_portable_form_holds_the_body_and_not_the_headers() {
    let mut h = Harness::new(whole).start();
    let res = h.send(post("/portable").chunks(["a", "b"]));
    assert_eq!(res.text(), "ab");
    let res = h.send(post("/portable").chunks(["forb", "idden"]));
    assert_eq!(res.status(), 403);
    let got = h.app().requests();
    let complete = got.iter().filter(|it| it.is_whole());
    assert_eq!(complete.count(), 1, "{got:?}");
}

#[test]
fn a_body_can_be_replaced_before_it_goes_on() {
    let mut h = Harness::new(whole).start();
    let res = h.send(post("/replaced").body("straße"));
    assert_eq!(res.text(), "STRASSE");
    assert_eq!(h.app().request().text(), "STRASSE");
}

#[test]
fn the_answers_body_is_read_before_its_headers_go_on() {
    let mut h = Harness::new(whole)
        .app(|_| Reply::status(200).chunks(["12", "345"]))
        .start();
    let res = h.send(get("/answer"));
    assert_eq!(res.header("x-length").as_deref(), Some("5"));
    assert_eq!(res.text(), "12345");
}

#[test]
fn bodies_are_rewritten_as_a_whole_on_both_ways() {
    let mut h = Harness::new(whole).start();
    let res = h.send(post("/rewritten").chunks(["abc", "def"]));
    assert_eq!(h.app().request().text(), "fedcba");
    assert_eq!(res.text(), "fedcba!");
}

#[test]
fn however_a_body_is_cut_the_filter_does_the_same() {
    for seed in 0..8 {
        let mut h = Harness::new(whole).split_bodies(seed).start();
        let res = h.send(post("/rewritten").body("the quick brown fox"));
        assert_eq!(res.text(), "xof nworb kciuq eht!", "seed {seed}");
        let res = h.send(post("/").body("this is forbidden"));
        assert_eq!(res.status(), 403, "seed {seed}");
    }
}

#[test]
fn a_response_that_comes_before_the_body_is_judged_waits_for_that() {
    for (end, status) in [("harmless", 200), ("forbidden", 403)] {
        let mut h = Harness::new(whole)
            .early_app(|_| Reply::status(200).chunks(["early"]))
            .start();
        let mut x = h.begin(post("/portable").streaming());
        x.chunk("begun ");
        x.chunk(end);
        x.end();
        assert_eq!(x.finish().status(), status, "{end}");
        let got: String = h.app().requests().iter().map(|it| it.text()).collect();
        assert!(!got.contains("forbidden"), "{got}");
    }
}
