//! A version that fails goes back while another change is being made, whatever that waits for.

use tidegate_testkit::Latch;

use super::*;
use crate::setups::keyed;

/// A version that traps on requests of many fields.
fn failing() -> Vec<u8> {
    let many = "(if (i32.gt_u (local.get 1) (i32.const 20)) (then unreachable))";
    version(202, many)
}

/// Another Plugin in the path of everything.
fn another(name: &str, more: &str) -> String {
    plugin(more)
        .replace("name: stamp }", &format!("name: {name} }}"))
        .replace("stamp.wasm", &format!("{name}.wasm"))
}

/// Makes the version that serves fail until the one before it does; says how long that took.
fn goes_back(gateway: &Running) -> Duration {
    let address = gateway.address().expect("it listens");
    let fields: String = (0..30).map(|n| format!("x-{n}: 1\r\n")).collect();
    let first = Instant::now();
    eventually("the version before", || {
        let mut client = Client::connect(address);
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        (client.response().status() == 201).then_some(())
    });
    first.elapsed()
}

/// Waits until /plugins says that the wanted version was taken back.
#[track_caller]
fn is_told(gateway: &Running) {
    eventually("the story", || {
        let page = gateway.json("/plugins");
        let mut plugins = at(&page, "/plugins").as_array()?.iter();
        let stamp = plugins.find(|one| at(one, "/name") == "default/stamp")?;
        (at(stamp, "/held/reason") == "RolledBack").then_some(())
    });
}

fn has_thread(gateway: &Running, wanted: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", gateway.id()));
    let mut threads = threads.expect("it runs").filter_map(Result::ok);
    threads.any(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm"));
        name.is_ok_and(|name| name.trim() == wanted)
    })
}

/// Waits until the plugin that asked for keys has them; the other one answers as it did before all the while.
#[track_caller]
fn the_other_serves(gateway: &Running) {
    eventually("the other plugin", || {
        let answer = gateway.get("/");
        assert_eq!(answer.status(), 201);
        (answer.field("x-by") == Some("asks")).then_some(())
    });
}

#[test]
fn a_version_is_taken_back_while_the_instances_of_another_plugin_start() {
    let (folder, _origin) = folder("");
    let gateway = Running::start(&folder, &[]);
    folder.write("stamp.wasm", &failing());
    eventually("the new version", || {
        (gateway.get("/").status() == 202).then_some(())
    });
    // Some tenths of a second for each of its instances.
    let slow = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (local $left i64)
        (local.set $left (i64.const 400000000))
        (loop $again
            (local.set $left (i64.sub (local.get $left) (i64.const 1)))
            (br_if $again (i64.ne (local.get $left) (i64.const 0))))
        (i32.const 1))"#;
    let text = another("slow", "  limits: { startTimeout: 60s }\n");
    folder.write("slow.wasm", Wasm::wat("slow", "", slow).module());
    folder.write("slow.yaml", text.as_bytes());
    eventually("its instances to be started", || {
        has_thread(&gateway, "change-start").then_some(())
    });
    let took = goes_back(&gateway);
    assert!(took < SOON, "{took:?}");
    let is_there = || {
        let page = gateway.json("/plugins");
        let mut names = page["plugins"].as_array().expect("a list").iter();
        names.any(|one| one["name"] == "default/slow")
    };
    assert!(!is_there(), "they are still being started");
    is_told(&gateway);
    eventually("the other plugin", || is_there().then_some(()));
    assert_eq!(gateway.get("/").status(), 201);
}

/// A backend that has keys once the latch is open.
fn keys_behind(latch: &Latch) -> Origin {
    let opened = latch.clone();
    Origin::script(move |connection| {
        while connection.request().is_ok() {
            opened.wait();
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nkeys!")?;
        }
        Ok(())
    })
}

#[test]
fn a_version_is_taken_back_while_another_plugin_sets_itself_up() {
    let latch = Latch::default();
    let keys = keys_behind(&latch);
    let (folder, _origin) = folder("");
    folder.write("keys.yaml", backend("keys", keys.address()).as_bytes());
    let gateway = Running::start(&folder, &[]);
    folder.write("stamp.wasm", &failing());
    eventually("the new version", || {
        (gateway.get("/").status() == 202).then_some(())
    });
    let text = another("asks", "  allow: { backends: [keys] }\n");
    folder.write("asks.wasm", keyed("asks").module());
    folder.write("asks.yaml", text.as_bytes());
    eventually("its setup", || (keys.connections() > 0).then_some(()));
    let took = goes_back(&gateway);
    assert!(took < SOON, "{took:?}");
    is_told(&gateway);
    assert_eq!(gateway.get("/").field("x-by"), None, "it waits");
    latch.open();
    the_other_serves(&gateway);
}

