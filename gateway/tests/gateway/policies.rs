//! The pages of the policy filters, docs/policies: written from what each filter says of itself and from
//! its README, whose configurations are checked. `TIDEGATE_BLESS=1` writes them anew.

#[path = "policies/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tidegate_host_abi::Manifest;

use crate::process::Folder;
use crate::process::finish;
use crate::process::tidegate;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where a README wants the table of what the filter is configured with.
const PLACE: &str = "<!-- configuration -->";

/// The resources that examples refer to.
const AROUND: &str = include_str!("policies/around.yaml");

/// What each filter says of itself, by name.
fn manifests() -> BTreeMap<&'static str, Manifest> {
    tidegate_builtins::all()
        .iter()
        .map(|builtin| {
            let manifest = Manifest::read(builtin.module).expect("it can be read");
            (builtin.name, manifest.expect("it has one"))
        })
        .collect()
}

fn readme(name: &str) -> String {
    let file = Path::new(ROOT).join("plugins").join(name).join("README.md");
    fs::read_to_string(&file).expect("each filter has a README.md")
}

/// A page: the README, with the table in its place, and links as seen from docs/policies.
fn page(name: &str, manifest: &Manifest) -> String {
    let text = readme(name).replace("](../../docs/", "](../");
    assert!(text.contains(PLACE), "{name}/README.md has no {PLACE}");
    let schema = manifest.config_schema.as_ref().expect("a schema");
    text.replace(PLACE, table::of(schema).trim_end())
}

/// What should be there, by name of the file.
fn expected() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut index = String::from(
        "# Policies\n\nThe filters that come with Tidegate; a [Plugin](../reference/plugin.md) names one with \
         `source: { builtin: NAME }`.\nEach runs unchanged on Envoy and Istio. What they protect against, and \
         what not, is said on their pages and in the [threat model](../threat-model.md).\n\n\
         What the pages call a metric is the label `metric` in `/metrics`: `rate_limit_allowed` of the Plugin `x` is \
         `tidegate_plugin_counter_total{plugin=\"default/x\",metric=\"rate_limit_allowed\"}`, and a gauge such as \
         `fault_active` is `tidegate_plugin_gauge{plugin=\"default/x\",metric=\"fault_active\"}`.\n\n\
         | filter | what it does |\n|---|---|\n",
    );
    for (name, manifest) in manifests() {
        let description = &manifest.description;
        writeln!(index, "| [{name}]({name}.md) | {description} |").expect("a string");
        pages.insert(format!("{name}.md"), page(name, &manifest));
    }
    let around = AROUND
        .split_once('\n')
        .map_or(AROUND, |(_, resources)| resources);
    write!(
        index,
        "\nThe examples on the pages attach themselves to the Gateway `web` or the HTTPRoute `shop`, and ask the \
         Backends `auth`, `idp` and `limiter`: write your own names there. What is attached to nothing does nothing, and \
         `tidegate check` warns of it; \
         `tidegate explain -c PATH GET URL` says which plugins a request meets.\n\
         With these resources beside them they work as they stand:\n\n```yaml\n{around}```\n"
    )
    .expect("a string");
    pages.insert("README.md".to_owned(), index);
    pages
}

#[test]
fn the_pages_of_policies_are_those_of_the_filters() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let folder = Path::new(ROOT).join("docs/policies");
    let mut stale = Vec::new();
    for (name, content) in expected() {
        let file = folder.join(&name);
        if bless {
            fs::create_dir_all(&folder).expect("writable");
            fs::write(&file, &content).expect("writable");
        }
        if fs::read_to_string(&file).unwrap_or_default() != content {
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "stale in docs/policies: {stale:?}; `TIDEGATE_BLESS=1 cargo test` writes them anew"
    );
}

/// The blocks of YAML of a text that are resources.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block)
        .filter(|block| {
            block.contains("apiVersion: tidegate.dev")
                || block.contains("apiVersion: security.istio.io")
        })
}

#[test]
fn what_the_pages_of_policies_tell_to_copy_has_no_problem() {
    for name in manifests().into_keys() {
        let text = readme(name);
        let mut any = false;
        for block in blocks(&text) {
            any = true;
            let files = Folder::of(&[("around.yaml", AROUND), ("policy.yaml", block)]);
            let (code, out, err) = finish(tidegate().arg("check").arg("-c").arg(files.path()));
            assert_eq!(code, Some(0), "{name}:\n{block}\n{out}{err}");
        }
        assert!(any, "{name}/README.md shows no Plugin");
    }
}
