//! Documents as resources, each read once as long as its text stays.

use foldhash::HashMap;
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::Input;
use super::absolute;
use super::salvage;
use crate::compile::Content;
use crate::compile::Version;
use crate::document::Document;
use crate::kinds;
use crate::parse::Parsed;
use crate::parse::parse;
use crate::place::Span;
use crate::problem::Problem;
use crate::problem::Severity;
use crate::resource::ResourceId;
use crate::rules;
use crate::suggest::did_you_mean;
use crate::suggest::nearest;

/// What a document came to. Its problems are placed by the line that it began at then.
#[derive(Debug)]
pub(super) struct Reading {
    text: Arc<str>,
    first_line: u32,
    resources: Vec<ReadResource>,
    foreign: Vec<Foreign>,
    problems: Vec<Problem>,
    /// Whether there may be resources in it that nobody knows the name of.
    is_broken: bool,
}

#[derive(Debug)]
struct ReadResource {
    id: ResourceId,
    span: Span,
    current: Option<Arc<Content>>,
    salvaged: Option<Arc<Content>>,
}

/// A resource of a kind that is not ours.
#[derive(Debug)]
struct Foreign {
    kind: String,
    group: String,
    span: Span,
}

/// Documents that were read in the load before.
#[derive(Debug, Default)]
pub(super) struct Cache {
    old: HashMap<(Arc<Path>, u64), Arc<Reading>>,
    new: HashMap<(Arc<Path>, u64), Arc<Reading>>,
}

impl Cache {
    /// A load begins: what it does not ask for is forgotten at the next.
    pub(super) fn begin(&mut self) {
        self.old = std::mem::take(&mut self.new);
    }

    /// What a document says.
    pub(super) fn read(&mut self, document: &Document) -> Arc<Reading> {
        let key = (Arc::clone(&document.origin.file), document.hash);
        let known = self.new.get(&key).or_else(|| self.old.get(&key));
        let known = known.filter(|known| {
            known.text == document.text
                && (known.problems.is_empty() || known.first_line == document.origin.first_line)
        });
        let reading = match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(read(document)),
        };
        self.new.insert(key, Arc::clone(&reading));
        reading
    }
}

/// Reads a document.
pub(super) fn read(document: &Document) -> Reading {
    let mut problems = Vec::new();
    let parsed = parse(document, &mut problems);
    let mut reading = Reading {
        text: Arc::clone(&document.text),
        first_line: document.origin.first_line,
        resources: Vec::new(),
        foreign: Vec::new(),
        is_broken: problems.iter().any(|one| one.severity == Severity::Error),
        problems,
    };
    for parsed in &parsed {
        reading.resource(parsed);
    }
    reading
}

impl Reading {
    /// What it says of a resource, if that is good.
    pub(super) fn good(&self, id: &ResourceId) -> Option<Arc<Content>> {
        let found = self.resources.iter().find(|one| one.id == *id)?;
        found.current.clone()
    }

    fn resource(&mut self, parsed: &Parsed) {
        let Some(read) = kinds::read(parsed, &mut self.problems) else {
            self.unknown(parsed);
            return;
        };
        let Some(id) = read.id else {
            self.is_broken = true;
            return;
        };
        self.warn_of_old(parsed, &id);
        let content = |body| {
            Arc::new(Content {
                id: id.clone(),
                name_span: name_span(parsed),
                labels: parsed.metadata.labels.clone(),
                annotations: annotations(parsed),
                body,
            })
        };
        let findings = read.body.as_ref().map(rules::check).unwrap_or_default();
        let is_good = findings.is_empty();
        self.problems.extend(findings.into_iter().map(|finding| {
            // What has no place of its own is reported at the name.
            let span = match finding.span {
                Span::NONE => name_span(parsed),
                span => span,
            };
            Problem::error(parsed.place(span), finding.message)
                .maybe_hint(finding.hint)
                .reason(finding.reason)
                .about(id.clone())
        }));
        let (current, salvaged) = match read.body {
            Some(body) if is_good => (Some(content(body)), None),
            // Which of its parts break a rule is not known: salvaging looks at each.
            Some(body @ (kinds::Body::HttpRoute(_) | kinds::Body::GrpcRoute(_))) => {
                let left = salvage::body(parsed).unwrap_or(body);
                (None, Some(content(left)))
            }
            Some(body) => (None, Some(content(body))),
            None => (None, salvage::body(parsed).map(content)),
        };
        self.resources.push(ReadResource {
            span: name_span(parsed),
            id,
            current,
            salvaged,
        });
    }

    /// Versions that the API's authors gave up are read as the current one.
    fn warn_of_old(&mut self, parsed: &Parsed, id: &ResourceId) {
        let ours = kinds::ALL.iter().find(|(name, _)| *name == id.kind);
        let Some((_, [current, ..])) = ours else {
            return;
        };
        let given = &parsed.api_version;
        if given.contains("alpha") && given.as_str() != *current {
            let message = format!(
                "{} of the version `{}` is read as `{current}`",
                id.kind, **given
            );
            self.problems.push(
                Problem::warning(parsed.place(given.span), message)
                    .hint(format!("write `apiVersion: {current}`"))
                    .about(id.clone()),
            );
        }
    }

