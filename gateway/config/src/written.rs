//! A plugin's configuration with the places of its parts, which may stand in several documents.
//!
//! Spans count lines from the first line of their document. A configuration that is made of several
//! documents counts through all of them, as if each stood below the one before: a `Part` says where
//! one begins.

use std::fmt;

use crate::place::Origin;
use crate::place::Place;
use crate::place::Span;
use crate::resource::ResourceId;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// A configuration with its places. Its `Debug` shows no value.
#[derive(Clone, PartialEq)]
pub struct Written {
    /// The configuration.
    pub node: Node,
    /// Where values stand that came from files, Secrets, ConfigMaps and variables: no message shows
    /// them.
    pub hidden: Vec<Span>,
    /// In the order of their lines; at least one.
    parts: Vec<Part>,
}

/// What came from one document.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    first_line: u32,
    origin: Origin,
    /// The resource that it is of, if that is not the plugin's own.
    resource: Option<ResourceId>,
    /// Where it stands in the configuration, and what that is called in its resource.
    paths: Vec<(String, String)>,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Written {
    /// A configuration that stands in one document.
    #[must_use]
    pub fn of(node: Node, origin: Origin) -> Self {
        Self {
            node,
            hidden: Vec::new(),
            parts: vec![Part {
                first_line: 0,
                origin,
                resource: None,
                paths: Vec::new(),
            }],
        }
    }

    fn part(&self, span: Span) -> Option<&Part> {
        let after = self
            .parts
            .partition_point(|one| one.first_line <= span.line);
        self.parts.get(after.checked_sub(1)?)
    }

    /// The place in a file; `None` of what nobody wrote.
    #[must_use]
    pub fn place(&self, span: Span) -> Option<Place> {
        if span == Span::NONE {
            return None;
        }
        let part = self.part(span)?;
        let line = span.line.saturating_sub(part.first_line);
        Some(part.origin.place(Span { line, ..span }))
    }

    /// The resource that something is written in, if that is not the plugin's own.
    #[must_use]
    pub fn resource(&self, span: Span) -> Option<&ResourceId> {
        self.part(span)?.resource.as_ref()
    }

    /// A message in which paths are called as whoever wrote them calls them.
    #[must_use]
    pub fn in_words(&self, message: &str, span: Span) -> String {
        let mut message = message.to_owned();
        let paths = self.part(span).map_or(&[][..], |part| &part.paths);
        for (path, called) in paths {
            for given in [&format!("config.{path}"), path] {
                message = message.replace(given, called);
            }
        }
        message
    }

    /// The value that a text of the filter is about: one that has its path before a colon.
    #[must_use]
    pub fn named_in(&self, text: &str) -> Option<Span> {
        let steps = text.split(": ").filter_map(|piece| {
            let piece = piece.rsplit(['\n', ' ']).next().unwrap_or(piece);
            let path = piece.trim_matches('`');
            let path = path.strip_prefix("config.").unwrap_or(path);
            self.find(path)
        });
        steps.into_iter().find(|span| *span != Span::NONE)
    }

    /// The value at a path such as `limits[2].window`; the last one on the way that somebody wrote.
    fn find(&self, path: &str) -> Option<Span> {
        let mut node = &self.node;
        let mut span = None;
        let mut rest = path;
        while !rest.is_empty() {
            node = match rest.strip_prefix('[') {
                Some(after) => {
                    let (index, after) = after.split_once(']')?;
                    rest = after.strip_prefix('.').unwrap_or(after);
                    match &node.value {
                        Value::Seq(items) => items.get(index.parse::<usize>().ok()?)?,
                        _ => return span,
                    }
                }
                None => {
                    let end = rest.find(['.', '[']).unwrap_or(rest.len());
                    let (name, after) = rest.split_at(end);
                    rest = after.strip_prefix('.').unwrap_or(after);
                    match node.entry(name) {
                        Some((_, found)) => found,
                        None => return span,
                    }
                }
            };
            if node.span != Span::NONE {
                span = Some(node.span);
            }
        }
        span
    }
}

/// Makes a configuration of parts of several documents.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    parts: Vec<Part>,
    lines: u32,
}

impl Gathered {
    /// Begins with the part of a resource whose document has the text.
    pub(crate) fn begin(&mut self, resource: &ResourceId, origin: &Origin, text: &str) {
        // The first line is nobody's: it is where what has no place stands.
        let first_line = self.lines.saturating_add(1);
        let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
        self.lines = first_line.saturating_add(lines);
        self.parts.push(Part {
            first_line,
            origin: origin.clone(),
            resource: Some(resource.clone()),
            paths: Vec::new(),
        });
    }

    /// Says what a path of the configuration is called in the resource that has begun.
    pub(crate) fn call(&mut self, path: String, called: &str) {
        if let Some(part) = self.parts.last_mut() {
            part.paths.push((path, called.to_owned()));
        }
    }

    /// A place in the document that has begun, as one of the configuration.
    pub(crate) fn span(&self, span: Span) -> Span {
        let first = self.parts.last().map_or(0, |part| part.first_line);
        Span {
            line: span.line.saturating_add(first),
            ..span
        }
    }

    /// A value of the document that has begun, as one of the configuration.
    pub(crate) fn node(&self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Seq(items) => Value::Seq(items.iter().map(|one| self.node(one)).collect()),
            Value::Map(entries) => {
                let entries = entries.iter();
                let entries =
                    entries.map(|(key, value)| (self.key(key, &key.name), self.node(value)));
                Value::Map(entries.collect())
            }
            other => other.clone(),
        };
        Node {
            span: self.span(node.span),
            value,
        }
    }

    /// A key of it, under another name.
    pub(crate) fn key(&self, key: &Key, name: &str) -> Key {
        Key {
            span: self.span(key.span),
            name: name.into(),
        }
    }

    /// The configuration.
    pub(crate) fn end(self, node: Node) -> Written {
        Written {
            node,
            hidden: Vec::new(),
            parts: self.parts,
        }
    }
}
