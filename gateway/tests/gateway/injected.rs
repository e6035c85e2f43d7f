//! Data that a filter injects into a response: where it comes, what becomes of the filter's own
//! hold, and what is refused.

use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;
use tidegate_testkit::http2;
use tidegate_testkit::http2::Http2Origin;

const INJECT: &str = r#"
    (import "env" "proxy_inject_encoded_data_to_filter_chain"
        (func $inject (param i32 i32 i32) (result i32)))"#;

const IMPORTS: &str = r#"
    (import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_call_foreign_function"
        (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))"#;

/// What these filters have in common: `$say` adds a number to a head as `x-answer`, a digit or what
/// follows them in ASCII, and `$every` asks for ticks.
const COMMON: &str = r#"
    (data (i32.const 16) "one,") (data (i32.const 32) "end.") (data (i32.const 48) "x-answer")
    (data (i32.const 64) "inject_encoded_data_to_filter_chain_on_header")
    (data (i32.const 128) "\0a\04end.\10\01")
    (global $stream (mut i32) (i32.const 0))
    (func $every (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $tick (i32.const 5))) (i32.const 1))
    (func $say (param $map i32) (param $number i32)
        (i32.store8 (i32.const 200) (i32.add (i32.const 48) (local.get $number)))
        (drop (call $add (local.get $map) (i32.const 48) (i32.const 8) (i32.const 200) (i32.const 1))))
    (func $by_name (result i32)
        (call $foreign (i32.const 64) (i32.const 45) (i32.const 128) (i32.const 8)
            (i32.const 208) (i32.const 212)))"#;

/// A filter that calls `$one` and `$end`, which inject, or what else is above.
fn injector(body: &str) -> Wasm {
    let inject = r#"
        (func $one (result i32) (call $inject (i32.const 16) (i32.const 4) (i32.const 0)))
        (func $end (result i32) (call $inject (i32.const 32) (i32.const 4) (i32.const 1)))"#;
    let imports = format!("{INJECT}{IMPORTS}");
    Wasm::wat("injector", &imports, &format!("{COMMON}{inject}{body}"))
}

/// A filter with all of it but the import `inject`.
fn filter(name: &str, body: &str) -> Wasm {
    Wasm::wat(name, IMPORTS, &format!("{COMMON}{body}"))
}

/// A tick that does this once `$stream` is set, for that stream.
fn on_tick(body: &str) -> String {
    format!(
        r#"(func (export "proxy_on_tick") (param i32)
            (if (global.get $stream) (then
                (drop (call $effective (global.get $stream)))
                {body})))"#
    )
}

/// A head callback that notes the stream and answers so.
fn head_answers(status: u32) -> String {
    format!(
        r#"(func (export "proxy_on_response_headers") (param $context i32) (param i32 i32)
                (result i32)
            (global.set $stream (local.get $context))
            (i32.const {status}))"#
    )
}

/// A body callback that notes the stream and answers so.
fn body_answers(status: u32) -> String {
    format!(
        r#"(func (export "proxy_on_response_body") (param $context i32) (param i32 i32)
                (result i32)
            (global.set $stream (local.get $context))
            (i32.const {status}))"#
    )
}

/// Adds this character to each piece of a body that it sees.
fn marks(name: &str, mark: char) -> Wasm {
    let body = format!(
        r#"(func (export "proxy_on_response_body") (param i32) (param $size i32) (param i32)
                (result i32)
            (i32.store8 (i32.const 240) (i32.const {}))
            (drop (call $set (i32.const 1) (local.get $size) (i32.const 0)
                (i32.const 240) (i32.const 1)))
            (i32.const 0))"#,
        u32::from(mark)
    );
    filter(name, &body)
}

/// An origin that sends a piece of its answer, and more only after the connection has gone.
fn endless() -> Origin {
    Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsecret\r\n")?;
        connection.wait_for_close()
    })
}

