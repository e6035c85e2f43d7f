//! Filters written by hand, so that nothing but the host is measured.
//!
//! Each has the life-cycle functions every real filter has, and one job.

use anyhow::{Context, Result};

/// How often [`GETS`] reads a header in one callback.
pub const GETS_PER_CALL: u32 = 1_000;

/// Sets one request and one response header, with all callbacks the Rust SDK has.
pub const SET_HEADERS: &str = r#"
    (import "env" "proxy_replace_header_map_value"
        (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 16) "x-bench")
    (data (i32.const 32) "request")
    (data (i32.const 48) "response")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $set (i32.const 0)
            (i32.const 16) (i32.const 7) (i32.const 32) (i32.const 7)))
        (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $set (i32.const 2)
            (i32.const 16) (i32.const 7) (i32.const 48) (i32.const 8)))
        (i32.const 0))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
    (func (export "proxy_on_log") (param i32))
    (func (export "proxy_on_delete") (param i32))
"#;

/// Reads `:path` [`GETS_PER_CALL`] times in its request header callback; does nothing in the other.
pub const GETS: &str = r#"
    (import "env" "proxy_get_header_map_value"
        (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 16) ":path")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (local $left i32)
        (local.set $left (i32.const 1000))
        (loop $next
            (if (call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 36))
                (then (unreachable)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $next (local.get $left)))
        (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
"#;

/// How often [`PAIRS`] reads all headers in one callback.
pub const PAIRS_PER_CALL: u32 = 100;

/// Reads all request headers [`PAIRS_PER_CALL`] times in its request header callback.
pub const PAIRS: &str = r#"
    (import "env" "proxy_get_header_map_pairs"
        (func $pairs (param i32 i32 i32) (result i32)))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (local $left i32)
        (local.set $left (i32.const 100))
        (loop $next
            (if (call $pairs (i32.const 0) (i32.const 32) (i32.const 36)) (then (unreachable)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $next (local.get $left)))
        (i32.const 0))
"#;

/// A module of at least so many bytes: many functions of ordinary arithmetic, of which each calls
/// the one before it.
///
/// # Errors
/// If its text is wrong.
pub fn large(bytes: usize) -> Result<Vec<u8>> {
    /// What one of the functions takes, about.
    const FUNCTION: usize = 300;

    let mut functions = String::from("(func $f0 (param i32) (result i32) (local.get 0))\n");
    for number in 1..=bytes / FUNCTION {
        let body: String = (0..20)
            .map(|step| {
                format!(
                    "(local.set $x (i32.add (i32.mul (local.get $x) (i32.const {}))
                         (i32.load offset={} (i32.and (local.get $x) (i32.const 1023)))))\n",
                    number * 31 + step,
                    step * 8
                )
            })
            .collect();
        let before = number - 1;
        functions.push_str(&format!(
            "(func $f{number} (param $x i32) (result i32) {body} (call $f{before} (local.get $x)))\n"
        ));
    }
    let last = bytes / FUNCTION;
    functions.push_str(&format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (i32.and (call $f{last} (local.get 0)) (i32.const 0)))"#
    ));
    module(&functions)
}

/// Lets bodies pass, seeing every chunk of them.
pub const PASS_BODIES: &str = r#"
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0))
"#;

/// The module of one of these filters.
///
/// # Errors
/// If its text is wrong.
pub fn module(filter: &str) -> Result<Vec<u8>> {
    // The allocator always gives the same place: no filter here keeps two values.
    let text = format!(
        r#"(module
            {filter}
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096)))"#
    );
    wat::parse_str(text).context("assemble a filter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_a_module() {
        for filter in [SET_HEADERS, GETS, PAIRS, PASS_BODIES] {
            module(filter).unwrap();
        }
        let large = large(1 << 16).unwrap().len();
        assert!((1 << 16..1 << 17).contains(&large), "{large}");
    }
}
