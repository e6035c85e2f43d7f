//! The words of messages about a plugin's configuration.

use serde_json::Value as Json;

use super::formats;
use super::formats::Format;
use super::walk::Keywords;
use super::walk::Walk;
use crate::schema::describe;
use crate::suggest::did_you_mean;
use crate::tree::Node;
use crate::tree::Value;

/// Deepest nesting of alternatives that is told.
const DEEPEST: usize = 4;

/// What a schema accepts.
pub(super) fn wanted(walk: &Walk<'_>, of: &Keywords) -> String {
    let mut all: Vec<String> = Vec::new();
    collect(walk, of, &mut all, 0);
    match all.as_slice() {
        [] => "another value".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn collect(walk: &Walk<'_>, of: &Keywords, all: &mut Vec<String>, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    let mut add = |words: String| {
        if !all.contains(&words) {
            all.push(words);
        }
    };
    if let Some(only) = of.get("const") {
        return add(value(only));
    }
    if let Some(choices) = of.get("enum").and_then(Json::as_array) {
        let choices = choices.iter().filter(|choice| !choice.is_null());
        return choices.for_each(|choice| add(value(choice)));
    }
    if let Some(Json::Object(referred)) = of.get("$ref").and_then(|to| walk.resolve(to)) {
        return collect(walk, referred, all, depth + 1);
    }
    for name in ["oneOf", "anyOf"] {
        if let Some(branches) = of.get(name).and_then(Json::as_array) {
            for branch in branches.iter().filter_map(Json::as_object) {
                collect(walk, branch, all, depth + 1);
            }
            return;
        }
    }
    if let Some(format) = formats::of(of) {
        return add(of_format(of, format));
    }
    match of.get("type") {
        Some(Json::Array(names)) => names.iter().for_each(|name| {
            if let Some(words) = of_type(of, name) {
                add(words);
            }
        }),
        Some(name) => {
            if let Some(words) = of_type(of, name) {
                add(words);
            }
        }
        None if RANGES.iter().any(|name| of.contains_key(*name)) => add(of_number(of, "a number")),
        None => {}
    }
}

fn of_format(of: &Keywords, format: Format) -> String {
    let (what, unit): (&str, fn(u64) -> String) = match format {
        Format::Duration => ("a duration such as \"2s\"", millis),
        Format::Size => ("a size such as \"64KiB\"", bytes),
        Format::Percent => ("a percentage such as \"5%\"", |_| String::new()),
        Format::Backend => ("the name of a backend", |_| String::new()),
    };
    let (min, max) = format.limits(of);
    ranged(what, min.filter(|min| *min > 0).map(unit), max.map(unit))
}

fn of_type(of: &Keywords, name: &Json) -> Option<String> {
    Some(match name.as_str()? {
        "boolean" => "true or false".to_owned(),
        "integer" => of_number(of, "an integer"),
        "number" => of_number(of, "a number"),
        "string" => "a string".to_owned(),
        "array" => "a sequence".to_owned(),
        "object" => {
            let required = of.get("required").and_then(Json::as_array);
            let properties = of.get("properties").and_then(Json::as_object);
            match (
                required.map(Vec::as_slice),
                properties.map(serde_json::Map::len),
            ) {
                // A variant with its data.
                (Some([Json::String(name)]), Some(1)) => format!("`{name}: …`"),
                _ => "a mapping".to_owned(),
            }
        }
        _ => return None,
    })
}

/// The keywords that say what numbers are meant.
const RANGES: [&str; 5] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
];

