//! The functions a guest may import.
//!
//! Owns one row for each. WASI rows hold the real preview 1 arities, also where Envoy's host has
//! them wrong.

use super::AbiVersion::{self, Higress, V0_1_0, V0_2_0, V0_2_1};
use super::Reach::{self, Allocator, Callbacks, Start};
use super::{Import, Namespace, Signature};

const ALL: &[AbiVersion] = &[V0_1_0, V0_2_0, V0_2_1, Higress];
const ONLY_0_1: &[AbiVersion] = &[V0_1_0];
const SINCE_0_2: &[AbiVersion] = &[V0_2_0, V0_2_1, Higress];
const SINCE_0_2_1: &[AbiVersion] = &[V0_2_1, Higress];
const HIGRESS: &[AbiVersion] = &[Higress];
const OUTSIDE: &[AbiVersion] = &[];

const fn env(
    name: &'static str,
    params: &'static str,
    reach: Reach,
    versions: &'static [AbiVersion],
) -> Import {
    Import {
        namespace: Namespace::Env,
        name,
        signature: Signature {
            params,
            result: "i",
        },
        reach,
        versions,
    }
}

const fn misc(
    name: &'static str,
    params: &'static str,
    result: &'static str,
    versions: &'static [AbiVersion],
) -> Import {
    Import {
        namespace: Namespace::Env,
        name,
        signature: Signature { params, result },
        reach: Allocator,
        versions,
    }
}

const fn wasi(name: &'static str, params: &'static str) -> Import {
    Import {
        namespace: Namespace::Wasi,
        name,
        signature: Signature {
            params,
            result: "i",
        },
        reach: Allocator,
        versions: ALL,
    }
}