#[test]
fn a_canary_is_aborted_while_another_plugin_sets_itself_up() {
    let latch = Latch::default();
    let keys = keys_behind(&latch);
    let rollout = "  rollout: { canary: { source: { file: next.wasm } }, weight: 100 }\n";
    let (folder, _origin) = folder(rollout);
    folder.write("next.wasm", &failing());
    folder.write("keys.yaml", backend("keys", keys.address()).as_bytes());
    let gateway = Running::start(&folder, &[]);
    assert_eq!(gateway.get("/").status(), 202);
    let text = another("asks", "  allow: { backends: [keys] }\n");
    folder.write("asks.wasm", keyed("asks").module());
    folder.write("asks.yaml", text.as_bytes());
    eventually("its setup", || (keys.connections() > 0).then_some(()));
    let took = goes_back(&gateway);
    // Its streams are looked at once a second.
    assert!(took < 2 * SOON, "{took:?}");
    latch.open();
    eventually("the other plugin", || {
        let answer = gateway.get("/");
        assert_eq!(answer.status(), 201, "the canary is gone for good");
        (answer.field("x-by") == Some("asks")).then_some(())
    });
}

/// Each of them sets the plugin up.
const WORKERS: usize = 2;

/// A gateway with a rollout of a version that answers 202, while another plugin waits for its keys.
fn with_setup(rollout: &str, keys: &Origin) -> (Running, Folder, Origin) {
    let (folder, origin) = folder(&format!(
        "  rollout: {{ canary: {{ source: {{ file: next.wasm }} }}, {rollout} }}\n"
    ));
    folder.write("next.wasm", &version(202, WELL));
    folder.write("keys.yaml", backend("keys", keys.address()).as_bytes());
    let gateway = Running::start(&folder, &[]);
    let text = another("asks", "  allow: { backends: [keys] }\n");
    folder.write("asks.wasm", keyed("asks").module());
    folder.write("asks.yaml", text.as_bytes());
    eventually("its setup", || {
        (keys.connections() == WORKERS).then_some(())
    });
    (gateway, folder, origin)
}

#[test]
fn orders_by_hand_are_done_while_another_plugin_sets_itself_up() {
    let latch = Latch::default();
    let keys = keys_behind(&latch);
    let (gateway, _folder, _origin) = with_setup("weight: 100", &keys);
    let order = |what: &str| {
        let path = format!("POST /plugins/default/stamp/rollout/{what}");
        assert_eq!(gateway.admin(&path).status(), 200, "{what}");
    };
    order("hold");
    assert_eq!(gateway.get("/").status(), 202);
    assert_eq!(
        keys.connections(),
        WORKERS,
        "that is no reason to begin anew"
    );
    order("abort");
    eventually("the stable version", || {
        (gateway.get("/").status() == 201).then_some(())
    });
    assert_eq!(gateway.get("/").field("x-by"), None, "the other one waits");
    latch.open();
    eventually("the other plugin", || {
        let answer = gateway.get("/");
        assert_eq!(answer.status(), 201, "the canary is gone for good");
        (answer.field("x-by") == Some("asks")).then_some(())
    });
}

#[test]
fn steps_are_taken_while_another_plugin_sets_itself_up_and_do_not_begin_that_anew() {
    let latch = Latch::default();
    let keys = keys_behind(&latch);
    let rollout = "steps: [25, 50, 100], interval: 1s, minRequests: 10";
    let (gateway, _folder, _origin) = with_setup(rollout, &keys);
    eventually("the promotion", || {
        for _ in 0..20 {
            gateway.get("/");
        }
        let page = gateway.json("/plugins");
        let mut plugins = at(&page, "/plugins").as_array()?.iter();
        let stamp = plugins.find(|one| at(one, "/name") == "default/stamp")?;
        (at(stamp, "/rollout/phase") == "Promoted").then_some(())
    });
    assert_eq!(keys.connections(), WORKERS);
    latch.open();
    eventually("the other plugin", || {
        (gateway.get("/").field("x-by") == Some("asks")).then_some(())
    });
    eventually("the share of the promotion", || {
        let all = (0..20).all(|_| gateway.get("/").status() == 202);
        all.then_some(())
    });
}

