//! What a module says about itself (`tidegate.manifest`), and what follows for its plugin.

use serde_json::Value;
use serde_json::json;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::backend;
use crate::process::finish;
use crate::process::tidegate;

/// The section that holds a manifest, in WAT.
fn section(manifest: &Value) -> String {
    let text = manifest.to_string();
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("(@custom \"tidegate.manifest\" \"{text}\")")
}

/// A filter that ends at its start: whatever is said about it was found before.
fn never_starts(manifest: &Value) -> Vec<u8> {
    let section = section(manifest);
    let text = format!(
        r#"(module {section} (memory (export "memory") 1) (func $end unreachable) (start $end)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0)))"#
    );
    wat::parse_str(text).expect("WAT")
}

/// A filter that takes any configuration.
fn starts(section: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {section} (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0)))"#
    );
    wat::parse_str(text).expect("WAT")
}

fn limits() -> Value {
    json!({
        "name": "limit", "version": "1.0.0", "kind": "http",
        "configSchema": {
            "type": "object",
            "properties": {
                "idp": { "type": "string", "format": "tidegate-backend", "minLength": 1 },
                "limits": { "type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "requests": { "type": "integer", "minimum": 1 },
                        "window": { "type": "string", "format": "tidegate-duration" },
                    },
                    "required": ["requests"], "additionalProperties": false,
                } },
                "secret": { "type": "string", "writeOnly": true },
            },
            "required": ["limits"], "additionalProperties": false,
        },
    })
}

const PLUGIN: &str = "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: limit }
spec:
  source: { file: limit.wasm }
  allow: { backends: [auth] }
";

/// After the lines that problems are found in.
const TARGET: &str =
    "  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]\n";

/// The problems that `check` reports of a Plugin with these further lines, and whether it found any.
fn told(module: &[u8], lines: &str) -> (Option<i32>, Vec<String>) {
    let backend = backend("auth", ([127, 0, 0, 1], 9).into());
    let plugin = [PLUGIN, lines, TARGET].concat();
    let folder = Folder::of(&[
        ("a.yaml", GATEWAY),
        ("b.yaml", &backend),
        ("p.yaml", &plugin),
    ]);
    folder.write("limit.wasm", module);
    let (code, out, err) = finish(
        tidegate()
            .arg("check")
            .arg("-c")
            .arg(folder.path())
            .args(["--format", "json"]),
    );
    let page: Value = serde_json::from_str(&out).expect(&err);
    let problems = page
        .get("problems")
        .and_then(Value::as_array)
        .expect("a list")
        .iter();
    // It is attached to nothing, which is not what this is about.
    let problems = problems.filter(|problem| problem["reason"] != "NotAttached");
    let problems = problems.map(|problem| {
        let hint = problem["hint"].as_str().unwrap_or_default();
        format!(
            "{}:{} {} [{}] {hint}",
            problem["line"],
            problem["column"],
            problem["message"].as_str().unwrap_or_default(),
            problem["reason"].as_str().unwrap_or_default(),
        )
    });
    (code, problems.collect())
}

