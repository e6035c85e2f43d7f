//! One generation after the other: what runs keeps its own, what is new sees the new one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;
use tidegate_testkit::client::Client;
use tidegate_testkit::eventually;

/// A filter that sets the response header `x-by` to its configuration.
fn signs(text: &str) -> Wasm {
    Wasm::wat(
        "signs",
        r#"(import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        &format!(
            r#"(data (i32.const 16) "x-by") (data (i32.const 32) "{text}")
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (drop (call $add (i32.const 2) (i32.const 16) (i32.const 4)
                                 (i32.const 32) (i32.const {})))
                (i32.const 0))"#,
            text.len()
        ),
    )
}

#[test]
fn new_requests_on_an_old_connection_see_the_new_generation() {
    let (old, new) = (Origin::answers(200, "old"), Origin::answers(200, "new"));
    let mut gateway = Gateway::to(old.address()).plugin(&signs("one")).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").field("x-by"), Some("one"));
    gateway.change(Gateway::to(new.address()).plugin(&signs("two")));
    let response = client.get("/");
    assert_eq!(
        (response.text().as_str(), response.field("x-by")),
        ("new", Some("two"))
    );
}

#[test]
fn a_response_on_its_way_keeps_the_filters_it_started_with() {
    let latch = Latch::default();
    let opened = latch.clone();
    let origin = Origin::script(move |connection| {
        while connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")?;
            opened.wait();
            connection.send("3\r\ntwo\r\n0\r\n\r\n")?;
        }
        Ok(())
    });
    let mut gateway = Gateway::to(origin.address()).plugin(&signs("one")).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let head = client.response_head();
    assert_eq!(head.field("x-by"), Some("one"));
    gateway.change(Gateway::to(origin.address()));
    latch.open();
    let mut whole = head;
    client.body(&mut whole);
    assert_eq!(whole.text(), "onetwo");
}

#[test]
fn changes_under_traffic_fail_nothing() {
    let origin = Origin::answers(200, "fine");
    let mut gateway = Gateway::to(origin.address())
        .plugin(&signs("0"))
        .workers(2)
        .start();
    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let address = gateway.address();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    let response = client.get("/");
                    assert_eq!(response.status(), 200);
                    assert!(response.field("x-by").is_some(), "every response is signed");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let filters = [signs("0"), signs("1"), signs("2")];
    for filter in filters.iter().cycle().take(60) {
        let before = served.load(Ordering::Relaxed);
        gateway.change(Gateway::to(origin.address()).plugin(filter).workers(2));
        eventually("traffic goes on", || {
            (served.load(Ordering::Relaxed) > before).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no request failed");
    }
    eventually("old instances are ended", || {
        (gateway.metrics().retired_instances == 0).then_some(())
    });
}

#[test]
fn a_generation_that_does_not_start_changes_nothing() {
    let origin = Origin::answers(200, "fine");
    let mut gateway = Gateway::to(origin.address()).plugin(&signs("one")).start();
    let refuses = Wasm::wat(
        "refuses",
        "",
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 0))"#,
    );
    let changed = gateway.try_change(Gateway::to(origin.address()).plugin(&refuses));
    assert!(changed.is_err(), "{changed:?}");
    assert_eq!(gateway.get("/").field("x-by"), Some("one"));
}

#[test]
fn an_unchanged_filter_keeps_its_instance_and_what_it_remembers() {
    let counts = Wasm::wat(
        "counts",
        r#"(import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) "x-count") (global $count (mut i32) (i32.const 0))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            (i32.store8 (i32.const 32) (i32.add (i32.const 48) (global.get $count)))
            (drop (call $add (i32.const 2) (i32.const 16) (i32.const 7)
                             (i32.const 32) (i32.const 1)))
            (i32.const 0))"#,
    );
    let (old, new) = (Origin::answers(200, "old"), Origin::answers(200, "new"));
    let mut gateway = Gateway::to(old.address()).plugin(&counts).start();
    assert_eq!(gateway.get("/").field("x-count"), Some("1"));
    gateway.change(
        Gateway::to(new.address())
            .plugin(&counts)
            .plugin(&signs("x")),
    );
    let response = gateway.get("/");
    assert_eq!(
        (response.text().as_str(), response.field("x-count")),
        ("new", Some("2"))
    );
}

#[test]
fn a_refused_plugin_fails_closed_or_open_as_it_says() {
    use tidegate_host_abi::FailurePolicy;
    let origin = Origin::answers(200, "fine");
    let filter = signs("one");
    let closed = Gateway::to(origin.address())
        .plugin(&filter)
        .refused(&filter, FailurePolicy::FailClosed)
        .start();
    assert_eq!(closed.get("/").status(), 503);
    assert!(closed.stop_for_log()[0].contains(" plugin_unavailable "));
    let open = Gateway::to(origin.address())
        .plugin(&filter)
        .refused(&filter, FailurePolicy::FailOpen)
        .start();
    assert_eq!(open.get("/").status(), 200);
}

