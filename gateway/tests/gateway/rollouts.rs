//! Canaries of filters in a gateway that runs: who gets them, what is counted, how they end.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderValue;
use serde_json::Value;
use tidegate_core::rollout::split::Key;
use tidegate_core::rollout::split::Share;
use tidegate_core::rollout::split::Split;
use tidegate_core::rollout::split::Version;
use tidegate_testkit::Client;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::filters::ADD;
use crate::filters::ANSWER;
use crate::process::Folder;
use crate::process::Running;
use crate::process::backend;
use crate::process::finish;
use crate::process::tidegate;

#[path = "rollouts/beside.rs"]
mod beside;
#[path = "rollouts/criteria.rs"]
mod criteria;
#[path = "rollouts/webhooks.rs"]
mod webhooks;

/// A filter that says which version it is, in a header of the response.
fn tagging(version: &str) -> Wasm {
    let body = format!(
        r#"(data (i32.const 0) "x-version{version}")
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $add (i32.const 2) (i32.const 0) (i32.const 9) (i32.const 9) (i32.const 2)))
            (i32.const 0))"#
    );
    Wasm::wat("tagging", ADD, &body)
}

/// A filter that answers everything with 403.
fn denying() -> Wasm {
    let body = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#;
    Wasm::wat("denying", ANSWER, body)
}

/// A filter that traps.
fn trapping() -> Wasm {
    let body = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (unreachable))"#;
    Wasm::wat("trapping", "", body)
}

/// A Plugin with a canary.
fn plugin(rollout: &str) -> String {
    format!(
        r#"
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: tag }}
spec:
  source: {{ file: stable.wasm }}
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]
  rollout:
    canary: {{ source: {{ file: canary.wasm }} }}
    key: {{ header: x-user }}
    {rollout}
"#
    )
}

/// Two versions beside each other, before an origin.
fn files(origin: &Origin, canary: &Wasm, rollout: &str) -> Folder {
    let folder = Folder::before(origin, &[("plugin.yaml", &plugin(rollout))]);
    folder.write("stable.wasm", tagging("v1").module());
    folder.write("canary.wasm", canary.module());
    folder
}

/// Whether a user gets the canary while it has that share.
fn has_canary(user: u32, share: u8) -> bool {
    let split = Split::new(
        "default/tag",
        Some(Key::Header("x-user".parse().expect("a name"))),
    );
    let mut headers = HeaderMap::new();
    headers.insert("x-user", HeaderValue::from(user));
    let bucket = split.bucket(&headers, IpAddr::from([127, 0, 0, 1]), 0);
    bucket.version(Share::percent(share)) == Version::Canary
}

/// The request of a user.
fn get(client: &mut Client, user: u32) -> Message {
    client.send(format!(
        "GET / HTTP/1.1\r\nhost: shop.test\r\nx-user: {user}\r\n\r\n"
    ));
    client.response()
}

/// Requests of users 0 to 199: which of them met the version `v2`.
fn with_canary(gateway: &Running) -> Vec<u32> {
    let mut client = Client::connect(gateway.address().expect("it listens"));
    let mut users = Vec::new();
    for user in 0..200 {
        let answer = get(&mut client, user);
        assert_eq!(answer.status(), 200);
        match answer.field("x-version") {
            Some("v2") => users.push(user),
            other => assert_eq!(other, Some("v1")),
        }
    }
    users
}

/// The users who get the canary while it has that share.
fn expected(share: u8) -> Vec<u32> {
    (0..200).filter(|user| has_canary(*user, share)).collect()
}

/// What /plugins says of the rollout.
fn rollout(gateway: &Running) -> Value {
    let page = gateway.json("/plugins");
    let mut plugins = page
        .get("plugins")
        .and_then(Value::as_array)
        .expect("a list")
        .iter();
    let tag = plugins.find(|one| one.get("name").and_then(Value::as_str) == Some("default/tag"));
    tag.and_then(|tag| tag.get("rollout"))
        .cloned()
        .unwrap_or(Value::Null)
}

