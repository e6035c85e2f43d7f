//! The fields of a configuration, out of its schema: what an operator may write.

use serde_json::Value;

/// Deepest nesting that is shown.
const DEEPEST: usize = 6;
/// Most fields that are shown.
const MOST: usize = 200;

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Its path, such as `limits[].window`.
    pub(super) path: String,
    /// What it may be, in a few words.
    pub(super) kind: String,
    /// What it is for; may be empty.
    pub(super) description: String,
}

/// The fields of a schema, in its order.
pub(super) fn fields(schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    walk(schema, schema, "", 0, &mut found);
    found
}

fn walk(root: &Value, schema: &Value, path: &str, depth: usize, found: &mut Vec<Field>) {
    let schema = resolve(root, schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        if let Some(items) = schema.get("items") {
            walk(root, items, &format!("{path}[]"), depth + 1, found);
        }
        return;
    };
    let required = schema.get("required").and_then(Value::as_array);
    for (name, field) in properties {
        if depth >= DEEPEST || found.len() >= MOST {
            return;
        }
        let is_required = required.is_some_and(|all| all.iter().any(|one| one == name));
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let field = resolve(root, field);
        found.push(Field {
            path: path.clone(),
            kind: kind(field, is_required),
            description: text(field, "description")
                .lines()
                .collect::<Vec<_>>()
                .join(" "),
        });
        walk(root, field, &path, depth + 1, found);
    }
}

/// The schema that a reference within the root leads to.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let target = schema.get("$ref").and_then(Value::as_str);
    let target = target.and_then(|target| root.pointer(target.strip_prefix('#')?));
    target.unwrap_or(schema)
}

fn kind(field: &Value, is_required: bool) -> String {
    let mut words = vec![match field.get("enum").and_then(Value::as_array) {
        Some(values) => {
            let values: Vec<String> = values.iter().map(plain).collect();
            values.join(" or ")
        }
        None => match (text(field, "format"), text(field, "type")) {
            ("", "") => "any value".to_owned(),
            ("", kind) => kind.to_owned(),
            (format, _) => format.trim_start_matches("tidegate-").to_owned(),
        },
    }];
    for (key, word) in [("minimum", "at least"), ("maximum", "at most")] {
        if let Some(value) = field.get(key) {
            words.push(format!("{word} {}", plain(value)));
        }
    }
    match field.get("default") {
        _ if is_required => words.push("required".to_owned()),
        Some(default) => words.push(format!("default {}", plain(default))),
        None => {}
    }
    words.join(", ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_listed_with_what_they_may_be() {
        let schema = json!({
            "type": "object",
            "required": ["limits"],
            "properties": {
                "limits": {"type": "array", "items": {"$ref": "#/$defs/limit"}},
                "mode": {"enum": ["on", "off"], "default": "on", "description": "How."},
            },
            "$defs": {"limit": {"type": "object", "properties": {
                "count": {"type": "integer", "minimum": 1}}}},
        });
        let lines = fields(&schema);
        let lines: Vec<_> = lines
            .iter()
            .map(|it| format!("{}: {}; {}", it.path, it.kind, it.description))
            .collect();
        assert_eq!(
            lines,
            [
                "limits: array, required; ",
                "limits[].count: integer, at least 1; ",
                "mode: on or off, default on; How.",
            ]
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"properties": {"next": {"$ref": "#"}}});
        assert_eq!(fields(&schema).len(), DEEPEST);
    }
}
