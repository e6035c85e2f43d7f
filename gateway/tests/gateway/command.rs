//! The command as operators meet it: errors, exit codes, signals.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Lines;
use std::io::Read as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;

use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command
        .env_remove("TIDEGATE_LOG")
        .env_remove("RUST_BACKTRACE");
    command.args(["proxy", "--to"]);
    command
}

/// Runs `tidegate proxy` to its end and returns exit code and standard error.
fn fails(args: &[&str]) -> (Option<i32>, String) {
    let output = tidegate()
        .args(["http://127.0.0.1:9", "--listen", "127.0.0.1:0"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("tidegate runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A running `tidegate proxy`, killed when dropped.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(origin: SocketAddr, args: &[&str]) -> Self {
        let (running, lines) = Self::start_unread(origin, args);
        // Keep reading, so that it never has to wait for us.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        running
    }

    /// Starts it and returns its log, of which nothing more is read.
    fn start_unread(origin: SocketAddr, args: &[&str]) -> (Self, Lines<BufReader<ChildStderr>>) {
        let mut child = tidegate()
            .arg(format!("http://{origin}"))
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tidegate starts");
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("listening on ")?.1.trim().parse().ok())
            .expect("it says where it listens");
        (Self { child, address }, lines)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    fn wait(&mut self) -> Option<i32> {
        eventually("the gateway to end", || {
            self.child.try_wait().expect("it can be waited for")
        })
        .code()
    }

    fn access_log(&mut self) -> String {
        let mut log = String::new();
        let stdout = self.child.stdout.as_mut().expect("it is piped");
        stdout.read_to_string(&mut log).expect("text");
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("written");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_bad_module_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let valid = wat::parse_str("(module)").expect("WAT");
    let component = wat::parse_str("(component)").expect("WAT");
    let cases: [(&str, Option<&[u8]>, &str); 5] = [
        ("missing.wasm", None, "No such file"),
        ("truncated.wasm", Some(&valid[..6]), "truncated"),
        (
            "text.wasm",
            Some(b"#!/bin/sh\n"),
            "not a WebAssembly module",
        ),
        ("component.wasm", Some(&component), "component"),
        ("no-abi.wasm", Some(&valid), "proxy_abi_version"),
    ];
    for (name, bytes, expected) in cases {
        let path = match bytes {
            Some(bytes) => write(folder.path(), name, bytes),
            None => folder.path().join(name).to_string_lossy().into_owned(),
        };
        let (code, stderr) = fails(&["--plugin", &path]);
        assert_eq!(code, Some(1), "{name}: {stderr}");
        assert!(
            stderr.contains(name) && stderr.contains(expected),
            "{name}: {stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn every_missing_import_is_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = wat::parse_str(
        r#"(module
            (import "env" "proxy_fly" (func))
            (import "wasi_snapshot_preview1" "teleport" (func (param i32)))
            (import "env" "proxy_log" (func (param i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0)))"#,
    );
    let path = write(folder.path(), "odd.wasm", &module.expect("WAT"));
    let (code, stderr) = fails(&["--plugin", &path]);
    assert_eq!(code, Some(1), "{stderr}");
    for name in [
        "odd.wasm",
        "env.proxy_fly",
        "wasi_snapshot_preview1.teleport",
        "env.proxy_log",
    ] {
        assert!(stderr.contains(name), "{name} is not in {stderr}");
    }
}

#[test]
fn a_filter_that_refuses_its_configuration_keeps_the_gateway_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 0)))"#,
    );
    let path = write(folder.path(), "picky.wasm", &module.expect("WAT"));
    let (code, stderr) = fails(&["--plugin", &path]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("picky") && stderr.contains("configure"),
        "{stderr}"
    );
}

#[test]
fn an_address_in_use_names_the_listener_and_what_to_do() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = tidegate()
        .args(["http://127.0.0.1:9", "--listen", &address])
        .output()
        .expect("tidegate runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in [
        "listener proxy",
        &address,
        "in use",
        "choose another address",
    ] {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [
        &["--to", "ftp://x"][..],
        &["--nope"],
        &["--listen", "8080"],
        &["--workers", "0"],
        &["--backend", "x"],
        &["--plugin-config", "{}"],
    ] {
        let (code, stderr) = fails(args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
    }
}

#[test]
fn the_access_log_is_on_by_default_and_can_be_json_or_off() {
    for (args, expected) in [
        (&[][..], "\"GET / HTTP/1.1\" 200 - "),
        (&["--access-log", "json"], "\"path\":\"/\""),
        (&["--access-log", "off"], ""),
    ] {
        let origin = Origin::answers(200, "fine");
        let mut gateway = Running::start(origin.address(), args);
        assert_eq!(Client::connect(gateway.address).get("/").text(), "fine");
        gateway.signal("TERM");
        assert_eq!(gateway.wait(), Some(0));
        let log = gateway.access_log();
        assert!(log.contains(expected), "{log}");
        assert_eq!(log.is_empty(), expected.is_empty());
    }
}

#[test]
fn a_signal_drains_and_a_second_one_ends_at_once() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let mut gateway = Running::start(origin.address(), &[]);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request", || {
        (!origin.requests().is_empty()).then_some(())
    });
    gateway.signal("INT");
    eventually("the listener to close", || {
        Client::try_connect(gateway.address).err()
    });
    assert_eq!(
        gateway.child.try_wait().expect("it can be waited for"),
        None,
        "it drains"
    );
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(1));
}

