//! Reference pages: each field with its type, default, limits and meaning, as Markdown.

use serde_json::Value as Json;

use super::KindSchema;
use super::is_set;
use super::properties;
use super::text;
use crate::schema::FREE;
use crate::schema::INT_OR_STRING;
use crate::schema::MEANINGS;
use crate::schema::RULE;
use crate::schema::UNSUPPORTED;

/// The page of a kind.
#[must_use]
pub fn reference_page(kind: &KindSchema) -> String {
    let mut page = format!("# {}\n\n", kind.kind);
    let versions: Vec<String> = kind
        .api_versions
        .iter()
        .map(|version| format!("`{version}`"))
        .collect();
    let scope = if kind.namespaced {
        "namespaced"
    } else {
        "without namespace"
    };
    page.push_str(&format!("{} · {scope}\n\n", versions.join(", ")));
    page.push_str(&format!("{}\n\n", kind.description()));
    page.push_str("| field | type | default | limits | meaning |\n|---|---|---|---|---|\n");
    rows(kind.schema(), "", &mut page);
    page
}

/// The rows of the fields of a mapping, and of those below.
fn rows(schema: &Json, path: &str, page: &mut String) {
    let required = schema.get("required").and_then(Json::as_array);
    for (name, field) in properties(schema) {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let is_required = required.is_some_and(|all| all.iter().any(|other| other == name));
        row(&path, field, is_required, page);
        if text(field, UNSUPPORTED).is_none() {
            below(field, &path, page);
        }
    }
}

/// The rows of what a field holds.
fn below(field: &Json, path: &str, page: &mut String) {
    if let Some(items) = field.get("items") {
        below(items, &format!("{path}[]"), page);
    } else if let Some(values) = field.get("additionalProperties") {
        below(values, &format!("{path}.*"), page);
    } else {
        rows(field, path, page);
    }
}

fn row(path: &str, field: &Json, is_required: bool, page: &mut String) {
    let meaning = match text(field, UNSUPPORTED) {
        Some(why) => format!("**Not supported yet**: {why}. {}", description(field)),
        None => description(field),
    };
    let default = match field.get("default") {
        None => String::new(),
        Some(Json::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Json::Object(fields)) if fields.is_empty() => String::new(),
        Some(Json::Array(items)) if items.is_empty() => String::new(),
        Some(Json::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    };
    let mut limits = limits(field);
    if is_required {
        limits.insert(0, "required".to_owned());
    }
    let cells = [
        format!("`{path}`"),
        type_of(field),
        default,
        limits.join("; "),
        meaning,
    ];
    let cells: Vec<String> = cells.iter().map(|cell| cell_text(cell)).collect();
    page.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// Text that ends no cell and no row.
fn cell_text(text: &str) -> String {
    text.trim()
        .replace('|', "\\|")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn description(field: &Json) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(text(field, "description").map(str::to_owned));
    let item = field.get("items").unwrap_or(field);
    if let Some(meanings) = item.get(MEANINGS).and_then(Json::as_object) {
        for (name, meaning) in meanings {
            parts.push(format!(
                "`{name}`: {}",
                meaning.as_str().unwrap_or_default()
            ));
        }
    }
    parts.join(" ")
}

fn type_of(field: &Json) -> String {
    if is_set(field, INT_OR_STRING) {
        return "integer or string".to_owned();
    }
    match text(field, "type") {
        Some("array") => match field.get("items") {
            Some(items) => format!("list of {}", type_of(items)),
            None => "list".to_owned(),
        },
        Some("object") => match field.get("additionalProperties") {
            Some(values) => format!("map of {}", type_of(values)),
            None => "object".to_owned(),
        },
        Some(name) if !is_set(field, FREE) => name.to_owned(),
        _ => "any".to_owned(),
    }
}

fn limits(field: &Json) -> Vec<String> {
    let mut limits = Vec::new();
    let number = |keyword: &str| field.get(keyword).filter(|value| value.is_number());
    let mut range = |min: &str, max: &str, (one, many): (&str, &str)| {
        let unit = |count: &Json| if *count == 1 { one } else { many };
        match (number(min), number(max)) {
            (Some(min), Some(max)) => limits.push(format!("{min} to {max}{}", unit(max))),
            (Some(min), None) if *min != 0 => limits.push(format!("at least {min}{}", unit(min))),
            (None, Some(max)) => limits.push(format!("at most {max}{}", unit(max))),
            (Some(_) | None, None) => {}
        }
    };
    // Where the values are listed, their range says nothing new.
    if field.get("enum").is_none() {
        range("minimum", "maximum", ("", ""));
    }
    let rule = text(field, RULE);
    // Rules in words mostly name the length too.
    let says_length = rule.is_some_and(|rule| {
        let max = number("maxLength").map(|max| format!("at most {max}"));
        max.is_some_and(|max| rule.contains(&max))
    });
    if !says_length {
        range("minLength", "maxLength", (" character", " characters"));
    }
    range("minItems", "maxItems", (" item", " items"));
    range("minProperties", "maxProperties", (" entry", " entries"));
    if let Some(choices) = field.get("enum").and_then(Json::as_array) {
        let choices: Vec<String> = choices
            .iter()
            .map(|choice| match choice {
                Json::String(text) => format!("`{text}`"),
                other => other.to_string(),
            })
            .collect();
        limits.push(format!("one of {}", choices.join(", ")));
    }
    match (rule, text(field, "pattern")) {
        (Some(rule), _) => limits.push(rule.to_owned()),
        (None, Some(pattern)) => limits.push(format!("matches `{pattern}`")),
        (None, None) => {}
    }
    if field.get("oneOf").is_some() {
        limits.push("exactly one field".to_owned());
    }
    if let Some(items) = field.get("items") {
        let of_items = self::limits(items);
        if !of_items.is_empty() {
            limits.push(format!("each: {}", of_items.join("; ")));
        }
    }
    limits
}
