//! A schema as rules that are quick to apply to trees.

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value as Json;

use super::normal::FREE;
use super::normal::HIDDEN;
use super::normal::INT_OR_STRING;
use super::normal::RULE;
use super::normal::UNSUPPORTED;

/// What a value must be.
#[derive(Debug)]
pub(super) enum Rule {
    /// Anything that JSON can hold.
    Any,
    Bool,
    Int(IntRule),
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Text(Box<TextRule>),
    IntOrText,
    Seq {
        item: Box<Self>,
        length: Length,
    },
    Fields(Box<FieldsRule>),
    /// A mapping from names that are free.
    Map {
        value: Box<Self>,
        length: Length,
    },
}

impl Rule {
    /// Whether something in it may not be shown: a value of another form may be just that.
    pub(super) fn hides(&self) -> bool {
        match self {
            Self::Seq { item, .. } => item.hides(),
            Self::Map { value, .. } => value.hides(),
            Self::Fields(rule) => rule
                .fields
                .iter()
                .any(|field| field.hidden || field.rule.hides()),
            Self::Any
            | Self::Bool
            | Self::Int(_)
            | Self::Number { .. }
            | Self::Text(_)
            | Self::IntOrText => false,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct IntRule {
    pub(super) min: Option<i128>,
    pub(super) max: Option<i128>,
    pub(super) choices: Vec<i128>,
}

#[derive(Debug, Default)]
pub(super) struct TextRule {
    pub(super) choices: Vec<Box<str>>,
    pub(super) pattern: Option<Regex>,
    /// The pattern in words.
    pub(super) words: Option<Box<str>>,
    pub(super) length: Length,
}

/// How many characters, items or entries there may be.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Length {
    pub(super) min: usize,
    pub(super) max: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct FieldsRule {
    pub(super) fields: Vec<FieldRule>,
    by_name: HashMap<Box<str>, usize>,
    /// Whether exactly one of the fields must be given.
    pub(super) exactly_one: bool,
    /// Whether other fields are taken too.
    pub(super) open: bool,
}

impl FieldsRule {
    pub(super) fn field(&self, name: &str) -> Option<&FieldRule> {
        self.fields.get(*self.by_name.get(name)?)
    }
}

#[derive(Debug)]
pub(super) struct FieldRule {
    pub(super) name: Box<str>,
    pub(super) rule: Rule,
    pub(super) required: bool,
    /// Whether its value may not be shown.
    pub(super) hidden: bool,
    /// Why it is not supported yet.
    pub(super) unsupported: Option<Box<str>>,
}

/// Keywords that say something about a value without limiting it.
const SILENT: [&str; 4] = ["description", "default", "format", "type"];

/// Makes the rule of a schema. What the schema says beyond our understanding goes to `unknown`, so
/// that a test can see that there is nothing of the kind.
pub(super) fn compile(schema: &Json, path: &str, unknown: &mut Vec<String>) -> Rule {
    let mut source = Source {
        schema,
        path,
        unknown,
        used: Vec::new(),
    };
    let rule = source.rule();
    source.note_unused();
    rule
}

struct Source<'a> {
    schema: &'a Json,
    path: &'a str,
    unknown: &'a mut Vec<String>,
    used: Vec<&'static str>,
}

impl<'a> Source<'a> {
    fn get(&mut self, keyword: &'static str) -> Option<&'a Json> {
        self.used.push(keyword);
        self.schema.get(keyword)
    }

    fn note_unused(self) {
        let keywords = self
            .schema
            .as_object()
            .into_iter()
            .flat_map(|schema| schema.keys());
        for keyword in keywords {
            let is_ours = keyword.starts_with("x-tidegate-");
            if !is_ours && !SILENT.contains(&&**keyword) && !self.used.contains(&&**keyword) {
                self.unknown
                    .push(format!("{}: {keyword} means nothing here", self.path));
            }
        }
    }

    fn is_set(&mut self, keyword: &'static str) -> bool {
        self.get(keyword).and_then(Json::as_bool) == Some(true)
    }

    fn rule(&mut self) -> Rule {
        if self.is_set(INT_OR_STRING) {
            return Rule::IntOrText;
        }
        let is_free = self.is_set(FREE);
        match self.schema.get("type").and_then(Json::as_str) {
            Some("object") => self.mapping(is_free),
            _ if is_free => Rule::Any,
            Some("boolean") => Rule::Bool,
            Some("integer") => Rule::Int(self.int()),
            Some("number") => Rule::Number {
                min: self.get("minimum").and_then(Json::as_f64),
                max: self.get("maximum").and_then(Json::as_f64),
            },
            Some("string") => Rule::Text(Box::new(self.text())),
            Some("array") => {
                let length = self.length("minItems", "maxItems");
                let item = self.child("items", "[]");
                Rule::Seq {
                    item: Box::new(item),
                    length,
                }
            }
            other => {
                self.unknown
                    .push(format!("{}: type {other:?} is not understood", self.path));
                Rule::Any
            }
        }
    }

    fn child(&mut self, keyword: &'static str, step: &str) -> Rule {
        match self.get(keyword) {
            None => Rule::Any,
            Some(schema) => compile(schema, &format!("{}{step}", self.path), self.unknown),
        }
    }

    fn length(&mut self, min: &'static str, max: &'static str) -> Length {
        let number = |value: Option<&Json>| {
            value
                .and_then(Json::as_u64)
                .and_then(|value| usize::try_from(value).ok())
        };
        Length {
            min: number(self.get(min)).unwrap_or(0),
            max: number(self.get(max)),
        }
    }

    fn int(&mut self) -> IntRule {
        let (least, most) = match self.schema.get("format").and_then(Json::as_str) {
            Some("int32") => (Some(i32::MIN.into()), Some(i32::MAX.into())),
            Some("int64") => (Some(i64::MIN.into()), Some(i64::MAX.into())),
            Some("uint32") => (Some(0), Some(u32::MAX.into())),
            Some("uint64" | "uint") => (Some(0), Some(u64::MAX.into())),
            _ => (None, None),
        };
        let int = |value: &Json| {
            let small = value.as_i64().map(i128::from);
            small.or_else(|| value.as_u64().map(i128::from))
        };
        IntRule {
            min: self.get("minimum").and_then(int).or(least),
            max: self.get("maximum").and_then(int).or(most),
            choices: self
                .get("enum")
                .and_then(Json::as_array)
                .map_or_else(Vec::new, |all| all.iter().filter_map(int).collect()),
        }
    }

    fn text(&mut self) -> TextRule {
        let mut pattern = None;
        if let Some(text) = self.get("pattern").and_then(Json::as_str) {
            match Regex::new(text) {
                Ok(regex) => pattern = Some(regex),
                Err(err) => self.unknown.push(format!("{}: {err}", self.path)),
            }
        }
        let choices = self.get("enum").and_then(Json::as_array);
        TextRule {
            choices: choices.map_or_else(Vec::new, |all| {
                all.iter().filter_map(Json::as_str).map(Box::from).collect()
            }),
            pattern,
            words: self.get(RULE).and_then(Json::as_str).map(Box::from),
            length: self.length("minLength", "maxLength"),
        }
    }

    fn mapping(&mut self, is_free: bool) -> Rule {
        if self.schema.get("properties").is_some() {
            return Rule::Fields(Box::new(self.fields(is_free)));
        }
        if self.schema.get("additionalProperties").is_some() {
            let length = self.length("minProperties", "maxProperties");
            let value = self.child("additionalProperties", ".*");
            return Rule::Map {
                value: Box::new(value),
                length,
            };
        }
        let open = is_free;
        Rule::Fields(Box::new(FieldsRule {
            open,
            ..FieldsRule::default()
        }))
    }

    fn fields(&mut self, open: bool) -> FieldsRule {
        let required = self.get("required").and_then(Json::as_array);
        let is_required =
            |name: &str| required.is_some_and(|all| all.iter().any(|other| other == name));
        let mut fields = Vec::new();
        let properties = self.get("properties").and_then(Json::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let path = format!("{}.{name}", self.path);
            fields.push(FieldRule {
                name: name.as_str().into(),
                rule: compile(schema, &path, self.unknown),
                required: is_required(name),
                hidden: schema.get(HIDDEN).and_then(Json::as_bool) == Some(true),
                unsupported: schema
                    .get(UNSUPPORTED)
                    .and_then(Json::as_str)
                    .map(Box::from),
            });
        }
        let by_name = fields
            .iter()
            .enumerate()
            .map(|(index, field)| (field.name.clone(), index))
            .collect();
        FieldsRule {
            fields,
            by_name,
            exactly_one: self.get("oneOf").is_some(),
            open,
        }
    }
}
