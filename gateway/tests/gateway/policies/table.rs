//! A filter's configuration as a table: one row for each field, also below others.

use std::fmt::Write as _;

use serde_json::Value;

/// The table of a schema.
pub(super) fn of(schema: &Value) -> String {
    let mut table = Table {
        text: String::from(
            "| field | type | default | limits | meaning |\n|---|---|---|---|---|\n",
        ),
        seen: Vec::new(),
    };
    table.rows(schema, "");
    table.text
}

struct Table<'s> {
    text: String,
    /// Mappings of several fields, and where their rows are: what comes again refers to them.
    seen: Vec<(&'s Value, String)>,
}

impl<'s> Table<'s> {
    /// The rows of what a value holds.
    fn rows(&mut self, schema: &'s Value, path: &str) {
        if let Some(items) = schema.get("items") {
            return self.rows(items, &format!("{path}[]"));
        }
        if let Some(values) = schema
            .get("additionalProperties")
            .filter(|it| it.is_object())
        {
            return self.rows(values, &format!("{path}.*"));
        }
        for variant in list(schema, "oneOf") {
            self.rows(variant, path);
        }
        let Some(fields) = schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        let known = self.seen.iter().find(|(known, _)| *known == schema);
        if let Some((_, known)) = known.filter(|_| fields.len() > 2) {
            let meaning = format!("The same fields as those of `{known}`.");
            writeln!(self.text, "| `{path}` |  |  |  | {meaning} |").expect("a string");
            return;
        }
        self.seen.push((schema, path.to_owned()));
        let is_choice = path_is_choice(schema);
        for (name, field) in fields {
            let path = match path {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            let required = !is_choice && list(schema, "required").any(|it| it == name);
            row(&path, field, required, &mut self.text);
            self.rows(field, &path);
        }
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
    for (name, what) in field
        .get("x-tidegate-meanings")
        .and_then(Value::as_object)
        .into_iter()
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
    let is_list =
        |it: &Value| it == "array" || it.as_array().is_some_and(|it| it.contains(&"array".into()));
    match field.get("type") {
        Some(it) if is_list(it) => match field.get("items") {
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
    let number = |name| {
        field
            .get(name)
            .filter(|it| it.is_number())
            .map(Value::to_string)
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
    let names: Vec<String> = list(field, "enum")
        .filter_map(Value::as_str)
        .map(|it| format!("`{it}`"))
        .collect();
    if !names.is_empty() {
        limits.push(format!("one of {}", names.join(", ")));
    }
    limits
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
