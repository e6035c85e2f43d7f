//! The packages of this workspace, as far as tasks need to know them.
//!
//! Reads the output of `cargo metadata --no-deps` and nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// A member of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name in Cargo.toml.
    pub(crate) name: String,
    /// Its folder, relative to the root of the workspace.
    pub(crate) folder: PathBuf,
    /// Its licence, as SPDX has it.
    pub(crate) license: Option<String>,
    /// The crate types of its targets: `lib`, `cdylib`, `bin`, ….
    pub(crate) crate_types: Vec<String>,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency of a package, as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The name of the package depended on.
    pub(crate) name: String,
    /// When it is needed.
    pub(crate) kind: Kind,
}

/// When a dependency is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By the package itself.
    Normal,
    /// By its tests and benches.
    Dev,
    /// By its build script.
    Build,
}

impl Package {
    /// Whether this is a filter: a `cdylib` below one of the folders for filters.
    pub(crate) fn is_filter(&self) -> bool {
        let places = [
            "plugins",
            "examples",
            "benches/filters",
            "gateway/tests/filters",
            "sdk/testing/tests/filters",
        ];
        places.iter().any(|place| self.folder.starts_with(place))
            && self.crate_types.iter().any(|kind| kind == "cdylib")
    }

    /// The file name, without folder, that cargo gives the compiled filter.
    pub(crate) fn wasm_name(&self) -> String {
        format!("{}.wasm", self.name.replace('-', "_"))
    }
}

/// The packages in the output of `cargo metadata`, sorted by name.
pub(crate) fn read(metadata: &Value, root: &Path) -> Result<Vec<Package>> {
    let listed = metadata.get("packages").and_then(Value::as_array);
    let listed = listed.context("cargo metadata lists no packages")?;
    let mut packages = listed
        .iter()
        .map(|value| package(value, root).with_context(|| format!("unexpected package: {value}")))
        .collect::<Result<Vec<_>>>()?;
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn package(value: &Value, root: &Path) -> Option<Package> {
    let folder = Path::new(text(value, "manifest_path")?).parent()?;
    let targets = value.get("targets")?.as_array()?;
    let crate_types = targets
        .iter()
        .filter_map(|target| target.get("crate_types")?.as_array())
        .flatten()
        .filter_map(|kind| kind.as_str().map(str::to_owned))
        .collect();
    let dependencies = value.get("dependencies")?.as_array()?;
    Some(Package {
        name: text(value, "name")?.to_owned(),
        folder: folder.strip_prefix(root).unwrap_or(folder).to_owned(),
        license: text(value, "license").map(str::to_owned),
        crate_types,
        dependencies: dependencies.iter().filter_map(dependency).collect(),
    })
}

fn dependency(value: &Value) -> Option<Dependency> {
    let kind = match value.get("kind").and_then(Value::as_str) {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    };
    Some(Dependency {
        name: text(value, "name")?.to_owned(),
        kind,
    })
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_is_a_cdylib_in_one_of_two_folders() {
        let metadata = json!({ "packages": [
            {
                "name": "hello-filter",
                "manifest_path": "/repo/examples/hello-filter/Cargo.toml",
                "targets": [{ "crate_types": ["cdylib", "rlib"] }],
                "license": "Apache-2.0",
                "dependencies": [{ "name": "a", "kind": null }, { "name": "b", "kind": "dev" }],
            },
            {
                "name": "elsewhere",
                "manifest_path": "/repo/gateway/Cargo.toml",
                "targets": [{ "crate_types": ["cdylib"] }],
                "dependencies": [],
            },
        ]});
        let packages = read(&metadata, Path::new("/repo")).unwrap();
        let filters: Vec<_> = packages.iter().filter(|it| it.is_filter()).collect();
        let expected = Package {
            name: "hello-filter".into(),
            folder: "examples/hello-filter".into(),
            license: Some("Apache-2.0".into()),
            crate_types: vec!["cdylib".into(), "rlib".into()],
            dependencies: vec![
                Dependency {
                    name: "a".into(),
                    kind: Kind::Normal,
                },
                Dependency {
                    name: "b".into(),
                    kind: Kind::Dev,
                },
            ],
        };
        assert_eq!(filters, [&expected]);
        assert_eq!(expected.wasm_name(), "hello_filter.wasm");
    }
}
