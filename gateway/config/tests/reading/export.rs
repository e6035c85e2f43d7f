//! What is made of schemas: valid, and saying what is checked.

use std::fs;

use serde_json::Value as Json;
use tidegate_config::document::split;
use tidegate_config::export::KindSchema;
use tidegate_config::export::crds;
use tidegate_config::export::json_schema;
use tidegate_config::export::reference_page;
use tidegate_config::parse::parse;
use tidegate_config::schema::Checker;

use crate::support::Shop;
use crate::support::parse_all;

#[track_caller]
fn check(name: &str, found: &str) {
    let path = format!("tests/export/{name}");
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::create_dir_all("tests/export").expect("writable");
        fs::write(&path, found).expect("writable");
    }
    assert_eq!(
        found,
        fs::read_to_string(&path).unwrap_or_default(),
        "{path}"
    );
}

fn shop() -> KindSchema {
    KindSchema::of::<Shop>()
}

#[test]
fn a_kind_has_a_reference_page() {
    check("shop.md", &reference_page(&shop()));
}

#[test]
fn a_kind_has_a_definition_for_kubernetes() {
    check("shop.crd.yaml", &crds(&[shop()]));
}

#[test]
fn editors_get_one_schema_for_all_kinds() {
    let schema = json_schema(&[shop()]);
    check(
        "schema.json",
        &(serde_json::to_string_pretty(&schema).expect("JSON") + "\n"),
    );
}

#[test]
fn every_word_of_the_schema_is_understood() {
    assert_eq!(shop().not_understood(), [] as [String; 0]);
}

#[test]
fn a_definition_reads_back_as_it_was_meant() {
    let text = crds(&[shop()]);
    let mut problems = Vec::new();
    let documents = split(&std::path::Path::new("crd.yaml").into(), &text);
    let parsed: Vec<_> = documents
        .iter()
        .flat_map(|document| parse(document, &mut problems))
        .collect();
    assert_eq!(problems, []);
    let [crd] = parsed.as_slice() else {
        panic!("one definition");
    };
    let crd = crd.root.to_json();
    let schema = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema")
        .expect("a schema");
    let port = schema.pointer("/properties/spec/properties/port/maximum");
    assert_eq!(port, Some(&Json::from(65535)));
    structural(schema, "$");
}

/// The keywords that such a schema may have, `x-kubernetes-preserve-unknown-fields` aside.
const KNOWN: [&str; 22] = [
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
];

/// The rules of structural schemas that an API server applies to definitions.
fn structural(schema: &Json, path: &str) {
    let schema = schema.as_object().expect(path);
    let is_set = |name: &str| schema.get(name) == Some(&Json::Bool(true));
    let is_free = is_set("x-kubernetes-preserve-unknown-fields");
    let is_either = is_set("x-kubernetes-int-or-string");
    assert!(
        is_free || is_either || schema["type"].is_string(),
        "{path} has no type"
    );
    assert!(
        !(schema.contains_key("properties") && schema.contains_key("additionalProperties")),
        "{path} has fields and free names"
    );
    for keyword in schema.keys() {
        let is_known =
            KNOWN.contains(&keyword.as_str()) || keyword == "x-kubernetes-preserve-unknown-fields";
        assert!(is_known, "{path}: {keyword}");
    }
    for choice in schema
        .get("oneOf")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        let keys: Vec<&String> = choice.as_object().expect("a mapping").keys().collect();
        assert_eq!(keys, ["required"], "{path}");
    }
    for (name, child) in schema
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        structural(child, &format!("{path}.{name}"));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(child) = schema.get(name) {
            structural(child, &format!("{path}.{name}"));
        }
    }
}

