//! Buffers.

use bytes::Bytes;
use tidegate_host_abi::{BodyAction, Limits, PluginSpec, Side};

use super::support::{
    Run, at_headers, body, filter, old_filter, on_tick, said_at_headers, said_at_tick, spec,
};

/// Reads a part of the request body and says it.
fn get(range: &str) -> String {
    format!("(call $num (call $proxy_get_buffer_bytes (i32.const 0) {range} @out)) (call $got)")
}

#[track_caller]
fn check_get(range: &str, expected: &str) {
    let said = said_at_headers(&get(range), |stream| {
        stream.request_body = body(&["hel", "lo"]);
    });
    assert_eq!(said, ["0", expected], "{range}");
}

#[test]
fn any_part_of_a_body_can_be_read() {
    check_get("(i32.const 0) (i32.const 5)", "hello");
    check_get("(i32.const 0) (i32.const -1)", "hello");
    check_get("(i32.const 2) (i32.const 2)", "ll");
    check_get("(i32.const 4) (i32.const -1)", "o");
    check_get("(i32.const 5) (i32.const 9)", "");
    check_get("(i32.const 99) (i32.const 1)", "");
    check_get("(i32.const 0) (i32.const 0)", "");
}

#[test]
fn a_buffer_that_is_not_there_is_empty_or_if_it_is_of_one_callback_not_found() {
    let read_all = (1..=8).fold(get("(i32.const 0) (i32.const 9)"), |all, kind| {
        all + &format!(
            "(call $num (call $proxy_get_buffer_bytes (i32.const {kind}) (i32.const 0) (i32.const 9) @out))"
        )
    });
    let expected = ["0", "", "0", "0", "0", "1", "0", "0", "1", "0"];
    assert_eq!(said_at_headers(&read_all, |_| ()), expected);
    assert_eq!(said_at_tick(&read_all), expected);
}

#[test]
fn a_number_that_is_no_buffer_is_a_bad_argument() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_buffer_bytes (i32.const 9) (i32.const 0) (i32.const 1) @out))
           (call $num (call $proxy_set_buffer_bytes (i32.const 9) (i32.const 0) (i32.const 1) @"x"))
           (call $num (call $proxy_get_buffer_status (i32.const 9) @out))"#,
        |_| (),
    );
    assert_eq!(said, ["2"; 3]);
}

#[track_caller]
fn check_set(range: &str, expected: &str) {
    let mut run = Run::new(&at_headers(&format!(
        r#"(call $num (call $proxy_set_buffer_bytes (i32.const 1) {range} @"XY"))"#
    )));
    let context = run.stream();
    run.streams.get(context).response_body = body(&["hel", "lo"]);
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0"], "{range}");
    assert_eq!(
        run.streams.get(context).body_text(Side::Response),
        expected,
        "{range}"
    );
}

#[test]
fn any_part_of_a_body_can_be_replaced() {
    check_set("(i32.const 0) (i32.const 0)", "XYhello");
    check_set("(i32.const 5) (i32.const 0)", "helloXY");
    check_set("(i32.const -1) (i32.const -1)", "helloXY");
    check_set("(i32.const 0) (i32.const -1)", "XY");
    check_set("(i32.const 0) (i32.const 2)", "XYllo");
    check_set("(i32.const 1) (i32.const 3)", "hXYo");
}

#[test]
fn a_body_can_be_emptied() {
    let mut run = Run::new(&at_headers(
        r#"(call $num (call $proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const -1) @""))"#,
    ));
    let context = run.stream();
    run.streams.get(context).request_body = body(&["hello"]);
    run.headers(context).unwrap();
    assert_eq!(run.streams.get(context).body_text(Side::Request), "");
}

#[test]
fn an_edit_outside_the_body_phase_is_ok_and_noted() {
    let mut run = Run::new(&at_headers(
        r#"(call $num (call $proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 0) @"x"))
           (call $num (call $proxy_set_buffer_bytes (i32.const 2) (i32.const 0) (i32.const 0) @"x"))"#,
    ));
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "0"]);
    assert_eq!(
        run.notes(),
        [
            "an edit of buffer 0 has no effect now",
            "an edit of buffer 2 has no effect now"
        ]
    );
}

#[test]
fn a_read_only_buffer_is_a_bad_argument_where_it_is_there() {
    let body = (4..=8).fold(String::new(), |all, kind| {
        all + &format!(
            r#"(call $num (call $proxy_set_buffer_bytes (i32.const {kind}) (i32.const 0) (i32.const 0) @"x"))"#
        )
    });
    assert_eq!(said_at_headers(&body, |_| ()), ["1", "2", "2", "1", "2"]);
}

