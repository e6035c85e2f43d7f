(import "env" "proxy_get_header_map_value"
    (func $field (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_get_status" (func $status (param i32 i32 i32) (result i32)))
(import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_grpc_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_grpc_stream"
    (func $stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_grpc_send" (func $send (param i32 i32 i32 i32) (result i32)))
(import "env" "proxy_grpc_cancel" (func $cancel (param i32) (result i32)))
(import "env" "proxy_grpc_close" (func $close (param i32) (result i32)))
