//! Claims of the token that jwt-auth has verified, for filters that know requesters by them.

use serde_json::Value;
use tidegate_sdk::prelude::*;

/// What jwt-auth writes the verified token into. Clients cannot.
const PROPERTY: &str = "tidegate.auth.jwt";

/// A claim of the verified token as text: text, a number, or `true` and `false`. `None` if there is no
/// token, or it has no such claim, or that is a list or a mapping.
///
/// `path` is the claim's name; if there is none of that name, its parts between dots lead into mappings:
/// `realm.tenant`.
#[must_use]
pub fn claim_text<C, S>(cx: &Cx<C, S>, path: &str) -> Option<String> {
    text_of(find(token(cx)?.get("claims")?, path)?)
}

/// The same of a claim that may be a list: the texts in it.
#[must_use]
pub fn claim_texts<C, S>(cx: &Cx<C, S>, path: &str) -> Vec<String> {
    let token = token(cx);
    let claims = token.as_ref().and_then(|it| it.get("claims"));
    match claims.and_then(|it| find(it, path)) {
        Some(Value::Array(items)) => items.iter().filter_map(text_of).collect(),
        Some(value) => text_of(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn token<C, S>(cx: &Cx<C, S>) -> Option<Value> {
    serde_json::from_slice(&cx.property_bytes(&[PROPERTY])?).ok()
}

fn find<'v>(claims: &'v Value, path: &str) -> Option<&'v Value> {
    let step = |value: &'v Value, name| value.as_object()?.get(name);
    step(claims, path).or_else(|| path.split('.').try_fold(claims, step))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_found_by_name_and_by_parts() {
        let claims = json!({
            "sub": "ann", "level": 3, "admin": true, "roles": ["a"], "none": null,
            "realm": {"tenant": "blue"}, "https://x.test/tier": "gold", "a.b": "whole", "a": {"b": "parts"},
        });
        for (path, expected) in [
            ("sub", Some("ann")),
            ("level", Some("3")),
            ("admin", Some("true")),
            ("roles", None),
            ("none", None),
            ("realm", None),
            ("realm.tenant", Some("blue")),
            ("realm.other", None),
            ("sub.x", None),
            ("https://x.test/tier", Some("gold")),
            ("a.b", Some("whole")),
            ("", None),
        ] {
            let found = find(&claims, path).and_then(text_of);
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }
}
