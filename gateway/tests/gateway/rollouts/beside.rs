//! Rollouts beside other things: two at once, registries that vanish, starts with a broken canary.

use tidegate_testkit::Registry;

use super::*;

/// A Plugin with a canary, of the files `NAME.wasm` and `NAME-next.wasm`.
fn named(name: &str, rollout: &str) -> String {
    plugin(rollout)
        .replace("name: tag }", &format!("name: {name} }}"))
        .replace("stable.wasm", &format!("{name}.wasm"))
        .replace("canary.wasm", &format!("{name}-next.wasm"))
}

/// A filter that says which version it is, in a header `x-NAME` of the response; names have one letter.
fn saying(name: char, version: &str) -> Wasm {
    let body = format!(
        r#"(data (i32.const 0) "x-{name}{version}")
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $add (i32.const 2) (i32.const 0) (i32.const 3) (i32.const 3) (i32.const 2)))
            (i32.const 0))"#
    );
    Wasm::wat("saying", ADD, &body)
}

/// Whether a user gets the canary of a plugin while it has that share.
fn is_dealt(plugin: &str, user: u32, share: u8) -> bool {
    let key = Key::Header("x-user".parse().expect("a name"));
    let split = Split::new(&format!("default/{plugin}"), Some(key));
    let mut headers = HeaderMap::new();
    headers.insert("x-user", HeaderValue::from(user));
    let bucket = split.bucket(&headers, IpAddr::from([127, 0, 0, 1]), 0);
    bucket.version(Share::percent(share)) == Version::Canary
}

/// The phase of the rollout of a plugin.
fn phase_of(gateway: &Running, plugin: &str) -> Option<String> {
    let page = gateway.json("/plugins");
    let mut plugins = page.get("plugins")?.as_array()?.iter();
    let name = format!("default/{plugin}");
    let found = plugins.find(|one| one["name"] == name.as_str())?;
    found.pointer("/rollout/phase")?.as_str().map(str::to_owned)
}

#[test]
fn two_rollouts_at_once_each_deal_their_own_clients_and_each_ends_rightly() {
    let origin = Origin::answers(200, "ok");
    let steps = "steps: [50, 100]\n    interval: 1s\n    minRequests: 10";
    let files = files(&origin, &tagging("v2"), steps);
    std::fs::remove_file(files.file("plugin.yaml")).expect("removed");
    files.write("a.yaml", named("a", "weight: 50").as_bytes());
    files.write("b.yaml", named("b", "weight: 50").as_bytes());
    for (name, file, version) in [
        ('a', "a.wasm", "v1"),
        ('a', "a-next.wasm", "v2"),
        ('b', "b.wasm", "v1"),
        ('b', "b-next.wasm", "v2"),
    ] {
        files.write(file, saying(name, version).module());
    }
    let gateway = Running::start(&files, &[]);
    let mut client = Client::connect(gateway.address().expect("it listens"));
    let mut met = [[0; 2]; 2];
    for user in 0..400 {
        let answer = get(&mut client, user);
        let has = ["a", "b"].map(|name| answer.field(&format!("x-{name}")) == Some("v2"));
        let dealt = ["a", "b"].map(|name| is_dealt(name, user, 50));
        assert_eq!(has, dealt, "{user}");
        met[usize::from(has[0])][usize::from(has[1])] += 1;
    }
    // Independently of each other: about a hundred of each kind.
    assert!(
        met.iter().flatten().all(|count| (60..140).contains(count)),
        "{met:?}"
    );

    // One is good, one is not.
    files.write("a-next.wasm", trapping().module());
    files.write("a.yaml", named("a", steps).as_bytes());
    files.write("b.yaml", named("b", steps).as_bytes());
    let is_over = || {
        let mut client = Client::connect(gateway.address()?);
        for user in 0..50 {
            get(&mut client, user);
        }
        let phases = [phase_of(&gateway, "a")?, phase_of(&gateway, "b")?];
        (phases == ["Aborted", "Promoted"]).then_some(())
    };
    eventually("both to be over", is_over);
    let mut client = Client::connect(gateway.address().expect("it listens"));
    for user in 0..100 {
        let answer = get(&mut client, user);
        assert_eq!(answer.field("x-a"), Some("v1"), "{user}");
        assert_eq!(answer.field("x-b"), Some("v2"), "{user}");
    }
}

/// A Plugin whose canary is of a registry.
fn pulled(registry: &Registry) -> String {
    let source = format!("{{ oci: \"{}\" }}", registry.reference("next:1"));
    plugin("steps: [25, 100]").replace("{ file: canary.wasm }", &source)
}

