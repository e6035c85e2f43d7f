//! Files of endpoints that Backends name.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::HashMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Input;
use super::Versions;
use super::texts::Texts;
use crate::compile::Content;
use crate::compile::EndpointsFile;
use crate::compile::Version;
use crate::kinds::Body;
use crate::kinds::backend::BackendEndpoint;
use crate::metadata::Metadata;
use crate::parse::Parsed;
use crate::place::At;
use crate::place::Origin;
use crate::problem::Problem;
use crate::rules;
use crate::schema::Checker;
use crate::schema::Kind;
use crate::tree;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// Largest file of endpoints, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A file of endpoints, as if it were a resource: the same checks apply.
#[derive(Debug, Deserialize, JsonSchema)]
struct Endpoints {
    /// The list that is the file.
    #[schemars(length(max = 10_000))]
    endpoints: Vec<BackendEndpoint>,
}

impl Kind for Endpoints {
    const API_VERSIONS: &'static [&'static str] = &["tidegate.dev/v1alpha1"];
    const KIND: &'static str = "Backend";
    const NAMESPACED: bool = true;
}

/// What the files of one load come to, each read once, however many Backends name it.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Endpoints by file; `None` if the file has problems, which are reported with the first Backend.
    parsed: HashMap<PathBuf, Option<Arc<Vec<BackendEndpoint>>>>,
}

/// Reads the file that a Backend names. One that cannot be used refuses the Backend.
pub(super) fn read(
    input: &mut Input,
    files: &mut Files,
    texts: &mut Texts,
    last_good: &Versions,
    watch: &mut BTreeSet<PathBuf>,
    problems: &mut Vec<Problem>,
) {
    let Some(current) = &input.current else {
        return;
    };
    let Body::Backend(backend) = &current.content.body else {
        return;
    };
    let Some(name) = &backend.spec.endpoints_file else {
        return;
    };
    let path = crate::compile::beside(&current.origin.file, name);
    watch.insert(path.clone());
    let text = match texts.text(&path, MAX_FILE_BYTES) {
        Ok(text) => text,
        Err(reason) => {
            let message = format!("cannot read `{}`: {reason}", path.display());
            let place = current.origin.place(name.span);
            problems.push(Problem::error(place, message).about(input.id.clone()));
            input.current = None;
            return;
        }
    };
    // What did not change since the last good version was found good then.
    let known = last_good
        .get(&input.id)
        .and_then(|version| version.endpoints.as_ref())
        .filter(|known| *known.text == *text && known.name == **name);
    let endpoints = match (known, files.parsed.get(&path)) {
        (Some(known), _) => Some(known.clone()),
        (None, Some(Some(endpoints))) => Some(EndpointsFile {
            name: name.value.clone(),
            text,
            endpoints: Arc::clone(endpoints),
        }),
        (None, Some(None)) => {
            let message = format!("`{}` has errors", path.display());
            let place = current.origin.place(name.span);
            problems.push(Problem::error(place, message).about(input.id.clone()));
            None
        }
        (None, None) => {
            let parsed = parse(&path, &text, &current.content, name, problems);
            let endpoints = parsed.as_ref().map(|file| Arc::clone(&file.endpoints));
            files.parsed.insert(path, endpoints);
            parsed
        }
    };
    input.current = endpoints.map(|endpoints| with(current, endpoints));
}

/// A version with the endpoints of its file.
fn with(version: &Version, endpoints: EndpointsFile) -> Arc<Version> {
    Arc::new(Version {
        content: Arc::clone(&version.content),
        origin: version.origin.clone(),
        text: Arc::clone(&version.text),
        endpoints: Some(endpoints),
        values: Vec::new(),
    })
}

/// The endpoints in a text; what is wrong with them is added to `problems`.
pub(super) fn parse(
    path: &Path,
    text: &Arc<str>,
    of: &Content,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Option<EndpointsFile> {
    let may_be_local =
        matches!(&of.body, Body::Backend(one) if one.spec.allow_link_local == Some(true));
    let origin = Origin {
        file: path.into(),
        first_line: 1,
    };
    let start = problems.len();
    let built = tree::build(text);
    let faulty = !built.faults.is_empty();
    problems.extend(
        built
            .faults
            .into_iter()
            .map(|fault| Problem::error(origin.place(fault.span), fault.message)),
    );
    let root = built.root.unwrap_or(Node {
        span: crate::place::Span::NONE,
        value: Value::Seq(Vec::new()),
    });
    let parsed = as_resource(origin.clone(), root, faulty);
    let read: Option<Endpoints> = Checker::of::<Endpoints>().read(&parsed, problems);
    let mut findings = rules::Findings::default();
    if let Some(read) = &read {
        rules::check_endpoints(&read.endpoints, may_be_local, &mut findings);
    }
    let findings = findings.into_list();
    let is_good = findings.is_empty();
    problems.extend(findings.into_iter().map(|finding| {
        Problem::error(origin.place(finding.span), finding.message).maybe_hint(finding.hint)
    }));
    for problem in problems.iter_mut().skip(start) {
        problem.resource = Some(of.id.clone());
    }
    let read = read.filter(|_| is_good)?;
    Some(EndpointsFile {
        name: name.to_owned(),
        text: Arc::clone(text),
        endpoints: Arc::new(read.endpoints),
    })
}

fn as_resource(origin: Origin, root: Node, faulty: bool) -> Parsed {
    let span = root.span;
    let key = |name: &str| Key {
        span,
        name: name.into(),
    };
    let text = |text: &str| Node {
        span,
        value: Value::Str(text.into()),
    };
    let metadata = Node {
        span,
        value: Value::Map(vec![(key("name"), text("endpoints"))]),
    };
    let root = Node {
        span,
        value: Value::Map(vec![(key("metadata"), metadata), (key("endpoints"), root)]),
    };
    Parsed {
        origin,
        api_version: At::nowhere("tidegate.dev/v1alpha1".to_owned()),
        kind: At::nowhere("Backend".to_owned()),
        metadata: Metadata::of(&root),
        root,
        faulty,
    }
}
