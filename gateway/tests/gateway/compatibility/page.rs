//! The text of docs/proxy-wasm-compatibility.md.

use std::fmt::Write as _;

use tidegate_host_abi::AbiVersion;
use tidegate_host_abi::FOREIGN_FUNCTIONS;
use tidegate_host_abi::Property;
use tidegate_host_abi::guest_functions;
use tidegate_host_abi::host_functions;

use super::rows::Rows;
use super::rows::State;
use super::uses::Uses;
use crate::matrix::cases::Area;
use crate::matrix::cases::areas;
use crate::matrix::legs::Leg;

/// The sections of the rows.
pub(crate) const FUNCTIONS: &str = "host functions";
pub(crate) const CALLBACKS: &str = "callbacks";
pub(crate) const ATTRIBUTES: &str = "attributes";
pub(crate) const WASI: &str = "wasi";
pub(crate) const FOREIGN: &str = "foreign functions";

/// Envoy's foreign functions that are not here.
const OTHER_FOREIGN: &[&str] = &["expr_create", "expr_evaluate", "expr_delete"];

/// Attributes whose paths have a part of the guest's.
const OPEN_ATTRIBUTES: &[&str] = &[
    "request.headers.<name>",
    "response.headers.<name>",
    "response.trailers.<name>",
    "xds.node",
    "xds.node.id",
    "xds.node.cluster",
    "metadata",
    "metadata.filter_metadata",
    "filter_state.<name>",
    "upstream_filter_state",
];

const HEAD: &str = "\
<!-- Written from gateway/tests/matrix: TIDEGATE_BLESS=1 cargo test -p tidegate --test gateway -- compatibility -->

# Proxy-Wasm compatibility

Tidegate runs filters of the Proxy-Wasm ABI versions 0.1.0, 0.2.0 and 0.2.1, and of Higress's dialect of it.
This page says of every function, callback and attribute whether filters find what they find in Envoy 1.40.

*Supported* means that a conformance test shows it, and that the same filter got the same from Tidegate and from a real Envoy in a case of [the matrix](../gateway/tests/matrix).
The page is written by a test that fails where such a test or case is missing.
Every module is offered every function, whatever its version; the versions say who else has it.
The tests are in [host-abi/tests/host](../host-abi/tests/host).
";

/// All sections with all their names.
pub(crate) fn sections() -> [(&'static str, Vec<&'static str>); 5] {
    let functions = |wasi| {
        let all = host_functions().filter(move |it| it.wasi == wasi);
        all.map(|it| it.name).collect()
    };
    let attributes = Property::PATHS.iter().chain(OPEN_ATTRIBUTES).copied();
    [
        (FUNCTIONS, functions(false)),
        (CALLBACKS, guest_functions().map(|it| it.name).collect()),
        (ATTRIBUTES, attributes.collect()),
        (FOREIGN, [FOREIGN_FUNCTIONS, OTHER_FOREIGN].concat()),
        (WASI, functions(true)),
    ]
}

fn title(section: &str) -> &'static str {
    match section {
        FUNCTIONS => "Host functions",
        CALLBACKS => "Callbacks and other exports",
        ATTRIBUTES => "Attributes",
        FOREIGN => "Foreign functions",
        _ => "WASI, as `wasi_snapshot_preview1` and `wasi_unstable`",
    }
}

/// The versions that have a function.
fn versions(name: &str) -> String {
    let function = host_functions().find(|it| it.name == name && !it.wasi);
    let versions = function.map_or(&[][..], |it| it.versions);
    if versions.is_empty() {
        return "none".to_owned();
    }
    let names = [
        (AbiVersion::V0_1_0, "0.1.0"),
        (AbiVersion::V0_2_0, "0.2.0"),
        (AbiVersion::V0_2_1, "0.2.1"),
        (AbiVersion::Higress, "Higress"),
    ];
    let there = names
        .iter()
        .filter(|(version, _)| versions.contains(version));
    let there: Vec<&str> = there.map(|(_, name)| *name).collect();
    if there.len() == names.len() {
        return "all".to_owned();
    }
    there.join(", ")
}

pub(crate) fn page(rows: &Rows, uses: &Uses) -> String {
    let mut page = HEAD.to_owned();
    for (section, names) in sections() {
        let with_versions = section == FUNCTIONS;
        let (head, line) = if with_versions {
            (" versions |", "---|")
        } else {
            ("", "")
        };
        write!(
            page,
            "\n## {}\n\n| name |{head} here | conformance test | case of the matrix |\n|---|{line}---|---|---|\n",
            title(section)
        )
        .expect("text can be written to");
        for name in names {
            let Some(row) = rows.of(section, name) else {
                continue;
            };
            let versions = if with_versions {
                format!(" {} |", versions(name))
            } else {
                String::new()
            };
            let (test, case) = match &row.state {
                State::NotYet(_) => ("", ""),
                State::Fixtures(_) => (row.test.as_str(), ""),
                State::Compared(test) => (row.test.as_str(), test.as_str()),
                _ => (
                    row.test.as_str(),
                    uses.of(section, name).unwrap_or_default(),
                ),
            };
            let state = row.state.text();
            writeln!(page, "| `{name}` |{versions} {state} | {test} | {case} |").expect("text");
        }
    }
    page.push_str(&differences());
    page
}

/// Every difference that a case has shown.
fn differences() -> String {
    let mut text = "\n## Where Tidegate differs from Envoy\n\nEach of these is shown by a case, which \
                    fails when the difference is gone.\n\n| case of the matrix | how, and why |\n|---|---|\n"
        .to_owned();
    for name in areas() {
        for case in Area::read(&name).cases {
            if let Some(why) = case.differs {
                writeln!(text, "| {name}: {} | {why} |", case.name).expect("text");
            }
            for (leg, why) in case.differs_on {
                let side = if leg == Leg::Http2Client.name() {
                    "client"
                } else {
                    "origin"
                };
                let side = format!("with an HTTP/2 {side}");
                writeln!(text, "| {name}: {}, {side} | {why} |", case.name).expect("text");
            }
        }
    }
    text
}
