//! A network filter that notes what it hears, and does what the data says.
//!
//! Its notes, one word a callback: `c` created, `n` new connection, `d` and `u` data from the client
//! and from the origin with size and end, `D` and `U` closed and by whom, `o` done, `l` log, `x`
//! deleted. What the first byte from the client makes it do:
//!
//! - `?` replaces the data by the notes so far, and notes nothing more of this connection;
//! - `@` replaces the data by `source.address`, `!` adds a `!` behind it;
//! - `p` holds the data until there are four bytes of it, `q` until the next tick, `h` for ever;
//! - `c` and `k` close the connection, as the client's and as the origin's;
//! - `t` traps.
//!
//! From the origin, `P`, `Q`, `C` and `T` are the same.

use tidegate_host_abi::PluginKind;
use tidegate_testkit::Wasm;

const IMPORTS: &str = r#"
    (import "env" "proxy_get_buffer_bytes"
        (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes"
        (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
"#;

const BODY: &str = r#"
    (data (i32.const 16) "source\00address\00")
    (data (i32.const 48) "!")
    (global $length (mut i32) (i32.const 0))
    (global $quiet (mut i32) (i32.const 0))
    (global $held (mut i32) (i32.const 0))
    (global $held_side (mut i32) (i32.const 0))
    ;; Notes are at 8192.
    (func $put (param $byte i32)
        (i32.store8 (i32.add (i32.const 8192) (global.get $length)) (local.get $byte))
        (global.set $length (i32.add (global.get $length) (i32.const 1))))
    (func $word (param $context i32) (param $letter i32)
        (if (i32.eq (local.get $context) (global.get $quiet)) (then (return)))
        (call $put (local.get $letter))
        (call $put (i32.const 32)))
    (func $word1 (param $context i32) (param $letter i32) (param $a i32)
        (if (i32.eq (local.get $context) (global.get $quiet)) (then (return)))
        (call $put (local.get $letter))
        (call $put (i32.add (i32.const 48) (local.get $a)))
        (call $put (i32.const 32)))
    (func $word2 (param $context i32) (param $letter i32) (param $a i32) (param $b i32)
        (if (i32.eq (local.get $context) (global.get $quiet)) (then (return)))
        (call $put (local.get $letter))
        (call $put (i32.add (i32.const 48) (local.get $a)))
        (call $put (i32.add (i32.const 48) (local.get $b)))
        (call $put (i32.const 32)))
    (func $first (param $buffer i32) (result i32)
        (i32.store (i32.const 4) (i32.const 0))
        (drop (call $get (local.get $buffer) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4)))
        (if (result i32) (i32.eqz (i32.load (i32.const 4)))
            (then (i32.const 0))
            (else (i32.load8_u (i32.load (i32.const 0))))))
    (func $replace (param $buffer i32) (param $at i32) (param $size i32)
        (drop (call $set (local.get $buffer) (i32.const 0) (i32.const -1)
            (local.get $at) (local.get $size))))
    ;; What both directions know; the byte is in lower case.
    (func $act (param $context i32) (param $buffer i32) (param $size i32) (param $byte i32) (result i32)
        (if (i32.eq (local.get $byte) (i32.const 112)) ;; p
            (then (return (i32.lt_u (local.get $size) (i32.const 4)))))
        (if (i32.eq (local.get $byte) (i32.const 113)) ;; q
            (then
                (global.set $held (local.get $context))
                (global.set $held_side (local.get $buffer))
                (return (i32.const 1))))
        (if (i32.eq (local.get $byte) (i32.const 104)) ;; h
            (then (return (i32.const 1))))
        (if (i32.eq (local.get $byte) (i32.const 99)) ;; c
            (then (drop (call $close (i32.const 2)))))
        (if (i32.eq (local.get $byte) (i32.const 107)) ;; k
            (then (drop (call $close (i32.const 3)))))
        (if (i32.eq (local.get $byte) (i32.const 116)) ;; t
            (then (unreachable)))
        (i32.const 0))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $tick (i32.const 10)))
        (i32.const 1))
    (func (export "proxy_on_tick") (param i32)
        (if (i32.eqz (global.get $held)) (then (return)))
        (drop (call $effective (global.get $held)))
        (drop (call $continue (global.get $held_side)))
        (global.set $held (i32.const 0)))
    (func (export "proxy_on_context_create") (param $context i32) (param $parent i32)
        (if (local.get $parent) (then (call $word (local.get $context) (i32.const 99)))))
    (func (export "proxy_on_downstream_data")
        (param $context i32) (param $size i32) (param $end i32) (result i32)
        (local $byte i32)
        (local.set $byte (call $first (i32.const 2)))
        (if (i32.eq (local.get $byte) (i32.const 63)) ;; ?
            (then
                (global.set $quiet (local.get $context))
                (call $replace (i32.const 2) (i32.const 8192) (global.get $length))
                (global.set $length (i32.const 0))
                (return (i32.const 0))))
        (call $word2 (local.get $context) (i32.const 100) (local.get $size) (local.get $end))
        (if (i32.eq (local.get $byte) (i32.const 64)) ;; @
            (then
                (drop (call $property (i32.const 16) (i32.const 15) (i32.const 0) (i32.const 4)))
                (call $replace (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4)))))
        (if (i32.eq (local.get $byte) (i32.const 33)) ;; !
            (then (drop (call $set (i32.const 2) (i32.const -1) (i32.const 0)
                (i32.const 48) (i32.const 1)))))
        (call $act (local.get $context) (i32.const 2) (local.get $size) (local.get $byte)))
    (func (export "proxy_on_upstream_data")
        (param $context i32) (param $size i32) (param $end i32) (result i32)
        (call $word2 (local.get $context) (i32.const 117) (local.get $size) (local.get $end))
        (call $act (local.get $context) (i32.const 3) (local.get $size)
            (i32.or (call $first (i32.const 3)) (i32.const 32))))
    (func (export "proxy_on_downstream_connection_close") (param i32 i32)
        (call $word1 (local.get 0) (i32.const 68) (local.get 1)))
    (func (export "proxy_on_upstream_connection_close") (param i32 i32)
        (call $word1 (local.get 0) (i32.const 85) (local.get 1)))
    (func (export "proxy_on_done") (param i32) (result i32)
        (call $word (local.get 0) (i32.const 111)) (i32.const 1))
    (func (export "proxy_on_log") (param i32) (call $word (local.get 0) (i32.const 108)))
    (func (export "proxy_on_delete") (param i32) (call $word (local.get 0) (i32.const 120)))
"#;

/// The filter; a new connection is answered with `new`, an expression.
fn filter_with(name: &str, new: &str) -> Wasm {
    let new = format!(
        r#"(func (export "proxy_on_new_connection") (param $context i32) (result i32)
            (call $word (local.get $context) (i32.const 110)) {new})"#
    );
    Wasm::wat(name, IMPORTS, &format!("{BODY}{new}")).with(|spec| spec.kind = PluginKind::Network)
}

/// The filter.
pub(super) fn filter(name: &str) -> Wasm {
    filter_with(name, "(i32.const 0)")
}

/// One that holds new connections until the next tick.
pub(super) fn filter_that_waits(name: &str) -> Wasm {
    filter_with(
        name,
        "(global.set $held (local.get $context)) (global.set $held_side (i32.const 2)) (i32.const 1)",
    )
}

/// One that closes new connections.
pub(super) fn filter_that_closes(name: &str) -> Wasm {
    filter_with(name, "(drop (call $close (i32.const 2))) (i32.const 0)")
}

/// One that holds new connections for ever.
pub(super) fn filter_that_holds(name: &str) -> Wasm {
    filter_with(name, "(i32.const 1)")
}
