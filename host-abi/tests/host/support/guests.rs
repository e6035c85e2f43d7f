//! Guests from a few lines of WAT.

/// The signatures of the imports, written down a second time on purpose.
const IMPORTS: &[(&str, &str, &str)] = &[
    ("proxy_log", "iii", "i"),
    ("proxy_get_log_level", "i", "i"),
    ("proxy_get_current_time_nanoseconds", "i", "i"),
    ("proxy_set_tick_period_milliseconds", "i", "i"),
    ("proxy_set_effective_context", "i", "i"),
    ("proxy_done", "", "i"),
    ("proxy_get_buffer_bytes", "iiiii", "i"),
    ("proxy_set_buffer_bytes", "iiiii", "i"),
    ("proxy_get_buffer_status", "iii", "i"),
    ("proxy_get_configuration", "ii", "i"),
    ("proxy_get_header_map_value", "iiiii", "i"),
    ("proxy_get_header_map_pairs", "iii", "i"),
    ("proxy_get_header_map_size", "ii", "i"),
    ("proxy_set_header_map_pairs", "iii", "i"),
    ("proxy_add_header_map_value", "iiiii", "i"),
    ("proxy_replace_header_map_value", "iiiii", "i"),
    ("proxy_remove_header_map_value", "iii", "i"),
    ("proxy_continue_stream", "i", "i"),
    ("proxy_close_stream", "i", "i"),
    ("proxy_continue_request", "", "i"),
    ("proxy_continue_response", "", "i"),
    ("proxy_clear_route_cache", "", "i"),
    ("proxy_send_local_response", "iiiiiiii", "i"),
    ("proxy_get_status", "iii", "i"),
    ("proxy_http_call", "iiiiiiiiii", "i"),
    ("proxy_grpc_call", "iiiiiiiiiiii", "i"),
    ("proxy_grpc_stream", "iiiiiiiii", "i"),
    ("proxy_grpc_send", "iiii", "i"),
    ("proxy_grpc_cancel", "i", "i"),
    ("proxy_grpc_close", "i", "i"),
    ("proxy_redis_init", "iiiiiii", "i"),
    ("proxy_redis_call", "iiiii", "i"),
    ("proxy_get_shared_data", "iiiii", "i"),
    ("proxy_set_shared_data", "iiiii", "i"),
    ("proxy_register_shared_queue", "iii", "i"),
    ("proxy_resolve_shared_queue", "iiiii", "i"),
    ("proxy_enqueue_shared_queue", "iii", "i"),
    ("proxy_dequeue_shared_queue", "iii", "i"),
    ("proxy_define_metric", "iiii", "i"),
    ("proxy_increment_metric", "iI", "i"),
    ("proxy_record_metric", "iI", "i"),
    ("proxy_get_metric", "ii", "i"),
    ("proxy_get_property", "iiii", "i"),
    ("proxy_set_property", "iiii", "i"),
    ("proxy_call_foreign_function", "iiiiii", "i"),
    ("envoy_resolve_dns", "iii", "i"),
    ("proxy_inject_encoded_data_to_filter_chain", "iii", "i"),
    ("proxy_get_upstream_hosts", "ii", "i"),
    ("proxy_set_upstream_override_host", "ii", "i"),
    ("emscripten_notify_memory_growth", "i", ""),
    ("pthread_equal", "ii", "i"),
    ("abort", "iiii", ""),
    ("fd_write", "iiii", "i"),
    ("fd_read", "iiii", "i"),
    ("fd_seek", "iIii", "i"),
    ("fd_close", "i", "i"),
    ("fd_fdstat_get", "ii", "i"),
    ("fd_prestat_get", "ii", "i"),
    ("fd_readdir", "iiiIi", "i"),
    ("fd_sync", "i", "i"),
    ("path_open", "iiiiiIIii", "i"),
    ("environ_sizes_get", "ii", "i"),
    ("environ_get", "ii", "i"),
    ("args_sizes_get", "ii", "i"),
    ("clock_time_get", "iIi", "i"),
    ("clock_res_get", "ii", "i"),
    ("random_get", "ii", "i"),
    ("sched_yield", "", "i"),
    ("poll_oneoff", "iiii", "i"),
    ("proc_exit", "i", ""),
    ("sock_accept", "iii", "i"),
];

