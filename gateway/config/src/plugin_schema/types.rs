//! Whether a value is of a type, and one of those that are listed.

use serde_json::Value as Json;

use super::walk::Keywords;
use crate::tree::Node;
use crate::tree::Value;

/// Whether a value is of a type that a schema allows.
pub(super) fn has_type(of: &Keywords, value: &Value) -> bool {
    let is = |name: &Json| match (name.as_str(), value) {
        (Some("null"), Value::Null)
        | (Some("boolean"), Value::Bool(_))
        | (Some("integer" | "number"), Value::Int(_))
        | (Some("number"), Value::Float(_))
        | (Some("string"), Value::Str(_))
        | (Some("array"), Value::Seq(_))
        | (Some("object"), Value::Map(_)) => true,
        // JSON does not tell 1 from 1.0.
        (Some("integer"), Value::Float(value)) => value.fract() == 0.0,
        _ => false,
    };
    match of.get("type") {
        None => true,
        Some(Json::Array(names)) => names.iter().any(is),
        Some(name) => is(name),
    }
}

/// Whether a value is one of those that are listed.
pub(super) fn is_choice(of: &Keywords, node: &Node) -> bool {
    let choices = of.get("enum").and_then(Json::as_array);
    let only = of.get("const");
    if choices.is_none() && only.is_none() {
        return true;
    }
    let value = node.to_json();
    let same = |one: &Json| match (one.as_f64(), value.as_f64()) {
        (Some(one), Some(value)) => one.total_cmp(&value).is_eq(),
        _ => *one == value,
    };
    choices.is_none_or(|choices| choices.iter().any(same)) && only.is_none_or(same)
}
