//! `tidegate check`, `schema` and `crds` as operators meet them.

use serde_json::Value;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::backend;
use crate::process::finish;
use crate::process::route;
use crate::process::tidegate;

fn check(folder: &Folder, args: &[&str]) -> (Option<i32>, String, String) {
    finish(
        tidegate()
            .arg("check")
            .arg("-c")
            .arg(folder.path())
            .args(args),
    )
}

fn origin() -> std::net::SocketAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], 9))
}

/// Ten mistakes over two files, with their lines and columns.
pub(crate) fn ten_mistakes() -> (Folder, [(&'static str, u32, u32); 10]) {
    let gateway = r#"apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: tidegate
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners:
    - { name: http, port: 0, protocol: HTTP }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: second }
spec:
  gatewayClassName: tidegate
  listeners:
    - { name: http, port: 99999, protocol: HTTP }
---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: apples }
spec: { endpoints: [{ address: "127.0.0.1:9" }] }
---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: pears }
spec: { endpoints: [{ address: "nowhere" }] }
---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: lost }
spec: { source: { file: ./lost.wasm } }
"#;
    let routes = r#"apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: good }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - backendRefs: [{ group: tidegate.dev, kind: Backend, name: apples }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: typo }
spec:
  parentRefs: [{ name: egde }]
  rules:
    - backendRefs: [{ group: tidegate.dev, kind: Backend, name: aples }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: types }
spec:
  parentRefs: [{ name: edge }]
  rulez: []
  rules:
    - matches: [{ path: { type: Prefix, value: /a } }]
    - backendRefs: [{ group: tidegate.dev, kind: Backend, name: apples, weight: -5 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: paths }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: no-slash } }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: twice, name: again }
spec: {}
"#;
    let expected = [
        ("gateway.yaml", 16, 27),
        ("gateway.yaml", 26, 32),
        ("gateway.yaml", 31, 25),
        ("routes.yaml", 13, 24),
        ("routes.yaml", 15, 65),
        ("routes.yaml", 22, 3),
        ("routes.yaml", 24, 33),
        ("routes.yaml", 25, 81),
        ("routes.yaml", 33, 52),
        ("routes.yaml", 37, 26),
    ];
    let folder = Folder::of(&[("gateway.yaml", gateway), ("routes.yaml", routes)]);
    (folder, expected)
}

#[test]
fn ten_mistakes_are_reported_at_once_where_they_stand() {
    let (folder, expected) = ten_mistakes();
    let (code, out, err) = check(&folder, &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    for (file, line, column) in expected {
        let place = format!("{}:{line}:{column}: error: ", folder.file(file).display());
        assert!(out.contains(&place), "{place} is not in\n{out}");
    }
    let (code, out, _) = check(&folder, &["--format", "json"]);
    assert_eq!(code, Some(1));
    let page: Value = serde_json::from_str(&out).expect("JSON");
    let found: Vec<_> = page["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["severity"] == "error")
        .map(|one| {
            let file = one["file"]
                .as_str()
                .and_then(|path| path.rsplit('/').next());
            (
                file.map(str::to_owned),
                one["line"].as_u64(),
                one["column"].as_u64(),
            )
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(file, line, column)| {
            (
                Some((*file).to_owned()),
                Some(u64::from(*line)),
                Some(u64::from(*column)),
            )
        })
        .collect();
    assert_eq!(found, expected, "{out}");
}

#[test]
fn good_files_are_praised_and_warnings_are_no_failure() {
    let good = [
        ("a.yaml", GATEWAY.to_owned()),
        ("b.yaml", route("apples")),
        ("c.yaml", backend("apples", origin())),
    ];
    let good: Vec<(&str, &str)> = good
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let folder = Folder::of(&good);
    let (code, out, err) = check(&folder, &[]);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "3 resources, no problems\n"),
        "{err}"
    );
    folder.write(
        "d.yaml",
        b"apiVersion: example.test/v1\nkind: Cake\nmetadata: { name: x }\n",
    );
    let (code, out, _) = check(&folder, &[]);
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("warning: ") && out.contains("0 errors, 1 warning"),
        "{out}"
    );
}

