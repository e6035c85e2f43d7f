//! A kind of its own for tests of syntax, and the way from text to problems.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_config::document::Document;
use tidegate_config::document::split;
use tidegate_config::parse::Parsed;
use tidegate_config::parse::parse;
use tidegate_config::place::At;
use tidegate_config::problem::Problem;
use tidegate_config::schema::Checker;
use tidegate_config::schema::Kind;

/// A shop at a corner.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Shop {
    /// What it is like.
    pub(crate) spec: Spec,
}

/// See [`Shop`].
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    /// Where it listens.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: At<u16>,
    /// Its hosts.
    #[serde(default)]
    #[schemars(length(max = 3), inner(length(min = 1)))]
    pub(crate) hosts: Vec<At<Host>>,
    /// How large it is.
    #[schemars(extend("default" = "Small"))]
    pub(crate) size: Option<At<Size>>,
    /// Its door.
    pub(crate) door: Option<Door>,
    /// Areas by name.
    #[serde(default)]
    pub(crate) rooms: BTreeMap<At<String>, At<f64>>,
    /// Shelves.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub(crate) shelves: Option<Vec<Shelf>>,
    /// Anything.
    pub(crate) config: Option<At<serde_json::Value>>,
    /// Whether it is open.
    pub(crate) open: Option<At<bool>>,
    /// A code.
    #[schemars(extend("enum" = [301, 302]))]
    pub(crate) code: Option<At<u16>>,
    /// A lift.
    #[schemars(extend("x-tidegate-unsupported" = "shops have one floor"))]
    pub(crate) lift: Option<String>,
}

/// A host.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Host(
    #[schemars(
        length(max = 20),
        regex(pattern = r"^[a-z.]+$"),
        extend("x-tidegate-rule" = "a host of lower-case letters and dots")
    )]
    pub(crate) String,
);

/// A shelf.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Shelf {
    /// Its name.
    pub(crate) name: At<String>,
    /// How many boards it has.
    #[schemars(length(max = 4))]
    pub(crate) label: Option<At<String>>,
    /// How many boards it has.
    pub(crate) boards: Option<At<u32>>,
}

/// A size.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
pub(crate) enum Size {
    /// Up to one room.
    Small,
    /// More rooms.
    Large,
}

/// A door.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Door {
    /// Anyone may enter.
    Open {},
    /// A key is needed.
    Locked {
        /// The key.
        key: At<String>,
    },
}

impl Kind for Shop {
    const API_VERSIONS: &'static [&'static str] = &["test/v1"];
    const KIND: &'static str = "Shop";
    const NAMESPACED: bool = true;
}

/// The resources of a text, and what is wrong with its syntax.
pub(crate) fn parse_all(file: &str, text: &str) -> (Vec<Parsed>, Vec<Problem>) {
    let file: Arc<Path> = Path::new(file).into();
    parse_documents(&split(&file, text))
}

/// The resources of documents, and what is wrong with their syntax.
pub(crate) fn parse_documents(documents: &[Document]) -> (Vec<Parsed>, Vec<Problem>) {
    let mut problems = Vec::new();
    let parsed = documents
        .iter()
        .flat_map(|document| parse(document, &mut problems))
        .collect();
    (parsed, problems)
}

/// All shops of documents, and everything that is wrong with them.
pub(crate) fn read_shops(documents: &[Document]) -> (Vec<Shop>, Vec<Problem>) {
    let (parsed, mut problems) = parse_documents(documents);
    let shops = parsed
        .iter()
        .filter(|parsed| parsed.kind.value == Shop::KIND)
        .filter_map(|parsed| Checker::of::<Shop>().read(parsed, &mut problems))
        .collect();
    (shops, problems)
}
