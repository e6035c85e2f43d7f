//! Bodies in parts, events and trailers.

use testing_chunks::chunks;
use testing_events::events;
use tidegate_sdk_testing::{Harness, Reply, get, post};

const BODY: &str = "a secret, another secret, and a secre that is none; sesecretcret secre";
const HIDDEN: &str = "a ******, another ******, and a secre that is none; se******cret secre";

#[test]
fn a_word_is_hidden_wherever_the_answer_is_cut() {
    for at in 0..=BODY.len() {
        let mut h = Harness::new(chunks)
            .app(|_| Reply::text(200, BODY))
            .split_at(at)
            .start();
        assert_eq!(h.send(get("/")).text(), HIDDEN, "cut at {at}");
        assert_eq!(h.metric("hidden"), 3, "cut at {at}");
    }
}

#[test]
fn a_word_is_hidden_in_single_bytes() {
    let mut h = Harness::new(chunks)
        .app(|_| Reply::text(200, BODY))
        .split_every_byte()
        .start();
    assert_eq!(h.send(get("/")).text(), HIDDEN);
}

#[test]
fn the_length_of_a_body_is_not_announced_if_its_rewriter_may_change_it() {
    let mut h = Harness::new(events)
        .app(|_| Reply::events(["data: secret\n\n"]).header("content-length", "14"))
        .start();
    let res = h.send(get("/"));
    assert_eq!(res.text(), "data: ***\n\n");
    assert!(!res.was_cut());
    let length = res.header("content-length");
    assert!(
        [None, Some("11")].contains(&length.as_deref()),
        "{length:?}"
    );
}

#[test]
fn parts_of_a_request_go_on_as_they_come() {
    let mut h = Harness::new(chunks).start();
    let mut x = h.begin(post("/shout").streaming());
    x.chunk("one ");
    h.wait_for("the first part", |h| {
        h.app()
            .requests()
            .first()
            .is_some_and(|it| it.text() == "ONE ")
    });
    x.chunk("two");
    x.end();
    assert_eq!(x.finish().text(), "ONE TWO");
}

#[test]
fn trailers_are_seen_on_both_ways() {
    let mut h = Harness::new(chunks)
        .app(|req| {
            Reply::status(200)
                .chunks([req.body()])
                .trailer("x-internal", "1")
                .trailer("x-sum", "7")
        })
        .start();
    let res = h.send(post("/").chunks(["a ", "b"]).trailer("x-sum", "3"));
    let got = h.app().request();
    assert_eq!(got.trailer("x-sum").as_deref(), Some("3"));
    assert_eq!(got.trailer("x-seen").as_deref(), Some("by the filter"));
    assert_eq!(res.text(), "a b");
    assert_eq!(res.trailer("x-sum").as_deref(), Some("7"));
    assert_eq!(res.trailer("x-internal"), None);
    assert_eq!(res.trailer("x-checked").as_deref(), Some("yes"));
}

#[test]
fn events_are_rewritten_and_dropped_wherever_they_are_cut() {
    const EVENTS: &str = "event: debug\ndata: noise\n\nid: 1\ndata: a secret\n\n: still here\n\n";
    for seed in 0..8 {
        let mut h = Harness::new(events)
            .app(|_| Reply::events([EVENTS]))
            .split_bodies(seed)
            .start();
        let text = h.send(get("/")).text();
        assert!(!text.contains("noise"), "{text}");
        assert!(text.contains("id: 1\ndata: a ***\n\n"), "{text}");
        assert!(text.contains(": still here"), "{text}");
    }
}

#[test]
fn what_is_no_event_stream_passes() {
    let mut h = Harness::new(events)
        .app(|_| Reply::text(200, "event: debug\n\n"))
        .start();
    let res = h.send(get("/"));
    assert_eq!(res.text(), "event: debug\n\n");
    assert_eq!(res.header("content-length").as_deref(), Some("14"));
}
