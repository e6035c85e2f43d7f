//! Which lines of a document may not be shown, by `x-tidegate-secret` in the schemas.
//!
//! Owns the walk from a resource to the fields with that mark. What stands beside such a field is hidden
//! with it, and so is what seems to be meant as one that leads there: a misspelt field is a problem, and
//! its line would be shown. Where there is no tree to walk along, all of a document is hidden that
//! names a field of which a schema hides something.

use std::collections::BTreeSet;

use super::Checker;
use super::SECRET;
use super::rule::FieldsRule;
use super::rule::Rule;
use crate::de::HEADER;
use crate::kinds;
use crate::place::Span;
use crate::suggest::nearest;
use crate::tree;
use crate::tree::Extents;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// What of a document may not be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// Nothing of it may.
    All,
    /// These lines may not, counted from 0.
    Lines(BTreeSet<u32>),
}

/// What may not be shown of the text of a document.
pub(crate) fn hidden(text: &str) -> Hidden {
    let built = tree::build(text);
    let mut walk = Walk {
        extents: &built.extents,
        lines: BTreeSet::new(),
    };
    let seen = built.root.as_ref().map(|root| walk.document(root));
    match seen {
        Some(Seen::Secret) => Hidden::All,
        Some(Seen::Known) => Hidden::Lines(walk.lines),
        Some(Seen::Unknown) | None if names_hidden(text) => Hidden::All,
        Some(Seen::Unknown) | None => Hidden::Lines(walk.lines),
    }
}

/// Whether a text names a field of which a schema hides something.
fn names_hidden(text: &str) -> bool {
    let checkers = kinds::ALL
        .iter()
        .filter_map(|(kind, _)| kinds::checker(kind));
    let mut names = Vec::new();
    for rule in checkers.filter_map(|checker| checker.rule.fields()) {
        rule.names_above_marks(&mut names);
    }
    names.iter().any(|name| text.contains(name))
}

/// What is known of the resources of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// The kind of each has a schema.
    Known,
    /// One is of another kind, or of none.
    Unknown,
    /// One is a Secret.
    Secret,
}

struct Walk<'a> {
    extents: &'a Extents,
    lines: BTreeSet<u32>,
}

impl Walk<'_> {
    /// A resource, or a list of such; the worst that is known of one.
    fn document(&mut self, node: &Node) -> Seen {
        match &node.value {
            Value::Null => Seen::Known,
            Value::Seq(items) => self.all(items),
            Value::Map(entries) => {
                let kinds = entries.iter().filter(|(key, _)| &*key.name == "kind");
                let seen = kinds.map(|(_, kind)| self.resource(kind, node, entries));
                seen.max().unwrap_or(Seen::Unknown)
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => Seen::Unknown,
        }
    }

    fn all(&mut self, items: &[Node]) -> Seen {
        let seen = items.iter().map(|item| self.document(item));
        seen.max().unwrap_or(Seen::Known)
    }

    fn resource(&mut self, kind: &Node, node: &Node, entries: &[(Key, Node)]) -> Seen {
        match kind.as_str() {
            Some(SECRET) => Seen::Secret,
            Some("List") => match node.field("items").map(|items| &items.value) {
                Some(Value::Seq(items)) => self.all(items),
                _ => Seen::Unknown,
            },
            Some(kind) => match kinds::checker(kind) {
                Some(Checker {
                    rule: Rule::Fields(rule),
                    ..
                }) => {
                    self.fields(rule, entries, &HEADER);
                    Seen::Known
                }
                _ => Seen::Unknown,
            },
            None => Seen::Unknown,
        }
    }

    fn fields(&mut self, rule: &FieldsRule, entries: &[(Key, Node)], skip: &[&str]) {
        let mut names = Vec::new();
        rule.names_to_marks(&mut names);
        for (key, value) in entries {
            match rule.field(&key.name) {
                Some(field) if field.hidden => self.hide(value),
                Some(field) => self.follow(&field.rule, value),
                None if skip.contains(&&*key.name) => {}
                None => self.stray(&names, key, value),
            }
        }
    }

    fn follow(&mut self, rule: &Rule, node: &Node) {
        match (rule, &node.value) {
            (_, Value::Null) => {}
            _ if !rule.hides() => {}
            (Rule::Seq { item, .. }, Value::Seq(items)) => {
                items.iter().for_each(|node| self.follow(item, node));
            }
            (Rule::Map { value, .. }, Value::Map(entries)) => {
                entries
                    .iter()
                    .for_each(|(_, node)| self.follow(value, node));
            }
            (Rule::Fields(rule), Value::Map(entries)) if !rule.has_mark() => {
                self.fields(rule, entries, &[]);
            }
            // What stands beside the mark; or a value of another form, which may be just what is marked.
            _ => self.hide(node),
        }
    }

    /// A field that is not there, or one in it; `names` lead to what is hidden.
    fn stray(&mut self, names: &[&str], key: &Key, value: &Node) {
        if nearest(&key.name, names.iter().copied()).is_some() {
            self.hide(value);
        } else {
            self.astray(names, value);
        }
    }

    fn astray(&mut self, names: &[&str], node: &Node) {
        match &node.value {
            Value::Seq(items) => items.iter().for_each(|item| self.astray(names, item)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.stray(names, key, value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {}
        }
    }

    fn hide(&mut self, node: &Node) {
        match &node.value {
            Value::Seq(items) => items.iter().for_each(|item| self.hide(item)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.place(key.span);
                    self.hide(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {
                self.place(node.span);
                if let Some(anchored) = self.extents.anchored(node.span) {
                    self.place(anchored);
                }
            }
        }
    }

    fn place(&mut self, span: Span) {
        self.lines.extend(self.extents.lines(span));
    }
}

impl Rule {
    /// The fields of what it is, or of the items and values in it.
    fn fields(&self) -> Option<&FieldsRule> {
        match self {
            Self::Seq { item, .. } => item.fields(),
            Self::Map { value, .. } => value.fields(),
            Self::Fields(rule) => Some(rule),
            Self::Any
            | Self::Bool
            | Self::Int(_)
            | Self::Number { .. }
            | Self::Text(_)
            | Self::IntOrText => None,
        }
    }
}

impl FieldsRule {
    fn has_mark(&self) -> bool {
        self.fields.iter().any(|field| field.hidden)
    }

    /// The names of fields that have the mark, or lead to one.
    fn names_to_marks<'a>(&'a self, names: &mut Vec<&'a str>) {
        for field in &self.fields {
            if field.hidden || field.rule.hides() {
                names.push(&field.name);
            }
            if let Some(inner) = field.rule.fields() {
                inner.names_to_marks(names);
            }
        }
    }

    /// The names of fields in whose values something has the mark.
    fn names_above_marks<'a>(&'a self, names: &mut Vec<&'a str>) {
        for field in &self.fields {
            if let Some(inner) = field.rule.fields() {
                if inner.has_mark() {
                    names.push(&field.name);
                }
                inner.names_above_marks(names);
            }
        }
    }
}
