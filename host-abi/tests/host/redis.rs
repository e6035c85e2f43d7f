//! Redis commands (Higress).

use bytes::Bytes;
use tidegate_host_abi::{CalloutToken, Limits, PluginSpec, RedisFailed};

use super::support::{Run, at_headers, filter, on_headers, said_at_headers, spec};

fn init(target: &str) -> String {
    format!(r#"(call $num (call $proxy_redis_init @"{target}" @"ada" @"secret" (i32.const 250)))"#)
}

/// Arguments of `tidegate.redis` for a PING.
fn described(backend: &str, user: &str, password: &str, database: u32, timeout_ms: u32) -> Vec<u8> {
    let mut args = vec![1, 0, 0, 0];
    args.extend(timeout_ms.to_le_bytes());
    args.extend(database.to_le_bytes());
    let texts = [backend, user, password, "*1\r\n$4\r\nPING\r\n"];
    for text in texts {
        args.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    }
    args.extend(texts.concat().as_bytes());
    args
}

/// Calls `tidegate.redis`; says the status, the length of the result, and the first number in it.
fn foreign(args: &[u8]) -> String {
    let args: String = args.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(call $num (call $proxy_call_foreign_function @"tidegate.redis" @"{args}" @out))
           (call $num (i32.load (i32.const 3004)))
           (call $num (i32.load (i32.load (i32.const 3000))))"#
    )
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
    assert_eq!(reply(&mut run, 11, Err(RedisFailed::Unreachable)), [""; 0]);
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
        reply(&mut run, 7, Err(RedisFailed::Unreachable)),
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

#[test]
fn a_module_without_imports_of_redis_describes_the_server_with_its_command() {
    let ours = described("web", "ada", "secret", 3, 20);
    let others = described("web", "ada", "secret", 3, 21);
    let (mut run, said) = does(&[foreign(&ours), foreign(&ours), foreign(&others)].concat());
    assert_eq!(said, ["0", "4", "7", "0", "4", "11", "0", "4", "15"]);
    let calls = run.instance.take_redis_calls();
    let login = &calls[0].login;
    assert_eq!(login.backend, "web");
    assert_eq!(
        (&login.username[..], &login.password[..]),
        (&b"ada"[..], &b"secret"[..])
    );
    assert_eq!((login.database, login.timeout_ms), (3, 20));
    assert_eq!(calls[0].query, "*1\r\n$4\r\nPING\r\n");
    // What is said again is not kept again.
    assert!(std::sync::Arc::ptr_eq(login, &calls[1].login));
    assert_eq!(calls[2].login.timeout_ms, 21);
    let got = reply(&mut run, 7, Ok(Bytes::from("+PONG\r\n")));
    assert_eq!(got, ["1", "7", "0", "7", "0", "+PONG\r\n"]);
    let late = reply(&mut run, 11, Err(RedisFailed::Timeout));
    assert_eq!(late, ["1", "11", "2", "0", "0", ""]);
}

#[test]
fn what_a_command_says_of_its_server_changes_no_login() {
    let other = described("web", "", "", 0, 0);
    let (mut run, _) = does(&[init("web?db=1"), foreign(&other), call("web")].concat());
    let calls = run.instance.take_redis_calls();
    assert_eq!((calls[0].login.database, calls[1].login.database), (0, 1));
}

#[test]
fn a_plugin_that_describes_many_servers_makes_the_host_remember_few() {
    let ways: String = (0..70)
        .chain([0])
        .map(|way| foreign(&described("web", "", "", way, 0)))
        .collect();
    let (mut run, said) = does(&ways);
    assert!(said.chunks(3).all(|said| said[0] == "0"));
    let calls = run.instance.take_redis_calls();
    let login = |at: usize| &calls[at].login;
    assert!(!std::sync::Arc::ptr_eq(login(0), login(70)));
    assert_eq!(login(0), login(70));
}

#[test]
fn what_describes_no_command_is_a_bad_argument() {
    let whole = described("web", "ada", "secret", 3, 20);
    let mut wrong: Vec<Vec<u8>> = (0..whole.len())
        .step_by(5)
        .map(|length| whole[..length].to_vec())
        .collect();
    let with = |at: usize, byte: u8| {
        let mut args = whole.clone();
        args[at] = byte;
        args
    };
    wrong.extend([with(0, 2), with(1, 1), with(15, 255), with(27, 128)]);
    wrong.push([&whole[..], b"x"].concat());
    wrong.push(described("lost", "", "", 0, 0));
    wrong.push(described("web", &"u".repeat(5_000), "", 0, 0));
    wrong.push(described("web", "", &"p".repeat(5_000), 0, 0));
    for args in wrong {
        let (mut run, said) = does(&foreign(&args));
        assert_eq!(said[..2], ["2", "0"], "{} bytes", args.len());
        assert_eq!(run.instance.take_redis_calls(), []);
    }
}
