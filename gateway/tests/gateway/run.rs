//! `tidegate run`: starting, partial starts, state across restarts, the end.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use crate::check::ten_mistakes;
use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::finish;
use crate::process::route;
use crate::process::tidegate;

fn fruit(origin: &Origin) -> Folder {
    Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("apples")),
        ("backend.yaml", &backend("apples", origin.address())),
    ])
}

#[test]
fn what_files_say_is_served_and_a_signal_drains() {
    let origin = Origin::answers(200, "apples");
    let files = fruit(&origin);
    let mut gateway = Running::start(&files, &[]);
    assert_eq!(gateway.get("/").text(), "apples");
    gateway.logs("generation 1 serves: 3 resources");
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));
}

#[test]
fn a_signal_during_a_start_ends_it_in_good_order() {
    // It holds up the start until its time is over.
    let slow = r#"(module (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (loop $for_ever (br $for_ever)) (unreachable)))"#;
    let plugin = "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: slow }
spec: { source: { file: slow.wasm }, limits: { startTimeout: 2s } }
";
    let folder = Folder::of(&[("gateway.yaml", GATEWAY), ("plugin.yaml", plugin)]);
    folder.write("slow.wasm", &wat::parse_str(slow).expect("WAT"));
    let socket = folder.file("admin.sock");
    let mut command = tidegate();
    command.arg("run").arg("-c").arg(folder.path());
    command.args(["--state-dir", "off", "--admin"]);
    command.arg(format!("unix:{}", socket.display()));
    command.stderr(Stdio::piped());
    let child = command.spawn().expect("tidegate starts");
    eventually("the socket", || socket.exists().then_some(()));
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill runs").success());
    let ended = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{err}");
    assert!(err.contains("before anything served"), "{err}");
}

#[test]
fn a_bad_configuration_starts_only_if_that_is_wanted() {
    let (folder, _) = ten_mistakes();
    let mut command = tidegate();
    command.arg("run").arg("-c").arg(folder.path());
    command.args(["--admin", "127.0.0.1:0", "--state-dir", "off"]);
    let (code, _, err) = finish(&mut command);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("--allow-partial"), "{err}");
    assert!(err.contains("routes.yaml:22:3: error: "), "{err}");
    let gateway = Running::start(&folder, &["--allow-partial"]);
    // The good route serves; its origin is down, and the gateway says so.
    assert_eq!(gateway.get("/").status(), 503);
    assert_eq!(
        gateway.metric("tidegate_config_problems{severity=\"error\"}"),
        Some(10.0)
    );
    assert_eq!(
        gateway.metric("tidegate_config_last_reload_successful"),
        Some(0.0)
    );
}

#[test]
fn an_address_in_use_stops_a_start_by_name() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let text = GATEWAY.replace("port: 0", &format!("port: {port}"));
    let folder = Folder::of(&[("gateway.yaml", &text)]);
    let mut command = tidegate();
    command.arg("run").arg("-c").arg(folder.path());
    command.args(["--admin", "off", "--state-dir", "off"]);
    let (code, _, err) = finish(&mut command);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("default/edge") && err.contains("in use"),
        "{err}"
    );
}

#[test]
fn a_restart_with_broken_files_serves_the_last_good_generation() {
    let origin = Origin::answers(200, "apples");
    let folder = fruit(&origin);
    let state = tempfile::tempdir().expect("a folder");
    let state_dir = state.path().join("state");
    let args = ["--state-dir", state_dir.to_str().expect("text")];
    let mut gateway = Running::start_with(folder.path(), &args);
    assert_eq!(gateway.get("/").text(), "apples");
    gateway.kill();
    folder.write("route.yaml", b"kind: HTTPRoute\n  broken: [");
    folder.write(
        "backend.yaml",
        backend("apples", origin.address())
            .replace("spec", "spek")
            .as_bytes(),
    );
    let gateway = Running::start_with(folder.path(), &args);
    assert_eq!(gateway.get("/").text(), "apples");
    let status = gateway.resource("Backend", "apples").expect("it is listed");
    assert_eq!(status["lastGood"], true, "{status}");
    // Without that state there is nothing to serve.
    let mut command = tidegate();
    command.arg("run").arg("-c").arg(folder.path());
    command.args(["--admin", "off", "--state-dir", "off"]);
    let (code, _, err) = finish(&mut command);
    assert_eq!(code, Some(1), "{err}");
}

#[test]
fn a_restart_whose_new_address_is_taken_serves_on_the_last_good_one() {
    let origin = Origin::answers(200, "apples");
    let folder = fruit(&origin);
    let state = tempfile::tempdir().expect("a folder");
    let state_dir = state.path().join("state");
    let args = ["--state-dir", state_dir.to_str().expect("text")];
    let mut gateway = Running::start_with(folder.path(), &args);
    gateway.logs("generation 1 serves");
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let text = GATEWAY.replace("port: 0", &format!("port: {port}"));
    folder.write("gateway.yaml", text.as_bytes());
    let gateway = Running::start_with(folder.path(), &args);
    gateway.logs("in use");
    assert_eq!(gateway.get("/").text(), "apples");
    let status = gateway.resource("Gateway", "edge").expect("it is listed");
    assert_eq!(status["lastGood"], true, "{status}");
}

