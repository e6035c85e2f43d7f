//! Filters written by hand, so that nothing but the host is measured.
//!
//! Each has the life-cycle functions every real filter has, and one job.

use anyhow::{Context, Result};

/// How often [`GETS`] reads a header in one callback.
pub const GETS_PER_CALL: u64 = 1_000;

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
        for filter in [SET_HEADERS, GETS, PASS_BODIES] {
            module(filter).unwrap();
        }
    }
}
