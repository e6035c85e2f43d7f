//! The admin API over real sockets: what it answers, and whom.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;

use tidegate_testkit::LIMIT;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use crate::check::picky;
use crate::check::quoting;
use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::ask;
use crate::process::backend;
use crate::process::finish;
use crate::process::route;
use crate::process::tidegate;

/// Text that must never leave.
const SECRET: &str = "c0ffee-and-cream";

fn folder(origin: &Origin) -> Folder {
    let plugin = format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: picky }}
spec:
  source: {{ file: picky.wasm }}
  config: {{ password: {SECRET} }}
  env: [{{ name: TOKEN, value: {SECRET} }}]
"
    );
    let secret = format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: keys }}
stringData: {{ key: {SECRET} }}
"
    );
    let folder = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("apples")),
        ("backend.yaml", &backend("apples", origin.address())),
        ("secret.yaml", &secret),
    ]);
    folder.write("picky.wasm", &picky(1));
    folder.write("plugin.yaml", plugin.as_bytes());
    folder
}

#[test]
fn every_page_is_there_and_no_page_shows_a_secret() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin);
    let gateway = Running::start(&files, &[]);
    assert_eq!(gateway.get("/").status(), 200);
    let pages = [
        ("/", "text/plain; charset=utf-8"),
        ("/help", "text/plain; charset=utf-8"),
        ("/ready", "text/plain; charset=utf-8"),
        ("/live", "text/plain; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/config_dump", "application/json"),
        ("/plugins", "application/json"),
        ("/resources", "application/json"),
    ];
    for (page, kind) in pages {
        let answer = gateway.admin(&format!("GET {page}"));
        assert_eq!(answer.status(), 200, "{page}");
        assert_eq!(answer.field("content-type"), Some(kind), "{page}");
        assert_eq!(answer.field("access-control-allow-origin"), None, "{page}");
        assert!(!answer.text().contains(SECRET), "{page}: {}", answer.text());
    }
    assert_eq!(gateway.admin("GET /nothing").status(), 404);
    // A request is counted when it is over, which its client may see first.
    eventually("the request to be counted", || {
        let counted = gateway.metric("tidegate_requests_total{status=\"200\"}");
        (counted == Some(1.0)).then_some(())
    });
    let dump = gateway.json("/config_dump");
    assert_eq!(dump["plugins"][0]["name"], "default/picky", "{dump}");
    assert_eq!(dump["backends"][0]["name"], "default/apples", "{dump}");
    let rule = &dump["binds"][0]["listeners"][0]["rules"][0];
    assert_eq!(rule["name"], "default/all/0", "{dump}");
    assert_eq!(rule["backends"][0]["name"], "default/apples", "{dump}");
    let digest = dump["plugins"][0]["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    let info = format!("tidegate_plugin_info{{plugin=\"default/picky\",digest=\"{digest}\"}}");
    assert_eq!(gateway.metric(&info), Some(1.0));
    assert!(!gateway.log().iter().any(|line| line.contains(SECRET)));
}

#[test]
fn what_a_plugin_says_is_in_the_log_and_on_no_page() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin);
    files.write("picky.wasm", &quoting(SECRET));
    let gateway = Running::start(&files, &["--allow-partial"]);
    gateway.logs(SECRET);
    gateway.logs("it refused its configuration");
    let page = gateway.admin("GET /resources").text();
    assert!(page.contains("it refused its configuration"), "{page}");
    assert!(!page.contains(SECRET), "{page}");
}

#[test]
fn whoever_holds_all_connections_keeps_no_probe_out() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin);
    let gateway = Running::start(&files, &[]);
    let hold = || {
        let mut client = tidegate_testkit::Client::connect(gateway.admin_address());
        client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (client.response().status() == 200).then_some(client)
    };
    let held: Vec<_> = std::iter::from_fn(hold).take(100).collect();
    assert_eq!(held.len(), 64);
    for page in ["/live", "/ready"] {
        assert_eq!(gateway.admin(&format!("GET {page}")).status(), 200);
    }
    assert_eq!(gateway.admin("GET /metrics").status(), 503);
    drop(held);
    eventually("a place", || {
        (gateway.admin("GET /metrics").status() == 200).then_some(())
    });
}

