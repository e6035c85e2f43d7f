//! One JSON Schema (draft 2020-12) for files of all kinds, as yaml-language-server reads it.

use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use super::KindSchema;
use super::edited;
use super::is_set;
use super::plain;
use crate::schema::FREE;
use crate::schema::INT_OR_STRING;
use crate::schema::UNSUPPORTED;

/// The schema of a document that holds a resource of any of these kinds. Foreign kinds are accepted, as
/// they are when a file is read; fields that are not supported yet are not.
#[must_use]
pub fn json_schema(kinds: &[KindSchema]) -> Json {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.kind).collect();
    let mut versions: Vec<&str> = Vec::new();
    for version in kinds.iter().flat_map(|kind| kind.api_versions) {
        if !versions.contains(version) {
            versions.push(version);
        }
    }
    let rules: Vec<Json> = kinds
        .iter()
        .map(|kind| {
            json!({
                "if": {
                    "properties": {
                        "apiVersion": { "enum": kind.api_versions },
                        "kind": { "const": kind.kind },
                    },
                    "required": ["apiVersion", "kind"],
                },
                "then": resource(kind),
            })
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tidegate configuration",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": { "anyOf": [{ "enum": versions }, { "type": "string" }] },
            "kind": { "anyOf": [{ "enum": names }, { "type": "string" }] },
        },
        "allOf": rules,
    })
}

fn resource(kind: &KindSchema) -> Json {
    let mut schema = edited(kind.schema(), &for_editors);
    let Some(object) = schema.as_object_mut() else {
        return schema;
    };
    let mut properties = Map::new();
    properties.insert(
        "apiVersion".to_owned(),
        json!({ "enum": kind.api_versions }),
    );
    properties.insert("kind".to_owned(), json!({ "const": kind.kind }));
    properties.insert("metadata".to_owned(), metadata(kind));
    if let Some(Json::Object(own)) = object.remove("properties") {
        properties.extend(own);
    }
    properties.insert("status".to_owned(), json!({ "description": "Ignored." }));
    let mut required = vec![json!("apiVersion"), json!("kind"), json!("metadata")];
    if let Some(Json::Array(own)) = object.remove("required") {
        required.extend(own);
    }
    object.insert("type".to_owned(), json!("object"));
    object.insert("required".to_owned(), Json::Array(required));
    object.insert("properties".to_owned(), Json::Object(properties));
    object.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn metadata(kind: &KindSchema) -> Json {
    let strings = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let mut schema = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string",
                "description": "Unique among the resources of one kind and namespace.",
                "maxLength": 253,
                "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            },
            "labels": strings,
            "annotations": strings,
        },
    });
    if kind.namespaced
        && let Some(Json::Object(properties)) = schema.get_mut("properties")
    {
        let namespace = json!({
            "type": "string",
            "description": "The namespace; `default` if absent.",
            "maxLength": 63,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        });
        properties.insert("namespace".to_owned(), namespace);
    }
    schema
}

/// Editors check what an API server's schema leaves to the server: unknown fields are wrong.
fn for_editors(schema: &mut Map<String, Json>) {
    let refused = schema.contains_key(UNSUPPORTED);
    plain(schema);
    if refused {
        let description = schema.remove("description").unwrap_or_default();
        schema.clear();
        schema.insert("description".to_owned(), description);
        schema.insert("not".to_owned(), json!({}));
        return;
    }
    let copy = Json::Object(schema.clone());
    if is_set(&copy, INT_OR_STRING) {
        schema.insert("type".to_owned(), json!(["integer", "string"]));
    }
    let is_free = is_set(&copy, FREE);
    schema.remove(FREE);
    schema.remove(INT_OR_STRING);
    let is_object = copy.get("type") == Some(&json!("object"));
    if is_object && !is_free && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
}