fn of_number(of: &Keywords, what: &str) -> String {
    // What a type cannot hold anyway says nothing.
    const USUAL: f64 = 9e15;
    let usual = |limit: &&Json| limit.as_f64().is_none_or(|limit| limit.abs() < USUAL);
    let limit = |name: &str| of.get(name).filter(usual).map(ToString::to_string);
    let above = limit("exclusiveMinimum").map(|limit| format!("more than {limit}"));
    let below = limit("exclusiveMaximum").map(|limit| format!("less than {limit}"));
    let multiple = limit("multipleOf").map(|unit| format!("a multiple of {unit}"));
    let words = ranged(what, limit("minimum"), limit("maximum"));
    let words = [Some(words), above, below, multiple];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn ranged(what: &str, min: Option<String>, max: Option<String>) -> String {
    match (min, max) {
        (None, None) => what.to_owned(),
        (Some(min), None) => format!("{what}, at least {min}"),
        (None, Some(max)) => format!("{what}, at most {max}"),
        (Some(min), Some(max)) => format!("{what} from {min} to {max}"),
    }
}

fn millis(mut rest: u64) -> String {
    let mut text = String::new();
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = rest / size;
        if count > 0 || (size == 1 && text.is_empty()) {
            text.push_str(&format!("{count}{unit}"));
            rest %= size;
        }
    }
    text
}

fn bytes(size: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units
        .into_iter()
        .find(|(factor, _)| size > 0 && size.is_multiple_of(*factor));
    match unit {
        Some((factor, unit)) => format!("{}{unit}", size / factor),
        None => format!("{size} bytes"),
    }
}

/// A value that a schema lists.
fn value(json: &Json) -> String {
    match json.as_str() {
        Some(text) => format!("`{text}`"),
        None => format!("`{json}`"),
    }
}

/// What a value is instead; secrets are not shown.
pub(super) fn got(walk: &Walk<'_>, of: &Keywords, node: &Node) -> String {
    let is_hidden = walk.hidden.contains(&node.span);
    if of.get("writeOnly") != Some(&Json::Bool(true)) && !is_hidden {
        return describe(node);
    }
    match &node.value {
        Value::Null | Value::Seq(_) | Value::Map(_) => return describe(node),
        // What it holds is not to be guessed from the message.
        Value::Str(_) if is_hidden => "text from elsewhere",
        Value::Str(_) => "another string",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
    }
    .to_owned()
}

/// What to do about a value, if that is clear.
pub(super) fn hint(walk: &Walk<'_>, of: &Keywords, node: &Node) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    collect(walk, of, &mut names, 0);
    let names = || {
        let plain = names.iter().filter_map(|name| name.strip_prefix('`'));
        plain.filter_map(|name| name.strip_suffix(": …`").or(name.strip_suffix('`')))
    };
    let allows = |kind: &str| match of.get("type") {
        Some(Json::Array(kinds)) => kinds.iter().any(|one| one == kind),
        Some(one) => one == kind,
        None => false,
    };
    if walk.hidden.contains(&node.span) {
        let is_text = matches!(node.value, Value::Str(_));
        let wants_parts = ["array", "object", "integer", "number", "boolean"]
            .into_iter()
            .any(allows);
        return (is_text && wants_parts).then(|| "add `format: Json` to `valueFrom`".to_owned());
    }
    match &node.value {
        Value::Str(text) => {
            if (allows("integer") || allows("number")) && text.parse::<f64>().is_ok() {
                return Some("remove the quotes".to_owned());
            }
            if allows("boolean") {
                return match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" | "true" => Some("write `true`".to_owned()),
                    "no" | "off" | "n" | "false" => Some("write `false`".to_owned()),
                    _ => None,
                };
            }
            if allows("array") {
                return Some("begin each item with `- `".to_owned());
            }
            did_you_mean(text, names())
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
            let is_plain = of.get("enum").is_none() && formats::of(of).is_none();
            (allows("string") && is_plain).then(|| "put it into quotes".to_owned())
        }
        Value::Map(entries) => match entries.as_slice() {
            [(key, _)] => did_you_mean(&key.name, names()),
            _ => None,
        },
        Value::Null | Value::Seq(_) => None,
    }
}

/// Whether a name needs no quotes in a path.
pub(super) fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
