//! Makes the tree of one document's text from the parser's events.
//!
//! Owns the rules that the parser does not have: no key twice, no merge keys, only tags of the core
//! schema, bounded depth and size. A broken text gives no tree; a broken rule gives one with faults,
//! so that the rest of the document is still looked at.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::Event;
use granit_parser::Parser;
use granit_parser::ScalarStyle;
use granit_parser::Tag;

use super::Key;
use super::MAX_DEPTH;
use super::Node;
use super::Value;
use super::cost::Cost;
use super::cost::too_deep;
use super::cost::weigh;
use super::explain;
use super::extent::Extents;
use super::fault::Fault;
use super::fault::Faults;
use super::scalar;
use super::span::before;
use super::span::span;
use crate::place::Span;

/// What became of a text.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// The tree; `None` if the text is broken or holds nothing.
    pub(crate) root: Option<Node>,
    /// What is wrong, in the order it was found.
    pub(crate) faults: Vec<Fault>,
    /// Where values stand beyond their places.
    pub(crate) extents: Extents,
}

/// Reads the text of one document.
pub(crate) fn build(text: &str) -> Built {
    let mut options = granit_parser::options! { emit_unresolved_aliases: true };
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::new(text);
    let mut built = loop {
        match parser.next_event() {
            None => break builder.finish(),
            Some(Ok((event, span))) => {
                if let Err(stop) = builder.on_event(event, &span) {
                    builder.stop(stop);
                    break builder.finish();
                }
            }
            Some(Err(err)) => {
                builder.stop(explain::explain(&err, text));
                break builder.finish();
            }
        }
    };
    // A fault always has a place inside of the text.
    for fault in &mut built.faults {
        fault.span = explain::clamp(fault.span, text);
    }
    built
}

/// A mapping or sequence that is not closed yet.
struct Open {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        key: Option<Key>,
    },
}

