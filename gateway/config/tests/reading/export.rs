//! What is made of schemas: valid, and saying what is checked.

use std::fs;

use serde_json::Value as Json;
use tidegate_config::document::split;
use tidegate_config::export::KindSchema;
use tidegate_config::export::crds;
use tidegate_config::export::json_schema;
use tidegate_config::export::reference_page;
use tidegate_config::parse::parse;

use crate::support::Shop;

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
