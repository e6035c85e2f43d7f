//! Going back by hand: the admin API and the commands.

use tidegate_testkit::eventually;

use super::*;

/// A gateway whose filter has had these versions.
fn with_versions(args: &[&str], statuses: &[u16]) -> (Folder, Origin, Running) {
    let (folder, origin) = folder("");
    let gateway = Running::start_with(folder.path(), args);
    for status in statuses {
        folder.write("stamp.wasm", &version(*status, WELL));
        serves(&gateway, *status);
    }
    (folder, origin, gateway)
}

#[track_caller]
fn serves(gateway: &Running, status: u16) {
    eventually(&format!("{status}"), || {
        (gateway.get("/").status() == status).then_some(())
    });
}

/// Runs a command that speaks to the gateway.
fn command(gateway: &Running, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tidegate();
    command.arg("plugin").args(args);
    command.args(["--admin", &gateway.admin_address().to_string()]);
    finish(&mut command)
}

#[test]
fn a_version_is_gone_back_to_by_hand_and_stays_until_another_is_wanted() {
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let (folder, _origin, mut gateway) = with_versions(&args, &[202, 203]);
    let (code, out, err) = command(&gateway, &["rollback", "stamp"]);
    assert_eq!(
        (code, out.trim()),
        (Some(0), "default/stamp goes back to its version 2"),
        "{err}"
    );
    assert_eq!(gateway.get("/").status(), 202);
    let story = story(&gateway);
    assert_eq!(story["held"]["reason"], "RolledBackByHand", "{story}");
    assert_eq!(
        gateway.admin("POST /reload").status(),
        200,
        "it is no error"
    );
    assert_eq!(gateway.get("/").status(), 202);
    let (code, _, err) = command(&gateway, &["rollback", "default/stamp", "--to", "1"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(gateway.get("/").status(), 201);
    gateway.kill();
    let gateway = Running::start_with(folder.path(), &args);
    assert_eq!(gateway.get("/").status(), 201, "also over a restart");
    let (code, out, err) = command(&gateway, &["rollback", "stamp", "--resume"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("serves what its resource asks for again"),
        "{out}"
    );
    assert_eq!(gateway.get("/").status(), 203);
    command(&gateway, &["rollback", "stamp", "--to", "1"]);
    assert_eq!(gateway.get("/").status(), 201);
    folder.write("stamp.wasm", &version(204, WELL));
    serves(&gateway, 204);
}

#[test]
fn the_history_is_printed_with_why_each_version_ended() {
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let (_folder, _origin, gateway) = with_versions(&args, &[202]);
    command(&gateway, &["rollback", "stamp"]);
    let (code, out, err) = command(&gateway, &["history", "stamp"]);
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    assert!(
        lines[1].starts_with("3 ") && lines[1].contains("serves"),
        "{out}"
    );
    assert!(
        lines[2].starts_with("2 ") && lines[2].contains("taken back by hand"),
        "{out}"
    );
    assert!(
        lines[3].starts_with("1 ") && lines[3].contains("replaced"),
        "{out}"
    );
    assert!(lines[4].contains("--resume"), "{out}");
    let (code, out, _) = command(&gateway, &["history", "stamp", "--format", "json"]);
    let page: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &page["name"]), (Some(0), &"default/stamp".into()));
}

#[test]
fn what_cannot_be_gone_back_to_is_said() {
    let (_folder, _origin, gateway) = with_versions(&["--state-dir", "off"], &[202, 203]);
    let refused = |args: &[&str], said: &str| {
        let (code, out, err) = command(&gateway, args);
        assert_eq!(code, Some(1), "{out}");
        assert!(err.contains(said), "{err}");
    };
    refused(&["rollback", "other"], "no plugin is called default/other");
    refused(&["rollback", "stamp", "--to", "9"], "has had no version 9");
    refused(
        &["rollback", "stamp", "--to", "3"],
        "serves its version 3 already",
    );
    // Without a state folder there is no code but that of the last.
    refused(&["rollback", "stamp", "--to", "1"], "the code of version 1");
    let (code, out, err) = command(&gateway, &["rollback", "stamp", "--resume"]);
    assert_eq!(
        (code, out.contains("nothing changes")),
        (Some(0), true),
        "{err}"
    );
    let (code, _, err) = command(&gateway, &["rollback", "stamp"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(gateway.get("/").status(), 202);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("bound").to_string();
    drop(nobody);
    let mut command = tidegate();
    let (code, _, err) = finish(command.args(["plugin", "history", "stamp", "--admin", &address]));
    assert_eq!(code, Some(1));
    assert!(err.contains("does a gateway run there"), "{err}");
}

#[test]
fn pages_of_other_sites_cannot_roll_back() {
    let (_folder, _origin, gateway) = with_versions(&["--state-dir", "off"], &[202]);
    for fields in [
        "Host: localhost\r\nOrigin: http://evil.test\r\n",
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
        "Host: evil.test\r\n",
    ] {
        let line = "POST /plugins/default/stamp/rollback";
        let answer = crate::process::ask(gateway.admin_address(), line, fields);
        assert!([403, 421].contains(&answer.status()), "{}", answer.status());
    }
    assert_eq!(
        gateway
            .admin("GET /plugins/default/stamp/rollback")
            .status(),
        405
    );
    assert_eq!(gateway.get("/").status(), 202);
}

/// Waits until these versions can be seen, and no others.
#[track_caller]
fn has_versions(gateway: &Running, expected: &[u64]) {
    eventually(&format!("the versions {expected:?}"), || {
        // One that has just been made is known a moment after it serves.
        let answer = gateway.admin("GET /plugins/default/stamp/history");
        let page: Value = serde_json::from_str(&answer.text()).ok()?;
        let versions = page.get("versions")?.as_array()?;
        let numbers = versions
            .iter()
            .filter_map(|one| one.get("number")?.as_u64());
        (numbers.collect::<Vec<_>>() == expected).then_some(())
    });
}

#[test]
fn a_plugin_that_is_made_anew_has_no_version_of_the_one_that_was_deleted() {
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let (folder, _origin, mut gateway) = with_versions(&args, &[202, 203]);
    has_versions(&gateway, &[3, 2, 1]);
    // A file that cannot be read deletes nothing.
    folder.write("plugin.yaml", b"kind: [");
    gateway.logs("plugin.yaml:1:");
    assert_eq!(gateway.get("/").status(), 203);
    folder.write("plugin.yaml", plugin("").as_bytes());
    eventually("the repair", || {
        (gateway.admin("POST /reload").status() == 200).then_some(())
    });
    has_versions(&gateway, &[3, 2, 1]);

    std::fs::remove_file(folder.path().join("plugin.yaml")).expect("there");
    eventually("the end", || {
        (gateway.get("/").text() == "origin").then_some(())
    });
    folder.write("stamp.wasm", &version(204, WELL));
    folder.write("plugin.yaml", plugin("").as_bytes());
    serves(&gateway, 204);
    has_versions(&gateway, &[1]);
    for to in ["", "?to=1", "?to=2"] {
        let answer = gateway.admin(&format!("POST /plugins/default/stamp/rollback{to}"));
        assert!(
            [404, 409].contains(&answer.status()),
            "{to}: {}",
            answer.text()
        );
    }
    assert_eq!(gateway.get("/").status(), 204);
    gateway.kill();
    let gateway = Running::start_with(folder.path(), &args);
    has_versions(&gateway, &[1]);
}

#[test]
fn a_version_on_probation_is_watched_on_when_an_older_one_may_serve_again() {
    let (folder, _origin) = folder("");
    let gateway = Running::start(&folder, &[]);
    let traffic = Traffic::start(gateway.address().expect("it listens"));
    traffic.more(201, 20);
    folder.write("stamp.wasm", &version(202, &on_one_of(2, "unreachable")));
    rolled_back(&gateway);
    // Fails only for requests with many fields.
    let fails = "(if (i32.gt_u (local.get 1) (i32.const 30)) (then unreachable))";
    folder.write("stamp.wasm", &version(203, fails));
    traffic.more(203, 100);
    let (code, _, err) = command(&gateway, &["rollback", "stamp", "--resume"]);
    assert_eq!(code, Some(0), "{err}");
    traffic.end();
    let fields: String = (0..40).map(|field| format!("x-{field}: 1\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
    let address = gateway.address().expect("it listens");
    eventually("the version before the newest", || {
        let mut client = Client::connect(address);
        client.send(&request);
        (client.response().status() == 201).then_some(())
    });
    assert_eq!(rolled_back(&gateway)["held"]["reason"], "RolledBack");
}
