//! The pages and files that are made from the kinds, compared with those in `docs/`.
//! `TIDEGATE_BLESS=1` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tidegate_config::export::crds;
use tidegate_config::export::json_schema;
use tidegate_config::export::reference_page;
use tidegate_config::kinds;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// What should be there, by path below `docs/`.
fn expected() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut index = String::from(
        "# Reference\n\nOne page for each kind of resource, made from the types that read it.\n\n\
         | kind | apiVersion |\n|---|---|\n",
    );
    for kind in kinds::schemas() {
        let page = format!("{}.md", kind.kind.to_lowercase());
        let versions = kind.api_versions.join("`, `");
        writeln!(index, "| [{}]({page}) | `{versions}` |", kind.kind).expect("a string");
        files.insert(format!("reference/{page}"), reference_page(&kind));
    }
    index.push_str("\nNo resources, but files of their own that flags name:\n\n| kind | apiVersion |\n|---|---|\n");
    for kind in kinds::operator_schemas() {
        let page = format!("{}.md", kind.kind.to_lowercase());
        let versions = kind.api_versions.join("`, `");
        writeln!(index, "| [{}]({page}) | `{versions}` |", kind.kind).expect("a string");
        files.insert(format!("reference/{page}"), reference_page(&kind));
    }
    index.push_str(
        "\n`tidegate schema` prints the same as a JSON Schema for editors ([schema.json](../schema.json)), \
         `tidegate crds` the kinds of our own as CustomResourceDefinitions.\n",
    );
    files.insert("reference/README.md".into(), index);
    files.insert("crds.yaml".into(), crds(&kinds::own_schemas()));
    let all: Vec<_> = [kinds::schemas(), kinds::operator_schemas()].concat();
    let schema = json_schema(&all);
    let schema = serde_json::to_string_pretty(&schema).expect("it is JSON");
    files.insert("schema.json".into(), schema + "\n");
    files
}

#[test]
fn reference_pages_and_schemas_are_those_of_the_kinds() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut stale = Vec::new();
    for (path, content) in expected() {
        let file = Path::new(DOCS).join(&path);
        if bless {
            fs::create_dir_all(file.parent().expect("below docs")).expect("writable");
            fs::write(&file, &content).expect("writable");
        }
        if fs::read_to_string(&file).unwrap_or_default() != content {
            stale.push(path);
        }
    }
    assert!(
        stale.is_empty(),
        "stale below docs/: {stale:?}; `TIDEGATE_BLESS=1 cargo test` writes them anew"
    );
}
