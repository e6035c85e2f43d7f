//! Where things are: the root of the repository, the target folder, the packages, cargo itself.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::packages::{self, Package};
use crate::run;

/// The repository this program belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The folder with the root Cargo.toml; absolute.
    pub(crate) root: PathBuf,
    /// Where cargo builds for this machine.
    pub(crate) target: PathBuf,
    /// The members, sorted by name.
    pub(crate) packages: Vec<Package>,
    /// Whether cargo must refuse to change Cargo.lock.
    pub(crate) locked: bool,
}

impl Workspace {
    /// Asks cargo about the workspace that this program is part of.
    pub(crate) fn load() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let here = here.parent().context("xtask has no parent folder")?;
        let mut ask = Command::new(cargo_path());
        ask.current_dir(here)
            .args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&run::output(&mut ask)?)
            .context("cargo metadata printed something that is not JSON")?;
        let folder = |key: &str| {
            let text = metadata.get(key).and_then(Value::as_str);
            text.map(PathBuf::from)
                .with_context(|| format!("cargo metadata names no {key}"))
        };
        let root = folder("workspace_root")?;
        let packages = packages::read(&metadata, &root)?;
        Ok(Self {
            target: folder("target_directory")?,
            packages,
            root,
            locked: in_ci(),
        })
    }

    /// The folder that filters are built to, and that tests load them from.
    pub(crate) fn plugins_folder(&self) -> PathBuf {
        self.root.join("target/plugins")
    }

    /// A cargo command for this machine, started at the root.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(cargo_path());
        command
            .current_dir(&self.root)
            .arg(subcommand)
            .args(self.lock_flag());
        command
    }

    /// The flag that keeps Cargo.lock as it is, if it must stay so.
    pub(crate) fn lock_flag(&self) -> Option<&'static str> {
        self.locked.then_some("--locked")
    }

    /// Where cargo puts a program of this workspace, built with this profile.
    pub(crate) fn program(&self, profile: &str, name: &str) -> PathBuf {
        let folder = if profile == "dev" { "debug" } else { profile };
        self.target
            .join(folder)
            .join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }
}

/// Whether this runs in CI, by the variable that every CI system sets.
pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// The cargo that started us, else the one in PATH.
fn cargo_path() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}
