//! Enums as JSON Schema: names alone as `enum`, names with data as mappings of one field.

use super::Writer;
use crate::config::Schema;
use crate::config::Variant;

impl<const N: usize> Writer<N> {
    pub(super) const fn one_of(&mut self, variants: &[Variant], nullable: bool) {
        let mut rest = variants;
        let (mut names, mut with_data) = (0, 0);
        while let [variant, after @ ..] = rest {
            if variant.schema.is_some() {
                with_data += 1;
            } else {
                names += 1;
            }
            rest = after;
        }
        if with_data == 0 {
            return self.names_of(variants, nullable);
        }
        self.key("oneOf");
        self.open(b'[');
        if names > 0 {
            self.item();
            self.open(b'{');
            self.names_of(variants, false);
            self.close(b'}');
        }
        let mut rest = variants;
        while let [variant, after @ ..] = rest {
            if let Some(schema) = variant.schema {
                self.item();
                self.variant(variant, schema);
            }
            rest = after;
        }
        if nullable {
            self.item();
            self.raw("{\"type\":\"null\"}");
        }
        self.close(b']');
    }

    const fn variant(&mut self, variant: &Variant, schema: &Schema) {
        self.open(b'{');
        self.types("object", None, false);
        self.key("properties");
        self.open(b'{');
        self.key(variant.name);
        self.schema(schema, variant.description, None);
        self.close(b'}');
        self.names_member("required", &[variant.name]);
        self.key("additionalProperties");
        self.raw("false");
        self.close(b'}');
    }

    /// The variants without data.
    const fn names_of(&mut self, variants: &[Variant], nullable: bool) {
        self.types("string", None, nullable);
        self.key("enum");
        self.open(b'[');
        let mut any_meaning = false;
        let mut rest = variants;
        while let [variant, after @ ..] = rest {
            if variant.schema.is_none() {
                self.item();
                self.text(variant.name);
                any_meaning |= !variant.description.is_empty();
            }
            rest = after;
        }
        if nullable {
            self.item();
            self.raw("null");
        }
        self.close(b']');
        if !any_meaning {
            return;
        }
        self.key("x-tidegate-meanings");
        self.open(b'{');
        let mut rest = variants;
        while let [variant, after @ ..] = rest {
            if variant.schema.is_none() && !variant.description.is_empty() {
                self.text_member(variant.name, variant.description);
            }
            rest = after;
        }
        self.close(b'}');
    }
}
