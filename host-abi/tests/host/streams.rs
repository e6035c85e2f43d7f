//! What a guest does to a stream as a whole.

use bytes::Bytes;
use tidegate_host_abi::{LocalResponse, pairs};

use super::support::{Run, at_headers, filter, old_filter, on_headers, on_tick, said_at_headers};

#[test]
fn continue_and_close_are_queued_in_the_stream() {
    let mut run = Run::new(&at_headers(
        r#"(call $num (call $proxy_continue_stream (i32.const 0)))
           (call $num (call $proxy_continue_stream (i32.const 3)))
           (call $num (call $proxy_close_stream (i32.const 1)))"#,
    ));
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "0", "0"]);
    let done = &run.streams.get(context).done;
    assert_eq!(
        *done,
        ["continue Request", "continue Upstream", "close Response"]
    );
}

#[test]
fn a_number_that_is_no_stream_kind_is_a_bad_argument() {
    let said = said_at_headers(
        "(call $num (call $proxy_continue_stream (i32.const 4)))
         (call $num (call $proxy_close_stream (i32.const -1)))",
        |_| (),
    );
    assert_eq!(said, ["2", "2"]);
}

#[test]
fn abi_0_1_0_has_functions_of_its_own_for_the_same() {
    let mut run = Run::new(&old_filter(
        r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32)
               (call $num (call $proxy_continue_request))
               (call $num (call $proxy_continue_response))
               (call $num (call $proxy_clear_route_cache)) (i32.const 0))"#,
    ));
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "0", "0"]);
    let done = &run.streams.get(context).done;
    assert_eq!(*done, ["continue Request", "continue Response", "reroute"]);
}

/// A local response of status 403 with this grpc status.
fn respond(grpc: i32) -> String {
    let headers = pairs::encode_list(&[(":status", "1"), ("a", "1"), ("a", "2")]);
    let wire: String = headers.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(call $num (call $proxy_send_local_response (i32.const 403) @"why not" @"no\0a" @"{wire}" (i32.const {grpc})))"#
    )
}

#[test]
fn a_local_response_arrives_with_all_its_parts() {
    let mut run = Run::new(&at_headers(&respond(7)));
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0"]);
    let field = |name: &'static str, value: &'static str| (Bytes::from(name), Bytes::from(value));
    assert_eq!(
        run.streams.get(context).local_responses,
        [LocalResponse {
            status: 403,
            details: Bytes::from("why_not"),
            body: Bytes::from("no\n"),
            headers: vec![field("a", "1"), field("a", "2")],
            grpc_status: Some(7),
        }]
    );
}

#[test]
fn a_grpc_status_outside_its_range_is_none() {
    for (grpc, expected) in [(-1, None), (17, None), (0, Some(0)), (16, Some(16))] {
        let mut run = Run::new(&at_headers(&respond(grpc)));
        let context = run.stream();
        run.headers(context).unwrap();
        let responses = &run.streams.get(context).local_responses;
        assert_eq!(responses[0].grpc_status, expected, "{grpc}");
    }
}

#[test]
fn bad_addresses_of_a_local_response_are_refused() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_send_local_response (i32.const 200) (i32.const -1) (i32.const 1) @"" @"" (i32.const 0)))
           (call $num (call $proxy_send_local_response (i32.const 200) @"" (i32.const -1) (i32.const 1) @"" (i32.const 0)))
           (call $num (call $proxy_send_local_response (i32.const 200) @"" @"" (i32.const -1) (i32.const 1) (i32.const 0)))"#,
        |_| (),
    );
    assert_eq!(said, ["6"; 3]);
}

#[test]
fn from_a_context_without_a_stream_all_of_it_is_ok_and_noted() {
    let body = format!(
        "(call $num (call $proxy_continue_stream (i32.const 0)))
         (call $num (call $proxy_close_stream (i32.const 0))) {}",
        respond(-1)
    );
    let mut run = Run::new(&filter(&format!(
        "{} {}",
        on_tick(&body),
        on_headers(&body)
    )));
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "0", "0"]);
    let notes = [
        "continue_stream has no effect, the context is no stream",
        "close_stream has no effect, the context is no stream",
        "send_local_response has no effect, the context is no stream",
    ];
    assert_eq!(run.notes(), notes);
    let context = run.stream();
    run.streams.0.clear();
    run.headers(context).unwrap();
    assert_eq!(
        run.notes(),
        notes,
        "the embedder's stream may be gone already"
    );
}
