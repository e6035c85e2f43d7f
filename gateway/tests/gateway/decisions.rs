//! What callbacks decide has the same effect here and on Envoy 1.40: same modules, same traffic.
//!
//! Each case is a chain of filters and one request. Envoy is a peer: `cargo xtask test --peers`
//! installs it and sets `TIDEGATE_PEERS`; without that only Tidegate's half runs, against the same
//! expectations.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use tidegate_testkit::Client;
use tidegate_testkit::Envoy;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

const IMPORTS: &str = r#"
    (import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;

/// Functions that filters of these cases are made of.
const PARTS: &str = r#"(data (i32.const 16) "x-mark") (data (i32.const 48) "no")
    (func $mark (param $map i32) (param $letter i32)
        (i32.store8 (i32.const 32) (local.get $letter))
        (drop (call $add (local.get $map) (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 1))))
    (func $deny (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 48)
        (i32.const 2) (i32.const 0) (i32.const 0) (i32.const -1))))"#;

fn filter(name: &str, body: &str) -> Wasm {
    Wasm::wat(name, IMPORTS, &format!("{PARTS} {body}"))
}

/// A filter that marks both heads with a letter.
fn marks(letter: char) -> Wasm {
    let code = u32::from(letter);
    filter(
        &format!("marks-{letter}"),
        &format!(
            r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (call $mark (i32.const 0) (i32.const {code})) (i32.const 0))
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (call $mark (i32.const 2) (i32.const {code})) (i32.const 0))"#
        ),
    )
}

/// A filter with one callback of three parameters, `$end` the last.
fn in_callback(callback: &str, body: &str) -> Wasm {
    filter(
        "decides",
        &format!(
            r#"(func (export "proxy_on_{callback}") (param i32 i32) (param $end i32) (result i32) {body})"#
        ),
    )
}

