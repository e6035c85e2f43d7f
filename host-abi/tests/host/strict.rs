//! `strict`: where this host is lenient, a strict plugin gets Envoy's answers. One row each, as in
//! docs/plugins.md.

use tidegate_host_abi::{MapKind, PluginSpec};

use super::support::*;

fn strict() -> PluginSpec {
    PluginSpec {
        strict: true,
        ..spec()
    }
}

/// What a guest says at the headers of a stream that `prepare` sets up, lenient and strict.
#[track_caller]
fn check(body: &str, prepare: impl Fn(&mut FakeStream), lenient: &[&str], envoys: &[&str]) {
    for (spec, expected) in [(spec(), lenient), (strict(), envoys)] {
        let mut run = Run::with(&at_headers(body), spec);
        let context = run.stream();
        prepare(run.streams.get(context));
        run.headers(context)
            .unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(run.said(), expected, "{body}");
    }
}

/// The same in a tick, where there is no stream.
#[track_caller]
fn check_tick(body: &str, lenient: &[&str], envoys: &[&str]) {
    for (spec, expected) in [(spec(), lenient), (strict(), envoys)] {
        let mut run = Run::with(&filter(&on_tick(body)), spec);
        run.tick().unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(run.said(), expected, "{body}");
    }
}

const ADD: &str = r#"(call $num (call $proxy_add_header_map_value (i32.const 2) @"a" @"b"))"#;
const GET: &str = r#"(call $num (call $proxy_get_header_map_value (i32.const 2) @"a" @out))"#;
const SIZE: &str = "(call $num (call $proxy_get_header_map_size (i32.const 2) (i32.const 8)))";

#[test]
fn an_edit_of_a_map_that_is_not_there_is_a_bad_argument() {
    check(ADD, |_| (), &["0"], &["2"]);
    check_tick(ADD, &["0"], &["2"]);
    let call = r#"(call $num (call $proxy_add_header_map_value (i32.const 6) @"a" @"b"))"#;
    check(call, |_| (), &["0"], &["2"]);
}

#[test]
fn a_look_up_in_a_map_that_is_not_there_is_a_bad_argument() {
    check(GET, |_| (), &["1"], &["2"]);
    check_tick(GET, &["1"], &["2"]);
    let there = |stream: &mut FakeStream| stream.map(MapKind::ResponseHeaders, &[]);
    check(GET, there, &["1"], &["1"]);
}

#[test]
fn the_size_of_a_map_that_is_not_there_is_a_bad_argument() {
    check(SIZE, |_| (), &["0"], &["2"]);
}

#[test]
fn an_edit_of_a_body_that_is_not_there_is_a_bad_argument() {
    let set = r#"(call $num (call $proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 0) @"a"))"#;
    check(set, |_| (), &["0"], &["2"]);
}

#[test]
fn an_edit_in_the_middle_of_a_body_is_a_bad_argument() {
    let set = |start: i32| {
        format!(
            r#"(call $num (call $proxy_set_buffer_bytes (i32.const 0) (i32.const {start}) (i32.const 1) @"a"))"#
        )
    };
    let there = |stream: &mut FakeStream| stream.request_body = body(&["hello"]);
    check(&set(2), there, &["0"], &["2"]);
    for start in [0, 5, -1] {
        check(&set(start), there, &["0"], &["0"]);
    }
}

#[test]
fn a_map_is_gone_once_its_side_was_continued() {
    let then = format!(
        "(call $num (call $proxy_continue_stream (i32.const 1))) {ADD} {GET} {SIZE}
        (call $num (call $proxy_get_header_map_pairs (i32.const 2) @out))"
    );
    let there = |stream: &mut FakeStream| stream.map(MapKind::ResponseHeaders, &[]);
    check(
        &then,
        there,
        &["0", "0", "0", "0", "0"],
        &["0", "2", "2", "2", "0"],
    );
}

#[test]
fn a_map_that_was_given_out_of_hand_is_there_again_in_the_next_callback() {
    let body = format!("{ADD} (call $num (call $proxy_continue_stream (i32.const 1)))");
    let mut run = Run::with(&at_headers(&body), strict());
    let context = run.stream();
    run.streams.get(context).map(MapKind::ResponseHeaders, &[]);
    run.headers(context).unwrap();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "0", "0", "0"]);
}

#[test]
fn continuing_the_side_of_the_backend_is_not_implemented() {
    let body = "(call $num (call $proxy_continue_stream (i32.const 3)))";
    check(body, |_| (), &["0"], &["12"]);
}

#[test]
fn a_counter_cannot_grow_by_nothing() {
    let body = r#"(drop (call $proxy_define_metric (i32.const 0) @"n" (i32.const 8)))
        (call $num (call $proxy_increment_metric (i32.load (i32.const 8)) (i64.const 0)))"#;
    check(body, |_| (), &["0"], &["2"]);
}

#[test]
fn a_property_cannot_be_set_without_a_stream() {
    let body = r#"(call $num (call $proxy_set_property @"a" @"b"))"#;
    check_tick(body, &["0"], &["1"]);
    check(body, |_| (), &["0"], &["0"]);
}

#[test]
fn a_module_that_envoy_would_not_load_does_not_start() {
    let guest = raw(r#"(func (export "proxy_abi_version_0_2_0"))
        (export "proxy_on_memory_allocate" (func $allocate))
        (func (export "f") (drop (call $proxy_get_log_level (i32.const 8))))"#);
    let start = |spec| Run::start(&[plugin(&guest, spec)], std::sync::Arc::default());
    assert!(start(spec()).is_ok());
    let error = start(strict()).err().expect("refused");
    let fault = error.fault.expect("the host's reason");
    assert!(fault.message.contains("env.proxy_get_log_level"), "{fault}");
}