#[test]
fn a_log_that_nobody_reads_stops_neither_traffic_nor_the_end() {
    let nowhere = Origin::nowhere();
    let (mut gateway, unread) = Running::start_unread(nowhere, &["--log", "debug"]);
    let mut client = Client::connect(gateway.address);
    // Each request logs that its origin is down: far more than a pipe holds.
    for _ in 0..2_000 {
        assert_eq!(client.get("/").status(), 503);
    }
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));
    drop(unread);
}

#[test]
fn what_the_gateway_says_about_a_filter_counts_as_the_filters_own_lines() {
    // Each answer after the first is remarked upon.
    let floods = Wasm::wat(
        "floods",
        r#"(import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (local $left i32)
            (local.set $left (i32.const 6000))
            (loop $more
                (drop (call $answer (i32.const 200) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $more (local.get $left)))
            (i32.const 1))"#,
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), "floods.wasm", floods.module());
    let arguments = ["--plugin", &file, "--call-timeout", "5s"];
    let (mut gateway, lines) = Running::start_unread(Origin::nowhere(), &arguments);
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    assert_eq!(Client::connect(gateway.address).get("/").status(), 200);
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));
    let log = reader.join().expect("its log is read");
    let remarks = log.iter().filter(|line| line.contains("is ignored"));
    // 2,000 in a second; it may have taken longer than one.
    let remarks = remarks.count();
    assert!((1..5_999).contains(&remarks), "{remarks}");
    assert!(log.iter().any(|line| line.contains("logs too much")));
}

#[test]
fn the_page_of_defaults_says_what_the_code_does() {
    use tidegate_core::defaults::SizeLimits;
    use tidegate_core::defaults::Timeouts;
    use tidegate_core::failure::Failure;
    use tidegate_host_abi::Limits;

    let page = include_str!("../../../docs/defaults.md");
    let row = |what: &str, value: &str, reason: Option<Failure>| {
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("| {what} ")));
        let line = line.unwrap_or_else(|| panic!("no row for {what:?}"));
        assert!(
            line.contains(&format!("| {value} |")),
            "{line}: expected {value}"
        );
        let flag = reason.map_or("none: ".to_owned(), |reason| {
            format!("`{}`", reason.verdict().flag)
        });
        assert!(line.contains(&flag), "{line}: expected {flag}");
    };
    // No `..`: whoever adds a limit must document it.
    let Timeouts {
        header_read,
        keep_alive,
        stream_idle,
        write_stall,
        connect,
        filter_pause,
        upstream_idle,
        drain,
        linger,
        pings,
    } = Timeouts::default();
    assert_eq!(pings, None);
    row("a silent client of HTTP/2 until", "never", None);
    row("an answer to a PING", "20s", None);
    let time = |value: std::time::Duration| format!("{value:?}");
    row(
        "a request head,",
        &time(header_read),
        Some(Failure::RequestHeaderTimeout),
    );
    row("a kept client connection", &time(keep_alive), None);
    row(
        "a request body without",
        &time(stream_idle),
        Some(Failure::RequestBodyTimeout),
    );
    row(
        "an origin that was asked,",
        &time(stream_idle),
        Some(Failure::UpstreamTimeout),
    );
    row(
        "a response body without",
        &time(stream_idle),
        Some(Failure::UpstreamBodyTimeout),
    );
    row(
        "a client that does not",
        &time(write_stall),
        Some(Failure::ClientStalled),
    );
    row(
        "a connection to one",
        &time(connect),
        Some(Failure::ConnectTimeout),
    );
    row(
        "a stream paused",
        &time(filter_pause),
        Some(Failure::PluginPauseTimeout),
    );
    row("a kept connection to", &time(upstream_idle), None);
    row(
        "running exchanges",
        &time(drain),
        Some(Failure::DrainDeadline),
    );
    row("a client that goes on", &time(linger), None);
    let SizeLimits {
        head_bytes,
        head_fields,
        buffered_body_bytes,
        callout_body_bytes,
        idle_connections_per_endpoint,
    } = SizeLimits::default();
    row(
        "bytes of a request head",
        &head_bytes.to_string(),
        Some(Failure::HeadersTooLarge),
    );
    row(
        "bytes of a response head",
        &head_bytes.to_string(),
        Some(Failure::UpstreamHeadersTooLarge),
    );
    row(
        "fields of a head",
        &head_fields.to_string(),
        Some(Failure::HeadersTooLarge),
    );
    let held = buffered_body_bytes.to_string();
    row(
        "bytes of a request body",
        &held,
        Some(Failure::RequestBufferOverflow),
    );
    row(
        "bytes of a response body",
        &held,
        Some(Failure::ResponseBufferOverflow),
    );
    row("bytes of an answer", &callout_body_bytes.to_string(), None);
    row(
        "kept connections",
        &idle_connections_per_endpoint.to_string(),
        None,
    );
    let limits = Limits::default();
    row(
        "CPU time of one call",
        &time(limits.call_timeout),
        Some(Failure::PluginFault),
    );
    row("start and configuration", &time(limits.start_timeout), None);
    row(
        "memory of a filter",
        &limits.memory_bytes.to_string(),
        Some(Failure::PluginFault),
    );
}
