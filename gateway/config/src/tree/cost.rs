//! What a document may cost: values, depth, text repeated by aliases.
//!
//! Copies are weighed before they are made, so that a document of a few lines cannot ask for more than
//! a large one.

use super::MAX_DEPTH;
use super::MAX_NODES;
use super::MAX_REPEATED_BYTES;
use super::Node;
use super::Value;
use super::fault::Fault;
use crate::place::Span;

/// What a document has cost so far.
#[derive(Debug, Default)]
pub(super) struct Cost {
    nodes: usize,
    repeated_bytes: usize,
}

impl Cost {
    /// Takes a copy of a node.
    pub(super) fn charge(&mut self, weight: &Weight, span: Span) -> Result<(), Fault> {
        self.repeated_bytes += weight.bytes;
        if self.repeated_bytes > MAX_REPEATED_BYTES {
            return Err(Fault::new(
                span,
                format!("aliases repeat more than {MAX_REPEATED_BYTES} bytes of text"),
                "write fewer or smaller aliases",
            ));
        }
        self.count(weight.nodes, span)
    }

    /// Takes values.
    pub(super) fn count(&mut self, nodes: usize, span: Span) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Fault::new(
                span,
                format!("the document holds more than {MAX_NODES} values, repeated ones included"),
                "split it into several documents, and use fewer aliases",
            ));
        }
        Ok(())
    }
}

/// The fault of a value that is nested too deep.
pub(super) fn too_deep(span: Span) -> Fault {
    Fault::new(
        span,
        format!("values are nested more than {MAX_DEPTH} levels deep"),
        "flatten them",
    )
}

/// What a copy of a node costs.
pub(super) struct Weight {
    nodes: usize,
    bytes: usize,
    pub(super) depth: usize,
}

pub(super) fn weigh(node: &Node) -> Weight {
    let is_leaf = !matches!(node.value, Value::Seq(_) | Value::Map(_));
    let mut weight = Weight {
        nodes: 1,
        bytes: 0,
        depth: usize::from(!is_leaf),
    };
    let mut add = |child: &Node| {
        let child = weigh(child);
        weight.nodes += child.nodes;
        weight.bytes += child.bytes;
        weight.depth = weight.depth.max(child.depth + 1);
    };
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        Value::Str(text) => weight.bytes = text.len(),
        Value::Seq(items) => items.iter().for_each(add),
        Value::Map(entries) => {
            entries.iter().for_each(|(_, value)| add(value));
            weight.bytes += entries.iter().map(|(key, _)| key.name.len()).sum::<usize>();
        }
    }
    weight
}