/// Waits for the rollout to be in a phase; meanwhile requests come.
#[track_caller]
fn reaches(gateway: &Running, phase: &str) -> Value {
    eventually(&format!("the phase {phase}"), || {
        let mut client = Client::connect(gateway.address()?);
        for user in 0..50 {
            get(&mut client, user);
        }
        let rollout = rollout(gateway);
        (rollout.get("phase")? == phase).then_some(rollout)
    })
}

#[track_caller]
fn order(gateway: &Running, what: &str, status: u16) -> String {
    let answer = gateway.admin(&format!("POST /plugins/default/tag/rollout/{what}"));
    assert_eq!(answer.status(), status, "{what}: {}", answer.text());
    answer.text()
}

#[test]
fn clients_keep_their_version_and_raising_the_share_moves_nobody_back() {
    let origin = Origin::answers(200, "ok");
    let files = files(&origin, &tagging("v2"), "weight: 5");
    let gateway = Running::start(&files, &[]);
    for (weight, generation) in [(5, 1), (25, 2), (50, 3), (100, 4)] {
        if generation > 1 {
            let weight = format!("weight: {weight}");
            files.write("plugin.yaml", plugin(&weight).as_bytes());
            gateway.logs(&format!("generation {generation} serves"));
        }
        assert_eq!(with_canary(&gateway), expected(weight), "at {weight}");
        assert_eq!(with_canary(&gateway), expected(weight), "again");
        let share = gateway.metric("tidegate_plugin_rollout_share{plugin=\"default/tag\"}");
        assert_eq!(share, Some(f64::from(weight) / 100.0));
    }
}

#[test]
fn a_good_canary_goes_through_its_steps_and_takes_over() {
    let origin = Origin::answers(200, "ok");
    let steps = "steps: [25, 100]\n    interval: 1s\n    minRequests: 10";
    let files = files(&origin, &tagging("v2"), steps);
    let gateway = Running::start(&files, &[]);
    assert_eq!(with_canary(&gateway), expected(25));
    reaches(&gateway, "Promoted");
    gateway.logs("the canary gets 100 % of the streams, after 25 %");
    gateway.logs("rollout of plugin default/tag: promoted: the canary gets all streams");
    assert_eq!(with_canary(&gateway).len(), 200);
    let events = "tidegate_plugin_rollout_events_total{plugin=\"default/tag\",event=\"promoted\"}";
    assert_eq!(gateway.metric(events), Some(1.0));

    // The resource says the same, and nothing changes for anybody.
    let over = plugin("weight: 5").replace("stable.wasm", "canary.wasm");
    let over = over.split("  rollout:").next().expect("a part").to_owned();
    files.write("plugin.yaml", over.as_bytes());
    gateway.logs("generation 2 serves");
    assert_eq!(with_canary(&gateway).len(), 200);
    assert_eq!(rollout(&gateway), Value::Null);
}

#[test]
fn a_canary_that_traps_is_taken_back_and_stays_away_over_a_kill() {
    let origin = Origin::answers(200, "ok");
    let files = files(&origin, &trapping(), "steps: [50, 100]");
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let gateway = Running::start_with(files.path(), &args);
    let ended = reaches(&gateway, "Aborted");
    let why = ended.get("why").and_then(Value::as_str).expect("a reason");
    assert!(why.starts_with("trapRate: faults in "), "{why}");
    gateway.logs("aborted, the canary gets no more streams: trapRate");
    assert_eq!(
        with_canary(&gateway),
        [0_u32; 0],
        "all get the stable version"
    );

    drop(gateway); // Killed.
    let gateway = Running::start_with(files.path(), &args);
    assert_eq!(with_canary(&gateway), [0_u32; 0]);
    assert_eq!(
        rollout(&gateway).get("phase"),
        Some(&Value::from("Aborted"))
    );

    // Another canary is another rollout.
    files.write("canary.wasm", tagging("v2").module());
    gateway.logs("begins anew with 50 % of the streams: the canary has changed");
    assert_eq!(with_canary(&gateway), expected(50));
}

