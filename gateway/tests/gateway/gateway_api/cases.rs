//! Files of cases as they are written.
//!
//! A file holds resources and, among them, documents of the kind `Case`. Resources before the first
//! case are there in all cases of the file; those after a case in that case alone. `$apples` is the
//! port of an origin that calls itself so, started where it is first named, `$applesTls` that of TLS in
//! front of it, and `$applesMtls` that of one that asks for a certificate; in what is expected,
//! `$8080` is the real port of the listener that the resources give port 8080.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::SeqAccess;
use serde::de::Visitor;
use tidegate_config::de::from_resource;
use tidegate_config::document::Document;
use tidegate_config::document::split;
use tidegate_config::parse::parse;

/// The kind of documents that are cases.
const KIND: &str = "Case";
/// Resources that every case has: Services with their endpoints.
const EVERYWHERE: &str = "services.yaml";

/// What the gateway must do with resources.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What is shown, as a sentence.
    pub(crate) says: String,
    /// The features of the Gateway API that it is about.
    pub(crate) features: Vec<String>,
    /// What is asked, and what comes of it.
    #[serde(default)]
    pub(crate) requests: Vec<Ask>,
    /// Conditions that resources have; others may be there too.
    #[serde(default)]
    pub(crate) conditions: Vec<Condition>,
    /// The reasons of all errors, in the order of the resources.
    #[serde(default)]
    pub(crate) problems: Vec<String>,
}

/// A request with what is expected. Without a status, it is 200; without an origin, the gateway itself
/// answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// Method and URL: `GET http://shop.test:8080/apples`. The port is that of a listener, 80 if
    /// there is none, or 443 with `https`; the host field is what stands there.
    pub(crate) request: String,
    /// Fields of the request.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Lines>,
    /// Fields that the origin answers with.
    #[serde(default)]
    pub(crate) reply: BTreeMap<String, Lines>,
    /// Before which part of its answer the origin stops for good: `head` or `body`.
    pub(crate) stall: Option<String>,
    /// Another host field than the URL's.
    pub(crate) host: Option<String>,
    /// Another name that is asked for in the TLS handshake (SNI) than the URL's host.
    pub(crate) sni: Option<String>,
    /// Whose certificate the client shows.
    pub(crate) shows: Option<Shown>,
    /// The address of the listener, if several have the port.
    pub(crate) address: Option<String>,
    /// The status.
    pub(crate) status: Option<u16>,
    /// Whether the answer breaks off in its body, or TLS in its handshake.
    #[serde(default)]
    pub(crate) cut: bool,
    /// The origin that answers.
    pub(crate) from: Option<String>,
    /// What the origin sees.
    #[serde(default)]
    pub(crate) seen: Seen,
    /// What the client sees.
    #[serde(default)]
    pub(crate) answer: Fields,
    /// How often it is sent.
    pub(crate) times: Option<usize>,
    /// Instead of `status` and `from`: how many percent of the answers come from which origin, or
    /// have which status.
    #[serde(default)]
    pub(crate) shares: BTreeMap<String, f64>,
    /// How many percent of the requests are copied to which origin.
    #[serde(default)]
    pub(crate) mirrors: BTreeMap<String, f64>,
}

/// Who has signed what a client shows.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shown {
    /// The one that is believed.
    Authority,
    /// One that nobody knows.
    Stranger,
}

/// What an origin sees of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    /// The method.
    pub(crate) method: Option<String>,
    /// The path with its query.
    pub(crate) path: Option<String>,
    /// The host field.
    pub(crate) host: Option<String>,
    /// Fields that are there, with all their lines.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Lines>,
    /// Fields that are not there.
    #[serde(default)]
    pub(crate) without: Vec<String>,
}

/// What a client sees of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fields {
    /// Fields that are there, with all their lines.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Lines>,
    /// Fields that are not there.
    #[serde(default)]
    pub(crate) without: Vec<String>,
}

/// A condition of a resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    /// The resource: `HTTPRoute default/fruit`.
    pub(crate) of: String,
    /// The parent or listener.
    pub(crate) about: Option<String>,
    /// Such as `Accepted`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Whether it holds.
    pub(crate) status: bool,
    /// Why.
    pub(crate) reason: String,
    /// For people; not compared if absent.
    pub(crate) message: Option<String>,
}

/// The lines of a field: a text, or several.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Lines(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LinesVisitor)
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or several")
    }

    fn visit_str<E>(self, text: &str) -> Result<Lines, E> {
        Ok(Lines(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(line) = items.next_element()? {
            lines.push(line);
        }
        Ok(Lines(lines))
    }
}

/// A case with its resources.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Where the case is written, as `file:line`.
    pub(crate) place: String,
    /// The case.
    pub(crate) case: Case,
    /// The resources, those of the file and of all files included.
    pub(crate) resources: String,
}

/// The folder of the cases.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The names of all files of cases.
pub(crate) fn files() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    names
        .map(|name| name.into_string().expect("a plain name"))
        .filter(|name| name != EVERYWHERE && name != super::table::FEATURES)
        .map(|name| name.trim_end_matches(".yaml").to_owned())
        .collect()
}

/// The text of a file.
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("the file is there")
}

/// The documents of a file.
pub(crate) fn documents(name: &str, text: &str) -> Vec<Document> {
    split(&Arc::from(Path::new(name)), text)
}

/// Reads a document as `T` if it is of this kind.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(document: &Document, kind: &str) -> Option<T> {
    let mut problems = Vec::new();
    let parsed = parse(document, &mut problems);
    assert!(problems.is_empty(), "{problems:#?}");
    let parsed = parsed.first().filter(|one| one.kind.value == kind)?;
    let read = from_resource(&parsed.root).map_err(|err| {
        let place = parsed.place(err.span.unwrap_or(parsed.root.span));
        format!(
            "{}:{}: {}: {err}",
            place.file.display(),
            place.line,
            err.path()
        )
    });
    Some(read.expect("a document is as its kind wants it"))
}

/// The cases of a file with their resources.
pub(crate) fn settings(name: &str) -> Vec<Setting> {
    let name = format!("{name}.yaml");
    let settings = settings_in(&name, &text(&name));
    assert!(!settings.is_empty(), "{name} has no case");
    settings
}

/// The cases of a text with their resources.
pub(crate) fn settings_in(name: &str, cases: &str) -> Vec<Setting> {
    let plain = |document: &Document| format!("---\n{}\n", document.text.trim_start_matches("---"));
    let everywhere = documents(EVERYWHERE, &text(EVERYWHERE));
    let mut shared: String = everywhere.iter().map(plain).collect();
    let mut settings: Vec<Setting> = Vec::new();
    for document in documents(name, cases) {
        if let Some(case) = read(&document, KIND) {
            settings.push(Setting {
                place: format!("{name}:{}", document.origin.first_line),
                case,
                resources: shared.clone(),
            });
            continue;
        }
        let resources = settings
            .last_mut()
            .map_or(&mut shared, |setting| &mut setting.resources);
        resources.push_str(&plain(&document));
    }
    settings
}
