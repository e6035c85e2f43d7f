//! Edits of a running gateway's files: bad never replaces good, good serves soon.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::route;

/// How soon a repaired file must serve.
const SOON: Duration = Duration::from_secs(1);

fn fruit(apples: &Origin, pears: &Origin) -> Folder {
    Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("apples")),
        ("apples.yaml", &backend("apples", apples.address())),
        ("pears.yaml", &backend("pears", pears.address())),
    ])
}

/// Waits until requests are answered with this text.
#[track_caller]
fn serves(gateway: &Running, expected: &str) {
    eventually(&format!("{expected:?} to serve"), || {
        let answer = gateway.get("/").text();
        (answer == expected).then_some(())
    });
}

#[track_caller]
fn last_reload_is(gateway: &Running, successful: f64) {
    eventually("the metric of the last reload", || {
        let metric = gateway.metric("tidegate_config_last_reload_successful");
        (metric == Some(successful)).then_some(())
    });
}

#[track_caller]
fn reload_failed(gateway: &Running, reason: &str) {
    gateway.logs(reason);
    last_reload_is(gateway, 0.0);
    let page = gateway.admin("GET /resources").text();
    assert!(page.contains(reason), "{reason:?} is not in {page}");
}

#[test]
fn an_edit_serves_soon_and_streams_that_run_end_as_they_began() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let folder = fruit(&apples, &pears);
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    let mut kept = Client::connect(address);
    assert_eq!(kept.get("/").text(), "apples");
    folder.write("route.yaml", route("pears").as_bytes());
    serves(&gateway, "pears");
    assert_eq!(gateway.address(), Some(address), "port 0 keeps its port");
    assert_eq!(kept.get("/").text(), "pears", "kept connections see it too");
}

#[test]
fn a_broken_file_changes_nothing_until_it_is_repaired() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let folder = fruit(&apples, &pears);
    let gateway = Running::start(&folder, &[]);
    folder.write("route.yaml", b"kind: HTTPRoute\nspec: [unclosed\n");
    reload_failed(&gateway, "route.yaml");
    assert_eq!(gateway.get("/").text(), "apples");
    let status = gateway.resource("HTTPRoute", "all").expect("it is listed");
    assert_eq!(status["lastGood"], true, "{status}");
    let repaired = Instant::now();
    folder.write("route.yaml", route("pears").as_bytes());
    serves(&gateway, "pears");
    assert!(repaired.elapsed() < SOON, "{:?}", repaired.elapsed());
    last_reload_is(&gateway, 1.0);
}

#[test]
fn a_broken_resource_keeps_its_last_good_version_and_others_go_on() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let folder = fruit(&apples, &pears);
    let gateway = Running::start(&folder, &[]);
    let broken = route("pears").replace("backendRefs", "backendRef");
    folder.write("route.yaml", broken.as_bytes());
    reload_failed(&gateway, "backendRef");
    assert_eq!(gateway.get("/").text(), "apples");
    // The good half of the files is followed meanwhile.
    folder.write("apples.yaml", backend("apples", pears.address()).as_bytes());
    serves(&gateway, "pears");
    let repaired = Instant::now();
    folder.write(
        "apples.yaml",
        backend("apples", apples.address()).as_bytes(),
    );
    folder.write("route.yaml", route("apples").as_bytes());
    serves(&gateway, "apples");
    assert!(repaired.elapsed() < SOON, "{:?}", repaired.elapsed());
}

const PLUGIN: &str = "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: stamp }
spec:
  source: { file: stamp.wasm }
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]
";

/// A filter that answers every request with this status.
fn answering(status: u16) -> Vec<u8> {
    let imports = r#"(import "env" "proxy_send_local_response"
        (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
    let body = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $answer (i32.const {status}) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#
    );
    Wasm::wat("stamp", imports, &body).module().to_vec()
}

#[test]
fn a_broken_filter_changes_nothing_until_it_is_repaired() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let folder = fruit(&apples, &pears);
    folder.write("stamp.wasm", &answering(201));
    folder.write("plugin.yaml", PLUGIN.as_bytes());
    let gateway = Running::start(&folder, &[]);
    assert_eq!(gateway.get("/").status(), 201);
    folder.write("stamp.wasm", b"\0asm\x01\0\0");
    reload_failed(&gateway, "stamp.wasm");
    assert_eq!(gateway.get("/").status(), 201);
    let status = gateway.resource("Plugin", "stamp").expect("it is listed");
    assert_eq!(status["lastGood"], true, "{status}");
    let repaired = Instant::now();
    folder.write("stamp.wasm", &answering(202));
    eventually("the new filter", || {
        (gateway.get("/").status() == 202).then_some(())
    });
    assert!(repaired.elapsed() < SOON, "{:?}", repaired.elapsed());
}