/// Whether a value is what an editor accepts: as much of JSON Schema as [`json_schema`] uses.
fn accepts(schema: &Json, value: &Json) -> bool {
    let Some(schema) = schema.as_object() else {
        return *schema == Json::Bool(true);
    };
    schema.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "title" | "description" | "default" | "format" | "then" => true,
        "type" => is_type(rule, value),
        "enum" => rule.as_array().expect("a list").contains(value),
        "const" => rule == value,
        "not" => !accepts(rule, value),
        "anyOf" => all(rule).any(|rule| accepts(rule, value)),
        "oneOf" => all(rule).filter(|rule| accepts(rule, value)).count() == 1,
        "allOf" => all(rule).all(|rule| accepts(rule, value)),
        "if" => !accepts(rule, value) || accepts(&schema["then"], value),
        "required" => {
            let has = |name: &Json| value.get(name.as_str().expect("a name")).is_some();
            !value.is_object() || all(rule).all(has)
        }
        "properties" => {
            let rules = rule.as_object().expect("a mapping");
            let fits = |(name, rule): (&String, &Json)| {
                value.get(name).is_none_or(|value| accepts(rule, value))
            };
            rules.iter().all(fits)
        }
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Json::as_object);
            let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
            let mut fields = value.as_object().into_iter().flatten();
            fields.all(|(name, value)| is_known(name) || accepts(rule, value))
        }
        "items" => value
            .as_array()
            .into_iter()
            .flatten()
            .all(|item| accepts(rule, item)),
        "minimum" => value
            .as_f64()
            .is_none_or(|value| value >= rule.as_f64().expect("a number")),
        "maximum" => value
            .as_f64()
            .is_none_or(|value| value <= rule.as_f64().expect("a number")),
        "minLength" => value
            .as_str()
            .is_none_or(|value| value.chars().count() >= size(rule)),
        "maxLength" => value
            .as_str()
            .is_none_or(|value| value.chars().count() <= size(rule)),
        "minItems" => value
            .as_array()
            .is_none_or(|value| value.len() >= size(rule)),
        "maxItems" => value
            .as_array()
            .is_none_or(|value| value.len() <= size(rule)),
        "pattern" => {
            let pattern = regex::Regex::new(rule.as_str().expect("a pattern")).expect("valid");
            value.as_str().is_none_or(|value| pattern.is_match(value))
        }
        other => {
            assert!(other.is_empty(), "editors do not know {other}");
            false
        }
    })
}

fn all(rules: &Json) -> impl Iterator<Item = &Json> {
    rules.as_array().expect("a list").iter()
}

fn size(rule: &Json) -> usize {
    rule.as_u64()
        .and_then(|size| usize::try_from(size).ok())
        .expect("a size")
}

fn is_type(rule: &Json, value: &Json) -> bool {
    let is = |name: &Json| match name.as_str().expect("a name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    };
    if rule.is_string() {
        is(rule)
    } else {
        all(rule).any(is)
    }
}

#[test]
fn editors_and_the_gateway_agree_on_what_is_valid() {
    const START: &str = "apiVersion: test/v1\nkind: Shop\nmetadata: {name: a}\n";
    let schema = json_schema(&[shop()]);
    let mut accepted = 0;
    for rest in [
        "spec: {port: 1}",
        "spec: {port: 0}",
        "spec: {port: '1'}",
        "spec: {port: 1.5}",
        "spec: {}",
        "spec: {port: 1, prt: 2}",
        "spec: {port: 1}\nextra: 1",
        "spec: {port: 1}\nstatus: {any: thing}",
        "spec: {port: 1, hosts: [a.b, c]}",
        "spec: {port: 1, hosts: [A]}",
        "spec: {port: 1, hosts: ['']}",
        "spec: {port: 1, hosts: [a, b, c, d]}",
        "spec: {port: 1, hosts: a}",
        "spec: {port: 1, size: Large}",
        "spec: {port: 1, size: large}",
        "spec: {port: 1, door: {open: {}}}",
        "spec: {port: 1, door: {locked: {key: x}}}",
        "spec: {port: 1, door: {locked: {}}}",
        "spec: {port: 1, door: {open: {}, locked: {key: x}}}",
        "spec: {port: 1, door: {open: {wide: 1}}}",
        "spec: {port: 1, door: {}}",
        "spec: {port: 1, rooms: {a: 1, b: 2.5}}",
        "spec: {port: 1, rooms: {a: x}}",
        "spec: {port: 1, shelves: []}",
        "spec: {port: 1, shelves: [{name: ääää, label: ääää}]}",
        "spec: {port: 1, shelves: [{name: a, label: äääää}]}",
        "spec: {port: 1, shelves: [{name: a, boards: 4294967295}]}",
        "spec: {port: 1, config: [{any: thing}, null, 1]}",
        "spec: {port: 1, code: 302}",
        "spec: {port: 1, code: 303}",
        "spec: {port: 1, lift: x}",
        "spec: {port: 1, open: yes}",
        "spec: {port: 1, open: true}",
    ] {
        let (parsed, mut problems) = parse_all("a.yaml", &format!("{START}{rest}\n"));
        let [parsed] = parsed.as_slice() else {
            panic!("{problems:?}");
        };
        let shop: Option<Shop> = Checker::of::<Shop>().read(parsed, &mut problems);
        assert_eq!(
            accepts(&schema, &parsed.root.to_json()),
            shop.is_some(),
            "{rest}: {problems:?}"
        );
        accepted += usize::from(shop.is_some());
    }
    assert_eq!(accepted, 12);
}

#[test]
fn editors_accept_foreign_kinds() {
    let foreign = serde_json::json!({ "apiVersion": "elsewhere/v1", "kind": "Foreign", "a": 1 });
    assert!(accepts(&json_schema(&[shop()]), &foreign));
    assert!(!accepts(
        &json_schema(&[shop()]),
        &serde_json::json!({ "kind": "Shop" })
    ));
}