/// Reads a response until so much of its body is there.
fn until_body(client: &mut Client, text: &str) -> Message {
    let head = client.response_head();
    let mut read = String::new();
    while !read.contains(text) {
        let bytes = client.read_some();
        assert!(!bytes.is_empty(), "{read}");
        read.push_str(&String::from_utf8_lossy(&bytes));
    }
    head
}

#[test]
fn what_is_injected_goes_before_what_the_filter_lets_pass_and_through_those_after_it() {
    let origin = Origin::answers(200, "abc");
    let injects = injector(
        r#"(func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
            (drop (call $one)) (i32.const 0))"#,
    );
    let gateway = Gateway::to(origin.address())
        .plugin(&marks("after", '!'))
        .plugin(&injects)
        .plugin(&marks("before", '?'))
        .start();
    let response = gateway.get("/");
    assert_eq!(response.text(), "one,abc?!");
    assert_eq!(response.field("content-length"), Some("9"));
}

/// A filter as Higress's guards are: the body is dropped, and something else is said in its place.
fn guard() -> Wasm {
    let stages = on_tick(
        r#"(drop (call $one))
        (drop (call $end))
        (global.set $stream (i32.const 0))"#,
    );
    injector(&format!("{}{stages}", body_answers(3)))
}

#[test]
fn a_filter_ends_the_response_in_place_of_the_origin() {
    let origin = endless();
    let gateway = Gateway::to(origin.address())
        .plugin(&marks("after", '!'))
        .plugin(&guard())
        .start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(response.text(), "one,end.!");
    }
    let answer = http2::client(gateway.address(), async |mut client| {
        http2::get(&mut client, "/").await.expect("an answer")
    });
    assert_eq!(answer.text(), "one,end.!");
    // What it did not send could not be told from the next answer.
    assert_eq!(origin.connections(), 3);
    eventually("the origin's connections to be closed", || {
        origin.is_idle().then_some(())
    });
}

#[test]
fn a_stream_of_the_origin_is_reset_when_a_filter_ends_its_response() {
    let origin = Http2Origin::script(|_, mut respond| async move {
        let mut stream = respond.send_response(http::Response::new(()), false)?;
        http2::send(&mut stream, "secret".into(), false).await?;
        let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await?;
        assert_eq!(reset, h2::Reason::CANCEL);
        Err(reset.into())
    });
    let gateway = Gateway::to(origin.address())
        .http2_origin()
        .plugin(&guard())
        .start();
    assert_eq!(gateway.get("/").text(), "one,end.");
    let answer = http2::client(gateway.address(), async |mut client| {
        http2::get(&mut client, "/").await.expect("an answer")
    });
    assert_eq!(answer.text(), "one,end.");
    eventually("the origin to know", || {
        (origin.resets().len() == 2).then_some(())
    });
    assert_eq!(origin.connections(), 1);
}

/// Says at the head whether a body follows.
fn says_whether_it_ends() -> Wasm {
    filter(
        "after",
        r#"(func (export "proxy_on_response_headers") (param i32 i32) (param $ends i32) (result i32)
            (call $say (i32.const 2) (local.get $ends)) (i32.const 0))"#,
    )
}

#[test]
fn a_head_that_is_injected_into_goes_on_with_a_body() {
    // By the name of the foreign function, as Higress's own example does it: that is in no import.
    let injects = filter(
        "injector",
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (call $say (i32.const 2) (call $by_name)) (i32.const 1))"#,
    );
    for origin in [Origin::answers(200, ""), Origin::answers(200, "abc")] {
        let gateway = Gateway::to(origin.address())
            .plugin(&says_whether_it_ends())
            .plugin(&injects)
            .start();
        let response = gateway.get("/");
        assert_eq!(response.text(), "end.");
        assert_eq!(response.values("x-answer"), ["0", "0"]);
        assert_eq!(response.field("content-length"), Some("4"));
        let answer = http2::client(gateway.address(), async |mut client| {
            http2::get(&mut client, "/").await.expect("an answer")
        });
        assert_eq!(answer.text(), "end.");
    }
}