struct Builder<'a> {
    text: &'a str,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    cost: Cost,
    done: Option<Node>,
    documents: usize,
    faults: Faults,
    extents: Extents,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            open: Vec::new(),
            anchors: HashMap::new(),
            cost: Cost::default(),
            done: None,
            documents: 0,
            faults: Faults::default(),
            extents: Extents::default(),
        }
    }

    fn finish(self) -> Built {
        Built {
            root: self.done,
            faults: self.faults.into_all(),
            extents: self.extents,
        }
    }

    /// Takes a fault that ends the document.
    fn stop(&mut self, fault: Fault) {
        self.faults.add_last(fault);
        self.done = None;
    }

    /// Takes the next event; an error ends the document.
    fn on_event(&mut self, event: Event<'_>, at: &granit_parser::Span) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Fault::new(
                        span(at),
                        "a second document begins here",
                        "put `---` on a line of its own between documents",
                    ));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_absent = at.start.index() == at.end.index();
                let place = if is_absent {
                    before(at, self.text)
                } else {
                    span(at)
                };
                self.cost.count(1, place)?;
                if !is_absent {
                    self.extents.on_scalar(place, at, self.text);
                }
                if self.expects_key() {
                    self.check_tag(tag.as_deref(), at);
                    return self.on_key(&text, style, anchor, place);
                }
                let value = self.scalar(text, style, tag.as_deref(), at);
                self.on_value(Node { span: place, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), at);
                self.on_open(Content::Seq(Vec::new()), anchor, span(at))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), at);
                let (entries, key) = (Vec::new(), None);
                self.on_open(Content::Map { entries, key }, anchor, span(at))
            }
            Event::SequenceEnd | Event::MappingEnd => self.on_close(),
            Event::Alias(anchor) => self.on_alias(anchor, span(at)),
            Event::UnresolvedAlias(name) => {
                self.faults.add(Fault::new(
                    span(at),
                    format!("there is no anchor `&{name}` above this alias"),
                    format!(
                        "write `&{name}` before the value that is meant, or the value itself here"
                    ),
                ));
                self.on_node(Node {
                    span: span(at),
                    value: Value::Null,
                })
            }
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                content: Content::Map { key: None, .. },
                ..
            })
        )
    }

    fn on_open(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Fault> {
        self.cost.count(1, span)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.open.push(Open {
            span,
            anchor,
            content,
        });
        Ok(())
    }

    fn on_close(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let mut span = open.span;
        let value = match open.content {
            Content::Seq(items) => Value::Seq(items),
            Content::Map { entries, .. } => {
                if let Some((first, _)) = entries.first()
                    && (first.span.line, first.span.column) == (span.line, span.column)
                {
                    span = first.span;
                }
                self.check_keys(&entries);
                Value::Map(entries)
            }
        };
        self.on_value(Node { span, value }, open.anchor)
    }

    fn on_key(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        span: Span,
    ) -> Result<(), Fault> {
        if style == ScalarStyle::Plain && text == "<<" {
            self.faults.add(Fault::new(
                span,
                "merge keys (`<<`) are not supported",
                "write the fields out, or repeat a whole value with an alias",
            ));
        } else if style == ScalarStyle::Plain && matches!(text, "" | "~") {
            self.faults.add(Fault::new(
                span,
                "a key is missing before the colon",
                "write the name of a field, or quotes for an empty key",
            ));
        }
        if anchor != 0 {
            let value = Value::Str(text.into());
            self.remember(anchor, &Node { span, value })?;
        }
        self.set_key(Key {
            span,
            name: text.into(),
        });
        Ok(())
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Open {
            content: Content::Map { key, .. },
            ..
        }) = self.open.last_mut()
        {
            *key = Some(new);
        }
    }

    fn on_value(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            self.remember(anchor, &node)?;
        }
        self.on_node(node)
    }

    /// Puts a finished node where it belongs.
    fn on_node(&mut self, node: Node) -> Result<(), Fault> {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.done = Some(node),
            Some(Content::Seq(items)) => items.push(node),
            Some(Content::Map { entries, key }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => return self.on_node_as_key(node),
            },
        }
        Ok(())
    }

    /// An alias, a mapping or a sequence stands where a key belongs.
    fn on_node_as_key(&mut self, node: Node) -> Result<(), Fault> {
        let Node { span, value } = node;
        let Value::Str(name) = value else {
            return Err(Fault::new(
                span,
                "a key must be text",
                "keys are the names of fields; `{` and `[` begin values",
            ));
        };
        self.set_key(Key { span, name });
        Ok(())
    }

    fn on_alias(&mut self, anchor: usize, span: Span) -> Result<(), Fault> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Fault::new(
                span,
                "this alias stands inside of its own anchor",
                "a value cannot contain itself: write it out",
            ));
        };
        self.extents.on_alias(span, node.span);
        let weight = weigh(node);
        if self.open.len() + weight.depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        let node = Node {
            span,
            value: node.value.clone(),
        };
        self.cost.charge(&weight, span)?;
        self.on_node(node)
    }

    /// Keeps a copy of an anchored node for its aliases.
    fn remember(&mut self, anchor: usize, node: &Node) -> Result<(), Fault> {
        self.cost.charge(&weigh(node), node.span)?;
        self.anchors.insert(anchor, node.clone());
        Ok(())
    }

    fn check_keys(&mut self, entries: &[(Key, Node)]) {
        // Two places for each of the few keys of usual mappings; a table for the large ones.
        const FEW: usize = 12;
        let mut report = |key: &Key, first: Span| {
            let mut fault = Fault::new(
                key.span,
                format!("the key {:?} is given twice", key.name),
                "remove one of them",
            );
            fault.earlier = Some(("it is first given", first));
            self.faults.add(fault);
        };
        if entries.len() <= FEW {
            for (index, (key, _)) in entries.iter().enumerate() {
                let mut before = entries.iter().take(index);
                if let Some((first, _)) = before.find(|(earlier, _)| earlier.name == key.name) {
                    report(key, first.span);
                }
            }
            return;
        }
        let mut seen: HashMap<&str, Span> = HashMap::with_capacity(entries.len());
        for (key, _) in entries {
            if let Some(first) = seen.get(&*key.name) {
                report(key, *first);
            } else {
                seen.insert(&key.name, key.span);
            }
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: &granit_parser::Span,
    ) -> Value {
        let wanted = self.check_tag(tag, at);
        if style != ScalarStyle::Plain || wanted == Some("str") {
            return Value::Str(text.into_owned().into_boxed_str());
        }
        let value = scalar::resolve(&text);
        let is_wanted = match (wanted, &value) {
            (None, _)
            | (Some("int"), Value::Int(_))
            | (Some("float"), Value::Int(_) | Value::Float(_))
            | (Some("bool"), Value::Bool(_))
            | (Some("null"), Value::Null) => true,
            (Some(_), _) => false,
        };
        if !is_wanted {
            let tag = wanted.unwrap_or_default();
            self.faults.add(Fault::new(
                span(at),
                format!("this is not what its tag `!!{tag}` says"),
                "remove the tag",
            ));
        }
        value
    }

    /// The type that a tag asks for; all but those of the core schema are refused.
    fn check_tag(&mut self, tag: Option<&Tag>, at: &granit_parser::Span) -> Option<&'static str> {
        const CORE: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];
        let tag = tag?;
        let known = tag
            .core_suffix()
            .and_then(|suffix| CORE.into_iter().find(|core| *core == suffix));
        if known.is_none() {
            let place = at.tag_span().map_or_else(|| span(at), |tag| span(&tag));
            self.faults.add(Fault::new(
                place,
                format!("the tag `{}` is not supported", tag.original()),
                "remove it: values need no tags here",
            ));
        }
        known
    }
}