#[test]
fn an_aborted_canary_stays_away_also_if_the_stable_version_was_not_there_at_the_start() {
    let origin = Origin::answers(200, "ok");
    let files = files(&origin, &trapping(), "steps: [50, 100]");
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let gateway = Running::start_with(files.path(), &args);
    reaches(&gateway, "Aborted");
    drop(gateway); // Killed.

    // Of its state no more is left, and the file of the stable version is broken.
    let kept = std::fs::read(state.path().join("rollouts.json")).expect("kept");
    let state = tempfile::tempdir().expect("a folder");
    std::fs::write(state.path().join("rollouts.json"), kept).expect("written");
    files.write("stable.wasm", b"no module");
    let folder = state.path().to_str().expect("text");
    let args = ["--state-dir", folder, "--allow-partial"];
    let gateway = Running::start_with(files.path(), &args);
    assert_eq!(rollout(&gateway), Value::Null, "nothing to compare with");
    files.write("stable.wasm", tagging("v1").module());
    let phase = eventually("the rollout", || rollout(&gateway).get("phase").cloned());
    assert_eq!(phase, Value::from("Aborted"));
    assert_eq!(with_canary(&gateway), [0_u32; 0]);
}

#[test]
fn a_canary_that_denies_is_taken_back() {
    let origin = Origin::answers(200, "ok");
    let files = files(&origin, &denying(), "steps: [50, 100]");
    let gateway = Running::start(&files, &["--access-log", "off"]);
    let ended = reaches(&gateway, "Aborted");
    let why = ended.get("why").and_then(Value::as_str).expect("a reason");
    assert!(why.starts_with("denyRateDelta: denied "), "{why}");
    assert_eq!(with_canary(&gateway), [0_u32; 0]);
}

#[test]
fn what_is_counted_is_what_happened() {
    let origin = Origin::answers(200, "ok");
    let files = files(
        &origin,
        &denying(),
        "weight: 50\n    abortOn: { denyRateDelta: 100% }",
    );
    let gateway = Running::start(&files, &[]);
    let mut client = Client::connect(gateway.address().expect("it listens"));
    let canaries = expected(50).len();
    for user in 0..200 {
        let denied = get(&mut client, user).status() == 403;
        assert_eq!(denied, has_canary(user, 50), "{user}");
    }
    let count = |version: &str, end: &str| {
        let labels = format!("plugin=\"default/tag\",version=\"{version}\",end=\"{end}\"");
        gateway.metric(&format!(
            "tidegate_plugin_rollout_streams_total{{{labels}}}"
        ))
    };
    eventually("the counts", || {
        let denied = count("canary", "denied")?;
        (denied == f64::from(u32::try_from(canaries).ok()?)).then_some(())
    });
    eventually("the others", || {
        let good = count("stable", "good")?;
        (good == f64::from(u32::try_from(200 - canaries).ok()?)).then_some(())
    });
    for (version, end) in [
        ("canary", "good"),
        ("canary", "fault"),
        ("stable", "denied"),
    ] {
        assert_eq!(count(version, end), Some(0.0), "{version} {end}");
    }
}

#[test]
fn orders_by_hand_do_what_they_say() {
    let origin = Origin::answers(200, "ok");
    let files = files(&origin, &tagging("v2"), "steps: [25, 100]");
    let gateway = Running::start(&files, &[]);
    assert_eq!(
        order(&gateway, "resume", 409),
        "not done: it is neither held nor aborted\n"
    );
    order(&gateway, "hold", 200);
    assert_eq!(rollout(&gateway).get("phase"), Some(&Value::from("Held")));
    assert_eq!(with_canary(&gateway), expected(25));
    order(&gateway, "promote", 200);
    assert_eq!(with_canary(&gateway).len(), 200);
    order(&gateway, "abort", 200);
    assert_eq!(with_canary(&gateway), [0_u32; 0]);
    order(&gateway, "promote", 409);
    order(&gateway, "resume", 200);
    assert_eq!(with_canary(&gateway), expected(25));

    let command = |what: &str, name: &str| {
        let admin = gateway.admin_address().to_string();
        finish(tidegate().args(["plugin", what, name, "--admin", &admin]))
    };
    let (code, said, _) = command("hold", "tag");
    assert_eq!(code, Some(0));
    assert_eq!(
        said,
        "default/tag: held: the canary keeps 25 % of the streams\n"
    );
    assert_eq!(command("resume", "default/tag").0, Some(0));
    let (code, _, err) = command("promote", "other");
    assert_eq!(code, Some(1));
    assert!(
        err.contains("the plugin default/other has no rollout"),
        "{err}"
    );
    let unknown = gateway.admin("POST /plugins/default/other/rollout/hold");
    assert_eq!(unknown.status(), 404);
    assert_eq!(
        gateway
            .admin("GET /plugins/default/tag/rollout/hold")
            .status(),
        405
    );
    assert_eq!(
        gateway
            .admin("POST /plugins/default/tag/rollout/other")
            .status(),
        404
    );
}

