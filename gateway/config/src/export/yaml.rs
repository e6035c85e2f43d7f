//! JSON as YAML that people can read: block style, quotes only where they are needed.

use serde_json::Value as Json;

/// A document without its marker.
pub(super) fn write(value: &Json) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

/// A value that begins on a line of its own, indented already.
fn block(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push_str(&format!("{:indent$}", ""));
                }
                out.push_str(&format!("{}:", scalar(key)));
                below(value, indent, out);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(&format!("{:indent$}", ""));
                }
                out.push_str("- ");
                block(item, indent + 2, out);
            }
        }
        _ => {
            out.push_str(&format!("{}\n", inline(value)));
        }
    }
}

/// The value of a key that has been written.
fn below(value: &Json, indent: usize, out: &mut String) {
    let (is_large, indent) = match value {
        Json::Object(fields) => (!fields.is_empty(), indent + 2),
        Json::Array(items) => (!items.is_empty(), indent),
        _ => (false, indent),
    };
    if is_large {
        out.push_str(&format!("\n{:indent$}", ""));
    } else {
        out.push(' ');
    }
    block(value, indent, out);
}

fn inline(value: &Json) -> String {
    match value {
        Json::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A string; in quotes unless it is a plain word that means itself.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "-_./ ".contains(char))
        && !text.ends_with(' ')
        // Words that older YAML takes for booleans and nothing.
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_plain {
        return text.to_owned();
    }
    // JSON's notation of strings is one of YAML's.
    Json::String(text.to_owned()).to_string()
}
