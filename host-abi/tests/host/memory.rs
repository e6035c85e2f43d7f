//! Handing memory to the guest.

use super::support::{Run, filter, on_headers, raw, said_at_headers};

const ABI: &str = r#"(func (export "proxy_abi_version_0_2_1"))"#;

/// Asks for a value that is not empty.
const ASK: &str = r#"(call $num (call $proxy_get_property @"plugin_name" @out)) (call $got)"#;

#[track_caller]
fn check(guest: &[u8], expected: &[&str]) {
    let mut run = Run::new(guest);
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), expected);
}

#[test]
fn the_allocator_of_the_abi_is_preferred_to_malloc() {
    let guest = raw(&format!(
        r#"{ABI} (export "proxy_on_memory_allocate" (func $allocate))
           (func (export "malloc") (param i32) (result i32) (unreachable)) {}"#,
        on_headers(ASK)
    ));
    check(&guest, &["0", "test"]);
}

#[test]
fn malloc_is_an_allocator_too() {
    let guest = raw(&format!(
        r#"{ABI} (export "malloc" (func $allocate)) {}"#,
        on_headers(ASK)
    ));
    check(&guest, &["0", "test"]);
}

#[test]
fn exactly_as_many_bytes_are_allocated_as_are_given() {
    let guest = raw(&format!(
        r#"{ABI} (func (export "malloc") (param $n i32) (result i32)
               (call $num (local.get $n)) (i32.const 70000)) {}"#,
        on_headers(ASK)
    ));
    check(&guest, &["4", "0", "test"]);
}

#[test]
fn an_allocator_may_grow_memory() {
    let guest = raw(&format!(
        r#"{ABI} (func (export "malloc") (param i32) (result i32)
               (i32.mul (memory.grow (i32.const 1)) (i32.const 65536))) {}"#,
        on_headers(ASK)
    ));
    check(&guest, &["0", "test"]);
}

#[test]
fn an_allocator_that_has_nothing_is_an_internal_failure() {
    let guest = raw(&format!(
        r#"{ABI} (func (export "malloc") (param i32) (result i32) (i32.const 0)) {}"#,
        on_headers(r#"(call $num (call $proxy_get_property @"plugin_name" @out))"#)
    ));
    let mut run = Run::new(&guest);
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["10"]);
    assert_eq!(run.notes(), ["its allocator has no 4 bytes"]);
}

#[test]
fn an_allocator_that_lies_is_refused() {
    let guest = raw(&format!(
        r#"{ABI} (func (export "malloc") (param i32) (result i32) (i32.const -2)) {}"#,
        on_headers(r#"(call $num (call $proxy_get_property @"plugin_name" @out))"#)
    ));
    check(&guest, &["6"]);
}

#[test]
fn an_allocator_may_log_and_nothing_that_needs_it() {
    let guest = raw(&format!(
        r#"{ABI} (func (export "malloc") (param i32) (result i32)
               (call $num (call $proxy_get_property @"plugin_name" @out))
               (call $num (call $proxy_continue_stream (i32.const 0)))
               (call $num (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 4000)))
               (call $num (call $sched_yield))
               (i32.const 70000)) {}"#,
        on_headers(ASK)
    ));
    let mut run = Run::new(&guest);
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["10", "10", "0", "0", "0", "test"]);
    assert_eq!(
        run.notes(),
        [
            "proxy_get_property cannot be called now",
            "proxy_continue_stream cannot be called now"
        ]
    );
    assert_eq!(run.streams.get(context).done, Vec::<String>::new());
}

#[test]
fn results_are_written_at_any_alignment() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_current_time_nanoseconds (i32.const 3001)))
           (call $num (i64.eq (i64.load align=1 (i32.const 3001)) (i64.const 1700000000000000001)))
           (call $num (call $proxy_get_property @"plugin_name" (i32.const 3001) (i32.const 3007)))
           (call $num (i32.load align=1 (i32.const 3007)))"#,
        |_| (),
    );
    assert_eq!(said, ["0", "1", "0", "4"]);
}

#[test]
fn an_empty_argument_may_point_anywhere() {
    let said = said_at_headers(
        "(call $num (call $proxy_log (i32.const 2) (i32.const -1) (i32.const 0)))",
        |_| (),
    );
    assert_eq!(said, ["", "0"]);
}

#[test]
fn a_guest_may_call_the_host_from_its_start_function() {
    let guest = filter(
        r#"(func $start
               (call $num (call $proxy_get_property @"plugin_name" @out)) (call $got)
               (call $num (call $proxy_add_header_map_value (i32.const 0) @"a" @"b")))
           (start $start)"#,
    );
    let run = Run::new(&guest);
    assert_eq!(run.said(), ["0", "test", "10"]);
    assert_eq!(
        run.notes(),
        ["proxy_add_header_map_value cannot be called now"]
    );
}
