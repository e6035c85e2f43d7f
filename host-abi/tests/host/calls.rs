//! HTTP calls.

use bytes::Bytes;
use tidegate_host_abi::{CallResponse, CalloutToken, HttpCall, Limits, PluginSpec, pairs};

use super::support::{Run, at_headers, filter, on_headers, on_tick, said_at_headers, spec};

/// A call to a backend with these headers, as WAT; says its status and token.
fn call(backend: &str, headers: &[(&str, &str)]) -> String {
    let wire: String = pairs::encode_list(headers)
        .iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    format!(
        r#"(call $num (call $proxy_http_call @"{backend}" @"{wire}" @"body"
               (i32.const 0) (i32.const 0) (i32.const 250) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#
    )
}

const GOOD: &[(&str, &str)] = &[
    (":method", "GET"),
    (":path", "/"),
    (":authority", "a"),
    ("x", "y"),
];

/// Says everything about the answer.
const ON_ANSWER: &str = r#"
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (call $num (local.get 0)) (call $num (local.get 1)) (call $num (local.get 2))
        (call $num (local.get 3)) (call $num (local.get 4))
        (call $num (call $proxy_get_header_map_value (i32.const 6) @":Status" @out)) (call $got)
        (call $num (call $proxy_get_header_map_value (i32.const 7) @"t" @out)) (call $got)
        (call $num (call $proxy_get_buffer_bytes (i32.const 4) (i32.const 1) (i32.const 3) @out))
        (call $got)
        (call $num (call $proxy_get_status (i32.const 4000) @out)) (call $got)
        (call $num (i32.load (i32.const 4000))))
"#;

fn answer() -> CallResponse {
    CallResponse {
        headers: vec![(Bytes::from(":status"), Bytes::from("200"))],
        body: Bytes::from("hello"),
        trailers: vec![(Bytes::from("t"), Bytes::from("1"))],
    }
}

#[test]
fn a_call_is_queued_with_all_its_parts() {
    let mut run = Run::new(&at_headers(&format!("{0} {0}", call("web", GOOD))));
    let context = run.stream();
    assert_eq!(run.instance.take_http_calls(), []);
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "4", "0", "8"]);
    let calls = run.instance.take_http_calls();
    let headers = GOOD
        .iter()
        .map(|(n, v)| (Bytes::from(*n), Bytes::from(*v)))
        .collect();
    let expected = HttpCall {
        token: CalloutToken(4),
        root: run.root(),
        backend: "web".to_owned(),
        headers,
        body: Bytes::from("body"),
        trailers: Vec::new(),
        timeout_ms: 250,
    };
    assert_eq!(calls[0], expected);
    assert_eq!(calls[1].token, CalloutToken(8));
    assert_eq!(run.instance.take_http_calls(), []);
}

#[test]
fn the_answer_is_readable_in_its_callback_only() {
    let guest = filter(&format!(
        "{ON_ANSWER} {} {}",
        on_headers(&call("web", GOOD)),
        on_tick(
            r#"(call $num (call $proxy_get_header_map_value (i32.const 6) @":status" @out))
               (call $num (call $proxy_get_buffer_bytes (i32.const 4) (i32.const 0) (i32.const 9) @out))
               (call $num (call $proxy_get_header_map_pairs (i32.const 7) @out))
               (call $num (call $proxy_get_status (i32.const 4000) @out))
               (call $num (i32.load (i32.const 4000)))"#
        )
    ));
    let mut run = Run::new(&guest);
    let context = run.stream();
    run.headers(context).unwrap();
    run.said();
    let root = run.root();
    let Run {
        instance, streams, ..
    } = &mut run;
    instance
        .on_http_call_response(streams, root, CalloutToken(4), &answer())
        .unwrap();
    assert_eq!(
        run.said(),
        [
            "1", "4", "1", "5", "1", "0", "200", "0", "1", "0", "ell", "0", "", "0"
        ]
    );
    run.tick().unwrap();
    assert_eq!(run.said(), ["1", "1", "0", "0", "0"]);
}