#[test]
fn a_canary_whose_registry_is_away_waits_and_one_that_was_pulled_stays() {
    let origin = Origin::answers(200, "ok");
    let registry = Registry::start();
    registry.put("next", "1", tagging("v2").module());
    registry.set_down(true);
    let files = files(&origin, &tagging("v2"), "weight: 5");
    files.write("plugin.yaml", pulled(&registry).as_bytes());
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let cache = folder.path().join("cache");
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let args = [
        "--state-dir",
        &text(&state),
        "--plugin-cache",
        &text(&cache),
    ];

    // Before its first pull: everybody has the stable version, and nobody waits for it.
    let gateway = Running::start_with(files.path(), &args);
    assert_eq!(gateway.admin("GET /ready").status(), 200);
    assert_eq!(with_canary(&gateway), [0_u32; 0]);
    let told = rollout(&gateway);
    assert_eq!(told.get("phase"), Some(&Value::from("Waiting")), "{told}");
    assert!(told["why"].as_str().is_some(), "{told}");

    // It comes.
    registry.set_down(false);
    gateway.admin("POST /reload");
    eventually("the canary", || {
        (with_canary(&gateway) == expected(25)).then_some(())
    });
    order(&gateway, "hold", 200);

    // It is away again, and everything is asked for anew.
    registry.set_down(true);
    gateway.admin("POST /reload");
    assert_eq!(with_canary(&gateway), expected(25));
    drop(gateway); // Killed.
    let gateway = Running::start_with(files.path(), &args);
    assert_eq!(with_canary(&gateway), expected(25), "from the cache");
    assert_eq!(rollout(&gateway).get("phase"), Some(&Value::from("Held")));

    // Not even the cache has it.
    drop(gateway);
    std::fs::remove_dir_all(&cache).expect("removed");
    let gateway = Running::start_with(files.path(), &args);
    assert_eq!(with_canary(&gateway), expected(25), "from the state folder");
    drop(gateway);
    std::fs::remove_dir_all(&cache).expect("removed");
    std::fs::remove_dir_all(state.join("modules")).expect("removed");
    let gateway = Running::start_with(files.path(), &args);
    assert_eq!(with_canary(&gateway), [0_u32; 0]);
    assert_eq!(
        rollout(&gateway).get("phase"),
        Some(&Value::from("Waiting"))
    );
    registry.set_down(false);
    gateway.admin("POST /reload");
    eventually("the same share", || {
        (with_canary(&gateway) == expected(25)).then_some(())
    });
    assert_eq!(rollout(&gateway).get("phase"), Some(&Value::from("Held")));
}

#[test]
fn a_start_with_a_broken_canary_serves_the_stable_version_and_check_says_what_is_wrong() {
    let origin = Origin::answers(200, "ok");
    let broken = Wasm::wat("broken", "", "(start $go) (func $go (unreachable))");
    let files = files(&origin, &broken, "steps: [25, 100]");
    let is_broken = |module: &[u8]| {
        files.write("canary.wasm", module);
        let gateway = Running::start(&files, &[]);
        assert_eq!(with_canary(&gateway), [0_u32; 0]);
        let told = rollout(&gateway);
        assert_eq!(told.get("phase"), Some(&Value::from("Waiting")), "{told}");
        let path = files.path().to_str().expect("text").to_owned();
        let (code, out, _) = finish(tidegate().args(["check", "-c", &path]));
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains("plugin.yaml:9:"), "{out}");
        gateway
    };
    drop(is_broken(broken.module()));
    let gateway = is_broken(b"no module");
    files.write("canary.wasm", tagging("v2").module());
    eventually("the repaired canary", || {
        (with_canary(&gateway) == expected(25)).then_some(())
    });
    drop(gateway);

    // A broken stable version is another matter.
    files.write("stable.wasm", broken.module());
    let path = files.path().to_str().expect("text").to_owned();
    let mut command = tidegate();
    command.args(["run", "-c", &path, "--state-dir", "off", "--admin", "off"]);
    let (code, _, err) = finish(&mut command);
    assert_eq!(code, Some(1), "{err}");
}

#[test]
fn the_history_of_a_canary_is_told_and_says_how_its_rollout_stands() {
    let origin = Origin::answers(200, "ok");
    let files = files(&origin, &tagging("v2"), "steps: [25, 100]");
    let gateway = Running::start(&files, &[]);
    order(&gateway, "abort", 200);
    let command = |args: &[&str]| {
        let admin = gateway.admin_address().to_string();
        finish(
            tidegate()
                .arg("plugin")
                .args(args)
                .args(["--admin", &admin]),
        )
    };
    let (code, out, err) = command(&["history", "tag@canary"]);
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[1].contains("is the canary"), "{out}");
    assert_eq!(lines[2], "its rollout is Aborted: by hand", "{out}");
    let (code, out, err) = command(&["history", "other@canary"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        err.contains("no plugin is called default/other@canary"),
        "{err}"
    );
    let answer = gateway.admin("POST /plugins/default/tag@canary/rollback");
    assert_eq!(answer.status(), 409);
    assert!(answer.text().contains("is a canary"), "{}", answer.text());
}
