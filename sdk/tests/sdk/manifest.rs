//! Manifests: what is in them, and that their schemas say what the types accept.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tidegate_sdk::config::Backend;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Secret;
use tidegate_sdk::config::Size;
use tidegate_sdk::manifest::Manifest;
use tidegate_sdk::manifest::SDK_VERSION;
use tidegate_sdk::manifest::as_text;
use tidegate_sdk::manifest::bytes;

/// All shapes.
#[derive(Debug, FilterConfig)]
#[expect(dead_code, reason = "only its schema matters")]
struct Config {
    /// Who answers "yes" or
    /// `no`.
    ///
    /// Second paragraph.
    idp: Backend,
    #[config(default = "2s", min = "100ms", max = "1h30m")]
    timeout: Duration,
    #[config(min = -3, max = 10)]
    level: Option<i8>,
    #[config(min = 0.5, max = 1)]
    share: f64,
    #[config(max = "1MiB", default = 512)]
    body: Size,
    token: Option<Secret>,
    #[config(default = ["a"], max_len = 2)]
    names: Vec<String>,
    mode: Mode,
    key: Option<Key>,
}

#[derive(Debug, FilterConfig)]
enum Mode {
    /// Refuses.
    Enforce,
    Watch,
}

#[derive(Debug, FilterConfig)]
#[expect(dead_code, reason = "only its schema matters")]
enum Key {
    ClientIp,
    /// By a header field.
    Header {
        name: String,
    },
}

const MANIFEST: Manifest = Manifest {
    name: "limit",
    version: "1.2.3",
    description: "Line\none\t\u{1}\\é",
    kind: "http",
    needs: &["stopIteration"],
    capabilities: &[],
    config: Config::SCHEMA,
};
const BYTES: [u8; MANIFEST.len()] = MANIFEST.render();
const TEXT: &str = as_text(&BYTES);
static SECTION: [u8; TEXT.len()] = bytes(TEXT);

#[test]
fn a_manifest_is_json_with_everything_that_is_known_of_a_filter() {
    let manifest: Value = serde_json::from_str(TEXT).unwrap();
    let schema = json!({
        "description": "All shapes.",
        "type": "object",
        "properties": {
            "idp": {
                "description": "Who answers \"yes\" or `no`.\n\nSecond paragraph.",
                "type": "string",
                "format": "tidegate-backend",
                "minLength": 1,
            },
            "timeout": {
                "type": "string",
                "format": "tidegate-duration",
                "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$",
                "x-tidegate-minimum": 100,
                "x-tidegate-maximum": 5_400_000,
                "default": "2s",
            },
            "level": { "type": ["integer", "null"], "minimum": -3, "maximum": 10 },
            "share": { "type": "number", "minimum": 0.5, "maximum": 1 },
            "body": {
                "type": ["integer", "string"],
                "format": "tidegate-size",
                "pattern": "^[0-9]{1,18}(k|[kKMG]?B|M|G|[KMG]iB?)?$",
                "minimum": 0,
                "maximum": 1_048_576,
                "default": 512,
            },
            "token": { "type": ["string", "null"], "writeOnly": true },
            "names": {
                "type": "array",
                "items": { "type": "string" },
                "maxItems": 2,
                "default": ["a"],
            },
            "mode": {
                "type": "string",
                "enum": ["enforce", "watch"],
                "x-tidegate-meanings": { "enforce": "Refuses." },
            },
            "key": {
                "oneOf": [
                    { "type": "string", "enum": ["clientIp"] },
                    {
                        "type": "object",
                        "properties": {
                            "header": {
                                "description": "By a header field.",
                                "type": "object",
                                "properties": { "name": { "type": "string" } },
                                "required": ["name"],
                                "additionalProperties": false,
                            },
                        },
                        "required": ["header"],
                        "additionalProperties": false,
                    },
                    { "type": "null" },
                ],
            },
        },
        "required": ["idp", "share", "mode"],
        "additionalProperties": false,
    });
    let expected = json!({
        "name": "limit",
        "version": "1.2.3",
        "sdk": SDK_VERSION,
        "description": "Line\none\t\u{1}\\é",
        "kind": "http",
        "needs": ["stopIteration"],
        "capabilities": [],
        "configSchema": schema,
    });
    assert_eq!(manifest, expected);
    assert_eq!(SECTION, BYTES);
}