/// Every import, in the order of the specification's chapters.
pub(crate) static IMPORTS: &[Import] = &[
    env("proxy_log", "iii", Allocator, ALL),
    env("proxy_get_log_level", "i", Allocator, SINCE_0_2_1),
    env("proxy_get_current_time_nanoseconds", "i", Allocator, ALL),
    env("proxy_set_tick_period_milliseconds", "i", Callbacks, ALL),
    env("proxy_set_effective_context", "i", Callbacks, ALL),
    env("proxy_done", "", Callbacks, ALL),
    env("proxy_get_buffer_bytes", "iiiii", Start, ALL),
    env("proxy_set_buffer_bytes", "iiiii", Callbacks, ALL),
    env("proxy_get_buffer_status", "iii", Start, ALL),
    env("proxy_get_configuration", "ii", Start, ONLY_0_1),
    env("proxy_get_header_map_value", "iiiii", Callbacks, ALL),
    env("proxy_get_header_map_pairs", "iii", Callbacks, ALL),
    env("proxy_get_header_map_size", "ii", Callbacks, ALL),
    env("proxy_set_header_map_pairs", "iii", Callbacks, ALL),
    env("proxy_add_header_map_value", "iiiii", Callbacks, ALL),
    env("proxy_replace_header_map_value", "iiiii", Callbacks, ALL),
    env("proxy_remove_header_map_value", "iii", Callbacks, ALL),
    env("proxy_continue_stream", "i", Callbacks, SINCE_0_2),
    env("proxy_close_stream", "i", Callbacks, SINCE_0_2),
    env("proxy_continue_request", "", Callbacks, ONLY_0_1),
    env("proxy_continue_response", "", Callbacks, ONLY_0_1),
    env("proxy_clear_route_cache", "", Callbacks, ONLY_0_1),
    env("proxy_send_local_response", "iiiiiiii", Callbacks, ALL),
    env("proxy_get_status", "iii", Start, ALL),
    env("proxy_http_call", "iiiiiiiiii", Callbacks, ALL),
    env("proxy_grpc_call", "iiiiiiiiiiii", Callbacks, ALL),
    env("proxy_grpc_stream", "iiiiiiiii", Callbacks, ALL),
    env("proxy_grpc_send", "iiii", Callbacks, ALL),
    env("proxy_grpc_cancel", "i", Callbacks, ALL),
    env("proxy_grpc_close", "i", Callbacks, ALL),
    env("proxy_get_shared_data", "iiiii", Start, ALL),
    env("proxy_set_shared_data", "iiiii", Start, ALL),
    env("proxy_register_shared_queue", "iii", Callbacks, ALL),
    env("proxy_resolve_shared_queue", "iiiii", Callbacks, ALL),
    env("proxy_enqueue_shared_queue", "iii", Callbacks, ALL),
    env("proxy_dequeue_shared_queue", "iii", Callbacks, ALL),
    env("proxy_define_metric", "iiii", Start, ALL),
    env("proxy_increment_metric", "iI", Start, ALL),
    env("proxy_record_metric", "iI", Start, ALL),
    env("proxy_get_metric", "ii", Start, ALL),
    env("proxy_get_property", "iiii", Start, ALL),
    env("proxy_set_property", "iiii", Callbacks, ALL),
    env("proxy_call_foreign_function", "iiiiii", Start, ALL),
    misc("emscripten_notify_memory_growth", "i", "", ALL),
    misc("pthread_equal", "ii", "i", ALL),
    misc("abort", "iiii", "", OUTSIDE),
    env("envoy_resolve_dns", "iii", Callbacks, ALL),
    env("proxy_redis_init", "iiiiiii", Callbacks, HIGRESS),
    env("proxy_redis_call", "iiiii", Callbacks, HIGRESS),
    env(
        "proxy_inject_encoded_data_to_filter_chain",
        "iii",
        Callbacks,
        HIGRESS,
    ),
    env("proxy_get_upstream_hosts", "ii", Callbacks, HIGRESS),
    env("proxy_set_upstream_override_host", "ii", Callbacks, HIGRESS),
    wasi("args_get", "ii"),
    wasi("args_sizes_get", "ii"),
    wasi("clock_res_get", "ii"),
    wasi("clock_time_get", "iIi"),
    wasi("environ_get", "ii"),
    wasi("environ_sizes_get", "ii"),
    wasi("fd_advise", "iIIi"),
    wasi("fd_allocate", "iII"),
    wasi("fd_close", "i"),
    wasi("fd_datasync", "i"),
    wasi("fd_fdstat_get", "ii"),
    wasi("fd_fdstat_set_flags", "ii"),
    wasi("fd_fdstat_set_rights", "iII"),
    wasi("fd_filestat_get", "ii"),
    wasi("fd_filestat_set_size", "iI"),
    wasi("fd_filestat_set_times", "iIIi"),
    wasi("fd_pread", "iiiIi"),
    wasi("fd_prestat_dir_name", "iii"),
    wasi("fd_prestat_get", "ii"),
    wasi("fd_pwrite", "iiiIi"),
    wasi("fd_read", "iiii"),
    wasi("fd_readdir", "iiiIi"),
    wasi("fd_renumber", "ii"),
    wasi("fd_seek", "iIii"),
    wasi("fd_sync", "i"),
    wasi("fd_tell", "ii"),
    wasi("fd_write", "iiii"),
    wasi("path_create_directory", "iii"),
    wasi("path_filestat_get", "iiiii"),
    wasi("path_filestat_set_times", "iiiiIIi"),
    wasi("path_link", "iiiiiii"),
    wasi("path_open", "iiiiiIIii"),
    wasi("path_readlink", "iiiiii"),
    wasi("path_remove_directory", "iii"),
    wasi("path_rename", "iiiiii"),
    wasi("path_symlink", "iiiii"),
    wasi("path_unlink_file", "iii"),
    wasi("poll_oneoff", "iiii"),
    Import {
        namespace: Namespace::Wasi,
        name: "proc_exit",
        signature: Signature {
            params: "i",
            result: "",
        },
        reach: Allocator,
        versions: ALL,
    },
    wasi("random_get", "ii"),
    wasi("sched_yield", ""),
    wasi("sock_accept", "iii"),
    wasi("sock_recv", "iiiiii"),
    wasi("sock_send", "iiiii"),
    wasi("sock_shutdown", "ii"),
];