#[test]
fn a_filter_of_a_rule_sees_the_requests_of_that_rule_only() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .rule(Rule::at("/signed").to("origin", 1).plugin(&signs("one")))
        .rule(Rule::at("/").to("origin", 1))
        .start();
    assert_eq!(gateway.get("/signed/x").field("x-by"), Some("one"));
    assert_eq!(gateway.get("/signedx").field("x-by"), None);
}

/// A filter that sets `:path` to `/secret`.
fn moves(name: &str, to: &str) -> Wasm {
    Wasm::wat(
        name,
        r#"(import "env" "proxy_replace_header_map_value"
            (func $set (param i32 i32 i32 i32 i32) (result i32)))"#,
        &format!(
            r#"(data (i32.const 16) ":path") (data (i32.const 32) "{to}")
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (drop (call $set (i32.const 0) (i32.const 16) (i32.const 5)
                                 (i32.const 32) (i32.const {})))
                (i32.const 0))"#,
            to.len()
        ),
    )
}

/// A filter that answers 403.
fn denies() -> Wasm {
    Wasm::wat(
        "denies",
        r#"(import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#,
    )
}

#[test]
fn no_filter_can_route_around_another() {
    let origin = Origin::answers(200, "secret");
    let guarded = || Rule::at("/secret").to("origin", 1).plugin(&denies());
    // A filter of the listener moves the request before it is routed.
    let gateway = Gateway::to(origin.address())
        .plugin(&moves("early", "/secret"))
        .rule(guarded())
        .rule(Rule::at("/").to("origin", 1))
        .start();
    assert_eq!(gateway.get("/open").status(), 403);
    // A filter of a rule moves it to another rule, whose filters then run too.
    let gateway = Gateway::to(origin.address())
        .rule(guarded())
        .rule(
            Rule::at("/")
                .to("origin", 1)
                .plugin(&moves("late", "/secret")),
        )
        .start();
    assert_eq!(gateway.get("/open").status(), 403);
    assert_eq!(origin.requests().len(), 0, "nothing reached the origin");
}

#[test]
fn a_request_that_is_moved_twice_is_refused() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .rule(Rule::at("/a").to("origin", 1).plugin(&moves("to-b", "/b")))
        .rule(Rule::at("/b").to("origin", 1).plugin(&moves("to-c", "/c")))
        .rule(Rule::at("/c").to("origin", 1).plugin(&denies()))
        .start();
    assert_eq!(gateway.get("/a").status(), 500);
    assert_eq!(origin.requests().len(), 0);
    assert!(gateway.stop_for_log()[0].contains(" route_unstable "));
}

#[test]
fn a_request_moved_while_its_body_is_held_back_is_refused() {
    let origin = Origin::answers(200, "fine");
    let moves_late = Wasm::wat(
        "moves-late",
        r#"(import "env" "proxy_replace_header_map_value"
            (func $set (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) ":path") (data (i32.const 32) "/secret")
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
            (drop (call $set (i32.const 0) (i32.const 16) (i32.const 5)
                             (i32.const 32) (i32.const 7)))
            (i32.const 0))"#,
    );
    let gateway = Gateway::to(origin.address())
        .rule(Rule::at("/secret").to("origin", 1).plugin(&denies()))
        .rule(Rule::at("/").to("origin", 1).plugin(&moves_late))
        .start();
    let mut client = gateway.client();
    client.send("POST /open HTTP/1.1\r\nhost: a.test\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(client.response().status(), 500);
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_request_that_takes_longer_than_its_route_allows_is_a_504() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    for rule in [
        Rule::at("/").request_timeout(Duration::from_millis(50)),
        Rule::at("/").backend_request_timeout(Duration::from_millis(50)),
    ] {
        let gateway = Gateway::to(origin.address())
            .rule(rule.to("origin", 1))
            .start();
        assert_eq!(gateway.get("/").status(), 504);
        let line = gateway.stop_for_log().remove(0);
        assert!(line.contains("request_timeout "), "{line}");
    }
}

#[test]
fn a_response_that_takes_longer_than_its_route_allows_is_cut() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")?;
        connection.wait_for_close()
    });
    let rule = Rule::at("/").request_timeout(Duration::from_millis(100));
    let gateway = Gateway::to(origin.address())
        .rule(rule.to("origin", 1))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let cut = client.try_response();
    assert!(cut.is_err(), "{cut:?}");
    let line = gateway.stop_for_log().remove(0);
    assert!(line.contains(" 200 request_timeout "), "{line}");
}

#[test]
fn a_mirror_gets_a_copy_and_its_answer_reaches_nobody() {
    let (origin, mirror) = (Origin::echoes(), Origin::answers(500, "ignored"));
    let gateway = Gateway::to(origin.address())
        .backend("mirror", mirror.address())
        .rule(Rule::at("/").to("origin", 1).mirror("mirror"))
        .start();
    let mut client = gateway.client();
    client.send("POST /x HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "hello");
    let copy = eventually("the copy arrives", || origin_saw(&mirror));
    assert_eq!(
        (copy.text().as_str(), copy.field("host")),
        ("hello", Some("a.test"))
    );
}

fn origin_saw(origin: &Origin) -> Option<tidegate_testkit::Message> {
    origin.requests().into_iter().next()
}

#[test]
fn a_mirror_that_does_not_answer_delays_nothing() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .backend("nowhere", Origin::nowhere())
        .rule(
            Rule::at("/")
                .to("origin", 1)
                .mirror("nowhere")
                .mirror("unknown"),
        )
        .start();
    assert_eq!(gateway.get("/").text(), "fine");
}

