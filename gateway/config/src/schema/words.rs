//! The words of messages about values.

use std::fmt;

use super::rule::FieldRule;
use super::rule::Rule;
use super::shorten;
use crate::tree::Node;
use crate::tree::Value;

/// The name of a value in messages: its field, with positions if it is in a sequence.
#[derive(Clone, Copy)]
pub(super) enum Name<'a> {
    Root,
    Field(&'a str),
    Item(&'a Self, usize),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the resource"),
            Self::Field(name) => f.write_str(name),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What to do about a value of the wrong type, if that is clear.
pub(super) fn hint(rule: &Rule, node: &Node) -> Option<String> {
    match (rule, &node.value) {
        (Rule::Text(rule), Value::Int(_) | Value::Float(_) | Value::Bool(_))
            if rule.choices.is_empty() =>
        {
            Some("put it into quotes".to_owned())
        }
        (Rule::Int(_) | Rule::Number { .. }, Value::Str(text)) if text.parse::<f64>().is_ok() => {
            Some("remove the quotes".to_owned())
        }
        (Rule::Bool, Value::Str(text)) => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write `true`".to_owned()),
            "no" | "off" | "n" | "false" => Some("write `false`".to_owned()),
            _ => None,
        },
        (Rule::Seq { .. }, Value::Map(_) | Value::Str(_) | Value::Int(_)) => {
            Some("begin each item with `- `".to_owned())
        }
        (Rule::Fields(rule), Value::Str(text)) => match rule.field(text) {
            Some(field) => Some(format!("write `{}:` and its fields below", field.name)),
            None if text.contains(':') => Some("put a space after the colon".to_owned()),
            None => None,
        },
        (_, _) => None,
    }
}

/// A rule in the words of a message.
pub(super) fn wanted(rule: &Rule) -> String {
    match rule {
        Rule::Any => "a value",
        Rule::Bool => "true or false",
        Rule::Int(_) => "an integer",
        Rule::Number { .. } => "a number",
        Rule::Text(rule) if !rule.choices.is_empty() => return one_of(&rule.choices),
        Rule::Text(_) => "a string",
        Rule::IntOrText => "an integer or a string",
        Rule::Seq { .. } => "a sequence",
        Rule::Fields(_) | Rule::Map { .. } => "a mapping",
    }
    .to_owned()
}

pub(super) fn one_of(choices: &[Box<str>]) -> String {
    match choices {
        [only] => format!("`{only}`"),
        _ => {
            let all: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            format!("one of {}", all.join(", "))
        }
    }
}

pub(super) fn names(fields: &[FieldRule]) -> String {
    let all: Vec<String> = fields
        .iter()
        .map(|field| format!("`{}`", field.name))
        .collect();
    all.join(", ")
}

/// A key in backquotes, shortened and escaped where it must be.
pub(crate) fn quoted(name: &str) -> String {
    let shown = shorten(name);
    match shown
        .strip_prefix('"')
        .and_then(|shown| shown.strip_suffix('"'))
    {
        Some(plain) if plain == name => format!("`{name}`"),
        _ => shown,
    }
}