/// Where `@out` is.
const OUT: u32 = 3000;

/// What every guest has: memory, a bump allocator, and functions that log results.
const PRELUDE: &str = r#"
    (memory (export "memory") 4)
    (global $heap (mut i32) (i32.const 131072))
    (func $allocate (param $n i32) (result i32) (local $at i32)
        (local.set $at (global.get $heap))
        (global.set $heap (i32.add (global.get $heap) (local.get $n)))
        (local.get $at))
    (func $num (param $n i32)
        (i32.store (i32.const 1000) (local.get $n))
        (drop (call $proxy_log (i32.const 1) (i32.const 1000) (i32.const 4))))
    (func $say (param $at i32) (param $n i32)
        (drop (call $proxy_log (i32.const 2) (local.get $at) (local.get $n))))
    (func $got
        (call $say (i32.load (i32.const 3000)) (i32.load (i32.const 3004))))
"#;

const ALLOCATOR: &str = r#"(export "proxy_on_memory_allocate" (func $allocate))"#;
const ABI: &str = r#"(func (export "proxy_abi_version_0_2_1"))"#;

/// The bytes of a guest with these definitions, an allocator and the marker of ABI 0.2.1.
pub(in crate::host) fn filter(body: &str) -> Vec<u8> {
    raw(&format!("{ABI} {ALLOCATOR} {body}"))
}

/// The bytes of a guest of ABI 0.1.0.
pub(in crate::host) fn old_filter(body: &str) -> Vec<u8> {
    raw(&format!(
        r#"(func (export "proxy_abi_version_0_1_0")) {ALLOCATOR} {body}"#
    ))
}

/// The bytes of a guest that exports only what `body` says, and its memory.
pub(in crate::host) fn raw(body: &str) -> Vec<u8> {
    let (body, constants) = constants(&format!("{PRELUDE} {body}"));
    let text = format!("(module {} {body} {constants})", imports(&body));
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A guest that does `body` at the headers of a request and continues.
pub(in crate::host) fn at_headers(body: &str) -> Vec<u8> {
    filter(&on_headers(body))
}

pub(in crate::host) fn on_headers(body: &str) -> String {
    format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            {body} (i32.const 0))"#
    )
}

/// Imports every function that is called, under the module it belongs to.
fn imports(body: &str) -> String {
    let mut imports = String::new();
    for (name, params, result) in IMPORTS {
        let is_called = body
            .match_indices(&format!("call ${name}"))
            .any(|(at, call)| {
                !body[at + call.len()..].starts_with(|c: char| c == '_' || c.is_alphanumeric())
            });
        if !is_called {
            continue;
        }
        let env = name.starts_with("proxy_")
            || [
                "abort",
                "emscripten_notify_memory_growth",
                "envoy_resolve_dns",
                "pthread_equal",
            ]
            .contains(name);
        let module = if env { "env" } else { "wasi_snapshot_preview1" };
        let types = |letters: &str| letters.replace('i', " i32").replace('I', " i64");
        imports += &format!(
            r#"(import "{module}" "{name}" (func ${name} (param{}) (result{})))"#,
            types(params),
            types(result)
        );
    }
    imports
}

/// Replaces `@"text"` and `@out`, and gives the data segments for the texts.
fn constants(body: &str) -> (String, String) {
    let mut next = 8192;
    let mut segments = String::new();
    let mut parts = body.split("@\"");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (text, rest) = part.split_once('"').expect("a constant ends");
        let len = text.len() - 2 * text.matches('\\').count();
        segments += &format!(r#"(data (i32.const {next}) "{text}")"#);
        out += &format!("(i32.const {next}) (i32.const {len}){rest}");
        next += len;
    }
    let two = format!("(i32.const {OUT}) (i32.const {})", OUT + 4);
    (out.replace("@out", &two), segments)
}
