//! Attempts that a filter wants to fail or to be late (`tidegate.fail_attempt`): what clients and the
//! access log see, and how they go together with time limits.

use std::future::poll_fn;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use h2::Reason;
use http::HeaderValue;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;
use tidegate_testkit::http2;

const IMPORTS: &str = r#"
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
"#;

const HTTP: u8 = 1;
const GRPC: u8 = 2;
const RESET: u8 = 3;
const UNREACHABLE: u8 = 4;

const HOUR: Duration = Duration::from_secs(3600);

/// The argument of the function.
fn wish(kind: u8, status: u16, attempts: u32, delay: Duration) -> Vec<u8> {
    let nanos = u64::try_from(delay.as_nanos()).expect("not so long");
    let parts: [&[u8]; 4] = [
        &[1, kind],
        &status.to_le_bytes(),
        &attempts.to_le_bytes(),
        &nanos.to_le_bytes(),
    ];
    parts.concat()
}

fn fails(kind: u8, status: u16) -> Vec<u8> {
    wish(kind, status, 1, Duration::ZERO)
}

fn late(delay: Duration) -> Vec<u8> {
    wish(0, 0, 1, delay)
}

/// A filter that wants this of every request, one wish after the other, in this callback; the status of
/// the last is in the response's field `x-status`, as a letter: `a` is OK.
fn filter(callback: &str, wishes: &[Vec<u8>]) -> Wasm {
    let data: String = wishes
        .concat()
        .iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let calls: String = (0..wishes.len())
        .map(|at| {
            format!(
                "(local.set $status (call $foreign (i32.const 16) (i32.const 21) (i32.const {})
                     (i32.const 16) (i32.const 0) (i32.const 0)))",
                256 + 16 * at
            )
        })
        .collect();
    let note = "(drop (call $add (i32.const 2) (i32.const 48) (i32.const 8)
        (i32.add (i32.const 64) (global.get $said)) (i32.const 1)))";
    let (in_request, in_response) = match callback {
        "proxy_on_request_headers" => (calls.as_str(), ""),
        _ => ("", calls.as_str()),
    };
    Wasm::wat(
        "failing",
        IMPORTS,
        &format!(
            r#"(data (i32.const 16) "tidegate.fail_attempt") (data (i32.const 48) "x-status")
            (data (i32.const 64) "abcdefghijklm") (data (i32.const 256) "{data}")
            (global $said (mut i32) (i32.const 0))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (local $status i32)
                {in_request} (global.set $said (local.get $status)) (i32.const 0))
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (local $status i32) (local.set $status (global.get $said))
                {in_response} (global.set $said (local.get $status)) {note} (i32.const 0))"#
        ),
    )
}

fn wants(wishes: &[Vec<u8>]) -> Wasm {
    filter("proxy_on_request_headers", wishes)
}

#[test]
fn an_attempt_fails_as_if_the_backend_had_answered_and_no_endpoint_is_asked() {
    for (wish, status) in [
        (fails(HTTP, 418), 418),
        (fails(GRPC, 14), 503),
        (fails(RESET, 0), 502),
        (fails(UNREACHABLE, 0), 503),
    ] {
        let origin = Origin::answers(200, "fine");
        let rules = [
            Rule::at("/").to("origin", 1),
            Rule::at("/bad").plugin(&wants(&[wish])).to("origin", 1),
        ];
        let gateway = rules
            .into_iter()
            .fold(Gateway::to(origin.address()), |gateway, rule| {
                gateway.rule(rule)
            })
            .start();
        let mut client = gateway.client();
        let response = client.get("/bad");
        assert_eq!(response.status(), status);
        assert_eq!(response.text(), "fault filter abort");
        assert_eq!(response.field("x-status"), Some("a"), "filters see it");
        // The connection goes on, and what no filter wants is as always.
        assert_eq!(client.get("/good").text(), "fine");
        assert!(origin.only_request().start.starts_with("GET /good "));
        let line = &gateway.log_lines(2)[0];
        assert!(
            line.contains(&format!(" {status} fault_injected ")),
            "{line}"
        );
        assert!(line.contains(" endpoint=- attempts=1 "), "{line}");
        assert!(line.contains(" details=\"fault_filter_abort\""), "{line}");
    }
}

