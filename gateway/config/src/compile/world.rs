//! The resources of one load, each in the version that is to serve, and how they find each other.

use foldhash::HashMap;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kinds::Body;
use crate::kinds::backend::BackendEndpoint;
use crate::place::Origin;
use crate::place::Place;
use crate::place::Span;
use crate::resource::ResourceId;

/// What a resource says, wherever its document stands.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) id: ResourceId,
    pub(crate) name_span: Span,
    pub(crate) labels: BTreeMap<String, String>,
    /// Those that mean something to us.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) body: Body,
}

/// Endpoints that a Backend has in a file of their own.
#[derive(Debug, Clone)]
pub(crate) struct EndpointsFile {
    /// As the Backend names it.
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
    pub(crate) endpoints: Arc<Vec<BackendEndpoint>>,
}

/// One version of a resource, with where it was read and what was read with it.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) content: Arc<Content>,
    pub(crate) origin: Origin,
    /// The text of its document.
    pub(crate) text: Arc<str>,
    pub(crate) endpoints: Option<EndpointsFile>,
    /// The files with values of its configuration, each once.
    pub(crate) values: Vec<(String, Arc<str>)>,
}

/// Why a version serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is what the files say.
    Current,
    /// What the files say is refused; this is what served before.
    LastGood,
    /// What the files say is refused, and nothing served before: of the resource, only what is needed
    /// to answer its requests with an error.
    Salvaged,
}

/// A version that is to serve.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) version: Arc<Version>,
    pub(crate) state: State,
    /// What served before, for one that is what the files say.
    before: Option<Arc<Version>>,
    /// For resources that are gone from the files: whether a last good version of another one needs
    /// it.
    pub(crate) used: Cell<bool>,
}

impl Candidate {
    pub(crate) fn new(version: Arc<Version>, state: State) -> Self {
        Self {
            version,
            state,
            before: None,
            used: Cell::new(false),
        }
    }

    /// What the files say now, with what served before.
    pub(crate) fn current(version: Arc<Version>, before: Option<Arc<Version>>) -> Self {
        Self {
            before,
            ..Self::new(version, State::Current)
        }
    }

    /// The version that would serve if this one was refused, if there is another.
    pub(crate) fn before(&self) -> Option<Self> {
        let before = self.before.as_ref()?;
        Some(Self::new(Arc::clone(before), State::LastGood))
    }

    /// Whether it has never served: of what is in conflict, the older counts.
    pub(crate) fn is_new(&self) -> bool {
        self.state != State::LastGood && self.before.is_none()
    }

    pub(crate) fn id(&self) -> &ResourceId {
        &self.version.content.id
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.id().namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.id().name
    }

    pub(crate) fn body(&self) -> &Body {
        &self.version.content.body
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        self.version.origin.place(span)
    }

    /// `namespace/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }
}

type Index<'a> = HashMap<(&'a str, &'a str, &'a str), &'a Candidate>;

/// All resources of one load.
#[derive(Debug)]
pub(crate) struct World<'a> {
    /// Sorted by kind, namespace and name.
    sorted: Vec<&'a Candidate>,
    index: Index<'a>,
    /// Resources that are gone from the files, for last good versions that refer to them.
    gone: Index<'a>,
    /// How many more names may be compared for suggestions.
    comparisons: Cell<usize>,
}

/// Most names that one compilation compares for suggestions: thousands of dangling references among
/// thousands of names must not take minutes.
const MAX_COMPARISONS: usize = 200_000;

impl<'a> World<'a> {
    /// A world of these resources, each once, and of those that served before and are gone.
    pub(crate) fn new(candidates: &'a [Candidate], gone: &'a [Candidate]) -> Self {
        let mut sorted: Vec<&Candidate> = candidates.iter().collect();
        sorted.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        let index = |list: &'a [Candidate]| -> Index<'a> {
            list.iter()
                .map(|one| ((one.id().kind, one.namespace(), one.name()), one))
                .collect()
        };
        Self {
            sorted,
            index: index(candidates),
            gone: index(gone),
            comparisons: Cell::new(MAX_COMPARISONS),
        }
    }

    /// All resources of a kind, by namespace and name.
    pub(crate) fn all(&self, kind: &str) -> &[&'a Candidate] {
        let start = self.sorted.partition_point(|one| one.id().kind < kind);
        let end = self.sorted.partition_point(|one| one.id().kind <= kind);
        self.sorted.get(start..end).unwrap_or_default()
    }

    /// All resources, by kind, namespace and name; then those that are gone and still in use.
    pub(crate) fn everything(&self) -> impl Iterator<Item = &'a Candidate> {
        let gone = self.gone.values().copied().filter(|one| one.used.get());
        self.sorted.iter().copied().chain(gone)
    }

    /// A resource by name.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Candidate> {
        self.index.get(&(kind, namespace, name)).copied()
    }

    /// A resource that another one refers to. A last good version also finds what is gone since.
    pub(crate) fn find(
        &self,
        from: &Candidate,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Option<&'a Candidate> {
        self.get(kind, namespace, name).or_else(|| {
            let gone = self.gone.get(&(kind, namespace, name))?;
            (from.state == State::LastGood).then(|| {
                gone.used.set(true);
                *gone
            })
        })
    }

    /// Resources of a kind that are gone.
    pub(crate) fn gone(&self, kind: &str) -> impl Iterator<Item = &'a Candidate> {
        self.gone
            .values()
            .copied()
            .filter(move |one| one.id().kind == kind)
    }

    /// The names of all resources of a kind in a namespace, for suggestions; none after too many.
    pub(crate) fn names(&self, kind: &str, namespace: &str) -> impl Iterator<Item = &'a str> {
        let all = self.all(kind);
        let left = self.comparisons.get().checked_sub(all.len());
        self.comparisons.set(left.unwrap_or(0));
        let shown = if left.is_some() { all } else { &[] };
        let of_namespace = shown.iter().filter(move |one| one.namespace() == namespace);
        of_namespace.map(|one| one.name())
    }
}