/// A gateway whose filter answers 202, and had answered 201 before, while another plugin waits for its
/// keys.
fn with_two_versions(keys: &Origin, args: &[&str]) -> (Running, Folder, Origin) {
    let (folder, origin) = folder("");
    folder.write("keys.yaml", backend("keys", keys.address()).as_bytes());
    let gateway = Running::start_with(folder.path(), args);
    folder.write("stamp.wasm", &version(202, WELL));
    eventually("the second version", || {
        (gateway.get("/").status() == 202).then_some(())
    });
    let text = another("asks", "  allow: { backends: [keys] }\n");
    folder.write("asks.wasm", keyed("asks").module());
    folder.write("asks.yaml", text.as_bytes());
    is_set_up_for(keys, 1);
    (gateway, folder, origin)
}

/// Waits until the plugin that needs keys sets itself up for that time.
#[track_caller]
fn is_set_up_for(keys: &Origin, times: usize) {
    eventually(&format!("its setup {times}"), || {
        (keys.connections() == times * WORKERS).then_some(())
    });
}

/// Asks something of the plugin `stamp`; the status.
fn wish(gateway: &Running, what: &str) -> u16 {
    let answer = gateway.admin(&format!("POST /plugins/default/stamp/{what}"));
    answer.status()
}

#[track_caller]
fn versions_change_by_hand_while_another_plugin_sets_itself_up(args: &[&str]) {
    let latch = Latch::default();
    let keys = keys_behind(&latch);
    let (gateway, _folder, _origin) = with_two_versions(&keys, args);
    assert_eq!(wish(&gateway, "rollback?to=9"), 404);
    assert_eq!(wish(&gateway, "resume"), 200, "there is nothing to be done");
    assert_eq!(keys.connections(), WORKERS, "no reason to begin anew");
    assert_eq!(wish(&gateway, "rollback"), 200);
    assert_eq!(gateway.get("/").status(), 201);
    let told = story(&gateway);
    assert_eq!(at(&told, "/held/reason"), "RolledBackByHand", "{told}");
    assert_eq!(at(&told, "/version/number"), 3, "{told}");
    is_set_up_for(&keys, 2);
    assert_eq!(wish(&gateway, "resume"), 200);
    assert_eq!(gateway.get("/").status(), 202);
    assert!(at(&story(&gateway), "/held").is_null());
    is_set_up_for(&keys, 3);
    assert_eq!(wish(&gateway, "rollback"), 200);
    assert_eq!(gateway.get("/").field("x-by"), None, "the other one waits");
    latch.open();
    the_other_serves(&gateway);
}

#[test]
fn versions_are_gone_back_to_by_hand_while_another_plugin_sets_itself_up() {
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    versions_change_by_hand_while_another_plugin_sets_itself_up(&args);
}

#[test]
fn without_a_state_folder_versions_are_gone_back_to_by_hand_meanwhile_too() {
    versions_change_by_hand_while_another_plugin_sets_itself_up(&["--state-dir", "off"]);
}

#[test]
fn what_was_gone_back_to_meanwhile_serves_also_after_a_kill() {
    let latch = Latch::default();
    let keys = keys_behind(&latch);
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let (mut gateway, folder, _origin) = with_two_versions(&keys, &args);
    assert_eq!(wish(&gateway, "rollback"), 200);
    gateway.kill();
    std::fs::remove_file(folder.path().join("asks.yaml")).expect("there");
    let gateway = Running::start_with(folder.path(), &args);
    assert_eq!(gateway.get("/").status(), 201);
}

/// How often a change is put off.
const MOST_INTERRUPTIONS: usize = 8;

#[test]
fn a_stream_of_wishes_does_not_keep_a_change_from_being_made() {
    let latch = Latch::default();
    let keys = keys_behind(&latch);
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let (gateway, _folder, _origin) = with_two_versions(&keys, &args);
    for round in 1..=MOST_INTERRUPTIONS {
        let what = ["resume", "rollback"][round % 2];
        assert_eq!(wish(&gateway, what), 200, "{round}");
        is_set_up_for(&keys, round + 1);
    }
    std::thread::scope(|threads| {
        let late = threads.spawn(|| wish(&gateway, "rollback"));
        // Each of these is answered by the next look: enough of them for the wish to be seen, too.
        for _ in 0..10 {
            assert_eq!(wish(&gateway, "rollout/hold"), 404);
        }
        assert!(!late.is_finished(), "it waits for the change");
        assert_eq!(keys.connections(), (MOST_INTERRUPTIONS + 1) * WORKERS);
        latch.open();
        assert_eq!(late.join().expect("answered"), 200);
    });
    assert_eq!(gateway.get("/").field("x-by"), Some("asks"));
    assert_eq!(gateway.get("/").status(), 201);
    assert_eq!(keys.connections(), (MOST_INTERRUPTIONS + 1) * WORKERS);
}