#[test]
fn a_failure_whose_status_has_no_body_gets_none() {
    for status in [204, 205, 304] {
        let gateway = Gateway::to(Origin::answers(200, "fine").address())
            .plugin(&wants(&[fails(HTTP, status)]))
            .start();
        let response = gateway.get("/");
        assert_eq!(
            (response.status(), response.text()),
            (status, String::new())
        );
        assert_eq!(response.field("content-type"), None);
    }
}

#[test]
fn grpc_clients_get_the_status_in_a_head_alone() {
    for (wish, status) in [(fails(GRPC, 8), "8"), (fails(HTTP, 503), "14")] {
        let origin = Origin::answers(200, "fine");
        let gateway = Gateway::to(origin.address())
            .plugin(&wants(&[wish]))
            .start();
        let mut client = gateway.client();
        client.send(
            "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\
             content-length: 5\r\n\r\n\0\0\0\0\0",
        );
        let response = client.response();
        assert_eq!(response.status(), 200);
        assert_eq!(response.field("grpc-status"), Some(status));
        assert_eq!(response.field("grpc-message"), Some("fault filter abort"));
        assert_eq!(response.text(), "");
    }
}

#[test]
fn a_delay_is_part_of_the_attempt_and_the_log_says_so() {
    let origin = Origin::answers(200, "fine");
    let delay = Duration::from_millis(120);
    let gateway = Gateway::to(origin.address())
        .plugin(&wants(&[late(delay)]))
        .start();
    let begun = Instant::now();
    let response = gateway.get("/");
    assert_eq!(response.text(), "fine");
    assert!(begun.elapsed() >= delay);
    let line = &gateway.log_lines(1)[0];
    assert!(line.contains(" details=\"fault_filter_delay\""), "{line}");
    assert!(line.contains(" attempts=1 "), "{line}");
}

#[test]
fn a_delay_counts_for_the_time_limits_of_attempt_and_request() {
    let limit = Duration::from_millis(80);
    for (rule, flag) in [
        (
            Rule::at("/").backend_request_timeout(limit),
            "backend_request_timeout",
        ),
        (Rule::at("/").request_timeout(limit), "request_timeout"),
    ] {
        let origin = Origin::answers(200, "fine");
        let filter = wants(&[late(HOUR)]);
        let gateway = Gateway::to(origin.address())
            .rule(rule.plugin(&filter).to("origin", 1))
            .start();
        let mut client = gateway.client();
        assert_eq!(client.get("/").status(), 504);
        let line = &gateway.log_lines(1)[0];
        assert!(line.contains(&format!(" 504 {flag} ")), "{line}");
        assert!(line.contains(" endpoint=- "), "{line}");
    }
}

#[test]
fn a_client_that_leaves_during_a_delay_ends_it() {
    let gateway = Gateway::to(Origin::answers(200, "fine").address())
        .plugin(&wants(&[late(HOUR)]))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    drop(client);
    let line = &gateway.log_lines(1)[0];
    assert!(line.contains(" 499 client_closed "), "{line}");
}

#[test]
fn a_client_that_leaves_during_a_delay_ends_it_whatever_it_has_sent() {
    let gateway = Gateway::to(Origin::answers(200, "fine").address())
        .plugin(&wants(&[late(HOUR)]))
        .start();
    let mut client = gateway.client();
    // More than is taken in meanwhile, and not so much that the system keeps the end from coming.
    let size = 80 * 1024;
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n"
    ));
    client.send("a".repeat(size));
    drop(client);
    let line = &gateway.log_lines(1)[0];
    assert!(line.contains(" 499 client_closed "), "{line}");
}

#[test]
fn a_body_that_waits_for_a_delay_is_whole() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address())
        .plugin(&wants(&[late(Duration::from_secs(1))]))
        .start();
    // More than is taken in while the request waits, and the waiting is looked after meanwhile.
    let body = vec![b'a'; 4 * 1024 * 1024];
    assert_eq!(gateway.client().post("/", &body).body, body);
}

#[test]
fn a_body_is_invited_only_if_somebody_will_have_it() {
    let expects = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&wants(&[fails(HTTP, 503)]))
        .start();
    let mut client = gateway.client();
    client.send(expects);
    let response = client.response_head();
    assert_eq!(response.status(), 503, "and no 100 before it");

    let filter = wants(&[late(Duration::from_millis(1))]);
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut client = gateway.client();
    client.send(expects);
    assert_eq!(client.response_head().status(), 100);
    client.send("ab");
    assert_eq!(client.response().status(), 200);
    assert_eq!(origin.only_request().body, b"ab");
}