struct Case {
    name: &'static str,
    filters: Vec<Wasm>,
    request: &'static str,
    status: u16,
    body: &'static str,
    /// Marks of the response.
    marks: &'static [&'static str],
    /// Body and marks of the request at the origin; `None` if it must not get there.
    origin: Option<(&'static str, &'static [&'static str])>,
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
const TRAILERS: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n";
const CHUNKED: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";

fn shown(filter: Wasm) -> Wasm {
    filter.with(|spec| spec.stop_iteration = Some(true))
}

fn cases() -> Vec<Case> {
    let deny = |callback| in_callback(callback, "(call $deny) (i32.const 0)");
    let ahead = |map: u32| {
        let side = if map == 0 { "request" } else { "response" };
        filter(
            "ahead",
            &format!(
                r#"(func (export "proxy_on_{side}_headers") (param i32 i32 i32) (result i32) (i32.const 1))
                (func (export "proxy_on_{side}_body") (param i32 i32) (param $end i32) (result i32)
                    (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
                    (call $mark (i32.const {map}) (i32.const 0x65))
                    (i32.const 0))"#
            ),
        )
    };
    vec![
        Case {
            name: "an answer from request headers passes the filters that saw the request",
            filters: vec![marks('a'), deny("request_headers"), marks('b')],
            request: GET,
            status: 403,
            body: "no",
            marks: &["a"],
            origin: None,
        },
        Case {
            name: "an answer from a request body",
            filters: vec![marks('a'), deny("request_body"), marks('b')],
            request: POST,
            status: 403,
            body: "no",
            marks: &["b", "a"],
            origin: None,
        },
        Case {
            name: "an answer from response headers",
            filters: vec![marks('a'), deny("response_headers"), marks('b')],
            request: GET,
            status: 403,
            body: "no",
            // It is sent as it is: the filters that come after are not shown it.
            marks: &[],
            origin: Some(("", &["a", "b"])),
        },
        Case {
            name: "a filter that looks ahead at a request",
            filters: vec![marks('a'), shown(ahead(0)), marks('b')],
            request: POST,
            status: 200,
            body: "fine",
            marks: &["b", "a"],
            origin: Some(("body", &["a", "e", "b"])),
        },
        Case {
            name: "a filter that looks ahead at a request in chunks",
            filters: vec![shown(ahead(0)), marks('b')],
            request: CHUNKED,
            status: 200,
            body: "fine",
            marks: &["b"],
            origin: Some(("body", &["e", "b"])),
        },
        Case {
            name: "a filter that looks ahead at a response",
            filters: vec![marks('a'), shown(ahead(2)), marks('b')],
            request: GET,
            status: 200,
            body: "fine",
            marks: &["b", "e", "a"],
            origin: Some(("", &["a", "b"])),
        },
        Case {
            name: "a body that is stopped until its end",
            filters: vec![in_callback("request_body", "(i32.eqz (local.get $end))")],
            request: POST,
            status: 200,
            body: "fine",
            marks: &[],
            origin: Some(("body", &[])),
        },
        Case {
            name: "a status that was once to end the stream means nothing",
            filters: vec![
                in_callback("response_headers", "(i32.const 2)"),
                in_callback("request_headers", "(i32.const 2)"),
            ],
            request: POST,
            status: 200,
            body: "fine",
            marks: &[],
            origin: Some(("body", &[])),
        },
        Case {
            name: "trailers end a pause in the body",
            filters: vec![in_callback("request_body", "(i32.const 1)")],
            request: TRAILERS,
            status: 200,
            body: "fine",
            marks: &[],
            origin: Some(("body", &[])),
        },
        Case {
            name: "a body that is dropped as it comes and let go at its end",
            filters: vec![in_callback(
                "request_body",
                "(select (i32.const 0) (i32.const 3) (local.get $end))",
            )],
            request: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            status: 200,
            body: "fine",
            marks: &[],
            origin: Some(("", &[])),
        },
    ]
}

/// Runs a case through a proxy and says what came of it.
fn outcome(case: &Case, address: SocketAddr, origin: &Origin) -> String {
    let before = origin.requests().len();
    let mut client = Client::connect(address);
    client.send(case.request);
    let response = match client.try_response() {
        Ok(response) => response,
        Err(err) => return format!("no answer: {err}"),
    };
    let mut text = format!(
        "{} {:?} {:?}",
        response.status(),
        response.text(),
        response.values("x-mark")
    );
    for request in origin.requests().split_off(before) {
        write!(
            text,
            " origin {:?} {:?}",
            request.text(),
            request.values("x-mark")
        )
        .expect("text");
    }
    text
}

fn expected(case: &Case) -> String {
    let mut text = format!("{} {:?} {:?}", case.status, case.body, case.marks);
    if let Some((body, marks)) = case.origin {
        write!(text, " origin {body:?} {marks:?}").expect("text");
    }
    text
}

fn origin() -> Origin {
    Origin::answers(200, "fine")
}

#[test]
fn decisions_have_their_effect_on_tidegate() {
    for case in cases() {
        let origin = origin();
        let mut gateway = Gateway::to(origin.address());
        for filter in &case.filters {
            gateway = gateway.plugin(filter);
        }
        let gateway = gateway.start();
        let got = outcome(&case, gateway.address(), &origin);
        assert_eq!(got, expected(&case), "{}", case.name);
    }
}

#[test]
fn decisions_have_the_same_effect_on_envoy() {
    if !Envoy::wanted() {
        return;
    }
    let origin = origin();
    let cases = cases();
    let folder = tempfile::tempdir().expect("a folder");
    let config = envoy_config(&cases, origin.address(), folder.path());
    let envoy = Envoy::start_with(&config, cases.len());
    eventually("envoy to serve", || {
        let mut client = Client::try_connect(envoy.address()).ok()?;
        client.try_send(GET).ok()?;
        client.try_response().ok().map(|_| ())
    });
    let mut differences = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let got = outcome(case, envoy.listener(&format!("case-{at}")), &origin);
        if got != expected(case) {
            differences.push(format!("{}: {got}, not {}", case.name, expected(case)));
        }
    }
    assert_eq!(differences, [""; 0]);
}

fn envoy_config(cases: &[Case], origin: SocketAddr, folder: &Path) -> String {
    let mut listeners = String::new();
    for (at, case) in cases.iter().enumerate() {
        let mut filters = String::new();
        for (place, wasm) in case.filters.iter().enumerate() {
            let file = folder.join(format!("{at}-{place}.wasm"));
            std::fs::write(&file, wasm.module()).expect("written");
            let (name, file) = (wasm.name(), file.display());
            let stops = wasm.plugin().spec().stop_iteration == Some(true);
            write!(
                filters,
                r#"
          - name: {name}
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: {name}
                allow_on_headers_stop_iteration: {stops}
                vm_config: {{ vm_id: "{at}-{place}", runtime: envoy.wasm.runtime.v8, code: {{ local: {{ filename: "{file}" }} }} }}"#
            )
            .expect("text");
        }
        write!(
            listeners,
            r#"
  - name: case-{at}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          http_protocol_options: {{ enable_trailers: true }}
          route_config:
            virtual_hosts: [{{ name: all, domains: ["*"], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: origin }} }}] }}]
          http_filters:{filters}
          - name: router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}"#
        )
        .expect("text");
    }
    format!(
        "admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}\n\
         static_resources:\n  listeners:{listeners}\n  clusters:\n  - name: origin\n    type: STATIC\n    \
         load_assignment:\n      cluster_name: origin\n      endpoints: [{{ lb_endpoints: [{{ endpoint: \
         {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }} }}] }}]\n",
        origin.ip(),
        origin.port()
    )
}