#[test]
fn changes_are_posts() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin);
    let mut gateway = Running::start(&files, &[]);
    for line in [
        "GET /reload",
        "PUT /reload",
        "POST /metrics",
        "DELETE /config_dump",
        "GET /drain",
    ] {
        let answer = gateway.admin(line);
        assert_eq!(answer.status(), 405, "{line}");
        assert!(answer.field("allow").is_some(), "{line}");
    }
    let before = gateway.generation();
    let answer = gateway.admin("POST /reload");
    assert_eq!(
        answer.status(),
        200,
        "{}: {:#?}",
        answer.text(),
        gateway.log()
    );
    assert!(answer.text().starts_with("success: generation "));
    assert!(gateway.generation() > before);
    assert_eq!(gateway.admin("POST /drain").status(), 202);
    assert_eq!(gateway.wait(), Some(0));
}

#[test]
fn while_draining_it_is_live_and_not_ready() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let files = folder(&origin);
    let gateway = Running::start(&files, &[]);
    let address = gateway.address().expect("it listens");
    let mut client = tidegate_testkit::Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request", || {
        (!origin.requests().is_empty()).then_some(())
    });
    gateway.signal("TERM");
    let answer = eventually("it to drain", || {
        Some(gateway.admin("GET /ready")).filter(|answer| answer.status() == 503)
    });
    assert_eq!(answer.text(), "draining\n");
    assert_eq!(gateway.admin("GET /live").status(), 200);
    let late = gateway.admin("POST /reload");
    assert_eq!(
        (late.status(), late.text().as_str()),
        (503, "the gateway is ending\n")
    );
}

#[test]
fn requests_for_other_servers_and_from_other_origins_are_refused() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin);
    let gateway = Running::start(&files, &[]);
    let address = gateway.admin_address();
    let status = |line: &str, fields: &str| ask(address, line, fields).status();
    assert_eq!(status("GET /ready", "Host: rebound.evil.test\r\n"), 421);
    assert_eq!(status("GET /ready", ""), 421);
    assert_eq!(status("GET /ready", &format!("Host: {address}\r\n")), 200);
    let cross = "Host: localhost\r\nOrigin: http://evil.test\r\n";
    assert_eq!(status("POST /reload", cross), 403);
    assert_eq!(status("OPTIONS /reload", "Host: localhost\r\n"), 405);
}

#[test]
fn heads_without_end_are_bounded() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin);
    let gateway = Running::start(&files, &[]);
    let mut stream = TcpStream::connect(gateway.admin_address()).expect("connected");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    let line = format!("x-{}: y\r\n", "a".repeat(1000));
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("sent");
    // Refused or cut long before this much was read.
    let sent = (0..1_000).take_while(|_| stream.write_all(line.as_bytes()).is_ok());
    let sent = sent.count();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        sent < 1_000 || read.is_err() || answer.starts_with("HTTP/1.1 431"),
        "{sent} lines, {answer}"
    );
    assert_eq!(gateway.admin("GET /live").status(), 200);
}

#[test]
fn off_loopback_it_needs_a_token() {
    let origin = Origin::answers(200, "apples");
    let folder = folder(&origin);
    let run = || {
        let mut command = tidegate();
        command.arg("run").arg("-c").arg(folder.path());
        command.args(["--admin", "0.0.0.0:0", "--state-dir", "off"]);
        command
    };
    let (code, _, err) = finish(&mut run());
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("--admin-token-file"), "{err}");
    let token = folder.file("token.txt");
    std::fs::write(&token, "0123456789abcdef\n").expect("written");
    let mut command = run();
    let gateway = Running::spawn(command.arg("--admin-token-file").arg(&token));
    let port = gateway.admin_address().port();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let status = |line: &str, token: &str| {
        let fields = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n");
        ask(address, line, &fields).status()
    };
    assert_eq!(status("GET /metrics", "wrong-wrong-wrong"), 401);
    assert_eq!(status("POST /drain", "wrong-wrong-wrong"), 401);
    assert_eq!(status("GET /metrics", "0123456789abcdef"), 200);
    assert_eq!(status("GET /ready", "none"), 200);
}

#[test]
fn a_unix_socket_is_for_this_user_alone_and_never_taken_from_another_gateway() {
    let origin = Origin::answers(200, "apples");
    let folder = folder(&origin);
    let path = folder.file("admin.sock");
    let address = format!("unix:{}", path.display());
    // Left by somebody who was killed.
    drop(UnixListener::bind(&path).expect("bound"));
    let run = || {
        let mut command = tidegate();
        command.arg("run").arg("-c").arg(folder.path());
        command.args(["--admin", &address, "--state-dir", "off"]);
        command
    };
    let mut child = run()
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("tidegate starts");
    let mut stream = eventually("the socket", || UnixStream::connect(&path).ok());
    let mode = std::fs::metadata(&path)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    stream
        .write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (code, _, err) = finish(&mut run());
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("another process listens on it"), "{err}");
    child.kill().expect("killed");
    child.wait().expect("it ended");
}
