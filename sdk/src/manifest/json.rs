//! Manifests and schemas as JSON, written at compile time.
//!
//! Schemas become JSON Schema 2020-12. What it has no words for has names of ours: formats
//! `tidegate-duration`, `-size`, `-percent` and `-backend` (with patterns for other readers), and
//! `x-tidegate-minimum` and `-maximum` (milliseconds), `x-tidegate-meanings`, and the marks
//! `x-tidegate-backend-share` and `-ref`. For sizes, `minimum`
//! and `maximum` are bytes and hold for text too.

mod text;
mod variants;

use super::Manifest;
use super::SDK_VERSION;
use crate::config::Field;
use crate::config::Literal;
use crate::config::Mark;
use crate::config::Schema;
use crate::config::Shape;

/// Writes into `N` bytes; with none, it only counts.
pub(super) struct Writer<const N: usize> {
    bytes: [u8; N],
    length: usize,
    /// Whether a comma belongs before the next member.
    comma: bool,
}

impl<const N: usize> Writer<N> {
    /// A manifest, written.
    pub(super) const fn written(manifest: &Manifest) -> Self {
        let mut writer = Self {
            bytes: [0; N],
            length: 0,
            comma: false,
        };
        writer.manifest(manifest);
        writer
    }

    pub(super) const fn length(&self) -> usize {
        self.length
    }

    pub(super) const fn bytes(&self) -> [u8; N] {
        self.bytes
    }

    const fn manifest(&mut self, manifest: &Manifest) {
        self.open(b'{');
        self.text_member("name", manifest.name);
        self.text_member("version", manifest.version);
        self.text_member("sdk", SDK_VERSION);
        self.described(manifest.description);
        self.text_member("kind", manifest.kind);
        self.names_member("needs", manifest.needs);
        self.names_member("capabilities", manifest.capabilities);
        self.key("configSchema");
        self.schema(manifest.config, "", None);
        self.close(b'}');
    }

    pub(super) const fn schema(
        &mut self,
        schema: &Schema,
        description: &str,
        default: Option<&Literal>,
    ) {
        self.open(b'{');
        let own = schema.description;
        self.described(if description.is_empty() {
            own
        } else {
            description
        });
        self.shape(schema);
        if schema.secret {
            self.flag("writeOnly");
        }
        match schema.mark {
            Mark::None => {}
            Mark::BackendShare => self.flag("x-tidegate-backend-share"),
            Mark::BackendRef => self.flag("x-tidegate-backend-ref"),
        }
        if let Some(default) = default {
            self.key("default");
            self.literal(default);
        }
        self.close(b'}');
    }

    const fn flag(&mut self, name: &str) {
        self.key(name);
        self.raw("true");
    }

