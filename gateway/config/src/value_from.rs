//! Values of a Plugin's configuration that stand elsewhere: in files, Secrets, ConfigMaps, variables.
//!
//! Owns how such a place is written: a mapping whose only key is `valueFrom`, anywhere inside `config`.
//! What it leads to is read by [`crate::load`] (files) and found by `compile` (everything else).

use std::sync::LazyLock;

use crate::kinds::plugin::ConfigFormat;
use crate::kinds::plugin::ConfigSource;
use crate::place::At;
use crate::place::Span;
use crate::schema::Finding;
use crate::schema::Part;
use crate::tree::Node;
use crate::tree::Value;

/// The key.
const KEY: &str = "valueFrom";
/// Most such places in one configuration.
const MAX_PLACES: usize = 64;

/// Everything that is wrong with the places in a configuration; with none, [`sources`] has them all.
pub(crate) fn check(config: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut places = 0;
    each(config, &mut |given, _| {
        places += 1;
        if places == MAX_PLACES + 1 {
            let message = format!("more than {MAX_PLACES} values come from elsewhere");
            let hint = "put several of them into one file";
            findings.push(Finding::new(given.span, message).hint(hint));
        }
        if places > MAX_PLACES {
            return;
        }
        let Some(source) = read(given, &mut findings) else {
            return;
        };
        let count = [
            source.file.is_some(),
            source.env.is_some(),
            source.secret_key_ref.is_some(),
            source.config_map_key_ref.is_some(),
        ];
        if count.iter().filter(|given| **given).count() != 1 {
            let message = "`valueFrom` needs exactly one of `file`, `env`, `secretKeyRef` and `configMapKeyRef`";
            findings.push(Finding::new(given.span, message));
        }
    });
    findings
}

/// The places in a configuration that was checked.
pub(crate) fn sources(config: &Node) -> Vec<ConfigSource> {
    let mut sources = Vec::new();
    each(config, &mut |given, _| {
        sources.extend(read(given, &mut Vec::new()));
    });
    sources
}

/// A configuration with its values, and where those stand that came from elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// The configuration; `None` if a value is missing.
    pub(crate) config: Option<Node>,
    /// Their places.
    pub(crate) places: Vec<Span>,
}

/// A configuration with what `value` says in each place. It says `None` if it has reported why not.
pub(crate) fn fill(
    config: &Node,
    value: &mut dyn FnMut(&ConfigSource, Span) -> Option<Node>,
) -> Filled {
    let mut filled = Filled::default();
    let mut is_complete = true;
    let node = replace(config, &mut |given, span| {
        filled.places.push(span);
        let found = read(given, &mut Vec::new()).and_then(|source| value(&source, span));
        is_complete &= found.is_some();
        found
    });
    filled.config = is_complete.then_some(node);
    filled
}

/// A text as the value that its place wants.
///
/// # Errors
///
/// Why it is no JSON, without any of it.
pub(crate) fn parse(text: &str, format: ConfigFormat, span: Span) -> Result<Node, String> {
    match format {
        ConfigFormat::Text => Ok(Node {
            span,
            value: Value::Str(text.into()),
        }),
        ConfigFormat::Json => match serde_json::from_str(text) {
            Ok(json) => Ok(Node::of_json(json, span)),
            Err(err) if err.is_eof() => Err("it ends too early".to_owned()),
            Err(err) => Err(format!(
                "line {}, column {} is wrong",
                err.line(),
                err.column()
            )),
        },
    }
}

/// How a source's value is read.
pub(crate) fn format(source: &ConfigSource) -> ConfigFormat {
    let given = source.format.as_ref();
    given.map_or(ConfigFormat::Text, |format: &At<ConfigFormat>| format.value)
}

fn read(given: &Node, findings: &mut Vec<Finding>) -> Option<ConfigSource> {
    static PART: LazyLock<Part<ConfigSource>> = LazyLock::new(|| Part::new(KEY));
    PART.read(given, findings)
}

/// What `node` says beside the key, if it is such a place.
fn place(node: &Node) -> Option<&Node> {
    match &node.value {
        Value::Map(entries) => match entries.as_slice() {
            [(key, given)] if &*key.name == KEY => Some(given),
            _ => None,
        },
        _ => None,
    }
}