#[test]
fn a_request_without_a_connection_fails_as_wanted_where_nothing_listens() {
    let gateway = Gateway::to(Origin::nowhere())
        .plugin(&wants(&[fails(HTTP, 404)]))
        .start();
    assert_eq!(gateway.get("/").status(), 404);
}

#[test]
fn the_last_wish_counts_and_none_can_be_made_once_the_request_has_left() {
    let origin = Origin::answers(200, "fine");
    let asked = |filter: &Wasm| {
        let response = Gateway::to(origin.address())
            .plugin(filter)
            .start()
            .get("/");
        let said = response.field("x-status").map(str::to_owned);
        (response.status(), said.unwrap_or_default())
    };
    let takes_back = wants(&[fails(HTTP, 503), wish(HTTP, 503, 0, Duration::ZERO)]);
    assert_eq!(asked(&takes_back), (200, "a".to_owned()));
    let replaces = wants(&[fails(HTTP, 503), fails(HTTP, 404)]);
    assert_eq!(asked(&replaces), (404, "a".to_owned()));
    // What is no wish changes nothing, and is a bad argument.
    let wrong = wants(&[fails(HTTP, 503), fails(HTTP, 100)]);
    assert_eq!(asked(&wrong), (503, "c".to_owned()));
    let comes_late = filter("proxy_on_response_headers", &[fails(HTTP, 503)]);
    assert_eq!(asked(&comes_late), (200, "c".to_owned()));
}

#[test]
fn of_several_filters_the_delays_add_up_and_the_first_failure_is_the_one() {
    let delay = Duration::from_millis(60);
    let wishes = [
        late(delay),
        wish(HTTP, 404, 1, delay),
        fails(HTTP, 503),
        late(delay),
    ];
    let origin = Origin::answers(200, "fine");
    let gateway = wishes
        .into_iter()
        .zip(["first", "second", "third", "fourth"])
        .fold(Gateway::to(origin.address()), |gateway, (wish, name)| {
            gateway.plugin(&wants(&[wish]).named(name))
        })
        .start();
    let begun = Instant::now();
    assert_eq!(gateway.get("/").status(), 404);
    assert!(begun.elapsed() >= 3 * delay);
}

#[test]
fn a_stream_that_is_reset_during_a_delay_ends_it() {
    let gateway = Gateway::to(Origin::answers(200, "fine").address())
        .plugin(&wants(&[late(HOUR)]))
        .start();
    http2::client(gateway.address(), async |client| {
        let mut client = client.ready().await.expect("room");
        let mut request = http2::request("POST", "/");
        let expects = HeaderValue::from_static("100-continue");
        request.headers_mut().insert("expect", expects);
        let (mut answer, mut body) = client.send_request(request, false).expect("sent");
        let invited = poll_fn(|cx| answer.poll_informational(cx)).await;
        let invited = invited.expect("an answer").expect("no error");
        assert_eq!(invited.status(), 100, "it is on its way");
        body.send_reset(Reason::CANCEL);
    });
    let lines = gateway.log_lines(1);
    assert!(lines[0].contains(" 499 client_closed "), "{lines:?}");
}

#[test]
fn a_grpc_call_over_http2_fails_with_trailers_alone() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&wants(&[fails(GRPC, 7)]))
        .start();
    let answer = http2::client(gateway.address(), async |mut client| {
        let mut call = http2::request("POST", "/a.B/C");
        let grpc = HeaderValue::from_static("application/grpc");
        call.headers_mut().insert("content-type", grpc);
        let body = Bytes::from_static(&[0; 5]);
        http2::exchange(&mut client, call, Some(body)).await
    });
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("grpc-status"), Some("7"));
    assert!(answer.body.is_empty());
}

#[test]
fn a_delay_is_cut_at_the_drain_time_out() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&wants(&[late(HOUR)]))
        .timeouts(|timeouts| timeouts.drain = Duration::from_millis(100))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n");
    assert_eq!(client.response_head().status(), 100, "it is on its way");
    gateway.drain();
    let log = gateway.stop_for_log();
    assert!(log[0].contains(" 503 drain_deadline "), "{}", log[0]);
}
