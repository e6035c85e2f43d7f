//! What was taken back stays so until it changes, whatever else happens.

use tidegate_testkit::eventually;

use super::*;

/// Makes the second version serve and fail; what /plugins says when it is gone.
fn fail(folder: &Folder, gateway: &Running) -> Value {
    let traffic = Traffic::start(gateway.address().expect("it listens"));
    traffic.more(201, 20);
    folder.write("stamp.wasm", &version(202, &on_one_of(5, "unreachable")));
    let story = rolled_back(gateway);
    traffic.more(201, 20);
    drop(traffic.end());
    story
}

#[test]
fn what_was_taken_back_does_not_come_back_until_it_changes() {
    let (folder, origin) = folder("");
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let mut gateway = Running::start_with(folder.path(), &args);
    let failed = fail(&folder, &gateway);
    let stays = |gateway: &Running| {
        assert_eq!(gateway.get("/").status(), 201);
        let story = story(gateway);
        assert_eq!(story["held"]["digest"], failed["held"]["digest"], "{story}");
        assert_eq!(story["held"]["at"], failed["held"]["at"], "{story}");
    };
    stays(&gateway);
    // Asked for everything again.
    let before = gateway.generation();
    assert_eq!(gateway.admin("POST /reload").status(), 409);
    assert!(gateway.generation() >= before);
    stays(&gateway);
    // Another change.
    folder.write("pears.yaml", backend("pears", origin.address()).as_bytes());
    eventually("the other change", || gateway.resource("Backend", "pears"));
    stays(&gateway);
    // A restart, in good order and not.
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));
    let mut gateway = Running::start_with(folder.path(), &args);
    stays(&gateway);
    gateway.kill();
    let gateway = Running::start_with(folder.path(), &args);
    stays(&gateway);
    let history = gateway.json("/plugins/default/stamp/history");
    assert_eq!(
        history["versions"].as_array().map(Vec::len),
        Some(3),
        "{history}"
    );
    // It changes.
    folder.write("stamp.wasm", &version(203, WELL));
    eventually("the new version", || {
        (gateway.get("/").status() == 203).then_some(())
    });
    eventually("the story to say so", || {
        story(&gateway)["held"].is_null().then_some(())
    });
}

#[test]
fn other_settings_are_another_version_and_get_another_chance() {
    let (folder, _origin) = folder("");
    let gateway = Running::start(&folder, &[]);
    fail(&folder, &gateway);
    folder.write(
        "plugin.yaml",
        plugin("  config: { now: well }\n").as_bytes(),
    );
    eventually("the changed version", || {
        (gateway.get("/").status() == 202).then_some(())
    });
}

#[test]
fn killed_at_any_moment_around_a_rollback_it_serves_the_good_version_in_the_end() {
    let (folder, _origin) = folder("");
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    for round in 0..8_u16 {
        folder.write("stamp.wasm", &version(201, WELL));
        let mut gateway = Running::start_with(folder.path(), &args);
        eventually("the good version", || {
            (gateway.get("/").status() == 201).then_some(())
        });
        let traffic = Traffic::start(gateway.address().expect("it listens"));
        traffic.more(201, 20);
        // Another bad one each round, of another digest.
        folder.write("stamp.wasm", &version(210 + round, "unreachable"));
        // Another moment each round, from before it serves to after it was taken back.
        match round {
            0 => {}
            // The rollback may be quicker than this look.
            1..4 => eventually("requests that it answers", || {
                (traffic.count(503) >= usize::from(round)).then_some(())
            }),
            _ => {
                rolled_back(&gateway);
            }
        }
        gateway.kill();
        drop(traffic);
        let gateway = Running::start_with(folder.path(), &args);
        let traffic = Traffic::start(gateway.address().expect("it listens"));
        let story = rolled_back(&gateway);
        traffic.more(201, 20);
        assert_eq!(story["held"]["reason"], "RolledBack", "{round}: {story}");
        drop(traffic.end());
    }
}

#[test]
fn a_history_that_is_damaged_begins_anew_and_nothing_else_is_lost() {
    let (folder, _origin) = folder("");
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let mut gateway = Running::start_with(folder.path(), &args);
    folder.write("stamp.wasm", &version(202, WELL));
    eventually("the second version", || {
        (gateway.get("/").status() == 202).then_some(())
    });
    eventually("its history", || {
        let history = gateway.json("/plugins/default/stamp/history");
        (history["versions"].as_array()?.len() == 2).then_some(())
    });
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));
    for entry in std::fs::read_dir(state.path().join("history")).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|end| end == "json") {
            let mut bytes = std::fs::read(&path).expect("readable");
            bytes.truncate(bytes.len() - 7);
            std::fs::write(&path, bytes).expect("written");
        }
    }
    let gateway = Running::start_with(folder.path(), &args);
    gateway.logs("the history of a plugin begins anew");
    assert_eq!(gateway.get("/").status(), 202);
    let history = gateway.json("/plugins/default/stamp/history");
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(1));
}
