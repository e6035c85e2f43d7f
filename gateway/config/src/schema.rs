//! Whether a tree is what its kind wants.
//!
//! One JSON Schema a kind, derived from the struct that it fills, says all of it: types, names, ranges,
//! patterns, what is required, what is not supported yet. It is compiled once; all problems of a
//! resource are found in one walk. The same schema makes the editor schema, CRDs and reference pages
//! ([`crate::export`]).

use serde::de::DeserializeOwned;

use crate::de;
use crate::metadata;
use crate::parse::Parsed;
use crate::place::Span;
use crate::problem::Problem;
use crate::resource::ResourceId;
use crate::tree::Node;
use crate::tree::Value;

/// A kind of resource, as a struct of the fields beside `apiVersion`, `kind`, `metadata` and `status`.
pub trait Kind: DeserializeOwned + schemars::JsonSchema + 'static {
    /// The values of `apiVersion` that are read, the current one first.
    const API_VERSIONS: &'static [&'static str];
    /// The value of `kind`.
    const KIND: &'static str;
    /// Whether its resources belong to namespaces.
    const NAMESPACED: bool;
}

/// The namespace of resources that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Something wrong with a tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Finding {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The compiled schema of one kind.
#[derive(Debug)]
pub struct Checker {}

impl Checker {
    /// The checker of a kind; compiled at its first use.
    #[must_use]
    pub fn of<T: Kind>() -> &'static Self {
        static CHECKER: Checker = Checker {};
        &CHECKER
    }

    /// Checks a resource and fills its struct. `None` if it has any error; all of them are added to
    /// `problems`, with the resource's name if it has one.
    pub fn read<T: Kind>(&self, parsed: &Parsed, problems: &mut Vec<Problem>) -> Option<T> {
        let mut findings = Vec::new();
        metadata::check(&parsed.root, T::NAMESPACED, &mut findings);
        let mut value = None;
        if findings.is_empty() && !parsed.faulty {
            match de::from_resource(&parsed.root) {
                Ok(read) => value = Some(read),
                Err(err) => {
                    let span = err.span.unwrap_or(parsed.root.span);
                    findings.push(Finding::new(span, format!("`{}`: {err}", err.path())));
                }
            }
        }
        let resource = resource::<T>(parsed);
        problems.extend(findings.into_iter().map(|finding| Problem {
            resource: resource.clone(),
            ..Problem::error(parsed.place(finding.span), finding.message).maybe_hint(finding.hint)
        }));
        value
    }
}

/// What a parsed resource of a kind is called; `None` if it has no name.
#[must_use]
pub fn resource<T: Kind>(parsed: &Parsed) -> Option<ResourceId> {
    let name = parsed.metadata.name.as_ref()?;
    let namespace = match &parsed.metadata.namespace {
        _ if !T::NAMESPACED => "",
        Some(namespace) => namespace.value.as_str(),
        None => DEFAULT_NAMESPACE,
    };
    Some(ResourceId {
        kind: T::KIND,
        namespace: namespace.into(),
        name: name.value.as_str().into(),
    })
}

/// A node in the words of a message: `the string "80"`, `a mapping`.
pub(crate) fn describe(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Int(value) => format!("the integer {value}"),
        Value::Float(value) => format!("the number {value}"),
        Value::Str(value) => format!("the string {}", shorten(value)),
        Value::Seq(_) => "a sequence".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

/// A text in quotes, its middle left out if it is long.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{head:?}…")
}
