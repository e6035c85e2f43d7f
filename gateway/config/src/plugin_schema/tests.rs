//! Schemas of all sorts, and what they say of values.

mod sdk;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use serde_json::json;

use super::findings;
use crate::document::Document;
use crate::parse;
use crate::place::Span;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// What a schema says of a value in YAML: line, column, message and hint of each finding.
fn told(schema: &Json, yaml: &str) -> Vec<String> {
    let file: Arc<Path> = Arc::from(Path::new("p.yaml"));
    let text = format!(
        "apiVersion: v1\nkind: K\nmetadata: {{ name: x }}\nconfig:{}",
        yaml.replace('\n', "\n  ")
    );
    let mut problems = Vec::new();
    let parsed = parse::parse(&Document::new(&file, 1, text), &mut problems);
    assert_eq!(problems, []);
    let (_, node) = parsed[0].root.entry("config").expect("a configuration");
    findings(schema, node, None, &[])
        .into_iter()
        .map(|finding| {
            let hint = finding.hint.map(|hint| format!(" ({hint})"));
            format!(
                "{}:{} {}{}",
                finding.span.line - 3,
                finding.span.column,
                finding.message,
                hint.unwrap_or_default()
            )
        })
        .collect()
}

/// What our SDK writes.
fn sdk() -> Json {
    json!({
        "type": "object",
        "properties": {
            "idp": { "type": "string", "format": "tidegate-backend", "minLength": 1 },
            "timeout": {
                "type": "string", "format": "tidegate-duration", "default": "2s",
                "x-tidegate-minimum": 100, "x-tidegate-maximum": 5_400_000,
            },
            "body": {
                "type": ["integer", "string"], "format": "tidegate-size",
                "minimum": 0, "maximum": 1_048_576,
            },
            "share": { "type": "string", "format": "tidegate-percent" },
            "token": { "type": ["string", "null"], "writeOnly": true, "minLength": 8 },
            "mode": { "type": "string", "enum": ["enforce", "watch"] },
            "limits": {
                "type": "array", "maxItems": 2,
                "items": {
                    "type": "object",
                    "properties": {
                        "requests": { "type": "integer", "minimum": 1, "maximum": 10 },
                        "key": { "oneOf": [
                            { "type": "string", "enum": ["clientIp"] },
                            {
                                "type": "object",
                                "properties": { "header": {
                                    "type": "object",
                                    "properties": { "name": { "type": "string" } },
                                    "required": ["name"], "additionalProperties": false,
                                } },
                                "required": ["header"], "additionalProperties": false,
                            },
                        ] },
                    },
                    "required": ["requests"], "additionalProperties": false,
                },
            },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
        },
        "required": ["idp"], "additionalProperties": false,
    })
}

#[test]
fn what_fits_is_told_nothing_of() {
    let all = "
idp: auth
timeout: 1m30s
body: 64KiB
share: 0.5%
token: null
mode: watch
limits:
  - { requests: 1, key: clientIp }
  - { requests: 10.0, key: { header: { name: x } } }
labels: { a: b }";
    assert_eq!(told(&sdk(), all), Vec::<String>::new());
    assert_eq!(
        told(&sdk(), "\nidp: auth\nbody: 4096"),
        Vec::<String>::new()
    );
}

#[test]
fn all_problems_stand_at_their_values() {
    let wrong = "
idp: ''
timeout: 3
body: 2MiB
share: 5
token: 7
mode: enforced
limits:
  - requests: 0
    key: clientip
  - { requets: 1 }
  - { requests: '1', key: { header: {} } }
labels: { a: 1 }
nonsense: 1";
    assert_eq!(
        told(&sdk(), wrong),
        [
            "1:8 `config.idp` must be the name of a backend; got the string \"\"",
            "2:12 `config.timeout` must be a duration such as \"2s\" from 100ms to 1h30m; got the integer 3",
            "3:9 `config.body` must be a size such as \"64KiB\", at most 1MiB; got the string \"2MiB\"",
            "4:10 `config.share` must be a percentage such as \"5%\"; got the integer 5",
            "5:10 `config.token` must be a string; got a number (put it into quotes)",
            "6:9 `config.mode` must be `enforce` or `watch`; got the string \"enforced\" (did you mean `enforce`?)",
            "8:5 `config.limits` must have at most 2 items; got 3",
            "8:17 `config.limits[0].requests` must be an integer from 1 to 10; got the integer 0",
            "9:12 `config.limits[0].key` must be `clientIp` or `header: …`; got the string \"clientip\" (did you mean `clientIp`?)",
            "10:9 `config.limits[1]` has no field `requets` (did you mean `requests`?)",
            "11:19 `config.limits[2].requests` must be an integer from 1 to 10; got the string \"1\" (remove the quotes)",
            "11:31 the field `name` is missing in `config.limits[2].key.header` (expected a string)",
            "12:16 `config.labels.a` must be a string; got the integer 1 (put it into quotes)",
            "13:3 `config` has no field `nonsense` (its fields are `idp`, `timeout`, `body`, `share`, `token`, `mode`, `limits`, `labels`)",
        ]
    );
}

#[test]
fn nothing_is_not_a_value_and_what_is_missing_is_told_with_what_it_is() {
    assert_eq!(
        told(&sdk(), "\nidp:\ntimeout: 2s"),
        ["1:3 `config.idp` has no value (expected the name of a backend)"]
    );
    assert_eq!(
        told(&sdk(), " {}"),
        ["0:9 the field `idp` is missing in `config` (expected the name of a backend)"]
    );
    assert_eq!(
        told(&sdk(), " [1]"),
        ["0:9 `config` must be a mapping; got a sequence"]
    );
}