    const fn shape(&mut self, schema: &Schema) {
        let nullable = schema.nullable;
        match &schema.shape {
            Shape::Any => {}
            Shape::Nothing => {
                self.types("object", None, nullable);
                self.key("additionalProperties");
                self.raw("false");
            }
            Shape::Bool => self.types("boolean", None, nullable),
            Shape::Integer { min, max } => {
                self.types("integer", None, nullable);
                self.integer_member("minimum", *min);
                self.integer_member("maximum", *max);
            }
            Shape::Number { min, max } => {
                self.types("number", None, nullable);
                if let Some((_, text)) = min {
                    self.key("minimum");
                    self.raw(text);
                }
                if let Some((_, text)) = max {
                    self.key("maximum");
                    self.raw(text);
                }
            }
            Shape::Text { min, max, pattern } => {
                self.types("string", None, nullable);
                self.lengths("minLength", *min, "maxLength", *max);
                if let Some(pattern) = pattern {
                    self.text_member("pattern", pattern.text);
                }
            }
            Shape::Char => {
                self.types("string", None, nullable);
                self.lengths("minLength", 1, "maxLength", 1);
            }
            Shape::Duration { min, max } => {
                self.types("string", None, nullable);
                self.format("tidegate-duration", "^([0-9]{1,5}(h|m|s|ms)){1,4}$");
                if *min > 0 {
                    self.integer_member("x-tidegate-minimum", *min as i128);
                }
                if *max < u64::MAX {
                    self.integer_member("x-tidegate-maximum", *max as i128);
                }
            }
            Shape::Size { min, max } => {
                self.types("integer", Some("string"), nullable);
                self.format("tidegate-size", "^[0-9]{1,18}(k|[kKMG]?B|M|G|[KMG]iB?)?$");
                self.integer_member("minimum", *min as i128);
                if *max < u64::MAX {
                    self.integer_member("maximum", *max as i128);
                }
            }
            Shape::Percent => {
                self.types("string", None, nullable);
                self.format("tidegate-percent", "^[0-9]{1,3}([.][0-9]{1,4})?%$");
            }
            Shape::Backend => {
                self.types("string", None, nullable);
                self.text_member("format", "tidegate-backend");
                self.integer_member("minLength", 1);
            }
            Shape::List { item, min, max } => {
                self.types("array", None, nullable);
                self.key("items");
                self.schema(item, "", None);
                self.lengths("minItems", *min, "maxItems", *max);
            }
            Shape::Map { value, min, max } => {
                self.types("object", None, nullable);
                self.key("additionalProperties");
                self.schema(value, "", None);
                self.lengths("minProperties", *min, "maxProperties", *max);
            }
            Shape::Fields { fields } => {
                self.types("object", None, nullable);
                self.fields(fields);
            }
            Shape::OneOf { variants } => self.one_of(variants, nullable),
        }
    }

    const fn fields(&mut self, fields: &[Field]) {
        self.key("properties");
        self.open(b'{');
        let mut rest = fields;
        let mut any_required = false;
        while let [field, after @ ..] = rest {
            self.key(field.name);
            self.schema(field.schema, field.description, field.default.as_ref());
            any_required |= field.required;
            rest = after;
        }
        self.close(b'}');
        if any_required {
            self.key("required");
            self.open(b'[');
            let mut rest = fields;
            while let [field, after @ ..] = rest {
                if field.required {
                    self.item();
                    self.text(field.name);
                }
                rest = after;
            }
            self.close(b']');
        }
        self.key("additionalProperties");
        self.raw("false");
    }

    pub(super) const fn types(&mut self, name: &str, also: Option<&str>, nullable: bool) {
        self.key("type");
        if also.is_none() && !nullable {
            return self.text(name);
        }
        self.open(b'[');
        self.item();
        self.text(name);
        if let Some(also) = also {
            self.item();
            self.text(also);
        }
        if nullable {
            self.item();
            self.text("null");
        }
        self.close(b']');
    }

    const fn format(&mut self, name: &str, pattern: &str) {
        self.text_member("format", name);
        self.text_member("pattern", pattern);
    }

    const fn lengths(&mut self, min_name: &str, min: usize, max_name: &str, max: usize) {
        if min > 0 {
            self.integer_member(min_name, min as i128);
        }
        if max < usize::MAX {
            self.integer_member(max_name, max as i128);
        }
    }

    const fn described(&mut self, description: &str) {
        if !description.is_empty() {
            self.text_member("description", description);
        }
    }

    pub(super) const fn text_member(&mut self, name: &str, text: &str) {
        self.key(name);
        self.text(text);
    }

    pub(super) const fn names_member(&mut self, name: &str, names: &[&str]) {
        self.key(name);
        self.open(b'[');
        let mut rest = names;
        while let [first, after @ ..] = rest {
            self.item();
            self.text(first);
            rest = after;
        }
        self.close(b']');
    }

    const fn integer_member(&mut self, name: &str, value: i128) {
        self.key(name);
        self.integer(value);
    }

    const fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Bool(true) => self.raw("true"),
            Literal::Bool(false) => self.raw("false"),
            Literal::Integer(_, text) | Literal::Number(_, text) => self.raw(text),
            Literal::Text(text) => self.text(text),
            Literal::List(items) => {
                self.open(b'[');
                let mut rest = *items;
                while let [first, after @ ..] = rest {
                    self.item();
                    self.literal(first);
                    rest = after;
                }
                self.close(b']');
            }
        }
    }
}