#[test]
fn shares_get_what_their_weights_say_and_dangling_ones_answer_500() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .rule(Rule::at("/half").to("origin", 1).to("dangling", 1))
        .rule(Rule::at("/zero").to("origin", 0))
        .rule(Rule::at("/none"))
        .start();
    let mut client = gateway.client();
    let failed = (0..200)
        .filter(|_| client.get("/half").status() == 500)
        .count();
    assert!((60..140).contains(&failed), "{failed} of 200");
    assert_eq!(client.get("/zero").status(), 500);
    assert_eq!(client.get("/none").status(), 500);
    assert_eq!(client.get("/other").status(), 404);
}

#[test]
fn header_edits_of_a_rule_reach_the_origin_and_never_decide_routes() {
    use http::HeaderName;
    use http::HeaderValue;
    use tidegate_core::filter::Filter;
    use tidegate_core::filter::HeaderEdits;

    let (origin, other) = (
        Origin::answers(200, "first"),
        Origin::answers(200, "second"),
    );
    let secret = Filter::RequestHeaders(HeaderEdits {
        set: vec![(
            HeaderName::from_static("x-secret"),
            HeaderValue::from_static("of the first rule"),
        )],
        ..HeaderEdits::default()
    });
    let gateway = Gateway::to(origin.address())
        .backend("other", other.address())
        .rule(Rule::at("/stay").to("origin", 1).filter(secret.clone()))
        .rule(
            Rule::at("/leave")
                .to("origin", 1)
                .filter(secret)
                .plugin(&moves("leaves", "/second")),
        )
        .rule(Rule::at("/second").to("other", 1))
        .start();
    assert_eq!(gateway.get("/stay").text(), "first");
    let stayed = origin.only_request();
    assert_eq!(stayed.field("x-secret"), Some("of the first rule"));
    assert_eq!(gateway.get("/leave").text(), "second");
    let left = other.only_request();
    assert_eq!(
        left.field("x-secret"),
        None,
        "an edit of a rule that was left"
    );
}

#[test]
fn the_time_of_a_request_includes_what_filters_take() {
    let origin = Origin::answers(200, "fine");
    let pauses = Wasm::wat(
        "pauses",
        "",
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (i32.const 1))"#,
    );
    let rule = Rule::at("/").request_timeout(Duration::from_millis(50));
    let gateway = Gateway::to(origin.address())
        .rule(rule.to("origin", 1).plugin(&pauses))
        .start();
    assert_eq!(gateway.get("/").status(), 504);
    assert!(gateway.stop_for_log()[0].contains(" request_timeout "));
}

#[test]
fn a_filter_of_an_older_generation_calls_the_backends_of_its_own() {
    let latch = Latch::default();
    let opened = latch.clone();
    let origin = Origin::script(move |connection| {
        while connection.request().is_ok() {
            opened.wait();
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")?;
        }
        Ok(())
    });
    let auth = Origin::answers(200, "yes");
    let mut gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&crate::filters::calls_out_in(
            "proxy_on_response_headers",
            1,
        ))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
    eventually("the request arrives", || origin_saw(&origin));
    gateway.change(Gateway::to(origin.address()));
    latch.open();
    assert_eq!(client.response().text(), "fine");
    assert_eq!(auth.requests().len(), 1, "the call was made");
}

#[test]
fn beyond_sixteen_old_versions_the_newest_waits_until_a_stream_ends() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")?;
        connection.wait_for_close()
    });
    let version =
        |number: usize| Gateway::to(origin.address()).plugin(&signs(&format!("version {number}")));
    let mut gateway = version(0).start();
    let mut held = Vec::new();
    let mut hold = |gateway: &Gateway| -> String {
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
        let head = client.response_head();
        held.push(client);
        head.field("x-by").unwrap_or_default().to_owned()
    };
    for number in 1..=16 {
        hold(&gateway);
        gateway.change(version(number));
        assert!(gateway.metrics().waiting_plugins.is_empty(), "{number}");
    }
    assert_eq!(hold(&gateway), "version 16", "sixteen old ones are held");
    for number in 17..=19 {
        gateway.change(version(number));
        assert_eq!(gateway.metrics().waiting_plugins, ["signs"]);
        assert_eq!(hold(&gateway), "version 16");
    }
    assert!(!gateway.catch_up(), "nothing has ended");
    held.remove(0);
    eventually("an old version ends", || gateway.catch_up().then_some(()));
    assert!(gateway.metrics().waiting_plugins.is_empty());
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
    assert_eq!(client.response_head().field("x-by"), Some("version 19"));
}