#[test]
fn a_secret_is_not_shown() {
    let schema = json!({ "properties": { "key": {
        "type": "string", "writeOnly": true, "pattern": "^[a-f0-9]+$", "minLength": 1,
    } } });
    assert_eq!(
        told(&schema, "\nkey: hunter2"),
        ["1:8 `config.key` must match ^[a-f0-9]+$; got another string"]
    );
}

#[test]
fn a_value_from_elsewhere_is_not_shown_and_json_is_offered_for_what_has_parts() {
    let schema = json!({ "properties": {
        "key": { "type": "string", "enum": ["hunter1"] },
        "users": { "type": "array" },
    } });
    let said = |name: &str| {
        let span = Span {
            line: 1,
            column: 6,
            length: 1,
        };
        let key = Key {
            span: Span::NONE,
            name: name.into(),
        };
        let value = Node {
            span,
            value: Value::Str("hunter2".into()),
        };
        let node = Node {
            span: Span::NONE,
            value: Value::Map(vec![(key, value)]),
        };
        let found = findings(&schema, &node, None, &[span]);
        let said = found.into_iter().map(|one| (one.message, one.hint));
        said.collect::<Vec<_>>()
    };
    let message = "`config.key` must be `hunter1`; got text from elsewhere".to_owned();
    assert_eq!(said("key"), [(message, None)]);
    let message = "`config.users` must be a sequence; got text from elsewhere".to_owned();
    let hint = "add `format: Json` to `valueFrom`".to_owned();
    assert_eq!(said("users"), [(message, Some(hint))]);
}

#[test]
fn text_that_holds_json_is_checked_as_json() {
    assert_eq!(told(&sdk(), " '{\"idp\": \"auth\"}'"), Vec::<String>::new());
    assert_eq!(
        told(&sdk(), " '{\"idp\": 1}'"),
        ["0:9 `config.idp` must be the name of a backend; got the integer 1"]
    );
    assert_eq!(
        told(&sdk(), " plain"),
        ["0:9 `config` must be a mapping; got the string \"plain\""]
    );
    assert_eq!(
        told(&json!({ "type": "string" }), " plain"),
        Vec::<String>::new()
    );
}

#[test]
fn references_combinations_and_other_keywords_are_followed() {
    let schema = json!({
        "$defs": {
            "port": { "type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 65536 },
            "tree": {
                "type": "object",
                "properties": { "children": { "type": "array", "items": { "$ref": "#/$defs/tree" } } },
                "additionalProperties": false,
            },
        },
        "properties": {
            "port": { "$ref": "#/$defs/port" },
            "tree": { "$ref": "#/$defs/tree" },
            "either": { "anyOf": [{ "type": "integer" }, { "type": "boolean" }] },
            "both": { "allOf": [{ "minimum": 2 }, { "multipleOf": 2 }] },
            "kind": { "oneOf": [
                { "properties": { "type": { "const": "a" }, "a": { "type": "string" } }, "required": ["type"] },
                { "properties": { "type": { "const": "b" }, "b": { "type": "string" } }, "required": ["type"] },
            ] },
            "pair": { "prefixItems": [{ "type": "string" }], "items": { "type": "integer" }, "uniqueItems": true },
            "never": false,
            "size": { "minProperties": 1 },
        },
        "patternProperties": { "^x-": { "type": "boolean" } },
        "additionalProperties": false,
        "if": {}, "unheard-of": 1,
    });
    assert_eq!(
        told(
            &schema,
            "
port: 65536
tree: { children: [{ children: [{ childs: [] }] }] }
either: text
both: 3
kind: { type: b, b: 1 }
pair: [a, 1, b, 1]
never: 1
size: {}
x-ray: 1"
        ),
        [
            "1:9 `config.port` must be an integer, more than 0, less than 65536; got the integer 65536",
            "2:37 `config.tree.children[0].children[0]` has no field `childs` (its fields are `children`)",
            "3:11 `config.either` must be an integer or true or false; got the string \"text\"",
            "4:9 `config.both` must be a number, a multiple of 2; got the integer 3",
            "5:23 `config.kind.b` must be a string; got the integer 1 (put it into quotes)",
            "6:16 `config.pair[2]` must be an integer; got the string \"b\"",
            "6:19 `config.pair[3]` is there already (remove one of them)",
            "7:3 `config.never` is not allowed",
            "8:3 `config.size` must have at least 1 field; got 0",
            "9:10 `config.x-ray` must be true or false; got the integer 1",
        ]
    );
}

#[test]
fn a_schema_that_never_ends_is_given_up() {
    let endless = json!({ "$ref": "#" });
    assert_eq!(told(&endless, " 1"), Vec::<String>::new());
    let branch = json!({ "$ref": "#/$defs/a" });
    let doubling = json!({
        "$defs": { "a": { "anyOf": [branch, branch] } },
        "$ref": "#/$defs/a",
    });
    assert_eq!(told(&doubling, " 1"), Vec::<String>::new());
    let unknown = json!({ "$ref": "https://example.test/schema", "pattern": "(?=x)" });
    assert_eq!(told(&unknown, " text"), Vec::<String>::new());
}
