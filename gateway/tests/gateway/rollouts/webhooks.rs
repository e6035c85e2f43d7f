//! Those who are told of rollouts: what they are told, and that nothing waits for them.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use super::*;

/// Two versions before an origin, and receivers, each of a backend of its own.
fn told(origin: &Origin, receivers: &[(&str, SocketAddr)], rollout: &str) -> Folder {
    let files = files(origin, &tagging("v2"), rollout);
    for (name, address) in receivers {
        let text = backend(name, *address);
        files.write(&format!("{name}.yaml"), text.as_bytes());
    }
    files
}

/// What a receiver was told, in order.
fn notices(receiver: &Origin) -> Vec<Value> {
    let requests = receiver.requests().into_iter();
    requests
        .map(|request| serde_json::from_slice(&request.body).expect("JSON"))
        .collect()
}

/// The events that a receiver was told of, in order.
fn events(receiver: &Origin) -> Vec<String> {
    let text = |notice: &Value| notice.get("event")?.as_str().map(str::to_owned);
    notices(receiver).iter().filter_map(text).collect()
}

#[track_caller]
fn is_told(receiver: &Origin, expected: &[&str]) {
    eventually(&format!("{expected:?}"), || {
        (events(receiver) == expected).then_some(())
    });
}

/// How many attempts and notices ended so.
fn ended(gateway: &Running, result: &str) -> f64 {
    let labels = format!("plugin=\"default/tag\",result=\"{result}\"");
    let name = format!("tidegate_plugin_rollout_webhooks_total{{{labels}}}");
    gateway.metric(&name).unwrap_or_default()
}

fn waiting(gateway: &Running) -> Option<f64> {
    gateway.metric("tidegate_plugin_rollout_webhooks_waiting{plugin=\"default/tag\"}")
}

