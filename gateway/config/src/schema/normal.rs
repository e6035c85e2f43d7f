//! Derived schemas in one plain shape, which is also what a CustomResourceDefinition wants ("structural").
//!
//! What schemars writes in several ways is written in one here: no null (a field without value is a
//! field that is not there), enums as one list with a table of meanings, enums with data as a mapping
//! of which exactly one field is given, no references, no titles.

use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

/// Marks what may hold anything.
pub(crate) const FREE: &str = "x-kubernetes-preserve-unknown-fields";
/// Marks what may be a number or a string.
pub(crate) const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
/// What each name of an enum means, where that is written down.
pub(crate) const MEANINGS: &str = "x-tidegate-meanings";
/// Why a field is not supported yet.
pub(crate) const UNSUPPORTED: &str = "x-tidegate-unsupported";
/// Marks a field whose value is not shown in messages.
pub(crate) const HIDDEN: &str = "x-tidegate-secret";
/// A pattern in words.
pub(crate) const RULE: &str = "x-tidegate-rule";

/// The schema of a type, in the plain shape.
pub(crate) fn schema_of<T: schemars::JsonSchema>() -> Json {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12().for_deserialize();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    normalize(schema.to_value())
}

fn normalize(schema: Json) -> Json {
    let Json::Object(mut schema) = schema else {
        return json!({ FREE: true });
    };
    // A type that contains itself; there is none among ours.
    if schema.remove("$ref").is_some() {
        return json!({ FREE: true });
    }
    schema.remove("title");
    schema.remove("$schema");
    schema.remove("$defs");
    if let Some(Json::Array(variants)) = schema.remove("anyOf") {
        merge_nullable(&mut schema, variants);
    }
    remove_null(&mut schema);
    if let Some(Json::Array(variants)) = schema.remove("oneOf") {
        let variants = variants.into_iter().map(normalize).collect();
        merge_variants(&mut schema, variants);
    }
    if let Some(value) = schema.remove("const") {
        schema.insert("enum".to_owned(), Json::Array(vec![value]));
    }
    if let Some(Json::Object(properties)) = schema.get_mut("properties") {
        for (_, property) in properties.iter_mut() {
            *property = normalize(property.take());
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(child) = schema.get_mut(name)
            && child.is_object()
        {
            *child = normalize(child.take());
        }
    }
    // Mappings with fields take no others; saying so is redundant here and forbidden in a CRD.
    if schema.contains_key("properties")
        || schema.get("additionalProperties") == Some(&json!(false))
    {
        schema.remove("additionalProperties");
    }
    if schema.get(INT_OR_STRING) == Some(&json!(true)) {
        schema.remove("type");
    }
    if schema.is_empty() || schema.keys().all(|key| key == "description") {
        schema.insert(FREE.to_owned(), json!(true));
    }
    Json::Object(schema)
}

/// `anyOf: [X, {type: null}]` is X that may be absent.
fn merge_nullable(schema: &mut Map<String, Json>, variants: Vec<Json>) {
    let mut rest: Vec<Json> = variants
        .into_iter()
        .filter(|variant| variant.get("type") != Some(&json!("null")))
        .collect();
    if let (Some(Json::Object(only)), true) = (rest.pop(), rest.is_empty()) {
        for (key, value) in only {
            schema.entry(key).or_insert(value);
        }
    } else {
        schema.insert(FREE.to_owned(), json!(true));
    }
}

fn remove_null(schema: &mut Map<String, Json>) {
    if let Some(Json::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let ([only], false) = (types.as_slice(), types.is_empty()) {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Json::Array(choices)) = schema.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    if schema.get("default") == Some(&Json::Null) {
        schema.remove("default");
    }
}

/// The variants of an enum as one schema.
fn merge_variants(schema: &mut Map<String, Json>, variants: Vec<Json>) {
    if variants.iter().all(|variant| variant.get("enum").is_some()) {
        merge_names(schema, &variants);
    } else if variants
        .iter()
        .all(|variant| variant.get("properties").is_some())
    {
        merge_mappings(schema, variants);
    } else {
        // Names beside mappings: an API server could not check that either.
        schema.insert(FREE.to_owned(), json!(true));
    }
}

fn merge_names(schema: &mut Map<String, Json>, variants: &[Json]) {
    let mut names = Vec::new();
    let mut meanings = Map::new();
    for variant in variants {
        for name in variant
            .get("enum")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            names.push(name.clone());
            if let (Some(name), Some(meaning)) = (name.as_str(), variant.get("description")) {
                meanings.insert(name.to_owned(), meaning.clone());
            }
        }
    }
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), Json::Array(names));
    if !meanings.is_empty() {
        schema.insert(MEANINGS.to_owned(), Json::Object(meanings));
    }
}

fn merge_mappings(schema: &mut Map<String, Json>, variants: Vec<Json>) {
    let mut properties = Map::new();
    let mut choices = Vec::new();
    for variant in variants {
        let description = variant.get("description").cloned();
        let Some(Json::Object(fields)) = variant.get("properties").cloned() else {
            continue;
        };
        for (name, mut field) in fields {
            if let (Some(field), Some(description)) = (field.as_object_mut(), &description) {
                field.insert("description".to_owned(), description.clone());
            }
            choices.push(json!({ "required": [name] }));
            properties.insert(name, field);
        }
    }
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Json::Object(properties));
    schema.insert("oneOf".to_owned(), Json::Array(choices));
}