#[test]
fn a_filter_that_never_worked_fails_closed_and_comes_alive_when_repaired() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let folder = fruit(&apples, &pears);
    folder.write("plugin.yaml", PLUGIN.as_bytes());
    let gateway = Running::start(&folder, &["--allow-partial"]);
    assert_eq!(gateway.get("/").status(), 503);
    folder.write("stamp.wasm", &answering(202));
    eventually("the filter", || {
        (gateway.get("/").status() == 202).then_some(())
    });
}

#[test]
fn a_mounted_config_map_is_followed() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let root = fruit(&apples, &pears);
    let mount = root.file("mount");
    std::fs::create_dir(&mount).expect("a folder");
    let version = |name: &str, to: &str| {
        let folder = mount.join(name);
        std::fs::create_dir(&folder).expect("a folder");
        let all = [
            GATEWAY.to_owned(),
            route(to),
            backend("apples", apples.address()),
            backend("pears", pears.address()),
        ];
        std::fs::write(folder.join("all.yaml"), all.join("---")).expect("written");
    };
    version("..1", "apples");
    symlink("..1", mount.join("..data")).expect("linked");
    symlink("..data/all.yaml", mount.join("all.yaml")).expect("linked");
    let gateway = Running::start_with(&mount, &["--state-dir", "off"]);
    assert_eq!(gateway.get("/").text(), "apples");
    version("..2", "pears");
    symlink("..2", mount.join("..new")).expect("linked");
    std::fs::rename(mount.join("..new"), mount.join("..data")).expect("swapped");
    serves(&gateway, "pears");
}

#[test]
fn an_address_that_is_taken_is_reported_and_taken_once_it_is_free() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let folder = fruit(&apples, &pears);
    let gateway = Running::start(&folder, &[]);
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let wanted = taken.local_addr().expect("bound");
    let moved = GATEWAY.replace("port: 0", &format!("port: {}", wanted.port()));
    folder.write("gateway.yaml", moved.as_bytes());
    reload_failed(&gateway, "in use");
    assert_eq!(gateway.get("/").text(), "apples", "the old address stays");
    drop(taken);
    eventually("the new address", || {
        (gateway.address() == Some(wanted)).then_some(())
    });
    assert_eq!(gateway.get("/").text(), "apples");
}

#[test]
fn a_hangup_reloads_though_nothing_changed() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let files = fruit(&apples, &pears);
    let gateway = Running::start(&files, &[]);
    let before = gateway.generation();
    gateway.signal("HUP");
    eventually("another generation", || {
        (gateway.generation() > before).then_some(())
    });
}

#[test]
fn no_request_fails_while_configurations_follow_each_other() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    // Bytes come and go slowly, over all reloads.
    let slow = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let folder = fruit(&apples, &pears);
    let slow_route = route("slow").replace("name: all", "name: slow").replace(
        "- backendRefs",
        "- matches: [{ path: { type: PathPrefix, value: /slow } }]\n      backendRefs",
    );
    folder.write("slow.yaml", slow_route.as_bytes());
    let address = slow.local_addr().expect("bound");
    folder.write("slow-backend.yaml", backend("slow", address).as_bytes());
    let gateway = Running::start(&folder, &["--access-log", "off"]);
    let address = gateway.address().expect("it listens");

    let mut download = Client::connect(address);
    download.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut origin, _) = slow.accept().expect("the request");
    read_until(&mut origin, "\r\n\r\n");
    origin
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("sent");
    let mut upload = Client::connect(address);
    let rounds = 100;
    upload.send(format!(
        "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: {rounds}\r\n\r\n"
    ));
    let (mut sink, _) = slow.accept().expect("the upload");
    read_until(&mut sink, "\r\n\r\n");

    let stop = Arc::new(AtomicBool::new(false));
    let (failed, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (stop, failed, done) = (Arc::clone(&stop), Arc::clone(&failed), Arc::clone(&done));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // A connection of its own, then some requests on it.
                    let Ok(mut client) = Client::try_connect(address) else {
                        failed.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    for _ in 0..20 {
                        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                        match client.try_response() {
                            Ok(answer) if answer.status() == 200 => {
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                            other => {
                                eprintln!("{other:?}");
                                failed.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        }
                    }
                }
            })
        })
        .collect();
    for round in 0..rounds {
        let to = if round % 2 == 0 { "pears" } else { "apples" };
        folder.write("route.yaml", route(to).as_bytes());
        let answer = gateway.admin("POST /reload");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        origin.write_all(b"1\r\nx\r\n").expect("sent");
        upload.send("y");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no panic");
    }
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert!(done.load(Ordering::Relaxed) > 0);
    origin.write_all(b"0\r\n\r\n").expect("sent");
    assert_eq!(download.response().text(), "x".repeat(rounds));
    let mut body = vec![0; rounds];
    sink.read_exact(&mut body).expect("the whole upload");
    assert_eq!(body, "y".repeat(rounds).as_bytes());
    sink.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .expect("sent");
    assert_eq!(upload.response().text(), "ok");
}

fn read_until(stream: &mut TcpStream, end: &str) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).expect("a byte");
        seen.push(byte[0]);
    }
}
