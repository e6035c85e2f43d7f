//! WASI and the helpers of other runtimes.

use tidegate_host_abi::{FaultKind, LogLevel, PluginSpec};

use super::support::{Run, at_headers, engine, filter, on_headers, said_at_headers, spec};

/// Two vectors at 4096: "one " and "two\n".
const VECTORS: &str = r#"
    (data (i32.const 5000) "one two\0a")
    (data (i32.const 4096) "\88\13\00\00\04\00\00\00\8c\13\00\00\04\00\00\00")"#;

#[test]
fn what_is_written_becomes_one_line() {
    let guest = filter(&format!(
        "{VECTORS} {}",
        on_headers(
            "(call $num (call $fd_write (i32.const 1) (i32.const 4096) (i32.const 2) (i32.const 3000)))
             (call $num (i32.load (i32.const 3000)))
             (drop (call $fd_write (i32.const 2) (i32.const 4096) (i32.const 1) (i32.const 3000)))
             (call $num (call $fd_write (i32.const 3) (i32.const 4096) (i32.const 1) (i32.const 3000)))"
        )
    ));
    let mut run = Run::new(&guest);
    let context = run.stream();
    run.headers(context).unwrap();
    let levels = run.services.levels();
    assert_eq!(levels[0], (LogLevel::Info, "one two".to_owned()));
    assert_eq!(
        levels[2].1.as_bytes(),
        8_u32.to_le_bytes(),
        "the newline was written too"
    );
    assert_eq!(levels[3], (LogLevel::Error, "one ".to_owned()));
    assert_eq!(
        levels[4].1.as_bytes(),
        8_u32.to_le_bytes(),
        "there is no file 3"
    );
}

#[test]
fn bad_addresses_are_faults() {
    let said = said_at_headers(
        "(call $num (call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 3000)))
         (call $num (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1025) (i32.const 3000)))
         (call $num (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const -1)))
         (call $num (call $random_get (i32.const -1) (i32.const 2)))
         (call $num (call $environ_sizes_get (i32.const -1) (i32.const 0)))
         (call $num (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))",
        |_| (),
    );
    assert_eq!(said, ["21", "28", "21", "21", "21", "21"]);
}

#[test]
fn the_environment_is_the_plugins_and_nothing_else() {
    let guest = at_headers(
        r#"(call $num (call $environ_sizes_get (i32.const 3000) (i32.const 3004)))
           (call $num (i32.load (i32.const 3000))) (call $num (i32.load (i32.const 3004)))
           (call $num (call $environ_get (i32.const 3000) (i32.const 4000)))
           (call $num (i32.load (i32.const 3000))) (call $num (i32.load (i32.const 3004)))
           (call $say (i32.const 4000) (i32.const 9))"#,
    );
    let env = vec![
        ("A".to_owned(), "1".to_owned()),
        ("BC".to_owned(), String::new()),
    ];
    let mut run = Run::with(&guest, PluginSpec { env, ..spec() });
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(
        run.said(),
        ["0", "2", "8", "0", "4000", "4004", "A=1\0BC=\0\0"]
    );
}

#[test]
fn there_are_no_arguments() {
    let said = said_at_headers(
        "(i64.store (i32.const 3000) (i64.const -1))
         (call $num (call $args_sizes_get (i32.const 3000) (i32.const 3004)))
         (call $num (i32.load (i32.const 3000))) (call $num (i32.load (i32.const 3004)))",
        |_| (),
    );
    assert_eq!(said, ["0", "0", "0"]);
}

#[test]
fn clocks_and_randomness_are_the_embedders() {
    let said = said_at_headers(
        "(call $num (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 3000)))
         (call $num (i64.eq (i64.load (i32.const 3000)) (i64.const 1700000000000000001)))
         (call $num (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 3000)))
         (call $num (i32.load (i32.const 3000)))
         (call $num (call $clock_time_get (i32.const 2) (i64.const 1) (i32.const 3000)))
         (call $num (call $clock_res_get (i32.const 1) (i32.const 3000)))
         (call $num (call $clock_res_get (i32.const 7) (i32.const 3000)))
         (i32.store (i32.const 3000) (i32.const 0))
         (call $num (call $random_get (i32.const 3000) (i32.const 2)))
         (call $num (i32.load (i32.const 3000)))
         (call $num (call $random_get (i32.const 0) (i32.const 65537)))",
        |_| (),
    );
    assert_eq!(
        said,
        ["0", "1", "0", "42", "58", "0", "58", "0", "1799", "28"]
    );
}

#[test]
fn waiting_returns_at_once_because_go_aborts_on_an_error() {
    let said = said_at_headers(
        "(i32.store (i32.const 3000) (i32.const 9))
         (call $num (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 3000)))
         (call $num (i32.load (i32.const 3000)))
         (call $num (call $sched_yield))",
        |_| (),
    );
    assert_eq!(said, ["0", "0", "0"]);
}

#[test]
fn files_and_sockets_answer_what_runtimes_take() {
    let said = said_at_headers(
        "(call $num (call $fd_prestat_get (i32.const 3) (i32.const 3000)))
         (call $num (call $fd_fdstat_get (i32.const 1) (i32.const 3000)))
         (call $num (i32.load (i32.const 3008)))
         (call $num (call $fd_fdstat_get (i32.const 0) (i32.const 3000)))
         (call $num (call $fd_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
         (call $num (call $fd_seek (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)))
         (call $num (call $fd_close (i32.const 5)))
         (call $num (call $fd_sync (i32.const 2)))
         (call $num (call $fd_sync (i32.const 5)))
         (call $num (call $fd_readdir (i32.const 3) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 3000)))
         (call $num (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
             (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 3000)))
         (call $num (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 3000)))",
        |_| (),
    );
    assert_eq!(
        said,
        [
            "8", "0", "64", "8", "52", "70", "0", "0", "8", "20", "44", "58"
        ]
    );
}

#[test]
fn the_unstable_name_is_the_same_module() {
    let bytes = wat::parse_str(
        r#"(module
            (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (import "wasi_unstable" "proc_exit" (func (param i32)))
            (memory (export "memory") 1)
            (func (export "malloc") (param i32) (result i32) i32.const 0)
            (func (export "proxy_abi_version_0_2_0")))"#,
    )
    .unwrap();
    tidegate_host_abi::Module::compile(engine(), "old", &bytes).unwrap();
}

#[test]
fn emscripten_and_pthread_helpers_are_there() {
    let said = said_at_headers(
        "(call $emscripten_notify_memory_growth (i32.const 0))
         (call $num (call $pthread_equal (i32.const 3) (i32.const 3)))
         (call $num (call $pthread_equal (i32.const 3) (i32.const 4)))",
        |_| (),
    );
    assert_eq!(said, ["1", "0"]);
}

#[test]
fn a_failed_assertion_of_assemblyscript_is_logged_and_traps() {
    let guest = filter(&format!(
        r#"(data (i32.const 5000) "\04\00\00\00n\00o\00") (data (i32.const 5100) "\02\00\00\00f\00") {}"#,
        on_headers("(call $abort (i32.const 5004) (i32.const 5104) (i32.const 3) (i32.const 4))")
    ));
    let mut run = Run::new(&guest);
    let context = run.stream();
    let fault = run.headers(context).unwrap_err();
    assert_eq!(
        (fault.kind, &*fault.message),
        (FaultKind::Trap, "abort: no at f:3:4")
    );
    assert_eq!(
        run.services.levels(),
        [(LogLevel::Critical, "abort: no at f:3:4".to_owned())]
    );
}
