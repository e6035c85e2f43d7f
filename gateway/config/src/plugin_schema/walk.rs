//! Walks a tree along a schema and collects everything that breaks it.

use std::collections::HashMap;
use std::fmt;

use regex::Regex;
use serde_json::Map;
use serde_json::Value as Json;

use super::formats;
use super::types::has_type;
use super::types::is_choice;
use super::words::got;
use super::words::is_identifier;
use super::words::wanted;
use crate::draft::PluginDecl;
use crate::place::Span;
use crate::schema::Finding;
use crate::schema::quoted;
use crate::suggest::did_you_mean;
use crate::suggest::nearest;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// Most findings of one configuration.
const MAX_FINDINGS: usize = 100;
/// Most schemas that one configuration is compared with, over all its values: a schema can be made so
/// that they multiply.
const MAX_STEPS: usize = 200_000;
/// Deepest nesting of schemas, references counted.
const MAX_DEPTH: usize = 256;

/// Where a value is: `config.limits[2].window`.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Field(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("config"),
            Self::Field(parent, name) if is_identifier(name) => write!(f, "{parent}.{name}"),
            Self::Field(parent, name) => {
                write!(f, "{parent}[{}]", crate::schema::shorten(name))
            }
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Collects findings, up to a limit.
pub(super) struct Walk<'s> {
    pub(super) root: &'s Json,
    pub(super) decl: Option<&'s PluginDecl>,
    /// Where values stand that no message may show.
    pub(super) hidden: &'s [Span],
    pub(super) findings: Vec<Finding>,
    pub(super) steps: usize,
    pub(super) depth: usize,
    /// Compiled patterns; `None` for those that our engine does not know, which are passed over.
    pub(super) patterns: HashMap<&'s str, Option<Regex>>,
}

/// The keywords of one schema.
pub(super) type Keywords = Map<String, Json>;

impl<'s> Walk<'s> {
    /// What was found. Nothing if the schema is more than can be followed: then the module decides.
    pub(super) fn end(self) -> Vec<Finding> {
        if self.steps > MAX_STEPS {
            return Vec::new();
        }
        self.findings
    }

    pub(super) fn add(&mut self, span: Span, message: String, hint: Option<String>) {
        if self.findings.len() < MAX_FINDINGS {
            let finding = Finding::new(span, message);
            self.findings.push(Finding { hint, ..finding });
        }
    }

    /// Compares a value with a schema. `here` is where a missing field is reported: the key of the
    /// value, or the value if it has none.
    pub(super) fn value(&mut self, schema: &'s Json, node: &Node, at: At<'_>, here: Span) {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.depth >= MAX_DEPTH {
            return;
        }
        self.depth += 1;
        match schema {
            Json::Object(keywords) => self.keywords(keywords, node, at, here),
            Json::Bool(false) => self.add(here, format!("`{at}` is not allowed"), None),
            _ => {}
        }
        self.depth -= 1;
    }

    fn keywords(&mut self, of: &'s Keywords, node: &Node, at: At<'_>, here: Span) {
        if let Some(referred) = of.get("$ref").and_then(|to| self.resolve(to)) {
            self.value(referred, node, at, here);
        }
        if !has_type(of, &node.value) || !is_choice(of, node) {
            return self.mismatch(of, node, at, here);
        }
        match &node.value {
            Value::Map(entries) => self.fields(of, entries, at, here),
            Value::Seq(items) => self.items(of, items, node, at),
            Value::Str(text) => self.text(of, text, node, at),
            Value::Int(_) | Value::Float(_) => {
                if !formats::in_range(of, &node.value) {
                    self.mismatch(of, node, at, here);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
        self.combinations(of, node, at, here);
    }

    /// The schema that a reference within the document names.
    pub(super) fn resolve(&self, to: &Json) -> Option<&'s Json> {
        let pointer = to.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }

    /// The value is of another kind than is wanted.
    pub(super) fn mismatch(&mut self, of: &'s Keywords, node: &Node, at: At<'_>, here: Span) {
        let wanted = wanted(self, of);
        if node.value == Value::Null {
            let hint = format!("expected {wanted}");
            return self.add(here, format!("`{at}` has no value"), Some(hint));
        }
        let got = got(self, of, node);
        let message = format!("`{at}` must be {wanted}; got {got}");
        let hint = super::words::hint(self, of, node);
        self.add(node.span, message, hint);
    }

    fn fields(&mut self, of: &'s Keywords, entries: &[(Key, Node)], at: At<'_>, here: Span) {
        let properties = of.get("properties").and_then(Json::as_object);
        let patterns = of.get("patternProperties").and_then(Json::as_object);
        let others = of.get("additionalProperties");
        self.count(
            of,
            ["minProperties", "maxProperties"],
            entries.len(),
            here,
            at,
        );
        let mut known: Vec<&'s str> = Vec::new();
        known.extend(
            properties
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str),
        );
        let is_closed = others == Some(&Json::Bool(false));
        for (key, node) in entries {
            let at = At::Field(&at, &key.name);
            let mut is_known = false;
            if let Some(schema) = properties.and_then(|all| all.get(&*key.name)) {
                is_known = true;
                self.value(schema, node, at, key.span);
            }
            for (pattern, schema) in patterns.into_iter().flatten() {
                if self
                    .pattern(pattern)
                    .is_none_or(|regex| regex.is_match(&key.name))
                {
                    is_known = true;
                    self.value(schema, node, at, key.span);
                }
            }
            match others {
                Some(_) if is_known => {}
                Some(Json::Bool(false)) => self.unknown(&known, key, at),
                Some(schema) => self.value(schema, node, at, key.span),
                None => {}
            }
        }
        for name in of
            .get("required")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            let Some(name) = name.as_str() else {
                continue;
            };
            // The hint at a misspelt name says already what is wanted.
            let is_misspelt = |key: &Key| {
                is_closed
                    && !known.contains(&&*key.name)
                    && nearest(&key.name, known.iter().copied()) == Some(name)
            };
            if entries
                .iter()
                .any(|(key, _)| &*key.name == name || is_misspelt(key))
            {
                continue;
            }
            let schema = properties.and_then(|all| all.get(name));
            let keywords = schema.and_then(Json::as_object);
            let hint = keywords.map(|of| format!("expected {}", wanted(self, of)));
            self.add(
                here,
                format!("the field `{name}` is missing in `{at}`"),
                hint,
            );
        }
    }

