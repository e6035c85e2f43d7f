//! What filters reach beside the specification: names, endpoints, signatures, a new instance.

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

const IMPORTS: &str = r#"
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_upstream_hosts" (func $hosts (param i32 i32) (result i32)))
    (import "env" "proxy_set_upstream_override_host" (func $choose (param i32 i32) (result i32)))
    (import "env" "proxy_set_property" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "envoy_resolve_dns" (func $resolve (param i32 i32 i32) (result i32)))
    (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
"#;

#[test]
fn a_filter_reads_the_endpoints_of_the_backend_and_chooses_one() {
    let origins: Vec<Origin> = ["first", "second", "third"]
        .map(|body| Origin::answers(200, body))
        .into();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    // Asks for the endpoint that the client names, and says how many bytes are known of all.
    let filter = Wasm::wat(
        "chooser",
        IMPORTS,
        r#"(data (i32.const 16) "x-endpoint") (data (i32.const 32) "x-known")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (drop (call $get (i32.const 0) (i32.const 16) (i32.const 10) (i32.const 64) (i32.const 68)))
               (drop (call $choose (i32.load (i32.const 64)) (i32.load (i32.const 68))))
               (drop (call $hosts (i32.const 64) (i32.const 68)))
               (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
               ;; The first name of the pairs is behind the count and six lengths.
               (drop (call $add (i32.const 2) (i32.const 32) (i32.const 7)
                   (i32.add (i32.load (i32.const 64)) (i32.const 28))
                   (i32.load offset=4 (i32.load (i32.const 64)))))
               (i32.const 0))"#,
    );
    let gateway = Gateway::to(addresses[0])
        .endpoints(&addresses)
        .rule(Rule::at("/").plugin(&filter).to("origin", 1))
        .start();
    let mut client = gateway.client();
    for (address, body) in addresses.iter().zip(["first", "second", "third"]) {
        for _ in 0..3 {
            client.send(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX-Endpoint: {address}\r\n\r\n"
            ));
            let response = client.response();
            assert_eq!(response.text(), body);
            let known = response.field("x-known").map(str::to_owned);
            assert_eq!(known, Some(addresses[0].to_string()));
        }
    }
    // An address that is no endpoint changes nothing.
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Endpoint: 127.0.0.1:1\r\n\r\n");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_filter_resolves_a_name_while_its_stream_waits() {
    let origin = Origin::answers(200, "fine");
    let filter = Wasm::wat(
        "resolver",
        IMPORTS,
        r#"(data (i32.const 16) "127.0.0.1") (data (i32.const 32) "x-address")
           (global $stream (mut i32) (i32.const 0))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (global.set $stream (local.get 0))
               (drop (call $resolve (i32.const 16) (i32.const 9) (i32.const 64)))
               (i32.const 1))
           (func (export "envoy_on_resolve_dns") (param i32 i32 i32)
               ;; One address: behind the count and one time to live, with a NUL at its end.
               (drop (call $buffer (i32.const 8) (i32.const 8) (i32.sub (local.get 2) (i32.const 9))
                   (i32.const 64) (i32.const 68)))
               (drop (call $effective (global.get $stream)))
               (drop (call $add (i32.const 0) (i32.const 32) (i32.const 9)
                   (i32.load (i32.const 64)) (i32.load (i32.const 68))))
               (drop (call $continue (i32.const 0))))"#,
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    assert_eq!(gateway.get("/").status(), 200);
    let seen = origin.only_request();
    assert_eq!(seen.field("x-address"), Some("127.0.0.1:0"));
}

#[test]
fn names_are_looked_up_for_plugins_that_may_and_for_no_others() {
    let filter = Wasm::wat(
        "resolver",
        IMPORTS,
        r#"(data (i32.const 16) "127.0.0.1") (data (i32.const 32) "x-status")
           (data (i32.const 48) "0123456789a")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (drop (call $add (i32.const 0) (i32.const 32) (i32.const 8)
                   (i32.add (i32.const 48) (call $resolve (i32.const 16) (i32.const 9) (i32.const 64)))
                   (i32.const 1)))
               (i32.const 0))"#,
    );
    let status = |gateway: fn(tidegate_testkit::gateway::Builder) -> _| {
        let origin = Origin::answers(200, "fine");
        let bounded = Gateway::to(origin.address()).may_call(&["origin"]);
        let gateway: tidegate_testkit::gateway::Builder = gateway(bounded);
        gateway.plugin(&filter).start().get("/");
        let request = origin.only_request();
        request.field("x-status").map(str::to_owned)
    };
    assert_eq!(
        status(|bounded| bounded).as_deref(),
        Some("a"),
        "internal failure"
    );
    let allowed = status(tidegate_testkit::gateway::Builder::may_resolve);
    assert_eq!(allowed.as_deref(), Some("0"));
}

