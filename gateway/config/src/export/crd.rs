//! CustomResourceDefinitions, as `kubectl apply` takes them.
//!
//! Their schemas are structural (Kubernetes, "Specifying a structural schema"): no references, a type
//! everywhere, fields or free names but not both. The plain shape of [`crate::schema`] already is.

use serde_json::Value as Json;
use serde_json::json;

use super::KindSchema;
use super::edited;
use super::plain;
use super::yaml;

/// The definitions of kinds, as YAML documents. Meant for kinds of our own: those of the Gateway API
/// and of Kubernetes come with their own definitions.
#[must_use]
pub fn crds(kinds: &[KindSchema]) -> String {
    let documents: Vec<String> = kinds.iter().map(|kind| yaml::write(&crd(kind))).collect();
    documents.join("---\n")
}

fn crd(kind: &KindSchema) -> Json {
    let group = kind
        .api_versions
        .first()
        .and_then(|version| version.split_once('/'))
        .map_or("", |(group, _)| group);
    let singular = kind.kind.to_lowercase();
    let plural = plural(&singular);
    let versions: Vec<Json> = kind
        .api_versions
        .iter()
        .enumerate()
        .map(|(index, version)| {
            let name = version.rsplit('/').next().unwrap_or(version);
            json!({
                "name": name,
                "served": true,
                "storage": index == 0,
                "schema": { "openAPIV3Schema": schema(kind) },
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(),
            })
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group,
            "names": {
                "kind": kind.kind,
                "listKind": format!("{}List", kind.kind),
                "plural": plural,
                "singular": singular,
                "categories": ["tidegate"],
            },
            "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            "versions": versions,
        },
    })
}

fn plural(singular: &str) -> String {
    match singular.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{singular}s"),
    }
}

fn columns() -> Json {
    let condition = |kind: &str| format!(".status.conditions[?(@.type==\"{kind}\")].status");
    json!([
        { "name": "Accepted", "type": "string", "jsonPath": condition("Accepted") },
        { "name": "ResolvedRefs", "type": "string", "jsonPath": condition("ResolvedRefs"), "priority": 1 },
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
    ])
}

fn schema(kind: &KindSchema) -> Json {
    let mut schema = edited(kind.schema(), &plain);
    if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        properties.insert("status".to_owned(), status());
    }
    schema
}

/// The conditions of a resource (Kubernetes `metav1.Condition`).
fn status() -> Json {
    json!({
        "description": "What became of the resource.",
        "type": "object",
        "properties": {
            "conditions": {
                "type": "array",
                "maxItems": 64,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
                    "properties": {
                        "type": { "type": "string", "maxLength": 316 },
                        "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                        "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
                        "lastTransitionTime": { "type": "string", "format": "date-time" },
                        "reason": { "type": "string", "minLength": 1, "maxLength": 1024 },
                        "message": { "type": "string", "maxLength": 32768 },
                    },
                },
            },
        },
    })
}
