//! Redis commands (Higress).

use bytes::Bytes;
use tidegate_host_abi::{CalloutToken, Limits, PluginSpec, RedisFailed};

use super::support::{Run, at_headers, filter, on_headers, said_at_headers, spec};

fn init(target: &str) -> String {
    format!(r#"(call $num (call $proxy_redis_init @"{target}" @"ada" @"secret" (i32.const 250)))"#)
}

fn call(target: &str) -> String {
    format!(
        r#"(call $num (call $proxy_redis_call @"{target}" @"*1\0d\0a$4\0d\0aPING\0d\0a" (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#
    )
}

/// Says everything about a reply.
const ON_REPLY: &str = r#"
    (func (export "proxy_on_redis_call_response") (param i32 i32 i32 i32)
        (call $num (local.get 0)) (call $num (local.get 1)) (call $num (local.get 2))
        (call $num (local.get 3))
        (call $num (call $proxy_get_buffer_bytes (i32.const 9) (i32.const 0) (i32.const -1) @out))
        (call $got))
"#;

fn does(body: &str) -> (Run, Vec<String>) {
    let mut run = Run::new(&filter(&format!("{ON_REPLY} {}", on_headers(body))));
    let context = run.stream();
    run.headers(context).unwrap();
    let said = run.said();
    (run, said)
}

fn reply(run: &mut Run, token: u32, reply: Result<Bytes, RedisFailed>) -> Vec<String> {
    let Run {
        instance, streams, ..
    } = run;
    let token = CalloutToken(token);
    instance
        .on_redis_call_response(streams, token, reply)
        .unwrap();
    run.said()
}

#[test]
fn a_command_goes_to_the_backend_as_its_login_says() {
    let (mut run, said) = does(
        &[
            init("web?db=3&buffer_flush_timeout=1"),
            call("web").repeat(2),
        ]
        .concat(),
    );
    assert_eq!(said, ["0", "0", "7", "0", "11"]);
    let calls = run.instance.take_redis_calls();
    let login = &calls[0].login;
    assert_eq!(login.backend, "web");
    assert_eq!(
        (&login.username[..], &login.password[..]),
        (&b"ada"[..], &b"secret"[..])
    );
    assert_eq!((login.database, login.timeout_ms), (3, 250));
    assert_eq!(calls[0].query, "*1\r\n$4\r\nPING\r\n");
    assert_eq!(calls[1].token, CalloutToken(11));
    assert_eq!(run.instance.take_redis_calls(), []);
    assert!(!format!("{login:?}").contains("secret"));
}

#[test]
fn a_login_replaces_the_one_before_and_none_is_needed() {
    let (mut run, _) = does(&[call("web"), init("web?db=1"), init("web"), call("web")].concat());
    let calls = run.instance.take_redis_calls();
    assert_eq!(
        (calls[0].login.timeout_ms, calls[0].login.password.len()),
        (0, 0)
    );
    assert_eq!(
        (calls[1].login.database, calls[1].login.password.len()),
        (0, 6)
    );
}

#[test]
fn a_reply_is_delivered_once_and_readable_in_its_callback_only() {
    let (mut run, _) = does(&call("web"));
    let got = reply(&mut run, 7, Ok(Bytes::from("+PONG\r\n")));
    assert_eq!(got, ["1", "7", "0", "7", "0", "+PONG\r\n"]);
    assert_eq!(reply(&mut run, 7, Ok(Bytes::from("+PONG\r\n"))), [""; 0]);
    assert_eq!(reply(&mut run, 11, Err(RedisFailed)), [""; 0]);
    let said = said_at_headers(
        "(call $num (call $proxy_get_buffer_bytes (i32.const 9) (i32.const 0) (i32.const 9) @out))",
        |_| (),
    );
    assert_eq!(said, ["2"]);
}

#[test]
fn a_failed_command_has_a_status_and_no_reply() {
    let (mut run, _) = does(&call("web"));
    assert_eq!(
        reply(&mut run, 7, Err(RedisFailed)),
        ["1", "7", "1", "0", "0", ""]
    );
}

#[test]
fn an_unknown_backend_or_a_bad_database_is_a_bad_argument() {
    let body = [
        init("lost"),
        init("web?db=x"),
        init("web?db=-1"),
        init("web?db=4294967296"),
        call("lost"),
    ];
    let (mut run, said) = does(&body.concat());
    assert_eq!(said[..5], ["2"; 5]);
    assert_eq!(
        run.notes()[0],
        "redis_init: there is no backend \"lost\" for this plugin"
    );
    assert_eq!(run.notes(), [""; 0]);
    assert_eq!(run.instance.take_redis_calls(), []);
}

#[test]
fn commands_count_as_open_calls() {
    let limits = Limits {
        open_calls: 1,
        ..Limits::default()
    };
    let mut run = Run::with(
        &at_headers(&call("web").repeat(2)),
        PluginSpec { limits, ..spec() },
    );
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "7", "10", "7"]);
}

#[test]
fn bad_addresses_are_refused_before_anything_is_done() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_redis_init (i32.const -1) (i32.const 3) @"" @"" (i32.const 0)))
           (call $num (call $proxy_redis_init @"web" (i32.const -1) (i32.const 3) @"" (i32.const 0)))
           (call $num (call $proxy_redis_init @"web" @"" (i32.const -1) (i32.const 3) (i32.const 0)))
           (call $num (call $proxy_redis_call (i32.const -1) (i32.const 3) @"" (i32.const 3000)))
           (call $num (call $proxy_redis_call @"web" (i32.const -1) (i32.const 3) (i32.const 3000)))
           (call $num (call $proxy_redis_call @"web" @"" (i32.const -1)))"#,
        |_| (),
    );
    assert_eq!(said, ["6"; 6]);
}
