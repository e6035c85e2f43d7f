//! From files to a [`Draft`], again and again, so that bad never replaces good.
//!
//! Owns what is remembered between loads: documents that were read, patterns that were compiled, and
//! the last good version of each resource. A resource with an error keeps its last good version, with
//! what that version refers to; a file that cannot be read keeps all that it held; only a file or
//! document that is gone deletes.

mod endpoints;
mod read;
mod restore;
mod salvage;
mod settle;
mod texts;
mod values;

use foldhash::HashMap;
use foldhash::HashSet;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::compile::Patterns;
use crate::compile::Version;
use crate::draft::AcceptedDocument;
use crate::draft::Draft;
use crate::problem::Problem;
use crate::resource::ResourceId;
use crate::source;

use read::Cache;

/// The root namespace of a mesh unless it says otherwise (Istio: `rootNamespace`).
pub const ROOT_NAMESPACE: &str = "istio-system";

/// The last good versions by resource.
type Versions = HashMap<ResourceId, Arc<Version>>;

/// An environment, as a function from names to values.
type Variables = Box<dyn Fn(&str) -> Option<String> + Send>;

/// Loads one configuration, as often as it changes.
pub struct Loader {
    path: PathBuf,
    env: Variables,
    builtins: Vec<&'static str>,
    root_namespace: String,
    cache: Cache,
    patterns: Patterns,
    /// What was committed last.
    last_good: Versions,
    /// What the last draft accepted, until it is committed.
    pending: Versions,
    /// What the last draft was made of.
    inputs: Option<Inputs>,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("path", &self.path)
            .field("last_good", &self.last_good.len())
            .finish_non_exhaustive()
    }
}

/// What was read in one load, before it is decided which versions serve.
#[derive(Debug)]
struct Inputs {
    /// Each resource of the files once, in the order of the files.
    resources: Vec<Input>,
    /// What stays because its file cannot be read.
    held: Vec<Arc<Version>>,
    /// What is wrong with documents and files themselves.
    problems: Vec<Problem>,
    /// Files and folders that were read.
    watch: BTreeSet<PathBuf>,
}

/// One resource of the files.
#[derive(Debug)]
struct Input {
    id: ResourceId,
    place: crate::place::Place,
    /// As it is written, if that is as its kind wants it.
    current: Option<Arc<Version>>,
    /// What can be used of it to refuse its requests, if it is not.
    salvaged: Option<Arc<Version>>,
}

