//! Last good versions as documents, and back: what a restart needs.

use foldhash::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::Versions;
use super::endpoints;
use super::read::Reading;
use super::read::read;
use crate::compile::Version;
use crate::document::Document;
use crate::draft::AcceptedDocument;
use crate::kinds::Body;

/// Versions as documents, in the order of their resources.
pub(super) fn documents(versions: &Versions) -> Vec<AcceptedDocument> {
    let mut documents: Vec<AcceptedDocument> = versions.values().map(|one| document(one)).collect();
    documents.sort_unstable_by(|a, b| a.resource.cmp(&b.resource));
    documents
}

pub(super) fn document(version: &Version) -> AcceptedDocument {
    AcceptedDocument {
        resource: version.content.id.clone(),
        file: version.origin.file.to_path_buf(),
        line: version.origin.first_line,
        text: Arc::clone(&version.text),
        files: files(version),
    }
}

/// The files that were read with a version.
fn files(version: &Version) -> Vec<(String, Arc<str>)> {
    let endpoints = version.endpoints.iter();
    let endpoints = endpoints.map(|file| (file.name.clone(), Arc::clone(&file.text)));
    endpoints.chain(version.values.iter().cloned()).collect()
}

/// Documents as versions. What is not good any more, by the rules of this program, is left out.
pub(super) fn versions(documents: Vec<AcceptedDocument>) -> Versions {
    let mut readings: HashMap<(Arc<Path>, u32, Arc<str>), Reading> = HashMap::default();
    let mut versions = Versions::default();
    for accepted in documents {
        let file: Arc<Path> = accepted.file.as_path().into();
        let key = (Arc::clone(&file), accepted.line, Arc::clone(&accepted.text));
        let document = Document::new(&file, accepted.line, Arc::clone(&accepted.text));
        let reading = readings.entry(key).or_insert_with(|| read(&document));
        let Some(content) = reading.good(&accepted.resource) else {
            continue;
        };
        let is_backend = matches!(content.body, Body::Backend(_));
        let first = accepted.files.first().filter(|_| is_backend);
        let endpoints = first.and_then(|(name, text)| {
            let path = crate::compile::beside(&file, name);
            endpoints::parse(&path, text, &content, name, &mut Vec::new())
        });
        let values = if is_backend {
            Vec::new()
        } else {
            accepted.files
        };
        let version = Version {
            content,
            origin: document.origin,
            text: accepted.text,
            endpoints,
            values,
        };
        versions.insert(accepted.resource, Arc::new(version));
    }
    versions
}
