(import "env" "proxy_get_header_map_value"
    (func $field (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_redis_init"
    (func $init (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_redis_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