#[test]
fn plugins_are_compiled_and_configured_and_their_refusal_stands_at_their_configuration() {
    let plugin = "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: picky }
spec:
  source: { file: picky.wasm }
  config: { a: 1 }
";
    let folder = Folder::of(&[("a.yaml", GATEWAY), ("p.yaml", plugin)]);
    let place = folder.file("p.yaml").display().to_string();
    let cases: [(&[u8], String); 3] = [
        (b"#!/bin/sh", format!("{place}:5:19: error: ")),
        (&picky(0), format!("{place}:6:11: error: ")),
        (&picky(1), String::new()),
    ];
    for (code, expected) in cases {
        folder.write("picky.wasm", code);
        let (exit, out, err) = check(&folder, &[]);
        assert_eq!(exit, Some(i32::from(!expected.is_empty())), "{out}{err}");
        assert!(out.contains(&expected), "{expected} is not in {out}");
    }
}

/// A filter that refuses its configuration and quotes this.
pub(crate) fn quoting(text: &str) -> Vec<u8> {
    let length = text.len();
    let text = format!(
        r#"(module
            (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 16) "{text}")
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                (drop (call $log (i32.const 4) (i32.const 16) (i32.const {length})))
                (i32.const 0)))"#
    );
    wat::parse_str(text).expect("WAT")
}

#[test]
fn what_a_plugin_says_about_its_configuration_is_shown() {
    let plugin = "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: picky }
spec: { source: { file: picky.wasm } }
";
    let folder = Folder::of(&[("a.yaml", GATEWAY), ("p.yaml", plugin)]);
    folder.write("picky.wasm", &quoting("no 'key' here"));
    let (exit, out, err) = check(&folder, &[]);
    assert_eq!(exit, Some(1), "{out}{err}");
    let expected = "it refused its configuration; it said: no 'key' here";
    assert!(out.contains(expected), "{out}");
}

/// A filter whose configuration is accepted or not.
pub(crate) fn picky(answer: i32) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const {answer})))"#
    );
    wat::parse_str(text).expect("WAT")
}

#[test]
fn nothing_to_read_is_a_problem_and_wrong_flags_are_wrong_usage() {
    let empty = Folder::of(&[]);
    let (code, out, err) = check(&empty, &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    let (code, out, _) = finish(tidegate().args(["check", "-c", "/nowhere/at/all.yaml"]));
    assert_eq!(code, Some(1));
    assert!(out.contains("/nowhere/at/all.yaml"), "{out}");
    for args in [
        &["check"][..],
        &["run"],
        &["check", "-c", "x", "--format", "xml"],
        &["run", "-c", "x", "--admin", "here"],
        &["run", "-c", "x", "--workers", "0"],
    ] {
        let (code, _, err) = finish(tidegate().args(args));
        assert_eq!(code, Some(2), "{args:?}: {err}");
    }
}

#[test]
fn schema_and_crds_are_printed() {
    let (code, out, err) = finish(tidegate().arg("schema"));
    assert_eq!(code, Some(0), "{err}");
    let schema: Value = serde_json::from_str(&out).expect("JSON");
    assert!(schema.get("$schema").is_some());
    let (code, out, err) = finish(tidegate().arg("crds"));
    assert_eq!(code, Some(0), "{err}");
    let definitions = out.matches("kind: CustomResourceDefinition").count();
    let kinds = [
        "Plugin",
        "Backend",
        "BackendPolicy",
        "Certificate",
        "TrafficPolicy",
        "Telemetry",
    ];
    assert_eq!(definitions, kinds.len(), "{out}");
    for kind in kinds {
        assert!(out.contains(&format!("kind: {kind}\n")), "{kind}");
    }
}