#[test]
fn a_name_that_is_none_is_answered_too() {
    let origin = Origin::answers(200, "fine");
    let filter = Wasm::wat(
        "resolver",
        IMPORTS,
        r#"(data (i32.const 16) "no such name") (data (i32.const 32) "x-none")
           (global $stream (mut i32) (i32.const 0))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (global.set $stream (local.get 0))
               (drop (call $resolve (i32.const 16) (i32.const 12) (i32.const 64)))
               (i32.const 1))
           (func (export "envoy_on_resolve_dns") (param i32 i32 i32)
               (if (local.get 2) (then (unreachable)))
               (drop (call $effective (global.get $stream)))
               (drop (call $add (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 32) (i32.const 6)))
               (drop (call $continue (i32.const 0))))"#,
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    assert_eq!(gateway.get("/").status(), 200);
    assert_eq!(origin.only_request().field("x-none"), Some("x-none"));
}

#[test]
fn a_filter_that_asks_to_be_replaced_is_once_it_has_no_stream() {
    let origin = Origin::answers(200, "fine");
    // Counts its requests in the header, and wants to be new after the first.
    let filter = Wasm::wat(
        "renewed",
        IMPORTS,
        r#"(data (i32.const 16) "wasm_need_rebuild") (data (i32.const 40) "true")
           (data (i32.const 48) "x-count") (data (i32.const 56) "0123456789")
           (global $count (mut i32) (i32.const 0))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (global.set $count (i32.add (global.get $count) (i32.const 1)))
               (drop (call $set (i32.const 16) (i32.const 17) (i32.const 40) (i32.const 4)))
               (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
               (drop (call $add (i32.const 2) (i32.const 48) (i32.const 7)
                   (i32.add (i32.const 56) (global.get $count)) (i32.const 1)))
               (i32.const 0))"#,
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        // Its replacement has to be started before the next one can be.
        eventually("a new instance", || {
            let response = client.get("/");
            assert_eq!(response.status(), 200);
            (response.field("x-count") == Some("1")).then_some(())
        });
    }
    assert_eq!(gateway.metrics().plugin_faults.len(), 0);
}

#[test]
fn a_filter_verifies_a_signature() {
    let origin = Origin::answers(200, "fine");
    let key = include_bytes!("../../proxy/src/filters/crypto/ec.pub.der");
    let signature = include_bytes!("../../proxy/src/filters/crypto/ec.sig");
    let mut message = b"\x0a\x06sha256".to_vec();
    for (number, bytes) in [(2_u8, &key[..]), (3, signature), (4, b"a text")] {
        message.push(number << 3 | 2);
        message.push(u8::try_from(bytes.len()).expect("short"));
        message.extend_from_slice(bytes);
    }
    let wat: String = message.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let filter = Wasm::wat(
        "verifier",
        IMPORTS,
        &format!(
            r#"(data (i32.const 16) "verify_signature") (data (i32.const 40) "x-good")
               (data (i32.const 256) "{wat}")
               (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                   (drop (call $foreign (i32.const 16) (i32.const 16) (i32.const 256) (i32.const {})
                       (i32.const 64) (i32.const 68)))
                   ;; The answer is one field: number 1, true.
                   (if (i32.eq (i32.load16_u (i32.load (i32.const 64))) (i32.const 0x108))
                       (then (drop (call $add (i32.const 0) (i32.const 40) (i32.const 6)
                           (i32.const 40) (i32.const 6)))))
                   (i32.const 0))"#,
            message.len()
        ),
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    assert_eq!(gateway.get("/").status(), 200);
    assert_eq!(origin.only_request().field("x-good"), Some("x-good"));
}

#[test]
fn a_property_beyond_what_a_stream_may_hold_is_refused_and_the_old_one_stays() {
    let origin = Origin::answers(200, "hello");
    // Sets a property twice, the second time to more than 256 KiB.
    let filter = Wasm::wat(
        "hoarder",
        &format!(
            r#"{IMPORTS}
            (import "env" "proxy_get_property" (func $read (param i32 i32 i32 i32) (result i32)))"#
        ),
        r#"(data (i32.const 16) "mine") (data (i32.const 32) "x-status")
           (data (i32.const 48) "x-mine") (data (i32.const 80) "a") (data (i32.const 96) "x-fits")
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
               (drop (memory.grow (i32.const 4)))
               (drop (call $set (i32.const 16) (i32.const 4) (i32.const 32) (i32.const 1)))
               (i32.store8 (i32.const 80) (i32.add (i32.const 97)
                   (call $set (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 262141))))
               (drop (call $add (i32.const 2) (i32.const 32) (i32.const 8) (i32.const 80) (i32.const 1)))
               (drop (call $read (i32.const 16) (i32.const 4) (i32.const 64) (i32.const 68)))
               (drop (call $add (i32.const 2) (i32.const 48) (i32.const 6)
                   (i32.load (i32.const 64)) (i32.load (i32.const 68))))
               (i32.store8 (i32.const 80) (i32.add (i32.const 97)
                   (call $set (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 262140))))
               (drop (call $add (i32.const 2) (i32.const 96) (i32.const 6) (i32.const 80) (i32.const 1)))
               (i32.const 0))"#,
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut client = gateway.client();
    let response = client.get("/");
    // INTERNAL_FAILURE is 10, the eleventh letter.
    assert_eq!(response.field("x-status"), Some("k"));
    assert_eq!(response.field("x-mine"), Some("x"));
    assert_eq!(response.field("x-fits"), Some("a"));
}