#[test]
fn a_call_that_failed_has_no_headers_and_a_status() {
    let guest = filter(&format!("{ON_ANSWER} {}", on_headers(&call("web", GOOD))));
    let mut run = Run::new(&guest);
    let context = run.stream();
    run.headers(context).unwrap();
    run.said();
    let root = run.root();
    let failed = CallResponse::default();
    let Run {
        instance, streams, ..
    } = &mut run;
    instance
        .on_http_call_response(streams, root, CalloutToken(4), &failed)
        .unwrap();
    let said = run.said();
    assert_eq!(said[2..5], ["0", "0", "0"]);
    assert_eq!(said[said.len() - 3..], ["0", "reset", "11"]);
}

#[test]
fn an_answer_is_delivered_once_and_an_unknown_one_never() {
    let guest = filter(&format!("{ON_ANSWER} {}", on_headers(&call("web", GOOD))));
    let mut run = Run::new(&guest);
    let context = run.stream();
    run.headers(context).unwrap();
    let root = run.root();
    for token in [8, 4, 4] {
        let Run {
            instance, streams, ..
        } = &mut run;
        instance
            .on_http_call_response(streams, root, CalloutToken(token), &answer())
            .unwrap();
    }
    let answers = run.said().iter().filter(|line| *line == "ell").count();
    assert_eq!(answers, 1);
}

#[test]
fn an_unknown_backend_is_a_bad_argument() {
    let mut run = Run::new(&at_headers(&call("elsewhere", GOOD)));
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["2", "0"]);
    assert_eq!(
        run.notes(),
        ["http_call: there is no backend \"elsewhere\" for this plugin"]
    );
}

#[test]
fn a_missing_pseudo_header_is_named() {
    for missing in [":method", ":path", ":authority"] {
        let headers: Vec<_> = GOOD
            .iter()
            .filter(|(name, _)| *name != missing)
            .copied()
            .collect();
        let mut run = Run::new(&at_headers(&call("web", &headers)));
        let context = run.stream();
        run.headers(context).unwrap();
        assert_eq!(run.said(), ["2", "0"]);
        assert_eq!(
            run.notes(),
            [format!("http_call: the header {missing} is missing")]
        );
    }
}

#[test]
fn too_many_open_calls_are_refused_until_one_is_answered() {
    let limits = Limits {
        open_calls: 2,
        ..Limits::default()
    };
    let mut run = Run::with(
        &at_headers(&call("web", GOOD)),
        PluginSpec { limits, ..spec() },
    );
    let context = run.stream();
    for _ in 0..3 {
        run.headers(context).unwrap();
    }
    assert_eq!(run.said(), ["0", "4", "0", "8", "10", "8"]);
    assert_eq!(run.notes(), ["http_call: 2 calls are open"]);
    let root = run.root();
    let Run {
        instance, streams, ..
    } = &mut run;
    instance
        .on_http_call_response(streams, root, CalloutToken(4), &answer())
        .unwrap();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "12"]);
}

#[test]
fn calls_that_nobody_takes_do_not_fill_the_host() {
    let limits = Limits {
        buffered_bytes: 70,
        ..Limits::default()
    };
    let mut run = Run::with(
        &at_headers(&call("web", GOOD)),
        PluginSpec { limits, ..spec() },
    );
    let context = run.stream();
    for _ in 0..3 {
        run.headers(context).unwrap();
    }
    assert_eq!(run.said()[4], "10");
    assert_eq!(run.instance.take_http_calls().len(), 2);
    run.headers(context).unwrap();
    assert_eq!(run.said()[0], "0");
}

#[test]
fn a_call_made_at_the_start_waits_to_be_taken() {
    let guest = filter(&format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) {} (i32.const 1))"#,
        call("web", GOOD)
    ));
    let mut run = Run::new(&guest);
    assert_eq!(run.instance.take_http_calls().len(), 1);
}

#[test]
fn bad_addresses_of_a_call_are_refused() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_http_call (i32.const -1) (i32.const 3) @"" @"" @"" (i32.const 0) (i32.const 3000)))
           (call $num (call $proxy_http_call @"web" @"" @"" @"" (i32.const 0) (i32.const -1)))
           (call $num (call $proxy_get_status (i32.const -1) @out))"#,
        |_| (),
    );
    assert_eq!(said, ["6"; 3]);
}