#[test]
fn a_response_that_can_have_no_body_goes_on_without_what_is_injected() {
    let injects = injector(
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (call $say (i32.const 2) (call $end)) (i32.const 1))"#,
    );
    for (request, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let origin = Origin::answers(status, "");
        let gateway = Gateway::to(origin.address()).plugin(&injects).start();
        let mut client = gateway.client();
        for _ in 0..2 {
            client.send(format!("{request} / HTTP/1.1\r\nHost: a\r\n\r\n"));
            let head = client.response_head();
            assert_eq!(head.status(), status, "{request}");
            assert_eq!(head.field("x-answer"), Some("0"), "{request} {status}");
        }
    }
}

#[test]
fn a_filter_that_holds_the_whole_message_lets_it_go_by_injecting() {
    let once = on_tick("(drop (call $one)) (global.set $stream (i32.const 0))");
    for status in [1, 3, 4] {
        let origin = Origin::answers(200, "abc");
        let injects = injector(&format!("{}{once}", head_answers(status)));
        let gateway = Gateway::to(origin.address())
            .plugin(&marks("after", '!'))
            .plugin(&injects)
            .start();
        let text = gateway.get("/").text();
        assert!(
            text == "one,!abc!" || text == "one,abc!",
            "{status}: {text}"
        );
    }
}

#[test]
fn a_filter_that_is_shown_the_body_goes_on_holding_it_after_its_head_has_gone() {
    let once = on_tick("(drop (call $one)) (global.set $stream (i32.const 0))");
    let shown = injector(&format!("{}{}{once}", head_answers(1), body_answers(1)));
    let shown = shown.with(|spec| spec.stop_iteration = Some(true));
    let origin = endless();
    let gateway = Gateway::to(origin.address()).plugin(&shown).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(until_body(&mut client, "one,").status(), 200);
    assert!(
        client
            .try_read(std::time::Duration::from_millis(50))
            .is_none(),
        "what it holds does not leave"
    );
}

#[test]
fn a_response_without_a_body_stays_open_for_who_holds_it_and_injects() {
    // Once without and once with the end, each at a tick of its own.
    let stages = on_tick(
        r#"(if (i32.eqz (global.get $said))
            (then (drop (call $one)))
            (else (drop (call $end)) (global.set $stream (i32.const 0))))
        (global.set $said (i32.const 1))"#,
    );
    let injects = injector(&format!(
        "(global $said (mut i32) (i32.const 0)) {} {stages}",
        head_answers(1)
    ));
    let origin = Origin::answers(200, "");
    let gateway = Gateway::to(origin.address()).plugin(&injects).start();
    assert_eq!(gateway.get("/").text(), "one,end.");
}

#[test]
fn a_filter_that_looks_ahead_sees_what_was_injected_before_it() {
    let ahead = filter(
        "ahead",
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_response_body") (param i32) (param $size i32) (param $end i32)
                (result i32)
            (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
            (call $say (i32.const 2) (local.get $size)) (i32.const 0))"#,
    );
    let injects = injector(
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $one)) (i32.const 0))"#,
    );
    let origin = Origin::answers(200, "abc");
    let gateway = Gateway::to(origin.address())
        .plugin(&ahead.with(|spec| spec.stop_iteration = Some(true)))
        .plugin(&injects)
        .start();
    let response = gateway.get("/");
    assert_eq!(response.text(), "one,abc");
    assert_eq!(response.field("x-answer"), Some("7"));
}