fn each(node: &Node, found: &mut dyn FnMut(&Node, Span)) {
    if let Some(given) = place(node) {
        return found(given, node.span);
    }
    match &node.value {
        Value::Seq(items) => items.iter().for_each(|item| each(item, found)),
        Value::Map(entries) => entries.iter().for_each(|(_, node)| each(node, found)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {}
    }
}

fn replace(node: &Node, found: &mut dyn FnMut(&Node, Span) -> Option<Node>) -> Node {
    let value = match &node.value {
        Value::Map(entries) => {
            if let Some(given) = place(node) {
                return found(given, node.span).unwrap_or(Node {
                    span: node.span,
                    value: Value::Null,
                });
            }
            let entries = entries.iter();
            Value::Map(
                entries
                    .map(|(key, node)| (key.clone(), replace(node, found)))
                    .collect(),
            )
        }
        Value::Seq(items) => Value::Seq(items.iter().map(|item| replace(item, found)).collect()),
        other => other.clone(),
    };
    Node {
        span: node.span,
        value,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::ConfigFormat;
    use super::Node;
    use super::check;
    use super::fill;
    use super::parse;
    use crate::place::Origin;
    use crate::place::Span;

    fn node(text: &str) -> Node {
        let origin = Origin {
            file: Arc::from(Path::new("a.yaml")),
            first_line: 1,
        };
        let mut problems = Vec::new();
        let node = crate::parse::value(&origin, text, &mut problems);
        assert_eq!(problems, []);
        node.expect("a value")
    }

    #[test]
    fn a_mapping_with_that_key_alone_is_replaced_and_any_other_is_left_alone() {
        let config = node(
            "keys: { valueFrom: { file: a } }\nlist: [{ valueFrom: { file: b } }]\n\
             env: { name: X, valueFrom: { file: c } }\n",
        );
        assert_eq!(check(&config), []);
        let filled = fill(&config, &mut |source, span| {
            let name = source.file.as_ref()?;
            parse(name, ConfigFormat::Text, span).ok()
        });
        let json = filled.config.map(|node| node.to_json().to_string());
        let expected = r#"{"keys":"a","list":["b"],"env":{"name":"X","valueFrom":{"file":"c"}}}"#;
        let expected: serde_json::Value = serde_json::from_str(expected).expect("JSON");
        assert_eq!(json, Some(expected.to_string()));
        assert_eq!(filled.places.len(), 2);
    }

    #[test]
    fn what_is_no_source_is_told() {
        let messages = |text: &str| -> Vec<String> {
            let findings = check(&node(text)).into_iter();
            findings.map(|finding| finding.message).collect()
        };
        for (given, message) in [
            ("{ fil: a }", "`valueFrom` has no field `fil`"),
            (
                "{ file: a, env: B }",
                "`valueFrom` needs exactly one of `file`, `env`, `secretKeyRef` and `configMapKeyRef`",
            ),
            (
                "{}",
                "`valueFrom` needs exactly one of `file`, `env`, `secretKeyRef` and `configMapKeyRef`",
            ),
            (
                "a.json",
                "`valueFrom` must be a mapping; got the string \"a.json\"",
            ),
            (
                "{ secretKeyRef: { name: a } }",
                "the field `key` is missing in `secretKeyRef`",
            ),
        ] {
            let text = format!("keys: {{ valueFrom: {given} }}");
            assert_eq!(messages(&text), [message], "{given}");
        }
        let many = "- { valueFrom: { file: a } }\n".repeat(65);
        assert_eq!(messages(&many), ["more than 64 values come from elsewhere"]);
    }

    #[test]
    fn json_that_is_none_is_named_by_its_place_and_not_shown() {
        let err = |text: &str| parse(text, ConfigFormat::Json, Span::NONE).expect_err("no JSON");
        assert_eq!(err("{\"secret\": truth}"), "line 1, column 15 is wrong");
        assert_eq!(err("[1, 2"), "it ends too early");
        assert!(parse("[1, {}]", ConfigFormat::Json, Span::NONE).is_ok());
    }
}
