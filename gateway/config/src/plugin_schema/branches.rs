//! Schemas made of several: which of the alternatives was meant, and what is wrong with it.

use serde_json::Value as Json;

use super::types::has_type;
use super::types::is_choice;
use super::walk::At;
use super::walk::Keywords;
use super::walk::Walk;
use crate::place::Span;
use crate::schema::Finding;
use crate::tree::Node;
use crate::tree::Value;

impl<'s> Walk<'s> {
    pub(super) fn combinations(&mut self, of: &'s Keywords, node: &Node, at: At<'_>, here: Span) {
        for schema in of
            .get("allOf")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            self.value(schema, node, at, here);
        }
        for (name, only_one) in [("anyOf", false), ("oneOf", true)] {
            if let Some(branches) = of.get(name).and_then(Json::as_array) {
                self.alternatives(of, branches, only_one, node, at, here);
            }
        }
    }

    fn alternatives(
        &mut self,
        of: &'s Keywords,
        branches: &'s [Json],
        only_one: bool,
        node: &Node,
        at: At<'_>,
        here: Span,
    ) {
        let mut outcomes: Vec<(&'s Json, Vec<Finding>)> = Vec::new();
        for branch in branches {
            let before = std::mem::take(&mut self.findings);
            self.value(branch, node, at, here);
            let found = std::mem::replace(&mut self.findings, before);
            outcomes.push((branch, found));
        }
        let fitting = outcomes
            .iter()
            .filter(|(_, found)| found.is_empty())
            .count();
        if fitting == 1 || (fitting > 1 && !only_one) {
            return;
        }
        if fitting > 1 {
            let message = format!("`{at}` fits several of the alternatives that it has");
            return self.add(node.span, message, None);
        }
        outcomes.retain(|(branch, _)| self.is_meant(branch, node, 0));
        let fewest = outcomes.iter().map(|(_, found)| found.len()).min();
        let mut best = outcomes
            .into_iter()
            .filter(|(_, found)| Some(found.len()) == fewest);
        match (best.next(), best.next()) {
            (Some((_, found)), None) => {
                for Finding {
                    span,
                    message,
                    hint,
                    ..
                } in found
                {
                    self.add(span, message, hint);
                }
            }
            _ => self.mismatch(of, node, at, here),
        }
    }

    /// Whether a value looks like an attempt at a schema: it is of its type, and what tells it from
    /// others (a required field, a constant) is there.
    fn is_meant(&self, schema: &'s Json, node: &Node, depth: usize) -> bool {
        const DEEPEST: usize = 8;
        let Json::Object(of) = schema else {
            return false;
        };
        if depth < DEEPEST
            && let Some(referred) = of.get("$ref").and_then(|to| self.resolve(to))
            && !self.is_meant(referred, node, depth + 1)
        {
            return false;
        }
        if !has_type(of, &node.value) || !is_choice(of, node) {
            return false;
        }
        if !matches!(node.value, Value::Map(_)) {
            return true;
        }
        let required = of.get("required").and_then(Json::as_array);
        let mut required = required.into_iter().flatten().filter_map(Json::as_str);
        let properties = of.get("properties").and_then(Json::as_object);
        let mut constants = properties
            .into_iter()
            .flatten()
            .filter_map(|(name, schema)| Some((name, schema.as_object()?)));
        required.all(|name| node.entry(name).is_some())
            && constants.all(|(name, of)| {
                node.entry(name)
                    .is_none_or(|(_, value)| !of.contains_key("const") || is_choice(of, value))
            })
    }
}
