//! `mode: Shadow` of Plugin resources: what is refused and where, what is told, and the change to and fro.

use serde_json::Value;
use serde_json::json;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use super::answering;
use crate::process::Folder;
use crate::process::Running;
use crate::process::finish;
use crate::process::tidegate;

/// A Plugin on the Gateway with these further lines.
fn plugin(lines: &str) -> String {
    format!(
        r#"
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: deny }}
spec:
  source: {{ file: deny.wasm }}
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]
{lines}
"#
    )
}

fn files(origin: &Origin, lines: &str) -> Folder {
    let folder = Folder::before(origin, &[("plugin.yaml", &plugin(lines))]);
    folder.write("deny.wasm", answering("deny", 403).module());
    folder
}

/// What /plugins says about the plugin.
fn told(gateway: &Running) -> Value {
    let page = gateway.json("/plugins");
    page.pointer("/plugins/0").cloned().expect("a plugin")
}

#[test]
fn what_cannot_look_on_is_refused_at_its_place() {
    let origin = Origin::answers(200, "fine");
    for (lines, place, message) in [
        (
            "  mode: Shadow\n  rollout: { canary: { config: {} } }",
            "plugin.yaml:8:9",
            "a plugin that only looks on has no canary",
        ),
        ("  mode: Watch", "plugin.yaml:8:9", "Watch"),
        (
            "  mode: Shadow\n  allow: { backends: [apples], shadowBackends: [pears] }",
            "plugin.yaml:9:49",
            "`allow.backends` does not name `pears`",
        ),
        (
            "  mode: Shadow\n  shadow: { percent: 101 }",
            "plugin.yaml:9:22",
            "101",
        ),
        (
            "  mode: Shadow\n  shadow: { memory: 1Ki }",
            "plugin.yaml:9:21",
            "memory",
        ),
    ] {
        let folder = files(&origin, lines);
        let (code, out, _) = finish(tidegate().arg("check").arg("-c").arg(folder.path()));
        assert_eq!(code, Some(1), "{out}");
        let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(message), "{lines}: {out}");
        assert!(words.contains(place), "{lines}: {out}");
    }
    let connections = plugin("  mode: Shadow\n  type: Service").replace(
        "  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]\n",
        "",
    );
    let folder = files(&origin, "");
    folder.write("plugin.yaml", connections.as_bytes());
    let (code, out, _) = finish(tidegate().arg("check").arg("-c").arg(folder.path()));
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("only a filter of requests can look on"),
        "{out}"
    );
    assert!(out.contains("plugin.yaml:7:9"), "{out}");
}

#[test]
fn a_shadow_is_told_of_everywhere_and_acts_once_the_file_says_so() {
    let origin = Origin::answers(200, "fine");
    let folder = files(&origin, "  mode: Shadow");
    let gateway = Running::start(&folder, &[]);
    for at in 0..7 {
        let answer = gateway.get(&format!("/path-{at}?q=1"));
        assert_eq!((answer.status(), answer.text().as_str()), (200, "fine"));
    }
    let counted = |gateway: &Running| {
        eventually("seven differences", || {
            let told = told(gateway).pointer("/shadow").cloned()?;
            (told.pointer("/differed")? == 7).then_some(told)
        })
    };
    let shadow = counted(&gateway);
    assert_eq!(
        shadow,
        json!({
            "agreed": 0, "differed": 7, "faults": 0, "unknown": 0,
            "differences": {
                "deny": 7, "allow": 0, "status": 0, "request_headers": 0, "request_body": 0,
                "response_headers": 0, "response_body": 0, "route": 0,
            },
            "dropped": { "budget": 0, "concurrency": 0, "buffer": 0, "instance": 0 },
        })
    );
    let page = told(&gateway);
    assert_eq!(page.pointer("/mode"), Some(&json!("Shadow")));
    assert_eq!(page.pointer("/failurePolicy"), Some(&json!("FailOpen")));
    for (metric, value) in [
        (
            r#"tidegate_plugin_shadow_streams_total{plugin="default/deny",result="differed"}"#,
            7.0,
        ),
        (
            r#"tidegate_plugin_shadow_streams_total{plugin="default/deny",result="agreed"}"#,
            0.0,
        ),
        (
            r#"tidegate_plugin_shadow_differences_total{plugin="default/deny",kind="deny"}"#,
            7.0,
        ),
        (
            r#"tidegate_plugin_shadow_dropped_total{plugin="default/deny",reason="budget"}"#,
            0.0,
        ),
    ] {
        assert_eq!(gateway.metric(metric), Some(value), "{metric}");
    }
    let line = gateway.logs("shadow differed: would have answered 403, passed with 200");
    for part in [
        "default/deny",
        "request_id=",
        "method=\"GET\"",
        "path=/path-0?q=1",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    // What it uses is told apart from what it uses when it acts.
    eventually("its use", || {
        gateway.metric(r#"tidegate_plugin_instances{plugin="default/deny@shadow"}"#)
    });

    folder.write("plugin.yaml", plugin("  mode: Enforce").as_bytes());
    gateway.logs("generation 2 serves");
    assert_eq!(gateway.get("/").status(), 403);
    let page = told(&gateway);
    assert_eq!(page.pointer("/mode"), Some(&json!("Enforce")));
    assert_eq!(page.pointer("/shadow/differed"), Some(&json!(7)));
    folder.write("plugin.yaml", plugin("  mode: Shadow").as_bytes());
    gateway.logs("generation 3 serves");
    assert_eq!(gateway.get("/").status(), 200);
}

#[test]
fn a_shadow_that_cannot_be_had_refuses_nothing() {
    let origin = Origin::answers(200, "fine");
    let folder = files(&origin, "  mode: Shadow");
    std::fs::remove_file(folder.file("deny.wasm")).expect("it was there");
    let gateway = Running::start(&folder, &["--allow-partial"]);
    assert_eq!(gateway.get("/").text(), "fine");
    // Nor does one of which another field is wrong.
    let wrong = plugin("  mode: Shadow\n  isolation: Nobody");
    folder.write("plugin.yaml", wrong.as_bytes());
    gateway.logs("Nobody");
    assert_eq!(gateway.get("/").text(), "fine");
    // Once it is there it looks on.
    folder.write("deny.wasm", answering("deny", 403).module());
    folder.write("plugin.yaml", plugin("  mode: Shadow").as_bytes());
    eventually("a difference", || {
        assert_eq!(gateway.get("/").text(), "fine");
        let told = told(&gateway);
        (told.pointer("/shadow/differed")?.as_u64()? > 0).then_some(())
    });
}