#[test]
fn a_body_does_not_grow_over_the_limit() {
    let set = r#"(call $num (call $proxy_set_buffer_bytes (i32.const 0) (i32.const -1) (i32.const 0) @"123"))"#;
    let limits = Limits {
        buffered_bytes: 8,
        ..Limits::default()
    };
    let mut run = Run::with(
        &at_headers(&format!("{set} {set}")),
        PluginSpec { limits, ..spec() },
    );
    let context = run.stream();
    run.streams.get(context).request_body = body(&["123"]);
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "10"]);
    assert_eq!(run.notes(), ["a body may not grow over 8 bytes"]);
}

#[test]
fn the_status_says_the_size_and_no_flags() {
    let said = said_at_headers(
        r#"(i32.store (i32.const 3004) (i32.const 9))
           (call $num (call $proxy_get_buffer_status (i32.const 0) @out))
           (call $num (i32.load (i32.const 3000))) (call $num (i32.load (i32.const 3004)))
           (call $num (call $proxy_get_buffer_status (i32.const 1) @out))"#,
        |stream| stream.request_body = body(&["hel", "lo"]),
    );
    assert_eq!(said, ["0", "5", "0", "0"]);
}

#[test]
fn the_plugins_configuration_is_readable_only_while_it_is_announced_and_the_vms_always() {
    let read = |kind: u32| {
        format!(
            "(call $num (call $proxy_get_buffer_bytes (i32.const {kind}) (i32.const 0) (i32.const -1) @out))
             (call $num (i32.load (i32.const 3004))) (i32.store (i32.const 3004) (i32.const 0))"
        )
    };
    let both = format!("{} {}", read(6), read(7));
    let guest = filter(&format!(
        r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32)
               (call $num (local.get 1)) {both} (i32.const 1))
           (func (export "proxy_on_configure") (param i32 i32) (result i32)
               (call $num (local.get 1)) {both} (i32.const 1))
           {}"#,
        on_tick(&both)
    ));
    let mut run = Run::with(
        &guest,
        PluginSpec {
            vm_config: Bytes::from("vm"),
            config: Bytes::from("config"),
            ..spec()
        },
    );
    let start = ["2", "0", "2", "1", "0"];
    let configure = ["6", "0", "2", "0", "6"];
    assert_eq!(run.said(), [start, configure].concat());
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "2", "1", "0"]);
}

#[test]
fn abi_0_1_0_reads_its_configuration_with_a_function_of_its_own() {
    let read = "(call $num (call $proxy_get_configuration @out)) (call $got)";
    let guest = old_filter(&format!(
        r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32) {read} (i32.const 1))
           (func (export "proxy_on_configure") (param i32 i32) (result i32) {read} (i32.const 1))
           {}"#,
        on_tick(
            "(call $num (call $proxy_get_configuration @out)) (call $num (i32.load (i32.const 3004)))"
        )
    ));
    let spec = PluginSpec {
        vm_config: Bytes::from("vm"),
        config: Bytes::from("config"),
        ..spec()
    };
    let mut run = Run::with(&guest, spec);
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "vm", "0", "config", "0", "2"]);
}

#[test]
fn bad_addresses_are_refused() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_buffer_bytes (i32.const 9) (i32.const 0) (i32.const 1) (i32.const -1) (i32.const 0)))
           (call $num (call $proxy_set_buffer_bytes (i32.const 9) (i32.const 0) (i32.const 1) (i32.const -1) (i32.const 9)))
           (call $num (call $proxy_get_buffer_status (i32.const 0) (i32.const 0) (i32.const 262142)))"#,
        |stream| stream.request_body = body(&["x"]),
    );
    assert_eq!(said, ["6"; 3]);
}

#[test]
fn the_body_callback_decides_about_its_bytes() {
    let guest = filter(
        r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
               (call $num (local.get 1)) (call $num (local.get 2)) (i32.const 1))
           (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 77))"#,
    );
    let mut run = Run::new(&guest);
    let context = run.stream();
    let Run {
        instance, streams, ..
    } = &mut run;
    assert_eq!(
        instance.on_request_body(streams, context, 5, true),
        Ok(BodyAction::Pause)
    );
    assert_eq!(
        instance.on_response_body(streams, context, 5, false),
        Ok(BodyAction::NoBuffer)
    );
    assert_eq!(run.said(), ["5", "1"]);
}