#[test]
fn a_canary_that_does_not_start_leaves_the_stable_version_alone() {
    let origin = Origin::answers(200, "ok");
    let broken = Wasm::wat("broken", "", "(start $go) (func $go (unreachable))");
    let files = files(&origin, &broken, "steps: [25, 100]");
    let gateway = Running::start(&files, &["--allow-partial"]);
    assert_eq!(with_canary(&gateway), [0_u32; 0]);
    let told = rollout(&gateway);
    assert_eq!(told.get("phase"), Some(&Value::from("Waiting")));
    assert!(told.get("why").and_then(Value::as_str).is_some(), "{told}");
    assert_eq!(
        order(&gateway, "promote", 409),
        "not done: the canary is not ready\n"
    );
    files.write("canary.wasm", tagging("v2").module());
    eventually("the repaired canary", || {
        (with_canary(&gateway) == expected(25)).then_some(())
    });
}

#[test]
fn other_edits_keep_the_share_and_streams_go_on() {
    let origin = Origin::answers(200, "ok");
    let files = files(&origin, &tagging("v2"), "steps: [25, 100]");
    let gateway = Running::start(&files, &[]);
    let more = backend("pears", origin.address());
    files.write("pears.yaml", more.as_bytes());
    gateway.logs("generation 2 serves");
    assert_eq!(with_canary(&gateway), expected(25));
    assert_eq!(
        rollout(&gateway).get("phase"),
        Some(&Value::from("Running"))
    );
    let started = "tidegate_plugin_rollout_events_total{plugin=\"default/tag\",event=\"started\"}";
    assert_eq!(gateway.metric(started), Some(1.0), "it did not begin anew");
}

#[test]
fn a_kill_at_any_step_loses_nothing() {
    let origin = Origin::answers(200, "ok");
    let steps = "steps: [25, 50, 75, 100]\n    interval: 1s\n    minRequests: 10";
    let files = files(&origin, &tagging("v2"), steps);
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let mut gateway = Running::start_with(files.path(), &args);
    let mut reached = 0;
    while reached < 75 {
        eventually("another step", || {
            with_canary(&gateway);
            let now = rollout(&gateway).get("reached")?.as_f64()?;
            (now > f64::from(reached)).then_some(())
        });
        order(&gateway, "hold", 200);
        let told = rollout(&gateway).get("reached").and_then(Value::as_f64);
        let mut steps = [25_u8, 50, 75, 100].into_iter();
        let held = steps.find(|step| Some(f64::from(*step)) == told);
        let held = held.expect("a step");
        drop(gateway); // Killed.
        gateway = Running::start_with(files.path(), &args);
        assert_eq!(with_canary(&gateway), expected(held), "after {held}");
        assert_eq!(rollout(&gateway).get("phase"), Some(&Value::from("Held")));
        order(&gateway, "resume", 200);
        reached = held;
    }
    reaches(&gateway, "Promoted");
    drop(gateway);
    let gateway = Running::start_with(files.path(), &args);
    assert_eq!(with_canary(&gateway).len(), 200);
    assert_eq!(
        rollout(&gateway).get("phase"),
        Some(&Value::from("Promoted"))
    );
    let started = "tidegate_plugin_rollout_events_total{plugin=\"default/tag\",event=\"started\"}";
    assert_eq!(gateway.metric(started), None, "it went on");
}
