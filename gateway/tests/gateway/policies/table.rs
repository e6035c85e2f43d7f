//! A filter's configuration as a table: one row for each field, also below others.

use std::fmt::Write as _;

use serde_json::Map;
use serde_json::Value;

/// Fields that the table has, and where.
type Seen<'a> = Vec<(String, &'a Map<String, Value>)>;

/// The table of a schema.
pub(super) fn of(schema: &Value) -> String {
    let mut table =
        String::from("| field | type | default | limits | meaning |\n|---|---|---|---|---|\n");
    rows(schema, "", &mut Vec::new(), &mut table);
    table
}

/// The rows of what a value holds. Fields that were told before are not told again.
fn rows<'a>(schema: &'a Value, path: &str, seen: &mut Seen<'a>, table: &mut String) {
    if let Some(items) = schema.get("items") {
        return rows(items, &format!("{path}[]"), seen, table);
    }
    if let Some(values) = schema
        .get("additionalProperties")
        .filter(|it| it.is_object())
    {
        return rows(values, &format!("{path}.*"), seen, table);
    }
    for variant in list(schema, "oneOf") {
        rows(variant, path, seen, table);
    }
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let is_choice = path_is_choice(schema);
    if fields.len() > 2 {
        if let Some((other, _)) = seen
            .iter()
            .find(|(_, all)| fields.iter().all(|it| all.get(it.0) == Some(it.1)))
        {
            writeln!(table, "| `{path}.…` | | | | fields as {other} |").expect("a string");
            return;
        }
        let here = if path.is_empty() {
            "at the top".to_owned()
        } else {
            format!("those of `{path}`")
        };
        seen.push((here, fields));
    }
    for (name, field) in fields {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let required = !is_choice && list(schema, "required").any(|it| it == name);
        row(&path, field, required, table);
        rows(field, &path, seen, table);
    }
}

/// Whether a mapping is one of several forms: its one field need not be there.
fn path_is_choice(schema: &Value) -> bool {
    let fields = schema.get("properties").and_then(Value::as_object);
    schema.get("description").is_none() && fields.is_some_and(|it| it.len() == 1)
}

fn row(path: &str, field: &Value, required: bool, table: &mut String) {
    let default = match field.get("default") {
        None => String::new(),
        Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    };
    let mut limits = limits(field);
    if required {
        limits.insert(0, "required".to_owned());
    }
    let mut meaning = text(field, "description").to_owned();
    for (name, what) in forms(field)
        .filter_map(|form| form.get("x-tidegate-meanings")?.as_object())
        .flatten()
    {
        write!(meaning, " `{name}`: {}", what.as_str().unwrap_or_default()).expect("a string");
    }
    let cells = [
        format!("`{path}`"),
        kind(field),
        default,
        limits.join("; "),
        meaning,
    ];
    let cells = cells.map(|it| {
        it.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|")
    });
    writeln!(table, "| {} |", cells.join(" | ")).expect("a string");
}

fn kind(field: &Value) -> String {
    if let Some(format) = text(field, "format").strip_prefix("tidegate-") {
        return format.to_owned();
    }
    let variants: Vec<String> = list(field, "oneOf").map(kind).collect();
    if !variants.is_empty() {
        let mut names: Vec<String> = Vec::new();
        for name in variants {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        return names.join(" or ");
    }
    let is_array = |kind: &Value| match kind {
        Value::String(name) => name == "array",
        Value::Array(names) => names.iter().any(|it| it == "array"),
        _ => false,
    };
    match field.get("type") {
        Some(kinds) if is_array(kinds) => match field.get("items") {
            Some(items) => format!("list of {}", kind(items)),
            None => "list".to_owned(),
        },
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            let names = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|it| *it != "null");
            names.collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn limits(field: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    let time = |name| field.get(name).and_then(Value::as_u64).map(duration);
    let is_size = text(field, "format") == "tidegate-size";
    let number = |name| match field.get(name) {
        Some(Value::Number(bytes)) if is_size => bytes.as_u64().map(size),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    for (least, most, unit) in [
        (time("x-tidegate-minimum"), time("x-tidegate-maximum"), ""),
        (number("minimum"), number("maximum"), ""),
        (number("minLength"), number("maxLength"), " characters"),
        (number("minItems"), number("maxItems"), " items"),
    ] {
        match (least, most) {
            (Some(least), Some(most)) if least == most => limits.push(format!("{most}{unit}")),
            (Some(least), Some(most)) => limits.push(format!("{least} to {most}{unit}")),
            (Some(least), None) if least == "1" && !unit.is_empty() => {
                limits.push("not empty".to_owned());
            }
            (Some(least), None) if least != "0" => limits.push(format!("at least {least}{unit}")),
            (None, Some(most)) => limits.push(format!("at most {most}{unit}")),
            (Some(_) | None, None) => {}
        }
    }
    let names: Vec<String> = forms(field)
        .flat_map(|form| list(form, "enum"))
        .filter_map(Value::as_str)
        .map(|it| format!("`{it}`"))
        .collect();
    if !names.is_empty() {
        let or = if forms(field).any(|it| it.get("properties").is_some()) {
            ", or one of the next"
        } else {
            ""
        };
        limits.push(format!("one of {}{or}", names.join(", ")));
    }
    limits
}

/// What a field may be: itself, or, as an item of it too, one of several.
fn forms(field: &Value) -> impl Iterator<Item = &Value> {
    let items = field.get("items").into_iter();
    let several = items.chain([field]).flat_map(|it| list(it, "oneOf"));
    std::iter::once(field).chain(several)
}

/// Milliseconds as people write them.
fn duration(millis: u64) -> String {
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis >= length && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    format!("{millis}ms")
}

/// Bytes as people write them.
fn size(bytes: u64) -> String {
    for (unit, length) in [("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= length && bytes.is_multiple_of(length) {
            return format!("{}{unit}", bytes / length);
        }
    }
    format!("{bytes}B")
}

fn list<'a>(schema: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    schema
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}