/// An address where nobody listens, and nobody else will: other tests have other addresses.
fn down() -> SocketAddr {
    let listener = TcpListener::bind(("127.77.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// A receiver at an address.
fn up(address: SocketAddr) -> Origin {
    Origin::script_at(address, |connection| {
        while connection.request().is_ok() {
            connection.send("HTTP/1.1 204 No Content\r\n\r\n")?;
        }
        Ok(())
    })
}

#[test]
fn receivers_are_told_of_each_event_in_order_with_what_there_is_to_know() {
    let origin = Origin::answers(200, "ok");
    let all = Origin::answers(200, "thank you");
    let some = Origin::answers(204, "");
    let rollout = "steps: [25, 100]
    interval: 1s
    minRequests: 10
    webhooks:
      - { backend: all, path: /rollouts?of=tag, host: hooks.test }
      - { backend: some, path: /, events: [promoted, aborted] }";
    let receivers = [("all", all.address()), ("some", some.address())];
    let files = told(&origin, &receivers, rollout);
    let gateway = Running::start(&files, &["--node-id", "gateway-7"]);
    order(&gateway, "hold", 200);
    order(&gateway, "resume", 200);
    reaches(&gateway, "Promoted");
    is_told(&all, &["started", "held", "resumed", "stepped", "promoted"]);
    is_told(&some, &["promoted"]);

    let request = all.requests().remove(0);
    assert_eq!(request.start, "POST /rollouts?of=tag HTTP/1.1");
    assert_eq!(request.field("host"), Some("hooks.test"));
    assert_eq!(request.field("content-type"), Some("application/json"));
    let host = some.only_request();
    assert_eq!(
        host.field("host"),
        Some(some.address().to_string().as_str())
    );

    let notices = notices(&all);
    let mut ids: Vec<&str> = notices.iter().filter_map(|it| it["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each has a name of its own: {ids:?}");
    let mut stepped = notices[3].clone();
    let digest = |version: &str| stepped[version]["digest"].clone();
    let digests = [digest("stable"), digest("canary")];
    assert_ne!(digests[0], digests[1]);
    assert!(
        digests
            .iter()
            .all(|it| it.as_str().map(str::len) == Some(64))
    );
    for unlike in ["id", "at"] {
        stepped[unlike] = Value::Null;
    }
    let expected = serde_json::json!({
        "id": null,
        "at": null,
        "gateway": "gateway-7",
        "plugin": { "namespace": "default", "name": "tag" },
        "event": "stepped",
        "phase": "Running",
        "share": 100.0,
        "previousShare": 25.0,
        "byHand": false,
        "message": "the canary gets 100 % of the streams, after 25 %",
        "why": null,
        "stable": { "digest": digests[0] },
        "canary": { "digest": digests[1] },
    });
    assert_eq!(stepped, expected);
    assert_eq!(notices[1]["byHand"], true, "held");
    assert_eq!(notices[4]["phase"], "Promoted");
    eventually("the count", || {
        (ended(&gateway, "delivered") == 6.0 && waiting(&gateway) == Some(0.0)).then_some(())
    });
    assert_eq!(ended(&gateway, "retried"), 0.0);
    // The path may be a secret.
    assert!(!gateway.log().iter().any(|line| line.contains("/rollouts")));
    assert!(
        !gateway
            .admin("GET /config_dump")
            .text()
            .contains("/rollouts")
    );
}

#[test]
fn an_abort_is_told_with_its_reason() {
    let origin = Origin::answers(200, "ok");
    let hooks = Origin::answers(200, "");
    let rollout = "steps: [50, 100]
    webhooks: [{ backend: hooks, path: /, events: [aborted] }]";
    let files = told(&origin, &[("hooks", hooks.address())], rollout);
    files.write("canary.wasm", trapping().module());
    let gateway = Running::start(&files, &[]);
    reaches(&gateway, "Aborted");
    is_told(&hooks, &["aborted"]);
    let notice = notices(&hooks).remove(0);
    let why = notice["why"].as_str().expect("a reason");
    assert!(why.starts_with("trapRate: faults in "), "{notice}");
    assert_eq!(notice["share"], 0.0, "{notice}");
    assert_eq!(notice["byHand"], false, "{notice}");
}

#[test]
fn a_receiver_that_is_down_is_told_all_once_it_is_back_and_the_rollout_does_not_wait() {
    let origin = Origin::answers(200, "ok");
    let address = down();
    let rollout = "steps: [25, 100]\n    webhooks: [{ backend: hooks, path: / }]";
    let files = told(&origin, &[("hooks", address)], rollout);
    let gateway = Running::start(&files, &[]);
    eventually("a failure", || {
        (ended(&gateway, "retried") >= 1.0).then_some(())
    });
    gateway.logs("backend default/hooks does not know of \"started\" yet, and is told again");
    order(&gateway, "hold", 200);
    assert_eq!(rollout_phase(&gateway), "Held");
    assert_eq!(with_canary(&gateway), expected(25));
    let waits = eventually("two that wait", || {
        let told = super::rollout(&gateway);
        (told.get("noticesWaiting")? == 2).then_some(told)
    });
    assert_eq!(waits.get("phase"), Some(&Value::from("Held")));
    let hooks = up(address);
    is_told(&hooks, &["started", "held"]);
    eventually("nothing that waits", || {
        (waiting(&gateway) == Some(0.0)).then_some(())
    });
    assert_eq!(ended(&gateway, "delivered"), 2.0);
    assert_eq!(ended(&gateway, "given_up"), 0.0);
}

fn rollout_phase(gateway: &Running) -> String {
    let phase = rollout(gateway);
    let phase = phase.get("phase").and_then(Value::as_str);
    phase.unwrap_or_default().to_owned()
}

#[test]
fn a_receiver_that_hangs_or_refuses_holds_up_neither_the_rollout_nor_another_receiver() {
    let origin = Origin::answers(200, "ok");
    let hangs = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let refusals = Arc::new(AtomicUsize::new(0));
    let refused = Arc::clone(&refusals);
    let refuses = Origin::script(move |connection| {
        while connection.request().is_ok() {
            // The first time only.
            let status = match refused.fetch_add(1, Ordering::SeqCst) {
                0 => "503 Later",
                _ => "202 Fine",
            };
            connection.send(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"))?;
        }
        Ok(())
    });
    let good = Origin::answers(200, "");
    let rollout = "steps: [25, 100]
    webhooks:
      - { backend: hangs, path: /, timeout: 200ms }
      - { backend: refuses, path: / }
      - { backend: good, path: / }";
    let receivers = [
        ("hangs", hangs.address()),
        ("refuses", refuses.address()),
        ("good", good.address()),
    ];
    let files = told(&origin, &receivers, rollout);
    let gateway = Running::start(&files, &[]);
    is_told(&good, &["started"]);
    gateway.logs("backend default/hangs does not know of \"started\" yet, and is told again: no answer in time");
    gateway.logs("backend default/refuses does not know of \"started\" yet, and is told again: it answered 503");
    order(&gateway, "promote", 200);
    assert_eq!(with_canary(&gateway).len(), 200);
    is_told(&good, &["started", "promoted"]);
    is_told(&refuses, &["started", "started", "promoted"]);
    let again = notices(&refuses);
    assert_eq!(again[0]["id"], again[1]["id"], "the same notice");
    eventually("another attempt", || {
        (hangs.connections() >= 2).then_some(())
    });
    assert!(events(&hangs).iter().all(|event| event == "started"));
}

#[test]
fn what_was_not_delivered_before_a_kill_is_delivered_after_it_and_nothing_twice() {
    let origin = Origin::answers(200, "ok");
    let address = down();
    let rollout = "steps: [25, 100]\n    webhooks: [{ backend: hooks, path: / }]";
    let files = told(&origin, &[("hooks", address)], rollout);
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let gateway = Running::start_with(files.path(), &args);
    order(&gateway, "hold", 200);
    drop(gateway); // Killed.
    let gateway = Running::start_with(files.path(), &args);
    assert_eq!(rollout_phase(&gateway), "Held");
    let hooks = up(address);
    is_told(&hooks, &["started", "held"]);
    let started = "tidegate_plugin_rollout_events_total{plugin=\"default/tag\",event=\"started\"}";
    assert_eq!(gateway.metric(started), None, "that was before the kill");
    eventually("it to be kept that all are told", || {
        let kept = std::fs::read_to_string(state.path().join("rollouts.json")).ok()?;
        (!kept.contains("\"notices\"")).then_some(())
    });
    drop(gateway); // Killed.
    let gateway = Running::start_with(files.path(), &args);
    order(&gateway, "resume", 200);
    is_told(&hooks, &["started", "held", "resumed"]);
}

#[test]
fn a_receiver_that_leaves_the_configuration_is_given_up_and_nothing_else_is_reached() {
    let origin = Origin::answers(200, "ok");
    let old = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let rollout = "steps: [25, 100]\n    webhooks: [{ backend: old, path: /, timeout: 100ms }]";
    let files = told(&origin, &[("old", old.address())], rollout);
    let gateway = Running::start(&files, &[]);
    eventually("a failure", || {
        (ended(&gateway, "retried") >= 1.0).then_some(())
    });
    let without = plugin("steps: [25, 100]");
    files.write("plugin.yaml", without.as_bytes());
    std::fs::remove_file(files.file("old.yaml")).expect("removed");
    gateway.logs("deleted: Backend default/old");
    let another = || {
        let before = ended(&gateway, "retried");
        eventually("another attempt", || {
            (ended(&gateway, "retried") > before).then_some(())
        });
    };
    // One may have been on its way.
    another();
    let asked = old.connections();
    another();
    assert_eq!(old.connections(), asked, "it is out of reach");
}

#[test]
fn a_receiver_whose_answer_has_a_body_without_end_is_told_once() {
    let origin = Origin::answers(200, "ok");
    let hooks = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfine")?;
        connection.wait_for_close()
    });
    let rollout = "steps: [25, 100]
    webhooks: [{ backend: hooks, path: /, timeout: 300ms }]";
    let files = told(&origin, &[("hooks", hooks.address())], rollout);
    let gateway = Running::start(&files, &[]);
    eventually("the first to be delivered or tried again", || {
        (ended(&gateway, "delivered") + ended(&gateway, "retried") >= 1.0).then_some(())
    });
    assert_eq!(ended(&gateway, "retried"), 0.0);
    order(&gateway, "hold", 200);
    is_told(&hooks, &["started", "held"]);
}

#[test]
fn nobody_is_told_of_what_cannot_be_kept_until_it_is() {
    let origin = Origin::answers(200, "ok");
    let hooks = Origin::answers(200, "");
    let rollout = "steps: [25, 100]\n    webhooks: [{ backend: hooks, path: / }]";
    let files = told(&origin, &[("hooks", hooks.address())], rollout);
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let gateway = Running::start_with(files.path(), &args);
    is_told(&hooks, &["started"]);
    eventually("nothing that waits, as it is kept", || {
        let kept = std::fs::read_to_string(state.path().join("rollouts.json")).ok()?;
        (!kept.contains("\"notices\"")).then_some(())
    });
    // Nothing can be put in its place.
    let kept = state.path().join("rollouts.json");
    std::fs::remove_file(&kept).expect("removed");
    std::fs::create_dir_all(kept.join("full")).expect("a folder");
    order(&gateway, "hold", 200);
    gateway.logs("a restart finds older states of rollouts, and nobody is told");
    order(&gateway, "resume", 200);
    eventually("two that wait", || {
        (waiting(&gateway) == Some(2.0)).then_some(())
    });
    assert_eq!(events(&hooks), ["started"]);
    std::fs::remove_dir_all(&kept).expect("removed");
    is_told(&hooks, &["started", "held", "resumed"]);
    gateway.logs("the states of rollouts are kept again");
}