#[test]
fn data_goes_before_trailers_and_an_end_takes_their_place() {
    let origin = Origin::replies(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n",
    );
    let at_trailers = injector(
        r#"(func (export "proxy_on_response_trailers") (param i32 i32) (result i32)
            (drop (call $one)) (i32.const 1))"#,
    );
    let at_body = injector(
        r#"(func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
            (drop (call $end)) (i32.const 0))"#,
    );
    for (injects, text, trailers) in [(at_trailers, "abcone,", 1), (at_body, "end.", 0)] {
        let gateway = Gateway::to(origin.address()).plugin(&injects).start();
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
        let response = client.response();
        assert_eq!(response.text(), text);
        assert_eq!(response.trailers.len(), trailers, "{text}");
    }
}

#[test]
fn data_is_refused_before_the_response_and_after_its_end_and_when_too_much_waits() {
    let cases = [
        // Nothing to add to; only of the response is anything said afterwards.
        (
            r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (call $say (i32.const 0) (call $one)) (i32.const 0))"#,
            "abc",
            vec!["2"],
        ),
        // More than 1000 bytes: what waits already goes on.
        (
            r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (call $say (i32.const 2) (call $inject (i32.const 16) (i32.const 4) (i32.const 0)))
                (call $say (i32.const 2) (call $inject (i32.const 16) (i32.const 997) (i32.const 0)))
                (call $say (i32.const 2) (call $inject (i32.const -1) (i32.const 9) (i32.const 0)))
                (i32.const 0))"#,
            "one,abc",
            vec!["0", ":", "6"],
        ),
        (
            r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (call $say (i32.const 2) (call $end))
                (call $say (i32.const 2) (call $one))
                (i32.const 0))"#,
            "end.",
            vec!["0", "2"],
        ),
    ];
    for (body, text, answers) in cases {
        let origin = Origin::answers(200, "abc");
        let gateway = Gateway::to(origin.address())
            .plugin(&injector(body))
            .sizes(|sizes| sizes.buffered_body_bytes = 1000)
            .start();
        let response = gateway.get("/");
        assert_eq!(response.text(), text, "{body}");
        let request = origin.only_request();
        let mut said = request.values("x-answer");
        said.extend(response.values("x-answer"));
        assert_eq!(said, answers, "{body}");
    }
}

#[test]
fn who_has_let_the_end_pass_adds_nothing_while_a_later_filter_holds_it() {
    // The later one holds the end until every sixth tick; the other tries at each of its own.
    let holds = filter(
        "holds",
        &format!(
            "(global $ticks (mut i32) (i32.const 0)) {} {}",
            body_answers(1),
            on_tick(
                r#"(global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
                (if (i32.eqz (i32.rem_u (global.get $ticks) (i32.const 6)))
                    (then (drop (call $continue (i32.const 1)))))"#
            )
        ),
    );
    let tries = injector(&format!(
        r#"(global $last (mut i32) (i32.const 9))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (global.set $stream (i32.const 0))
            (call $say (i32.const 0) (global.get $last)) (i32.const 0))
        {} {}"#,
        body_answers(0),
        on_tick("(global.set $last (call $one))")
    ));
    let origin = Origin::answers(200, "abc");
    let gateway = Gateway::to(origin.address())
        .plugin(&holds)
        .plugin(&tries)
        .start();
    assert_eq!(gateway.get("/").text(), "abc");
    eventually("it to have tried", || {
        let response = gateway.client().get("/");
        assert_eq!(response.status(), 200);
        let request = origin.requests().pop()?;
        assert_ne!(request.field("x-answer"), Some("0"));
        (request.field("x-answer") == Some("2")).then_some(())
    });
}

#[test]
fn a_response_whose_length_was_promised_is_cut_if_a_filter_adds_to_it_by_the_foreign_function() {
    let injects = filter(
        "injector",
        &format!(
            "{} {}",
            head_answers(0),
            on_tick("(drop (call $by_name)) (global.set $stream (i32.const 0))")
        ),
    );
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).plugin(&injects).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_head().field("content-length"), Some("6"));
    let rest = client.read_to_end().unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&rest), "abc");
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" body_length_changed "), "{line}");
}
