;; Runs Redis commands on command and writes down every reply.
;;
;; A request says in x-op what to do: i(nit), q(uery), r(ead and clear what was written down). x-up
;; and x-msg are in hexadecimal, x-timeout is decimal. The answer is the status and the token.
(data (i32.const 112) "x-user")
(data (i32.const 128) "x-pass")

(func $do (param $op i32) (result i32)
    (local $up i32) (local $msg i32)
    (local.set $up (call $hex (i32.const 32) (i32.const 4) (i32.const 1024)))
    (local.set $msg (call $hex (i32.const 48) (i32.const 5) (i32.const 2048)))
    (i32.store (i32.const 512) (i32.const 0))
    (if (i32.eq (local.get $op) (i32.const 105)) (then ;; i
        (call $arg (i32.const 112) (i32.const 6))
        (i32.store (i32.const 520) (i32.load (i32.const 8)))
        (i32.store (i32.const 524) (i32.load (i32.const 12)))
        (call $arg (i32.const 128) (i32.const 6))
        (i32.store (i32.const 528) (i32.load (i32.const 8)))
        (i32.store (i32.const 532) (i32.load (i32.const 12)))
        (return (call $init (i32.const 1024) (local.get $up)
            (i32.load (i32.const 520)) (i32.load (i32.const 524))
            (i32.load (i32.const 528)) (i32.load (i32.const 532))
            (call $decimal (i32.const 80) (i32.const 9))))))
    (if (i32.eq (local.get $op) (i32.const 113)) (then ;; q
        (return (call $call (i32.const 1024) (local.get $up) (i32.const 2048) (local.get $msg)
            (i32.const 512)))))
    (i32.const 99))

(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $op i32) (local $before i32) (local $result i32)
    (call $arg (i32.const 16) (i32.const 4))
    (if (i32.eqz (i32.load (i32.const 12))) (then (return (i32.const 0))))
    (local.set $op (i32.load8_u (i32.load (i32.const 8))))
    (if (i32.eq (local.get $op) (i32.const 114)) (then ;; r
        (call $reply (i32.const 16384) (global.get $written))
        (global.set $written (i32.const 0))
        (return (i32.const 1))))
    (local.set $result (call $do (local.get $op)))
    (local.set $before (global.get $written))
    (call $num (local.get $result))
    (call $char (i32.const 32))
    (call $num (i32.load (i32.const 512)))
    (call $reply (i32.add (i32.const 16384) (local.get $before))
        (i32.sub (global.get $written) (local.get $before)))
    (global.set $written (local.get $before))
    (i32.const 1))

;; token status size reply, closed by a NUL
(func (export "proxy_on_redis_call_response") (param i32 i32 i32 i32)
    (call $num (local.get 1))
    (call $char (i32.const 32))
    (call $num (local.get 2))
    (call $char (i32.const 32))
    (call $num (local.get 3))
    (call $char (i32.const 32))
    (if (i32.eqz (call $buffer (i32.const 9) (i32.const 0) (i32.const 65535)
            (i32.const 8) (i32.const 12)))
        (then (call $out)))
    (call $char (i32.const 0)))