    /// A kind that is not read: not yet, misspelt, or none of our business.
    fn unknown(&mut self, parsed: &Parsed) {
        let (kind, version) = (&parsed.kind, &parsed.api_version);
        let group = kinds::group_of(version);
        if kinds::NOT_YET.contains(&(kind.as_str(), group)) {
            let message = format!("{} is not supported yet", **kind);
            self.problems
                .push(Problem::error(parsed.place(kind.span), message));
            return;
        }
        let by_flag = kinds::BY_FLAG
            .iter()
            .find(|(name, _)| *name == kind.as_str());
        if let (Some((name, flag)), kinds::OWN_GROUP) = (by_flag, group) {
            let message = format!("a {name} is no part of the configuration");
            let hint = format!("put it into a file of its own and name that with `{flag}`");
            self.problems
                .push(Problem::error(parsed.place(kind.span), message).hint(hint));
            return;
        }
        let ours = kinds::ALL.iter().find(|(name, _)| *name == kind.as_str());
        let groups = [kinds::GATEWAY_GROUP, kinds::OWN_GROUP, "discovery.k8s.io"];
        if let Some((name, versions)) = ours {
            let is_group = versions.iter().any(|one| kinds::group_of(one) == group);
            let is_near = nearest(group, groups).is_some() || !version.contains('/');
            if let (true, [first, ..]) = (is_group || is_near, versions) {
                let message = format!("{name} is not of the version `{}`", **version);
                let hint = format!("write `apiVersion: {first}`");
                self.problems
                    .push(Problem::error(parsed.place(version.span), message).hint(hint));
                return;
            }
        }
        if groups.contains(&group) {
            let names = kinds::ALL
                .iter()
                .filter(|(_, versions)| versions.iter().any(|one| kinds::group_of(one) == group))
                .map(|(name, _)| *name);
            let message = format!("there is no kind `{}` in `{group}`", **kind);
            let hint = did_you_mean(kind, names);
            self.problems
                .push(Problem::error(parsed.place(kind.span), message).maybe_hint(hint));
            return;
        }
        let istio = ["AuthorizationPolicy", "RequestAuthentication"];
        if let (kinds::ISTIO_GROUP, Some(near)) = (group, nearest(kind, istio)) {
            // Left alone, it would protect nobody.
            let message = format!("there is no kind `{}` in `{group}`", **kind);
            let hint = format!("did you mean `{near}`?");
            self.problems
                .push(Problem::error(parsed.place(kind.span), message).hint(hint));
            return;
        }
        self.foreign.push(Foreign {
            kind: kind.value.clone(),
            group: group.to_owned(),
            span: kind.span,
        });
    }
}

/// The annotations that mean something to us; others may be long.
fn annotations(parsed: &Parsed) -> BTreeMap<String, String> {
    let all = parsed.metadata.annotations.iter();
    let known = all.filter(|(name, _)| *name == crate::compile::DRY_RUN);
    known
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn name_span(parsed: &Parsed) -> Span {
    parsed
        .metadata
        .name
        .as_ref()
        .map_or(parsed.root.span, |name| name.span)
}

/// The resources of all files, each once.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) resources: Vec<Input>,
    pub(super) problems: Vec<Problem>,
    /// Files that may hold more than is known, as absolute paths.
    pub(super) broken: HashSet<PathBuf>,
    seen: HashMap<ResourceId, usize>,
    foreign: HashSet<(String, String)>,
}

impl Gathered {
    /// A file may hold more than is known.
    pub(super) fn broken(&mut self, file: &Path) {
        self.broken.insert(absolute(file));
    }

    /// What a document holds.
    pub(super) fn add(&mut self, reading: Arc<Reading>, document: &Document) {
        let origin = &document.origin;
        if reading.is_broken {
            self.broken(&origin.file);
        }
        self.problems.extend(reading.problems.iter().cloned());
        for foreign in &reading.foreign {
            self.foreign(foreign, document);
        }
        for resource in &reading.resources {
            let place = origin.place(resource.span);
            if let Some(first) = self.seen.get(&resource.id) {
                self.duplicate(*first, &resource.id, place);
                continue;
            }
            let version = |content: &Arc<Content>| {
                Arc::new(Version {
                    content: Arc::clone(content),
                    origin: origin.clone(),
                    text: Arc::clone(&document.text),
                    endpoints: None,
                    values: Vec::new(),
                })
            };
            self.seen.insert(resource.id.clone(), self.resources.len());
            self.resources.push(Input {
                id: resource.id.clone(),
                place,
                current: resource.current.as_ref().map(version),
                salvaged: resource.salvaged.as_ref().map(version),
            });
        }
    }

    fn duplicate(&mut self, first: usize, id: &ResourceId, place: crate::place::Place) {
        let earlier = self.resources.get(first).map_or_else(String::new, |first| {
            let place = &first.place;
            format!(": {}:{}:{}", place.file.display(), place.line, place.column)
        });
        // Not about the resource: the first one counts and is not refused.
        self.problems.push(
            Problem::error(place, format!("{id} is there already{earlier}"))
                .hint("give it another name, or remove one of the two; the first one counts"),
        );
    }

    fn foreign(&mut self, foreign: &Foreign, document: &Document) {
        if self
            .foreign
            .insert((foreign.kind.clone(), foreign.group.clone()))
        {
            let group = match foreign.group.as_str() {
                "" => String::new(),
                group => format!(" of `{group}`"),
            };
            let message = format!(
                "resources of the kind `{}`{group} are left alone",
                foreign.kind
            );
            let place = document.origin.place(foreign.span);
            self.problems.push(Problem::warning(place, message));
        }
    }
}
