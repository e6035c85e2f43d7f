//! docs/proxy-wasm-compatibility.md: every function of Proxy-Wasm and WASI, every callback, every
//! attribute, and what Tidegate makes of it.
//!
//! The lists are `host-abi`'s own, so that nothing can be left out. What is said of each is in
//! `tests/matrix/compatibility.rows`; a row is supported only if its conformance test exists and a
//! case of the [`matrix`](super::matrix) uses it. `TIDEGATE_BLESS=1` writes the page anew.

#[path = "compatibility/page.rs"]
mod page;
#[path = "compatibility/rows.rs"]
mod rows;
#[path = "compatibility/uses.rs"]
mod uses;

use std::fs;
use std::path::Path;

use rows::Rows;
use rows::State;
use uses::Uses;

/// Where the page is.
const PAGE: &str = "../docs/proxy-wasm-compatibility.md";

#[test]
fn every_row_has_its_test_and_its_case_or_a_reason() {
    let (rows, uses) = (Rows::read(), Uses::find());
    let mut faults = Vec::new();
    for (section, names) in page::sections() {
        for name in &names {
            let Some(row) = rows.of(section, name) else {
                faults.push(format!("{name}: no row in [{section}]"));
                continue;
            };
            if matches!(row.state, State::NotYet(_)) {
                continue;
            }
            if !uses::test_exists(&row.test) {
                faults.push(format!("{name}: there is no test {:?}", row.test));
            }
            let shown = match &row.state {
                State::Fixtures(_) => true,
                State::Compared(test) => uses::test_exists(&format!("gateway {test}")),
                _ => uses.of(section, name).is_some(),
            };
            if !shown {
                faults.push(format!("{name}: no case of the matrix uses it"));
            }
        }
        let unknown = rows
            .names(section)
            .filter(|name| names.iter().all(|known| known != name));
        faults.extend(unknown.map(|name| format!("{name}: nothing in [{section}] is called so")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_page_is_what_rows_and_cases_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page::page(&Rows::read(), &Uses::find());
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(&path, &page).expect("writable");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/proxy-wasm-compatibility.md is not what the matrix shows; TIDEGATE_BLESS=1 writes it anew"
    );
}
