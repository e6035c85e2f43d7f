//! `cargo xtask plugins`: every filter crate of the workspace, compiled to WebAssembly.
//!
//! Owns which crates are filters, how cargo is called, and where the modules end up. Which
//! compiler does it is the choice of `tidegate-toolchain`, as for `tidegate plugin build`. All filters share one target folder per toolchain,
//! so that the standard library and common dependencies are compiled once.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tidegate_toolchain::compiler::{self, Machine, TARGET, Toolchain};
use tidegate_toolchain::sizes::{Sizes, kib};

use crate::apt;
use crate::packages::Package;
use crate::run::{self, Sink};
use crate::workspace::Workspace;

/// Modules that must stay small: their packages, how many bytes they may have without the names of
/// functions, and what they stand for.
const LIMITS: [(&str, usize, &str); 2] = [
    (
        "set-headers-sdk",
        60 * 1024,
        "nearly the smallest filter on the SDK",
    ),
    (
        "graphql-allow",
        200 * 1024,
        "a filter that reads bodies of JSON",
    ),
];

/// Builds the filters, or the one named, to `target/plugins/<package>.wasm`.
pub(crate) fn build(
    workspace: &Workspace,
    wish: Option<Toolchain>,
    only: Option<&str>,
) -> Result<()> {
    let filters = select(&workspace.packages, only)?;
    if filters.is_empty() {
        println!("plugins: no filter crates under plugins/ or examples/");
        return Ok(());
    }
    let found = compiler::choose(wish, &ThisMachine)?;
    println!("plugins: {}", found.reason);
    let toolchain = found.toolchain;
    let built_to = workspace.root.join("target/wasm").join(toolchain.name());

    let mut cargo = toolchain.cargo_build();
    cargo
        .current_dir(&workspace.root)
        .args(["--profile", "plugin", "--target", TARGET]);
    cargo.arg("--target-dir").arg(&built_to);
    for filter in &filters {
        cargo.args(["-p", &filter.name]);
    }
    cargo.args(workspace.lock_flag());
    println!(
        "plugins: building {} (the first time takes a minute)",
        names(&filters)
    );
    run::run(&mut cargo)?;

    let modules = built_to.join(TARGET).join("plugin");
    println!(
        "plugins: {:>9} {:>9}  KiB with names, and without",
        "with", "without"
    );
    let mut too_large = Vec::new();
    for filter in &filters {
        let target = workspace
            .plugins_folder()
            .join(format!("{}.wasm", filter.name));
        let module = install(&modules.join(filter.wasm_name()), &target)?;
        let sizes = Sizes::of(&module)
            .with_context(|| format!("{} is no WebAssembly module", target.display()))?;
        println!(
            "plugins: {:>9} {:>9}  target/plugins/{}.wasm",
            kib(sizes.total),
            kib(sizes.bare()),
            filter.name
        );
        too_large.extend(complaint(&filter.name, sizes.bare()));
    }
    if !too_large.is_empty() {
        bail!("{}", too_large.join("\n"));
    }
    Ok(())
}

/// What is wrong with the size of a module, if it is one of [`LIMITS`].
fn complaint(name: &str, bytes: usize) -> Option<String> {
    let (_, limit, what) = LIMITS.iter().find(|it| it.0 == name)?;
    (bytes > *limit).then(|| {
        format!(
            "{name} has {} KiB without names, and {} may have {}",
            kib(bytes),
            what,
            kib(*limit)
        )
    })
}

/// A developer's machine or one of CI: what is missing may be installed.
#[derive(Debug)]
struct ThisMachine;

impl Machine for ThisMachine {
    fn say(&self, line: &str) {
        println!("plugins: {line}");
    }

    fn may_add_target(&self) -> bool {
        true
    }

    fn ensure_debian(&self, packages: &[&str]) -> Result<()> {
        apt::ensure(packages, &Sink::Terminal)
    }
}

fn select<'a>(packages: &'a [Package], only: Option<&str>) -> Result<Vec<&'a Package>> {
    let filters: Vec<&Package> = packages.iter().filter(|it| it.is_filter()).collect();
    let Some(name) = only else {
        return Ok(filters);
    };
    match filters.iter().find(|it| it.name == name) {
        Some(filter) => Ok(vec![filter]),
        None => bail!(
            "no filter is named {name:?}; there are: {}",
            names(&filters)
        ),
    }
}

fn names(filters: &[&Package]) -> String {
    filters
        .iter()
        .map(|it| it.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Copies a module in one step, because a test may be loading the old one, and not at all if
/// it is the same. Returns it.
pub(crate) fn install(from: &Path, to: &Path) -> Result<Vec<u8>> {
    let module = fs::read(from)
        .with_context(|| format!("cargo built no {}; is the crate a cdylib?", from.display()))?;
    if fs::read(to).is_ok_and(|installed| installed == module) {
        return Ok(module);
    }
    let folder = to.parent().context("the root is no module")?;
    let unfinished = to.with_extension(format!("wasm.{}", std::process::id()));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&unfinished, &module))
        .and_then(|()| fs::rename(&unfinished, to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, crate_type: &str) -> Package {
        Package {
            name: name.into(),
            folder: folder.into(),
            license: None,
            crate_types: vec![crate_type.into()],
            dependencies: vec![],
        }
    }

    #[test]
    fn a_module_that_has_to_be_small_and_is_not_is_an_error() {
        assert_eq!(complaint("set-headers-sdk", 60 * 1024), None);
        assert_eq!(
            complaint("set-headers-sdk", 60 * 1024 + 1).unwrap(),
            "set-headers-sdk has 60.1 KiB without names, and nearly the smallest filter on the \
             SDK may have 60.0"
        );
        assert_eq!(complaint("introspect", 1 << 30), None);
    }

    #[test]
    fn one_filter_is_taken_by_name_and_a_wrong_name_lists_all() {
        let packages = [
            package("limit", "plugins/limit", "cdylib"),
            package("demo", "examples/demo", "bin"),
            package("hello", "examples/hello", "cdylib"),
        ];
        assert_eq!(names(&select(&packages, None).unwrap()), "limit, hello");
        assert_eq!(names(&select(&packages, Some("hello")).unwrap()), "hello");
        let err = select(&packages, Some("demo")).unwrap_err();
        assert_eq!(
            err.to_string(),
            "no filter is named \"demo\"; there are: limit, hello"
        );
    }
}