impl Loader {
    /// A loader of a file or folder, which reads nothing yet. Plugins may read the environment of this
    /// process.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with_environment(path, |name| std::env::var(name).ok())
    }

    /// A loader whose plugins read another environment.
    #[must_use]
    pub fn with_environment(
        path: impl Into<PathBuf>,
        env: impl Fn(&str) -> Option<String> + Send + 'static,
    ) -> Self {
        Self {
            path: path.into(),
            env: Box::new(env),
            builtins: Vec::new(),
            root_namespace: ROOT_NAMESPACE.to_owned(),
            cache: Cache::default(),
            patterns: Patterns::default(),
            last_good: Versions::default(),
            pending: Versions::default(),
            inputs: None,
        }
    }

    /// Lets Plugins name these filters as their source (`builtin`); without it there are none.
    #[must_use]
    pub fn with_builtins(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.builtins = names.into_iter().collect();
        self
    }

    /// Makes another namespace the one whose Istio policies hold for all Gateways
    /// ([`ROOT_NAMESPACE`]).
    #[must_use]
    pub fn with_root_namespace(mut self, name: impl Into<String>) -> Self {
        self.root_namespace = name.into();
        self
    }

    /// Makes what was accepted before a restart the last good versions ([`Draft::accepted`]).
    /// Documents that are not understood any more are left out.
    pub fn restore(&mut self, documents: Vec<AcceptedDocument>) {
        self.last_good = restore::versions(documents);
    }

    /// Reads the files and compiles them.
    ///
    /// Nothing becomes a last good version until [`Loader::commit`].
    pub fn load(&mut self) -> Draft {
        let inputs = self.read();
        let draft = self.settle(&inputs, Vec::new());
        self.inputs = Some(inputs);
        draft
    }

    /// Compiles the last load again without what proved bad after it: resources that errors among
    /// these problems are about are refused as if the load had found them. For plugins that do not
    /// compile or start.
    pub fn refuse(&mut self, problems: Vec<Problem>) -> Draft {
        let inputs = match self.inputs.take() {
            Some(inputs) => inputs,
            None => self.read(),
        };
        let draft = self.settle(&inputs, problems);
        self.inputs = Some(inputs);
        draft
    }

    /// The last draft serves: what it accepted are the last good versions now. `refused` do not serve
    /// after all and keep their older version as the last good one.
    pub fn commit(&mut self, draft: &Draft, refused: &[ResourceId]) {
        let accepted: HashSet<&ResourceId> =
            draft.accepted.iter().map(|one| &one.resource).collect();
        let mut older = std::mem::take(&mut self.last_good);
        let pending = std::mem::take(&mut self.pending);
        for (id, version) in &pending {
            if !accepted.contains(id) {
                continue;
            }
            let version = if refused.contains(id) {
                older.remove(id)
            } else {
                Some(Arc::clone(version))
            };
            if let Some(version) = version {
                self.last_good.insert(id.clone(), version);
            }
        }
        self.pending = pending;
    }

    /// The last good versions, as a restart needs them.
    #[must_use]
    pub fn accepted(&self) -> Vec<AcceptedDocument> {
        restore::documents(&self.last_good)
    }

    fn read(&mut self) -> Inputs {
        let mut problems = Vec::new();
        let files = source::read(&self.path, &mut problems);
        let mut watch = BTreeSet::from([self.path.clone()]);
        self.cache.begin();
        let mut gathered = read::Gathered::default();
        for file in files.iter().flatten() {
            watch.insert(file.path.to_path_buf());
            match &file.documents {
                Some(documents) => {
                    for document in documents {
                        gathered.add(self.cache.read(document), document);
                    }
                }
                None => gathered.broken(&file.path),
            }
        }
        let is_unknown = files.is_none_or(|files| files.is_empty());
        let read::Gathered {
            mut resources,
            problems: found,
            mut broken,
            ..
        } = gathered;
        problems.extend(found);
        let named = self.read_named(&mut resources, &mut problems);
        self.forget_values(&named, &resources, &mut problems, &mut broken);
        watch.extend(named);
        // Most loads hold nothing back and need no list of what they have seen.
        let may_hold = is_unknown || !broken.is_empty();
        let seen = resources.iter().filter(|_| may_hold);
        let seen: HashSet<&ResourceId> = seen.map(|input| &input.id).collect();
        let is_held = |version: &&Arc<Version>| {
            may_hold
                && !seen.contains(&version.content.id)
                && (is_unknown || broken.contains(&absolute(&version.origin.file)))
        };
        let held = self.last_good.values().filter(is_held).cloned().collect();
        Inputs {
            resources,
            held,
            problems,
            watch,
        }
    }

    /// Reads the files that resources name; returns their paths.
    fn read_named(
        &self,
        resources: &mut [Input],
        problems: &mut Vec<Problem>,
    ) -> BTreeSet<PathBuf> {
        let mut named = BTreeSet::new();
        let mut texts = texts::Texts::default();
        let mut endpoint_files = endpoints::Files::default();
        for input in resources {
            endpoints::read(
                input,
                &mut endpoint_files,
                &mut texts,
                &self.last_good,
                &mut named,
                problems,
            );
            values::read(input, &mut texts, &mut named, problems);
        }
        named
    }

    /// Files that resources name and that have none themselves are no configuration: nothing is wrong
    /// with them.
    fn forget_values(
        &self,
        named: &BTreeSet<PathBuf>,
        resources: &[Input],
        problems: &mut Vec<Problem>,
        broken: &mut HashSet<PathBuf>,
    ) {
        if named.is_empty() {
            return;
        }
        let mut values = named.clone();
        let of_files = resources.iter().map(|input| &*input.place.file);
        let of_before = self.last_good.values().map(|one| &*one.origin.file);
        of_files.chain(of_before).for_each(|file| {
            values.remove(&absolute(file));
        });
        let is_value = |file: &Path| values.contains(&absolute(file));
        problems.retain(|problem| {
            let place = problem.place.as_ref();
            let place = place.filter(|_| problem.resource.is_none());
            !place.is_some_and(|place| is_value(&place.file))
        });
        broken.retain(|file| !is_value(file));
    }
}

/// A path as files are compared by.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