#[test]
fn a_configuration_is_checked_against_the_modules_schema_before_anything_runs() {
    let config = "  config:
    idp: oauth
    limits:
      - { requests: 100, window: 1s }
      - requests: many
        window: 3
      - { request: 1 }
    secret: 7
";
    let (code, problems) = told(&never_starts(&limits()), config);
    assert_eq!(
        problems,
        [
            "8:10 `config.idp` names the backend `oauth`, and `allow.backends` does not \
             [ConfigRefused] did you mean `auth`?",
            "11:19 `config.limits[1].requests` must be an integer, at least 1; \
             got the string \"many\" [ConfigRefused] ",
            "12:17 `config.limits[1].window` must be a duration such as \"2s\"; \
             got the integer 3 [ConfigRefused] ",
            "13:11 `config.limits[2]` has no field `request` \
             [ConfigRefused] did you mean `requests`?",
            "14:13 `config.secret` must be a string; got a number \
             [ConfigRefused] put it into quotes",
        ]
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_configuration_that_is_left_out_is_missing_what_the_module_requires() {
    let (code, problems) = told(&never_starts(&limits()), "");
    assert_eq!(
        problems,
        ["3:19 the field `limits` is missing in `config` [ConfigRefused] expected a sequence"]
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_configuration_that_fits_is_handed_to_the_module() {
    let config = "  config: { idp: auth, limits: [{ requests: 1 }] }\n";
    let fits = told(&starts(&section(&limits())), config);
    assert_eq!(fits, (Some(0), Vec::new()));
    let (code, problems) = told(&never_starts(&limits()), config);
    assert_eq!(code, Some(1));
    assert!(problems[0].contains("[NotStarted]"), "{problems:?}");
}

#[test]
fn a_broken_manifest_is_a_warning_and_the_plugin_serves() {
    let broken = "(@custom \"tidegate.manifest\" \"{\")";
    let (code, problems) = told(&starts(broken), "  config: { any: thing }\n");
    assert_eq!(
        problems,
        [
            "5:19 the module's manifest (`tidegate.manifest`) is not used: it is not what a manifest \
          is: EOF while parsing an object at line 1 column 1 [InvalidManifest] its configuration \
          is not checked before it starts"
        ]
    );
    assert_eq!(code, Some(0));
}

#[test]
fn a_need_that_nobody_knows_is_a_warning() {
    let tomorrow = section(&json!({ "needs": ["stopIteration", "timeTravel"] }));
    let (code, problems) = told(&starts(&tomorrow), "");
    assert_eq!(
        problems,
        [
            "5:19 the module needs \"timeTravel\", which this gateway does not know \
          [InvalidManifest] it may want a newer version of Tidegate"
        ]
    );
    assert_eq!(code, Some(0));
}

#[test]
fn a_filter_of_connections_is_no_filter_of_requests() {
    let network = json!({ "kind": "network" });
    let (_, problems) = told(&never_starts(&network), "");
    assert_eq!(
        problems,
        ["5:19 the module filters connections, not requests [InvalidModule] set `type: Network`"]
    );
    let (_, problems) = told(
        &never_starts(&json!({ "kind": "http" })),
        "  type: Network\n",
    );
    assert_eq!(
        problems,
        [
            "5:19 the module filters requests, not connections [InvalidModule] \
          remove `type: Network`"
        ]
    );
}

#[test]
fn without_resources_the_configuration_is_checked_too() {
    let folder = Folder::of(&[]);
    folder.write("limit.wasm", &never_starts(&limits()));
    let file = folder.file("limit.wasm");
    let (code, _, err) = finish(
        tidegate()
            .args([
                "proxy",
                "--listen",
                "127.0.0.1:0",
                "--to",
                "http://127.0.0.1:9",
            ])
            .arg("--plugin")
            .arg(file)
            .args(["--plugin-config", r#"{"limit": [], "limits": {}}"#]),
    );
    assert_eq!(code, Some(1), "{err}");
    let expected = "does not take its configuration: `config` has no field `limit` (did you mean \
                    `limits`?); `config.limits` must be a sequence; got a mapping";
    assert!(err.contains(expected), "{err}");
}

/// A filter that holds the head back until its body callback lets both go, and says in its manifest
/// that it needs to see the body for that.
fn needs_bodies() -> Wasm {
    let needs = section(&json!({ "needs": ["stopIteration"] }));
    Wasm::wat(
        "needs",
        &needs,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))"#,
    )
}

#[test]
fn a_module_that_needs_bodies_before_its_head_goes_on_gets_them() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address())
        .plugin(&needs_bodies())
        .start();
    assert_eq!(gateway.client().post("/", b"abc").text(), "abc");
}

#[test]
fn an_operator_who_says_no_overrules_what_a_module_needs() {
    let origin = Origin::echoes();
    let overruled = needs_bodies().with(|spec| spec.stop_iteration = Some(false));
    let gateway = Gateway::to(origin.address())
        .plugin(&overruled)
        .timeouts(|timeouts| timeouts.filter_pause = std::time::Duration::from_millis(100))
        .start();
    let response = gateway.client().post("/", b"abc");
    assert_eq!(response.status(), 503);
}
