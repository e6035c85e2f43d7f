//! Whether a plugin's configuration is what its module says it takes.
//!
//! Modules say so in JSON Schema 2020-12 (their manifest's `configSchema`). Owns the part of it that is
//! checked: types, values, ranges, lengths, patterns, fields, items, references within the schema,
//! combinations, and the formats of our SDK. Other keywords are passed over: the module itself has the
//! last word. All problems are found, each at the value that the operator wrote.

mod branches;
mod formats;
mod shares;
mod strings;
mod types;
mod walk;
mod words;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::draft::PluginDecl;
use crate::place::Origin;
use crate::place::Place;
use crate::place::Span;
use crate::problem::Problem;
use crate::schema::Finding;
use crate::tree::Node;
use crate::tree::Value;
pub use shares::BackendShare;
pub use shares::ShareOf;
pub use shares::shares;
use walk::At;
use walk::Walk;

/// The reason of problems of a plugin's configuration.
pub const REASON: &str = "ConfigRefused";

/// Everything in a plugin's configuration that its module's schema refuses.
#[must_use]
pub fn check(schema: &Json, decl: &PluginDecl) -> Vec<Problem> {
    let nothing = Node {
        span: Span::NONE,
        value: Value::Map(Vec::new()),
    };
    let written = decl.config_written.as_ref();
    let place = |span: Span| -> Place {
        let place = written.and_then(|written| written.place(span));
        place.unwrap_or_else(|| decl.config_place.clone())
    };
    let node = written.map_or(&nothing, |written| &written.node);
    let hidden = written.map_or(&[][..], |written| &written.hidden);
    let findings = findings(schema, node, Some(decl), hidden);
    let problems = findings.into_iter().map(|finding| {
        let span = finding.span;
        let message = match written {
            Some(written) => written.in_words(&finding.message, span),
            None => finding.message,
        };
        let resource = written.and_then(|written| written.resource(span));
        Problem::error(place(span), message)
            .maybe_hint(finding.hint)
            .reason(REASON)
            .about(resource.unwrap_or(&decl.resource).clone())
    });
    problems.collect()
}

/// Everything in what a plugin is told that its module's schema refuses, one line each. For those who
/// have no resource.
#[must_use]
pub fn check_bytes(schema: &Json, config: &[u8]) -> Vec<String> {
    let value = match config.trim_ascii() {
        b"" => Value::Map(Vec::new()),
        text => Value::Str(String::from_utf8_lossy(text).into()),
    };
    let node = Node {
        span: Span::NONE,
        value,
    };
    let line = |Finding { message, hint, .. }| match hint {
        Some(hint) => format!("{message} ({hint})"),
        None => message,
    };
    findings(schema, &node, None, &[])
        .into_iter()
        .map(line)
        .collect()
}

/// A configuration that was read outside of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadConfig {
    /// What its plugin would be told: JSON, or a string as it is.
    pub told: Vec<u8>,
    /// What is wrong with it, each at its line and column.
    pub problems: Vec<Problem>,
}

/// Reads a configuration, YAML or JSON, that stands in `file` or nowhere, and checks it against a
/// schema if there is one.
#[must_use]
pub fn read(file: &Arc<Path>, text: &str, schema: Option<&Json>) -> ReadConfig {
    let origin = Origin {
        file: Arc::clone(file),
        first_line: 1,
    };
    let mut problems = Vec::new();
    let node = crate::parse::value(&origin, text, &mut problems);
    let node = node.filter(|_| problems.is_empty());
    if let (Some(schema), Some(node)) = (schema, &node) {
        let findings = findings(schema, node, None, &[]).into_iter();
        problems.extend(findings.map(|finding| {
            let place = (finding.span != Span::NONE).then(|| origin.place(finding.span));
            Problem::error(place, finding.message)
                .maybe_hint(finding.hint)
                .reason(REASON)
        }));
    }
    let json = node.as_ref().map(Node::to_json);
    ReadConfig {
        told: crate::rules::json_bytes(json.as_ref()).to_vec(),
        problems,
    }
}

/// Everything that a schema refuses of a value; `decl` says what backends there are. Values in `hidden`
/// places are not shown.
fn findings(
    schema: &Json,
    node: &Node,
    decl: Option<&PluginDecl>,
    hidden: &[Span],
) -> Vec<Finding> {
    let run = |node: &Node| {
        let mut walk = Walk {
            root: schema,
            decl,
            hidden,
            findings: Vec::new(),
            steps: 0,
            depth: 0,
            patterns: HashMap::new(),
        };
        walk.value(schema, node, At::Root, node.span);
        walk.end()
    };
    let found = run(node);
    // A string is handed on as it is: a module may read JSON in it.
    if let (Value::Str(text), false) = (&node.value, found.is_empty())
        && let Ok(json) = serde_json::from_str(text)
    {
        return run(&Node::of_json(json, node.span));
    }
    found
}

impl Node {
    /// The tree of a JSON value, all of which stands in one place.
    pub(crate) fn of_json(json: Json, span: Span) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => match (number.as_i128(), number.as_f64()) {
                (Some(value), _) => Value::Int(value),
                (None, value) => Value::Float(value.unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Str(text.into_boxed_str()),
            Json::Array(items) => {
                let items = items.into_iter();
                Value::Seq(items.map(|item| Self::of_json(item, span)).collect())
            }
            Json::Object(entries) => {
                let entry = |(name, value): (String, Json)| {
                    let name = name.into_boxed_str();
                    (crate::tree::Key { span, name }, Self::of_json(value, span))
                };
                Value::Map(entries.into_iter().map(entry).collect())
            }
        };
        Self { span, value }
    }
}

#[cfg(test)]
mod tests;
