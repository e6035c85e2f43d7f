//! A document as resources: who each one is, with its tree. What the trees mean is in
//! [`crate::schema`] and beyond.

use crate::document::Document;
use crate::metadata::Metadata;
use crate::place::At;
use crate::place::Origin;
use crate::place::Place;
use crate::place::Span;
use crate::problem::Problem;
use crate::schema::MANY;
use crate::tree;
use crate::tree::Fault;
use crate::tree::Node;
use crate::tree::Value;

/// The fields that every resource has first.
const API_VERSION: &str = "apiVersion";
/// See [`API_VERSION`].
const KIND: &str = "kind";

/// A resource of any kind, as far as all kinds are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Where its document begins; all spans count from there.
    pub origin: Origin,
    /// `apiVersion`, such as `gateway.networking.k8s.io/v1`.
    pub api_version: At<String>,
    /// `kind`, such as `HTTPRoute`.
    pub kind: At<String>,
    /// Its name and the like, as far as they could be read: they are checked with the rest.
    pub metadata: Metadata,
    /// All of it, header included.
    pub root: Node,
    /// Whether the document has faults of syntax, such as a key twice: it may be checked for more
    /// problems, but not used.
    pub faulty: bool,
}

impl Parsed {
    /// The place of a span in the file.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        self.origin.place(span)
    }
}

/// Deepest nesting of `kind: List`.
const MAX_LISTS: usize = 4;

/// Reads one document. It holds one resource, or several as a `kind: List` or, in a JSON file, an array.
///
/// The result depends on nothing but the document; what is wrong is added to `problems`. Without an
/// error among those, every resource of the document is in the result.
#[must_use]
pub fn parse(document: &Document, problems: &mut Vec<Problem>) -> Vec<Parsed> {
    let built = tree::build(&document.text);
    let faulty = !built.faults.is_empty();
    let origin = &document.origin;
    let most = if problems.len() < MANY { usize::MAX } else { 1 };
    let faults = built.faults.into_iter().take(most);
    problems.extend(faults.map(|fault| problem(origin, fault)));
    let mut parser = Parser {
        origin,
        faulty,
        problems,
        resources: Vec::new(),
    };
    match built.root {
        None => {}
        Some(Node {
            value: Value::Seq(items),
            ..
        }) if document.is_json() => parser.items(items, 0),
        Some(root) => parser.resource(root, 0),
    }
    parser.resources
}

/// Reads one value, YAML or JSON, that is no resource: for text that stands outside of documents.
/// `None` if there is none; what is wrong is added to `problems`.
#[must_use]
pub fn value(origin: &Origin, text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let built = tree::build(text);
    let faults = built.faults.into_iter();
    problems.extend(faults.map(|fault| problem(origin, fault)));
    built.root
}

fn problem(origin: &Origin, fault: Fault) -> Problem {
    let mut message = fault.message;
    if let Some((what, span)) = fault.earlier {
        let Place { line, column, .. } = origin.place(span);
        message = format!("{message}: {what} in line {line}, column {column}");
    }
    Problem::error(origin.place(fault.span), message).maybe_hint(fault.hint)
}

struct Parser<'a> {
    origin: &'a Origin,
    faulty: bool,
    problems: &'a mut Vec<Problem>,
    resources: Vec<Parsed>,
}

impl Parser<'_> {
    fn items(&mut self, items: Vec<Node>, depth: usize) {
        for item in items {
            self.resource(item, depth);
        }
    }

    fn resource(&mut self, root: Node, depth: usize) {
        if root.value == Value::Null {
            return;
        }
        if !matches!(root.value, Value::Map(_)) {
            let message = format!(
                "expected a resource; got {}",
                crate::schema::describe(&root)
            );
            self.problems.push(
                Problem::error(self.origin.place(root.span), message)
                    .hint("a resource is a mapping that begins with `apiVersion:` and `kind:`"),
            );
            return;
        }
        let (api_version, kind) = (
            self.header(
                &root,
                API_VERSION,
                "such as `v1` or `tidegate.dev/v1alpha1`",
            ),
            self.header(&root, KIND, "such as `HTTPRoute`"),
        );
        let (Some(api_version), Some(kind)) = (api_version, kind) else {
            return;
        };
        if api_version.value == "v1" && kind.value == "List" {
            self.list(root, depth);
            return;
        }
        self.resources.push(Parsed {
            origin: self.origin.clone(),
            metadata: Metadata::of(&root),
            api_version,
            kind,
            root,
            faulty: self.faulty,
        });
    }

    fn list(&mut self, root: Node, depth: usize) {
        let span = root.span;
        let Value::Map(entries) = root.value else {
            return;
        };
        let items = entries.into_iter().find(|(key, _)| &*key.name == "items");
        match items {
            Some((
                _,
                Node {
                    value: Value::Seq(items),
                    ..
                },
            )) if depth < MAX_LISTS => self.items(items, depth + 1),
            Some((key, Node { value, .. })) if !matches!(value, Value::Seq(_)) => {
                let place = self.origin.place(key.span);
                self.problems.push(Problem::error(
                    place,
                    "`items` of a List must be a sequence",
                ));
            }
            Some(_) => {
                let place = self.origin.place(span);
                self.problems
                    .push(Problem::error(place, "Lists are nested too deep"));
            }
            None => {}
        }
    }

    /// A required string of the header.
    fn header(&mut self, root: &Node, name: &str, example: &str) -> Option<At<String>> {
        let problem = match root.entry(name) {
            Some((
                _,
                Node {
                    span,
                    value: Value::Str(text),
                },
            )) if !text.is_empty() => {
                return Some(At {
                    value: text.as_ref().to_owned(),
                    span: *span,
                });
            }
            Some((
                key,
                Node {
                    value: Value::Null, ..
                },
            )) => Problem::error(
                self.origin.place(key.span),
                format!("`{name}` has no value"),
            ),
            Some((_, node)) => {
                let got = crate::schema::describe(node);
                let message = format!("`{name}` must be a string; got {got}");
                Problem::error(self.origin.place(node.span), message)
            }
            None => {
                let place = self.origin.place(root.span);
                let problem = Problem::error(place, format!("the field `{name}` is missing"));
                let near = match &root.value {
                    Value::Map(entries) => {
                        crate::suggest::nearest(name, entries.iter().map(|(key, _)| &*key.name))
                    }
                    _ => None,
                };
                if let Some(near) = near {
                    self.problems
                        .push(problem.hint(format!("`{near}` should be `{name}`")));
                    return None;
                }
                problem
            }
        };
        let mut hint = format!("each resource says its {name}, {example}");
        if name == API_VERSION && root.entry(name).is_none() && root.entry(KIND).is_none() {
            hint.push_str("; a file that is no configuration has to lie elsewhere");
        }
        self.problems.push(problem.hint(hint));
        None
    }
}