#[test]
fn a_state_that_is_not_ours_is_warned_of_and_ignored() {
    let origin = Origin::answers(200, "apples");
    let folder = fruit(&origin);
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    std::fs::write(state.path().join("state.json"), "{}").expect("written");
    let gateway = Running::start_with(folder.path(), &args);
    gateway.logs("the stored state is not used");
    assert_eq!(gateway.get("/").text(), "apples");
}

#[test]
fn killed_at_any_moment_it_restarts_with_one_generation_or_the_other() {
    let (one, two) = (Origin::answers(200, "one"), Origin::answers(200, "two"));
    let folder = fruit(&one);
    let state = tempfile::tempdir().expect("a folder");
    let state_dir = state.path().join("state");
    let args = ["--state-dir", state_dir.to_str().expect("text")];
    // Both halves of a generation name each other: a mix would have a route without backend.
    let version = |name: &str, origin: &Origin| {
        format!("{}---{}", route(name), backend(name, origin.address()))
    };
    std::fs::remove_file(folder.file("backend.yaml")).expect("removed");
    folder.write("route.yaml", version("one", &one).as_bytes());
    let broken = b"]";
    for round in 0..12_u32 {
        folder.write("route.yaml", version("one", &one).as_bytes());
        let mut gateway = Running::start_with(folder.path(), &args);
        assert_eq!(gateway.get("/").text(), "one", "round {round}");
        folder.write("route.yaml", version("two", &two).as_bytes());
        gateway.signal("HUP");
        // Another moment each round, from before the reload to after it.
        let reads = round * 3;
        for _ in 0..reads {
            gateway.admin("GET /ready");
        }
        gateway.kill();
        folder.write("route.yaml", broken);
        let mut restarted = Running::start_with(folder.path(), &args);
        let text = restarted.get("/").text();
        assert!(["one", "two"].contains(&text.as_str()), "{round}: {text}");
        restarted.kill();
    }
}

#[test]
fn the_service_manager_is_told() {
    let origin = Origin::answers(200, "apples");
    let folder = fruit(&origin);
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket
        .set_read_timeout(Some(tidegate_testkit::LIMIT))
        .expect("set");
    let next = || {
        let mut bytes = [0; 1024];
        let count = socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let mut command = tidegate();
    command.arg("run").arg("-c").arg(folder.path());
    command.args(["--admin", "127.0.0.1:0", "--state-dir", "off"]);
    let mut gateway = Running::spawn(command.env("NOTIFY_SOCKET", &path).stdin(Stdio::null()));
    assert!(next().starts_with("READY=1\n"));
    gateway.signal("HUP");
    let message = eventually("the reload", || {
        // A change of what was just written may have been noticed first.
        Some(next()).filter(|message| !message.starts_with("READY=1"))
    });
    assert!(
        message.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{message}"
    );
    assert!(next().starts_with("READY=1\n"));
    gateway.signal("TERM");
    assert_eq!(next(), "STOPPING=1");
    assert_eq!(gateway.wait(), Some(0));
}

#[test]
fn a_restart_takes_compiled_plugins_from_the_code_cache_and_repairs_a_damaged_one() {
    let filter = r#"(module (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#;
    let plugin = "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: fine }
spec: { source: { file: fine.wasm } }
";
    let folder = Folder::of(&[("gateway.yaml", GATEWAY), ("plugin.yaml", plugin)]);
    folder.write("fine.wasm", &wat::parse_str(filter).expect("WAT"));
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let start = |results: [(&str, u64); 3]| {
        let mut gateway = Running::start_with(folder.path(), &args);
        gateway.logs("generation 1 serves");
        let page = gateway.admin("GET /metrics").text();
        for (result, count) in results {
            let line = format!("tidegate_code_cache_loads_total{{result=\"{result}\"}} {count}\n");
            assert!(page.contains(&line), "{line}{page}");
        }
        gateway.signal("TERM");
        assert_eq!(gateway.wait(), Some(0));
    };
    start([("hit", 0), ("miss", 1), ("rejected", 0)]);
    start([("hit", 1), ("miss", 0), ("rejected", 0)]);
    let entries = std::fs::read_dir(state.path().join("code")).expect("a folder");
    for entry in entries {
        let path = entry.expect("readable").path();
        let mut bytes = std::fs::read(&path).expect("readable");
        *bytes.first_mut().expect("bytes") ^= 1;
        std::fs::write(&path, bytes).expect("written");
    }
    start([("hit", 0), ("miss", 0), ("rejected", 1)]);
    start([("hit", 1), ("miss", 0), ("rejected", 0)]);
}
