//! Whether a tree is what its kind wants.
//!
//! One JSON Schema a kind, derived from the struct that it fills, says all of it: types, names, ranges,
//! patterns, what is required, what is not supported yet. It is compiled once; all problems of a
//! resource are found in one walk. The same schema makes the editor schema, CRDs and reference pages
//! ([`crate::export`]).

mod hidden;
mod normal;
mod rule;
mod walk;
mod words;

use std::any::TypeId;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::PoisonError;
use std::sync::RwLock;

use serde::de::DeserializeOwned;

use crate::de;
use crate::metadata;
use crate::parse::Parsed;
use crate::place::Span;
use crate::problem::INVALID;
use crate::problem::Problem;
use crate::resource::ResourceId;
use crate::tree::Node;
use crate::tree::Value;
pub(crate) use hidden::Hidden;
pub(crate) use hidden::hidden;
pub(crate) use normal::FREE;
pub(crate) use normal::HIDDEN;
pub(crate) use normal::INT_OR_STRING;
pub(crate) use normal::MEANINGS;
pub(crate) use normal::RULE;
pub(crate) use normal::UNSUPPORTED;

use rule::Rule;
use walk::Walk;
use words::Name;
pub(crate) use words::quoted;

/// A kind of resource, as a struct of the fields beside `apiVersion`, `kind`, `metadata` and `status`.
pub trait Kind: DeserializeOwned + schemars::JsonSchema + 'static {
    /// The values of `apiVersion` that are read, the current one first.
    const API_VERSIONS: &'static [&'static str];
    /// The value of `kind`.
    const KIND: &'static str;
    /// Whether its resources belong to namespaces.
    const NAMESPACED: bool;
}

/// Most findings of one resource: what is wrong everywhere need not be said everywhere.
const MAX_FINDINGS: usize = 100;

/// With so many problems already, one for each further resource is enough: nobody reads more, and
/// files full of nonsense must not fill the memory.
pub(crate) const MANY: usize = 10_000;

/// The namespace of resources that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Something wrong with a tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The reason in the resource's conditions.
    pub(crate) reason: &'static str,
}

impl Finding {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            hint: None,
            reason: INVALID,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn reason(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }
}

/// The compiled schema of one kind.
#[derive(Debug)]
pub struct Checker {
    /// The schema of the fields beside the header, in the plain shape of this crate.
    pub(crate) schema: serde_json::Value,
    /// What the schema says that is not checked; a test sees that there is nothing.
    unknown: Vec<String>,
    rule: Rule,
    is_secret: bool,
}

/// The kind whose values are not shown in messages.
const SECRET: &str = "Secret";

impl Checker {
    /// The checker of a kind; compiled at its first use.
    #[must_use]
    pub fn of<T: Kind>() -> &'static Self {
        static ALL: RwLock<Option<HashMap<TypeId, &'static Checker>>> = RwLock::new(None);
        let id = TypeId::of::<T>();
        let known = ALL
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|all| all.get(&id).copied());
        if let Some(checker) = known {
            return checker;
        }
        let mut all = ALL.write().unwrap_or_else(PoisonError::into_inner);
        // Kept for good: there are as many as there are kinds.
        all.get_or_insert_default()
            .entry(id)
            .or_insert_with(|| Box::leak(Box::new(Self::compile::<T>())))
    }

    fn compile<T: Kind>() -> Self {
        let schema = normal::schema_of::<T>();
        let mut unknown = Vec::new();
        let rule = rule::compile(&schema, T::KIND, &mut unknown);
        Self {
            schema,
            unknown,
            rule,
            is_secret: T::KIND == SECRET,
        }
    }

    /// What the schema says in words that are not understood, and so would not be checked. Empty for
    /// every kind of ours.
    #[must_use]
    pub fn not_understood(&self) -> &[String] {
        &self.unknown
    }

    /// Checks a resource and fills its struct. `None` if it has any error; all of them are added to
    /// `problems`, with the resource's name if it has one.
    pub fn read<T: Kind>(&self, parsed: &Parsed, problems: &mut Vec<Problem>) -> Option<T> {
        let mut findings = Vec::new();
        metadata::check(&parsed.root, T::NAMESPACED, &mut findings);
        let most = if problems.len() < MANY {
            MAX_FINDINGS
        } else {
            1
        };
        self.check(&parsed.root, most, &mut findings);
        let mut value = None;
        if findings.is_empty() && !parsed.faulty {
            match de::from_resource(&parsed.root) {
                Ok(read) => value = Some(read),
                Err(err) => {
                    let span = err.span.unwrap_or(parsed.root.span);
                    let path = err.path();
                    let what = if self.is_secret {
                        "cannot be read".to_owned()
                    } else {
                        err.message
                    };
                    findings.push(Finding::new(span, format!("`{path}`: {what}")));
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

    fn check(&self, root: &Node, most: usize, findings: &mut Vec<Finding>) {
        let mut walk = Walk {
            findings,
            most,
            secret: self.is_secret,
            left_out: None,
        };
        if let (Rule::Fields(rule), Value::Map(entries)) = (&self.rule, &root.value) {
            walk.check_fields(rule, entries, Name::Root, root.span, &de::HEADER);
        }
        if let Some((count, span)) = walk.left_out {
            let message = format!("{count} more problems of this resource are not shown");
            findings.push(Finding::new(span, message));
        }
    }
}

/// The compiled schema of what may stand in a free-form field.
pub(crate) struct Part<T> {
    rule: Rule,
    name: &'static str,
    fills: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + schemars::JsonSchema> Part<T> {
    /// The checker of a part that messages call `name`.
    pub(crate) fn new(name: &'static str) -> Self {
        let mut unknown = Vec::new();
        Self {
            rule: rule::compile(&normal::schema_of::<T>(), name, &mut unknown),
            name,
            fills: PhantomData,
        }
    }

    /// Checks a value and fills its struct. `None` if it has any error; all of them are added.
    pub(crate) fn read(&self, node: &Node, findings: &mut Vec<Finding>) -> Option<T> {
        let known = findings.len();
        let mut walk = Walk {
            findings,
            most: known + MAX_FINDINGS,
            secret: false,
            left_out: None,
        };
        walk.check(&self.rule, node, Name::Field(self.name), node.span);
        if findings.len() > known {
            return None;
        }
        match de::from_node(node) {
            Ok(value) => Some(value),
            Err(err) => {
                let span = err.span.unwrap_or(node.span);
                findings.push(Finding::new(span, format!("`{}`: {err}", self.name)));
                None
            }
        }
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
