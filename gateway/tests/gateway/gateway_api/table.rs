//! The table of docs/gateway-api.md: every feature of the Gateway API's Standard channel for Gateways
//! and HTTPRoutes, and what the cases show of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::cases::documents;
use super::cases::files;
use super::cases::read;
use super::cases::settings;
use super::cases::text;

/// The list of features.
pub(crate) const FEATURES: &str = "features.yaml";
/// Where the table is.
const PAGE: &str = "../docs/gateway-api.md";
/// What stands above it.
const HEAD: &str = "\
<!-- Written from gateway/tests/conformance: TIDEGATE_BLESS=1 cargo test -p tidegate --test gateway -- gateway_api -->

# Gateway API

Tidegate reads resources of the [Gateway API](https://gateway-api.sigs.k8s.io) v1 as they are.
This is what it supports of the Standard channel's features, by the names of the API's conformance suite.
What is not supported yet is refused with a reason and never passed over.

Each feature is shown by cases, in words of our own after what that suite checks: resources, requests, and what must come of them.
They are the files of [gateway/tests/conformance](../gateway/tests/conformance); `cargo test -p tidegate --test gateway -- gateway_api` sends their requests to a gateway with their resources over real sockets.

";
/// What stands below it.
const FOOT: &str = "
The features of the Experimental channel are refused: retries, sessions, default Gateways, ExternalAuth.

Where the API leaves the choice to an implementation, or counts on a cluster:

- A regular expression is for the whole value. Rules with one come after exact paths and before prefixes, those with longer expressions first.
- Paths are compared in their normal form, and the origin gets that form: escapes of letters are decoded, dot segments resolved, `%2F` and `//` kept.
- Files have no age: where routes are equal in all that counts, the first by namespace and name has the request.
- Resources in files have no generation, so conditions have none either.
- Of a HTTPRoute and a GRPCRoute that share a host at a listener, one is accepted there: the one that served before the other came, or else the first by namespace and name. Among GRPCRoutes, a service with a method is an exact path, a service alone a prefix, and a method alone a regular expression.
- `spec.tls.frontend` of a Gateway is for all its ports where TLS ends, for HTTPS and for bytes.
- Options of `tls` are `tidegate.dev/min-tls-version` (`1.2`, the default, or `1.3`) and `tidegate.dev/alpn` (`h2,http/1.1` by default where HTTP comes out of TLS).
- Of a port with listeners for HTTPS and TLS, the listener with the most specific host has a name; its routes have parts of it, and what they leave is closed.
";

/// All features.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Features {
    features: Vec<Feature>,
}

/// One feature.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    /// What the conformance suite calls it.
    name: String,
    /// `Core` or `Extended`.
    level: String,
    /// What it is.
    means: String,
    /// What of it is not supported yet, and why.
    partly: Option<String>,
    /// Why it is not supported yet.
    lacks: Option<String>,
}

impl Feature {
    fn state(&self) -> String {
        match (&self.lacks, &self.partly) {
            (Some(why), _) => format!("not yet: {why}"),
            (None, Some(why)) => format!("yes; {why}"),
            (None, None) => "yes".to_owned(),
        }
    }
}

fn features() -> Vec<Feature> {
    let documents = documents(FEATURES, &text(FEATURES));
    let document = documents.first().expect("the features are there");
    let read: Features = read(document, "Features").expect("they are features");
    read.features
}

/// How many cases are about which feature, and how many requests they have.
fn counts() -> BTreeMap<String, (usize, usize)> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for setting in files().iter().flat_map(|file| settings(file)) {
        for feature in setting.case.features {
            let (cases, requests) = counts.entry(feature).or_default();
            *cases += 1;
            *requests += setting.case.requests.len();
        }
    }
    counts
}

fn page(features: &[Feature], counts: &BTreeMap<String, (usize, usize)>) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| feature | level | what it is | supported | cases | requests |\n");
    page.push_str("|---|---|---|---|--:|--:|\n");
    for feature in features {
        let (cases, requests) = counts.get(&feature.name).copied().unwrap_or_default();
        let Feature {
            name, level, means, ..
        } = feature;
        let state = feature.state();
        page.push_str(&format!(
            "| {name} | {level} | {means} | {state} | {cases} | {requests} |\n"
        ));
    }
    page.push_str(FOOT);
    page
}

#[test]
fn every_feature_is_shown_by_a_case_or_has_a_reason() {
    let (features, counts) = (features(), counts());
    let unknown = counts
        .keys()
        .filter(|name| features.iter().all(|one| one.name != **name));
    assert_eq!(
        unknown.collect::<Vec<_>>(),
        [""; 0],
        "features of cases that are not in {FEATURES}"
    );
    let bare = features
        .iter()
        .filter(|one| one.lacks.is_none() && !counts.contains_key(&one.name));
    let bare: Vec<&str> = bare.map(|one| one.name.as_str()).collect();
    assert_eq!(bare, [""; 0], "features without a case or a reason");
}

#[test]
fn the_table_of_features_is_what_the_cases_show() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page(&features(), &counts());
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(&path, &page).expect("writable");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/gateway-api.md is not what the cases show; TIDEGATE_BLESS=1 writes it anew"
    );
}
