//! A filter's folder, as cargo sees it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use anyhow::bail;
use serde_json::Value;
use tidegate_toolchain::compiler;
use tidegate_toolchain::compiler::usual_cargo;
use tidegate_toolchain::process;

use crate::author;
use crate::author::sdk;

/// A crate that is a filter.
#[derive(Debug)]
pub(crate) struct Project {
    /// Its folder; absolute.
    pub(crate) folder: PathBuf,
    /// The name of its package.
    pub(crate) name: String,
    /// The file name of the module that cargo makes, without `.wasm`.
    pub(crate) library: String,
    /// Where cargo builds; absolute.
    pub(crate) target: PathBuf,
}

impl Project {
    /// Reads the crate in a folder. Its copy of the SDK is brought up to date before, if it has one.
    ///
    /// # Errors
    ///
    /// What the folder has instead of a filter.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        let folder = std::path::absolute(folder).context("no current folder")?;
        let manifest = folder.join("Cargo.toml");
        if !manifest.is_file() {
            bail!(
                "{shown} has no Cargo.toml, so it is no filter's folder; \
                 `tidegate plugin new NAME` makes one"
            );
        }
        compiler::require_rust()?;
        if let Some(said) = sdk::ensure(&folder)? {
            author::say(&said);
        }
        let mut ask = usual_cargo();
        ask.current_dir(&folder)
            .args(["metadata", "--no-deps", "--format-version", "1"]);
        let said = process::output(&mut ask).context("cargo cannot read the crate")?;
        let metadata: Value = serde_json::from_str(&said)
            .context("cargo metadata printed something that is not JSON")?;
        let target = metadata.get("target_directory").and_then(Value::as_str);
        let target = PathBuf::from(target.context("cargo metadata names no target folder")?);
        let packages = metadata.get("packages").and_then(Value::as_array);
        let package = packages
            .and_then(|all| all.iter().find(|one| is_at(one, &manifest)))
            .with_context(|| {
                format!("{shown} is a workspace; name the folder of a filter in it")
            })?;
        let name = text(package, "name").context("cargo metadata names no package")?;
        let library = library(package).with_context(|| {
            format!(
                "{name} is built to no module; write in its Cargo.toml:\n\n    \
                 [lib]\n    crate-type = [\"cdylib\", \"rlib\"]\n"
            )
        })?;
        Ok(Self {
            folder,
            name: name.to_owned(),
            library,
            target,
        })
    }

    /// A command of the usual cargo, in the folder.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = usual_cargo();
        cargo.current_dir(&self.folder).arg(subcommand);
        cargo
    }
}

fn is_at(package: &Value, manifest: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    text(package, "manifest_path").is_some_and(|path| real(Path::new(path)) == real(manifest))
}

/// The name of the target that becomes a module.
fn library(package: &Value) -> Option<String> {
    let targets = package.get("targets")?.as_array()?;
    let is_module = |target: &&Value| {
        let kinds = target.get("crate_types").and_then(Value::as_array);
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"))
    };
    let target = targets.iter().find(is_module)?;
    Some(text(target, "name")?.replace('-', "_"))
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str()
}