    fn unknown(&mut self, known: &[&'s str], key: &Key, at: At<'_>) {
        const FEW: usize = 12;
        let hint = did_you_mean(&key.name, known.iter().copied()).or_else(|| match known.len() {
            0 => Some("it has no fields".to_owned()),
            1..=FEW => {
                let all: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("its fields are {}", all.join(", ")))
            }
            _ => None,
        });
        let parent = match at {
            At::Root => At::Root,
            At::Field(parent, _) | At::Item(parent, _) => *parent,
        };
        let message = format!("`{parent}` has no field {}", quoted(&key.name));
        self.add(key.span, message, hint);
    }

    fn items(&mut self, of: &'s Keywords, items: &[Node], node: &Node, at: At<'_>) {
        self.count(of, ["minItems", "maxItems"], items.len(), node.span, at);
        let first = of.get("prefixItems").and_then(Json::as_array);
        let first = first.map_or(&[][..], Vec::as_slice);
        for (index, item) in items.iter().enumerate() {
            let schema = first.get(index).or_else(|| of.get("items"));
            if let Some(schema) = schema {
                self.value(schema, item, At::Item(&at, index), item.span);
            }
        }
        if of.get("uniqueItems") == Some(&Json::Bool(true)) {
            for (index, item) in items.iter().enumerate().take(MAX_FINDINGS) {
                let before = items.iter().take(index);
                if before
                    .into_iter()
                    .any(|other| other.to_json() == item.to_json())
                {
                    let message = format!("`{at}[{index}]` is there already");
                    self.add(item.span, message, Some("remove one of them".to_owned()));
                }
            }
        }
    }

    /// Whether a number of parts is within limits.
    pub(super) fn count(
        &mut self,
        of: &Keywords,
        [min, max]: [&str; 2],
        count: usize,
        span: Span,
        at: At<'_>,
    ) {
        let limit = |name: &str| of.get(name).and_then(Json::as_u64);
        let (one, many) = match min {
            "minItems" => ("item", "items"),
            "minLength" => ("character", "characters"),
            _ => ("field", "fields"),
        };
        let words = |limit: u64| format!("{limit} {}", if limit == 1 { one } else { many });
        let size = u64::try_from(count).unwrap_or(u64::MAX);
        let expected = match (limit(min), limit(max)) {
            (Some(min), _) if size < min => format!("at least {}", words(min)),
            (_, Some(max)) if size > max => format!("at most {}", words(max)),
            _ => return,
        };
        self.add(
            span,
            format!("`{at}` must have {expected}; got {count}"),
            None,
        );
    }

    /// A pattern, compiled once; `None` if our engine does not know it.
    pub(super) fn pattern(&mut self, pattern: &'s str) -> Option<&Regex> {
        const MOST: usize = 1 << 20;
        let compiled = self.patterns.entry(pattern).or_insert_with(|| {
            let mut builder = regex::RegexBuilder::new(pattern);
            builder.size_limit(MOST).dfa_size_limit(MOST).build().ok()
        });
        compiled.as_ref()
    }
}
